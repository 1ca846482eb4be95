//! The application of the demo. A good release answers 200; a bad one fails as its environment says.
//!
//! | path | answers |
//! |---|---|
//! | `/` (and anything else) | 200, or 500 for the share of requests that fail |
//! | `/healthz` | 200 while it is ready for traffic, else 503 |
//! | `/version` | version, image digest and pod, as JSON |
//! | `/metrics` | `http_requests_total{code,method}`, `http_request_duration_seconds`, `process_start_time_seconds` |
//! | `POST /hang` | 200, and from then on no request that counts is answered; the other paths are |
//!
//! Requests for health, version and metrics are not counted. On SIGTERM it stays up for the drain time, unready, and ends
//! every connection with its next answer; then it takes no more, finishes what is open and exits with 0. A cluster needs the
//! drain time to hear that the pod is leaving: a program that stops listening at once costs its clients errors.

mod metrics;
mod serve;
mod settings;

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::{serve::App, settings::Settings};

/// How long open requests may take after the drain time.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    match run(settings).await {
        Ok(code) => code,
        Err(error) => {
            say(&format!("demo-app: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> std::io::Result<ExitCode> {
    let address = settings.address();
    let listener = TcpListener::bind(&address).await?;
    say(&format!("version {} listens on {address}", settings.app_version));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let orphaned = orphaned(settings.exit_with_stdin);
    let (drain, exit_after) = (settings.drain, settings.exit_after);
    let app = Arc::new(App::new(settings));
    let serving = serve::serve(Arc::clone(&app), listener);
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        () = after(exit_after) => {
            say("exits, as it was told to");
            return Ok(ExitCode::FAILURE);
        }
        () = orphaned => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    say("draining");
    app.drain();
    tokio::select! {
        () = &mut serving => {}
        () = tokio::time::sleep(drain) => {}
    }
    app.close();
    // `serving` ends when the last connection has.
    let finished = tokio::time::timeout(FINISH_WITHIN, serving).await.is_ok();
    say(if finished { "ends" } else { "ends with open requests" });
    Ok(ExitCode::SUCCESS)
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Returns when standard input is closed: whoever started this program, and held the other end, is gone.
async fn orphaned(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (gone, heard) = oneshot::channel::<()>();
    // A thread of its own: a blocking read in the runtime would keep it from ending.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = gone.send(());
    });
    let _ = heard.await;
}

/// The one door through which this program speaks.
#[allow(clippy::print_stderr, reason = "a program's own log")]
fn say(line: &str) {
    eprintln!("{line}");
}
