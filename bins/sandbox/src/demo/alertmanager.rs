//! A real Alertmanager found on PATH, which posts what fires to one of our programs.

use super::process::{Process, answers, free, on_path};
use miette::{IntoDiagnostic, WrapErr};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What it counts of the requests that it made, and of those that failed. (Its count of notifications has those in it that
/// were due and not sent, as of alerts that ended.)
const POSTED: &str = "alertmanager_notification_requests_total{";
const FAILED: &str = "alertmanager_notification_requests_failed_total{";

/// Where it posts.
pub(super) struct Receiver<'a> {
    pub(super) door: SocketAddr,
    pub(super) path: &'a str,
    /// The file with the bearer token that opens the door.
    pub(super) token: &'a Path,
    /// How long it waits before it says again what still fires: `1s`, `1h`.
    pub(super) repeat: &'a str,
}

/// The running server.
pub(super) struct Alertmanager {
    process: Process,
    address: SocketAddr,
    http: reqwest::Client,
}

impl Alertmanager {
    /// The program, by Debian's name for it or by its own.
    pub(super) fn on_path() -> Option<PathBuf> {
        on_path("prometheus-alertmanager").or_else(|| on_path("alertmanager"))
    }

    /// Starts it and waits until it takes alerts.
    pub(super) async fn start(program: &Path, receiver: &Receiver<'_>, dir: &Path) -> miette::Result<Self> {
        let config = dir.join("alertmanager.yml");
        std::fs::write(&config, configuration(receiver).to_string())
            .into_diagnostic()
            .wrap_err_with(|| format!("writing {}", config.display()))?;
        let address = free()?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", dir.join("alertmanager").display()),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let log = dir.join("alertmanager.log");
        let (process, _) = Process::start("Alertmanager", program, arguments, &log).await?;
        answers(&format!("http://{address}/-/ready"), "Alertmanager").await?;
        Ok(Self { process, address, http: reqwest::Client::new() })
    }

    /// Where Prometheus sends alerts.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many webhooks it posted that were answered with success.
    pub(super) async fn delivered(&self) -> miette::Result<u64> {
        let page = self.http.get(format!("http://{}/metrics", self.address)).send().await;
        let page = match page.and_then(reqwest::Response::error_for_status) {
            Ok(page) => page.text().await,
            Err(error) => Err(error),
        };
        let page = page.into_diagnostic().wrap_err("asking Alertmanager what it posted")?;
        Ok(webhooks(&page, POSTED).saturating_sub(webhooks(&page, FAILED)))
    }

    /// Stops it gracefully.
    pub(super) async fn stop(self) -> miette::Result<()> {
        self.process.stop().await
    }
}

/// As JSON, which is YAML. What fires is told at once, what ends is not told.
fn configuration(receiver: &Receiver<'_>) -> Value {
    json!({
        "route": {
            "receiver": "canary-keeper", "group_by": ["namespace", "pod"],
            "group_wait": "0s", "group_interval": "1s", "repeat_interval": receiver.repeat,
        },
        "receivers": [{
            "name": "canary-keeper",
            "webhook_configs": [{
                "url": format!("http://{}{}", receiver.door, receiver.path),
                "send_resolved": false,
                "http_config": {"authorization": {"type": "Bearer", "credentials_file": receiver.token}},
            }],
        }],
    })
}

/// The sum of a counter over its series for webhooks.
fn webhooks(page: &str, counter: &str) -> u64 {
    let series = page.lines().filter(|line| line.starts_with(counter) && line.contains("integration=\"webhook\""));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_posted_is_read_from_its_own_metrics() {
        let page = "alertmanager_notification_requests_total{integration=\"email\"} 4\n\
            alertmanager_notification_requests_total{integration=\"webhook\"} 3\n\
            alertmanager_notification_requests_failed_total{integration=\"webhook\"} 2\n";
        assert_eq!((webhooks(page, POSTED), webhooks(page, FAILED)), (3, 2));
    }
}
