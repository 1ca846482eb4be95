//! The stored types. Fields stand in alphabetical order of their JSON names: that is how they are written.

use jiff::Timestamp;
use keeper_rollout as core;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most bytes of a text for people.
const PROSE: usize = 1024;
/// The most bytes of a reason and of an alert's name, which are for people too.
const WORD: usize = 128;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    floor: i64,
    ledger: BTreeMap<String, Entry>,
    promoted: Option<String>,
    rolled_back: BTreeMap<String, u64>,
    runs: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) signals: super::Signals,
    state: State,
    tried: Option<Tried>,
    used: Vec<Command>,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum State {
    // With braces, since serde takes unknown fields of a unit variant.
    Settled {},
    Launching { run: Run },
    Incubating { run: Run, watched: Watched },
    Promoting { run: Run, sending: Sending },
    Rejected { revision: String, told: Told },
    Inconclusive { revision: String, told: Told, until: Timestamp },
    Held { revision: String, told: Told, waits_for: Hold },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Run {
    alerts: Vec<Alert>,
    began: Timestamp,
    from: String,
    id: String,
    recreated: u8,
    revision: String,
    template: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Alert {
    about: String,
    fingerprint: String,
    name: String,
    starts_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Watched {
    began: Timestamp,
    canary: String,
    observed_ms: u64,
    ready_changed: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sending {
    canary: String,
    generation: i64,
    proof: Proof,
    ready_changed: Timestamp,
    since: Timestamp,
    version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Told {
    at: Timestamp,
    message: String,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    kind: EntryKind,
    told: Told,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tried {
    revision: String,
    times: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Command {
    value: String,
    verb: Verb,
}

/// An enum of ours and the core's of the same name and variants, turned into each other.
macro_rules! mirror {
    ($name:ident { $($variant:ident),+ }) => {
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        enum $name {
            $($variant),+
        }

        impl From<core::$name> for $name {
            fn from(value: core::$name) -> Self {
                match value {
                    $(core::$name::$variant => Self::$variant),+
                }
            }
        }

        impl From<$name> for core::$name {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => Self::$variant),+
                }
            }
        }
    };
}

mirror!(Proof { Measured, Silence, Person, FirstCreation });
mirror!(EntryKind { Rejected, RolledBack });
mirror!(Hold { RolledBack, NotRolledOut, Inconclusive });
mirror!(Verb { Promote, Abort, Retry });

impl From<&core::Record> for Record {
    fn from(record: &core::Record) -> Self {
        let entry = |entry: &core::Entry| Entry { kind: entry.kind.into(), told: (&entry.told).into() };
        Self {
            floor: record.floor,
            ledger: record.ledger.iter().map(|(revision, e)| (revision.to_string(), entry(e))).collect(),
            promoted: record.promoted.as_ref().map(ToString::to_string),
            rolled_back: record.rolled_back.iter().map(|(revision, n)| (revision.to_string(), *n)).collect(),
            runs: record.runs,
            signals: BTreeMap::new(),
            state: (&record.state).into(),
            tried: record.tried.as_ref().map(|(revision, n)| Tried { revision: revision.to_string(), times: *n }),
            used: record.used.iter().map(Into::into).collect(),
            version: super::VERSION,
        }
    }
}

impl From<Record> for core::Record {
    fn from(record: Record) -> Self {
        let entry = |entry: Entry| core::Entry { kind: entry.kind.into(), told: entry.told.into() };
        Self {
            state: record.state.into(),
            ledger: record.ledger.into_iter().map(|(revision, e)| (core::Revision::new(revision), entry(e))).collect(),
            promoted: record.promoted.map(core::Revision::new),
            floor: record.floor,
            rolled_back: record
                .rolled_back
                .into_iter()
                .map(|(revision, n)| (core::Revision::new(revision), n))
                .collect(),
            tried: record.tried.map(|tried| (core::Revision::new(tried.revision), tried.times)),
            used: record.used.into_iter().map(Into::into).collect(),
            runs: record.runs,
        }
    }
}

impl From<&core::State> for State {
    fn from(state: &core::State) -> Self {
        let parts = |ended: &core::Ended| (ended.revision.to_string(), Told::from(&ended.told));
        match state {
            core::State::Settled => Self::Settled {},
            core::State::Launching(run) => Self::Launching { run: run.into() },
            core::State::Incubating(run, watched) => Self::Incubating { run: run.into(), watched: watched.into() },
            core::State::Promoting(run, sending) => Self::Promoting { run: run.into(), sending: sending.into() },
            core::State::Rejected(ended) => {
                let (revision, told) = parts(ended);
                Self::Rejected { revision, told }
            }
            core::State::Inconclusive(ended, until) => {
                let (revision, told) = parts(ended);
                Self::Inconclusive { revision, told, until: *until }
            }
            core::State::Held(ended, hold) => {
                let (revision, told) = parts(ended);
                Self::Held { revision, told, waits_for: (*hold).into() }
            }
        }
    }
}

impl From<State> for core::State {
    fn from(state: State) -> Self {
        let ended =
            |revision: String, told: Told| core::Ended { revision: core::Revision::new(revision), told: told.into() };
        match state {
            State::Settled {} => Self::Settled,
            State::Launching { run } => Self::Launching(run.into()),
            State::Incubating { run, watched } => Self::Incubating(run.into(), watched.into()),
            State::Promoting { run, sending } => Self::Promoting(run.into(), sending.into()),
            State::Rejected { revision, told } => Self::Rejected(ended(revision, told)),
            State::Inconclusive { revision, told, until } => Self::Inconclusive(ended(revision, told), until),
            State::Held { revision, told, waits_for } => Self::Held(ended(revision, told), waits_for.into()),
        }
    }
}

impl From<&core::Run> for Run {
    fn from(run: &core::Run) -> Self {
        Self {
            alerts: run.alerts.iter().map(Into::into).collect(),
            began: run.began,
            from: run.from.to_string(),
            id: run.id.to_string(),
            recreated: run.recreated,
            revision: run.revision.to_string(),
            template: run.template.to_string(),
        }
    }
}

impl From<Run> for core::Run {
    fn from(run: Run) -> Self {
        Self {
            id: core::RunId::new(run.id),
            revision: core::Revision::new(run.revision),
            template: core::TemplateHash::new(run.template),
            from: core::Revision::new(run.from),
            began: run.began,
            recreated: run.recreated,
            alerts: run.alerts.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&core::StoredAlert> for Alert {
    fn from(alert: &core::StoredAlert) -> Self {
        Self {
            about: line(&alert.about, PROSE),
            fingerprint: alert.fingerprint.clone(),
            name: line(&alert.name, WORD),
            starts_at: alert.starts_at,
        }
    }
}

impl From<Alert> for core::StoredAlert {
    fn from(alert: Alert) -> Self {
        Self { fingerprint: alert.fingerprint, starts_at: alert.starts_at, name: alert.name, about: alert.about }
    }
}

impl From<&core::Watched> for Watched {
    fn from(watched: &core::Watched) -> Self {
        Self {
            began: watched.began,
            canary: watched.canary.to_string(),
            observed_ms: u64::try_from(watched.observed.as_millis()).unwrap_or(u64::MAX),
            ready_changed: watched.ready_changed,
        }
    }
}

impl From<Watched> for core::Watched {
    fn from(watched: Watched) -> Self {
        Self {
            canary: core::Uid::new(watched.canary),
            ready_changed: watched.ready_changed,
            began: watched.began,
            observed: Duration::from_millis(watched.observed_ms),
        }
    }
}

impl From<&core::Sending> for Sending {
    fn from(sending: &core::Sending) -> Self {
        Self {
            canary: sending.canary.to_string(),
            generation: sending.generation,
            proof: sending.proof.into(),
            ready_changed: sending.ready_changed,
            since: sending.since,
            version: sending.version.to_string(),
        }
    }
}

impl From<Sending> for core::Sending {
    fn from(sending: Sending) -> Self {
        Self {
            canary: core::Uid::new(sending.canary),
            ready_changed: sending.ready_changed,
            generation: sending.generation,
            version: core::Version::new(sending.version),
            proof: sending.proof.into(),
            since: sending.since,
        }
    }
}

impl From<&core::Told> for Told {
    fn from(told: &core::Told) -> Self {
        Self { at: told.at, message: line(&told.message, PROSE), reason: line(&told.reason, WORD) }
    }
}

impl From<Told> for core::Told {
    fn from(told: Told) -> Self {
        Self { reason: told.reason, message: told.message, at: told.at }
    }
}

impl From<&core::Command> for Command {
    fn from(command: &core::Command) -> Self {
        Self { value: command.value.clone(), verb: command.verb.into() }
    }
}

impl From<Command> for core::Command {
    fn from(command: Command) -> Self {
        Self::new(command.verb.into(), command.value)
    }
}

/// As much of a text for people as fits into so many bytes, as one line: it holds words of strangers, and a record with
/// all that it can remember must stay below [`super::LIMIT`].
pub(crate) fn line(text: &str, bytes: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(bytes));
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if kept.len() + c.len_utf8() > bytes {
            break;
        }
        kept.push(c);
    }
    kept
}
