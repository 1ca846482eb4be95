//! The Canary Keeper operator: it ships every new image through a canary.
//!
//! Parse, build the parts, run. Everything that can be tested is in the crates.

mod args;
mod log;
mod providers;
mod signals;
mod templates;
mod wire;

use args::Args;
use clap::Parser;
use miette::{IntoDiagnostic, Result};

fn main() -> Result<()> {
    let args = Args::parse();
    log::install(args.log_format);
    // One provider for everything that speaks TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().into_diagnostic()?;
    runtime.block_on(wire::run(args))
}
