//! How long a Job waits after failures before it makes another pod. Pure.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::objects::{Fields, Meta, Object};

/// The wait after the first failure, doubled at each further one, and the longest.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// The failures since the last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
    last: Option<Timestamp>,
}

impl Backoff {
    /// With what ended since.
    pub(super) fn after(self, succeeded: &[Arc<Object>], failed: &[Arc<Object>]) -> Self {
        let success = succeeded.iter().filter_map(|pod| ended_at(pod)).max();
        let since = |failed: &Arc<Object>| ended_at(failed).filter(|at| success.is_none_or(|success| *at > success));
        let failures: Vec<Timestamp> = failed.iter().filter_map(since).collect();
        let before = if succeeded.is_empty() { self } else { Self::default() };
        Self {
            failures: before.failures.saturating_add(u32::try_from(failures.len()).unwrap_or(u32::MAX)),
            last: failures.into_iter().max().or(before.last),
        }
    }

    /// What is left of the wait.
    pub(super) fn remaining(self, now: Timestamp) -> Duration {
        let (Some(last), Some(doublings)) = (self.last, self.failures.checked_sub(1)) else { return Duration::ZERO };
        let wait = FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST);
        let left = SignedDuration::try_from(wait).unwrap_or_default() - now.duration_since(last);
        if left.is_positive() { left.unsigned_abs() } else { Duration::ZERO }
    }
}

/// When a pod ended: its last container, else when it was not ready any more, else when it was deleted or made.
fn ended_at(pod: &Object) -> Option<Timestamp> {
    let finished = |status: &Value| status.time("/state/terminated/finishedAt");
    let all: Option<Vec<Timestamp>> = pod.items("/status/containerStatuses").iter().map(finished).collect();
    let unready = || {
        let ready = pod.condition("Ready").filter(|ready| ready.text("/status") == Some("False"))?;
        ready.time("/lastTransitionTime")
    };
    let deleted = || {
        let at = pod.metadata.deletion_timestamp.as_ref()?.0;
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        at.checked_sub(SignedDuration::from_secs(grace)).ok()
    };
    all.and_then(|all| all.into_iter().max()).or_else(unready).or_else(deleted).or_else(|| pod.created())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::{PODS, object};

    fn ended(second: i64) -> Arc<Object> {
        let at = Timestamp::from_second(second).unwrap();
        let status = json!({"containerStatuses": [{"state": {"terminated": {"finishedAt": at.to_string()}}}]});
        Arc::new(object(&PODS, json!({"metadata": {"name": "p"}, "status": status})).unwrap())
    }

    fn left(backoff: Backoff, now: i64) -> u64 {
        backoff.remaining(Timestamp::from_second(now).unwrap()).as_secs()
    }

    #[test]
    fn the_wait_doubles_and_is_bounded() {
        let once = Backoff::default().after(&[], &[ended(100)]);
        assert_eq!((left(once, 100), left(once, 104), left(once, 120)), (10, 6, 0));
        let twice = once.after(&[], &[ended(200)]);
        assert_eq!(left(twice, 200), 20);
        let often = (0..40).fold(twice, |backoff, _| backoff.after(&[], &[ended(200)]));
        assert_eq!(left(often, 200), 600);
    }

    #[test]
    fn a_success_forgets_what_was_before() {
        let once = Backoff::default().after(&[], &[ended(100)]);
        assert_eq!(left(once.after(&[ended(101)], &[]), 101), 0);
        assert_eq!(left(once.after(&[ended(101)], &[ended(99), ended(102)]), 102), 10);
    }
}
