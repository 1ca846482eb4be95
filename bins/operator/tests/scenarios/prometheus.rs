//! Releases judged by what a real Prometheus scraped from the pods.

use crate::bad_images::{inconclusive, rejected};
use crate::load::Load;
use crate::world::{Start, World, free, not_run, on_path, pods, promotions};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::task::JoinHandle;

/// No port: all that is known of the pods comes from the server. The canary before had the same name: until its target is
/// forgotten, and the new one scraped, the second check sees one that is down.
const CHECKS: &str = r#"
- kind: httpErrorRate
  provider: main
- kind: query
  name: is-scraped
  query: max(up{pod="{{canary}}",namespace="{{namespace}}"})
  min: 1
  errorBudget: 3
  failureLimit: 10
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_prometheus_scraped_judges_releases() {
    if on_path("prometheus").is_none() {
        return not_run("no prometheus on PATH: releases judged by what a Prometheus scraped");
    }
    let address = free();
    let flag = format!("--prometheus=main=http://{address}");
    let world = Start::default().processes().flag(&flag).world().await;
    let old = world.push_app("1", &[]);
    let settings =
        [("canary-keeper.dev/checks", CHECKS), ("canary-duration", "4s"), ("canary-keeper.dev/max-incubation", "60s")];
    world.deploy(&old, 2, &settings).await;
    let mut prometheus = Prometheus::start(&world, address).await;
    let load = Load::start(&world, 400).await;
    world.start_operator();

    let bad = world.push_app("fails every request", &[("FAIL_SHARE", "1")]);
    rejected(&world, &bad, &old, "requests failed").await;
    assert_eq!(promotions(&world.requests()).len(), 0);
    let good = world.push_app("2", &[]);
    world.until_promoted(&good).await;
    let events = world.events().await;
    assert!(events.iter().any(|(reason, _)| reason == "Promoted"), "measured, so it rests on no silence: {events:?}");

    // Without it nothing is known, and nothing is promoted.
    prometheus.stop();
    world.annotate(json!({"canary-duration": "2s", "canary-keeper.dev/max-incubation": "4s"})).await;
    let unseen = world.push_app("3", &[]);
    inconclusive(&world, &unseen, &good, "httpErrorRate cannot tell").await;
    assert_eq!(promotions(&world.requests()).len(), 1);
    drop(load);
}

/// A server, and what tells it which pods there are: Debian's build can't ask Kubernetes.
struct Prometheus {
    process: Child,
    discovery: JoinHandle<()>,
}

impl Prometheus {
    async fn start(world: &World, address: SocketAddr) -> Self {
        let file = |name: &str| world.directory().join(name);
        let discovery = tokio::spawn(discover(world.api(&pods()), file("pods.json")));
        let scrape = json!({
            "job_name": "pods",
            "file_sd_configs": [{"files": [file("pods.json")], "refresh_interval": "1s"}],
        });
        let interval = json!({"scrape_interval": "1s", "scrape_timeout": "1s"});
        let config = json!({"global": interval, "scrape_configs": [scrape]});
        // YAML reads JSON.
        std::fs::write(file("prometheus.yml"), config.to_string()).unwrap();
        let log = std::fs::File::create(file("prometheus.log")).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", file("prometheus").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut prometheus = Self { process, discovery };
        let url = format!("http://{address}/api/v1/query?query=sum(up)");
        world
            .until("a Prometheus scrapes the pods", async || {
                let ended = prometheus.process.try_wait().unwrap();
                assert!(ended.is_none(), "{}", std::fs::read_to_string(file("prometheus.log")).unwrap_or_default());
                match reqwest::get(&url).await {
                    Ok(answer) => answer.text().await.is_ok_and(|text| text.contains(r#","2"]"#)),
                    Err(_) => false,
                }
            })
            .await;
        prometheus
    }

    fn stop(&mut self) {
        self.discovery.abort();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Writes the addresses and names of the pods down, as they come and go.
async fn discover(api: Api<DynamicObject>, file: PathBuf) {
    let mut written = String::new();
    loop {
        let pods = api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        let target = |pod: &DynamicObject| {
            let ip = pod.data.pointer("/status/podIP")?.as_str()?.to_owned();
            let labels = json!({"pod": pod.name_any(), "namespace": pod.namespace()});
            Some(json!({"targets": [format!("{ip}:8080")], "labels": labels}))
        };
        let targets = Value::from(pods.iter().filter_map(target).collect::<Vec<_>>()).to_string();
        if targets != written {
            // Renamed into its place, so that it is never read half-written.
            let aside = file.with_extension("new");
            std::fs::write(&aside, &targets).unwrap();
            std::fs::rename(&aside, &file).unwrap();
            written = targets;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
