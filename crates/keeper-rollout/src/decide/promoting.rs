//! One point of no return, and a way forward from every crash.

use super::case::Case;
use super::running;
use crate::because::{Late, Span};
use crate::guard::Guard;
use crate::names::Revision;
use crate::observation::{Production, Read, Refused, Rollout, Wanted};
use crate::record::{Ended, EntryKind, Hold, Record, Run, Sending, State, Told};
use crate::{Afresh, Because, Fault, Obstacle, Order, Proof, Step};

/// Found in `Promoting`. Never launches anything.
pub(super) fn decide(case: &Case<'_>, run: &Run, sending: &Sending) -> Step {
    // The label is proof wherever it was read: only a view without it may be too old to say anything.
    if case.see.workload.run_label.as_ref() == Some(&run.id) {
        return accepted(case, run, sending);
    }
    if case.see.read != Read::Production {
        return case.read(Afresh::Production, Because::ReadingAfresh);
    }
    match against(case, run, sending) {
        Some((record, because)) => leave_unsent(case, run, sending, record, because),
        None => send(case, run, sending),
    }
}

/// What others did to production since it was noted, if it is more than to scale it.
fn changed(case: &Case<'_>, run: &Run, sending: &Sending) -> Option<Because> {
    let workload = &case.see.workload;
    // A first creation has nothing to change, and everything else has something.
    if (workload.production == Production::Absent) != (sending.proof == Proof::FirstCreation) {
        return Some(Because::ProductionChanged);
    }
    if workload.template != run.template {
        return Some(Because::TemplateChanged);
    }
    let moved = workload.generation != sending.generation && sending.proof != Proof::FirstCreation;
    (moved && !runs(&workload.production, &run.from)).then_some(Because::ProductionChanged)
}

fn runs(production: &Production, revision: &Revision) -> bool {
    matches!(production, Production::Runs(now) if now == revision)
}

/// The workload carries this run's id: the patch was accepted, and only bookkeeping is left, opt-out or not.
fn accepted(case: &Case<'_>, run: &Run, sending: &Sending) -> Step {
    let revision = &run.revision;
    if let Production::Runs(now) = &case.see.workload.production
        && now != revision
    {
        return rolled_back(case, revision, sending.generation);
    }
    if let Some(canary) = case.see.canary.as_ref().filter(|canary| !canary.terminating) {
        if canary.uid != sending.canary {
            return case.discard(&canary.uid);
        }
        let order = Order::DeleteCanary(canary.uid.clone());
        return Step { orders: vec![order], ..case.wait(Because::RollingOut(revision.clone())) };
    }
    let why = match &case.see.workload.rollout {
        Rollout::Complete => return promoted(case, run, sending),
        Rollout::Stuck(why) => why.clone(),
        Rollout::Progressing if case.passed(sending.since, case.plan.rollout_deadline) => {
            format!("still under way after {}", Span(case.plan.rollout_deadline))
        }
        Rollout::Progressing => return case.wait(Because::RollingOut(revision.clone())),
    };
    let because = Because::PromotedNotRolledOut(revision.clone(), format!("{why}{}", Late(&run.alerts)));
    let ended = Ended { revision: revision.clone(), told: Told::of(&because, case.now) };
    let record = after(case, run, sending, State::Held(ended, Hold::NotRolledOut));
    case.write(record, because, None)
}

fn promoted(case: &Case<'_>, run: &Run, sending: &Sending) -> Step {
    let record = after(case, run, sending, State::Settled);
    let because = Because::Promoted { revision: run.revision.clone(), proof: sending.proof, late: run.alerts.clone() };
    Step { wake_at: None, ..case.write(record, because, None) }
}

fn after(case: &Case<'_>, run: &Run, sending: &Sending, state: State) -> Record {
    let promoted = Some(run.revision.clone());
    Record { state, promoted, tried: None, floor: sending.generation, ..case.record.clone() }
}

/// Production left a revision that we promoted, other than by a promotion of ours: nothing fights a person.
pub(super) fn rolled_back(case: &Case<'_>, revision: &Revision, floor: i64) -> Step {
    let mut record = case.record.clone();
    let number = record.rolled_back.get(revision).map_or(1, |n| n.saturating_add(1));
    record.rolled_back.insert(revision.clone(), number);
    let wanted = matches!(&case.see.wanted, Wanted::Revision(wanted) if wanted == revision);
    let because = Because::RolledBack { revision: revision.clone(), number, wanted };
    let told = Told::of(&because, case.now);
    let ended = Ended { revision: revision.clone(), told: told.clone() };
    record.enter(revision, EntryKind::RolledBack, told);
    record.promoted = None;
    record.floor = floor;
    record.state = if wanted { State::Held(ended, Hold::RolledBack) } else { State::Settled };
    case.write(record, because, None)
}

/// What speaks against sending a promotion that was not accepted yet, and what becomes of the run then.
fn against(case: &Case<'_>, run: &Run, sending: &Sending) -> Option<(Record, Because)> {
    let settled = |because: Because| Some((Record { state: State::Settled, ..case.record.clone() }, because));
    let workload = &case.see.workload;
    if case.abort(run).is_some() {
        return Some(case.rejected(run, Fault::AbortedByPerson));
    }
    if let Some(fault) = running::condemned(case, run).or_else(|| running::unhealthy(case)) {
        return Some(case.rejected(run, fault));
    }
    if !workload.opted_in {
        return settled(Because::OptedOut);
    }
    if let Some(because) = changed(case, run, sending) {
        return settled(because);
    }
    if workload.paused {
        return settled(Because::Paused(run.revision.clone()));
    }
    if let Some(what) = &workload.invalid {
        return settled(Because::InvalidPlan(what.clone()));
    }
    if let Some(by) = running::superseded(case, run) {
        return settled(Because::Superseded { judged: run.revision.clone(), by });
    }
    // A patch whose tests failed is refused too: only where nothing it tested has moved was it the patch itself.
    let unmoved = workload.version == sending.version;
    if let Some(refusal) = case.see.refused.as_ref().filter(|r| r.what == Refused::Promote && unmoved) {
        return Some(case.not_judged(&run.revision, Some(run), Obstacle::Refused(refusal.message.clone())));
    }
    if sending.proof != Proof::FirstCreation && !canary_stands(case, run, sending) {
        return settled(Because::NotReady);
    }
    if case.passed(sending.since, case.plan.fresh_for()) {
        return Some(case.not_judged(&run.revision, Some(run), Obstacle::NotSentInTime));
    }
    None
}

/// The canary that was judged is still there, Ready ever since.
fn canary_stands(case: &Case<'_>, run: &Run, sending: &Sending) -> bool {
    let unmoved = |ready_changed| {
        !case.guards.on(Guard::ReadyTransition)
            || ready_changed == sending.ready_changed
            || sending.proof == Proof::Person
    };
    case.mine(run).is_some_and(|canary| {
        canary.uid == sending.canary
            && canary.ready
            && !canary.terminating
            && canary.trouble.is_none()
            && unmoved(canary.ready_changed)
    })
}

/// Not accepted, and nothing speaks against it: sent, with the version noted; noted again first where that moved.
fn send(case: &Case<'_>, run: &Run, sending: &Sending) -> Step {
    if case.see.workload.version != sending.version {
        return note_again(case, run, sending);
    }
    let because = Because::Promoting(run.revision.clone(), sending.proof);
    Step { orders: running::send(run, sending), ..case.wait(because) }
}

fn note_again(case: &Case<'_>, run: &Run, sending: &Sending) -> Step {
    let workload = &case.see.workload;
    let sending = Sending { generation: workload.generation, version: workload.version.clone(), ..sending.clone() };
    let record = Record { state: State::Promoting(run.clone(), sending), ..case.record.clone() };
    case.write(record, Because::PromotionNotedAgain, None)
}

/// Leaves `Promoting` unsent: first a fence, so that a patch still on its way can't land; then the outcome. What isn't
/// there can't be fenced: a first creation that lands late is production like any other, and the next revision is judged
/// against it.
fn leave_unsent(case: &Case<'_>, run: &Run, sending: &Sending, record: Record, because: Because) -> Step {
    let mut step = case.end(record, because);
    let fenceable = case.see.workload.production != Production::Absent;
    if fenceable && case.guards.on(Guard::Fence) && case.see.workload.version == sending.version {
        step.orders.insert(0, Order::Fence { run: run.id.clone(), version: sending.version.clone() });
    }
    step
}
