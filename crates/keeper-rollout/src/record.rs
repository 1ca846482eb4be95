use crate::names::{Revision, RunId, TemplateHash, Uid, Version};
use crate::{Because, Command, Phase, Proof};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// The most revisions a ledger remembers; the oldest leave first. A revision that left may be tried again.
pub const LEDGER_LIMIT: usize = 64;
/// The most used commands that are remembered; the oldest leave first.
pub const USED_LIMIT: usize = 64;
/// The most alerts a run keeps; one is enough to end it.
pub const ALERTS_LIMIT: usize = 16;

/// What the store answered when it was asked for a workload's record.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// There is none.
    Absent,
    /// There is one that this program can't read: newer, or damaged. It is never overwritten.
    Unreadable(String),
    /// There is one.
    Readable(Box<Record>),
}

/// What is remembered on the cluster about the rollouts of one workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Where the rollout stands.
    pub state: State,
    /// The remembered bad revisions.
    pub ledger: BTreeMap<Revision, Entry>,
    /// The last revision that we promoted and that production hasn't left.
    pub promoted: Option<Revision>,
    /// The workload's generation noted before the last accepted promotion, or 0: a view that isn't above it is older
    /// than that promotion and decides nothing.
    pub floor: i64,
    /// How often each revision was rolled back by somebody, under which number commands must name it.
    pub rolled_back: BTreeMap<Revision, u64>,
    /// The revision that was last Inconclusive, and how many times in a row.
    pub tried: Option<(Revision, u8)>,
    /// Commands already acted upon, oldest first.
    pub used: Vec<Command>,
    /// How many runs there were: the next run's id is made of it.
    pub runs: u64,
}

/// Where a rollout stands, with what that phase needs to remember.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum State {
    /// Nothing is under way.
    #[default]
    Settled,
    /// A canary is wanted and not yet Ready.
    Launching(Run),
    /// A canary is being watched.
    Incubating(Run, Watched),
    /// The verdict is formed; production is, or is about to be, patched.
    Promoting(Run, Sending),
    /// The revision is bad.
    Rejected(Ended),
    /// The revision could not be judged.
    Inconclusive(Ended, Timestamp),
    /// A person is waited for.
    Held(Ended, Hold),
}

/// One attempt with one canary.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// What is judged.
    pub revision: Revision,
    /// The production template the canary was cloned from.
    pub template: TemplateHash,
    /// What production ran when it began.
    pub from: Revision,
    /// When it began.
    pub began: Timestamp,
    /// How often its canary was made again after trouble with its node.
    pub recreated: u8,
    /// The alerts that count against it, as the webhook stored them.
    pub alerts: Vec<StoredAlert>,
}

/// An alert that counts against the canary, or that came too late to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAlert {
    /// Alertmanager's fingerprint: with `starts_at` the identity of the alert.
    pub fingerprint: String,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// Its `alertname`.
    pub name: String,
    /// Whom it accuses and in what words, in one line.
    pub about: String,
}

/// What is known of a canary that was Ready once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The canary.
    pub canary: Uid,
    /// The `lastTransitionTime` of its Ready condition; another one means it wasn't Ready in between.
    pub ready_changed: Timestamp,
    /// When it was first Ready.
    pub began: Timestamp,
    /// How much time was observed, as last recorded.
    pub observed: Duration,
}

/// What a promotion was decided upon, noted before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// The canary that was judged.
    pub canary: Uid,
    /// The `lastTransitionTime` of its Ready condition.
    pub ready_changed: Timestamp,
    /// The workload's generation when it was read afresh.
    pub generation: i64,
    /// The workload's resourceVersion then: the patch tests it.
    pub version: Version,
    /// What the verdict rests on.
    pub proof: Proof,
    /// When it was decided.
    pub since: Timestamp,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Of which revision.
    pub revision: Revision,
    /// Why.
    pub told: Told,
}

/// A reason as it was told when it was new: kept as text, since what decided it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// In CamelCase, as in events: [`Because::reason`].
    pub reason: String,
    /// In words.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// Why a revision is in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which kind of bad.
    pub kind: EntryKind,
    /// In words, and since when.
    pub told: Told,
}

/// See [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Judged and found bad, or aborted by a person.
    Rejected,
    /// Promoted by us, and taken back by somebody else.
    RolledBack,
}

/// For what a person is waited, where it must be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A promotion of ours was taken back.
    RolledBack,
    /// Promoted, and production's own rollout doesn't complete.
    NotRolledOut,
    /// Tried often enough without a verdict.
    Inconclusive,
}

impl State {
    /// The phase this state is shown as.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Settled => Phase::Settled,
            Self::Launching(_) => Phase::Launching,
            Self::Incubating(..) => Phase::Incubating,
            Self::Promoting(..) => Phase::Promoting,
            Self::Rejected(_) => Phase::Rejected,
            Self::Inconclusive(..) => Phase::Inconclusive,
            Self::Held(..) => Phase::Held,
        }
    }

    /// The run under way, if one is.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        match self {
            Self::Launching(run) | Self::Incubating(run, _) | Self::Promoting(run, _) => Some(run),
            Self::Settled | Self::Rejected(_) | Self::Inconclusive(..) | Self::Held(..) => None,
        }
    }

    /// How it ended, if it did and that is remembered.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        match self {
            Self::Rejected(ended) | Self::Inconclusive(ended, _) | Self::Held(ended, _) => Some(ended),
            Self::Settled | Self::Launching(_) | Self::Incubating(..) | Self::Promoting(..) => None,
        }
    }
}

impl Record {
    /// Stores an alert that counts, for the run under way. Answers whether the record changed: an alert already there,
    /// or one more than [`ALERTS_LIMIT`], changes nothing, and without a run there is nothing to store it for.
    pub fn store_alert(&mut self, alert: StoredAlert) -> bool {
        let (State::Launching(run) | State::Incubating(run, _) | State::Promoting(run, _)) = &mut self.state else {
            return false;
        };
        let known = run.alerts.iter().any(|a| a.fingerprint == alert.fingerprint && a.starts_at == alert.starts_at);
        if known || run.alerts.len() >= ALERTS_LIMIT {
            return false;
        }
        run.alerts.push(alert);
        true
    }

    pub(crate) fn enter(&mut self, revision: &Revision, kind: EntryKind, told: Told) {
        self.ledger.insert(revision.clone(), Entry { kind, told });
        while self.ledger.len() > LEDGER_LIMIT {
            let oldest = self.ledger.iter().filter(|(r, _)| *r != revision).min_by_key(|(_, entry)| entry.told.at);
            let Some((oldest, _)) = oldest else { return };
            let oldest = oldest.clone();
            self.ledger.remove(&oldest);
            self.rolled_back.remove(&oldest);
        }
    }

    pub(crate) fn use_up(&mut self, command: &Command) {
        self.used.push(command.clone());
        if self.used.len() > USED_LIMIT {
            self.used.remove(0);
        }
    }

    pub(crate) fn tries_of(&self, revision: &Revision) -> u8 {
        self.tried.as_ref().filter(|(r, _)| r == revision).map_or(0, |(_, n)| *n)
    }
}

impl Told {
    pub(crate) fn of(because: &Because, at: Timestamp) -> Self {
        Self { reason: because.reason().to_owned(), message: because.to_string(), at }
    }
}
