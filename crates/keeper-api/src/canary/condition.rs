//! The conditions of a Canary, so that `kubectl wait` and other tools can tell how it stands.

use jiff::Timestamp;
use keeper_rollout::Phase;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One condition, in the form that all of Kubernetes has.
///
/// | type | `True` | `False` | `Unknown` |
/// |---|---|---|---|
/// | `Promoted` | production runs what this generation asks for | it was rejected, could not be judged, or waits for a person | not decided yet |
/// | `Progressing` | a canary is being started, watched or promoted | nothing is under way | - |
/// | `Ready` | promoted, and nothing is left to do | anything else | - |
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Progressing` or `Promoted`.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The generation that it is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Since when the status is this one.
    pub last_transition_time: Timestamp,
    /// The reason in CamelCase.
    pub reason: String,
    /// The reason in words.
    pub message: String,
}

/// The three conditions. One whose status stays keeps its time.
pub(super) fn all(
    canary: &Value,
    phase: Phase,
    promoted: bool,
    (reason, message): (&str, &str),
    now: Timestamp,
) -> Vec<Condition> {
    let under_way = matches!(phase, Phase::Launching | Phase::Incubating | Phase::Promoting);
    let ended_badly = matches!(phase, Phase::Rejected | Phase::Inconclusive | Phase::Held);
    let bool = |yes: bool| if yes { "True" } else { "False" };
    let done = promoted && phase == Phase::Settled;
    let decided = match (done, ended_badly) {
        (true, _) => "True",
        (false, true) => "False",
        (false, false) => "Unknown",
    };
    let generation = canary.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
    let one = |kind: &str, status: &str| Condition {
        r#type: kind.into(),
        status: status.into(),
        observed_generation: generation,
        last_transition_time: since(canary, kind, status).unwrap_or(now),
        // The API asks for a word here.
        reason: if reason.is_empty() { "Pending".into() } else { reason.into() },
        message: message.into(),
    };
    vec![one("Promoted", decided), one("Progressing", bool(under_way)), one("Ready", bool(done))]
}

/// Since when the Canary as served has this condition with this status.
fn since(canary: &Value, kind: &str, status: &str) -> Option<Timestamp> {
    let all = canary.pointer("/status/conditions")?.as_array()?;
    let same = all.iter().find(|condition| condition.get("type").is_some_and(|t| t == kind))?;
    if same.get("status")? != status {
        return None;
    }
    same.get("lastTransitionTime")?.as_str()?.parse().ok()
}
