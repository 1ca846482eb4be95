//! Load at a steady rate, and what came back in every second.
//!
//! ```text
//! demo-client http://127.0.0.1:8080/ --rate 1000 --connections 64 --requests-per-connection 50
//! ```
//!
//! Requests are due at fixed times, whether earlier ones were answered or not: after a stall the client catches up, so that a
//! slow server is seen as such and not spared. Each connection is closed after a number of requests, as short-lived clients
//! do, so that a Service spreads them over its pods. Plain HTTP/1.1 GET only.

mod load;
mod tally;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    load::{Load, Target},
    tally::{Second, Tally},
};

/// Holds a rate of requests and prints the response codes of every second.
#[derive(Clone, Debug, Parser)]
#[command(version)]
struct Settings {
    /// What to ask for, as http://127.0.0.1:8080/
    #[arg(value_parser = Target::parse)]
    url: Target,
    /// Requests per second
    #[arg(long, default_value_t = 1000.0, value_parser = rate)]
    rate: f64,
    /// Connections open at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Requests after which a connection is closed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_connection: u32,
    /// Seconds after which to end [default: run until stopped]
    #[arg(long)]
    duration: Option<u64>,
    /// Seconds without an answer that count as a failure
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Print a line of JSON for each second and a last one for all
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if rate > 0.0 && rate <= 1_000_000.0 { Ok(rate) } else { Err("a rate is above 0 and at most 1000000".to_owned()) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    match run(&settings).await {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has gone.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn run(settings: &Settings) -> io::Result<()> {
    let tally = Arc::new(Tally::default());
    let load = Load {
        target: settings.url.clone(),
        rate: settings.rate,
        connections: settings.connections,
        per_connection: settings.requests_per_connection,
        timeout: Duration::from_secs(settings.timeout),
        duration: settings.duration.map(Duration::from_secs),
    };
    let working = load.run(Arc::clone(&tally));
    tokio::pin!(working);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.tick().await;
    let mut number = 0;
    let (mut total, mut done) = (Second::default(), false);
    while !done {
        tokio::select! {
            () = &mut working => done = true,
            _ = seconds.tick() => {}
            _ = terminate.recv() => done = true,
            _ = interrupt.recv() => done = true,
        }
        number += 1;
        let second = tally.take();
        total.add(&second);
        if !(done && second.requests() == 0) {
            print(&second.line(number, settings.json))?;
        }
    }
    print(&total.summary(settings.json))
}

/// The one door through which this program speaks.
fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
