use super::case::Case;
use crate::names::Revision;
use crate::record::State;
use crate::{Because, Command, Fault, Step, Verb};

/// What `abort` and `retry` change. `promote` is looked at where a canary is watched.
pub(super) fn decide(case: &Case<'_>) -> Option<Step> {
    abort(case).or_else(|| retry(case))
}

fn abort(case: &Case<'_>) -> Option<Step> {
    let run = case.record.state.run()?;
    case.abort(run).map(|_| case.reject(run, Fault::AbortedByPerson))
}

fn retry(case: &Case<'_>) -> Option<Step> {
    let command = case.unused(Verb::Retry)?;
    let revision = bad_revision(case, command)?;
    if !case.numbered(command, &revision) {
        return None;
    }
    let mut record = case.record.clone();
    record.use_up(command);
    record.ledger.remove(&revision);
    record.tried = record.tried.filter(|(tried, _)| *tried != revision);
    if record.state.ended().is_some_and(|ended| ended.revision == revision) {
        record.state = State::Settled;
    }
    Some(case.write(record, Because::Retried(revision), None))
}

/// The bad or undecided revision that the command means.
fn bad_revision(case: &Case<'_>, command: &Command) -> Option<Revision> {
    let ended = case.record.state.ended().map(|ended| &ended.revision);
    let undecided = matches!(case.record.state, State::Inconclusive(..) | State::Held(_, crate::Hold::Inconclusive));
    case.record.ledger.keys().chain(ended.filter(|_| undecided)).find(|revision| command.means(revision)).cloned()
}

/// Notes in the step's record that the command was acted upon.
pub(super) fn use_up(step: &mut Step, command: &Command) {
    for order in &mut step.orders {
        if let crate::Order::Record(record) = order {
            record.use_up(command);
        }
    }
}
