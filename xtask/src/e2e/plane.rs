//! The control plane as processes: etcd, kube-apiserver, kube-controller-manager; gone when this value is.

use super::certificates;
use super::namespace::{SERVER, SERVICES};
use crate::say;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a part may take to be ready. It takes about four seconds on two idle cores.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running control plane.
pub(super) struct Plane {
    folder: PathBuf,
    processes: Vec<Child>,
}

impl Plane {
    /// Starts everything in an empty state under `folder` and waits until the API server is ready.
    pub(super) fn start(binaries: &Path, folder: &Path, root: &Path) -> Result<Self> {
        say::step("starting etcd, kube-apiserver and kube-controller-manager");
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
        }
        certificates::make(&folder.join("pki"))?;
        std::fs::copy(root.join("xtask/control-plane/audit.yaml"), folder.join("audit.yaml"))
            .context("copying the audit policy")?;
        let mut plane = Self { folder: folder.to_owned(), processes: Vec::new() };
        plane.write_kubeconfig()?;
        let start = Instant::now();
        plane.run(binaries, "etcd", ETCD)?;
        plane.wait("etcd", etcd_is_ready)?;
        plane.run(binaries, "kube-apiserver", API_SERVER)?;
        let pki = folder.join("pki");
        plane.wait("kube-apiserver", || api_server_is_ready(&pki))?;
        plane.run(binaries, "kube-controller-manager", CONTROLLER_MANAGER)?;
        say::progress(&format!("ready after {}", say::span(start.elapsed())));
        Ok(plane)
    }

    /// Where state and logs are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// An administrator's kubeconfig.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// What the API server was asked, a line of JSON each.
    pub(super) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    fn run(&mut self, binaries: &Path, program: &str, arguments: &str) -> Result<()> {
        let log = File::create(self.folder.join(format!("{program}.log"))).context("creating a log")?;
        let arguments = arguments.replace("SERVER", SERVER).replace("SERVICES", SERVICES);
        // Were we killed, setpriv's promise ends them too.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(binaries.join(program)).args(arguments.split_whitespace());
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.processes.push(command.spawn().with_context(|| format!("starting {program}"))?);
        Ok(())
    }

    fn wait(&mut self, program: &str, ready: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            let ended = self.processes.last_mut().and_then(|process| process.try_wait().ok().flatten());
            if ended.is_some() || start.elapsed() > READY_WITHIN {
                bail!("{program} did not get ready: {}", self.last_words(program));
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn last_words(&self, program: &str) -> String {
        let log = self.folder.join(format!("{program}.log"));
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let tail: Vec<_> = text.lines().rev().take(5).collect();
        format!("{}\n{}", log.display(), tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }

    fn write_kubeconfig(&self) -> Result<()> {
        let pki = |name: &str| self.folder.join("pki").join(name);
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "e2e", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority": pki("ca.crt")}}],
            "users": [{"name": "admin", "user": {"client-certificate": pki("admin.crt"), "client-key": pki("admin.key")}}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "admin"}}],
            "current-context": "e2e",
        });
        std::fs::write(self.kubeconfig(), format!("{kubeconfig:#}\n")).context("writing the kubeconfig")
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            // Its state is thrown away: there is nothing to end gracefully.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

const ETCD: &str =
    "--data-dir etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
    --listen-peer-urls http://127.0.0.1:2380 --log-level error --unsafe-no-fsync";

const API_SERVER: &str =
    "--etcd-servers http://127.0.0.1:2379 --bind-address 0.0.0.0 --advertise-address SERVER --secure-port 6443
    --tls-cert-file pki/server.crt --tls-private-key-file pki/server.key --client-ca-file pki/ca.crt
    --service-account-key-file pki/accounts.key --service-account-signing-key-file pki/accounts.key
    --service-account-issuer https://kubernetes.default.svc --service-cluster-ip-range SERVICES
    --authorization-mode RBAC --disable-admission-plugins ServiceAccount
    --audit-policy-file audit.yaml --audit-log-path audit.log";

const CONTROLLER_MANAGER: &str = "--kubeconfig kubeconfig --service-account-private-key-file pki/accounts.key
    --root-ca-file pki/ca.crt --leader-elect=false --secure-port 0";

fn etcd_is_ready() -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect("127.0.0.1:2379")?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains("\"health\":\"true\""))
}

/// Asked through the `openssl` program, which made the certificates: an HTTPS client of our own would cost more to build
/// than all the rest of xtask.
fn api_server_is_ready(pki: &Path) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut client = Command::new("openssl");
        client
            .args(["s_client", "-quiet", "-verify_quiet", "-connect", "127.0.0.1:6443", "-CAfile"])
            .arg(pki.join("ca.crt"));
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        if let Some(input) = client.stdin.as_mut() {
            input.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
        }
        let mut answer = String::new();
        if let Some(mut output) = client.stdout.take() {
            output.read_to_string(&mut answer)?;
        }
        client.wait()?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains(" 200 OK"))
}
