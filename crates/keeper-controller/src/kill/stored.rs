//! Between the ledger as it is stored and the ledger as it is decided on.

use jiff::Timestamp;
use keeper_api::kills as wire;
use keeper_kill::{AlertId, Ended, Intent, Ledger, Outcome, PodName, Uid, Workload};
use std::collections::BTreeMap;

/// Who works on an open intent, and until when nobody else may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) by: String,
    pub(super) until: Timestamp,
}

/// The ledger, and who works on what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) ledger: Ledger,
    pub(super) held: BTreeMap<Uid, Held>,
}

impl Page {
    /// Gives what nobody holds to this process.
    pub(super) fn hold(&mut self, instance: &str, until: Timestamp, uids: impl IntoIterator<Item = Uid>) {
        for uid in uids {
            self.held.insert(uid, Held { by: instance.to_owned(), until });
        }
    }

    pub(super) fn read(stored: wire::Ledger) -> Self {
        let mut page = Self::default();
        for open in stored.open {
            let Some(intent) = intent(&open) else { continue };
            page.held.insert(intent.uid.clone(), Held { by: open.holder, until: open.held_until });
            page.ledger.open.push(intent);
        }
        page.ledger.ended = stored.ended.into_iter().filter_map(ended).collect();
        page
    }

    pub(super) fn write(&self) -> wire::Ledger {
        let open = |intent: &Intent| {
            let held = self.held.get(&intent.uid);
            wire::Open {
                alert_name: intent.alert_name.clone(),
                alerts: intent.alerts.iter().map(alert).collect(),
                deadline: intent.deadline,
                decided: intent.decided,
                holder: held.map_or_else(String::new, |held| held.by.clone()),
                held_until: held.map_or(Timestamp::UNIX_EPOCH, |held| held.until),
                pod: pod(&intent.pod, &intent.uid, intent.workload.as_ref()),
                withdrawn: intent.withdrawn,
            }
        };
        wire::Ledger {
            open: self.ledger.open.iter().map(open).collect(),
            ended: self.ledger.ended.iter().map(stored_end).collect(),
        }
    }
}

fn stored_end(ended: &Ended) -> wire::Ended {
    wire::Ended {
        alert: alert(&ended.alert),
        alert_name: ended.alert_name.clone(),
        at: ended.at,
        outcome: match &ended.outcome {
            Outcome::Evicted => wire::Outcome::Evicted {},
            Outcome::Deleted => wire::Outcome::Deleted {},
            Outcome::Quarantined => wire::Outcome::Quarantined {},
            Outcome::GoneAfterRequest => wire::Outcome::GoneAfterRequest {},
            Outcome::Unanswered => wire::Outcome::Unanswered {},
            Outcome::GoneBefore => wire::Outcome::GoneBefore {},
            Outcome::Withdrawn => wire::Outcome::Withdrawn {},
            Outcome::Refused { reason, message, tried } => {
                wire::Outcome::Refused { message: message.clone(), reason: reason.clone(), tried: *tried }
            }
        },
        pod: pod(&ended.pod, &ended.uid, ended.workload.as_ref()),
    }
}

fn ended(stored: wire::Ended) -> Option<Ended> {
    let outcome = match stored.outcome {
        wire::Outcome::Evicted {} => Outcome::Evicted,
        wire::Outcome::Deleted {} => Outcome::Deleted,
        wire::Outcome::Quarantined {} => Outcome::Quarantined,
        wire::Outcome::GoneAfterRequest {} => Outcome::GoneAfterRequest,
        wire::Outcome::Unanswered {} => Outcome::Unanswered,
        wire::Outcome::GoneBefore {} => Outcome::GoneBefore,
        wire::Outcome::Withdrawn {} => Outcome::Withdrawn,
        wire::Outcome::Refused { message, reason, tried } => Outcome::Refused { reason, message, tried },
    };
    Some(Ended {
        pod: PodName::new(&stored.pod.namespace, &stored.pod.name)?,
        uid: Uid::new(stored.pod.uid),
        workload: stored.pod.workload.map(workload),
        alert: identity(stored.alert),
        alert_name: stored.alert_name,
        at: stored.at,
        outcome,
    })
}

fn intent(open: &wire::Open) -> Option<Intent> {
    Some(Intent {
        pod: PodName::new(&open.pod.namespace, &open.pod.name)?,
        uid: Uid::new(open.pod.uid.as_str()),
        workload: open.pod.workload.clone().map(workload),
        alerts: open.alerts.iter().cloned().map(identity).collect(),
        alert_name: open.alert_name.clone(),
        decided: open.decided,
        deadline: open.deadline,
        withdrawn: open.withdrawn,
    })
}

fn identity(alert: wire::Alert) -> AlertId {
    AlertId { fingerprint: alert.fingerprint, starts_at: alert.starts_at }
}

fn alert(id: &AlertId) -> wire::Alert {
    wire::Alert { fingerprint: id.fingerprint.clone(), starts_at: id.starts_at }
}

fn workload(stored: wire::Workload) -> Workload {
    Workload { api_version: stored.api_version, kind: stored.kind, name: stored.name, uid: Uid::new(stored.uid) }
}

fn pod(name: &PodName, uid: &Uid, workload: Option<&Workload>) -> wire::Pod {
    wire::Pod {
        name: name.name().to_owned(),
        namespace: name.namespace().to_owned(),
        uid: uid.as_str().to_owned(),
        workload: workload.map(|workload| wire::Workload {
            api_version: workload.api_version.clone(),
            kind: workload.kind.clone(),
            name: workload.name.clone(),
            uid: workload.uid.as_str().to_owned(),
        }),
    }
}
