//! The parts of a Deployment's spec that the controller decides by, with the API's defaults.

use serde_json::Value;

use crate::objects::{Fields, Object};

/// How pods are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controllers) enum Strategy {
    /// All old pods go before the first new one comes.
    Recreate,
    /// At most `surge` pods more and `unavailable` pods fewer than wanted.
    Rolling { surge: i64, unavailable: i64 },
}

/// What a Deployment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controllers) struct Spec {
    pub(in crate::controllers) replicas: i64,
    pub(in crate::controllers) strategy: Strategy,
    /// Seconds; `None` when the Deployment has no deadline.
    pub(in crate::controllers) progress_deadline: Option<i64>,
    pub(in crate::controllers) history_limit: usize,
    pub(in crate::controllers) paused: bool,
}

impl Spec {
    pub(in crate::controllers) fn of(deployment: &Object) -> Self {
        let replicas = deployment.int("/spec/replicas").unwrap_or(1).max(0);
        let deadline = deployment.int("/spec/progressDeadlineSeconds").unwrap_or(600);
        Self {
            replicas,
            strategy: strategy(deployment, replicas),
            progress_deadline: Some(deadline).filter(|seconds| *seconds < i64::from(i32::MAX)),
            history_limit: deployment
                .int("/spec/revisionHistoryLimit")
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or(10),
            paused: deployment.flag("/spec/paused"),
        }
    }

    pub(in crate::controllers) fn surge(&self) -> i64 {
        match self.strategy {
            Strategy::Rolling { surge, .. } => surge,
            Strategy::Recreate => 0,
        }
    }

    pub(in crate::controllers) fn unavailable(&self) -> i64 {
        match self.strategy {
            Strategy::Rolling { unavailable, .. } => unavailable,
            Strategy::Recreate => 0,
        }
    }
}

fn strategy(deployment: &Object, replicas: i64) -> Strategy {
    if deployment.text("/spec/strategy/type") == Some("Recreate") {
        return Strategy::Recreate;
    }
    let bound = |field, round_up| match deployment.at(&format!("/spec/strategy/rollingUpdate/{field}")) {
        Some(bound) => share(bound, replicas, round_up).unwrap_or(0),
        None => percent(25, replicas, round_up),
    };
    let (surge, unavailable) = (bound("maxSurge", true), bound("maxUnavailable", false));
    // Both may come out as zero by rounding; then nothing could ever move.
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    Strategy::Rolling { surge, unavailable: unavailable.min(replicas) }
}

/// A count or a percentage of `total` as a count.
pub(in crate::controllers) fn share(bound: &Value, total: i64, round_up: bool) -> Option<i64> {
    if let Some(count) = bound.as_i64() {
        return Some(count.max(0));
    }
    let percentage: i64 = bound.as_str()?.strip_suffix('%')?.parse().ok()?;
    Some(percent(percentage.clamp(0, 1_000_000), total, round_up))
}

fn percent(percentage: i64, total: i64, round_up: bool) -> i64 {
    let hundredths = percentage.saturating_mul(total);
    if round_up { hundredths.saturating_add(99) / 100 } else { hundredths / 100 }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literal JSON reads better without borrows")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::{DEPLOYMENTS, object};

    fn of(spec: Value) -> Spec {
        Spec::of(&object(&DEPLOYMENTS, json!({"metadata": {"name": "d"}, "spec": spec})).unwrap())
    }

    #[test]
    fn the_defaults_are_the_apis() {
        let spec = of(json!({"replicas": 10}));
        assert_eq!(
            spec.strategy,
            Strategy::Rolling { surge: 3, unavailable: 2 },
            "25 % is rounded up for surge and down for unavailable"
        );
        assert_eq!((spec.progress_deadline, spec.history_limit, spec.paused), (Some(600), 10, false));
    }

    #[test]
    fn two_zeros_become_one_unavailable() {
        let spec = of(json!({"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "10%"}}}));
        assert_eq!(spec.strategy, Strategy::Rolling { surge: 0, unavailable: 1 });
    }

    #[test]
    fn no_deadline_is_the_largest_number() {
        assert_eq!(of(json!({"progressDeadlineSeconds": 2_147_483_647})).progress_deadline, None);
    }

    #[test]
    fn nonsense_is_no_share() {
        assert_eq!(share(&json!("lots"), 10, true), None);
        assert_eq!(share(&json!("50%"), 3, true), Some(2));
        assert_eq!(share(&json!(-4), 3, true), Some(0));
    }
}
