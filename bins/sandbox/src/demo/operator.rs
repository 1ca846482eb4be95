//! The real operator as a process, told to look often so that the demo is short.

use super::process::{Process, free, show};
use super::prometheus::NAME;
use crate::voice::Voice;
use keeper_sandbox::Sandbox;
use miette::{IntoDiagnostic, WrapErr, miette};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What opens the door of the demo's programs.
pub(super) const TOKEN: &str = "the-demo-opens-its-own-door";

/// The running operator.
pub(super) struct Operator {
    process: Process,
}

/// Where it takes alerts, and what opens that.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) token: PathBuf,
}

impl Door {
    /// A free port, and a file with a token.
    pub(super) fn make(dir: &Path) -> miette::Result<Self> {
        let token = dir.join("token");
        std::fs::write(&token, TOKEN).into_diagnostic().wrap_err_with(|| format!("writing {}", token.display()))?;
        Ok(Self { address: free()?, token })
    }
}

impl Operator {
    /// Starts it on the sandbox; its lines are shown as they come.
    pub(super) async fn start(
        program: &Path,
        sandbox: &Sandbox,
        namespace: &str,
        prometheus: Option<&str>,
        door: &Door,
        log: &Path,
        voice: Voice,
    ) -> miette::Result<Self> {
        let kubeconfig = sandbox.kubeconfig().display().to_string();
        let registry = sandbox.registry().address().to_string();
        let (address, token) = (door.address.to_string(), door.token.display().to_string());
        let arguments = [
            ["--kubeconfig", &kubeconfig],
            ["--namespace", namespace],
            ["--insecure-registry", &registry],
            ["--registry-interval", "1s"],
            ["--look-interval", "1s"],
            ["--alerts-listen", &address],
            ["--bearer-token-file", &token],
            ["--admin-listen", "127.0.0.1:0"],
            ["--log-format", "text"],
        ];
        let prometheus = prometheus.map(|url| format!("--prometheus={NAME}={url}"));
        let arguments = arguments.into_iter().flatten().chain(prometheus.as_deref());
        let (process, lines) = Process::start("the operator", program, arguments, log).await?;
        tokio::spawn(show(lines, "operator", voice));
        Ok(Self { process })
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&mut self) -> miette::Result<()> {
        match self.process.ended() {
            None => Ok(()),
            Some(status) => Err(miette!("the operator ended by itself with {status}")),
        }
    }

    /// Stops it gracefully.
    pub(super) async fn stop(self) -> miette::Result<()> {
        self.process.stop().await
    }
}
