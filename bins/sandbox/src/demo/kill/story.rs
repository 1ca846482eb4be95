//! What happens: all is well, one pod hangs, it is gone, all is well again.

use super::scene::Scene;
use super::shop::Member;
use super::verdict::{Clients, Evidence, Summary};
use crate::demo::args::Args;
use crate::voice::Voice;
use jiff::Timestamp;
use miette::miette;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long the client is watched before and after, in seconds.
const CALM: u64 = 4;
/// How long it may take in all from the moment when the pod hangs until it is gone and all are serving again.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long the client's errors may take to stop after that.
const CLEAN_WITHIN: Duration = Duration::from_secs(15);
/// How often the cluster is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Tells it; answers the summary and what speaks against it.
pub(super) async fn tell(scene: &mut Scene, args: &Args, voice: Voice) -> miette::Result<(Summary, Vec<String>)> {
    let start = scene.load.so_far();
    scene.load.seconds(CALM).await?;
    let calm = scene.load.so_far();
    let hung = chosen(scene).await?;
    scene.shop.hang(&hung).await?;
    let (hung_at, since) = (Timestamp::now(), Instant::now());
    voice.say(&format!("hangs     {} (uid {})", hung.name, hung.uid));

    let mut complaints = hangs_while_ready(scene, &hung).await?;
    let gone = within(scene, since, async |scene| {
        Ok(!scene.shop.members().await?.iter().any(|member| member.uid == hung.uid))
    });
    let gone = gone.await?.then(|| since.elapsed());
    voice.say(&format!("{} {}", if gone.is_some() { "gone     " } else { "NOT gone " }, hung.name));
    let serving =
        within(scene, since, async |scene| serving(scene, args.replicas).await).await?.then(|| since.elapsed());
    let clean = scene.load.clean_for(3, CLEAN_WITHIN).await;

    let (over, before) = (scene.load.so_far(), scene.shop.counters().await?);
    scene.load.seconds(CALM).await?;
    let (end, after) = (scene.load.so_far(), scene.shop.counters().await?);
    let evidence = Evidence {
        hung: &hung,
        records: &scene.sandbox.api().ok_or_else(|| miette!("the sandbox has no API server"))?.requests().records(),
        notes: &scene.shop.notes("PodKilled").await?,
        history: &scene.history().await?,
        client: Clients { before: calm.since(start), during: over.since(calm), after: end.since(over) },
        gone,
        serving,
        clean,
        counters: (&before, &after),
    };
    let summary = evidence.summary(hung_at, scene.alerts.who());
    complaints.extend(evidence.against());
    Ok((summary, complaints))
}

/// The pod that is to hang: one that serves.
async fn chosen(scene: &Scene) -> miette::Result<Member> {
    let members = scene.shop.members().await?;
    members.into_iter().find(|member| member.ready && member.stays).ok_or_else(|| miette!("no pod is ready"))
}

/// Looks whether it is stuck the way that probes don't see.
async fn hangs_while_ready(scene: &mut Scene, hung: &Member) -> miette::Result<Vec<String>> {
    let mut complaints = Vec::new();
    let count = scene.shop.answered(hung).await.ok();
    scene.load.seconds(2).await?;
    if count.is_none() || scene.shop.answered(hung).await.ok() != count {
        complaints.push(format!("{} still made progress after it was told to hang", hung.name));
    }
    if !scene.shop.members().await?.iter().any(|member| member.uid == hung.uid && member.ready) {
        complaints.push(format!("{} did not stay Ready while it hung", hung.name));
    }
    Ok(complaints)
}

/// Whether as many pods as are wanted are Ready, and each process answers.
async fn serving(scene: &Scene, replicas: u32) -> miette::Result<bool> {
    let members = scene.shop.members().await?;
    let mut count = 0;
    for member in members.iter().filter(|member| member.stays) {
        if !(member.ready && scene.shop.serves(member).await) {
            return Ok(false);
        }
        count += 1;
    }
    Ok(count == replicas && scene.cluster.production().await?.complete)
}

/// Waits until it holds; false when it does not within our patience since then.
async fn within(
    scene: &mut Scene,
    since: Instant,
    mut holds: impl AsyncFnMut(&Scene) -> miette::Result<bool>,
) -> miette::Result<bool> {
    loop {
        scene.check()?;
        if holds(scene).await? {
            return Ok(true);
        }
        if since.elapsed() > PATIENCE {
            return Ok(false);
        }
        sleep(LOOK).await;
    }
}
