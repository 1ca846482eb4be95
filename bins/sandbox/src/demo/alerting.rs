//! A real Prometheus with one rule, and a real Alertmanager that posts what fires.

use super::alertmanager::{Alertmanager, Receiver};
use super::cluster::Cluster;
use super::process::on_path;
use super::prometheus::Prometheus;
use crate::voice::Voice;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Both, running.
pub(super) struct Alerting {
    pub(super) prometheus: Prometheus,
    pub(super) alertmanager: Alertmanager,
}

/// The two programs.
pub(super) struct Found {
    prometheus: PathBuf,
    alertmanager: PathBuf,
}

/// When an alert fires.
pub(super) struct Rule {
    pub(super) alert: &'static str,
    pub(super) expression: String,
    /// For how long it must be so.
    pub(super) hold: &'static str,
    pub(super) labels: Value,
    pub(super) summary: &'static str,
}

impl Found {
    /// Both, where both are on PATH.
    pub(super) fn on_path() -> Option<Self> {
        Some(Self { prometheus: on_path("prometheus")?, alertmanager: Alertmanager::on_path()? })
    }
}

impl Alerting {
    /// Starts both and waits until every replica was scraped.
    pub(super) async fn start(
        found: &Found,
        rule: &Rule,
        receiver: &Receiver<'_>,
        (cluster, replicas): (&Cluster, u32),
        dir: &Path,
        voice: Voice,
    ) -> miette::Result<Self> {
        let Found { prometheus, alertmanager } = found;
        let shown = (prometheus.display(), alertmanager.display());
        let alertmanager = Alertmanager::start(alertmanager, receiver, dir).await?;
        let rules = rule.file();
        let prometheus =
            Prometheus::start(prometheus, (cluster, replicas), &rules, alertmanager.address(), dir, voice).await?;
        voice.say(&format!("{} scrapes them each second, {} tells of {}:", shown.0, shown.1, rule.alert));
        voice.say(&format!("  {}", rule.expression));
        Ok(Self { prometheus, alertmanager })
    }

    /// Stops both gracefully.
    pub(super) async fn stop(self) -> miette::Result<()> {
        let prometheus = self.prometheus.stop().await;
        prometheus.and(self.alertmanager.stop().await)
    }
}

impl Rule {
    /// The file of rules. JSON is YAML.
    fn file(&self) -> Value {
        let rule = json!({
            "alert": self.alert, "expr": self.expression, "for": self.hold, "labels": self.labels,
            "annotations": {"summary": self.summary},
        });
        json!({"groups": [{"name": "demo", "interval": "1s", "rules": [rule]}]})
    }
}
