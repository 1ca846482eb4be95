//! A real Prometheus found on PATH, which scrapes the demo's processes: then all that checks know comes from it.

use super::cluster::Cluster;
use super::process::{Process, free};
use crate::voice::Voice;
use miette::{IntoDiagnostic, WrapErr, miette};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// How checks name it.
pub(super) const NAME: &str = "main";
/// How long it may take to have scraped all of production.
const SCRAPES_WITHIN: Duration = Duration::from_secs(30);
/// How often the pods are listed for it. Many builds, Debian's for one, cannot ask Kubernetes.
const DISCOVERED_EVERY: Duration = Duration::from_millis(250);
/// The file of its rules.
const RULES: &str = "rules.yml";
/// What it counts of the questions that it was asked.
const ASKED: &str = "prometheus_http_requests_total{code=\"200\",handler=\"/api/v1/query\"} ";

/// The running server.
pub(super) struct Prometheus {
    process: Process,
    address: SocketAddr,
    http: reqwest::Client,
    /// Ends with this.
    _discovery: AbortOnDropHandle<()>,
}

impl Prometheus {
    /// Starts it and waits until it has scraped every replica.
    pub(super) async fn start(
        program: &Path,
        (cluster, replicas): (&Cluster, u32),
        rules: &Value,
        alertmanager: SocketAddr,
        dir: &Path,
        voice: Voice,
    ) -> miette::Result<Self> {
        let targets = dir.join("pods.json");
        let config = dir.join("prometheus.yml");
        let files = [(&config, configuration(&targets, alertmanager)), (&dir.join(RULES), rules.clone())];
        for (path, content) in files {
            std::fs::write(path, content.to_string())
                .into_diagnostic()
                .wrap_err_with(|| format!("writing {}", path.display()))?;
        }
        let discovery = tokio::spawn(discover(cluster.clone(), targets, voice));
        let address = free()?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", dir.join("prometheus").display()),
            format!("--web.listen-address={address}"),
            "--log.level=warn".into(),
        ];
        let log = dir.join("prometheus.log");
        let (process, _) = Process::start("Prometheus", program, arguments, &log).await?;
        let discovery = AbortOnDropHandle::new(discovery);
        let mut server = Self { process, address, http: reqwest::Client::new(), _discovery: discovery };
        server.scrapes(replicas, &log).await?;
        Ok(server)
    }

    /// Its address for others.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many instant queries it has answered.
    pub(super) async fn answered(&self) -> miette::Result<u64> {
        let page = self.read("/metrics").await.into_diagnostic().wrap_err("asking Prometheus what it was asked")?;
        Ok(answered(&page))
    }

    /// Stops it gracefully.
    pub(super) async fn stop(self) -> miette::Result<()> {
        self.process.stop().await
    }

    async fn scrapes(&mut self, replicas: u32, log: &Path) -> miette::Result<()> {
        let start = Instant::now();
        while self.up().await != Some(replicas.to_string()) {
            if let Some(status) = self.process.ended() {
                return Err(miette!("Prometheus ended with {status}: see {}", log.display()));
            }
            if start.elapsed() > SCRAPES_WITHIN {
                return Err(miette!("Prometheus has not scraped {replicas} replicas within {SCRAPES_WITHIN:?}"));
            }
            sleep(DISCOVERED_EVERY).await;
        }
        Ok(())
    }

    /// How many processes answered its last scrape, if it answers.
    async fn up(&self) -> Option<String> {
        let answer: Value = serde_json::from_str(&self.read("/api/v1/query?query=sum(up)").await.ok()?).ok()?;
        answer.pointer("/data/result/0/value/1")?.as_str().map(str::to_owned)
    }

    async fn read(&self, path: &str) -> reqwest::Result<String> {
        self.http.get(format!("{}{path}", self.url())).send().await?.error_for_status()?.text().await
    }
}

/// As JSON, which is YAML. The file of rules lies beside it.
fn configuration(targets: &Path, alertmanager: SocketAddr) -> Value {
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [RULES],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.to_string()]}]}]},
        "scrape_configs": [{"job_name": "pods", "file_sd_configs": [{"files": [targets], "refresh_interval": "1s"}]}],
    })
}

fn answered(page: &str) -> u64 {
    page.lines().find_map(|line| line.strip_prefix(ASKED)?.trim().parse().ok()).unwrap_or_default()
}

/// Writes down which processes there are, as they come and go.
async fn discover(cluster: Cluster, file: PathBuf, voice: Voice) {
    let mut written = String::new();
    loop {
        // What can't be listed or written now is tried again; what is never known is never measured, and that is told.
        if let Ok(targets) = cluster.scraped().await.map(|targets| targets.to_string())
            && targets != written
        {
            match renamed_into(&file, &targets) {
                Ok(()) => written = targets,
                Err(error) => voice.say(&format!("writing {}: {error}", file.display())),
            }
        }
        sleep(DISCOVERED_EVERY).await;
    }
}

/// So that it is never read half-written.
fn renamed_into(file: &Path, text: &str) -> std::io::Result<()> {
    let aside = file.with_extension("new");
    std::fs::write(&aside, text)?;
    std::fs::rename(aside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_was_asked_is_read_from_its_own_metrics() {
        let page = "# TYPE prometheus_http_requests_total counter\n\
            prometheus_http_requests_total{code=\"200\",handler=\"/-/ready\"} 1\n\
            prometheus_http_requests_total{code=\"200\",handler=\"/api/v1/query\"} 42\n\
            prometheus_http_requests_total{code=\"200\",handler=\"/api/v1/query_range\"} 7\n";
        assert_eq!(answered(page), 42);
        assert_eq!(answered("up 1\n"), 0);
    }
}
