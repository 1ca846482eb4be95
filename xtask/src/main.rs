//! The project's own commands: `cargo xtask demo | sandbox | crds | tidy | test | model | e2e | bench`.
//!
//! It starts programs (cargo, our binaries, a control plane) and links none of our crates: it is built in seconds, and
//! what it says of a crate it learned from outside, from `cargo metadata` and the source text.

mod bench;
mod cargo;
mod cluster;
mod crds;
mod e2e;
mod missing;
mod model;
mod say;
mod test;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The project's own commands. Each needs only cargo unless it says otherwise.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// Never use the network: everything needed was fetched before (`cargo fetch`).
    #[arg(long, global = true)]
    offline: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ships a good release, a bad one and a good one on a sandbox cluster, under load, with the real operator.
    Demo(cluster::Demo),
    /// Serves a sandbox cluster to play with; kubectl works on it.
    Sandbox(cluster::Sandbox),
    /// Writes the CustomResourceDefinition of a Canary to deploy/crd.
    Crds,
    /// Checks what the design promises of the crates: direction, purity, documentation.
    Tidy(tidy::Args),
    /// Everything that must hold: format, lints, tests, docs, tidy.
    Test,
    /// The whole model check of the rollout machine, with its ablations.
    Model,
    /// The scenarios and the demo on a real control plane. Needs root, and Go the first time.
    E2e(e2e::Args),
    /// The benchmarks, built as a release is (minutes, the first time).
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            say::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let cargo = cargo::Cargo::find(cli.offline)?;
    match &cli.command {
        Command::Demo(demo) => cluster::demo(&cargo, demo),
        Command::Sandbox(sandbox) => cluster::sandbox(&cargo, sandbox),
        Command::Crds => crds::run(&cargo),
        Command::Tidy(args) => tidy::run(&cargo, args),
        Command::Test => test::run(&cargo),
        Command::Model => model::run(&cargo),
        Command::E2e(args) => e2e::run(&cargo, args),
        Command::Bench(args) => bench::run(&cargo, args),
    }
}
