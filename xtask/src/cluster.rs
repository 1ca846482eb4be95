//! `cargo xtask demo` and `cargo xtask sandbox`: build what they need, then become the sandbox program.

use crate::cargo::Cargo;
use crate::say;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// See [`demo`].
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Demo {
    /// Goes to `sandbox demo` as it is; `--help` lists what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// See [`sandbox`].
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Sandbox {
    /// Goes to `sandbox serve` as it is; `--help` lists what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// The programs of the demo. Everything else that needs some of them builds all: one set of features, built once.
pub(crate) const PROGRAMS: [&str; 5] = ["sandbox", "operator", "killer", "demo-app", "demo-client"];

/// Builds the programs of the demo in one call of cargo and runs it.
pub(crate) fn demo(cargo: &Cargo, demo: &Demo) -> Result<ExitCode> {
    become_sandbox(cargo, "demo", &demo.arguments)
}

/// Builds the same programs and serves a sandbox.
pub(crate) fn sandbox(cargo: &Cargo, sandbox: &Sandbox) -> Result<ExitCode> {
    become_sandbox(cargo, "serve", &sandbox.arguments)
}

/// Replaces this process, so that signals and the exit code are the program's own.
fn become_sandbox(cargo: &Cargo, command: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let target = Workspace::read(cargo)?.target;
    say::progress("building (the first time takes minutes; dependencies are built once)");
    let start = Instant::now();
    let built = cargo.build(&PROGRAMS, &target)?;
    say::progress(&format!("built in {}", say::span(start.elapsed())));
    let sandbox: &PathBuf = built.first().context("nothing was built")?;
    run_instead(sandbox, command, arguments)
}

fn run_instead(program: &Path, command: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let error = Command::new(program).arg(command).args(arguments).exec();
    bail!("starting {}: {error}", program.display())
}
