//! `sandbox serve`: a cluster to play with.

use crate::demo::manifests::{self, NAMESPACE, REPOSITORY, TAG};
use crate::voice;
use keeper_sandbox::registry::{ImageConfig, Registry};
use keeper_sandbox::{Sandbox, SandboxConfig};
use miette::{IntoDiagnostic, WrapErr};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// The media type of an image's manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

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
    let dir = args.dir.unwrap_or_else(default);
    let mut config = SandboxConfig::new(&dir);
    config.listen = args.listen;
    config.api.request_log_file = args.request_log;
    let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
    let sandbox = Sandbox::start(config).await.into_diagnostic().wrap_err("starting the sandbox")?;
    greet(&sandbox, &dir)?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    sandbox.stop().await;
    Ok(())
}

/// Says how to use it: a Deployment to apply, and how to ship the other image under the tag that it watches.
fn greet(sandbox: &Sandbox, dir: &Path) -> miette::Result<()> {
    let registry = sandbox.registry();
    voice::result(&format!("export KUBECONFIG={}", sandbox.kubeconfig().display()));
    if let Some(image) = demo_images(registry) {
        let file = dir.join("app.yaml");
        let watched = registry.pull_spec(REPOSITORY, TAG);
        let documents: Result<Vec<_>, _> =
            manifests::all(&image, &watched, 3, 60).iter().map(serde_saphyr::to_string).collect();
        let documents = documents.into_diagnostic().wrap_err("writing the example")?.join("---\n");
        std::fs::write(&file, documents).into_diagnostic().wrap_err_with(|| format!("writing {}", file.display()))?;
        voice::result(&format!("kubectl apply -f {}", file.display()));
        voice::result(&format!("kubectl -n {NAMESPACE} get pods -o wide"));
        let manifests = format!("http://{}/v2/{REPOSITORY}/manifests", registry.address());
        voice::result("# ship the bad image (or good) under the tag that is watched:");
        voice::result(&format!(
            "curl -s {manifests}/bad -H 'Accept: {MANIFEST}' | curl -s -X PUT {manifests}/{TAG} -H 'Content-Type: {MANIFEST}' --data-binary @-"
        ));
    }
    voice::result(&format!(
        "cargo run --bin operator -- --kubeconfig {} --insecure --alerts-listen 127.0.0.1:8080 --insecure-registry {} --registry-interval 5s",
        sandbox.kubeconfig().display(),
        registry.address()
    ));
    voice::result("# Ctrl-C ends it; pods run as processes of this machine");
    Ok(())
}

/// Pushes the demo application that lies beside this program, if it does: as `good`, which production runs, and as `bad`.
fn demo_images(registry: &Registry) -> Option<String> {
    let program = std::env::current_exe().ok()?.parent()?.join("demo-app");
    if !program.is_file() {
        return None;
    }
    let image = |version: &str| ImageConfig::new([program.display().to_string()]).env("VERSION", version);
    let first = registry.push(REPOSITORY, TAG, &image("1"));
    registry.push(REPOSITORY, "good", &image("2"));
    registry.push(REPOSITORY, "bad", &image("3").env("FAIL_SHARE", "0.5"));
    Some(registry.pinned_spec(REPOSITORY, &first))
}
