use super::case::Case;
use super::{command, watch};
use crate::guard::Guard;
use crate::observation::{Canary, Production, Reach, Read, Refused, Trouble, Wanted};
use crate::record::{Run, Sending, State, Watched};
use crate::{Afresh, Because, Command, Fault, Obstacle, Order, Proof, Record, RunId, Step, Verb};
use keeper_signal::Verdict;

/// A canary is wanted and not yet Ready.
pub(super) fn launching(case: &Case<'_>, run: &Run) -> Step {
    // What condemns it is remembered in the ledger, however late it is.
    if let Some(fault) = condemned(case, run).filter(|_| case.see.workload.opted_in) {
        return case.reject(run, fault);
    }
    if case.see.workload.opted_in && case.passed(run.began, case.plan.launch_deadline) && !is_ready(case, run) {
        return overdue(case, run);
    }
    if let Some(step) = ended_by_others(case, run) {
        return step;
    }
    let Some(canary) = case.mine(run) else { return create(case, run) };
    if let Some(trouble @ Trouble::ImageNotFound(_)) = &canary.trouble {
        return case.reject(run, Fault::Trouble(trouble.clone()));
    }
    if canary.terminating {
        return case.wait(Because::CanaryInTheWay);
    }
    if !canary.ready {
        return case.wait(Because::WaitingForReady(canary.trouble.clone()));
    }
    let watched = Watched {
        canary: canary.uid.clone(),
        ready_changed: canary.ready_changed,
        began: case.now,
        observed: std::time::Duration::ZERO,
    };
    let record = Record { state: State::Incubating(run.clone(), watched), ..case.record.clone() };
    case.write(record, Because::CanaryIncubating(run.revision.clone()), None)
}

fn is_ready(case: &Case<'_>, run: &Run) -> bool {
    case.mine(run).is_some_and(|canary| canary.ready && !canary.terminating)
}

/// What kept the canary from starting decides the outcome.
fn overdue(case: &Case<'_>, run: &Run) -> Step {
    let Some(canary) = case.mine(run) else {
        let paused = case.see.workload.paused;
        return if paused { pause(case, run) } else { case.inconclusive(run, Obstacle::NotCreated) };
    };
    match &canary.trouble {
        Some(trouble) if trouble.is_the_images_fault() => case.reject(run, Fault::Trouble(trouble.clone())),
        Some(trouble) => case.inconclusive(run, Obstacle::CannotStart(trouble.clone())),
        None if canary.terminating => case.inconclusive(run, Obstacle::NotCreated),
        None => case.reject(run, Fault::NeverReady(case.plan.launch_deadline)),
    }
}

/// Paused before there was a canary: nothing is lost by starting over.
fn pause(case: &Case<'_>, run: &Run) -> Step {
    case.settle(Because::Paused(run.revision.clone()))
}

fn create(case: &Case<'_>, run: &Run) -> Step {
    if case.see.workload.paused {
        return case.wait(Because::Paused(run.revision.clone()));
    }
    if let Some(refusal) = case.see.refused.as_ref().filter(|refusal| refusal.what == Refused::Create) {
        return case.inconclusive(run, Obstacle::Refused(refusal.message.clone()));
    }
    let order = Order::CreateCanary { revision: run.revision.clone(), run: run.id.clone() };
    Step { orders: vec![order], ..case.wait(Because::CanaryLaunching(run.revision.clone())) }
}

/// A canary is being watched.
pub(super) fn incubating(case: &Case<'_>, run: &Run, watched: &Watched) -> Step {
    if let Some(step) = ended_by_others(case, run) {
        return step;
    }
    let Some(canary) = case.mine(run) else { return lost(case, run) };
    if canary.terminating {
        return case.wait(Because::CanaryInTheWay);
    }
    if canary.uid != watched.canary {
        return case.discard(&canary.uid);
    }
    if let Some(fault) = unhealthy(case) {
        return case.reject(run, fault);
    }
    let moved = case.guards.on(Guard::ReadyTransition) && canary.ready_changed != watched.ready_changed;
    if moved || !canary.ready {
        return in_time(case, run, watched, start_at_zero(case, run, watched, canary));
    }
    if let Some(command) = promote_command(case, run) {
        let step = promote(case, run, watched, Some(command), Proof::Person);
        return in_time(case, run, watched, step);
    }
    let step = watching(case, run, watched, canary);
    in_time(case, run, watched, step)
}

/// Losing Ready sets observed time back to zero.
fn start_at_zero(case: &Case<'_>, run: &Run, watched: &Watched, canary: &Canary) -> Step {
    if watched.observed.is_zero() && canary.ready_changed == watched.ready_changed {
        return case.wait(Because::NotReady);
    }
    let zero = Watched { observed: std::time::Duration::ZERO, ready_changed: canary.ready_changed, ..watched.clone() };
    let record = Record { state: State::Incubating(run.clone(), zero), ..case.record.clone() };
    case.write(record, Because::NotReady, None)
}

fn watching(case: &Case<'_>, run: &Run, watched: &Watched, canary: &Canary) -> Step {
    if let Some(because) = unseen(case, canary) {
        return Step { watch: Some(watch::stand_still(case, canary, watched)), ..case.wait(because) };
    }
    let watch = watch::go_on(case, canary, watched);
    let observed = watch::observed(case, &watch, watched);
    if observed >= case.plan.incubation {
        let step = match not_proved(case) {
            Some(because) => case.wait(because),
            None if case.see.signals.is_empty() => promote(case, run, watched, None, Proof::Silence),
            None => promote(case, run, watched, None, Proof::Measured),
        };
        return Step { watch: Some(watch), ..step };
    }
    let because = Because::Watching { observed, of: case.plan.incubation };
    let step = if observed >= watched.observed.saturating_add(case.plan.worth_recording()) {
        let watched = Watched { observed, ..watched.clone() };
        let record = Record { state: State::Incubating(run.clone(), watched), ..case.record.clone() };
        case.write(record, because, None)
    } else {
        case.wait(because)
    };
    Step { watch: Some(watch), ..step }
}

/// Past the longest incubation, what isn't proved won't be.
fn in_time(case: &Case<'_>, run: &Run, watched: &Watched, step: Step) -> Step {
    let sends = step.orders.iter().any(|order| matches!(order, Order::Read(_) | Order::Promote { .. }));
    if sends || !case.passed(watched.began, case.plan.max_incubation) {
        return step;
    }
    case.inconclusive(run, Obstacle::NotProvedInTime(Box::new(step.because)))
}

/// Everything that ends, or holds up, a running attempt from outside.
fn ended_by_others(case: &Case<'_>, run: &Run) -> Option<Step> {
    let workload = &case.see.workload;
    if !workload.opted_in {
        return Some(case.settle(Because::OptedOut));
    }
    if let Some(fault) = condemned(case, run) {
        return Some(case.reject(run, fault));
    }
    if let Some(what) = &workload.invalid {
        return Some(case.settle(Because::InvalidPlan(what.clone())));
    }
    if workload.template != run.template {
        return Some(case.settle(Because::TemplateChanged));
    }
    if matches!(&workload.production, Production::Runs(now) if *now != run.from) {
        return Some(case.settle(Because::ProductionChanged));
    }
    if let Some(by) = superseded(case, run) {
        return Some(case.settle(Because::Superseded { judged: run.revision.clone(), by }));
    }
    let canary = case.see.canary.as_ref()?;
    let Some(mine) = case.mine(run) else {
        let step = if canary.terminating { case.wait(Because::CanaryInTheWay) } else { case.discard(&canary.uid) };
        return Some(step);
    };
    match &mine.trouble {
        Some(trouble @ Trouble::DeadlineExceeded(_)) => {
            Some(case.inconclusive(run, Obstacle::Trouble(trouble.clone())))
        }
        Some(Trouble::LostToNode(_)) if !mine.terminating => Some(lost(case, run)),
        _ => None,
    }
}

/// What condemns the run at once: a stored alert, a restart of its canary.
pub(super) fn condemned(case: &Case<'_>, run: &Run) -> Option<Fault> {
    let heard = case.guards.on(Guard::VerdictOfThisRecord) || case.see.read == Read::Cached;
    if let Some(alert) = run.alerts.first().filter(|_| heard) {
        return Some(Fault::Alert(alert.clone()));
    }
    let trouble = case.mine(run)?.trouble.as_ref()?;
    matches!(trouble, Trouble::Restarted(_)).then(|| Fault::Trouble(trouble.clone()))
}

pub(super) fn superseded(case: &Case<'_>, run: &Run) -> Option<crate::Revision> {
    match &case.see.wanted {
        Wanted::Revision(wanted) if *wanted != run.revision => Some(wanted.clone()),
        Wanted::Revision(_) | Wanted::Unknown(_) => None,
    }
}

pub(super) fn unhealthy(case: &Case<'_>) -> Option<Fault> {
    case.see.signals.iter().find_map(|looked| match &looked.verdict {
        Verdict::Unhealthy(evidence) => {
            Some(Fault::Unhealthy { signal: looked.signal.clone(), evidence: evidence.clone() })
        }
        Verdict::Healthy(_) | Verdict::Unknown(_) => None,
    })
}

/// Why the clock stands still, if it does.
fn unseen(case: &Case<'_>, canary: &Canary) -> Option<Because> {
    if let Reach::Missing(services) = &canary.reachable {
        return Some(Because::NotReachable(services.clone()));
    }
    let blind = case.see.signals.iter().find(|looked| !looked.verdict.is_measured())?;
    unknown(blind)
}

fn not_proved(case: &Case<'_>) -> Option<Because> {
    let unproved = case.see.signals.iter().find(|looked| !looked.verdict.is_healthy());
    // Only where nothing else judges does promotion rest on the silence of alerts.
    let silence = case.see.signals.is_empty();
    if silence && case.plan.require_live_alert_path && !case.see.alert_path_live {
        let why = keeper_signal::Why::NotMeasured("the way of the alerts is not known to live".into());
        return Some(Because::NotProved { signal: "alerts".into(), why });
    }
    unproved.and_then(unknown)
}

fn unknown(looked: &crate::Looked) -> Option<Because> {
    match &looked.verdict {
        Verdict::Unknown(why) => Some(Because::NotProved { signal: looked.signal.clone(), why: why.clone() }),
        Verdict::Healthy(_) | Verdict::Unhealthy(_) => None,
    }
}

/// A canary that is gone is made again, in a run of its own, a few times.
fn lost(case: &Case<'_>, run: &Run) -> Step {
    if run.recreated >= case.plan.recreate_limit {
        return case.inconclusive(run, Obstacle::Lost(run.recreated.saturating_add(1)));
    }
    let recreated = run.recreated.saturating_add(1);
    let mut record = case.record.clone();
    record.runs = record.runs.saturating_add(1);
    record.state = State::Launching(Run {
        id: run_id(record.runs, case.now),
        recreated,
        began: case.now,
        alerts: Vec::new(),
        ..run.clone()
    });
    case.write(record, Because::Recreating(run.revision.clone(), recreated), case.removal())
}

/// Unique among all runs of a workload, also when its record was lost and the count begins again.
pub(super) fn run_id(runs: u64, now: jiff::Timestamp) -> RunId {
    RunId::new(format!("{runs}-{}", now.as_second()))
}

fn promote_command<'a>(case: &'a Case<'_>, run: &Run) -> Option<&'a Command> {
    let command = case.unused(Verb::Promote).filter(|command| command.means(&run.revision))?;
    (case.numbered(command, &run.revision) && !case.record.ledger.contains_key(&run.revision)).then_some(command)
}

/// From the verdict to the one patch: first everything is read afresh and this decision made again on it.
fn promote(case: &Case<'_>, run: &Run, watched: &Watched, by: Option<&Command>, proof: Proof) -> Step {
    let workload = &case.see.workload;
    if workload.paused {
        return case.wait(Because::Paused(run.revision.clone()));
    }
    if case.see.read != Read::Production {
        return case.read(Afresh::Production, Because::ReadingAfresh);
    }
    let ready_changed = case.mine(run).map_or(watched.ready_changed, |canary| canary.ready_changed);
    let sending = Sending {
        canary: watched.canary.clone(),
        ready_changed,
        generation: workload.generation,
        version: workload.version.clone(),
        proof,
        since: case.now,
    };
    let record = Record { state: State::Promoting(run.clone(), sending.clone()), ..case.record.clone() };
    let send = send(run, &sending);
    let mut step = case.write(record, Because::Promoting(run.revision.clone(), proof), send);
    if let Some(by) = by {
        command::use_up(&mut step, by);
    }
    step
}

/// The patch of production, and then the end of the canary, where there is one: surge pods need its room.
pub(super) fn send(run: &Run, sending: &Sending) -> Vec<Order> {
    let promote =
        Order::Promote { revision: run.revision.clone(), run: run.id.clone(), version: sending.version.clone() };
    let delete = Order::DeleteCanary(sending.canary.clone());
    if sending.proof == Proof::FirstCreation { vec![promote] } else { vec![promote, delete] }
}
