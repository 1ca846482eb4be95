//! Serves a sandbox cluster, or runs the demo on it.
//!
//! `sandbox serve` is a Kubernetes API, workload controllers, a node and an image registry for one machine, for playing
//! and for trying things out. `sandbox demo` ships releases on it with the real operator and judges, by the API server's
//! request log and the production processes themselves, whether everything went as it should.

mod demo;
mod serve;
mod voice;

use clap::{Parser, Subcommand};
use miette::miette;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// A Kubernetes cluster for one machine: for tests and demonstrations, never for production.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves a sandbox until it is interrupted.
    Serve(serve::Args),
    /// Ships a good release, a bad one and a good one, under load, with the real operator; or has a pod hang, with the real
    /// killer.
    Demo(demo::Args),
}

#[tokio::main]
async fn main() -> miette::Result<ExitCode> {
    let cli = Cli::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| miette!("a TLS provider is installed already"))?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match cli.command {
        Command::Serve(args) => serve::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Demo(args) => demo::run(args).await,
    }
}
