//! The walk-through of `deploy/README.md`, line by line: on the sandbox, and by `cargo xtask e2e` on a real control plane,
//! where the programs in the pods have no more rights than their manifests give them.
//!
//! What differs from a cluster, and why:
//!
//! - There is no container engine. The images are assembled from the container files' last stage with the programs of this
//!   build, which are not static: the loader and the libraries that they name are in the image as well. They are pushed to a
//!   real registry, and from there put on the node as `kind load` would.
//! - Pods share the machine's network, so each program is told to listen on its pod's own address.
//! - Debian's Prometheus can't ask Kubernetes for pods. It asks this test, which answers what Kubernetes would; the relabelling
//!   of the manifest is as it stands.

mod discovery;
mod images;
mod paper;
mod registry;

use crate::load::Load;
use crate::world::{PATIENCE, not_run, on_path};
use discovery::Discovery;
use images::Builder;
use keeper_sandbox::{AttachConfig, Sandbox, SandboxConfig};
use kube::Client;
use paper::Line;
use registry::Registry;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};
use tokio::process::Command;

const NAMESPACE: &str = "canary-demo";
/// What the steps and the images take, beside root's rights.
const TOOLS: [&str; 9] =
    ["kubectl", "bash", "openssl", "docker-registry", "prometheus", "tar", "chroot", "ldd", "setpriv"];

/// Why the walk-through can't be walked here.
fn lacks() -> Option<String> {
    let absent: Vec<&str> = TOOLS.into_iter().filter(|tool| on_path(tool).is_none()).collect();
    let user = std::process::Command::new("id").arg("-u").output().map(|output| output.stdout).unwrap_or_default();
    match (absent.is_empty(), user.trim_ascii() == b"0") {
        (true, true) => None,
        (false, _) => Some(format!("not on PATH: {}", absent.join(", "))),
        (true, false) => Some("images with layers need root's rights".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_walk_through_of_the_readme_works_line_by_line() {
    if let Some(lacks) = lacks() {
        return not_run(&format!("the walk-through of deploy/README.md ({lacks})"));
    }
    let walk = Walk::begin().await;
    let (mut load, mut checked) = (None, BTreeSet::new());
    for line in paper::lines() {
        match line {
            Line::Build(build) => walk.build(&build).await,
            Line::Client => {
                walk.put_prometheus_to_work().await;
                load = Some(Load::on(&walk.service("app", 80).await, 200).await);
            }
            Line::Shell(line) => {
                let before = load.as_ref().map(Load::so_far);
                let said = walk.shell(&line).await;
                let what = walk.check(&line, &said).await;
                checked.extend(what);
                if let (Some("promoted"), Some(before), Some(load)) = (what, before, &load) {
                    let after = load.so_far();
                    assert!(after.requests > before.requests, "the client works");
                    assert_eq!(after.errors, before.errors, "a good release costs nothing\n{}", load.lines());
                }
            }
        }
    }
    // Should the paper's words change, the checks that go with them must.
    assert_eq!(checked, BTreeSet::from(["deleted", "promoted", "rejected", "shown"]));
    let load = load.expect("the paper starts the client");
    assert!(load.so_far().errors > 0, "the bad canary got traffic");
    load.until_calm_for(PATIENCE).await;
    walk.a_pod_is_killed().await;
    walk.end().await;
}

struct Walk {
    sandbox: Sandbox,
    client: Client,
    registry: Registry,
    builder: Builder,
    discovery: Discovery,
    /// A copy of `deploy/`, changed as the module says; the steps are run beside it.
    directory: tempfile::TempDir,
}

impl Walk {
    async fn begin() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        // Programs in pods run as nobody, and must get there.
        open_to_all(directory.path());
        let path = directory.path().join("sandbox");
        let sandbox = match std::env::var_os("KEEPER_E2E_KUBECONFIG") {
            Some(kubeconfig) => {
                let namespace = Some(NAMESPACE.to_owned());
                let addresses = crate::world::addresses();
                let config = AttachConfig { namespace, addresses, ..AttachConfig::new(&kubeconfig, &path) };
                Sandbox::attach(config).await.unwrap()
            }
            None => Sandbox::start(SandboxConfig::new(&path)).await.unwrap(),
        };
        open_to_all(&path);
        let client = sandbox.client().unwrap();
        let registry = Registry::start(directory.path()).await;
        let discovery = Discovery::serve(client.clone(), NAMESPACE).await;
        let builder = Builder::new(directory.path().join("images"));
        let walk = Self { sandbox, client, registry, builder, discovery, directory };
        walk.copy_manifests();
        walk.load("quay.io/prometheus/prometheus:v3.5.0", &walk.builder.prometheus()).await;
        walk
    }

    /// `deploy/`, with what must be different here.
    fn copy_manifests(&self) {
        let (from, to) = (paper::root().join("deploy"), self.directory.path().join("deploy"));
        let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(&to).status().unwrap();
        assert!(copied.success());
        let own_address = |flags: &[&str]| {
            let lines = flags.iter().map(|flag| format!("\n        - {flag}"));
            lines.collect::<String>()
        };
        let log = "        - --log-format=json";
        let operator = own_address(&["--alerts-listen=$(POD_IP):8080", "--admin-listen=$(POD_IP):9090"]);
        change(&to.join("base/operator.yaml"), log, &format!("{log}{operator}"));
        let killer = own_address(&["--listen=$(POD_IP):8080", "--admin-listen=$(POD_IP):9090"]);
        change(&to.join("base/killer.yaml"), log, &format!("{log}{killer}"));
        let prometheus = to.join("demo/prometheus/prometheus.yaml");
        let retention = "        - --storage.tsdb.retention.time=6h";
        let listen = own_address(&["--web.listen-address=$(POD_IP):9090"]);
        change(&prometheus, retention, &format!("{retention}{listen}"));
        let kubernetes = "      kubernetes_sd_configs:\n      - role: endpointslice\n        namespaces:\n          own_namespace: true\n";
        let here =
            format!("      http_sd_configs:\n      - url: {}\n        refresh_interval: 1s\n", self.discovery.url());
        change(&prometheus, kubernetes, &here);
    }

    /// `docker build`: assembles the image, pushes it, and puts it on the node under its tag.
    async fn build(&self, build: &paper::Build) {
        self.load(&build.tag, &self.builder.build(build)).await;
    }

    async fn load(&self, tag: &str, image: &images::Assembled) {
        let name = tag.rsplit('/').next().unwrap().replace(':', "-");
        let from = self.registry.push(&format!("walkthrough/{name}"), image).await;
        let digest = self.sandbox.node().load_image(tag, &from).await.unwrap();
        assert_eq!(digest, image.manifest_digest(), "{tag}");
    }

    /// Runs a line as it stands.
    async fn shell(&self, line: &str) -> String {
        println!("$ {line}");
        let output = self.command("bash").args(["-e", "-o", "pipefail", "-c", line]).output().await.unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        println!("{said}");
        if !output.status.success() {
            panic!("{line}: {}\n{}", output.status, self.report().await);
        }
        said
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path()).env("KUBECONFIG", self.sandbox.kubeconfig()).kill_on_drop(true);
        command
    }

    async fn kubectl(&self, arguments: &str) -> Output {
        self.command("kubectl").args(["-n", NAMESPACE]).args(arguments.split(' ')).output().await.unwrap()
    }

    async fn read(&self, arguments: &str) -> Value {
        let output = self.kubectl(&format!("{arguments} -o json")).await;
        assert!(output.status.success(), "{arguments}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The URL of a Service.
    async fn service(&self, name: &str, port: u16) -> String {
        let service = self.read(&format!("get service {name}")).await;
        format!("http://{}:{port}", service["spec"]["clusterIP"].as_str().unwrap())
    }

    /// Returns when Prometheus has scraped all ten.
    async fn put_prometheus_to_work(&self) {
        let url = format!("{}/api/v1/query?query=sum(up)", self.service("prometheus", 9090).await);
        let start = Instant::now();
        loop {
            let answer = reqwest::get(&url).await.and_then(reqwest::Response::error_for_status);
            let answer = match answer {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if answer.contains(r#","10"]"#) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "Prometheus scrapes {answer}\n{}", self.report().await);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// What must be so after a line, and what it must have said; answers what was checked.
    async fn check(&self, line: &str, said: &str) -> Option<&'static str> {
        if line.contains("condition=Promoted ") {
            let container = self.production().await;
            assert_eq!((&container["image"], &container["env"][0]["value"]), (&json!("app:good"), &json!("2")));
            let canary = self.read("get cny app").await;
            assert_eq!(canary["status"]["reason"], "Promoted", "measured: {canary:#}");
            let notes = text(&self.kubectl("events --for cny/app").await.stdout);
            assert!(notes.contains("app:good"), "that the tag could not be resolved is said:\n{notes}");
            return Some("promoted");
        }
        if line.contains("condition=Promoted=False") {
            let canary = self.read("get cny app").await;
            let message = canary["status"]["message"].as_str().unwrap();
            assert_eq!(canary["status"]["phase"], "Rejected", "{canary:#}");
            assert!(message.contains("requests failed"), "{message}");
            assert_eq!(self.production().await["image"], "app:good", "production was touched");
            return Some("rejected");
        }
        if line.ends_with("get cny app -o wide") {
            assert!(said.contains("Promoted") || said.contains("Rejected"), "{said}");
            return Some("shown");
        }
        if line.contains(" delete -f ") {
            let start = Instant::now();
            while !self.read("get deployments -l canary-keeper.dev/canary").await["items"]
                .as_array()
                .unwrap()
                .is_empty()
            {
                assert!(start.elapsed() < PATIENCE, "a canary is left");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            assert_eq!(self.production().await["image"], "app:good");
            return Some("deleted");
        }
        None
    }

    async fn production(&self) -> Value {
        let deployment = self.read("get deployment app-deployment").await;
        assert_eq!(deployment["spec"]["replicas"], 10);
        deployment["spec"]["template"]["spec"]["containers"][0].clone()
    }

    /// The killer that the paper has deployed takes an alert through its Service, and one pod goes.
    async fn a_pod_is_killed(&self) {
        let secret = self.read("get secret canary-keeper-killer-token").await;
        let encoded = secret["data"]["token"].as_str().unwrap();
        let token = self.command("bash").args(["-c", &format!("echo {encoded} | base64 -d")]).output().await.unwrap();
        let pods = self.read("get pods -l app=app").await;
        let pod = &pods["items"][0]["metadata"];
        let alert = json!({
            "status": "firing", "startsAt": jiff::Timestamp::now().to_string(), "endsAt": "0001-01-01T00:00:00Z",
            "labels": {"alertname": "NoProgress", "namespace": NAMESPACE, "pod": pod["name"]}, "annotations": {},
        });
        let body = json!({"version": "4", "status": "firing", "groupKey": "{}", "alerts": [alert]}).to_string();
        let url = format!("{}/kill", self.service("canary-keeper-killer", 8080).await);
        let start = Instant::now();
        loop {
            let request = reqwest::Client::new().post(&url).bearer_auth(text(&token.stdout)).body(body.clone());
            let code = request.send().await.map(|answer| answer.status().as_u16());
            let left = self.read("get pods -l app=app").await;
            let uids = left["items"].as_array().unwrap().iter().map(|pod| &pod["metadata"]["uid"]);
            if code.as_ref().is_ok_and(|code| *code == 200) && !uids.clone().any(|uid| *uid == pod["uid"]) {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "the pod is not killed ({code:?})\n{}", self.report().await);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let told = text(&self.kubectl("events --for deployment/app-deployment").await.stdout);
        assert!(told.contains("PodKilled"), "{told}");
    }

    /// What helps to understand a step that failed.
    async fn report(&self) -> String {
        let mut report = String::new();
        for asked in ["get all,cny -o wide", "describe cny", "describe pods -l app!=app", "events"] {
            report.push_str(&text(&self.kubectl(asked).await.stdout));
        }
        let logs = self.directory.path().join("sandbox/logs");
        for entry in std::fs::read_dir(logs).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if !name.contains("app-deployment") {
                let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(30).collect();
                report.push_str(&format!("\n{name}:\n{}\n", last.into_iter().rev().collect::<Vec<_>>().join("\n")));
            }
        }
        report
    }

    async fn end(self) {
        let gone = self.command("kubectl").args(["delete", "namespace", NAMESPACE, "--timeout=90s"]).output().await;
        assert!(gone.unwrap().status.success());
        drop(self.client);
        self.sandbox.stop().await;
    }
}

/// Replaces a text that must be there, once.
fn change(file: &Path, from: &str, to: &str) {
    let before = std::fs::read_to_string(file).unwrap();
    assert_eq!(before.matches(from).count(), 1, "{} has not once:\n{from}", file.display());
    std::fs::write(file, before.replace(from, to)).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A program of this build, which lies beside the operator's.
fn program(name: &str) -> PathBuf {
    crate::world::demo_app().with_file_name(name)
}
