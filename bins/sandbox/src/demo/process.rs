//! A program of ours as a process: its lines are read and kept in a file; it is told to end and waited for.

use crate::voice::Voice;
use miette::{IntoDiagnostic, WrapErr, miette};
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// How long a program may take to end after it was asked to.
const END_WITHIN: Duration = Duration::from_secs(15);
/// How long a program may take to be ready on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running program. Dropping it kills it.
pub(super) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts a program. Each line it prints, on stdout or stderr, goes to `log` and to the channel that is answered.
    pub(super) async fn start<S: AsRef<OsStr>>(
        name: &'static str,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
        log: &Path,
    ) -> miette::Result<(Self, mpsc::UnboundedReceiver<String>)> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().into_diagnostic().wrap_err_with(|| format!("starting {}", program.display()))?;
        let file = File::create(log).await.into_diagnostic().wrap_err_with(|| format!("creating {}", log.display()))?;
        let (to_reader, lines) = mpsc::unbounded_channel();
        let (to_file, kept) = mpsc::unbounded_channel();
        let readers: [Option<Box<dyn AsyncRead + Send + Unpin>>; 2] = [
            child.stdout.take().map(|stdout| Box::new(stdout) as _),
            child.stderr.take().map(|stderr| Box::new(stderr) as _),
        ];
        for reader in readers.into_iter().flatten() {
            tokio::spawn(pass_on(reader, to_reader.clone(), to_file.clone()));
        }
        tokio::spawn(keep(kept, file));
        Ok((Self { name, child }, lines))
    }

    /// The exit status, if it has ended by itself.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end (SIGTERM) and waits.
    pub(super) async fn stop(mut self) -> miette::Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            // It may have ended this very moment.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        match timeout(END_WITHIN, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(miette!("{} ended with {status}", self.name)),
            Ok(Err(error)) => Err(error).into_diagnostic().wrap_err_with(|| format!("waiting for {}", self.name)),
            Err(_) => Err(miette!("{} did not end within {END_WITHIN:?} of SIGTERM", self.name)),
        }
    }
}

/// An address that was free a moment ago.
pub(super) fn free() -> miette::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").into_diagnostic().wrap_err("looking for a free port")?;
    listener.local_addr().into_diagnostic()
}

/// A program of that name in one of the folders of PATH.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Waits until the address answers with success.
pub(super) async fn answers(url: &str, who: &str) -> miette::Result<()> {
    let (start, http) = (Instant::now(), reqwest::Client::new());
    while !http.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
        if start.elapsed() > READY_WITHIN {
            return Err(miette!("{who} did not get ready within {READY_WITHIN:?}"));
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn pass_on(
    reader: impl AsyncRead + Unpin,
    lines: mpsc::UnboundedSender<String>,
    kept: mpsc::UnboundedSender<String>,
) {
    let mut reader = BufReader::new(reader).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        let _ = kept.send(line.clone());
        let _ = lines.send(line);
    }
}

async fn keep(mut lines: mpsc::UnboundedReceiver<String>, mut file: File) {
    while let Some(line) = lines.recv().await {
        if file.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return;
        }
        if lines.is_empty() && file.flush().await.is_err() {
            return;
        }
    }
}

/// Shows each line under the program's name, until it ends.
pub(super) async fn show(mut lines: mpsc::UnboundedReceiver<String>, name: &'static str, voice: Voice) {
    while let Some(line) = lines.recv().await {
        voice.say(&format!("{name:<9} {}", without_time(&line)));
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
