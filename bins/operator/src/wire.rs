//! The wiring: here, and only here, registries have names.

use crate::args::Args;
use crate::providers;
use crate::templates;
use keeper_api::Defaults;
use keeper_controller::{AlertIntake, CanaryLimits, Controller, IntakeError, Settings, connect};
use keeper_image::{Credentials, RegistryClient, RegistryConfig, TagWatcher};
use keeper_rollout::Plan;
use keeper_serve::{AdminPort, Admitted, Answer, Answering, Door, Limits, Receive};
use miette::{Context, IntoDiagnostic, Result};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the API server knows us by.
const USER_AGENT: &str = concat!("canary-keeper/", env!("CARGO_PKG_VERSION"));
/// How long a reconcile under way may take to finish after a stop.
const LAST_MOMENT: Duration = Duration::from_secs(4);

pub(crate) async fn run(args: Args) -> Result<()> {
    let stop = keeper_serve::stop_signal().into_diagnostic()?;
    let authenticator = args.door.authenticator().into_diagnostic()?;
    let tls = args.door.tls().into_diagnostic()?;
    let mut signals = providers::signals(&args)?;
    let client = connect(args.kubeconfig.as_deref(), USER_AGENT).await.into_diagnostic()?;
    signals.cluster = Some(client.clone());
    let tags = TagWatcher::new(Arc::new(registry(&args)?), args.registry_interval);

    let mut metrics = Registry::with_prefix("canary_keeper");
    let controller = Controller::new(client, settings(&args)?, tags, Arc::new(signals), &mut metrics);
    let intake: Arc<dyn Receive> = Arc::new(Alerts(controller.intake()));
    let mut door = Door::new(authenticator, Limits::default()).metrics(&mut metrics).route("/alerts", intake);
    if let Some(tls) = tls {
        door = door.tls(tls);
    }
    let ready = controller.clone();
    let admin = AdminPort::new(Arc::new(metrics)).ready_when(move || ready.ready());

    let alerts_listener = keeper_serve::listen(args.alerts_listen).await.into_diagnostic()?;
    let admin_listener = keeper_serve::listen(args.admin_listen).await.into_diagnostic()?;
    tracing::info!(alerts = %args.alerts_listen, admin = %args.admin_listen, "operator {} starts", env!("CARGO_PKG_VERSION"));
    // A door that does not open ends the program: it must not look as if it listened.
    let door = async { door.serve(alerts_listener, stop.clone()).await.inspect_err(|_| stop.cancel()) };
    let (served, (), ()) = tokio::join!(
        door,
        admin.serve(admin_listener, Limits::default(), stop.clone()),
        run_until(&controller, stop.clone()),
    );
    tracing::info!("operator stopped");
    served.into_diagnostic()
}

/// Runs the controller; after a stop, what is under way gets a moment to finish. Whatever it leaves behind, the next start
/// goes on from.
async fn run_until(controller: &Controller, stop: CancellationToken) {
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_MOMENT).await;
    };
    tokio::select! {
        () = controller.run(stop.clone()) => {}
        () = overdue => tracing::warn!("stopped in the middle of a reconcile"),
    }
}

fn registry(args: &Args) -> Result<RegistryClient> {
    let config = RegistryConfig {
        insecure_hosts: args.insecure_registries.clone(),
        token_hosts: args.registry_token_hosts.clone(),
        ..RegistryConfig::default()
    };
    let client = RegistryClient::new(config).into_diagnostic()?;
    let Some(path) = &args.registry_credentials else { return Ok(client) };
    let bytes = std::fs::read(path).into_diagnostic().wrap_err_with(|| path.display().to_string())?;
    let credentials = Credentials::from_docker_config_json(&bytes).into_diagnostic()?;
    Ok(client.with_credentials(credentials))
}

fn settings(args: &Args) -> Result<Settings> {
    let plan = Plan {
        look_interval: args.look_interval,
        launch_deadline: args.launch_deadline,
        rollout_deadline: args.rollout_deadline,
        retry_after: args.retry_after.clone(),
        require_live_alert_path: args.require_live_alert_path,
        ..Plan::default()
    };
    let mut settings = Settings {
        namespaces: args.namespaces.clone(),
        defaults: Defaults { plan, templates: templates::templates(args)?, ..Defaults::default() },
        allowed_repositories: args.allowed_repositories.clone(),
        limits: CanaryLimits { per_namespace: args.canaries_per_namespace, per_operator: args.canaries_at_once },
        canary_grace: args.canary_grace,
        ..Settings::default()
    };
    settings.alerts.require_namespace = args.require_alert_namespace;
    if let Ok(host) = std::env::var("HOSTNAME") {
        settings.instance = host;
    }
    Ok(settings)
}

/// The controller's intake, behind the door.
struct Alerts(AlertIntake);

impl Receive for Alerts {
    fn receive<'a>(&'a self, admitted: Admitted) -> Answering<'a> {
        Box::pin(async move {
            match self.0.take(&admitted.body).await {
                Ok(()) => Answer::Done,
                Err(IntakeError::Garbage(error)) => Answer::Garbage(error.to_string()),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a webhook must come again");
                    Answer::Later(error.to_string())
                }
            }
        })
    }
}
