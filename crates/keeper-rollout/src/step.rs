use crate::Because;
use crate::names::{Revision, RunId, Uid, Version};
use crate::observation::Watch;
use crate::record::Record;
use jiff::Timestamp;
use std::fmt;

/// What the core answers: complete, so that a test compares it whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The phase to show.
    pub phase: Phase,
    /// What is to be done, in this order; the first that fails ends the list, and a new observation decides anew.
    pub orders: Vec<Order>,
    /// When to look again if nothing happens before; `None`: when something changes.
    pub wake_at: Option<Timestamp>,
    /// Why.
    pub because: Because,
    /// This operator's watch, to be handed back with the next observation.
    pub watch: Option<Watch>,
}

/// The phases of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Nothing is under way.
    Settled,
    /// A canary is started.
    Launching,
    /// A canary is watched.
    Incubating,
    /// Production is patched.
    Promoting,
    /// The revision is bad.
    Rejected,
    /// The revision could not be judged; tried again later.
    Inconclusive,
    /// A person is waited for; the reason says for what.
    Held,
}

/// An idempotent wish for the cluster. Every write among them has a precondition.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Observe again, reading from the server, and step again at once.
    Read(Afresh),
    /// Send the promotion of this revision and its canary once with server-side dry-run.
    Preflight {
        /// What would be judged and promoted.
        revision: Revision,
        /// The run the canary would carry.
        run: RunId,
    },
    /// Store the record, on the condition that it is still the version this step was formed from.
    Record(Box<Record>),
    /// The canary of this revision and run exists.
    CreateCanary {
        /// What it runs.
        revision: Revision,
        /// The run it carries.
        run: RunId,
    },
    /// The canary of this uid does not exist.
    DeleteCanary(Uid),
    /// Production runs this revision and carries this run's id, by one patch that tests uid and resourceVersion; or by
    /// its creation, where there was none.
    Promote {
        /// What production is to run.
        revision: Revision,
        /// The run whose id it is to carry.
        run: RunId,
        /// The resourceVersion the patch tests.
        version: Version,
    },
    /// Production has another resourceVersion than this one: a metadata-only patch that tests it, so that a promotion
    /// still on its way can't land.
    Fence {
        /// The run that is left.
        run: RunId,
        /// The resourceVersion that must not stay.
        version: Version,
    },
}

/// What an [`Order::Read`] asks of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afresh {
    /// Workload and canary.
    Production,
    /// The record, after the canary was seen.
    Record,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 7] = [
        Self::Settled,
        Self::Launching,
        Self::Incubating,
        Self::Promoting,
        Self::Rejected,
        Self::Inconclusive,
        Self::Held,
    ];

    /// The name, as in YAML and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "Settled",
            Self::Launching => "Launching",
            Self::Incubating => "Incubating",
            Self::Promoting => "Promoting",
            Self::Rejected => "Rejected",
            Self::Inconclusive => "Inconclusive",
            Self::Held => "Held",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
