//! A container as a process of this machine.

use std::{fs::OpenOptions, io, os::unix::process::ExitStatusExt, path::Path, process::Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdin};

use super::command::Command;

/// A running process and everything it started. Dropping it kills them.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Option<Pid>,
    /// Never written to: it closes when this process dies, however it dies, and a program that cares (as the demo's) ends then.
    _stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts a command in a process group of its own, its output appended to `log`.
    pub(crate) fn start(command: &Command, log: &Path) -> io::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let mut builder = tokio::process::Command::new(&command.program);
        builder
            .args(&command.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(command.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output))
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &command.directory {
            builder.current_dir(directory);
        }
        let mut child = builder.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { _stdin: child.stdin.take(), group, child })
    }

    /// The exit code as a container runtime reports it: 128 and the signal for one that was killed.
    pub(crate) async fn wait(&mut self) -> i32 {
        let ended = self.child.wait().await;
        // What it left behind goes too; after that the number of the group may be another's.
        self.kill();
        self.group = None;
        match ended {
            Ok(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            Err(_) => 255,
        }
    }

    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // The group may be gone already.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        Command {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            env: vec![("A".into(), "b".into())],
            directory: None,
        }
    }

    #[tokio::test]
    async fn output_goes_to_the_log_and_the_code_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = Process::start(&shell("echo out $A; echo err >&2; exit 7"), &log).unwrap();
        assert_eq!(process.wait().await, 7);
        let text = std::fs::read_to_string(log).unwrap();
        assert!(text.contains("out b") && text.contains("err"), "{text}");
    }

    #[tokio::test]
    async fn a_killed_one_reports_the_signal() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::start(&shell("sleep 60"), &dir.path().join("log")).unwrap();
        process.terminate();
        assert_eq!(process.wait().await, 143);
    }

    #[test]
    fn a_missing_program_is_an_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let command = Command { program: "/no/such/program".into(), ..shell("") };
        let error = runtime.block_on(async { Process::start(&command, &dir.path().join("log")).unwrap_err() });
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
