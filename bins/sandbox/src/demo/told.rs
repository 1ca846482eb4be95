//! What a real Prometheus and Alertmanager told the operator.

use super::args::Choice;
use super::stage::Stage;

/// Counted since they started; nothing where the demo has none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Queries that Prometheus answered, and webhooks that Alertmanager delivered.
    counted: Option<(u64, u64)>,
}

impl Told {
    pub(super) async fn so_far(stage: &Stage) -> miette::Result<Self> {
        let counted = match &stage.alerting {
            Some(alerting) => Some((alerting.prometheus.answered().await?, alerting.alertmanager.delivered().await?)),
            None => None,
        };
        Ok(Self { counted })
    }

    /// What speaks against a release, from before it to its end.
    pub(super) fn against(&self, end: &Self, choice: Choice) -> Vec<String> {
        let (Some((queries, webhooks)), Some((all_queries, all_webhooks))) = (self.counted, end.counted) else {
            return Vec::new();
        };
        let mut complaints = Vec::new();
        if all_queries == queries {
            complaints.push("Prometheus was asked nothing, so the numbers came from elsewhere".into());
        }
        match (choice, all_webhooks.saturating_sub(webhooks)) {
            (Choice::Bad, 0) => complaints.push("Alertmanager told the operator nothing of a bad release".into()),
            (Choice::Good, 1..) => complaints.push("Alertmanager told the operator of a good release".into()),
            (Choice::Good, 0) | (Choice::Bad, 1..) => {}
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(choice: Choice, before: Option<(u64, u64)>, after: Option<(u64, u64)>, complaints: usize) {
        let (before, after) = (Told { counted: before }, Told { counted: after });
        assert_eq!(before.against(&after, choice).len(), complaints, "{choice:?} {before:?} {after:?}");
    }

    #[test]
    fn of_a_bad_release_it_is_told_and_of_a_good_one_it_is_not() {
        check(Choice::Good, None, None, 0);
        check(Choice::Bad, Some((4, 0)), Some((9, 1)), 0);
        check(Choice::Bad, Some((4, 1)), Some((9, 1)), 1);
        check(Choice::Good, Some((4, 1)), Some((9, 1)), 0);
        check(Choice::Good, Some((4, 1)), Some((9, 2)), 1);
        check(Choice::Bad, Some((4, 1)), Some((4, 1)), 2);
    }
}
