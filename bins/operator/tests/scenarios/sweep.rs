//! One release again and again, each time struck at another of its API requests.

use crate::canary_watch::CanaryWatch;
use crate::world::{Start, World, kill, promotions};
use futures::{StreamExt, stream};
use keeper_sandbox::faults::{Fault, HookPoint, Matcher, When};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many releases run side by side: they mostly wait.
const AT_ONCE: usize = 6;
/// How much later a late request lands: after the next attempt, within the incubation.
const LATE: Duration = Duration::from_millis(1500);
/// After so long without a request of its own, a release whose end was seen is over.
const QUIET: Duration = Duration::from_millis(1500);
/// What is shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    Good,
    Bad,
}

/// What happens at one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// It is carried out, and the operator dies before it has the answer; a new one starts.
    Killed,
    /// The operator dies, a new one starts, and only then the request is carried out.
    KilledAndLate,
    /// It is carried out, and the operator gets no answer.
    ReplyLost,
    /// The operator gets no answer, and only then the request is carried out.
    Late,
}

impl Strike {
    fn kills(self) -> bool {
        matches!(self, Self::Killed | Self::KilledAndLate)
    }

    fn is_late(self) -> bool {
        matches!(self, Self::Late | Self::KilledAndLate)
    }

    /// The requests that are struck. A lost answer to a question is as good as a failed one.
    fn requests(self, world: &World) -> Matcher {
        let all = Matcher::any().verb("create").verb("update").verb("patch").verb("delete");
        let all = all.namespace(&world.namespace);
        if self.kills() { all.verb("get") } else { all.writes() }
    }
}

/// Runs the release once for each of its requests.
pub async fn sweep(release: Release, strike: Strike) {
    let began = Instant::now();
    let (_, undisturbed) = run(release, strike, 0).await;
    println!("{release:?}, undisturbed: {undisturbed} requests that can be struck");
    assert!(undisturbed >= 8, "too few requests for a whole release: {undisturbed}");
    let runs = (1..=undisturbed as u64).map(|nth| async move { (nth, run(release, strike, nth).await) });
    let ran: Vec<_> = stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    for (nth, (_, requests)) in &ran {
        // What was seen is seen again, and what was not answered is asked again; but nothing goes round in circles.
        let most = 2 * undisturbed;
        assert!(*requests <= most, "{strike:?} at request {nth}: {requests} requests, {undisturbed} undisturbed");
    }
    // How many Events and displays there are differs a little with the time things take.
    let struck = ran.iter().filter(|(_, (struck, _))| *struck).count();
    assert!(struck + 3 >= undisturbed, "only {struck} of {undisturbed} requests were struck");
    let costs: Vec<usize> = ran.iter().map(|(_, (_, requests))| *requests).collect();
    println!("{release:?}, {strike:?}: {struck} strikes in {:?}; requests each: {costs:?}", began.elapsed());
}

/// One release, struck at its `nth` request, or not at all; answers whether it was struck and how many requests of the
/// kind that is struck it took.
async fn run(release: Release, strike: Strike, nth: u64) -> (bool, usize) {
    let world = Start::default().label(&format!("{release:?}, {strike:?} at request {nth}")).world().await;
    let old = world.push("1", &[]);
    // Each new operator begins to watch at zero: that takes longer than twice the incubation.
    world.deploy(&old, 2, &[("canary-keeper.dev/max-incubation", "60s")]).await;
    let before = world.revision().await;
    let canaries = CanaryWatch::start(&world);
    let (struck, landed) = arm(&world, strike, nth);
    world.start_operator();
    world.operator_ready().await;
    let new = match release {
        Release::Good => world.push("2", &[]),
        Release::Bad => world.push("2", &[("exit-after", "700ms")]),
    };
    let is_struck = || struck.load(Ordering::SeqCst);
    world.until("it is struck, or over", async || is_struck() || is_over(&world, strike).await).await;
    if is_struck() && strike.kills() {
        world.start_operator();
    }
    if is_struck() && strike.is_late() {
        world.until("the late request lands", async || landed.load(Ordering::SeqCst)).await;
    }
    world.until("it is over", async || is_over(&world, strike).await).await;

    match release {
        Release::Good => world.until_promoted(&new).await,
        Release::Bad => world.until_rejected(&new, &old).await,
    }
    let report = world.report().await;
    let requests = world.requests();
    let wanted = usize::from(release == Release::Good);
    let changed = world.revision().await - before;
    assert_eq!(usize::try_from(changed), Ok(wanted), "production was changed that often\n{report}");
    let sent = promotions(&requests);
    let accepted = sent.iter().filter(|request| request.code == 200).count();
    // A second one is sent only where the first was not answered and has not landed.
    assert!(accepted <= wanted && sent.len() <= 2 * wanted, "sent {}, accepted {accepted}\n{report}", sent.len());
    assert!(canaries.most() <= 1, "{} canaries at once\n{report}", canaries.most());
    assert!(canaries.ever() <= if strike.is_late() { 2 } else { 1 }, "{} canaries\n{report}", canaries.ever());
    (is_struck(), requests.iter().filter(|request| strikes(strike, request)).count())
}

fn strikes(strike: Strike, request: &keeper_sandbox::api::RequestRecord) -> bool {
    request.is_write() || (strike.kills() && !matches!(request.verb.as_str(), "list" | "watch" | "other"))
}

/// Whether the release ended, and nothing more is asked or written.
async fn is_over(world: &World, strike: Strike) -> bool {
    let phase = world.shown().await.0;
    if !matches!(phase.as_str(), "Settled" | "Rejected") || !world.canaries().await.is_empty() {
        return false;
    }
    let requests = world.requests();
    let Some(last) = requests.iter().rfind(|request| strikes(strike, request)) else { return false };
    let quiet = jiff::Timestamp::now().duration_since(last.time);
    quiet >= jiff::SignedDuration::try_from(QUIET).unwrap()
}

/// Whether the strike fell, and whether what was late has landed.
fn arm(world: &World, strike: Strike, nth: u64) -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let (struck, landed) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    if nth == 0 {
        return (struck, landed);
    }
    let (faults, requests) = (world.faults(), strike.requests(world));
    match strike {
        Strike::Killed => {}
        Strike::ReplyLost => drop(faults.add(requests.clone(), When::Nth(nth), Fault::DropReply)),
        Strike::Late | Strike::KilledAndLate => {
            faults.add(requests.clone(), When::Nth(nth), Fault::CommitLate(LATE));
            let landed = Arc::clone(&landed);
            let mark = move |_: &_| landed.store(true, Ordering::SeqCst);
            faults.at(requests.clone(), nth, HookPoint::Committed, mark);
        }
    }
    let point = if strike.is_late() { HookPoint::Before } else { HookPoint::Committed };
    let (operator, mark) = (world.operator(), Arc::clone(&struck));
    faults.at(requests, nth, point, move |_| {
        if strike.kills() {
            kill(&operator);
        }
        mark.store(true, Ordering::SeqCst);
    });
    (struck, landed)
}
