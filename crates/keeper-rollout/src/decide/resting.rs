use super::case::Case;
use super::promoting::rolled_back;
use super::running::{run_id, send};
use crate::guard::Guard;
use crate::names::{Revision, Uid};
use crate::observation::{Production, Read, Refused, Rollout, Wanted};
use crate::record::{Ended, EntryKind, Hold, Record, Run, Sending, State};
use crate::{Afresh, Because, Blocker, BlockerKind, Obstacle, Order, Phase, Proof, Step};

/// Nothing is under way: is there something to do?
pub(super) fn decide(case: &Case<'_>) -> Step {
    if let Some(canary) = &case.see.canary {
        let leaving = canary.terminating;
        return if leaving { case.wait(Because::CanaryInTheWay) } else { case.discard(&canary.uid) };
    }
    if !case.see.workload.opted_in {
        return become_settled(case, Because::OptedOut);
    }
    if case.absent && case.see.workload.run_label.is_some() {
        return case.write(Record::default(), Because::LedgerLost, None);
    }
    if let Some(step) = left_by_others(case) {
        return step;
    }
    if let Some(what) = &case.see.workload.invalid {
        return held(case, Because::InvalidPlan(what.clone()));
    }
    let production = match &case.see.workload.production {
        Production::Runs(production) => Some(production),
        Production::Absent => None,
        // Pods of two templates disagree for as long as they are exchanged.
        Production::NotPinned(_) if case.see.workload.rollout == Rollout::Progressing => {
            return case.wait(Because::Blocked(mid_rollout()));
        }
        Production::NotPinned(what) => return held(case, Because::ProductionNotPinned(what.clone())),
    };
    match &case.see.wanted {
        Wanted::Unknown(why) => case.rest(Because::WantedUnknown(why.clone())),
        Wanted::Revision(wanted) if Some(wanted) == production => up_to_date(case, wanted),
        Wanted::Revision(wanted) => wants(case, wanted, production),
    }
}

/// Held for a reason that is seen, and so needs no record.
fn held(case: &Case<'_>, because: Because) -> Step {
    Step { phase: Phase::Held, ..case.rest(because) }
}

fn become_settled(case: &Case<'_>, because: Because) -> Step {
    if matches!(case.record.state, State::Settled) {
        return case.rest(because);
    }
    let record = Record { state: State::Settled, ..case.record.clone() };
    Step { wake_at: None, ..case.write(record, because, None) }
}

/// What others did to a promotion of ours: took it back, or let its rollout complete at last.
fn left_by_others(case: &Case<'_>) -> Option<Step> {
    let promoted = case.record.promoted.as_ref()?;
    if case.see.workload.production == Production::Absent {
        return Some(removed(case, promoted));
    }
    let Production::Runs(production) = &case.see.workload.production else { return None };
    if production != promoted {
        let named = matches!(&case.see.wanted, Wanted::Revision(wanted) if wanted == promoted);
        let noticed = named || case.guards.on(Guard::RolledBackWhateverTheTag);
        return noticed.then(|| rolled_back(case, promoted, case.record.floor));
    }
    let stuck = matches!(case.record.state, State::Held(_, Hold::NotRolledOut));
    let complete = case.see.workload.rollout == Rollout::Complete;
    (stuck && complete).then(|| become_settled(case, Because::UpToDate(promoted.clone())))
}

/// Somebody deleted the production that we promoted: nothing creates it again against them. What comes under its name
/// later counts its generations anew.
fn removed(case: &Case<'_>, promoted: &Revision) -> Step {
    match case.see.read {
        Read::Production => rolled_back(case, promoted, 0),
        Read::Cached | Read::Record => case.read(Afresh::Production, Because::ReadingAfresh),
    }
}

fn up_to_date(case: &Case<'_>, production: &Revision) -> Step {
    match &case.record.state {
        State::Held(ended, Hold::NotRolledOut) => case.rest(Because::Still(ended.told.clone())),
        _ => become_settled(case, Because::UpToDate(production.clone())),
    }
}

/// Another revision than production's is wanted: was it bad, is it waiting, or can it start?
fn wants(case: &Case<'_>, wanted: &Revision, production: Option<&Revision>) -> Step {
    if let Some(step) = remembered(case, wanted) {
        return step;
    }
    if let State::Inconclusive(ended, until) = &case.record.state
        && ended.revision == *wanted
        && case.now < *until
    {
        return Step { wake_at: Some(*until), ..case.rest(Because::Still(ended.told.clone())) };
    }
    if let Some(refusal) = case.see.refused.as_ref().filter(|refusal| refusal.what == Refused::Preflight) {
        let (record, because) = case.not_judged(wanted, None, Obstacle::Refused(refusal.message.clone()));
        return case.write(record, because, None);
    }
    if case.see.workload.paused {
        return held(case, Because::Paused(wanted.clone()));
    }
    if let Some(blocker) = blocker(case) {
        return case.wait(Because::Blocked(blocker));
    }
    match production {
        Some(production) => launch(case, wanted, production),
        None => create(case, wanted),
    }
}

/// The revision is in the ledger, or was tried often enough.
fn remembered(case: &Case<'_>, wanted: &Revision) -> Option<Step> {
    if let Some(entry) = case.record.ledger.get(wanted) {
        let ended = Ended { revision: wanted.clone(), told: entry.told.clone() };
        return Some(match entry.kind {
            EntryKind::Rejected => become_ended(case, State::Rejected(ended)),
            EntryKind::RolledBack => become_ended(case, State::Held(ended, Hold::RolledBack)),
        });
    }
    if let State::Held(ended, Hold::Inconclusive) = &case.record.state
        && ended.revision == *wanted
    {
        return Some(case.rest(Because::Still(ended.told.clone())));
    }
    None
}

/// The state that the ledger asks for, written only where it differs.
fn become_ended(case: &Case<'_>, state: State) -> Step {
    let Some(ended) = state.ended() else { return case.rest(Because::ReadingAfresh) };
    let because = Because::Still(ended.told.clone());
    if case.record.state == state {
        return case.rest(because);
    }
    Step { wake_at: None, ..case.write(Record { state, ..case.record.clone() }, because, None) }
}

fn blocker(case: &Case<'_>) -> Option<Blocker> {
    let blocker = case.see.workload.blocker.clone();
    blocker.or_else(|| (case.see.workload.rollout == Rollout::Progressing).then(mid_rollout))
}

fn mid_rollout() -> Blocker {
    Blocker { kind: BlockerKind::MidRollout, text: "the workload's own rollout is under way".into() }
}

fn launch(case: &Case<'_>, wanted: &Revision, production: &Revision) -> Step {
    let (mut record, run) = begin(case, wanted, production.clone());
    let preflight = Order::Preflight { revision: wanted.clone(), run: run.id.clone() };
    let create = Order::CreateCanary { revision: wanted.clone(), run: run.id.clone() };
    record.state = State::Launching(run);
    let mut step = case.write(record, Because::CanaryLaunching(wanted.clone()), [create]);
    step.orders.insert(0, preflight);
    step
}

/// The first creation of production: nothing is there that a canary could be compared with, or that could be harmed. It
/// goes the way of every promotion, so that a crash anywhere is an ordinary start; the server's refusal of a second
/// object of the name stands for the tests of the patch.
fn create(case: &Case<'_>, wanted: &Revision) -> Step {
    if case.see.read != Read::Production {
        return case.read(Afresh::Production, Because::ReadingAfresh);
    }
    let workload = &case.see.workload;
    let (mut record, run) = begin(case, wanted, Revision::from(ABSENT));
    let sending = Sending {
        canary: Uid::from(ABSENT),
        ready_changed: case.now,
        generation: workload.generation,
        version: workload.version.clone(),
        proof: Proof::FirstCreation,
        since: case.now,
    };
    let preflight = Order::Preflight { revision: wanted.clone(), run: run.id.clone() };
    let send = send(&run, &sending);
    record.state = State::Promoting(run, sending);
    let mut step = case.write(record, Because::Promoting(wanted.clone(), Proof::FirstCreation), send);
    step.orders.insert(0, preflight);
    step
}

/// What a run is said to come from, and which canary it has, where there is neither.
const ABSENT: &str = "absent";

fn begin(case: &Case<'_>, wanted: &Revision, from: Revision) -> (Record, Run) {
    let mut record = case.record.clone();
    record.runs = record.runs.saturating_add(1);
    let run = Run {
        id: run_id(record.runs, case.now),
        revision: wanted.clone(),
        template: case.see.workload.template.clone(),
        from,
        began: case.now,
        recreated: 0,
        alerts: Vec::new(),
    };
    (record, run)
}
