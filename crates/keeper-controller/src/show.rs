//! What a person is shown, decided from the step alone: the Event, the annotations, the line in the log.

use keeper_api::keys;
use keeper_rollout::{Because, BlockerKind, Order, Phase, Record, State, Step};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use std::time::Duration;

/// What is shown of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) phase: Phase,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) warning: bool,
    /// The run it is about: telling the same of another run is news.
    pub(crate) run: String,
    /// Whether it is worth an Event.
    pub(crate) event: bool,
    /// Whether the same reason in other words is news. Not where the words change with every look.
    words_count: bool,
}

/// Phase, reason and message as the workload's annotations show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    phase: Option<String>,
    reason: Option<String>,
    message: Option<String>,
}

/// What may pass by itself is told once it has lasted so long.
const PASSING: Duration = Duration::from_secs(30);

impl Face {
    /// What to show after this step, or none where what is shown stands.
    ///
    /// A recorded change of phase is always told. What needs no record (a wrong annotation, a blocked start, a canary in
    /// trouble) is told where the workload doesn't show it yet; `lasted` is for how long it has been so. When it is over,
    /// the annotations say so without an Event.
    pub(crate) fn of(step: &Step, before: &State, shown: &Shown, lasted: Duration) -> Option<Self> {
        let recorded = step.orders.iter().find_map(|order| match order {
            Order::Record(record) => Some(record.as_ref()),
            _ => None,
        });
        let run = run_of(recorded, before);
        if let Some(record) = recorded {
            let of = |state: &State| state.ended().map(|ended| ended.revision.clone());
            let news =
                record.state.phase() != before.phase() || of(&record.state) != of(before) || is_outcome(&step.because);
            return news.then(|| Self::new(step, run, true));
        }
        let told = match weight(&step.because) {
            Weight::Told => true,
            Weight::Passing => lasted >= PASSING,
            Weight::Silent => false,
        };
        if told {
            return Some(Self::new(step, run, true)).filter(|face| !face.is(shown));
        }
        over(step, run, shown)
    }

    fn new(step: &Step, run: String, event: bool) -> Self {
        Self {
            phase: step.phase,
            reason: step.because.reason().to_owned(),
            message: step.because.to_string(),
            warning: step.because.is_warning(),
            run,
            event,
            words_count: words_count(&step.because),
        }
    }

    /// The annotations that show it.
    pub(crate) fn annotations(&self) -> Value {
        json!({
            keys::PHASE: self.phase.as_str(),
            keys::REASON: self.reason,
            keys::MESSAGE: self.shown_message(),
        })
    }

    fn shown_message(&self) -> String {
        crate::json::cut(&self.message, 500)
    }

    /// Whether that is shown already.
    pub(crate) fn is(&self, shown: &Shown) -> bool {
        let same_words = || shown.message.as_deref() == Some(&self.shown_message());
        shown.phase.as_deref() == Some(self.phase.as_str())
            && shown.reason.as_deref() == Some(&self.reason)
            && (!self.words_count || same_words())
    }
}

impl Shown {
    pub(crate) fn on(workload: &DynamicObject) -> Self {
        let shown = |key| workload.annotations().get(key).cloned();
        Self { phase: shown(keys::PHASE), reason: shown(keys::REASON), message: shown(keys::MESSAGE) }
    }
}

/// A complaint that is still shown although it is over.
fn over(step: &Step, run: String, shown: &Shown) -> Option<Face> {
    let phase = shown.phase.as_deref()?;
    match &step.because {
        Because::UpToDate(_) => {
            let reason = shown.reason.as_deref().unwrap_or_default();
            let stands = phase == step.phase.as_str() && (reason == "UpToDate" || reason.starts_with("Promoted"));
            (!stands).then(|| Face::new(step, run, false))
        }
        Because::Watching { .. } if phase == step.phase.as_str() => {
            let begun = "CanaryIncubating";
            let face = Face { reason: begun.to_owned(), ..Face::new(step, run, false) };
            Some(face).filter(|face| !face.is(shown))
        }
        Because::Still(_) => Some(Face::new(step, run, false)).filter(|face| !face.is(shown)),
        _ => None,
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

fn words_count(because: &Because) -> bool {
    match because {
        Because::InvalidPlan(_)
        | Because::ProductionNotPinned(_)
        | Because::Rejected { .. }
        | Because::Inconclusive { .. }
        | Because::RolledBack { .. }
        | Because::Still(_) => true,
        Because::Blocked(_) => matches!(weight(because), Weight::Told),
        _ => false,
    }
}

/// Whether something that needs no record is told.
enum Weight {
    Told,
    Passing,
    Silent,
}

fn weight(because: &Because) -> Weight {
    match because {
        Because::InvalidPlan(_)
        | Because::ProductionNotPinned(_)
        | Because::RecordUnreadable(_)
        | Because::WantedUnknown(_)
        | Because::WaitingForReady(Some(_))
        | Because::Paused(_) => Weight::Told,
        Because::NotReachable(_) | Because::NotProved { .. } => Weight::Passing,
        Because::Blocked(blocker) => match blocker.kind {
            BlockerKind::MidRollout | BlockerKind::TooManyCanaries => Weight::Passing,
            _ => Weight::Told,
        },
        _ => Weight::Silent,
    }
}

fn run_of(recorded: Option<&Record>, before: &State) -> String {
    let run = recorded.and_then(|record| record.state.run()).or_else(|| before.run());
    run.map(|run| run.id.to_string()).unwrap_or_default()
}
