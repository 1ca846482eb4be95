//! The API server answers late, wrongly, twice or not at all, and another operator acts on the same namespace.

use crate::canary_watch::CanaryWatch;
use crate::sweep::{Release, Strike, sweep};
use crate::world::{Start, World, accusation, creations, describe, promotions};
use keeper_sandbox::faults::{Fault, HookPoint, Matcher, When};
use kube::ResourceExt;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn watches() -> Matcher {
    Matcher::any().verb("watch")
}

fn creates() -> Matcher {
    Matcher::any().verb("create").resource("pods").writes()
}

/// Writes to the workload: displays, and the one patch of production.
fn patches() -> Matcher {
    Matcher::any().verb("patch").resource("deployments").writes()
}

fn record_updates() -> Matcher {
    Matcher::any().verb("update").resource("configmaps")
}

async fn begin(start: Start, annotations: &[(&str, &str)]) -> (World, String) {
    let world = start.world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, annotations).await;
    world.start_operator();
    world.operator_ready().await;
    (world, old)
}

/// What holds after any one good release, whatever happened: one canary at a time, production changed once.
async fn assert_promoted_once(world: &World, new: &str, revision: i64, canaries: &CanaryWatch) {
    world.until_promoted(new).await;
    assert_eq!(world.revision().await, revision + 1, "{}", world.report().await);
    assert!(canaries.most() <= 1, "{} canaries at once\n{}", canaries.most(), world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_ends_the_same_whichever_reply_is_lost() {
    sweep(Release::Good, Strike::ReplyLost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_release_ends_the_same_whichever_reply_is_lost() {
    sweep(Release::Bad, Strike::ReplyLost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_ends_the_same_whichever_write_lands_late() {
    sweep(Release::Good, Strike::Late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_on_every_first_write_change_nothing() {
    let (world, _) = begin(Start::default(), &[]).await;
    let (revision, canaries) = (world.revision().await, CanaryWatch::start(&world));
    let any = Matcher::any;
    let first = [
        any().verb("create").resource("configmaps"),
        any().verb("create").resource("pods").writes(),
        any().verb("patch").resource("deployments").writes(),
        any().verb("delete").resource("pods"),
        any().verb("create").resource("events"),
    ];
    for write in first {
        world.faults().add(write, When::First(1), Fault::Answer(409));
    }
    // Each of the record's moves: to Incubating, to Promoting, to Settled.
    for nth in [1, 3, 5] {
        world.faults().add(record_updates(), When::Nth(nth), Fault::Answer(409));
    }
    // And the one patch of production.
    let faults = world.faults();
    world.faults().at(record_updates(), 4, HookPoint::Committed, move |_| {
        faults.add(patches(), When::First(1), Fault::Answer(409));
    });
    let new = world.push("2", &[]);
    assert_promoted_once(&world, &new, revision, &canaries).await;
    let refused = world.requests().iter().filter(|request| request.code == 409).count();
    assert!(refused >= 8, "only {refused} conflicts\n{}", world.report().await);
    assert_eq!(canaries.ever(), 1, "{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_go_through_when_a_tenth_of_all_requests_fails() {
    let (world, _) = begin(Start::default(), &[]).await;
    let canaries = CanaryWatch::start(&world);
    let asked = |world: &World| world.requests().iter().filter(|request| request.verb != "watch").count();
    let (before, quiet) = (asked(&world), world.push("2", &[]));
    world.until_promoted(&quiet).await;
    let undisturbed = asked(&world) - before;

    world.faults().add(Matcher::any(), When::Chance(0.05), Fault::Answer(500));
    world.faults().add(Matcher::any(), When::Chance(0.05), Fault::Answer(429));
    for salt in ["3", "4", "5", "6"] {
        let (before, revision) = (asked(&world), world.revision().await);
        let new = world.push(salt, &[]);
        assert_promoted_once(&world, &new, revision, &canaries).await;
        let requests = asked(&world) - before;
        assert!(
            requests <= 3 * undisturbed,
            "{requests} requests, {undisturbed} undisturbed\n{}",
            world.report().await
        );
        println!("{requests} requests with a tenth of them failing, {undisturbed} undisturbed");
    }
    let old = world.production().await;
    let bad = world.push("7", &[("exit-after", "700ms")]);
    world.until_state("rejected", &bad).await;
    world.until("the canary is gone", async || world.canaries().await.is_empty()).await;
    assert_eq!(world.production().await, old);
    assert_eq!(canaries.most(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_break_every_second_change_nothing() {
    let (world, _) = begin(Start::default(), &[]).await;
    let (revision, canaries) = (world.revision().await, CanaryWatch::start(&world));
    world.faults().add(watches(), When::Always, Fault::CutWatch(Duration::from_secs(1)));
    world.faults().cut_watches(watches());
    let new = world.push("2", &[]);
    assert_promoted_once(&world, &new, revision, &canaries).await;
    assert_eq!((canaries.ever(), promotions(&world.requests()).len()), (1, 1), "{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_lags_behind_our_own_writes_repeats_none_of_them() {
    let (world, _) = begin(Start::default(), &[]).await;
    let (revision, canaries) = (world.revision().await, CanaryWatch::start(&world));
    let frozen = |world: &World, writes: Matcher| {
        let (faults, done) = (world.faults(), Arc::<AtomicBool>::default());
        let mark = Arc::clone(&done);
        world.faults().at(writes, 1, HookPoint::Before, move |_| {
            faults.freeze_watches(watches());
            mark.store(true, Ordering::SeqCst);
        });
        done
    };
    // Three looks long nothing of the canary is seen, though it was created.
    let created = frozen(&world, creates());
    let new = world.push("2", &[]);
    world.until("the canary is created unseen", async || created.load(Ordering::SeqCst)).await;
    world.always("there is one canary", Duration::from_secs(3), async || creations(&world.requests()).len() <= 1).await;
    world.faults().clear();
    world.until_state("incubating", &new).await;

    // Nor of the record's move to Promoting and what followed.
    let promoting = frozen(&world, record_updates());
    world.until("the promotion is sent unseen", async || promoting.load(Ordering::SeqCst)).await;
    let once = async || promotions(&world.requests()).len() <= 1;
    world.always("the promotion is sent once", Duration::from_secs(3), once).await;
    world.faults().clear();
    assert_promoted_once(&world, &new, revision, &canaries).await;
    assert_eq!((canaries.ever(), promotions(&world.requests()).len()), (1, 1), "{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_must_be_read_anew_loses_nothing() {
    let (world, _) = begin(Start::default(), &[("canary-duration", "4s")]).await;
    let (revision, canaries) = (world.revision().await, CanaryWatch::start(&world));
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    // 410 in the stream, 410 as status, and lists that fail for a while: what isn't read is not gone.
    let lists = Matcher::any().verb("list");
    world.faults().add(lists.clone(), When::First(8), Fault::Answer(500));
    world.faults().add(watches(), When::First(6), Fault::ExpireWatch);
    world.faults().add(watches(), When::First(6), Fault::Answer(410));
    let listed = world.requests().iter().filter(|request| request.verb == "list").count();
    world.faults().cut_watches(watches());
    assert_promoted_once(&world, &new, revision, &canaries).await;
    assert_eq!((canaries.ever(), promotions(&world.requests()).len()), (1, 1), "{}", world.report().await);
    let again = world.requests().iter().filter(|request| request.verb == "list").count() - listed;
    assert!((6..=40).contains(&again), "{again} lists\n{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_missing_are_told_without_haste_and_used_once_there() {
    let pauses = "--retry-after=3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s";
    let (world, old) = begin(Start::default().flag(pauses), &[]).await;
    let forbidden =
        world.faults().add(Matcher::any().verb("create").resource("pods"), When::Always, Fault::Answer(403));
    let new = world.push("2", &[]);
    world.until_shown("Inconclusive", "Inconclusive").await;
    let told = world.events().await;
    let named = |(reason, note): &(String, String)| reason == "Inconclusive" && note.contains("forbidden");
    assert!(told.iter().any(named), "{told:?}");

    let before = world.requests().len();
    let unchanged = async || world.production().await == world.image(&old) && world.canaries().await.is_empty();
    world.always("nothing happens", Duration::from_secs(10), unchanged).await;
    let requests: Vec<String> = world.requests()[before..].iter().map(describe).collect();
    // Each try costs both dry-runs, a record, an Event and a display.
    assert!(requests.len() <= 30, "{} requests in ten seconds: {requests:?}", requests.len());

    world.faults().remove(forbidden);
    world.until_promoted(&new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_written_starts_nothing_and_is_tried_without_haste() {
    let (world, old) = begin(Start::default(), &[]).await;
    let records = Matcher::any().resource("configmaps").writes();
    let forbidden = world.faults().add(records, When::Always, Fault::Answer(403));
    let before = world.requests().len();
    let new = world.push("2", &[]);
    let unchanged = async || world.production().await == world.image(&old) && world.canaries().await.is_empty();
    world.always("nothing happens", Duration::from_secs(6), unchanged).await;
    let requests: Vec<String> = world.requests()[before..].iter().map(describe).collect();
    assert!(creations(&world.requests()).is_empty(), "{requests:?}");
    // Half a second, doubled each time: at most six tries of both dry-runs and the record.
    assert!(requests.len() <= 30, "{} requests in six seconds: {requests:?}", requests.len());
    world.faults().remove(forbidden);
    world.until_promoted(&new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_make_one_canary_and_one_promotion() {
    let (world, old) = begin(Start::default(), &[]).await;
    world.start_second_operator();
    world
        .until("both have asked the registry", async || {
            world.requests().iter().filter(|request| request.verb == "watch").count() >= 12
        })
        .await;
    let canaries = CanaryWatch::start(&world);
    let mut production = old;
    for salt in ["2", "3", "4"] {
        let revision = world.revision().await;
        let new = world.push(salt, &[]);
        assert_promoted_once(&world, &new, revision, &canaries).await;
        let bad = world.push(&format!("bad {salt}"), &[("exit-after", "700ms")]);
        world.until_state("rejected", &bad).await;
        world.until("the canary is gone", async || world.canaries().await.is_empty()).await;
        production = new;
    }
    assert_eq!(world.production().await, world.image(&production));
    assert_eq!((canaries.most(), canaries.ever()), (1, 6), "{}", world.report().await);
    let asked = world.requests().iter().filter(|request| request.verb != "watch").count();
    println!("{asked} requests of two operators for six releases");
    assert!(asked <= 6 * 60, "{asked} requests\n{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_promotion_that_lands_after_the_canary_was_condemned_is_refused() {
    let (world, old) = begin(Start::default(), &[]).await;
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    let canary = world.canaries().await.first().unwrap().name_any();
    let (door, alert) = (world.door(), accusation(&world, &canary));
    let (taken, landed) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let (noted, mark, faults) = (Arc::clone(&taken), Arc::clone(&landed), world.faults());
    // The promotion is on its way when an alert is stored, and lands when the operator has decided upon that.
    world.faults().at(record_updates(), 1, HookPoint::Committed, move |_| {
        faults.add(patches(), When::Nth(1), Fault::CommitLate(Duration::from_secs(4)));
        faults.at(patches(), 1, HookPoint::Committed, move |_| mark.store(true, Ordering::SeqCst));
        faults.at(patches(), 1, HookPoint::Before, move |_| {
            let code = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(door.post(alert)));
            noted.store(code.into(), Ordering::SeqCst);
        });
    });
    world.until_state("rejected", &new).await;
    assert_eq!(taken.load(Ordering::SeqCst), 200);
    assert!(!landed.load(Ordering::SeqCst), "the patch was not late enough to tell");
    world.until("the late promotion lands", async || landed.load(Ordering::SeqCst)).await;
    world.until_rejected(&new, &old).await;
    let (image, untouched) = (world.image(&old), async || world.production().await);
    world.always("production is untouched", Duration::from_secs(1), async || untouched().await == image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_lands_after_its_run_was_given_up_is_not_judged() {
    let (world, _) = begin(Start::default(), &[]).await;
    let canaries = CanaryWatch::start(&world);
    let landed = Arc::<AtomicBool>::default();
    let mark = Arc::clone(&landed);
    // Later than production's own rollout of the edit, on which the other run waits, on a busy machine.
    world.faults().add(creates(), When::Nth(1), Fault::CommitLate(Duration::from_secs(15)));
    let refused = world.faults().add(creates(), When::From(1), Fault::Refuse);
    world.faults().at(creates(), 1, HookPoint::Committed, move |_| mark.store(true, Ordering::SeqCst));
    let new = world.push("2", &[]);
    world.until_state("launching", &new).await;
    let run = async || world.record().await.unwrap().pointer("/state/run/id").cloned();
    let first = run().await;
    assert!(first.is_some());

    // Another run of the same digest, on the edited template.
    let env = json!([{"name": "shop", "env": [{"name": "EDIT", "value": "1"}]}]);
    edit(&world, env).await;
    world.until("there is another run", async || run().await.is_some_and(|run| Some(run) != first)).await;
    assert!(!landed.load(Ordering::SeqCst), "the canary was not late enough to tell");
    world.until("the late canary lands", async || landed.load(Ordering::SeqCst)).await;
    let late = world.canaries().await.first().and_then(|pod| pod.labels().get("canary-keeper.dev/run").cloned());
    world.until("it is gone", async || canaries.ever() == 1 && world.canaries().await.is_empty()).await;
    assert_eq!(world.state().await, ("launching".to_owned(), new.clone()), "{}", world.report().await);
    world.faults().remove(refused);
    world.until_promoted(&new).await;
    assert_eq!((canaries.most(), canaries.ever()), (1, 2), "{}", world.report().await);
    let promoted = world.deployment_now().await.labels()["canary-keeper.dev/run"].clone();
    assert!(late.is_none_or(|late| late != promoted) && first != Some(json!(promoted)));
}

/// Changes the environment of production's containers.
async fn edit(world: &World, containers: serde_json::Value) {
    use kube::api::{Patch, PatchParams};
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let api = world.api(&crate::world::deployments());
    api.patch("shop", &PatchParams::default(), &Patch::Strategic(&patch)).await.unwrap();
}
