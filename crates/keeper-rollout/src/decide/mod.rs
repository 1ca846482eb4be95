//! The decision, one file per part of a rollout's life.

mod case;
mod command;
mod promoting;
mod resting;
mod running;
mod watch;

use crate::guard::{Guard, Guards};
use crate::observation::{Observation, Production};
use crate::record::{Record, State, Stored};
use crate::{Because, Phase, Plan, Step};
use case::Case;
use jiff::Timestamp;

pub(crate) fn decide(guards: Guards, plan: &Plan, stored: &Stored, see: &Observation, now: Timestamp) -> Step {
    let nothing = Record::default();
    let (record, absent) = match stored {
        Stored::Absent => (&nothing, true),
        Stored::Readable(record) => (record.as_ref(), false),
        Stored::Unreadable(why) => {
            let because = Because::RecordUnreadable(why.clone());
            return Step { phase: Phase::Held, orders: Vec::new(), wake_at: None, because, watch: None };
        }
    };
    let case = Case { guards, plan, record, absent, see, now };
    let is_there = see.workload.production != Production::Absent;
    if is_there && guards.on(Guard::NewerView) && record.floor > 0 && see.workload.generation <= record.floor {
        return case.wait(Because::ViewStale);
    }
    if let State::Promoting(run, sending) = &record.state {
        return promoting::decide(&case, run, sending);
    }
    if let Some(step) = command::decide(&case) {
        return step;
    }
    match &record.state {
        State::Launching(run) => running::launching(&case, run),
        State::Incubating(run, watched) => running::incubating(&case, run, watched),
        State::Promoting(run, sending) => promoting::decide(&case, run, sending),
        State::Settled | State::Rejected(_) | State::Inconclusive(..) | State::Held(..) => resting::decide(&case),
    }
}
