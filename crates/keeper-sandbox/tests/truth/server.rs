//! The two that are asked: the real server and the sandbox's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use http_body_util::BodyExt;
use keeper_sandbox::api::{ApiConfig, ApiServer};
use keeper_sandbox::controllers;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::script::{Script, Step};

/// An answer as it came.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: BTreeMap<String, String>,
    /// The body; of a watch, its events as a list.
    pub(crate) body: Value,
}

/// Headers that clients act on.
const HEADERS: [&str; 4] = ["content-type", "retry-after", "warning", "cache-control"];

/// How long a controller, or an event of a watch, may take to come.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long an answer may take to begin: an eviction of another pod is tried for ten seconds.
const BEGINNING: Duration = Duration::from_secs(20);

/// How long an answer that is no watch may take.
const WHOLE: Duration = Duration::from_secs(3);

/// A body of which a server may refuse the rest.
const LARGE: usize = 1 << 20;

/// A server that can be asked.
pub(crate) struct Asked {
    client: Client,
    own: Option<(ApiServer, CancellationToken)>,
}

impl Asked {
    pub(crate) async fn sandbox() -> Self {
        let server = ApiServer::serve(ApiConfig::default()).await.unwrap();
        let mut config = Config::new(server.url().parse().unwrap());
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(controllers::run(client.clone(), stop.clone()));
        Self { client, own: Some((server, stop)) }
    }

    pub(crate) async fn real(kubeconfig: &Path) -> Self {
        let file = Kubeconfig::read_from(kubeconfig).unwrap();
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        config.default_retry = false;
        Self { client: Client::try_from(config).unwrap(), own: None }
    }

    pub(crate) async fn stop(self) {
        if let Some((server, stop)) = self.own {
            stop.cancel();
            server.stop().await;
        }
    }

    /// Asks a whole script in a new namespace, and gives its name and the answers.
    pub(crate) async fn ask(&self, script: &Script) -> (String, Vec<Answer>) {
        let namespace = format!("truth-{:08x}", rand::random::<u32>());
        let made = Step {
            method: "POST",
            path: "/api/v1/namespaces".into(),
            media: super::script::JSON,
            body: json!({ "metadata": { "name": namespace } }).to_string(),
            ..script.steps[0].clone()
        };
        let made = self.once(&made, &namespace, &BTreeMap::new()).await;
        assert_eq!(made.code, 201, "{made:?}");
        let mut saved = BTreeMap::new();
        let mut answers = Vec::new();
        for step in &script.steps {
            let answer = self.patiently(step, &namespace, &saved).await;
            if let Some(name) = step.save.as_deref() {
                saved.insert(name, answer.body.clone());
            }
            answers.push(answer);
        }
        let path = format!("/api/v1/namespaces/{namespace}");
        let gone = Step { method: "DELETE", path, media: "", body: String::new(), ..script.steps[0].clone() };
        self.once(&gone, &namespace, &BTreeMap::new()).await;
        (namespace, answers)
    }

    async fn patiently(&self, step: &Step, namespace: &str, saved: &BTreeMap<&str, Value>) -> Answer {
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut before = Value::Null;
        loop {
            let answer = self.once(step, namespace, saved).await;
            let of = |pointer: &str| answer.body.pointer(pointer);
            // Controllers may write once more after they have seen it.
            let seen = of("/status/observedGeneration") == of("/metadata/generation") && answer.body == before;
            // A server that refuses a body in the midst of it may be gone before its answer is read.
            let cut_off = answer.code == 0 && step.body.len() > LARGE;
            let there = step.until_there.is_none_or(|(pointer, wanted)| of(pointer).is_some() == wanted);
            let until = there && step.until.is_none_or(|code| code == answer.code);
            let done = (!step.settled || seen) && until && !cut_off;
            if done || tokio::time::Instant::now() > end {
                return answer;
            }
            before = answer.body;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    async fn once(&self, step: &Step, namespace: &str, saved: &BTreeMap<&str, Value>) -> Answer {
        let fill = |text: &str| fill(text, namespace, saved);
        let mut request = http::Request::builder().method(step.method).uri(fill(&step.path));
        if !step.accept.is_empty() {
            request = request.header("accept", step.accept);
        }
        if !step.media.is_empty() {
            request = request.header("content-type", step.media);
        }
        let request = request.body(Body::from(fill(&step.body).into_bytes())).unwrap();
        let nothing = |why: &str| Answer { code: 0, headers: BTreeMap::new(), body: json!(why) };
        let response = match tokio::time::timeout(BEGINNING, self.client.send(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return nothing(&error.to_string()),
            Err(_) => return nothing("no answer"),
        };
        let headers = HEADERS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), response.headers().get(*name)?.to_str().ok()?.to_owned())))
            .collect();
        let code = response.status().as_u16();
        let body = match step.events {
            Some(events) if code == 200 => read_events(response.into_body(), events).await,
            _ => read_whole(response.into_body()).await,
        };
        Answer { code, headers, body }
    }
}

async fn read_whole(body: Body) -> Value {
    let bytes = match tokio::time::timeout(WHOLE, body.collect()).await {
        Ok(Ok(bytes)) => bytes.to_bytes(),
        Ok(Err(_)) => return json!("cut off"),
        Err(_) => return json!("no end"),
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)))
}

/// Reads up to this many events, and whether the stream then ended by itself is not waited for.
async fn read_events(mut body: Body, events: usize) -> Value {
    let mut buffer = Vec::new();
    let mut read = Vec::new();
    while read.len() < events {
        if let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            read.push(serde_json::from_slice(&line).unwrap_or_else(|_| json!(String::from_utf8_lossy(&line))));
            continue;
        }
        match tokio::time::timeout(PATIENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => buffer.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Ok(_) => {
                read.push(json!("end"));
                break;
            }
            Err(_) => {
                read.push(json!("nothing more"));
                break;
            }
        }
    }
    Value::Array(read)
}

/// Puts the namespace and values of earlier answers in.
fn fill(text: &str, namespace: &str, saved: &BTreeMap<&str, Value>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').unwrap();
        let (name, pointer) = name.split_once(':').unwrap();
        filled.push_str(before);
        let value = saved.get(name).and_then(|answer| answer.pointer(pointer));
        match value {
            Some(Value::String(text)) => filled.push_str(text),
            other => filled.push_str(&other.cloned().unwrap_or_default().to_string()),
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled.replace("{ns}", namespace)
}
