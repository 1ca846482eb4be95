//! What a person is shown, decided from the step alone: the Event, the annotations, the line in the log.

use keeper_api::keys;
use keeper_rollout::{Because, Order, Phase, Record, State, Step};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// What is shown of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) phase: Phase,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) warning: bool,
    /// The run it is about: telling the same of another run is news.
    pub(crate) run: String,
}

impl Face {
    /// The face to show after this step, or none where the last one stands.
    ///
    /// A recorded change of phase is always shown. What needs no record (a wrong annotation, a blocked start) is shown
    /// where a person can do something about it.
    pub(crate) fn of(step: &Step, before: &State) -> Option<Self> {
        let recorded = step.orders.iter().find_map(|order| match order {
            Order::Record(record) => Some(record.as_ref()),
            _ => None,
        });
        let news = match recorded {
            Some(record) => record.state.phase() != before.phase() || is_outcome(&step.because),
            None => is_told_unrecorded(&step.because),
        };
        news.then(|| Self {
            phase: step.phase,
            reason: step.because.reason().to_owned(),
            message: step.because.to_string(),
            warning: step.because.is_warning(),
            run: run_of(recorded, before),
        })
    }

    /// The annotations that show it.
    pub(crate) fn annotations(&self) -> Value {
        json!({
            keys::PHASE: self.phase.as_str(),
            keys::REASON: self.reason,
            keys::MESSAGE: crate::json::cut(&self.message, 500),
        })
    }

    /// Whether the workload shows it already.
    pub(crate) fn is_shown_on(&self, workload: &DynamicObject) -> bool {
        let shown = |key| workload.annotations().get(key).map(String::as_str);
        shown(keys::PHASE) == Some(self.phase.as_str()) && shown(keys::REASON) == Some(self.reason.as_str())
    }
}

fn is_outcome(because: &Because) -> bool {
    matches!(
        because,
        Because::Recreating(..)
            | Because::Retried(_)
            | Because::LedgerLost
            | Because::RolledBack { .. }
            | Because::Superseded { .. }
            | Because::TemplateChanged
            | Because::ProductionChanged
    )
}

fn is_told_unrecorded(because: &Because) -> bool {
    match because {
        Because::InvalidPlan(_)
        | Because::ProductionNotPinned(_)
        | Because::RecordUnreadable(_)
        | Because::WantedUnknown(_)
        | Because::Paused(_) => true,
        // These pass by themselves.
        Because::Blocked(blocker) => !matches!(
            blocker.kind,
            keeper_rollout::BlockerKind::MidRollout | keeper_rollout::BlockerKind::TooManyCanaries
        ),
        _ => false,
    }
}

fn run_of(recorded: Option<&Record>, before: &State) -> String {
    let run = recorded.and_then(|record| record.state.run()).or_else(|| before.run());
    run.map(|run| run.id.to_string()).unwrap_or_default()
}
