//! The demo on the control plane: the same programs as in `cargo xtask demo`, judged by the API server's audit log.

use super::plane::Plane;
use crate::cargo::{self, Cargo};
use crate::{cluster, say};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// What production can be.
const WORKLOADS: [&str; 2] = ["deployment", "deploymentconfig"];

/// One run for each kind of workload.
pub(super) fn both() -> Vec<Vec<OsString>> {
    WORKLOADS.iter().map(|workload| ["--workload", workload, "--json"].map(OsString::from).to_vec()).collect()
}

/// Runs one after the other, also after a failure; says whether all went well.
pub(super) fn run(cargo: &Cargo, target: &Path, plane: &Plane, runs: &[Vec<OsString>]) -> Result<bool> {
    if runs.is_empty() {
        return Ok(true);
    }
    let built = cargo.build(&cluster::PROGRAMS, target)?;
    let program = built.first().context("nothing was built")?;
    let mut well = true;
    for (number, words) in (1..).zip(runs) {
        say::step("the demo on the control plane");
        let mut command = Command::new(program);
        command.arg("demo").arg("--kubeconfig").arg(plane.kubeconfig()).arg("--audit-log").arg(plane.audit_log());
        command.arg("--dir").arg(plane.folder().join(format!("demo-{number}"))).args(words);
        well &= cargo::status(&mut command)?.success();
    }
    Ok(well)
}
