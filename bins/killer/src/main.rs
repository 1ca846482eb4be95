//! The Canary Keeper killer: it removes pods that alerts say are stuck.
//!
//! Parse, build the parts, run. Everything that can be tested is in the crates.

mod args;
mod history;
mod wire;

use args::{Args, Command, LogFormat};
use clap::Parser;
use miette::{IntoDiagnostic, Result};
use tracing_subscriber::EnvFilter;

fn main() -> Result<()> {
    let args = Args::parse();
    install_log(args.log_format);
    // One provider for everything that speaks TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().into_diagnostic()?;
    runtime.block_on(async {
        match &args.command {
            None => wire::run(&args).await,
            Some(Command::History(asked)) => history::print(&args, asked).await,
        }
    })
}

/// The log on standard error. `RUST_LOG` chooses what is told; `info` by default.
fn install_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).with_ansi(false).init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
}
