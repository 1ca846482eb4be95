//! `cargo xtask e2e`: the operator's scenarios on a real control plane.
//!
//! etcd, kube-apiserver and kube-controller-manager run as processes, with the sandbox's node for the pods. A real API
//! server takes no loopback address into an EndpointSlice, so all of it runs in a network namespace of its own, in which
//! 10.250.0.0/16 is local: pods in its lower half, Services in its upper one.
//!
//! The operator's scenarios (`bins/operator/tests/scenarios`) are told by `KEEPER_E2E_KUBECONFIG` to use that cluster in
//! place of a sandbox. So are the sandbox's own tests of workloads and nodes: what they ask of the sandbox must hold on the
//! real thing, and so must a first-time user's session with `kubectl` read. Its tests of the API take the URL in
//! `KEEPER_REFERENCE_API`, which is `kubectl proxy` where kubectl is there. The demo comes last, with a Deployment and with a
//! DeploymentConfig. Logs, the API server's audit log among them, stay in `target/e2e` until the next run.

mod build;
mod certificates;
mod demo;
mod namespace;
mod plane;

pub(crate) use build::built_before;

use crate::cargo::{self, Cargo};
use crate::workspace::Workspace;
use crate::{cluster, missing, say};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

/// The suites, by the names of their test programs: the operator's scenarios, what is admitted of our own resource, and
/// whether the sandbox tells the truth.
const SUITES: [&[&str]; 6] = [
    &["scenarios"],
    &["admission"],
    &["workloads", "nodes", "jobs", "deployment_configs"],
    &["controllers"],
    &["api_writes", "api_watches"],
    &["kubectl_session"],
];

/// The suite of `--truth`: the same requests, asked of the real API server and of the sandbox's.
const TRUTH: [&[&str]; 1] = [&["truth"]];

/// See [`run`].
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Use this cluster; nothing is built or started. The suite makes and removes namespaces of its own in it.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Where etcd, kube-apiserver and kube-controller-manager lie; nothing is built.
    #[arg(long, env = "KUBEBUILDER_ASSETS")]
    assets: Option<PathBuf>,
    /// Only compare the sandbox's answers with the real API server's, and print each difference.
    #[arg(long)]
    truth: bool,
    /// Only run the demo; what is behind `--` goes to it, for instance `--workload deploymentconfig --json`.
    #[arg(long, conflicts_with_all = ["truth", "kubeconfig"])]
    demo: bool,
    /// Set by ourselves, in the network namespace.
    #[arg(long, hide = true)]
    inside: bool,
    /// Goes to the test programs, for instance the name of one scenario; the demo is left out then.
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

impl Args {
    fn suites(&self) -> &'static [&'static [&'static str]] {
        match (self.truth, self.demo) {
            (true, _) => &TRUTH,
            (_, true) => &[],
            _ => &SUITES,
        }
    }

    /// The words for each run of the demo.
    fn demos(&self) -> Vec<Vec<OsString>> {
        match (self.demo, self.truth || !self.arguments.is_empty()) {
            (true, true) => vec![self.arguments.clone()],
            (false, true) => Vec::new(),
            (_, false) => demo::both(),
        }
    }
}

/// Builds what is absent, starts the control plane, runs the suites on it and stops everything.
pub(crate) fn run(cargo: &Cargo, args: &Args) -> Result<ExitCode> {
    if let Some(kubeconfig) = &args.kubeconfig {
        return suites(cargo, args, &std::path::absolute(kubeconfig)?);
    }
    let binaries = match &args.assets {
        Some(assets) => build::complete(assets)?,
        None => build::binaries(cargo.root())?,
    };
    let target = Workspace::read(cargo)?.target;
    if !args.inside {
        prepare(cargo, &target, args)?;
        let only = [("--truth", args.truth), ("--demo", args.demo)];
        let only = only.into_iter().filter(|(_, chosen)| *chosen).map(|(flag, _)| flag);
        return namespace::enter(&binaries, only, &args.arguments);
    }
    let lock = File::create(target.join("e2e.lock")).context("creating a lock")?;
    lock.try_lock().context("another e2e is running in this clone")?;
    namespace::addresses()?;
    let plane = plane::Plane::start(&binaries, &target.join("e2e"), cargo.root())?;
    let outcome = suites(cargo, args, &plane.kubeconfig()).and_then(|code| {
        let shown = demo::run(cargo, &target, &plane, &args.demos())?;
        Ok(if shown { code } else { ExitCode::FAILURE })
    });
    say::progress(&format!("the control plane's logs: {}", plane.folder().display()));
    outcome
}

/// What needs the network or is known beforehand comes first: inside there is no way out.
fn prepare(cargo: &Cargo, target: &Path, args: &Args) -> Result<()> {
    if !missing::is_root() {
        bail!("a network namespace needs root; or name a cluster with --kubeconfig");
    }
    let tools = ["unshare", "ip", "openssl", "setpriv"];
    let absent: Vec<_> = tools.into_iter().filter(|tool| missing::on_path(tool).is_none()).collect();
    if !absent.is_empty() {
        bail!("not on PATH: {} (util-linux, iproute2 and openssl have them)", absent.join(", "));
    }
    // The answers of API servers need none of the programs.
    if !args.truth {
        cargo.build(&cluster::PROGRAMS, target)?;
    }
    let suites = args.suites();
    if !suites.is_empty() && !cargo.run(&[test(&suites.concat()), vec!["--no-run"]].concat())? {
        bail!("the suites do not build; cargo's message is above");
    }
    Ok(())
}

/// Test programs, chosen from the whole workspace: with the features of `cargo xtask test`, so that nothing is built twice.
fn test<'a>(programs: &[&'a str]) -> Vec<&'a str> {
    let chosen = programs.iter().flat_map(|program| ["--test", program]);
    ["test", "--workspace", "--no-fail-fast"].into_iter().chain(chosen).collect()
}

/// Runs one suite after the other, also after a failure: they share a cluster and two cores.
fn suites(cargo: &Cargo, args: &Args, kubeconfig: &Path) -> Result<ExitCode> {
    if args.suites().is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let proxy = Proxy::start(kubeconfig)?;
    let mut failed = false;
    for suite in args.suites() {
        let mut command = cargo.command(&test(suite));
        command.env("KEEPER_E2E_KUBECONFIG", kubeconfig);
        if let Some(proxy) = &proxy {
            command.env("KEEPER_REFERENCE_API", &proxy.url);
        } else if suite.contains(&"api_writes") {
            say::result("NOT RUN: no kubectl on PATH: the sandbox's API tests on the real API server");
            continue;
        }
        // All of them wait more than they work, the controllers' scripts most of all.
        let threads = if suite.contains(&"controllers") { "10" } else { "4" };
        command.args(["--", "--test-threads", threads]).args(args.truth.then_some("--nocapture")).args(&args.arguments);
        failed |= !cargo::status(&mut command)?.success();
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// `kubectl proxy`: the API server without TLS and credentials, on loopback.
struct Proxy {
    url: String,
    process: Child,
}

impl Proxy {
    /// Starts it on a free port; `None` without kubectl.
    fn start(kubeconfig: &Path) -> Result<Option<Self>> {
        if missing::on_path("kubectl").is_none() {
            return Ok(None);
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "kubectl", "proxy", "--port", "0", "--kubeconfig"]).arg(kubeconfig);
        let mut process = command.stdout(Stdio::piped()).spawn().context("starting kubectl proxy")?;
        let output = process.stdout.take().context("kubectl's output is not connected")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("reading where kubectl proxy listens")?;
        let address = line.trim().strip_prefix("Starting to serve on ").context("kubectl proxy says nothing known")?;
        Ok(Some(Self { url: format!("http://{address}"), process }))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It has nothing to end gracefully.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
