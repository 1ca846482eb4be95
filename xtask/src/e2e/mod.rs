//! `cargo xtask e2e`: the operator's scenarios on a real control plane.
//!
//! etcd, kube-apiserver and kube-controller-manager run as processes, with the sandbox's node for the pods. A real API
//! server takes no loopback address into an EndpointSlice, so all of it runs in a network namespace of its own, in which
//! 10.250.0.0/16 is local: pods in its lower half, Services in its upper one.
//!
//! The suite (`bins/operator/tests/scenarios`) is told by `KEEPER_E2E_KUBECONFIG` to use that cluster in place of a
//! sandbox. Logs, the API server's audit log among them, stay in `target/e2e` until the next run.

mod build;
mod certificates;
mod namespace;
mod plane;

pub(crate) use build::built_before;

use crate::cargo::{self, Cargo};
use crate::workspace::Workspace;
use crate::{missing, say};
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// The suite, as cargo names it.
const SUITE: [&str; 5] = ["test", "--package", "operator", "--test", "scenarios"];

/// See [`run`].
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Use this cluster; nothing is built or started. The suite makes and removes namespaces of its own in it.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Where etcd, kube-apiserver and kube-controller-manager lie; nothing is built.
    #[arg(long, env = "KUBEBUILDER_ASSETS")]
    assets: Option<PathBuf>,
    /// Set by ourselves, in the network namespace.
    #[arg(long, hide = true)]
    inside: bool,
    /// Goes to the test program, for instance the name of one scenario.
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// Builds what is absent, starts the control plane, runs the suite on it and stops everything.
pub(crate) fn run(cargo: &Cargo, args: &Args) -> Result<ExitCode> {
    if let Some(kubeconfig) = &args.kubeconfig {
        let mut suite = suite(cargo, args);
        suite.env("KEEPER_E2E_KUBECONFIG", std::path::absolute(kubeconfig)?);
        return finish(&mut suite);
    }
    let binaries = match &args.assets {
        Some(assets) => build::complete(assets)?,
        None => build::binaries(cargo.root())?,
    };
    let workspace = Workspace::read(cargo)?;
    if !args.inside {
        prepare(cargo)?;
        return namespace::enter(&binaries, &args.arguments);
    }
    namespace::addresses()?;
    let plane = plane::Plane::start(&binaries, &workspace.target.join("e2e"), cargo.root())?;
    let mut suite = suite(cargo, args);
    suite.env("KEEPER_E2E_KUBECONFIG", plane.kubeconfig());
    let outcome = finish(&mut suite);
    say::progress(&format!("the control plane's logs: {}", plane.folder().display()));
    outcome
}

/// What needs the network or is known beforehand comes first: inside there is no way out.
fn prepare(cargo: &Cargo) -> Result<()> {
    if !missing::is_root() {
        bail!("a network namespace needs root; or name a cluster with --kubeconfig");
    }
    let absent: Vec<_> =
        ["unshare", "ip", "openssl", "setpriv"].into_iter().filter(|tool| missing::on_path(tool).is_none()).collect();
    if !absent.is_empty() {
        bail!("not on PATH: {} (util-linux, iproute2 and openssl have them)", absent.join(", "));
    }
    let arguments: Vec<_> = SUITE.into_iter().chain(["--no-run"]).collect();
    let built = cargo.run(&arguments)? && cargo.run(&["build", "--package", "demo-app", "--package", "demo-client"])?;
    if !built {
        bail!("the suite does not build; cargo's message is above");
    }
    Ok(())
}

/// One scenario after the other: they share a cluster, its addresses and two cores.
fn suite(cargo: &Cargo, args: &Args) -> Command {
    let mut suite = cargo.command(&SUITE);
    suite.args(["--", "--test-threads", "1"]).args(&args.arguments);
    suite
}

fn finish(suite: &mut Command) -> Result<ExitCode> {
    let status = cargo::status(suite)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
