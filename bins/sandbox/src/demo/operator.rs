//! The real operator as a process, told to look often so that the demo is short.

use super::process::Process;
use crate::voice::Voice;
use keeper_sandbox::Sandbox;
use miette::miette;
use std::path::Path;
use tokio::sync::mpsc;

/// The running operator.
pub(super) struct Operator {
    process: Process,
}

impl Operator {
    /// Starts it on the sandbox; its lines are shown as they come.
    pub(super) async fn start(
        program: &Path,
        sandbox: &Sandbox,
        namespace: &str,
        log: &Path,
        voice: Voice,
    ) -> miette::Result<Self> {
        let kubeconfig = sandbox.kubeconfig().display().to_string();
        let registry = sandbox.registry().address().to_string();
        let arguments = [
            ["--kubeconfig", &kubeconfig],
            ["--namespace", namespace],
            ["--insecure-registry", &registry],
            ["--registry-interval", "1s"],
            ["--look-interval", "1s"],
            ["--alerts-listen", "127.0.0.1:0"],
            ["--admin-listen", "127.0.0.1:0"],
            ["--log-format", "text"],
        ];
        let arguments = arguments.into_iter().flatten().chain(["--insecure"]);
        let (process, lines) = Process::start("the operator", program, arguments, log).await?;
        tokio::spawn(show(lines, voice));
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

async fn show(mut lines: mpsc::UnboundedReceiver<String>, voice: Voice) {
    while let Some(line) = lines.recv().await {
        voice.say(&format!("operator  {}", without_time(&line)));
    }
}

/// The line without its timestamp, which the log file keeps.
fn without_time(line: &str) -> &str {
    let line = line.trim_start();
    match line.split_once(char::is_whitespace) {
        Some((time, rest)) if time.parse::<jiff::Timestamp>().is_ok() => rest.trim_start(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_for_the_file() {
        assert_eq!(
            without_time("2026-11-22T11:00:00.123456Z  INFO shop/app Settled UpToDate"),
            "INFO shop/app Settled UpToDate"
        );
        assert_eq!(without_time("no time here"), "no time here");
    }
}
