//! Everything that plays a part, started in order and stopped in order.

use super::alerting::{Alerting, Found, Rule};
use super::alertmanager::Receiver;
use super::args::{Args, Mode, Workload};
use super::cluster::Cluster;
use super::images::FIRST;
use super::load::Load;
use super::log::Log;
use super::manifests::{self, NAMESPACE, REPOSITORY, TAG};
use super::operator::{Door, Operator};
use crate::voice::Voice;
use keeper_sandbox::{AttachConfig, Sandbox, SandboxConfig, controllers};
use miette::{IntoDiagnostic, WrapErr, miette};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long ten processes may take to be ready on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// The parts of the demo, running.
pub(super) struct Stage {
    pub(super) sandbox: Sandbox,
    pub(super) cluster: Cluster,
    pub(super) load: Load,
    pub(super) operator: Operator,
    /// Where the numbers come from, if not from the pods, and who tells of what they show.
    pub(super) alerting: Option<Alerting>,
    pub(super) programs: Programs,
    pub(super) log: Log,
    /// Ends the DeploymentConfig controller, where there is one.
    controller: DropGuard,
}

/// The programs that are run, beside this one.
pub(super) struct Programs {
    pub(super) app: PathBuf,
    client: PathBuf,
    operator: PathBuf,
}

impl Programs {
    /// Finds them.
    pub(super) fn find(args: &Args) -> miette::Result<Self> {
        let operator = args.operator.clone().map_or_else(|| beside("operator"), there)?;
        Ok(Self { app: beside("demo-app")?, client: beside("demo-client")?, operator })
    }
}

/// The program of this name beside this one.
pub(super) fn beside(program: &str) -> miette::Result<PathBuf> {
    let here = std::env::current_exe().into_diagnostic().wrap_err("finding this program's own folder")?;
    let folder = here.parent().ok_or_else(|| miette!("{} lies in no folder", here.display()))?;
    there(folder.join(program))
}

fn there(program: PathBuf) -> miette::Result<PathBuf> {
    if program.is_file() {
        return Ok(program);
    }
    Err(miette!(help = "cargo xtask demo builds everything", "{} is not there", program.display()))
}

impl Stage {
    /// Starts the cluster, production, the client and the operator.
    pub(super) async fn build(args: &Args, dir: &Path, voice: Voice) -> miette::Result<Self> {
        let programs = Programs::find(args)?;
        let (sandbox, log) = sandbox(args, dir).await?;
        let cluster = Cluster::new(sandbox.client_named("demo").into_diagnostic()?, args.workload, args.mode);
        let digest = sandbox.registry().push(REPOSITORY, TAG, &FIRST.image(&programs.app));
        let (image, watched) =
            (sandbox.registry().pinned_spec(REPOSITORY, &digest), sandbox.registry().pull_spec(REPOSITORY, TAG));
        let controller = CancellationToken::new();
        let mut objects = match (args.mode, args.workload) {
            // Of a DeploymentConfig no Canary can be, which the arguments are checked for.
            (Mode::Resource, _) => {
                cluster.define_canaries().await?;
                manifests::plain(&image, args.replicas)
            }
            (_, Workload::Deployment) => manifests::all(&image, &watched, args.replicas, args.incubation),
            (_, Workload::DeploymentConfig) => {
                cluster.define_configs().await?;
                let own = sandbox.client_named("sandbox-controllers").into_diagnostic()?;
                tokio::spawn(controllers::deployment_configs(own, Some(NAMESPACE.into()), controller.clone()));
                manifests::all_with_config(&image, &watched, args.replicas, args.incubation)
            }
        };
        if args.prometheus {
            objects.iter_mut().for_each(manifests::ask_prometheus);
        }
        cluster.create(objects).await?;
        ready(&cluster).await?;
        voice.say(&format!(
            "{} replicas of {image} are ready; kubectl --kubeconfig {} works",
            args.replicas,
            sandbox.kubeconfig().display()
        ));
        let url = cluster.service_url().await?;
        voice.say(&format!("{} requests a second go to {url}", args.rate));
        let load = Load::start(&programs.client, &url, args.rate, &[], &dir.join("client.log"), voice).await?;
        let door = Door::make(dir)?;
        let alerting = match args.prometheus {
            true => Some(alerting(&door, (&cluster, args.replicas), dir, voice).await?),
            false => None,
        };
        let url = alerting.as_ref().map(|alerting| alerting.prometheus.url());
        let (namespace, said) = (NAMESPACE, dir.join("operator.log"));
        let operator =
            Operator::start(&programs.operator, &sandbox, namespace, url.as_deref(), &door, &said, voice).await?;
        let controller = controller.drop_guard();
        let mut stage = Self { sandbox, cluster, load, operator, alerting, programs, log, controller };
        // What it asks for when it starts is not any release's.
        stage.load.seconds(3).await?;
        stage.operator.check()?;
        Ok(stage)
    }

    /// Stops everything, the operator and the client gracefully.
    pub(super) async fn down(self) -> miette::Result<()> {
        let operator = self.operator.stop().await;
        let load = self.load.stop().await;
        let alerting = match self.alerting {
            Some(alerting) => alerting.stop().await,
            None => Ok(()),
        };
        drop(self.controller);
        // A cluster of the demo's own goes with everything in it.
        let tidied = match self.sandbox.api() {
            Some(_) => Ok(()),
            None => self.cluster.remove_all().await,
        };
        self.sandbox.stop().await;
        operator.and(load).and(alerting).and(tidied)
    }
}

/// Prometheus, whose rule tells of a pod of which every twentieth request fails, and Alertmanager, which tells the operator.
async fn alerting(door: &Door, production: (&Cluster, u32), dir: &Path, voice: Voice) -> miette::Result<Alerting> {
    let help = "both come with Debian's packages prometheus and prometheus-alertmanager; or leave out --prometheus";
    let found = Found::on_path().ok_or_else(|| miette!(help = help, "no prometheus and alertmanager on PATH"))?;
    let by_pod = |series| format!("sum by (namespace, pod) (rate({series}[5s]))");
    let (bad, all) = (by_pod("http_requests_total{code=~\"5..\"}"), by_pod("http_requests_total"));
    let rule = Rule {
        alert: "PodErrors",
        expression: format!("{bad} / {all} > 0.05"),
        hold: "0s",
        labels: json!({"severity": "page"}),
        summary: "more than 5 % of what {{ $labels.pod }} answers are errors",
    };
    // Said once: a good release must hear nothing of the one before.
    let receiver = Receiver { door: door.address, path: "/alerts", token: &door.token, repeat: "1h" };
    Alerting::start(&found, &rule, &receiver, production, dir, voice).await
}

/// A whole cluster, or a node for the one that was named.
async fn sandbox(args: &Args, dir: &Path) -> miette::Result<(Sandbox, Log)> {
    let Some(kubeconfig) = &args.kubeconfig else {
        let mut config = SandboxConfig::new(dir);
        config.api.request_log_file = Some(dir.join("requests.jsonl"));
        let sandbox = Sandbox::start(config).await.into_diagnostic().wrap_err("starting the sandbox")?;
        return Ok((sandbox, Log::Own));
    };
    let mut config = AttachConfig::new(kubeconfig, dir);
    config.namespace = Some(NAMESPACE.into());
    let help = "the machine needs 10.250.0.0/16; cargo xtask e2e --demo runs it where that is so";
    let sandbox = Sandbox::attach(config).await.into_diagnostic().wrap_err(help)?;
    Ok((sandbox, args.audit_log.clone().map_or(Log::Absent, Log::Audit)))
}

/// Waits until production is complete.
pub(super) async fn ready(cluster: &Cluster) -> miette::Result<()> {
    let start = Instant::now();
    while !cluster.production().await?.complete {
        if start.elapsed() > READY_WITHIN {
            return Err(miette!("production did not get ready within {READY_WITHIN:?}"));
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
