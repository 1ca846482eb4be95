//! `sandbox demo`: releases on a sandbox, under load, with the real operator, or a pod that hangs, with the real killer;
//! judged from outside.

mod alerting;
mod alertmanager;
mod args;
mod audit;
mod cluster;
mod evidence;
mod images;
mod kill;
mod load;
mod log;
pub(crate) mod manifests;
mod operator;
mod outcome;
mod process;
mod prometheus;
mod report;
mod resource;
mod ship;
mod stage;
mod told;

pub(crate) use args::Args;

use self::args::Mode;
use self::images::Release;
use self::report::Summary;
use self::stage::Stage;
use crate::voice::{self, Voice};
use miette::{IntoDiagnostic, WrapErr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the demo; success only if everything ended as it should.
pub(crate) async fn run(args: Args) -> miette::Result<ExitCode> {
    let args = args.checked()?;
    let voice = if args.json { Voice::Stderr } else { Voice::Stdout };
    let dir = directory(&args)?;
    let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
    let played = tokio::select! {
        played = async {
            match args.mode {
                Mode::Annotation | Mode::Resource => play(&args, &dir, voice).await,
                Mode::Kill => kill::play(&args, &dir, voice).await,
            }
        } => played,
        _ = tokio::signal::ctrl_c() => Err(miette::miette!("interrupted")),
        _ = terminate.recv() => Err(miette::miette!("asked to stop")),
    };
    match played {
        Ok(complaints) if complaints.is_empty() => {
            voice.say(match args.mode {
                Mode::Annotation | Mode::Resource => "\nAll releases ended as they should.",
                Mode::Kill => "\nThe pod that hung was removed, once, and replaced.",
            });
            if args.dir.is_none() {
                // Nobody will look at logs that nobody asked for. What can't be removed is the system's to clean.
                let _ = std::fs::remove_dir_all(&dir);
            }
            Ok(ExitCode::SUCCESS)
        }
        Ok(complaints) => {
            voice.say("");
            complaints.iter().for_each(|complaint| voice.say(&format!("FAILED: {complaint}")));
            voice.say(&format!("Logs: {}", dir.display()));
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.wrap_err(format!("the demo did not come to its end; logs: {}", dir.display()))),
    }
}

fn directory(args: &Args) -> miette::Result<PathBuf> {
    let default = || std::env::temp_dir().join(format!("canary-keeper-demo-{}", std::process::id()));
    let dir = args.dir.clone().unwrap_or_else(default);
    std::fs::create_dir_all(&dir).into_diagnostic().wrap_err_with(|| format!("creating {}", dir.display()))?;
    Ok(dir)
}

/// Ships one release after the other; answers everything that speaks against success.
async fn play(args: &Args, dir: &Path, voice: Voice) -> miette::Result<Vec<String>> {
    let start = Instant::now();
    voice.section("A cluster, production, a client and the operator");
    let mut stage = Stage::build(args, dir, voice).await?;
    let mut complaints = Vec::new();
    for (number, release) in (1..).zip(Release::chosen(args.release)) {
        voice.section(&format!("{number}. {}", release.title));
        let (summary, against) = ship::ship(&mut stage, &release, args, voice).await?;
        tell(&summary, &against, &stage, args, voice)?;
        complaints.extend(against.iter().map(|complaint| format!("{}: {complaint}", release.name)));
    }
    voice.section("The end");
    if let Err(error) = stage.down().await {
        complaints.push(format!("{error}"));
    }
    voice.say(&format!("{:.0} s in all", start.elapsed().as_secs_f64()));
    Ok(complaints)
}

fn tell(summary: &Summary, against: &[String], stage: &Stage, args: &Args, voice: Voice) -> miette::Result<()> {
    if args.json {
        voice::result(&serde_json::to_string(summary).into_diagnostic()?);
    }
    voice.say(&format!("verdict   after {} s: {}", summary.seconds_to_verdict, summary.reason));
    voice.say(&format!("client    {} requests, {} errors in all", summary.client.requests, summary.client.errors));
    if stage.log.is_there() {
        let verbs: Vec<_> = summary.api_requests.iter().map(|(verb, count)| format!("{count} {verb}")).collect();
        voice.say(&format!("operator  asked the API server for {}", verbs.join(", ")));
    } else {
        voice.say("not checked: the API server's requests, for want of its audit log (--audit-log)");
    }
    if against.is_empty() {
        let log = if stage.log.is_there() { "in the API server's log and " } else { "" };
        voice.say(&format!("checked   {log}by asking every process: as it should be"));
    }
    Ok(())
}
