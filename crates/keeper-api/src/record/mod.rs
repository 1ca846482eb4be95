//! A rollout's record as it is stored on the cluster: JSON, under [`RECORD_KEY`](crate::keys::RECORD_KEY) of a ConfigMap.
//!
//! The same record is always the same bytes, with sorted keys, so that a write can be spared by comparing. Beside a run the
//! states of its [`Signals`] are stored, as of the last write: they are nothing to the core, and no reason to write. What is
//! stored is this crate's own types, apart from the core's, and says its version. A record that holds anything this
//! program doesn't know is not read: to write it back would lose that.
//!
//! Durations are whole milliseconds (the rest is dropped: a canary is never credited with time it wasn't watched),
//! timestamps RFC 3339. Texts for people are kept
//! as one line of at most 1 KiB, a reason or an alert's name of 128 bytes; what is compared is kept as it is.
//!
//! ```
//! use keeper_api::record;
//! use keeper_rollout::Record;
//!
//! let stored = record::to_json(&Record { runs: 7, ..Record::default() });
//! assert_eq!(record::from_json(&stored).unwrap().runs, 7);
//! assert!(record::from_json(&stored.replace("\"version\": 1", "\"version\": 2")).is_err());
//! ```

mod wire;

pub(crate) use wire::line;

use crate::invalid::one_line;
use keeper_rollout::Record;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// The most bytes of a record that are read: more than the fullest one has, as long as names are of ordinary length.
pub const LIMIT: usize = 256 * 1024;

/// What the signals of the run under way need to go on after a restart of the program, by their names: it is stored with the
/// record and is nothing to the core.
pub type Signals = BTreeMap<String, String>;

/// The most bytes of one signal's state, and of all states with their names, that are written and read.
const STATE_LIMIT: usize = 1024;
const STATES_LIMIT: usize = 32 * 1024;

/// Why a stored record can't be read. Trying again doesn't help: a person, or a newer program, has to look at it, and
/// until then it must not be overwritten.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Longer than anything we write.
    #[error("the record is {length} bytes long, at most {LIMIT} are read")]
    TooLong {
        /// Bytes found.
        length: usize,
    },
    /// Not JSON, or JSON that says no version.
    #[error("the record is damaged: {}", one_line(&source.to_string()))]
    Damaged {
        /// What and where.
        #[source]
        source: serde_json::Error,
    },
    /// Of another version.
    #[error("the record is of version {found}, and this program knows version {VERSION}")]
    OtherVersion {
        /// The version it says.
        found: u64,
    },
    /// Of our version, and yet not what we write: by a newer program that adds a field, or by hand.
    #[error("the record is not as version {VERSION} has it: {}", one_line(&source.to_string()))]
    OtherShape {
        /// What and where.
        #[source]
        source: serde_json::Error,
    },
}

/// Writes a record down.
#[must_use]
pub fn to_json(record: &Record) -> String {
    to_json_with(record, &Signals::new())
}

/// Writes a record down together with the states of its run's signals. States are left out that are longer than 1 KiB or
/// make more than 32 KiB with those before them, and all of them where no run is under way.
#[must_use]
pub fn to_json_with(record: &Record, signals: &Signals) -> String {
    // Strings, numbers and maps with string keys always have a JSON form; were it not so, an empty text is a record
    // that nobody can read, and so is held rather than believed.
    serde_json::to_string_pretty(&wire(record, signals)).unwrap_or_default()
}

fn wire(record: &Record, signals: &Signals) -> wire::Record {
    let mut wire = wire::Record::from(record);
    if record.state.run().is_some() {
        wire.signals = bounded(signals);
    }
    wire
}

fn bounded(signals: &Signals) -> Signals {
    let mut left = STATES_LIMIT;
    let mut fits = |(name, state): &(&String, &String)| {
        let length = name.len() + state.len();
        let fits = state.len() <= STATE_LIMIT && length <= left;
        left -= if fits { length } else { 0 };
        fits
    };
    signals.iter().filter(|one| fits(one)).map(|(name, state)| (name.clone(), state.clone())).collect()
}

/// The states of its run's signals that are stored with a record; none where it can't be read.
#[must_use]
pub fn signals(text: &str) -> Signals {
    if text.len() > LIMIT {
        return Signals::new();
    }
    serde_json::from_str::<wire::Record>(text).map(|record| bounded(&record.signals)).unwrap_or_default()
}

/// Reads a record.
///
/// # Errors
///
/// A record that is too long, damaged, or newer: see [`RecordError`].
pub fn from_json(text: &str) -> Result<Record, RecordError> {
    if text.len() > LIMIT {
        return Err(RecordError::TooLong { length: text.len() });
    }
    let Versioned { version } = serde_json::from_str(text).map_err(|source| RecordError::Damaged { source })?;
    if version != u64::from(VERSION) {
        return Err(RecordError::OtherVersion { found: version });
    }
    let record: wire::Record = serde_json::from_str(text).map_err(|source| RecordError::OtherShape { source })?;
    Ok(record.into())
}

/// The record as a JSON value, for the status of a [`Canary`](crate::canary).
#[must_use]
pub fn to_value(record: &Record) -> serde_json::Value {
    to_value_with(record, &Signals::new())
}

/// The record as a JSON value together with the states of its run's signals: see [`to_json_with`].
#[must_use]
pub fn to_value_with(record: &Record, signals: &Signals) -> serde_json::Value {
    // As above; without a version it is a record that nobody can read.
    serde_json::to_value(wire(record, signals)).unwrap_or_default()
}

/// Reads a record that [`to_value`] made.
///
/// # Errors
///
/// A record that is too long, damaged, or newer: see [`RecordError`].
pub fn from_value(value: &serde_json::Value) -> Result<Record, RecordError> {
    from_json(&value.to_string())
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(from_json(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        let good = to_json(&Record::default());
        check("", "the record is damaged: EOF while parsing a value at line 1 column 0");
        check("{}", "the record is damaged: missing field `version` at line 1 column 2");
        check(
            good.get(..good.len() - 3).unwrap(),
            "the record is damaged: EOF while parsing a value at line 12 column 13",
        );
        check(
            &good.replace("\"version\": 1", "\"version\": 2, \"hue\": 3"),
            "the record is of version 2, and this program knows version 1",
        );
        check(&" ".repeat(LIMIT + 1), "the record is 262145 bytes long, at most 262144 are read");
        let long = good.replace("\"floor\"", &format!("\"{}\"", "x".repeat(10_000)));
        assert!(from_json(&long).unwrap_err().to_string().chars().count() < 150);
    }

    #[test]
    fn what_a_newer_program_adds_is_not_lost() {
        let good = to_json(&Record::default());
        for newer in [
            good.replace("\"floor\"", "\"hue\": 3, \"floor\""),
            good.replace("\"phase\": \"settled\"", "\"phase\": \"settled\", \"hue\": 3"),
            good.replace("\"phase\": \"settled\"", "\"phase\": \"dreaming\""),
            good.replace("\"floor\": 0,", ""),
        ] {
            assert_ne!(newer, good);
            assert!(matches!(from_json(&newer), Err(RecordError::OtherShape { .. })), "{newer}");
        }
    }

    #[test]
    fn what_signals_need_goes_with_a_run_and_not_beyond_it() {
        let states = |long: usize| Signals::from([("a".into(), "1".into()), ("b".into(), "x".repeat(long))]);
        let at = jiff::Timestamp::UNIX_EPOCH;
        let run = keeper_rollout::Run {
            id: keeper_rollout::RunId::new("1-a"),
            revision: keeper_rollout::Revision::new("new"),
            template: keeper_rollout::TemplateHash::new("t"),
            from: keeper_rollout::Revision::new("old"),
            began: at,
            recreated: 0,
            alerts: Vec::new(),
        };
        let running = Record { state: keeper_rollout::State::Launching(run), ..Record::default() };
        let text = to_json_with(&running, &states(STATE_LIMIT));
        assert_eq!((from_json(&text).unwrap(), signals(&text)), (running.clone(), states(STATE_LIMIT)));
        assert_eq!(signals(&to_value_with(&running, &states(1)).to_string()), states(1));
        let kept = signals(&to_json_with(&running, &states(STATE_LIMIT + 1)));
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["a"], "what is too long is left out");
        let settled = to_json_with(&Record::default(), &states(1));
        assert_eq!((settled.as_str(), signals(&settled)), (to_json(&Record::default()).as_str(), Signals::new()));
        assert_eq!(signals("not JSON"), Signals::new());
    }
}
