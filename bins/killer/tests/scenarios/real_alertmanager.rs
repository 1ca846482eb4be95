//! A real Alertmanager, as Debian packages it.

use crate::world::{World, free};
use keeper_sandbox::faults::{Fault, Matcher, When};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// An Alertmanager that sends everything to the killer; ended when dropped.
struct Alertmanager {
    address: SocketAddr,
    process: Child,
}

impl Alertmanager {
    fn start(binary: &PathBuf, directory: &Path, name: &str, target: SocketAddr, token: &Path) -> Self {
        let config = directory.join(format!("{name}.yml"));
        // JSON is YAML.
        let settings = json!({
            "route": {"receiver": "killer", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1s"},
            "receivers": [{
                "name": "killer",
                "webhook_configs": [{
                    "url": format!("http://{target}/kill"),
                    "http_config": {"authorization": {"credentials_file": token}},
                }],
            }],
        });
        std::fs::write(&config, settings.to_string()).unwrap();
        let address = free();
        let process = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", directory.join(name).display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join(format!("{name}.log"))).unwrap())
            .spawn()
            .unwrap();
        Self { address, process }
    }

    async fn ready(&self, world: &World) {
        let url = format!("http://{}/-/ready", self.address);
        let ready = async || reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success());
        world.until("Alertmanager is ready", ready).await;
    }

    /// Gives it an alert, as Prometheus does.
    async fn fire(&self, labels: &Value) {
        let url = format!("http://{}/api/v2/alerts", self.address);
        let alerts = json!([{"labels": labels, "annotations": {"summary": "no progress"}}]);
        let answer = reqwest::Client::new().post(url).json(&alerts).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_goes_once_though_the_alert_repeats_and_comes_from_a_pair_and_the_killer_restarts() {
    let Some(binary) = ["prometheus-alertmanager", "alertmanager"].into_iter().find_map(on_path) else {
        return not_run("no alertmanager on PATH: a pod killed by a real Alertmanager");
    };
    let secrets = tempfile::tempdir().unwrap();
    let token = secrets.path().join("token");
    std::fs::write(&token, "open-sesame").unwrap();
    let world = World::start(&["--bearer-token-file", token.to_str().unwrap()]).await;
    let hung = world.deploy("cart", 1).await.remove(0);
    let pair = ["one", "two"].map(|name| Alertmanager::start(&binary, world.directory(), name, world.listen, &token));
    for alertmanager in &pair {
        alertmanager.ready(&world).await;
    }
    // What can't be stored comes again from Alertmanager by itself.
    world.faults().add(Matcher::any().resource("configmaps").writes(), When::First(1), Fault::Answer(500));
    let labels = json!({"alertname": "NoProgress", "namespace": world.namespace, "pod": hung.name_any()});
    for alertmanager in &pair {
        alertmanager.fire(&labels).await;
    }
    world.until_endings(&["evicted"]).await;
    let next = world.ready_pods("cart", 1).await.remove(0);
    assert_ne!(next.uid(), hung.uid());

    world.kill_killer();
    world.start_killer();
    world.killer_ready().await;
    let taken = world.log().matches("webhook taken").count();
    world
        .until("the alert has come again from both, many times", async || {
            world.log().matches("webhook taken").count() >= taken + 6
        })
        .await;
    assert_eq!(world.evictions().len(), 1);
    assert_eq!(world.endings().await, ["evicted"]);
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Notes, for people and for `cargo xtask test`, what this machine can't show.
fn not_run(why: &str) {
    println!("NOT RUN: {why}");
    if let Some(path) = std::env::var_os("KEEPER_NOT_RUN") {
        let mut notes = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(notes, "NOT RUN: {why}").unwrap();
    }
}
