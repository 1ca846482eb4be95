//! The operator dies at each of its requests of a release that a Canary asks for, and another one goes on.

use crate::canary_world::*;
use crate::world::{PATIENCE, Start, World, kill, promotions};
use futures::{StreamExt, stream};
use keeper_sandbox::faults::{Fault, HookPoint, Matcher, When};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many releases run side by side: they mostly wait.
const AT_ONCE: usize = 6;

/// How much later a late request lands: after the next attempt, within the incubation.
const LATE: Duration = Duration::from_millis(1500);

/// What happens at one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    /// It is carried out, and the operator dies before it has the answer.
    Killed,
    /// The operator dies, a new one starts, and only then the request is carried out.
    KilledAndLate,
    /// It is carried out, and the operator gets no answer.
    ReplyLost,
}

impl Strike {
    fn kills(self) -> bool {
        matches!(self, Self::Killed | Self::KilledAndLate)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    Good,
    Bad,
    /// Of a production that does not exist yet.
    First,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_canary_ends_the_same_wherever_the_operator_dies() {
    sweep(Release::Good, Strike::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_creation_ends_the_same_wherever_the_operator_dies() {
    sweep(Release::First, Strike::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_canary_ends_the_same_when_a_dead_operators_request_lands_late() {
    sweep(Release::Good, Strike::KilledAndLate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_canary_ends_the_same_wherever_the_operator_dies() {
    sweep(Release::Bad, Strike::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_canary_ends_the_same_whichever_answer_is_lost() {
    sweep(Release::Good, Strike::ReplyLost).await;
}

async fn sweep(release: Release, strike: Strike) {
    let (_, undisturbed) = run(release, strike, 0).await;
    println!("{release:?}, undisturbed: {undisturbed} writes");
    assert!(undisturbed >= 5, "too few writes for a whole release: {undisturbed}");
    let runs = (1..=undisturbed as u64).map(|nth| async move { run(release, strike, nth).await });
    let ran: Vec<_> = stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    let struck = ran.iter().filter(|(struck, _)| *struck).count();
    assert!(struck + 3 >= undisturbed, "only {struck} of {undisturbed} writes were struck");
}

/// One release, struck at its `nth` write, or not at all; answers whether it was struck, and how many writes it took.
async fn run(release: Release, strike: Strike, nth: u64) -> (bool, usize) {
    let world = Start::default().label(&format!("{release:?}, {strike:?} at write {nth}")).world().await;
    install(&world).await;
    let old = world.image(&world.push("1", &[]));
    let is_first = release == Release::First;
    let before = if is_first {
        0
    } else {
        produce(&world, "shop", &old, 2).await;
        world.revision().await
    };
    let (struck, landed) = arm(&world, strike, nth);
    world.start_operator();
    world.operator_ready().await;
    let good = release != Release::Bad;
    let script: &[(&str, &str)] = if good { &[] } else { &[("exit-after", "700ms")] };
    let new = world.image(&world.push("2", script));
    // Each new operator begins to watch at zero.
    let mut asked = canary("shop", SHORT, &wanted(&world, "shop", &new));
    asked["spec"]["maxIncubation"] = "60s".into();
    world.create(&canary_kind(), asked).await;
    let is_struck = || struck.load(Ordering::SeqCst);
    let is_over = async || {
        let phase = status(&world, "shop").await["phase"].clone();
        (phase == "Settled" || phase == "Rejected") && world.canaries().await.is_empty()
    };
    until(&world, "it is struck, or over", async || is_struck() || is_over().await).await;
    if is_struck() && strike.kills() {
        world.start_operator();
    }
    if is_struck() && strike == Strike::KilledAndLate {
        until(&world, "the late request lands", async || landed.load(Ordering::SeqCst)).await;
    }
    let status = if good {
        until(&world, "it is promoted", async || condition(&world, "shop", "Promoted").await == "True").await;
        until_promoted(&world, "shop").await
    } else {
        let status = until_status(&world, "shop", "Rejected", "Rejected").await;
        until_gone(&world).await;
        status
    };
    // What is still to be told and shown.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let report = format!("{status:#}\n{}", world.report().await);
    let expected = if good { &new } else { &old };
    assert_eq!(image_of(&world, "shop").await, *expected, "{report}");
    let changed = world.revision().await - before;
    assert_eq!(usize::try_from(changed), Ok(usize::from(good)), "production was changed that often\n{report}");
    let requests = world.requests();
    let accepted = promotions(&requests).iter().filter(|request| request.code == 200).count();
    assert!(accepted <= usize::from(good), "{accepted} promotions\n{report}");
    // One whose answer was lost is not counted.
    let most = if strike == Strike::KilledAndLate { 2 } else { 1 };
    assert!(trials(&requests).len() <= if is_first { 0 } else { most }, "canaries\n{report}");
    (is_struck(), requests.iter().filter(|request| request.is_write()).count())
}

/// As [`World::until`], where production may not exist yet.
async fn until(world: &World, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        let status = status(world, "shop").await;
        assert!(Instant::now() < deadline, "gave up waiting until {what}: {status:#}\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether the strike fell, and whether what was late has landed.
fn arm(world: &World, strike: Strike, nth: u64) -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let (struck, landed) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    if nth == 0 {
        return (struck, landed);
    }
    let all = Matcher::any().verb("create").verb("update").verb("patch").verb("delete");
    let writes = all.namespace(&world.namespace).writes();
    if strike == Strike::ReplyLost {
        world.faults().add(writes.clone(), When::Nth(nth), Fault::DropReply);
    }
    let mut point = HookPoint::Committed;
    if strike == Strike::KilledAndLate {
        world.faults().add(writes.clone(), When::Nth(nth), Fault::CommitLate(LATE));
        let landed = Arc::clone(&landed);
        world.faults().at(writes.clone(), nth, point, move |_| landed.store(true, Ordering::SeqCst));
        point = HookPoint::Before;
    }
    let (operator, mark) = (world.operator(), Arc::clone(&struck));
    world.faults().at(writes, nth, point, move |_| {
        if strike.kills() {
            kill(&operator);
        }
        mark.store(true, Ordering::SeqCst);
    });
    (struck, landed)
}
