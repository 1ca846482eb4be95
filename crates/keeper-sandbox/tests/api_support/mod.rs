//! A server and a plain HTTP client for it.
//!
//! With `KEEPER_REFERENCE_API` set to the URL of a real API server without authentication (`kubectl proxy`), the tests
//! that ask only for what both do run against that one: so it is checked that the sandbox tells the truth.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]
#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::sync::Once;

use keeper_sandbox::api::{ApiConfig, ApiServer};
use serde_json::{Value, json};

pub(crate) const JSON: &str = "application/json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A client of one server, with a namespace of its own.
pub(crate) struct Api {
    pub(crate) server: Option<ApiServer>,
    pub(crate) url: String,
    pub(crate) namespace: String,
    http: reqwest::Client,
}

/// An answer: its code and its body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{:#}", self.body);
        self.body
    }

    #[track_caller]
    pub(crate) fn refused(self, code: u16, reason: &str, part_of_message: &str) -> Value {
        let body = self.expect(code);
        assert_eq!(body["reason"], reason, "{body:#}");
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(part_of_message), "{message:?} lacks {part_of_message:?}");
        assert_eq!(body["code"], code);
        body
    }
}

pub(crate) fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

impl Api {
    /// The sandbox's server, whatever the environment says.
    pub(crate) async fn sandbox() -> Self {
        Self::with(ApiConfig::default()).await
    }

    pub(crate) async fn with(config: ApiConfig) -> Self {
        let server = ApiServer::serve(config).await.unwrap();
        let url = server.url();
        Self::new(Some(server), url).await
    }

    /// The sandbox's server, or the real one that the environment names.
    pub(crate) async fn either() -> Self {
        match std::env::var("KEEPER_REFERENCE_API") {
            Ok(url) => Self::new(None, url).await,
            Err(_) => Self::sandbox().await,
        }
    }

    async fn new(server: Option<ApiServer>, url: String) -> Self {
        install_tls();
        let http = reqwest::Client::builder().user_agent("tester/1").build().unwrap();
        let namespace = format!("t{:08x}", rand::random::<u32>());
        let api = Self { server, url, namespace, http };
        api.post("/api/v1/namespaces", json!({ "metadata": { "name": api.namespace } })).await.expect(201);
        api
    }

    pub(crate) fn is_sandbox(&self) -> bool {
        self.server.is_some()
    }

    pub(crate) async fn send(&self, method: &str, path: &str, media: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.try_send(method, path, media, body).await.unwrap()
    }

    /// As [`Self::send`], for what a server may hang up on.
    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Result<Answer> {
        let request = self
            .http
            .request(method.parse().unwrap(), format!("{}{path}", self.url))
            .header("content-type", media)
            .body(body);
        let response = request.send().await?;
        let code = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer { code, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, JSON, "").await
    }

    /// A GET with this `Accept` header.
    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.url)).header("accept", accept);
        request.send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, JSON, body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, JSON, body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, media: &str, body: Value) -> Answer {
        self.send("PATCH", path, media, body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str, options: Value) -> Answer {
        self.send("DELETE", path, JSON, options.to_string()).await
    }

    /// An open answer, for reading line by line.
    pub(crate) async fn open(&self, path: &str) -> Lines {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        Lines { code: response.status().as_u16(), response, buffer: Vec::new() }
    }

    pub(crate) fn core(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    pub(crate) fn apps(&self, rest: &str) -> String {
        format!("/apis/apps/v1/namespaces/{}/{rest}", self.namespace)
    }

    pub(crate) async fn config_map(&self, name: &str, data: Value) -> Value {
        let body = json!({ "metadata": { "name": name }, "data": data });
        self.post(&self.core("configmaps"), body).await.expect(201)
    }

    pub(crate) async fn stop(self) {
        match self.server {
            Some(server) => server.stop().await,
            None => {
                let path = format!("{}/api/v1/namespaces/{}", self.url, self.namespace);
                let _ = self.http.delete(path).send().await;
            }
        }
    }
}

/// The lines of a watch.
pub(crate) struct Lines {
    pub(crate) code: u16,
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Lines {
    /// The next event; none when the stream ends. Fails when nothing comes for five seconds.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(std::time::Duration::from_secs(5), self.response.chunk());
            match chunk.await.expect("an event or the end within five seconds") {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// The next event's type and the name and resourceVersion of its object.
    pub(crate) async fn event(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

/// The smallest Deployment, called `web`.
pub(crate) fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": "example.com/web:1" }] },
            },
        },
    })
}

/// The smallest pod.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "c", "image": "example.com/web:1" }] },
    })
}
