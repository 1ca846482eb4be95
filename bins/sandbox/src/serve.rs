//! `sandbox serve`: a cluster to play with.

use crate::voice;
use keeper_sandbox::registry::ImageConfig;
use keeper_sandbox::{Sandbox, SandboxConfig};
use miette::{IntoDiagnostic, WrapErr};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// What can be chosen.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where kubeconfig and logs go. Default: a new folder in the system's folder for temporary files.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Append every request to this file, a line of JSON each.
    #[arg(long)]
    request_log: Option<PathBuf>,
    /// Where the API server listens. It has no authentication.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Serves until SIGTERM or Ctrl-C.
pub(crate) async fn run(args: Args) -> miette::Result<()> {
    let default = || std::env::temp_dir().join(format!("canary-keeper-sandbox-{}", std::process::id()));
    let mut config = SandboxConfig::new(args.dir.unwrap_or_else(default));
    config.listen = args.listen;
    config.api.request_log_file = args.request_log;
    let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
    let sandbox = Sandbox::start(config).await.into_diagnostic().wrap_err("starting the sandbox")?;
    greet(&sandbox);
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    sandbox.stop().await;
    Ok(())
}

fn greet(sandbox: &Sandbox) {
    voice::result(&format!("export KUBECONFIG={}", sandbox.kubeconfig().display()));
    voice::result(&format!("# image registry (plain HTTP): {}", sandbox.registry().address()));
    if let Some(image) = demo_image(sandbox) {
        voice::result("# Pods run as processes of this machine; this image is the demo application:");
        voice::result(&format!("kubectl create deployment app --image={image} --replicas=3 --port=8080"));
        voice::result("kubectl expose deployment app --port=80 --target-port=8080");
    }
    voice::result("kubectl get pods -o wide -w");
    voice::result("# Ctrl-C ends it.");
}

/// Pushes the demo application that lies beside this program, if it does.
fn demo_image(sandbox: &Sandbox) -> Option<String> {
    let program = std::env::current_exe().ok()?.parent()?.join("demo-app");
    if !program.is_file() {
        return None;
    }
    let registry = sandbox.registry();
    registry.push("demo/app", "good", &ImageConfig::new([program.display().to_string()]));
    registry.push("demo/app", "bad", &ImageConfig::new([program.display().to_string()]).env("FAIL_SHARE", "0.5"));
    Some(registry.pull_spec("demo/app", "good"))
}
