//! What a person is shown, decided from the step alone: the Event, the annotations, the line in the log.

use crate::kind::Subject;
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
    pub(crate) fn of(step: &Step, reason: &str, before: &State, shown: &Shown, lasted: Duration) -> Option<Self> {
        let recorded = step.orders.iter().find_map(|order| match order {
            Order::Record(record) => Some(record.as_ref()),
            _ => None,
        });
        let run = run_of(recorded, before);
        if let Some(record) = recorded {
            let of = |state: &State| state.ended().map(|ended| ended.revision.clone());
            let news =
                record.state.phase() != before.phase() || of(&record.state) != of(before) || is_outcome(&step.because);
            return news.then(|| Self::new(step, reason, run, true));
        }
        let told = match weight(&step.because) {
            Weight::Told => true,
            Weight::Passing => lasted >= PASSING,
            Weight::Silent => false,
        };
        if told {
            return Some(Self::new(step, reason, run, true)).filter(|face| !face.is(shown));
        }
        over(step, reason, run, shown)
    }

    /// What is seen, shown without an Event.
    pub(crate) fn quiet(step: &Step, reason: &str, before: &State) -> Self {
        Self::new(step, reason, run_of(None, before), false)
    }

    fn new(step: &Step, reason: &str, run: String, event: bool) -> Self {
        Self {
            phase: step.phase,
            reason: reason.to_owned(),
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

    pub(crate) fn shown_message(&self) -> String {
        shown_words(&self.message)
    }

    /// Whether that is shown already.
    pub(crate) fn is(&self, shown: &Shown) -> bool {
        let same_words = || shown.message.as_deref() == Some(&self.shown_message());
        shown.phase.as_deref() == Some(self.phase.as_str())
            && shown.reason.as_deref() == Some(&self.reason)
            && (!self.words_count || same_words())
    }
}

/// Words as they are shown: one line, of 500 characters and of what a Canary's status takes. Showing them changes nothing in
/// them, so that they are known again.
pub(crate) fn shown_words(words: &str) -> String {
    const BYTES: usize = 1000;
    let mut shown = crate::json::cut(words, 500).replace(char::is_control, " ");
    while shown.len() > BYTES {
        shown.pop();
    }
    shown
}

impl Shown {
    pub(crate) fn on(object: &DynamicObject) -> Self {
        if Subject::of(object) == Subject::Canary {
            let shown = |pointer| crate::json::text(&object.data, pointer).map(str::to_owned);
            let [phase, reason, message] = ["/status/phase", "/status/reason", "/status/message"].map(shown);
            return Self { phase, reason, message };
        }
        let shown = |key| object.annotations().get(key).cloned();
        Self { phase: shown(keys::PHASE), reason: shown(keys::REASON), message: shown(keys::MESSAGE) }
    }
}

/// A complaint that is still shown although it is over.
fn over(step: &Step, reason: &str, run: String, shown: &Shown) -> Option<Face> {
    let phase = shown.phase.as_deref()?;
    match &step.because {
        Because::UpToDate(_) => {
            let told = shown.reason.as_deref().unwrap_or_default();
            let good = ["UpToDate", "FirstCreated"].contains(&told) || told.starts_with("Promoted");
            let stands = phase == step.phase.as_str() && good;
            (!stands).then(|| Face::new(step, reason, run, false))
        }
        Because::Watching { .. } if phase == step.phase.as_str() => {
            let begun = "CanaryIncubating";
            let face = Face { reason: begun.to_owned(), ..Face::new(step, reason, run, false) };
            Some(face).filter(|face| !face.is(shown))
        }
        Because::Still(_) => Some(Face::new(step, reason, run, false)).filter(|face| !face.is(shown)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use keeper_rollout::{Blocker, Ended, Fault, Proof, Revision, Told};

    const MOMENT: Duration = Duration::ZERO;

    fn revision() -> Revision {
        Revision::from("sha256:0123456789abcdef")
    }

    fn told(reason: &str) -> Told {
        Told { reason: reason.into(), message: format!("because of {reason}"), at: Timestamp::UNIX_EPOCH }
    }

    fn rejected(revision: &str) -> State {
        State::Rejected(Ended { revision: revision.into(), told: told("Rejected") })
    }

    fn step(phase: Phase, because: Because) -> Step {
        Step { phase, orders: Vec::new(), wake_at: None, because, watch: None }
    }

    fn writes(step: Step, state: State) -> Step {
        Step { orders: vec![Order::Record(Box::new(Record { state, ..Record::default() }))], ..step }
    }

    fn shows(phase: &str, reason: &str, message: &str) -> Shown {
        Shown { phase: Some(phase.into()), reason: Some(reason.into()), message: Some(message.into()) }
    }

    fn invalid(words: &str) -> Step {
        step(Phase::Held, Because::InvalidPlan(words.into()))
    }

    fn blocked(kind: BlockerKind) -> Step {
        step(Phase::Settled, Because::Blocked(Blocker { kind, text: "so it is".into() }))
    }

    /// `Some((reason, event))` is shown, or nothing is.
    #[track_caller]
    fn check(step: &Step, before: &State, shown: &Shown, lasted: Duration, expected: Option<(&str, bool)>) {
        let face = Face::of(step, step.because.reason(), before, shown, lasted);
        let found = face.as_ref().map(|face| (face.reason.as_str(), face.event));
        assert_eq!(found, expected, "{}", step.because);
    }

    #[test]
    fn a_recorded_change_is_told() {
        let nothing = Shown::default();
        let bad = Because::Rejected(revision(), Fault::AbortedByPerson);
        let ends = writes(step(Phase::Rejected, bad), rejected("a"));
        check(&ends, &State::Settled, &nothing, MOMENT, Some(("Rejected", true)));
        let back = writes(step(Phase::Rejected, Because::Still(told("Rejected"))), rejected("a"));
        check(&back, &State::Settled, &nothing, MOMENT, Some(("Rejected", true)));
        // From one bad revision to another, of which the ledger knows.
        check(&back, &rejected("b"), &nothing, MOMENT, Some(("Rejected", true)));
        // Observed time is recorded in silence.
        let watching = Because::Watching { observed: MOMENT, of: MOMENT };
        let noted = writes(step(Phase::Settled, watching), State::Settled);
        check(&noted, &State::Settled, &nothing, MOMENT, None);
        let changed = writes(step(Phase::Settled, Because::TemplateChanged), State::Settled);
        check(&changed, &State::Settled, &nothing, MOMENT, Some(("TemplateChanged", true)));
    }

    #[test]
    fn a_mistake_is_told_once_and_another_one_again() {
        let before = State::Settled;
        let wrong = invalid("annotation canary-image is missing");
        check(&wrong, &before, &Shown::default(), MOMENT, Some(("InvalidPlan", true)));
        let same = shows("Held", "InvalidPlan", "annotation canary-image is missing");
        check(&wrong, &before, &same, MOMENT, None);
        check(&invalid("annotation canary-duration is negative"), &before, &same, MOMENT, Some(("InvalidPlan", true)));
        // A registry may give its failure other words each time; that is one failure.
        let unknown = step(Phase::Settled, Because::WantedUnknown("503".into()));
        check(&unknown, &before, &shows("Settled", "WantedUnknown", "429"), MOMENT, None);
    }

    #[test]
    fn long_words_are_cut_and_still_the_same() {
        let wrong = invalid(&"ä".repeat(10_000));
        let face = Face::of(&wrong, "InvalidPlan", &State::Settled, &Shown::default(), MOMENT).unwrap();
        let annotations = face.annotations();
        let message = annotations[keys::MESSAGE].as_str().unwrap();
        assert!(message.chars().count() <= 501);
        check(&wrong, &State::Settled, &shows("Held", "InvalidPlan", message), MOMENT, None);
    }

    #[test]
    fn what_passes_by_itself_is_told_when_it_lasts() {
        let (before, nothing) = (State::Settled, Shown::default());
        for kind in [BlockerKind::MidRollout, BlockerKind::TooManyCanaries] {
            check(&blocked(kind), &before, &nothing, MOMENT, None);
            check(&blocked(kind), &before, &nothing, PASSING, Some((kind.reason(), true)));
            check(&blocked(kind), &before, &shows("Settled", kind.reason(), "other words"), PASSING, None);
        }
        for kind in [BlockerKind::ScaledToZero, BlockerKind::OtherRepository, BlockerKind::NotTwoCopies] {
            check(&blocked(kind), &before, &nothing, MOMENT, Some((kind.reason(), true)));
        }
    }

    #[test]
    fn an_idle_workload_is_never_written() {
        let idle = step(Phase::Settled, Because::UpToDate(revision()));
        check(&idle, &State::Settled, &Shown::default(), PASSING, None);
        check(&idle, &State::Settled, &shows("Settled", "Promoted", "production runs it"), PASSING, None);
        check(&idle, &State::Settled, &shows("Settled", "UpToDate", "since then"), PASSING, None);
    }

    #[test]
    fn a_complaint_that_is_over_goes_without_an_event() {
        let complaint = shows("Held", "InvalidPlan", "annotation canary-duration is negative");
        let idle = step(Phase::Settled, Because::UpToDate(revision()));
        check(&idle, &State::Settled, &complaint, MOMENT, Some(("UpToDate", false)));
        let still = step(Phase::Rejected, Because::Still(told("Rejected")));
        check(&still, &rejected("a"), &complaint, MOMENT, Some(("Rejected", false)));
        let shown = shows("Rejected", "Rejected", "because of Rejected");
        check(&still, &rejected("a"), &shown, MOMENT, None);
    }

    #[test]
    fn a_face_tells_the_run_and_the_words() {
        let because = Because::Promoted { revision: revision(), proof: Proof::Silence, late: Vec::new() };
        let (reason, writes) = (because.reason().to_owned(), writes(step(Phase::Settled, because), rejected("a")));
        let face = Face::of(&writes, &reason, &State::Settled, &Shown::default(), MOMENT);
        let face = face.unwrap();
        assert_eq!(face.reason, "PromotedRestsOnSilence");
        assert!(!face.warning && face.message.contains("sha256:0123456789ab"), "{}", face.message);
        let shown = face.annotations();
        assert_eq!((&shown[keys::PHASE], &shown[keys::REASON]), (&json!("Settled"), &json!("PromotedRestsOnSilence")));
        let mut workload: DynamicObject = serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
        workload.metadata.annotations = serde_json::from_value(shown).unwrap();
        assert!(face.is(&Shown::on(&workload)));
    }
}
