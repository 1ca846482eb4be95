use crate::view::Key;
use keeper_rollout::Phase;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The controller's figures. No label is taken from what users write: the number of series is bounded.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    reconciles: Family<Result_, Counter>,
    outcomes: Family<Outcome, Counter>,
    workloads: Family<InPhase, Gauge>,
    alerts: Family<Matched, Counter>,
    phases: Arc<Mutex<HashMap<Key, Phase>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result_ {
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InPhase {
    phase: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Matched {
    relevance: String,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("reconciles", "Reconciles by result", metrics.reconciles.clone());
        registry.register("transitions", "Recorded steps of rollouts by reason", metrics.outcomes.clone());
        registry.register("workloads", "Managed workloads by phase", metrics.workloads.clone());
        registry.register("alerts", "Alerts received by what became of them", metrics.alerts.clone());
        metrics
    }

    pub(crate) fn reconciled(&self, result: &str) {
        self.reconciles.get_or_create(&Result_ { result: result.to_owned() }).inc();
    }

    pub(crate) fn transition(&self, reason: &str) {
        self.outcomes.get_or_create(&Outcome { reason: reason.to_owned() }).inc();
    }

    pub(crate) fn alert(&self, relevance: &str) {
        self.alerts.get_or_create(&Matched { relevance: relevance.to_owned() }).inc();
    }

    /// Counts the workload under this phase, and no longer under its former one.
    pub(crate) fn phase(&self, key: &Key, phase: Option<Phase>) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match phase {
            Some(phase) => phases.insert(key.clone(), phase),
            None => phases.remove(key),
        };
        let gauge = |phase: Phase| self.workloads.get_or_create(&InPhase { phase: phase.as_str().to_owned() }).clone();
        if before != phase {
            before.map(|before| gauge(before).dec());
            phase.map(|phase| gauge(phase).inc());
        }
    }
}
