//! What the API server does with a write, and which writes must never be accepted.

use crate::config::{Config, Off};
use crate::invariants::Violation;
use crate::world::{
    ABORT, At, Bad, Canary, DIGESTS, FRESH, Id, Kind, Pending, Record, Request, Rollout, State, command,
};

/// The first order of the list takes effect, or is refused. Answers what is left to be done after it.
pub fn commit(config: &Config, state: &mut State, pending: Pending) -> Option<Pending> {
    let rest = pending.rest();
    match pending.list[0] {
        Request::None | Request::ReadProduction | Request::ReadRecord => Some(rest),
        Request::Store => store(config, state, pending.store).then(|| with_run(rest, state.record.run)),
        Request::Create { digest, template, run } => create(state, digest, template, run).then_some(rest),
        Request::Delete(uid) => {
            let uid = if config.off == Off::DeleteByUid { state.canary.uid } else { uid };
            delete(state, uid);
            Some(rest)
        }
        Request::Promote { .. } => promote(config, state, pending.list[0]).then_some(rest),
        Request::Fence { version } => fence(state, version).then_some(rest),
    }
}

/// A new run got its id when its record was stored; what follows names it.
fn with_run(mut rest: Pending, stored: Id) -> Pending {
    for request in &mut rest.list {
        if let Request::Create { run, .. } = request
            && *run == FRESH
        {
            *run = stored;
        }
    }
    rest
}

fn store(config: &Config, state: &mut State, new: Record) -> bool {
    if config.off != Off::StoreIsConditional && state.record.version != new.version {
        return false;
    }
    let old = state.record;
    state.record = Record { version: old.version + 1, ..new };
    if new.run == FRESH {
        state.record.run = 0;
        state.record.run = state.fresh(Kind::Run);
    }
    for digest in 0..DIGESTS {
        judge_ledger(state, digest, old.ledger[digest], new.ledger[digest]);
    }
    if new.at == At::Launching && new.ledger[usize::from(new.digest)] != Bad::No {
        state.observer.saw(Violation::CanaryOfBadDigest);
    }
    true
}

fn judge_ledger(state: &mut State, digest: usize, old: Bad, new: Bad) {
    let bit = 1 << digest;
    if new != Bad::No {
        state.observer.condemned &= !bit;
    }
    if new == Bad::RolledBack && old != Bad::RolledBack && state.observer.left & bit == 0 {
        state.observer.saw(Violation::FalseRolledBack);
    }
    if old == Bad::RolledBack && new == Bad::No && state.observer.undone & bit != 0 {
        state.observer.saw(Violation::RetryByOldCommand);
    }
}

fn create(state: &mut State, digest: u8, template: u8, run: Id) -> bool {
    if state.canary.exists() {
        return false;
    }
    let uid = state.fresh(Kind::Uid);
    state.canary = Canary { uid, digest, template, run, ..Canary::default() };
    state.observer.ready_for = 0;
    true
}

fn delete(state: &mut State, uid: Id) {
    if uid == 0 || state.canary.uid != uid || state.canary.terminating {
        return;
    }
    if is_wanted(state) {
        state.observer.saw(Violation::DeletedLiveCanary);
    }
    let (canary, record) = (state.canary, state.record);
    let judged = record.at == At::Incubating && record.run == canary.run && record.canary == canary.uid;
    if judged && canary.restarted && state.workload.opted_in {
        state.observer.condemned |= 1 << canary.digest;
    }
    state.canary = Canary { terminating: true, ready: false, ..canary };
    state.observer.ready_for = 0;
}

/// Whether the canary is that of a live run which nothing speaks against.
fn is_wanted(state: &State) -> bool {
    let (workload, record, canary) = (&state.workload, &state.record, &state.canary);
    let accepted = record.at == At::Promoting && state.observer.last_run == record.run;
    record.at.is_live()
        && record.run == canary.run
        && (record.at == At::Launching || record.canary == canary.uid)
        && !record.alert
        && !record.overdue
        && workload.opted_in
        && canary.ready
        && !accepted
        && !aborts(state, record.digest)
}

/// Whether an abort of this digest stands on the workload that wasn't acted upon.
fn aborts(state: &State, digest: u8) -> bool {
    let abort = state.workload.commands[ABORT];
    abort > 0 && command::digest(abort) == digest && state.record.used & command::bit(ABORT, abort) == 0
}

fn promote(config: &Config, state: &mut State, request: Request) -> bool {
    let Request::Promote { digest, run, version, person, proved } = request else { return false };
    if config.off != Off::PatchTestsVersion && state.workload.version != version {
        return false;
    }
    judge_promotion(state, digest, run, person, proved);
    let observer = &mut state.observer;
    observer.last_run = run;
    observer.ours = digest + 1;
    observer.left &= !(1 << digest);
    let workload = &mut state.workload;
    workload.generation += 1;
    workload.version += 1;
    workload.digest = digest;
    workload.stamp = run;
    workload.rollout = Rollout::Progressing;
    workload.observed = false;
    true
}

fn judge_promotion(state: &mut State, digest: u8, run: Id, person: u8, proved: bool) {
    let before = *state;
    let (workload, record, observer) = (&before.workload, &before.record, &mut state.observer);
    let bit = 1 << digest;
    let mut never = |happens: bool, violation: Violation| {
        if happens {
            observer.saw(violation);
        }
    };
    never(person == 0 && !proved, Violation::Unproved);
    never(record.ledger[usize::from(digest)] != Bad::No, Violation::PromotedBadDigest);
    never(before.observer.last_run == run, Violation::PromotedTwice);
    never(before.observer.undone & bit != 0, Violation::PromotedAfterUndo);
    never(!workload.opted_in, Violation::PromotedAfterOptOut);
    never(workload.paused, Violation::PromotedWhilePaused);
    never(aborts(&before, digest), Violation::PromotedAfterAbort);
    never(record.at != At::Promoting || record.run != run, Violation::PromotedUnrecorded);
    never(before.observer.alerted & bit != 0, Violation::PromotedDespiteAlert);
    never(before.observer.condemned & bit != 0, Violation::PromotedAfterUnrecordedVerdict);
    let old = person > 0 && command::serial(person) < before.observer.undone_after[usize::from(digest)];
    never(old, Violation::OldCommandPromotes);
}

fn fence(state: &mut State, version: Id) -> bool {
    let stands = state.workload.version == version;
    if stands {
        state.workload.version += 1;
    }
    stands
}
