//! `kubectl` in two versions, each with a cluster and a home of its own.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use keeper_sandbox::api::ApiConfig;
use keeper_sandbox::{Sandbox, SandboxConfig};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::api_support::Api;

/// Which `kubectl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The one that `KEEPER_KUBECTL` names, else the first on PATH.
    Machine,
    /// The one that `KEEPER_KUBECTL_1_37` names, else the one that `.ci/clients.py` got.
    Newest,
}

impl Version {
    fn program(self) -> Option<PathBuf> {
        let (variable, usual) = match self {
            Self::Machine => ("KEEPER_KUBECTL", Some("kubectl".into())),
            // This program is in <target>/<profile>/deps.
            Self::Newest => (
                "KEEPER_KUBECTL_1_37",
                std::env::current_exe().ok().and_then(|own| Some(own.ancestors().nth(3)?.join("kubectl-1.37/kubectl"))),
            ),
        };
        std::env::var_os(variable).map(PathBuf::from).or(usual)
    }
}

/// Says that something was not run, also to `cargo xtask test`.
pub(crate) fn not_run(why: &str) {
    println!("NOT RUN: {why}");
    if let Some(path) = std::env::var_os("KEEPER_NOT_RUN") {
        let mut notes = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(notes, "NOT RUN: {why}").unwrap();
    }
}

/// What a `kubectl` talks to.
enum Cluster {
    /// The API server alone: nothing happens by itself.
    Api(Box<Api>),
    /// Everything, with fake pods.
    Sandbox(Box<Sandbox>),
}

/// A `kubectl` with a kubeconfig of its own, in a namespace of the test's.
pub(crate) struct Kubectl {
    program: PathBuf,
    /// As in `1.37`.
    pub(crate) version: String,
    cluster: Cluster,
    pub(crate) namespace: String,
    kubeconfig: PathBuf,
    pub(crate) home: tempfile::TempDir,
}

impl Kubectl {
    /// With an API server alone. None, and said so, when there is no such `kubectl`.
    pub(crate) async fn on_api(version: Version) -> Option<Self> {
        let (program, version) = find(version).await?;
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("logs")).unwrap();
        let config = ApiConfig { log_directory: Some(home.path().join("logs")), ..ApiConfig::default() };
        let api = Api::with(config).await;
        let mut config = api.server.as_ref().unwrap().kubeconfig();
        config["contexts"][0]["context"]["namespace"] = json!(api.namespace);
        let kubeconfig = home.path().join("kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let namespace = api.namespace.clone();
        Some(Self { program, version, cluster: Cluster::Api(Box::new(api)), namespace, kubeconfig, home })
    }

    /// With a whole sandbox.
    pub(crate) async fn on_sandbox(version: Version) -> Option<Self> {
        let (program, version) = find(version).await?;
        let home = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(SandboxConfig::new(home.path()).with_fake_pods()).await.unwrap();
        let kubeconfig = sandbox.kubeconfig().to_owned();
        let cluster = Cluster::Sandbox(Box::new(sandbox));
        Some(Self { program, version, cluster, namespace: "default".into(), kubeconfig, home })
    }

    /// With a cluster that the caller started and stops.
    pub(crate) async fn on(version: Version, sandbox: Sandbox, namespace: &str) -> Option<Self> {
        let (program, version) = find(version).await?;
        let home = tempfile::tempdir().unwrap();
        let theirs = std::fs::read_to_string(sandbox.kubeconfig()).unwrap();
        let mut config: Value = serde_saphyr::from_str(&theirs).unwrap();
        config["contexts"][0]["context"]["namespace"] = json!(namespace);
        let kubeconfig = home.path().join("kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let cluster = Cluster::Sandbox(Box::new(sandbox));
        Some(Self { program, version, cluster, namespace: namespace.into(), kubeconfig, home })
    }

    pub(crate) async fn stop(self) {
        match self.cluster {
            Cluster::Api(api) => api.stop().await,
            Cluster::Sandbox(sandbox) => sandbox.stop().await,
        }
    }

    /// The plain client of the API server that is alone.
    pub(crate) fn api(&self) -> &Api {
        match &self.cluster {
            Cluster::Api(api) => api,
            Cluster::Sandbox(_) => panic!("this test has a whole sandbox"),
        }
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words(line));
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.home.path()).env_remove("KUBE_EDITOR");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn finished(mut command: Command, stdin: &str) -> (i32, String, String) {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).await.unwrap();
        let out = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
    }

    /// Exit code, output and error output.
    pub(crate) async fn output(&self, line: &str, stdin: &str) -> (i32, String, String) {
        Self::finished(self.command(line), stdin).await
    }

    /// Runs a command that must succeed and returns what it printed.
    pub(crate) async fn run(&self, line: &str) -> String {
        self.feed(line, "").await
    }

    pub(crate) async fn feed(&self, line: &str, stdin: &str) -> String {
        let (code, out, err) = self.output(line, stdin).await;
        assert_eq!(code, 0, "kubectl {line}\n{out}\n{err}");
        out
    }

    pub(crate) async fn fails(&self, line: &str) -> String {
        let (code, out, err) = self.output(line, "").await;
        assert_ne!(code, 0, "kubectl {line} should have failed:\n{out}");
        err
    }

    /// `kubectl edit` with an editor that makes one replacement.
    pub(crate) async fn edit(&self, what: &str, from: &str, to: &str) -> (i32, String, String) {
        let mut command = self.command(&format!("edit {what}"));
        command.env("KUBE_EDITOR", format!("sed -i 's|{from}|{to}|'"));
        Self::finished(command, "").await
    }

    /// The words of the line that starts with `name`.
    pub(crate) async fn row(&self, line: &str, name: &str) -> Vec<String> {
        let out = self.run(line).await;
        let row = out.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name} in:\n{out}"));
        row.split_whitespace().map(str::to_owned).collect()
    }

    pub(crate) async fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{line} -o json")).await).unwrap()
    }

    /// Asks again until the answer is this one, for twenty seconds at most.
    pub(crate) async fn until(&self, line: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let (_, out, err) = self.output(line, "").await;
            if wanted(&out) {
                return out;
            }
            assert!(std::time::Instant::now() < end, "kubectl {line} still says:\n{out}\n{err}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Lets `kubectl` forget what the server serves; it would ask again only after minutes.
    pub(crate) fn forget(&self) {
        // There is nothing to forget before the first command.
        let _ = std::fs::remove_dir_all(self.home.path().join(".kube"));
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.home.path().join("logs")
    }
}

/// The words of a command line; single quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The program and its version.
async fn find(version: Version) -> Option<(PathBuf, String)> {
    let what = match version {
        Version::Machine => "kubectl on PATH",
        Version::Newest => "kubectl 1.37 (.ci/clients.py gets it; or KEEPER_KUBECTL_1_37)",
    };
    let missing = || not_run(&format!("no {what}: the sandbox's API server with a real kubectl"));
    let Some(program) = version.program() else {
        missing();
        return None;
    };
    let out = Command::new(&program).args(["version", "--client", "-o", "json"]).output().await;
    let told: Option<Value> = out.ok().and_then(|out| serde_json::from_slice(&out.stdout).ok());
    let Some(told) = told else {
        missing();
        return None;
    };
    let of = |key: &str| told["clientVersion"][key].as_str().unwrap_or_default().trim_end_matches('+').to_owned();
    Some((program, format!("{}.{}", of("major"), of("minor"))))
}
