//! `cargo xtask crds`: writes the CustomResourceDefinition, which `keeper-api` knows and prints.
//!
//! That the file is fresh is a test there, so that `cargo test` says it too.

use crate::cargo::Cargo;
use crate::say;
use anyhow::{Context, Result};
use std::process::ExitCode;

/// The file, from the workspace's root.
const FILE: &str = "deploy/crd/canaries.yaml";
/// What prints it.
const PRINT: [&str; 6] = ["run", "--quiet", "--package", "keeper-api", "--example", "crds"];

/// Writes it, if it isn't what is there already.
pub(crate) fn run(cargo: &Cargo) -> Result<ExitCode> {
    let yaml = cargo.read(&PRINT)?;
    let path = cargo.root().join(FILE);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    if before == yaml {
        say::result(&format!("{FILE} is fresh"));
        return Ok(ExitCode::SUCCESS);
    }
    let folder = path.parent().context("the file has no folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    std::fs::write(&path, yaml).with_context(|| format!("writing {}", path.display()))?;
    say::result(&format!("{FILE} is written anew"));
    Ok(ExitCode::SUCCESS)
}
