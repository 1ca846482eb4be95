//! `cargo xtask tidy`: what the design promises of the crates, executed.
//!
//! Each rule takes what is to be judged as values and answers what is wrong, in words that say how to mend it.

mod alone;
mod direction;
mod papers;
mod purity;
mod told;

use crate::cargo::Cargo;
use crate::say;
use crate::workspace::Workspace;
use anyhow::Result;
use std::process::ExitCode;

/// See [`run`].
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also check every crate alone, with and without its features. Takes minutes when nothing is built yet.
    #[arg(long)]
    alone: bool,
}

/// Checks everything and prints what is wrong.
pub(crate) fn run(cargo: &Cargo, args: &Args) -> Result<ExitCode> {
    let workspace = Workspace::read(cargo)?;
    let mut problems = problems(&workspace)?;
    if args.alone {
        problems.extend(alone::check(cargo, &workspace)?);
    }
    for warning in papers::long_files(&workspace)? {
        say::result(&format!("warning: {warning}"));
    }
    for problem in &problems {
        say::result(&format!("tidy: {problem}"));
    }
    if problems.is_empty() {
        say::result(&format!("tidy: {} crates, nothing to complain of", workspace.members.len()));
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// What is wrong, without building anything.
pub(crate) fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems =
        direction::check(&workspace.members, &direction::Rows::read(&workspace.text("ARCHITECTURE.md")?));
    problems.extend(purity::check(workspace)?);
    problems.extend(papers::check(workspace)?);
    problems.extend(told::check(workspace)?);
    Ok(problems)
}
