//! The fault proxy in front of the sandbox's API server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

mod api_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api_support::{Api, install_tls};
use keeper_sandbox::faults::{Fault, FaultHandle, FaultProxy, HookPoint, Matcher, ProxyConfig, Upstream, When};
use serde_json::{Value, json};

struct Faulty {
    api: Api,
    proxy: FaultProxy,
    faults: FaultHandle,
    http: reqwest::Client,
}

impl Faulty {
    async fn new() -> Self {
        install_tls();
        let api = Api::sandbox().await;
        let proxy = FaultProxy::serve(ProxyConfig::new(Upstream::Url(api.url.clone()))).await.unwrap();
        let http = reqwest::Client::builder().user_agent("operator/0.1").build().unwrap();
        Self { faults: proxy.faults(), api, proxy, http }
    }

    /// The code of the answer to a create through the proxy; none when the connection was closed.
    async fn create(&self, name: &str) -> Option<u16> {
        let url = format!("{}{}", self.proxy.url(), self.api.core("configmaps"));
        let body = json!({ "metadata": { "name": name } }).to_string();
        let request = self.http.post(url).header("content-type", "application/json").body(body);
        request.send().await.ok().map(|answer| answer.status().as_u16())
    }

    async fn exists(&self, name: &str) -> bool {
        self.api.get(&self.api.core(&format!("configmaps/{name}"))).await.code == 200
    }

    async fn watch(&self) -> reqwest::Response {
        let url = format!("{}{}?watch=true&resourceVersion=1", self.proxy.url(), self.api.core("configmaps"));
        self.http.get(url).send().await.unwrap()
    }

    async fn stop(self) {
        self.proxy.stop().await;
        self.api.stop().await;
    }
}

/// The names in the next piece of a watch; none when nothing comes for a while, an error when it was cut.
async fn next_names(watch: &mut reqwest::Response) -> Option<Result<Vec<String>, ()>> {
    let chunk = tokio::time::timeout(Duration::from_millis(400), watch.chunk()).await.ok()?;
    let names = |chunk: bytes::Bytes| {
        String::from_utf8_lossy(&chunk)
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["object"]["metadata"]["name"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    Some(chunk.ok().flatten().map(names).ok_or(()))
}

fn creates() -> Matcher {
    Matcher::any().client("operator").verb("create").resource("configmaps")
}

#[tokio::test]
async fn replies_are_dropped_before_and_after_the_commit() {
    let f = Faulty::new().await;
    assert_eq!(f.create("through").await, Some(201));
    f.faults.add(creates(), When::Nth(1), Fault::DropReply);
    f.faults.add(creates(), When::Nth(2), Fault::Refuse);
    f.faults.add(creates(), When::Nth(3), Fault::CommitLate(Duration::from_millis(300)));
    assert_eq!(f.create("committed").await, None);
    assert!(f.exists("committed").await);
    assert_eq!(f.create("refused").await, None);
    assert!(!f.exists("refused").await);
    assert_eq!(f.create("late").await, None);
    assert!(!f.exists("late").await);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(f.exists("late").await);
    let codes: Vec<u16> = f.proxy.requests().records().iter().map(|r| r.code).collect();
    assert_eq!(codes, [201, 0, 0, 0]);
    assert_eq!(f.proxy.requests().counts()["operator"]["create"], 4);
    f.stop().await;
}

#[tokio::test]
async fn answers_are_forged_and_delayed_for_the_chosen_client_only() {
    let f = Faulty::new().await;
    for (n, code) in [409, 410, 429, 500, 503].into_iter().enumerate() {
        let id = f.faults.add(creates(), When::Always, Fault::Answer(code));
        assert_eq!(f.create(&format!("n{n}")).await, Some(code));
        f.faults.remove(id);
        assert!(!f.exists(&format!("n{n}")).await);
    }
    f.faults.add(Matcher::any().client("somebody-else"), When::Always, Fault::Answer(500));
    f.faults.add(creates().name("slow"), When::Always, Fault::Latency(Duration::from_millis(200)));
    let started = Instant::now();
    assert_eq!(f.create("slow").await, Some(201));
    assert!(started.elapsed() >= Duration::from_millis(200));
    f.stop().await;
}

#[tokio::test]
async fn watches_freeze_thaw_break_and_expire() {
    let f = Faulty::new().await;
    let watches = Matcher::any().client("operator").verb("watch");
    let mut watch = f.watch().await;
    f.create("a").await;
    assert_eq!(next_names(&mut watch).await, Some(Ok(vec!["a".to_owned()])));
    let id = f.faults.freeze_watches(watches.clone());
    tokio::time::sleep(Duration::from_millis(50)).await;
    f.create("b").await;
    assert_eq!(next_names(&mut watch).await, None, "frozen, not closed");
    f.faults.remove(id);
    assert_eq!(next_names(&mut watch).await, Some(Ok(vec!["b".to_owned()])), "what was missed follows");
    f.faults.cut_watches(watches.clone());
    assert_eq!(next_names(&mut watch).await, Some(Err(())));

    f.faults.add(watches.clone(), When::Nth(1), Fault::CutWatch(Duration::from_millis(100)));
    f.faults.add(watches.clone(), When::Nth(2), Fault::FreezeWatch(Duration::ZERO));
    f.faults.add(watches, When::Nth(3), Fault::ExpireWatch);
    let mut cut = f.watch().await;
    let mut seen = Vec::new();
    let end = loop {
        match next_names(&mut cut).await {
            Some(Ok(names)) => seen.extend(names),
            end => break end,
        }
    };
    assert_eq!((seen, end), (vec!["a".to_owned(), "b".to_owned()], Some(Err(()))));
    let mut frozen = f.watch().await;
    f.create("c").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    f.create("d").await;
    let mut seen = Vec::new();
    while let Some(Ok(names)) = next_names(&mut frozen).await {
        seen.extend(names);
    }
    assert!(!seen.contains(&"d".to_owned()), "{seen:?}");
    let expired: Value = f.watch().await.json().await.unwrap();
    assert_eq!((&expired["type"], &expired["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(f.proxy.requests().watches()["operator"], 4);
    f.stop().await;
}

#[tokio::test]
async fn a_hook_runs_after_the_commit_and_before_the_answer() {
    let f = Faulty::new().await;
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    f.faults.at(Matcher::any().client("operator").without_watches(), 2, HookPoint::Committed, move |request| {
        assert_eq!(request.name, "b");
        counter.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(f.create("a").await, Some(201));
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert_eq!(f.create("b").await, Some(201));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(f.create("c").await, Some(201));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    f.stop().await;
}

#[tokio::test]
async fn what_was_sent_lands_although_its_client_is_gone() {
    let f = Faulty::new().await;
    f.faults.add(creates(), When::Always, Fault::Latency(Duration::from_millis(300)));
    let impatient = tokio::time::timeout(Duration::from_millis(100), f.create("sent")).await;
    assert!(impatient.is_err());
    assert!(!f.exists("sent").await);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(f.exists("sent").await);
    f.stop().await;
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_a_bad_gateway() {
    let f = Faulty::new().await;
    let Faulty { api, proxy, http, .. } = f;
    let path = api.core("configmaps");
    api.stop().await;
    let answer = http.get(format!("{}{path}", proxy.url())).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 502);
    proxy.stop().await;
    let missing = Upstream::Kubeconfig("/does/not/exist".into());
    assert!(FaultProxy::serve(ProxyConfig::new(missing)).await.is_err());
}
