//! The killer's figures. No label is taken from what alerts say: the number of series is bounded.

use keeper_kill::{Outcome, Ruled};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Default)]
pub(super) struct Figures {
    alerts: Family<Because, Counter>,
    kills: Family<How, Counter>,
    refusals: Family<Because, Counter>,
    truncated: Counter,
    unreadable: Counter,
    conflicts: Counter,
    writes: Counter,
    bytes: Gauge,
    open: Gauge,
    untold: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct How {
    how: String,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        registry.register("kill_alerts", "Alerts received by what they came to", figures.alerts.clone());
        registry.register("kills", "Pods that were to go by how it ended", figures.kills.clone());
        registry.register("kill_refusals", "Recorded refusals by reason", figures.refusals.clone());
        registry.register(
            "kill_alerts_left_out",
            "Alerts that Alertmanager left out of its messages",
            figures.truncated.clone(),
        );
        registry.register("kill_alerts_unreadable", "Alerts that could not be read", figures.unreadable.clone());
        registry.register(
            "kill_ledger_conflicts",
            "Writes of the ledger that met another's",
            figures.conflicts.clone(),
        );
        registry.register("kill_ledger_writes", "Writes of the ledger", figures.writes.clone());
        registry.register("kill_ledger_bytes", "Size of the ledger", figures.bytes.clone());
        registry.register("kills_open", "Pods that are to go", figures.open.clone());
        registry.register("kill_events_untold", "Events that could not be told", figures.untold.clone());
        figures
    }

    pub(super) fn ruled(&self, ruled: &Ruled) {
        let reason = match ruled {
            Ruled::Kill(_) => "Kill",
            Ruled::Open(_) => "Open",
            Ruled::Gone => "Gone",
            Ruled::Refused(refusal) => refusal.reason(),
        };
        self.alerts.get_or_create(&Because { reason: reason.to_owned() }).inc();
    }

    /// A word of the ledger's own vocabulary: what is stored may be another program's, so others count as `Other`.
    pub(super) fn refused(&self, reason: &str) {
        let known = reason.len() <= 32 && reason.bytes().all(|byte| byte.is_ascii_alphabetic());
        self.refusals.get_or_create(&Because { reason: if known { reason } else { "Other" }.to_owned() }).inc();
    }

    pub(super) fn ended(&self, outcome: &Outcome) {
        if let Outcome::Refused { reason, .. } = outcome {
            return self.refused(reason);
        }
        self.kills.get_or_create(&How { how: super::told::word(outcome).to_owned() }).inc();
    }

    pub(super) fn left_out(&self, truncated: u64, unreadable: usize) {
        self.truncated.inc_by(truncated);
        self.unreadable.inc_by(unreadable as u64);
    }

    pub(super) fn conflict(&self) {
        self.conflicts.inc();
    }

    pub(super) fn ledger_written(&self, bytes: usize, open: usize) {
        self.writes.inc();
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.open.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    pub(super) fn untold(&self) {
        self.untold.inc();
    }
}
