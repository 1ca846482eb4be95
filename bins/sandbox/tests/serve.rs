//! `sandbox serve` as its user meets it: it says where its kubeconfig is, answers there, and ends when asked to.

// A test may panic.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn sandbox(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for the end; a program that doesn't end is killed and the test fails.
fn ended(mut child: Child) -> std::process::ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn it_serves_until_it_is_asked_to_end() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut child = sandbox(&["serve", "--dir", dir.path().to_str().unwrap()]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let kubeconfig = lines.find_map(|line| line.strip_prefix("export KUBECONFIG=").map(str::to_owned)).unwrap();

    let kubeconfig: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig).unwrap()).unwrap();
    let server = kubeconfig["clusters"][0]["cluster"]["server"].as_str().unwrap();
    let nodes: serde_json::Value = reqwest::get(format!("{server}/api/v1/nodes")).await.unwrap().json().await.unwrap();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 1);

    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(ended(child).success());
    assert!(reqwest::get(format!("{server}/api/v1/nodes")).await.is_err());
}

#[test]
fn a_demo_without_its_operator_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let operator = dir.path().join("no-such-operator");
    let output = sandbox(&["demo", "--dir", dir.path().to_str().unwrap(), "--operator", operator.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    // demo-app may not be built beside it; then that is what is said.
    assert!(said.contains("is not there") && said.contains("cargo xtask demo"), "{said}");
}
