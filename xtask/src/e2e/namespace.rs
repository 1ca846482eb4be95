//! The network namespace: an own loopback on which pod and Service addresses are local, and nothing else.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The address the API server says it has.
pub(super) const SERVER: &str = "10.250.0.1";
/// Where Services get theirs from.
pub(super) const SERVICES: &str = "10.250.128.0/17";
/// The first of the Services' addresses: the API server's own Service gets it.
pub(super) const FIRST_SERVICE: &str = "10.250.128.1";

/// Becomes the same command inside a new namespace.
pub(super) fn enter<'a>(
    binaries: &Path,
    flags: impl Iterator<Item = &'a str>,
    arguments: &[OsString],
) -> Result<ExitCode> {
    let program = std::env::current_exe().context("finding our own program")?;
    let mut command = Command::new("unshare");
    command.arg("--net").arg("--").arg(program).args(["--offline", "e2e", "--inside", "--assets"]).arg(binaries);
    command.args(flags).arg("--").args(arguments);
    let error = command.exec();
    bail!("starting unshare: {error}")
}

/// Brings up loopback and makes the addresses local.
pub(super) fn addresses() -> Result<()> {
    let server = format!("{SERVER}/32");
    ip(&["link", "set", "lo", "up"])?;
    ip(&["address", "add", &server, "dev", "lo"])?;
    ip(&["route", "add", "local", "10.250.0.0/16", "dev", "lo"])
}

fn ip(arguments: &[&str]) -> Result<()> {
    if !cargo::status(Command::new("ip").args(arguments))?.success() {
        bail!("ip {} failed; its message is above", arguments.join(" "));
    }
    Ok(())
}
