//! What one search explores: where it starts, who acts, and how often each event may happen.

use keeper_rollout::{Guard, Verb};

/// What may happen beside what operators and cluster do by themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The tag moves.
    Tag,
    /// Somebody edits the template.
    Edit,
    /// Somebody scales the workload.
    Scale,
    /// Somebody undoes the rollout.
    Undo,
    /// Somebody sets the image by hand.
    SetImage,
    /// The webhook stores an alert.
    Alert,
    /// The canary's container is restarted.
    Restart,
    /// The canary loses Ready for a while.
    Flap,
    /// Somebody deletes the canary.
    PodDelete,
    /// The canary's own deadline kills it.
    Expire,
    /// A person gives a command.
    Command,
    /// A person takes the workload back; two: and gives it again.
    OptOut,
    /// A person pauses us; two: and resumes.
    Pause,
    /// Production's own rollout gets stuck.
    Stuck,
    /// So much time passes that deadlines do.
    Wait,
    /// An operator crashes and starts again.
    Crash,
    /// A request takes effect and its reply is lost.
    LostReply,
    /// A request times out and takes effect later.
    LateRequest,
}

pub const EVENTS: usize = 18;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// The tag has just moved to the second digest.
    Cold,
    /// A canary of the second digest is Ready.
    Incubating,
    /// The second digest was promoted a while ago.
    Promoted,
}

/// How old an operator's view may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Views {
    /// Always what the server holds.
    Fresh,
    /// One snapshot, taken when it decides; its orders may wait.
    Snapshot,
    /// Each object on its own, as old as it likes.
    Each,
}

/// What is switched off, to see that it is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Off {
    Nothing,
    /// A guard of the production code.
    Guard(Guard),
    /// The patch of production tests the resourceVersion.
    PatchTestsVersion,
    /// The run id is stamped as a label, which an undo leaves, and not as an annotation.
    StampIsLabel,
    /// A record is stored on the condition that it is still the version the decision was formed from.
    StoreIsConditional,
    /// The canary is deleted by uid and not by name.
    DeleteByUid,
}

#[derive(Clone, Debug)]
pub struct Config {
    pub name: &'static str,
    pub operators: usize,
    pub views: Views,
    pub start: Start,
    /// The incubation, in looks.
    pub looks: u8,
    pub budget: [u8; EVENTS],
    pub verbs: &'static [Verb],
    pub off: Off,
}

impl Config {
    /// One operator with a fresh view, an incubation of one look, and nothing that happens.
    pub fn new(name: &'static str, start: Start) -> Self {
        Self {
            name,
            operators: 1,
            views: Views::Fresh,
            start,
            looks: 1,
            budget: [0; EVENTS],
            verbs: &crate::world::VERBS,
            off: Off::Nothing,
        }
    }

    pub fn operators(self, operators: usize, views: Views) -> Self {
        Self { operators, views, ..self }
    }

    pub fn looks(self, looks: u8) -> Self {
        Self { looks, ..self }
    }

    pub fn with(mut self, event: Event, times: u8) -> Self {
        self.budget[event as usize] = times;
        self
    }

    pub fn once(self, events: &[Event]) -> Self {
        events.iter().fold(self, |config, event| config.with(*event, 1))
    }

    pub fn verbs(self, verbs: &'static [Verb]) -> Self {
        Self { verbs, ..self }
    }

    pub fn off(self, off: Off) -> Self {
        Self { off, ..self }
    }
}
