//! `cargo xtask bench`: the benchmarks, built as a release is. They print figures and end with an error only where something
//! is wrong on any machine.

use crate::cargo::{self, Cargo};
use anyhow::Result;
use clap::ValueEnum;
use std::process::ExitCode;

/// See [`run`].
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which ones; all, if none is named.
    names: Vec<Name>,
}

/// A benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The killer under 10,000 alerts a second, and with 20,000 in one body: answers, latency to the eviction, memory.
    Kill,
}

impl Name {
    /// Its package, and what it is called there.
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Kill => ("killer", "kill"),
        }
    }
}

/// Runs one after the other, also after a failure.
pub(crate) fn run(cargo: &Cargo, args: &Args) -> Result<ExitCode> {
    let chosen = if args.names.is_empty() { Name::value_variants() } else { &args.names };
    let mut well = true;
    for name in chosen {
        let (package, bench) = name.place();
        well &= cargo::status(&mut cargo.command(&["bench", "--package", package, "--bench", bench]))?.success();
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
