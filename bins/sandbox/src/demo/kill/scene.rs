//! Everything that plays a part when a pod hangs, started in order and stopped in order.

use super::alerts::Alerts;
use super::shop::Shop;
use crate::demo::args::Args;
use crate::demo::cluster::Cluster;
use crate::demo::images::FIRST;
use crate::demo::load::Load;
use crate::demo::manifests::{self, NAMESPACE, REPOSITORY, TAG};
use crate::demo::operator::{Door, TOKEN};
use crate::demo::process::{Process, answers, free, show};
use crate::demo::stage::{beside, ready};
use crate::voice::Voice;
use keeper_sandbox::{Sandbox, SandboxConfig};
use miette::{IntoDiagnostic, WrapErr, miette};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The parts, running.
pub(super) struct Scene {
    pub(super) sandbox: Sandbox,
    pub(super) cluster: Cluster,
    pub(super) shop: Shop,
    pub(super) load: Load,
    pub(super) alerts: Alerts,
    killer: Process,
    program: PathBuf,
}

impl Scene {
    /// Starts the cluster, production, the client, the killer and what alerts it.
    pub(super) async fn build(args: &Args, dir: &Path, voice: Voice) -> miette::Result<Self> {
        let (app, client, program) = (beside("demo-app")?, beside("demo-client")?, beside("killer")?);
        let mut config = SandboxConfig::new(dir);
        config.api.request_log_file = Some(dir.join("requests.jsonl"));
        let sandbox = Sandbox::start(config).await.into_diagnostic().wrap_err("starting the sandbox")?;
        let cluster = Cluster::new(sandbox.client_named("demo").into_diagnostic()?, args.workload, args.mode);
        let digest = sandbox.registry().push(REPOSITORY, TAG, &FIRST.image(&app));
        let image = sandbox.registry().pinned_spec(REPOSITORY, &digest);
        cluster.create(manifests::plain(&image, args.replicas)).await?;
        ready(&cluster).await?;
        let url = cluster.service_url().await?;
        voice.say(&format!("{} replicas are ready; {} requests a second go to {url}", args.replicas, args.rate));
        // A client that waits for long for a pod that hangs asks the others for less.
        let more = ["--timeout", "2"];
        let load = Load::start(&client, &url, args.rate, &more, &dir.join("client.log"), voice).await?;

        let Door { address: door, token } = Door::make(dir)?;
        let killer = killer(&program, &sandbox, door, &token, dir, voice).await?;
        let shop = Shop::new(cluster.clone());
        let alerts = Alerts::start(dir, door, (&token, TOKEN), (&shop, args.replicas), voice).await?;
        Ok(Self { sandbox, cluster, shop, load, alerts, killer, program })
    }

    /// What `killer history` prints of the demo's namespace.
    pub(super) async fn history(&self) -> miette::Result<Vec<String>> {
        let mut command = Command::new(&self.program);
        command.args(["history", "--namespace", NAMESPACE, "--ledger-namespace", NAMESPACE]);
        command.arg("--kubeconfig").arg(self.sandbox.kubeconfig()).kill_on_drop(true);
        let output = command.output().await.into_diagnostic().wrap_err("starting killer history")?;
        if !output.status.success() {
            return Err(miette!("killer history ended with {}", output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// An error if the killer has ended by itself.
    pub(super) fn check(&mut self) -> miette::Result<()> {
        match self.killer.ended() {
            None => Ok(()),
            Some(status) => Err(miette!("the killer ended by itself with {status}")),
        }
    }

    /// Stops everything gracefully.
    pub(super) async fn down(self) -> miette::Result<()> {
        let alerts = self.alerts.stop().await;
        let killer = self.killer.stop().await;
        let load = self.load.stop().await;
        self.sandbox.stop().await;
        alerts.and(killer).and(load)
    }
}

async fn killer(
    program: &Path,
    sandbox: &Sandbox,
    door: SocketAddr,
    token: &Path,
    dir: &Path,
    voice: Voice,
) -> miette::Result<Process> {
    let (kubeconfig, token) = (sandbox.kubeconfig().display().to_string(), token.display().to_string());
    let (listen, admin) = (door.to_string(), free()?.to_string());
    let arguments = [
        ["--kubeconfig", &kubeconfig],
        ["--namespace", NAMESPACE],
        ["--ledger-namespace", NAMESPACE],
        ["--listen", &listen],
        ["--admin-listen", &admin],
        ["--bearer-token-file", &token],
        ["--min-age", "5s"],
    ];
    let log = dir.join("killer.log");
    let (process, lines) = Process::start("the killer", program, arguments.into_iter().flatten(), &log).await?;
    tokio::spawn(show(lines, "killer", voice));
    answers(&format!("http://{admin}/readyz"), "the killer").await?;
    Ok(process)
}
