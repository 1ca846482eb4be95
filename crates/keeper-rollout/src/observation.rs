use crate::names::{Revision, RunId, TemplateHash, Uid, Version};
use crate::{Blocker, Command};
use jiff::Timestamp;
use keeper_signal::Verdict;

/// Everything seen now, complete in itself: the same observation gives the same step.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Where workload and canary were read.
    pub read: Read,
    /// The production workload.
    pub workload: Workload,
    /// What the user wants to run, as last known: the revision that the tag names, or the Canary's. An error is
    /// "unchanged".
    pub wanted: Wanted,
    /// The canary pod (or Deployment) under the workload's one canary name, whoever made it.
    pub canary: Option<Canary>,
    /// What each signal said at this look; empty when no canary was looked at.
    pub signals: Vec<Looked>,
    /// Whether the way of the alerts was seen to live for the whole incubation.
    pub alert_path_live: bool,
    /// This operator's own unbroken watch of the canary: what the last step gave back.
    pub watch: Option<Watch>,
    /// What the server refused for a reason that asking again does not change, since the last step.
    pub refused: Option<Refusal>,
    /// Whether the store keeps refusing our record, other than by a conflict.
    pub store_refuses: bool,
}

/// How fresh an observation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// From our watches: may be late.
    Cached,
    /// Workload and canary asked of the server, for this step.
    Production,
    /// The record asked of the server, after the canary was seen.
    Record,
}

/// The production workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Whether its owner wants it managed.
    pub opted_in: bool,
    /// Whether its owner paused us.
    pub paused: bool,
    /// The commands that stand on it.
    pub commands: Vec<Command>,
    /// Its `metadata.generation`.
    pub generation: i64,
    /// Its `metadata.resourceVersion`.
    pub version: Version,
    /// The hash of its template, our image blanked.
    pub template: TemplateHash,
    /// What it runs.
    pub production: Production,
    /// The run id that our last promotion stamped on it.
    pub run_label: Option<RunId>,
    /// How far its own rollout is.
    pub rollout: Rollout,
    /// Why a canary can't start now, if there is a reason.
    pub blocker: Option<Blocker>,
    /// What is wrong with the user's YAML, naming field and fix.
    pub invalid: Option<String>,
}

/// What production runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Production {
    /// This revision.
    Runs(Revision),
    /// There is no such workload (resource mode, where what is wanted is the whole workload).
    Absent,
    /// It can't be told, or its pods disagree; in words.
    NotPinned(String),
}

/// How far production's own rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// Every pod runs the template.
    Complete,
    /// Under way, or not yet begun.
    Progressing,
    /// Past its progress deadline, or paused; in words.
    Stuck(String),
}

/// What the user wants to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This revision, as last known.
    Revision(Revision),
    /// Never yet known; why.
    Unknown(String),
}

/// The canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Its uid.
    pub uid: Uid,
    /// The run it was made for; `None` if it carries none.
    pub run: Option<RunId>,
    /// The template it was cloned from; `None` if it doesn't say.
    pub template: Option<TemplateHash>,
    /// Whether it is Ready.
    pub ready: bool,
    /// The `lastTransitionTime` of its Ready condition, or its creation when it has none yet.
    pub ready_changed: Timestamp,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether every Service that selects the production pods lists it (true without such a Service).
    pub reachable: Reach,
    /// What hinders it, if anything does.
    pub trouble: Option<Trouble>,
}

/// Whether traffic can reach the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Listed by every Service of the production pods.
    Reached,
    /// The production pods have no Service: nothing to wait for.
    NoService,
    /// Not listed by these Services.
    Missing(Vec<String>),
}

/// What hinders a canary, told apart by who is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A fresh HEAD of ours found no such image.
    ImageNotFound(String),
    /// The judged container ended and was started again: crash, exit, OOM or a failed liveness probe.
    Restarted(String),
    /// The judged container can't run as it is: a bad command, a missing key of its configuration.
    CannotRun(String),
    /// The image can't be pulled for a reason that isn't the image's: refused, registry down.
    CannotPull(String),
    /// No node takes it.
    NotScheduled(String),
    /// The node failed, was drained or took it away.
    LostToNode(String),
    /// Its deadline ended it: nobody watched it any more.
    DeadlineExceeded(String),
}

/// A signal and what it said.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked {
    /// The signal's name.
    pub signal: String,
    /// Its answer.
    pub verdict: Verdict,
}

/// An unbroken watch of one canary by this operator: its memory between two steps. Losing it costs time only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The canary.
    pub canary: Uid,
    /// The `lastTransitionTime` of its Ready condition.
    pub ready_changed: Timestamp,
    /// What the record held when this watch began, and what it observed before its clock last stood still.
    pub base: std::time::Duration,
    /// Since when its clock runs; `None` while it stands still: the canary can't be reached, or isn't measured.
    pub since: Option<Timestamp>,
    /// The last look of it.
    pub last: Timestamp,
}

/// A no of the server that asking again does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// To what it said no.
    pub what: Refused,
    /// What it said.
    pub message: String,
}

/// See [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The dry-run of promotion and canary.
    Preflight,
    /// The creation of the canary.
    Create,
    /// The promotion.
    Promote,
}

impl Trouble {
    /// Whether the image is to blame, rather than what is around it.
    #[must_use]
    pub fn is_the_images_fault(&self) -> bool {
        match self {
            Self::ImageNotFound(_) | Self::Restarted(_) | Self::CannotRun(_) => true,
            Self::CannotPull(_) | Self::NotScheduled(_) | Self::LostToNode(_) | Self::DeadlineExceeded(_) => false,
        }
    }
}
