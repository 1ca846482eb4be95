//! One release: the image is pushed, the operator decides, and what happened is judged from outside.

use super::args::{Args, Choice, Mode};
use super::evidence::Evidence;
use super::images::Release;
use super::manifests::{REPOSITORY, TAG};
use super::outcome::{Outcome, outcome};
use super::report::Summary;
use super::resource;
use super::stage::Stage;
use super::told::Told;
use crate::voice::Voice;
use jiff::SignedDuration;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How often the cluster is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long launching, and production's own rollout, may take beside the incubation.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the canary and production's own rollout may take to be gone and done after the verdict.
const GONE_WITHIN: Duration = Duration::from_secs(45);
/// How long replaced pods may still answer: what that costs the client belongs to the release.
const AFTERMATH: u64 = 3;
/// Seconds without an error that count as "back to zero".
const CLEAN: u64 = 3;

/// What the operator came to.
struct Verdict {
    outcome: &'static str,
    reason: String,
    after: Duration,
}

/// Ships one image; answers the summary and what speaks against it.
pub(super) async fn ship(
    stage: &mut Stage,
    release: &Release,
    args: &Args,
    voice: Voice,
) -> miette::Result<(Summary, Vec<String>)> {
    let before = stage.cluster.production().await?;
    let client = stage.load.so_far();
    let mark = stage.log.mark(&stage.sandbox)?;
    let told = Told::so_far(stage).await?;
    let digest = push(stage, release, args, voice).await?;

    let verdict = decided(stage, &digest, args).await?;
    let canaries = gone(stage).await?;
    stage.load.seconds(AFTERMATH).await?;
    let clean = stage.load.clean_for(CLEAN, GONE_WITHIN).await;

    let after = stage.cluster.production().await?;
    let records = stage.log.since(mark, &stage.sandbox)?;
    let incubation = SignedDuration::from_secs(args.incubation.into());
    let evidence = Evidence { records: &records, digest: &digest, incubation };
    let summary = Summary {
        release: release.name.into(),
        outcome: verdict.outcome.into(),
        reason: verdict.reason,
        digest: digest.clone(),
        production_image: after.image.clone(),
        canary_pods_left: canaries,
        seconds_to_verdict: (verdict.after.as_secs_f64() * 10.0).round() / 10.0,
        client: stage.load.so_far().since(client),
        api_requests: evidence.requests(),
    };
    let outcome = Outcome { release, summary: &summary, before: &before, after: &after, clean };
    let mut complaints = outcome.against();
    if stage.log.is_there() {
        complaints.extend(match release.choice {
            Choice::Good => evidence.against_promotion(),
            Choice::Bad => evidence.against_rejection(),
        });
    }
    complaints.extend(told.against(&Told::so_far(stage).await?, release.choice));
    complaints.extend(stage.cluster.against_processes(outcome.runs(), args.replicas).await?);
    Ok((summary, complaints))
}

/// Pushes the image, and in resource mode asks for it; answers its digest.
async fn push(stage: &Stage, release: &Release, args: &Args, voice: Voice) -> miette::Result<String> {
    let tag = match args.mode {
        Mode::Annotation | Mode::Kill => TAG.to_owned(),
        Mode::Resource => resource::tag(release),
    };
    let digest = stage.sandbox.registry().push(REPOSITORY, &tag, &release.image(&stage.programs.app));
    voice.say(&format!("pushed    {digest} as {tag}"));
    if args.mode == Mode::Resource {
        let image = stage.sandbox.registry().pull_spec(REPOSITORY, &tag);
        stage.cluster.ask(resource::canary(&image, args)).await?;
        voice.say(&format!("asked     by the Canary for {image}"));
    }
    Ok(digest)
}

/// Waits until the operator has come to an end with this digest.
async fn decided(stage: &mut Stage, digest: &str, args: &Args) -> miette::Result<Verdict> {
    let start = Instant::now();
    let patience = PATIENCE + Duration::from_secs(args.incubation.into()) * 2;
    loop {
        stage.operator.check()?;
        let production = stage.cluster.production().await?;
        let after = start.elapsed();
        if let Some(outcome) = outcome(&production, digest) {
            return Ok(Verdict { outcome, reason: production.message, after });
        }
        if after > patience {
            let reason =
                format!("the operator shows {} {}: {}", production.phase, production.reason, production.message);
            return Ok(Verdict { outcome: "undecided", reason, after });
        }
        sleep(LOOK).await;
    }
}

/// Waits until the canary is gone and production is complete; answers how many canaries are left.
async fn gone(stage: &Stage) -> miette::Result<usize> {
    let start = Instant::now();
    loop {
        let canaries = stage.cluster.canaries().await?;
        let complete = stage.cluster.production().await?.complete;
        if (canaries == 0 && complete) || start.elapsed() > GONE_WITHIN {
            return Ok(canaries);
        }
        sleep(LOOK).await;
    }
}
