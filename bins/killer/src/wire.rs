//! The wiring.

use crate::args::Args;
use keeper_controller::connect;
use keeper_controller::kill::{KillSettings, Killer, TakeError};
use keeper_serve::{AdminPort, Admitted, Answer, Answering, Door, Limits, Receive};
use miette::{IntoDiagnostic, Result};
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// What the API server knows us by.
pub(crate) const USER_AGENT: &str = concat!("canary-keeper-killer/", env!("CARGO_PKG_VERSION"));

pub(crate) async fn run(args: &Args) -> Result<()> {
    let stop = keeper_serve::stop_signal().into_diagnostic()?;
    let authenticator = args.door.authenticator().into_diagnostic()?;
    let tls = args.door.tls().into_diagnostic()?;
    let client = connect(args.kubeconfig.as_deref(), USER_AGENT).await.into_diagnostic()?;

    let mut metrics = Registry::with_prefix("canary_keeper");
    let killer = Killer::new(client, settings(args), &mut metrics);
    let limits = Limits { body_bytes: args.max_body, ..Limits::default() };
    let webhooks: Arc<dyn Receive> = Arc::new(Webhooks(killer.clone()));
    let mut door = Door::new(authenticator, limits).metrics(&mut metrics).route("/kill", webhooks);
    if let Some(tls) = tls {
        door = door.tls(tls);
    }
    let ready = killer.clone();
    let admin = AdminPort::new(Arc::new(metrics)).ready_when(move || ready.ready());

    let listener = keeper_serve::listen(args.listen).await.into_diagnostic()?;
    let admin_listener = keeper_serve::listen(args.admin_listen).await.into_diagnostic()?;
    tracing::info!(
        listen = %args.listen, admin = %args.admin_listen, dry_run = args.dry_run, mode = ?killer.settings().policy.mode,
        "killer {} starts", env!("CARGO_PKG_VERSION")
    );
    // A door that does not open ends the program: it must not look as if it listened.
    let door = async { door.serve(listener, stop.clone()).await.inspect_err(|_| stop.cancel()) };
    let (served, (), ()) =
        tokio::join!(door, admin.serve(admin_listener, Limits::default(), stop.clone()), killer.run(stop.clone()),);
    tracing::info!("killer stopped");
    served.into_diagnostic()
}

fn settings(args: &Args) -> KillSettings {
    KillSettings {
        namespaces: args.namespaces.clone(),
        ledger_namespace: args.ledger_namespace.clone(),
        policy: args.policy(),
        dry_run: args.dry_run,
        // In a pod, its name: so the killer knows itself, and its own unfinished work after a restart in place.
        instance: std::env::var("HOSTNAME").unwrap_or_else(|_| "killer".to_owned()),
        own_uid: std::env::var("POD_UID").ok(),
    }
}

/// The killer, behind the door.
struct Webhooks(Killer);

impl Receive for Webhooks {
    fn receive<'a>(&'a self, admitted: Admitted) -> Answering<'a> {
        Box::pin(async move {
            match self.0.take(admitted.body, &admitted.caller).await {
                Ok(_) => Answer::Done,
                Err(TakeError::Garbage(error)) => {
                    tracing::warn!(caller = admitted.caller, %error, "a webhook can't be read");
                    Answer::Garbage(error.to_string())
                }
                Err(error @ TakeError::ComeAgain { .. }) => Answer::Later(error.to_string()),
                Err(error @ (TakeError::NotReady(_) | TakeError::NotStored(_))) => {
                    tracing::warn!(caller = admitted.caller, %error, "a webhook must come again");
                    Answer::Later(error.to_string())
                }
            }
        })
    }
}
