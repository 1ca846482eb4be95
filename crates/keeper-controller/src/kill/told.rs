//! What is told of a kill or a refusal: a log line, and an Event on the pod's owner. Never waited for.

use super::figures::Figures;
use super::requests::{Requests, Told, regarding};
use keeper_kill::{Ended, Intent, Left, Outcome};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The most Events under way at once; what comes beyond is counted and not told.
const AT_ONCE: usize = 64;

/// Tells Events, each in a task of its own.
#[derive(Clone)]
pub(super) struct Teller {
    requests: Requests,
    figures: Figures,
    places: Arc<Semaphore>,
}

impl Teller {
    pub(super) fn new(requests: Requests, figures: Figures) -> Self {
        Self { requests, figures, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// A pod is to go.
    pub(super) fn ordered(&self, intent: &Intent, caller: &str, left: Left) {
        let (since, alert) = (intent.alerts.first().map(|alert| alert.starts_at), &intent.alert_name);
        tracing::info!(
            namespace = intent.pod.namespace(),
            pod = intent.pod.name(),
            uid = intent.uid.as_str(),
            workload = intent.workload.as_ref().map(ToString::to_string),
            alert,
            since = since.map(|since| since.to_string()),
            caller,
            decision = "Kill",
            left_workload = left.workload,
            left_namespace = left.namespace,
            left_overall = left.overall,
            "the pod is to go"
        );
    }

    /// A kill or a refusal is over.
    pub(super) fn ended(&self, ended: &Ended, caller: Option<&str>, left: Left) {
        self.figures.ended(&ended.outcome);
        let note = sentence(ended);
        tracing::info!(
            namespace = ended.pod.namespace(),
            pod = ended.pod.name(),
            uid = ended.uid.as_str(),
            workload = ended.workload.as_ref().map(ToString::to_string),
            alert = ended.alert_name,
            since = ended.alert.starts_at.to_string(),
            caller,
            decision = decision(&ended.outcome),
            left_workload = left.workload,
            left_namespace = left.namespace,
            left_overall = left.overall,
            "{note}"
        );
        self.tell(ended.clone(), note);
    }

    fn tell(&self, ended: Ended, note: String) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return self.figures.untold() };
        let (requests, figures) = (self.requests.clone(), self.figures.clone());
        tokio::spawn(async move {
            let _place = place;
            let killed = ended.outcome.spends();
            let told = Told {
                regarding: regarding(&ended.pod, &ended.uid, ended.workload.as_ref()),
                about: ended.uid.as_str(),
                action: "Kill",
                reason: if killed { "PodKilled" } else { "PodSpared" },
                note: &note,
                warning: !killed,
            };
            if let Err(error) = requests.tell(&told).await {
                figures.untold();
                tracing::debug!(error = super::said(&error), "an event could not be told");
            }
        });
    }
}

/// The decision as one word.
pub(super) fn decision(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Refused { reason, .. } => reason,
        other => word(other),
    }
}

/// The outcome as one word.
pub(super) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Evicted => "Evicted",
        Outcome::Deleted => "Deleted",
        Outcome::Quarantined => "Quarantined",
        Outcome::GoneAfterRequest => "GoneAfterRequest",
        Outcome::Unanswered => "Unanswered",
        Outcome::GoneBefore => "GoneBefore",
        Outcome::Withdrawn => "Withdrawn",
        Outcome::Refused { .. } => "Refused",
    }
}

/// What is told of it.
pub(super) fn sentence(ended: &Ended) -> String {
    let (pod, alert) = (ended.pod.name(), &ended.alert_name);
    match &ended.outcome {
        Outcome::Evicted => format!("pod {pod} evicted for alert {alert}"),
        Outcome::Deleted => format!("pod {pod} deleted for alert {alert}"),
        Outcome::Quarantined => format!("pod {pod} taken out of service and kept, for alert {alert}"),
        Outcome::GoneAfterRequest => {
            format!("pod {pod} is gone, after a request of ours whose answer was lost (alert {alert})")
        }
        Outcome::Unanswered => format!("pod {pod} may go yet: the API server never answered (alert {alert})"),
        Outcome::GoneBefore => format!("pod {pod} was gone before its turn (alert {alert})"),
        Outcome::Withdrawn => format!("pod {pod} spared: alert {alert} is resolved"),
        Outcome::Refused { message, .. } => format!("pod {pod} spared, alert {alert}: {message}"),
    }
}
