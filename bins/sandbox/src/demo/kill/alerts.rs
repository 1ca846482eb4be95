//! Who tells the killer: a real Prometheus with a real Alertmanager, or, where they are not, the demo itself.

use super::look;
use super::rule;
use super::scene::answers;
use super::shop::Shop;
use crate::demo::process::{Process, free, on_path};
use crate::voice::Voice;
use miette::{IntoDiagnostic, WrapErr};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// How often the pods to scrape are written anew.
const TARGETS_EVERY: Duration = Duration::from_millis(500);

/// Who tells.
pub(super) struct Alerts {
    /// Prometheus and Alertmanager, where they are.
    processes: Vec<Process>,
    /// Writes the targets, or looks at the pods itself.
    task: AbortHandle,
}

impl Alerts {
    /// Starts what is on PATH.
    pub(super) async fn start(
        dir: &Path,
        door: SocketAddr,
        token: &Path,
        secret: &str,
        shop: &Shop,
        voice: Voice,
    ) -> miette::Result<Self> {
        let alertmanager = on_path("prometheus-alertmanager").or_else(|| on_path("alertmanager"));
        let (Some(prometheus), Some(alertmanager)) = (on_path("prometheus"), alertmanager) else {
            voice.say("no prometheus and alertmanager on PATH: the demo looks at the counters and posts the same body");
            let task = tokio::spawn(look::look(shop.clone(), door, secret.to_owned(), voice)).abort_handle();
            return Ok(Self { processes: Vec::new(), task });
        };
        voice.say(&format!("alerts by {} and {}:", prometheus.display(), alertmanager.display()));
        voice.say(&format!("  {}", rule::expression()));
        let (prometheus_at, alertmanager_at) = (free()?, free()?);
        write(&dir.join("alertmanager.yml"), &rule::alertmanager(door, token))?;
        write(&dir.join("rules.yml"), &rule::rules())?;
        write(&dir.join("prometheus.yml"), &rule::prometheus(alertmanager_at))?;
        write_targets(dir, shop).await?;
        let task = tokio::spawn(keep_targets(dir.to_owned(), shop.clone())).abort_handle();
        let arguments = [
            format!("--config.file={}", dir.join("alertmanager.yml").display()),
            format!("--storage.path={}", dir.join("alertmanager").display()),
            format!("--web.listen-address={alertmanager_at}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let log = dir.join("alertmanager.log");
        let (alertmanager, _) = Process::start("Alertmanager", &alertmanager, arguments, &log).await?;
        let arguments = [
            format!("--config.file={}", dir.join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", dir.join("prometheus").display()),
            format!("--web.listen-address={prometheus_at}"),
        ];
        let log = dir.join("prometheus.log");
        let (prometheus, _) = Process::start("Prometheus", &prometheus, arguments, &log).await?;
        answers(&format!("http://{alertmanager_at}/-/ready"), "Alertmanager").await?;
        answers(&format!("http://{prometheus_at}/-/ready"), "Prometheus").await?;
        Ok(Self { processes: vec![prometheus, alertmanager], task })
    }

    /// Who it is, in words.
    pub(super) fn who(&self) -> &'static str {
        if self.processes.is_empty() { "the demo itself" } else { "Prometheus and Alertmanager" }
    }

    /// Stops them gracefully.
    pub(super) async fn stop(self) -> miette::Result<()> {
        self.task.abort();
        let mut stopped = Ok(());
        for process in self.processes {
            stopped = stopped.and(process.stop().await);
        }
        stopped
    }
}

/// Tells Prometheus of pods as they come and go, as its discovery of Kubernetes would: Debian's has none.
async fn keep_targets(dir: PathBuf, shop: Shop) {
    loop {
        sleep(TARGETS_EVERY).await;
        // The next time will do as well.
        let _ = write_targets(&dir, &shop).await;
    }
}

async fn write_targets(dir: &Path, shop: &Shop) -> miette::Result<()> {
    let fresh = dir.join("targets.fresh");
    write(&fresh, &rule::targets(&shop.members().await?))?;
    // Never half a file.
    std::fs::rename(fresh, dir.join("targets.json")).into_diagnostic().wrap_err("writing the targets")
}

fn write(path: &Path, value: &Value) -> miette::Result<()> {
    std::fs::write(path, value.to_string()).into_diagnostic().wrap_err_with(|| format!("writing {}", path.display()))
}
