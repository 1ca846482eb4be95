//! `sandbox demo --mode kill`: one pod hangs while it is Ready, an alert names it, and the real killer removes it.

mod alerts;
mod look;
mod rule;
mod scene;
mod shop;
mod story;
mod verdict;

use self::scene::Scene;
use super::args::Args;
use crate::voice::{self, Voice};
use miette::IntoDiagnostic;
use std::path::Path;
use std::time::Instant;

/// Plays it; answers everything that speaks against success.
pub(super) async fn play(args: &Args, dir: &Path, voice: Voice) -> miette::Result<Vec<String>> {
    let start = Instant::now();
    voice.section("A cluster, production, a client, alerts and the killer");
    let mut scene = Scene::build(args, dir, voice).await?;
    voice.section("One pod hangs and stays Ready: it should be removed, once, and replaced");
    let (summary, mut complaints) = story::tell(&mut scene, args, voice).await?;
    if args.json {
        voice::result(&serde_json::to_string(&summary).into_diagnostic()?);
    }
    voice.section("killer history");
    summary.history.iter().for_each(|line| voice.say(line));
    voice.section("The end");
    summary.words().iter().for_each(|line| voice.say(line));
    if let Err(error) = scene.down().await {
        complaints.push(format!("{error}"));
    }
    voice.say(&format!("{:.0} s in all", start.elapsed().as_secs_f64()));
    Ok(complaints)
}
