//! The killer binary, on its core.

use crate::cores::Cores;
use crate::ill::{Ill, NAMESPACE};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to be ready, and to end what it began.
const PATIENCE: Duration = Duration::from_secs(60);
/// The kernel's clock ticks in a second, which Linux tells all programs alike.
const TICKS: f64 = 100.0;

/// Running.
pub struct Killer {
    pub http: reqwest::Client,
    pub url: String,
    admin: String,
    process: Child,
}

impl Killer {
    /// With these budgets, and ready.
    pub async fn start(ill: &Ill, budget: usize, cores: &Cores) -> Self {
        let (listen, admin) = (free(), free());
        let log = std::fs::File::create(ill.directory.path().join("killer.log")).unwrap();
        let budget = budget.to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_killer"));
        command.arg("--kubeconfig").arg(ill.directory.path().join("killer.kubeconfig"));
        command.args(["--namespace", NAMESPACE, "--ledger-namespace", NAMESPACE]);
        command.args(["--listen", &listen.to_string(), "--admin-listen", &admin.to_string(), "--insecure"]);
        command.args(["--min-age", "0s", "--max-body", "32MiB", "--log-format", "json"]);
        command.args(["--workload-budget", "1", "--namespace-budget", &budget, "--overall-budget", &budget]);
        command.env("HOSTNAME", "killer-0").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = cores.spawn(command).unwrap();
        let killer = Self {
            http: reqwest::Client::new(),
            url: format!("http://{listen}/kill"),
            admin: format!("http://{admin}"),
            process,
        };
        let start = Instant::now();
        while !killer.read("/readyz").await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(start.elapsed() < PATIENCE, "the killer did not get ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        killer
    }

    /// Returns when nothing is open in its ledger any more.
    pub async fn settled(&self) {
        let start = Instant::now();
        while self.metric("canary_keeper_kills_open ").await != 0 {
            assert!(start.elapsed() < PATIENCE, "the killer did not end what it began");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The sum of the metric's series.
    pub async fn metric(&self, start: &str) -> usize {
        let page = self.read("/metrics").await.unwrap().text().await.unwrap();
        let lines = page.lines().filter(|line| line.starts_with(start));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }

    /// The most memory that it ever had, as the kernel counts it (`VmHWM`), in MB.
    pub fn peak_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
    }

    /// The processor time that it took, user's and system's.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // Behind the name, which stands in brackets: the 14th and 15th field of the whole line.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
        ticks.sum::<f64>() / TICKS
    }

    async fn read(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.http.get(format!("{}{path}", self.admin)).send().await
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        // Its state goes with the sandbox: there is nothing to end gracefully.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
