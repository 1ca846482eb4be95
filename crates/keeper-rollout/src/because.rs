use crate::names::Revision;
use crate::record::Told;
use crate::{StoredAlert, Trouble};
use jiff::Timestamp;
use keeper_signal::{Evidence, Why};
use std::fmt;
use std::time::Duration;

/// Why a step is what it is. The one source of Event reasons, status messages, metric labels and test snapshots.
#[derive(Clone, Debug, PartialEq)]
pub enum Because {
    /// Production runs what is wanted.
    UpToDate(Revision),
    /// The owner took the workload back.
    OptedOut,
    /// What the user wants isn't known yet.
    WantedUnknown(String),
    /// A canary can't start now.
    Blocked(Blocker),
    /// The owner paused us, and there would be something to do.
    Paused(Revision),
    /// The user's YAML is wrong.
    InvalidPlan(String),
    /// What production runs can't be told.
    ProductionNotPinned(String),
    /// The record can't be read, and is left as it is.
    RecordUnreadable(String),
    /// The workload shows a promotion of ours, and the record of it is gone.
    LedgerLost,
    /// Our view is older than the last promotion.
    ViewStale,
    /// Something must be read from the server before going on.
    ReadingAfresh,
    /// A canary that no live run names is in the way, or is just leaving.
    CanaryInTheWay,
    /// A canary is started.
    CanaryLaunching(Revision),
    /// The canary isn't Ready yet.
    WaitingForReady(Option<Trouble>),
    /// The canary is Ready: its incubation begins.
    CanaryIncubating(Revision),
    /// It goes well, and the time isn't over.
    Watching {
        /// How much time was observed.
        observed: Duration,
        /// How much is needed.
        of: Duration,
    },
    /// The canary lost Ready; observed time starts at zero.
    NotReady,
    /// These Services don't list the canary; the clock stands still.
    NotReachable(Vec<String>),
    /// A signal can't tell.
    NotProved {
        /// Which.
        signal: String,
        /// Why.
        why: Why,
    },
    /// Proved; promotion is sent.
    Promoting(Revision, Proof),
    /// Proved; production changed since it was noted, so it is noted again.
    PromotionNotedAgain,
    /// Production was patched and is rolling out.
    RollingOut(Revision),
    /// Production runs the revision.
    Promoted {
        /// Which.
        revision: Revision,
        /// What the verdict rested on.
        proof: Proof,
        /// Alerts that came after the patch.
        late: Vec<StoredAlert>,
    },
    /// The revision is bad.
    Rejected(Revision, Fault),
    /// The revision could not be judged; its canary is removed.
    Inconclusive {
        /// Which.
        revision: Revision,
        /// What was in the way.
        obstacle: Obstacle,
        /// When it is tried again; `None`: it was tried often enough, and a person is waited for.
        again: Option<Timestamp>,
    },
    /// A canary lost to its node is made again.
    Recreating(Revision, u8),
    /// Another revision is wanted now.
    Superseded {
        /// What was judged.
        judged: Revision,
        /// What is wanted.
        by: Revision,
    },
    /// Somebody changed the production template: their edit stands, and the rollout starts over.
    TemplateChanged,
    /// Somebody changed what production runs: that stands, and the rollout starts over.
    ProductionChanged,
    /// Somebody took our promotion back.
    RolledBack {
        /// Of which revision.
        revision: Revision,
        /// The number that `promote` and `retry` must now carry.
        number: u64,
        /// Whether the tag still names it, so that a person is waited for.
        wanted: bool,
    },
    /// Promoted, and production's own rollout doesn't complete.
    PromotedNotRolledOut(Revision, String),
    /// A person asked for another try.
    Retried(Revision),
    /// As was told before.
    Still(Told),
}

/// What a promotion rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Every signal said Healthy, measured.
    Measured,
    /// No alert came, and nothing else was asked.
    Silence,
    /// A person said so.
    Person,
    /// None: there was no production to protect, or to compare with. It is created as it is wanted.
    FirstCreation,
}

/// Why a canary can't start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Which kind.
    pub kind: BlockerKind,
    /// In words.
    pub text: String,
}

/// See [`Blocker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockerKind {
    /// The workload is paused.
    WorkloadPaused,
    /// It wants no pods.
    ScaledToZero,
    /// Its own rollout is under way.
    MidRollout,
    /// Its autoscaler is at its maximum, or scaling now.
    AutoscalerBusy,
    /// Its owner declared that two copies can't run at once.
    NotTwoCopies,
    /// Another canary runs behind the same Service, or as many as may run do.
    TooManyCanaries,
    /// Another manager owns the image field and would take the promotion back.
    ForeignOwner,
    /// The clone would be adopted, or no Service would reach it.
    CloneRefused,
    /// The image comes from another repository than production's.
    OtherRepository,
}

/// What a revision is rejected for.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// An alert accused the canary, or the service while it ran.
    Alert(StoredAlert),
    /// A signal said so.
    Unhealthy {
        /// Which.
        signal: String,
        /// What it saw.
        evidence: Evidence,
    },
    /// The judged container was restarted, can't run, or its image isn't there.
    Trouble(Trouble),
    /// It didn't get Ready in time.
    NeverReady(Duration),
    /// A person said so.
    AbortedByPerson,
    /// It could not be judged, and `onInconclusive` says reject.
    NotJudged(Box<Obstacle>),
}

/// What kept a revision from being judged.
#[derive(Clone, Debug, PartialEq)]
pub enum Obstacle {
    /// The canary could not start, and the image isn't to blame.
    CannotStart(Trouble),
    /// Something outside ended it.
    Trouble(Trouble),
    /// The server refused the canary or the promotion.
    Refused(String),
    /// It was deleted, or lost to its node, more often than we make it again.
    Lost(u8),
    /// The longest incubation passed without proof; what was missing.
    NotProvedInTime(Box<Because>),
    /// It was proved, and the promotion could not be sent in time.
    NotSentInTime,
    /// It could not be created in time.
    NotCreated,
}

impl Because {
    /// The reason in CamelCase, from a closed list: for Events, metric labels and status.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::UpToDate(_) => "UpToDate",
            Self::OptedOut => "OptedOut",
            Self::WantedUnknown(_) => "WantedUnknown",
            Self::Blocked(blocker) => blocker.kind.reason(),
            Self::Paused(_) => "Paused",
            Self::InvalidPlan(_) => "InvalidPlan",
            Self::ProductionNotPinned(_) => "ProductionNotPinned",
            Self::RecordUnreadable(_) => "RecordUnreadable",
            Self::LedgerLost => "LedgerLost",
            Self::ViewStale => "ViewStale",
            Self::ReadingAfresh => "ReadingAfresh",
            Self::CanaryInTheWay => "CanaryInTheWay",
            Self::CanaryLaunching(_) => "CanaryLaunching",
            Self::WaitingForReady(None) => "WaitingForReady",
            Self::WaitingForReady(Some(_)) => "CanaryInTrouble",
            Self::CanaryIncubating(_) => "CanaryIncubating",
            Self::Watching { .. } => "Watching",
            Self::NotReady => "CanaryNotReady",
            Self::NotReachable(_) => "CanaryNotReachable",
            Self::NotProved { .. } => "NotProved",
            Self::Promoting(..) => "Promoting",
            Self::PromotionNotedAgain => "PromotionNotedAgain",
            Self::RollingOut(_) => "RollingOut",
            Self::Promoted { proof, .. } => match proof {
                Proof::Measured => "Promoted",
                Proof::Silence => "PromotedRestsOnSilence",
                Proof::Person => "PromotedByPerson",
                Proof::FirstCreation => "FirstCreated",
            },
            Self::Rejected(..) => "Rejected",
            Self::Inconclusive { .. } => "Inconclusive",
            Self::Recreating(..) => "CanaryRecreated",
            Self::Superseded { .. } => "Superseded",
            Self::TemplateChanged => "TemplateChanged",
            Self::ProductionChanged => "ProductionChanged",
            Self::RolledBack { .. } => "RolledBack",
            Self::PromotedNotRolledOut(..) => "PromotedNotRolledOut",
            Self::Retried(_) => "Retried",
            Self::Still(told) => &told.reason,
        }
    }

    /// Whether this is something a person should see as a warning.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Rejected(..)
            | Self::Inconclusive { .. }
            | Self::InvalidPlan(_)
            | Self::RecordUnreadable(_)
            | Self::LedgerLost
            | Self::RolledBack { .. }
            | Self::PromotedNotRolledOut(..)
            | Self::ProductionNotPinned(_)
            | Self::WantedUnknown(_)
            | Self::WaitingForReady(Some(_))
            | Self::NotReachable(_)
            | Self::NotProved { .. }
            | Self::Blocked(_) => true,
            Self::Promoted { late, .. } => !late.is_empty(),
            _ => false,
        }
    }
}

impl BlockerKind {
    /// The reason in CamelCase.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::WorkloadPaused => "WorkloadPaused",
            Self::ScaledToZero => "ScaledToZero",
            Self::MidRollout => "MidRollout",
            Self::AutoscalerBusy => "AutoscalerBusy",
            Self::NotTwoCopies => "NotTwoCopies",
            Self::TooManyCanaries => "TooManyCanaries",
            Self::ForeignOwner => "ForeignOwner",
            Self::CloneRefused => "CloneRefused",
            Self::OtherRepository => "OtherRepository",
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate(r) => write!(f, "production runs {}, as wanted", r.short()),
            Self::OptedOut => f.write_str("not managed: the label or annotation that asks for canaries is gone"),
            Self::WantedUnknown(why) => write!(f, "what to ship is not known yet: {why}"),
            Self::Blocked(blocker) => write!(f, "no canary is started: {}", blocker.text),
            Self::Paused(r) => write!(f, "paused by annotation; {} waits", r.short()),
            Self::InvalidPlan(what) => f.write_str(what),
            Self::ProductionNotPinned(what) => write!(f, "cannot tell what production runs: {what}"),
            Self::RecordUnreadable(why) => {
                write!(f, "the rollout's record can't be read and is left as it is: {why}; mend or delete it")
            }
            Self::LedgerLost => f.write_str(
                "the workload carries a promotion of ours, but its record is gone: rejected revisions are forgotten",
            ),
            Self::ViewStale => f.write_str("our view of the workload is older than its last promotion; waiting"),
            Self::ReadingAfresh => f.write_str("reading afresh from the server before going on"),
            Self::CanaryInTheWay => f.write_str("waiting for an earlier canary to be gone"),
            Self::CanaryLaunching(r) => write!(f, "starting a canary of {}", r.short()),
            Self::WaitingForReady(None) => f.write_str("the canary is not Ready yet"),
            Self::WaitingForReady(Some(trouble)) => write!(f, "the canary is not Ready yet: {trouble}"),
            Self::CanaryIncubating(r) => write!(f, "the canary of {} is Ready; watching it", r.short()),
            Self::Watching { observed, of } => {
                write!(f, "the canary does well: {} of {} observed", Span(*observed), Span(*of))
            }
            Self::NotReady => f.write_str("the canary lost Ready: its incubation starts at zero"),
            Self::NotReachable(services) => {
                write!(f, "the canary is not listed by {}: the clock stands still", services.join(", "))
            }
            Self::NotProved { signal, why } => write!(f, "{signal} cannot tell: {why}"),
            Self::Promoting(r, proof) => write!(f, "promoting {}: {proof}", r.short()),
            Self::PromotionNotedAgain => {
                f.write_str("the workload changed since the verdict, but not in what it runs: promoting what it is now")
            }
            Self::RollingOut(r) => write!(f, "production is patched to {} and rolls out", r.short()),
            Self::Promoted { revision, proof, late } => {
                write!(f, "promoted: production runs {}; {proof}{}", revision.short(), Late(late))
            }
            Self::Rejected(r, fault) => {
                write!(f, "{} is rejected: {fault}; to try it again: retry={}", r.short(), r.named())
            }
            Self::Inconclusive { revision, obstacle, again } => {
                write!(f, "{} could not be judged: {obstacle}; ", revision.short())?;
                match again {
                    Some(again) => write!(f, "tried again at {}", again.strftime("%FT%TZ")),
                    None => write!(f, "it waits for a person: retry={}", revision.named()),
                }
            }
            Self::Recreating(r, n) => write!(f, "the canary of {} was lost; made again ({n})", r.short()),
            Self::Superseded { judged, by } => {
                write!(f, "{} is superseded by {}, which is wanted now", judged.short(), by.short())
            }
            Self::TemplateChanged => {
                f.write_str("somebody changed the production template: the change stands, the canary starts over")
            }
            Self::ProductionChanged => {
                f.write_str("somebody changed what production runs: the change stands, the canary starts over")
            }
            Self::RolledBack { revision, number, wanted } => {
                write!(f, "our promotion of {} was taken back by somebody; ", revision.short())?;
                if *wanted {
                    write!(f, "it is held. To ship it after all: retry={}#{number}", revision.named())
                } else {
                    write!(f, "it is not promoted again. To lift that: retry={}#{number}", revision.named())
                }
            }
            Self::PromotedNotRolledOut(r, why) => {
                write!(f, "production was patched to {}, but its rollout does not complete: {why}", r.short())
            }
            Self::Retried(r) => write!(f, "a person asked for another try of {}", r.short()),
            Self::Still(told) => f.write_str(&told.message),
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Measured => "watched for the whole incubation, every signal healthy",
            Self::Silence => "watched for the whole incubation, and no alert came (this rests on silence)",
            Self::Person => "a person said so",
            Self::FirstCreation => "production did not exist yet, so it is created without a canary, unjudged",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(alert) => write!(f, "{alert}"),
            Self::Unhealthy { signal, evidence } => write!(f, "{signal}: {evidence}"),
            Self::Trouble(trouble) => write!(f, "{trouble}"),
            Self::NeverReady(after) => write!(f, "not Ready within {}", Span(*after)),
            Self::AbortedByPerson => f.write_str("aborted by a person"),
            Self::NotJudged(obstacle) => write!(f, "{obstacle}, and onInconclusive says reject"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotStart(trouble) => write!(f, "the canary could not start: {trouble}"),
            Self::Trouble(trouble) => write!(f, "{trouble}"),
            Self::Refused(message) => write!(f, "the API server refused it: {message}"),
            Self::Lost(times) => write!(f, "the canary was lost {times} times"),
            Self::NotProvedInTime(missing) => write!(f, "no proof within the longest incubation; last: {missing}"),
            Self::NotCreated => f.write_str("the canary could not be created in time"),
            Self::NotSentInTime => f.write_str("the promotion could not be sent in time"),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImageNotFound(what) => write!(f, "the registry has no such image ({what})"),
            Self::Restarted(what) => write!(f, "the container was restarted ({what})"),
            Self::CannotRun(what) => write!(f, "the container cannot run ({what})"),
            Self::CannotPull(what) => write!(f, "the image cannot be pulled ({what})"),
            Self::NotScheduled(what) => write!(f, "no node takes it ({what})"),
            Self::LostToNode(what) => write!(f, "its node took it away ({what})"),
            Self::DeadlineExceeded(what) => write!(f, "its own deadline ended it, nobody watched it ({what})"),
        }
    }
}

impl fmt::Display for StoredAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alert {} {}, firing since {}", self.name, self.about, self.starts_at)
    }
}

/// The alerts that came after the patch, as the end of a sentence.
pub(crate) struct Late<'a>(pub(crate) &'a [StoredAlert]);

impl fmt::Display for Late<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            [alert] => write!(f, "; after the patch came {alert}"),
            [alert, ..] => write!(f, "; after the patch came {} alerts, first {alert}", self.0.len()),
        }
    }
}

/// A duration as people write it: whole seconds below a minute, else minutes and seconds.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 60, seconds % 60) {
            (0, s) => write!(f, "{s}s"),
            (m, 0) => write!(f, "{m}m"),
            (m, s) => write!(f, "{m}m{s}s"),
        }
    }
}
