//! What the ledger tells a person.

use super::book::{BookError, read_page};
use super::requests::Requests;
use super::told::{decision, sentence};
use jiff::Timestamp;
use keeper_api::kills::LEDGER_NAME;
use kube::Client;
use std::sync::Arc;

/// What was killed and refused, and what is open, as the ledger tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The oldest first; what is open last.
    pub lines: Vec<Line>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it ended; for what is open, when it was decided.
    pub at: Timestamp,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// What it belongs to, as `Deployment cart`; `-` for nothing.
    pub workload: String,
    /// The alert's name.
    pub alert: String,
    /// One word: `Evicted`, `Open`, `TooManyAccused`, ...
    pub decision: String,
    /// The whole of it as a sentence.
    pub message: String,
}

/// Reads the ledger: of pods in `namespace`, or of all.
///
/// # Errors
///
/// When it can't be read. Where there is none, nothing was ever killed, and the history is empty.
pub async fn history(client: Client, ledger_namespace: &str, namespace: Option<&str>) -> Result<History, BookError> {
    let object = Requests::new(client, String::new()).ledger(ledger_namespace, LEDGER_NAME).await?;
    let Some(object) = object else { return Ok(History::default()) };
    let unreadable =
        |why: String| BookError::Unreadable { namespace: ledger_namespace.to_owned(), why: Arc::from(why) };
    let page = read_page(&object).map_err(|error| unreadable(error.to_string()))?;
    let ended = page.ledger.ended.iter().map(|ended| Line {
        at: ended.at,
        namespace: ended.pod.namespace().to_owned(),
        pod: ended.pod.name().to_owned(),
        workload: ended.workload.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        alert: ended.alert_name.clone(),
        decision: decision(&ended.outcome).to_owned(),
        message: sentence(ended),
    });
    let open = page.ledger.open.iter().map(|intent| Line {
        at: intent.decided,
        namespace: intent.pod.namespace().to_owned(),
        pod: intent.pod.name().to_owned(),
        workload: intent.workload.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        alert: intent.alert_name.clone(),
        decision: "Open".to_owned(),
        message: format!("pod {} is to go, tried until {}", intent.pod.name(), intent.deadline),
    });
    let here = |line: &Line| namespace.is_none_or(|namespace| line.namespace == namespace);
    Ok(History { lines: ended.chain(open).filter(here).collect() })
}
