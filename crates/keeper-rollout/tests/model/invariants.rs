//! What must never happen, and what must happen in the end.

use crate::environment;
use crate::operator::Brain;
use crate::server;
use crate::world::{At, Bad, Observer, Operator, Pending, Request, Rollout, State};

/// What must never happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Violation {
    /// Promoted without the whole incubation, and without a person's word.
    Unproved,
    /// Promoted although the ledger names it.
    PromotedBadDigest,
    /// Production was patched twice for one run.
    PromotedTwice,
    /// Promoted again after a person took it back.
    PromotedAfterUndo,
    PromotedAfterOptOut,
    PromotedWhilePaused,
    PromotedAfterAbort,
    /// Production was patched while the record didn't say so.
    PromotedUnrecorded,
    /// Promoted although an alert against it had been stored.
    PromotedDespiteAlert,
    /// Promoted although its restarted canary was removed before that was recorded.
    PromotedAfterUnrecordedVerdict,
    /// A command from before an undo promoted again after it.
    OldCommandPromotes,
    /// `RolledBack` although production never left our promotion.
    FalseRolledBack,
    /// A command from before an undo lifted it.
    RetryByOldCommand,
    /// A canary of a digest that the ledger names was launched.
    CanaryOfBadDigest,
    /// We removed the canary of a live run that nothing spoke against.
    DeletedLiveCanary,
}

impl Violation {
    pub const ALL: [Self; 15] = [
        Self::Unproved,
        Self::PromotedBadDigest,
        Self::PromotedTwice,
        Self::PromotedAfterUndo,
        Self::PromotedAfterOptOut,
        Self::PromotedWhilePaused,
        Self::PromotedAfterAbort,
        Self::PromotedUnrecorded,
        Self::PromotedDespiteAlert,
        Self::PromotedAfterUnrecordedVerdict,
        Self::OldCommandPromotes,
        Self::FalseRolledBack,
        Self::RetryByOldCommand,
        Self::CanaryOfBadDigest,
        Self::DeletedLiveCanary,
    ];
}

impl Observer {
    pub fn saw(&mut self, violation: Violation) {
        self.violations |= 1 << violation as u32;
    }

    pub fn violations(&self) -> impl Iterator<Item = Violation> + '_ {
        Violation::ALL.into_iter().filter(|violation| self.violations & (1 << *violation as u32) != 0)
    }
}

/// More orders than any decision needs before the world is seen anew: beyond it the operator runs hot.
const HOT: usize = 12;
/// How many looks without any change are rest.
const QUIET: usize = 4;
const ROUNDS: usize = 200;

/// The fair continuation: nothing more happens from outside, the second operator is gone, a pause is lifted, a late
/// request takes effect or is dropped, and the first operator runs on. Answers what is wrong with where that ends.
pub fn converges(brain: &mut Brain<'_>, state: &State, dropped: bool) -> Result<(), String> {
    let end = run_on(brain, state, dropped)?;
    let (record, workload) = (&end.record, &end.workload);
    if end.canary.exists() {
        return Err(format!("the canary stays, record {:?}", record.at));
    }
    if record.at.is_live() {
        return Err(format!("rests in {:?}", record.at));
    }
    if !workload.opted_in {
        return Ok(());
    }
    let fits = if end.tag == workload.digest {
        record.at == At::Settled || (record.at == At::NotRolledOut && workload.rollout == Rollout::Stuck)
    } else {
        matches!(
            (record.at, record.ledger[usize::from(end.tag)]),
            (At::Rejected, Bad::Rejected) | (At::RolledBack, Bad::RolledBack) | (At::Undecided, Bad::No)
        )
    };
    if fits { Ok(()) } else { Err(format!("production D{}, tag D{}: {record:?}", workload.digest + 1, end.tag + 1)) }
}

fn run_on(brain: &mut Brain<'_>, state: &State, dropped: bool) -> Result<State, String> {
    let config = brain.config;
    let mut state = State { budget: Default::default(), ..*state };
    state.operators[1] = Operator::default();
    if state.workload.paused {
        state.workload.paused = false;
        state.workload.version += 1;
    }
    let late = std::mem::take(&mut state.late);
    if !dropped {
        server::commit(config, &mut state, late);
    }
    let mut quiet = 0;
    for _ in 0..ROUNDS {
        state.rank(config);
        let before = state;
        let writes = run_operator(brain, &mut state)?;
        environment::settle(config, &mut state);
        if let Some(violation) = state.observer.violations().next() {
            return Err(format!("then {violation:?}"));
        }
        state.rank(config);
        if writes == 0 && state == before {
            quiet += 1;
            environment::time_goes_on(&mut state);
        } else {
            quiet = 0;
        }
        if quiet == QUIET {
            return Ok(state);
        }
    }
    Err(format!("does not come to rest, record {:?}", state.record.at))
}

/// The operator sees all there is and carries out its orders. Answers how many of them were writes.
fn run_operator(brain: &mut Brain<'_>, state: &mut State) -> Result<usize, String> {
    state.operators[0].view = state.truth();
    if state.operators[0].pending.is_empty() {
        brain.think(state, 0);
    }
    let mut writes = 0;
    for _ in 0..HOT {
        let pending: Pending = state.operators[0].pending;
        match pending.list[0] {
            Request::None => return Ok(writes),
            Request::ReadProduction | Request::ReadRecord => {}
            _ => writes += 1,
        }
        brain.carry_out(state, 0);
    }
    Err(format!("runs hot, record {:?}", state.record.at))
}
