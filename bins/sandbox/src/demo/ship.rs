//! One release: the image is pushed, the operator decides, and what happened is judged from outside.

use super::args::{Args, Choice};
use super::cluster::Production;
use super::evidence::Evidence;
use super::images::Release;
use super::manifests::{REPOSITORY, TAG};
use super::report::{Client, Summary};
use super::stage::Stage;
use crate::voice::Voice;
use jiff::SignedDuration;
use keeper_sandbox::api::RequestLog;
use miette::miette;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How often the cluster is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long launching, and production's own rollout, may take beside the incubation.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the canary may need to be gone after the verdict.
const GONE_WITHIN: Duration = Duration::from_secs(45);
/// Seconds without an error that count as "back to zero".
const CLEAN: u64 = 3;

/// How a release ended.
struct Verdict {
    outcome: String,
    reason: String,
    after: Duration,
}

/// What is known before the image is pushed.
struct Before {
    production: Production,
    client: Client,
    sequence: u64,
    pushed: Instant,
}

/// Ships one image; answers the summary and what speaks against it.
pub(super) async fn ship(
    stage: &mut Stage,
    release: &Release,
    args: &Args,
    voice: Voice,
) -> miette::Result<(Summary, Vec<String>)> {
    let before = Before {
        production: stage.cluster.production().await?,
        client: stage.load.so_far(),
        sequence: log(stage)?.total(),
        pushed: Instant::now(),
    };
    let digest = stage.sandbox.registry().push(REPOSITORY, TAG, &release.image(&stage.programs.app));
    voice.say(&format!("pushed    {digest} as {TAG}"));

    let verdict = decided(stage, &digest, args, &before).await?;
    let canaries = gone(stage, &before, args).await?;
    let mut complaints = Vec::new();
    let clean = stage.load.clean_for(CLEAN, GONE_WITHIN).await;
    if !clean {
        complaints.push(format!("the client was not {CLEAN} seconds without an error after the verdict"));
    }
    stage.load.seconds(1).await?;

    let production = stage.cluster.production().await?;
    let client = stage.load.so_far().since(before.client);
    let records = log(stage)?.after(before.sequence);
    let incubation = SignedDuration::from_secs(args.incubation.into());
    let evidence = Evidence { records: &records, digest: &digest, incubation };
    let summary = Summary {
        release: release.name.into(),
        outcome: verdict.outcome,
        reason: verdict.reason,
        production_image: production.image.clone(),
        canary_pods_left: canaries,
        seconds_to_verdict: (verdict.after.as_secs_f64() * 10.0).round() / 10.0,
        client,
        api_requests: evidence.requests(),
        digest: digest.clone(),
    };
    complaints.extend(against(stage, release, &summary, &before, &production, &evidence, args).await?);
    Ok((summary, complaints))
}

fn log(stage: &Stage) -> miette::Result<&RequestLog> {
    let api = stage.sandbox.api().ok_or_else(|| miette!("the sandbox has no API server of its own"))?;
    Ok(api.requests())
}

/// Waits until the operator has come to an end with this digest.
async fn decided(stage: &mut Stage, digest: &str, args: &Args, before: &Before) -> miette::Result<Verdict> {
    let patience = PATIENCE + Duration::from_secs(args.incubation.into()) * 2;
    let verdict =
        |outcome: &str, reason: String| Verdict { outcome: outcome.into(), reason, after: before.pushed.elapsed() };
    loop {
        stage.operator.check()?;
        let production = stage.cluster.production().await?;
        let [phase, reason, message] = production.shown;
        if let Some(outcome) = outcome(&phase, &reason, &message, &production.image, digest) {
            return Ok(verdict(outcome, message));
        }
        if before.pushed.elapsed() > patience {
            return Ok(verdict(
                "undecided",
                format!("after {patience:?} the operator shows {phase} {reason}: {message}"),
            ));
        }
        sleep(LOOK).await;
    }
}

/// What phase and reason come to, if they are the end and speak of this digest.
fn outcome(phase: &str, reason: &str, message: &str, image: &str, digest: &str) -> Option<&'static str> {
    let short = digest.get(.."sha256:".len() + 12)?;
    if !message.contains(short) {
        return None;
    }
    match phase {
        "Settled" if reason.starts_with("Promoted") && image.ends_with(digest) => Some("promoted"),
        "Rejected" => Some("rejected"),
        "Inconclusive" => Some("inconclusive"),
        "Held" => Some("held"),
        _ => None,
    }
}

/// Waits until the canary is gone and production is complete; answers how many canaries are left.
async fn gone(stage: &Stage, before: &Before, args: &Args) -> miette::Result<usize> {
    let start = Instant::now();
    loop {
        let canaries = stage.cluster.canaries().await?;
        let complete = stage.cluster.production().await?.complete;
        if (canaries == 0 && complete)
            || start.elapsed() > GONE_WITHIN
            || before.pushed.elapsed() > PATIENCE * 3 + Duration::from_secs(args.incubation.into())
        {
            return Ok(canaries);
        }
        sleep(LOOK).await;
    }
}

/// Everything that speaks against the release having gone as it should.
async fn against(
    stage: &Stage,
    release: &Release,
    summary: &Summary,
    before: &Before,
    production: &Production,
    evidence: &Evidence<'_>,
    args: &Args,
) -> miette::Result<Vec<String>> {
    let mut complaints = Vec::new();
    if summary.outcome != release.expected() {
        complaints.push(format!(
            "it was {}, and {} was right: {}",
            summary.outcome,
            release.expected(),
            summary.reason
        ));
    }
    if summary.canary_pods_left > 0 {
        complaints.push(format!("{} canary pods are left", summary.canary_pods_left));
    }
    if summary.client.requests == 0 {
        complaints.push("the client sent nothing".into());
    }
    let runs = match release.choice {
        Choice::Good => {
            complaints.extend(evidence.against_promotion());
            if !summary.production_image.ends_with(&format!("@{}", summary.digest)) {
                complaints.push(format!(
                    "production's image is {}, not the digest that was judged",
                    summary.production_image
                ));
            }
            if summary.client.errors > 0 {
                complaints.push(format!("a good release cost the client {} errors", summary.client.errors));
            }
            summary.digest.as_str()
        }
        Choice::Bad => {
            complaints.extend(evidence.against_rejection());
            if (production.generation, &production.template)
                != (before.production.generation, &before.production.template)
            {
                complaints.push("production was touched".into());
            }
            if summary.client.errors == 0 {
                complaints.push("the client saw no error: the bad canary got no traffic".into());
            }
            before.production.image.rsplit_once('@').map_or("", |(_, digest)| digest)
        }
    };
    complaints.extend(stage.cluster.against_processes(runs, args.replicas).await?);
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef";

    #[test]
    fn an_outcome_is_of_this_digest_or_none() {
        let image = format!("r/shop/app@{DIGEST}");
        let of = |phase: &str, reason: &str, message: &str, image: &str| outcome(phase, reason, message, image, DIGEST);
        assert_eq!(of("Settled", "Promoted", "production runs sha256:0123456789ab: watched", &image), Some("promoted"));
        assert_eq!(
            of("Settled", "Promoted", "production runs sha256:0123456789ab: watched", "r/shop/app@sha256:ff"),
            None
        );
        assert_eq!(of("Settled", "UpToDate", "production runs sha256:0123456789ab, which the tag names", &image), None);
        assert_eq!(of("Rejected", "Rejected", "sha256:0123456789ab is rejected: errors", "x"), Some("rejected"));
        assert_eq!(of("Rejected", "Rejected", "sha256:ffffffffffff is rejected: errors", "x"), None);
        assert_eq!(of("Incubating", "CanaryIncubating", "the canary of sha256:0123456789ab is Ready", "x"), None);
    }
}
