//! `cargo xtask model`: the whole model check of the production step, with its ablations.

use crate::cargo::{self, Cargo};
use anyhow::Result;
use std::process::ExitCode;

/// Runs it, optimised: the state space is large.
pub(crate) fn run(cargo: &Cargo) -> Result<ExitCode> {
    let mut command = cargo.command(&["test", "--release", "--package", "keeper-rollout", "--test", "model"]);
    command.args(["--", "--include-ignored", "--nocapture", "--test-threads", "2"]);
    let status = cargo::status(&mut command)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
