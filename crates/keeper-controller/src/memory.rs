//! What the operator remembers of a workload between two reconciles. Losing it costs time or a request, never
//! correctness: what matters is in the record and on the cluster.

use jiff::Timestamp;
use keeper_image::{Reference, Seen};
use keeper_rollout::{Looked, Phase, Refusal, RunId, Watch};
use keeper_signal::HealthSignal;
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::AbortHandle;

#[derive(Default)]
pub(crate) struct Memory {
    /// The core's own.
    pub(crate) watch: Option<Watch>,
    /// The signals of the run under way, and what they said last.
    pub(crate) signals: Option<RunSignals>,
    /// The tag that is watched for this workload.
    pub(crate) tag: Option<Tag>,
    /// The tags that are watched for this Canary, by what its template writes.
    pub(crate) tags: BTreeMap<String, Tag>,
    /// The name of the production Deployment that `workload` is about.
    pub(crate) production: String,
    /// What the canary's containers ran by their nodes' account: compared with production's where no digest was known.
    pub(crate) judged: Option<(RunId, BTreeMap<String, String>)>,
    /// What we wrote and our watches may not show yet.
    pub(crate) record: Own,
    pub(crate) canary: Own,
    pub(crate) workload: Own,
    /// What the server refused at the last step.
    pub(crate) refused: Option<Refusal>,
    /// Whether the last list of orders got its record stored.
    pub(crate) recorded: bool,
    /// How many times in a row the store refused our record, other than by a conflict.
    pub(crate) store_failures: u32,
    /// The last fresh HEAD of a canary's image that its node could not pull.
    pub(crate) head: Option<(RunId, Timestamp, Result<(), HeadError>)>,
    /// Which of the workload's volume claims are ReadWriteOnce, as of when.
    pub(crate) claims: Option<(Timestamp, BTreeSet<String>)>,
    /// How many reconciles failed in a row.
    pub(crate) failures: u32,
    /// The last phase and reason that were logged, and since when they hold.
    pub(crate) said: Option<(Phase, String, Timestamp)>,
    /// The phase it was last counted under.
    pub(crate) phase: Option<Phase>,
}

/// Why the registry gave no digest for a canary's image.
#[derive(Clone, Debug)]
pub(crate) enum HeadError {
    NotFound(String),
    Other(String),
}

pub(crate) struct RunSignals {
    pub(crate) run: RunId,
    pub(crate) signals: Vec<Box<dyn HealthSignal>>,
    pub(crate) impossible: Vec<Looked>,
    pub(crate) looked: Vec<Looked>,
    /// What was said by signals that only observe.
    pub(crate) observed: Vec<Looked>,
    pub(crate) at: Option<Timestamp>,
}

/// A subscription to a tag. Ends with this value.
pub(crate) struct Tag {
    pub(crate) image: Reference,
    pub(crate) seen: watch::Receiver<Seen>,
    pub(crate) forward: AbortHandle,
}

impl Drop for Tag {
    fn drop(&mut self) {
        self.forward.abort();
    }
}

/// An object as our own last write left it, shown for as long as our watch shows what was there before.
#[derive(Default)]
pub(crate) enum Own {
    #[default]
    Nothing,
    Written {
        /// The resourceVersions that were replaced, by this and earlier writes; `None` where there was no such object.
        replaced: Vec<Option<String>>,
        object: Arc<DynamicObject>,
        at: Timestamp,
    },
    /// Deleted, by its uid: shown as terminating.
    Deleted { uid: String },
}

/// After this many seconds a watch that still doesn't show our write is believed.
const BELIEVED_AFTER: i64 = 30;

impl Own {
    /// Notes a write of ours, on top of those that the watch may not show either.
    pub(crate) fn wrote(&mut self, over: Option<String>, object: DynamicObject) {
        let mut replaced = match std::mem::take(self) {
            Self::Written { replaced, .. } => replaced,
            Self::Nothing | Self::Deleted { .. } => Vec::new(),
        };
        replaced.push(over);
        *self = Self::Written { replaced, object: Arc::new(object), at: Timestamp::now() };
    }

    /// The object as it is to be seen: what the watch shows, or what we wrote where the watch lags behind.
    pub(crate) fn over(&mut self, shown: Option<Arc<DynamicObject>>, now: Timestamp) -> Option<Arc<DynamicObject>> {
        match self {
            Self::Nothing => shown,
            Self::Written { replaced, object, at } => {
                let shown_version = shown.as_ref().and_then(|shown| shown.resource_version());
                let lags = replaced.contains(&shown_version) || is_older(shown_version.as_deref(), object);
                if lags && now.as_second() - at.as_second() < BELIEVED_AFTER {
                    return Some(Arc::clone(object));
                }
                *self = Self::Nothing;
                shown
            }
            Self::Deleted { uid } => match shown {
                Some(shown) if shown.uid().as_ref() == Some(uid) => {
                    let mut leaving = shown.as_ref().clone();
                    let moment = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now);
                    leaving.metadata.deletion_timestamp.get_or_insert(moment);
                    Some(Arc::new(leaving))
                }
                shown => {
                    *self = Self::Nothing;
                    shown
                }
            },
        }
    }
}

/// Whether that version of the object comes before this one. Versions that are no numbers can't be told apart so.
fn is_older(version: Option<&str>, object: &DynamicObject) -> bool {
    let number = |version: &str| version.parse::<u128>().ok();
    let ours = object.resource_version().as_deref().and_then(number);
    version.and_then(number).zip(ours).is_some_and(|(theirs, ours)| theirs < ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: &str) -> DynamicObject {
        let mut object = DynamicObject::new("shop", &crate::kind::config_map());
        object.metadata.resource_version = Some(version.to_owned());
        object
    }

    /// What is seen after writing version 12 over version 10, when the watch shows `shown`.
    fn check(shown: Option<&str>, seen: Option<&str>) {
        let mut own = Own::Nothing;
        own.wrote(Some("10".to_owned()), version("12"));
        let over = own.over(shown.map(|shown| Arc::new(version(shown))), Timestamp::now());
        assert_eq!(over.and_then(|object| object.resource_version()).as_deref(), seen);
    }

    #[test]
    fn our_write_is_seen_until_the_watch_shows_it() {
        check(Some("10"), Some("12"));
        check(Some("11"), Some("12"));
        check(Some("9"), Some("12"));
        check(Some("12"), Some("12"));
        check(Some("13"), Some("13"));
        check(Some("later"), Some("later"));
        check(None, None);
    }
}
