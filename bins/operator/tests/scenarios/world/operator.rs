//! The operator's process, and what it asked of the API server.

use super::{World, describe, free, kill};
use keeper_sandbox::api::RequestRecord;
use keeper_sandbox::faults::FaultHandle;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

impl World {
    /// Starts the operator binary; its log goes to a file that a failing scenario prints.
    pub fn start_operator(&self) {
        *self.operator.lock().unwrap() = Some(self.spawn(self.alerts, self.admin));
    }

    /// Starts another operator on the same namespace, beside the first.
    pub fn start_second_operator(&self) {
        *self.second.lock().unwrap() = Some(self.spawn(free(), free()));
    }

    fn spawn(&self, alerts: SocketAddr, admin: SocketAddr) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
        command
            .arg("--kubeconfig")
            .arg(self.directory.path().join("operator.kubeconfig"))
            .args(["--namespace", &self.namespace])
            .args(["--alerts-listen", &alerts.to_string(), "--admin-listen", &admin.to_string()])
            .args(["--registry-interval", "1s", "--look-interval", "1s"])
            .args(["--insecure-registry", &self.registry().address().ip().to_string()]);
        match &self.bearer_token {
            None => command.arg("--insecure"),
            Some(token) => {
                std::fs::write(self.token_path(), token).unwrap();
                command.arg("--bearer-token-file").arg(self.token_path())
            }
        };
        command.args(&self.flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().unwrap()
    }

    /// The file with the token that opens the webhook door.
    pub fn token_path(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    /// A directory of this scenario's own, gone with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// SIGKILL: no goodbye.
    pub fn kill_operator(&self) {
        kill(&self.operator);
    }

    /// A handle that a hook of the fault proxy can kill the operator by.
    pub fn operator(&self) -> Arc<Mutex<Option<Child>>> {
        Arc::clone(&self.operator)
    }

    pub async fn operator_ready(&self) {
        let url = format!("http://{}/readyz", self.admin);
        self.until("the operator is ready", async || {
            assert!(self.operator_lives(), "the operator has ended\n{}", self.log());
            reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    /// Whether the operator's process that was started last still runs.
    pub fn operator_lives(&self) -> bool {
        self.operator.lock().unwrap().as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// The process id of the operator that was started last.
    pub fn operator_pid(&self) -> u32 {
        self.operator.lock().unwrap().as_ref().map_or(0, Child::id)
    }

    /// Waits until the operator has asked the registry for the tag.
    pub async fn until_asked(&self) {
        self.until("the registry was asked", async || self.registry().heads("shop", "stable") > 0).await;
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("operator.log")
    }

    /// Every request of the operator since the scenario began, watches included.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.proxy.requests().records()
    }

    /// Requests of the operator by verb, watches and dry-runs told apart.
    pub fn counts(&self, since: u64) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for record in self.proxy.requests().after(since) {
            *counts.entry(describe(&record)).or_default() += 1;
        }
        counts
    }

    pub fn faults(&self) -> FaultHandle {
        self.proxy.faults()
    }
}
