//! The killer's ledger as it is stored on the cluster: JSON, under [`LEDGER_KEY`] of one ConfigMap.
//!
//! Like a rollout's [`record`](crate::record) it has types of its own, says its version, and is not read when it holds
//! anything this program doesn't know: to write it back would lose that. The same ledger is always the same bytes.
//!
//! ```
//! use keeper_api::kills::{self, Ledger};
//!
//! let stored = kills::to_json(&Ledger::default());
//! assert_eq!(kills::from_json(&stored).unwrap(), Ledger::default());
//! assert!(kills::from_json(r#"{"ended": [], "open": [], "version": 2}"#).is_err());
//! ```

use crate::invalid::one_line;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// The most bytes of a ledger that are read or written; the API server takes about 1 MiB.
pub const LIMIT: usize = 512 * 1024;

/// The name of the ConfigMap.
pub const LEDGER_NAME: &str = "canary-keeper-kills";
/// The key in it.
pub const LEDGER_KEY: &str = "ledger.json";
/// Label of a pod whose owner agrees to its being killed, where that is asked for: `allowed`.
pub const KILL_LABEL: &str = "canary-keeper.dev/kill";
/// The value of [`KILL_LABEL`] that agrees.
pub const KILL_ALLOWED: &str = "allowed";
/// Label of a pod that was taken out of service and kept: `"true"`.
pub const QUARANTINED: &str = "canary-keeper.dev/quarantined";
/// Annotation of such a pod: the labels that it had, as a JSON object.
pub const LABELS_BEFORE: &str = "canary-keeper.dev/labels-before-quarantine";

/// What is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// What ended, the oldest first.
    pub ended: Vec<Ended>,
    /// What is to be done.
    pub open: Vec<Open>,
}

/// A pod that is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Open {
    /// The first alert's name.
    pub alert_name: String,
    /// The alerts that accuse it.
    pub alerts: Vec<Alert>,
    /// Until when a removal that is refused for now is tried again.
    pub deadline: Timestamp,
    /// When it was decided.
    pub decided: Timestamp,
    /// The process that works on it.
    pub holder: String,
    /// Until when the holder keeps it without another word; then any process may take it over.
    pub held_until: Timestamp,
    /// The pod.
    pub pod: Pod,
    /// Whether every alert that accused it is resolved.
    pub withdrawn: bool,
}

/// A kill or a refusal that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ended {
    /// The alert that accused it.
    pub alert: Alert,
    /// Its name.
    pub alert_name: String,
    /// When it ended.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// The pod.
    pub pod: Pod,
}

/// One alert's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alert {
    /// Alertmanager's hash of the labels.
    pub fingerprint: String,
    /// Since when it fires.
    pub starts_at: Timestamp,
}

/// A pod and what it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// The top of its chain of controllers.
    pub workload: Option<Workload>,
}

/// What a pod belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// How it ended. The words are those of `keeper-kill`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "each is documented where it is decided, in keeper-kill")]
pub enum Outcome {
    Evicted {},
    Deleted {},
    Quarantined {},
    GoneAfterRequest {},
    Unanswered {},
    GoneBefore {},
    Withdrawn {},
    Refused { message: String, reason: String, tried: bool },
}

/// Why a stored ledger can't be read. Trying again doesn't help, and it must not be overwritten: budgets would be lost.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Longer than anything we write.
    #[error("the ledger is {length} bytes long, at most {LIMIT} are read")]
    TooLong {
        /// Bytes found.
        length: usize,
    },
    /// Not what version 1 of it looks like.
    #[error(
        "the ledger is not as version {VERSION} has it ({}): update the program, or delete the ConfigMap, which forgets what \
         was killed in the last minutes",
        one_line(&source.to_string())
    )]
    OtherShape {
        /// What and where.
        #[source]
        source: serde_json::Error,
    },
    /// Of another version.
    #[error("the ledger is of version {found}, and this program knows version {VERSION}: update the program")]
    OtherVersion {
        /// The version it says.
        found: u32,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    ended: Vec<Ended>,
    open: Vec<Open>,
    version: u32,
}

/// The ledger as it is stored. To be refused by the caller when it is longer than [`LIMIT`].
#[must_use]
pub fn to_json(ledger: &Ledger) -> String {
    let wire = Wire { ended: ledger.ended.clone(), open: ledger.open.clone(), version: VERSION };
    // Nothing in these types can fail to be written.
    serde_json::to_string(&wire).unwrap_or_default()
}

/// Reads a stored ledger.
///
/// # Errors
///
/// When it is none that this program writes.
pub fn from_json(text: &str) -> Result<Ledger, LedgerError> {
    if text.len() > LIMIT {
        return Err(LedgerError::TooLong { length: text.len() });
    }
    let wire: Wire = serde_json::from_str(text).map_err(|source| LedgerError::OtherShape { source })?;
    if wire.version != VERSION {
        return Err(LedgerError::OtherVersion { found: wire.version });
    }
    Ok(Ledger { ended: wire.ended, open: wire.open })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let at: Timestamp = "2026-08-20T12:00:00Z".parse().unwrap();
        let workload =
            Workload { api_version: "apps/v1".into(), kind: "Deployment".into(), name: "cart".into(), uid: "d".into() };
        let pod = Pod { name: "cart-1".into(), namespace: "shop".into(), uid: "p".into(), workload: Some(workload) };
        let alert = Alert { fingerprint: "4924f05d4853e165".into(), starts_at: at };
        let open = Open {
            alert_name: "NoProgress".into(),
            alerts: vec![alert.clone()],
            deadline: at,
            decided: at,
            holder: "killer-1".into(),
            held_until: at,
            pod: pod.clone(),
            withdrawn: false,
        };
        let ended = |outcome| Ended { alert: alert.clone(), alert_name: "A".into(), at, outcome, pod: pod.clone() };
        let refused = Outcome::Refused { message: "too many".into(), reason: "TooManyAccused".into(), tried: false };
        Ledger { ended: vec![ended(Outcome::Evicted {}), ended(refused)], open: vec![open] }
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(from_json(&to_json(&ledger())).unwrap(), ledger());
    }

    #[test]
    fn what_is_not_known_is_not_overwritten() {
        let stored = to_json(&ledger());
        for other in [
            stored.replace("\"version\":1", "\"version\":2"),
            stored.replace("\"withdrawn\":false", "\"withdrawn\":false,\"new\":1"),
            stored.replace("\"evicted\"", "\"vanished\""),
            String::new(),
        ] {
            assert_ne!(other, stored);
            let error = from_json(&other).unwrap_err().to_string();
            assert!(error.contains("update the program"), "{error}");
        }
        assert!(matches!(from_json(&" ".repeat(LIMIT + 1)), Err(LedgerError::TooLong { .. })));
    }
}
