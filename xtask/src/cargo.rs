//! Running cargo: the same one that runs us, from the workspace's root.

use crate::say;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Cargo, and where to run it.
pub(crate) struct Cargo {
    program: OsString,
    root: PathBuf,
    offline: bool,
}

impl Cargo {
    /// The cargo that started us, or the one on PATH.
    pub(crate) fn find(offline: bool) -> Result<Self> {
        let here =
            std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = here.parent().context("xtask's folder has no parent")?.to_owned();
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Ok(Self { program, root, offline })
    }

    /// The workspace's root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A cargo call that is not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.root).args(arguments).stdin(Stdio::null());
        // What `cargo run` told us about this package is not for another cargo: build scripts that look at such variables
        // (ring's does) would run again, and all that depends on them, each time people change between cargo and xtask.
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_str().is_some_and(is_of_a_package)) {
            command.env_remove(name);
        }
        if self.offline {
            // Not the flag: not every subcommand takes it.
            command.env("CARGO_NET_OFFLINE", "true");
        }
        command
    }

    /// Runs cargo to its end, its output in view; says whether it went well.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<bool> {
        status(&mut self.command(arguments)).map(|status| status.success())
    }

    /// Builds these binaries in one call, and answers where they lie.
    pub(crate) fn build(&self, binaries: &[&str], target: &Path) -> Result<Vec<PathBuf>> {
        let mut arguments = vec!["build"];
        for name in binaries {
            arguments.extend(["--package", name, "--bin", name]);
        }
        if !self.run(&arguments)? {
            bail!("the build failed; cargo's message is above");
        }
        Ok(binaries.iter().map(|name| target.join("debug").join(name)).collect())
    }

    /// What cargo prints, as text.
    pub(crate) fn read(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).stderr(Stdio::inherit()).output().context("starting cargo")?;
        if !output.status.success() {
            bail!("cargo {} failed ({})", arguments.join(" "), output.status);
        }
        String::from_utf8(output.stdout).context("cargo printed something that is no text")
    }
}

/// Whether cargo sets this variable for the package that it builds or runs.
fn is_of_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| variable.starts_with(prefix))
}

/// Runs a program to its end after saying how it is called.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    say::progress(&format!("$ {}", shown(command)));
    command.status().with_context(|| format!("starting {}", command.get_program().display()))
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_else(|| command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_told_us_of_ourselves_stays_with_us() {
        // cargo sets CARGO_PKG_NAME for its tests as well.
        assert_eq!(std::env::var("CARGO_PKG_NAME").as_deref(), Ok("xtask"));
        let command = Cargo::find(true).unwrap().command(&["check", "--workspace"]);
        assert!(command.get_envs().any(|(name, value)| name == "CARGO_PKG_NAME" && value.is_none()));
        assert!(command.get_envs().any(|(name, value)| name == "CARGO_NET_OFFLINE" && value.is_some()));
        assert_eq!(shown(&command).split_once(' ').map(|(_, words)| words), Some("check --workspace"));
    }
}
