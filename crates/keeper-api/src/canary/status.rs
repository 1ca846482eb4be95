//! `status` of a Canary: what is shown, and the record that is stored.

use super::condition::{self, Condition};
use crate::record::{self as stored, RecordError};
use jiff::Timestamp;
use keeper_rollout::{Phase, Record, Revision};
use keeper_signal::{Evidence, Verdict, Why};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most bytes of a text for people.
const PROSE: usize = 1_024;
/// The most images that are kept.
const IMAGES: usize = 64;

/// The status of a Canary as it is written, whole. Of all this only `record` and `images` are ever read back.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The phase.
    pub phase: String,
    /// The reason in CamelCase.
    pub reason: String,
    /// The reason in one line.
    pub message: String,
    /// The generation of the spec that all this is about.
    pub observed_generation: i64,
    /// What is judged: see [`super::revision`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The production Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// See [`Condition`].
    pub conditions: Vec<Condition>,
    /// What each check said last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStatus>,
    /// Images as the template writes them, and the digests that they named when the canary started: what the canary
    /// runs, and production is given. At most 64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
    /// The record: see [`crate::record`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Value>,
}

/// What one check said last.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// The check's name.
    pub name: String,
    /// `Healthy`, `Unhealthy` or `Unknown`.
    pub verdict: &'static str,
    /// What that rests on, in one line.
    pub message: String,
    /// The figures that it rests on, by name; those that are no numbers (NaN, infinite) are left out.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub figures: Map<String, Value>,
    /// Whether it judges nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub observe_only: bool,
}

impl CheckStatus {
    /// What a check said.
    #[must_use]
    pub fn of(name: &str, verdict: &Verdict, observe_only: bool) -> Self {
        let none = Evidence::default();
        let (word, message, evidence) = match verdict {
            Verdict::Healthy(evidence) => ("Healthy", evidence.to_string(), evidence),
            Verdict::Unhealthy(evidence) => ("Unhealthy", evidence.to_string(), evidence),
            Verdict::Unknown(why @ Why::NotEnough(evidence)) => ("Unknown", why.to_string(), evidence),
            Verdict::Unknown(why @ Why::NotMeasured(_)) => ("Unknown", why.to_string(), &none),
        };
        let figure = |figure: &keeper_signal::Figure| {
            Some((figure.name.to_owned(), serde_json::Number::from_f64(figure.value)?.into()))
        };
        Self {
            name: name.to_owned(),
            verdict: word,
            message: stored::line(&message, PROSE),
            figures: evidence.figures.iter().filter_map(figure).collect(),
            observe_only,
        }
    }
}

/// What is shown of a Canary, before it has the form of a status.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown<'a> {
    /// The phase.
    pub phase: Phase,
    /// Whether production runs what this generation asks for, by our own promotion or as found.
    pub promoted: bool,
    /// The reason in CamelCase.
    pub reason: &'a str,
    /// The reason in words.
    pub message: &'a str,
    /// What is judged.
    pub revision: Option<&'a Revision>,
    /// The production Deployment.
    pub deployment: Option<&'a str>,
}

impl Status {
    /// The status of this Canary, as served, in which conditions that stay keep their times. Without checks, images and
    /// record: those are to be added.
    #[must_use]
    pub fn of(canary: &Value, shown: &Shown<'_>, now: Timestamp) -> Self {
        let message = stored::line(shown.message, PROSE);
        Self {
            phase: shown.phase.to_string(),
            reason: shown.reason.to_owned(),
            observed_generation: canary.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
            revision: shown.revision.map(ToString::to_string),
            deployment: shown.deployment.map(str::to_owned),
            conditions: condition::all(canary, shown.phase, shown.promoted, (shown.reason, &message), now),
            message,
            checks: vec![],
            images: BTreeMap::new(),
            record: None,
        }
    }

    /// Puts in the record, with the states of its run's signals.
    #[must_use]
    pub fn with_record(mut self, record: &Record, signals: &stored::Signals) -> Self {
        self.record = Some(stored::to_value_with(record, signals));
        self
    }

    /// Its JSON. Equal statuses are equal JSON, so that a write can be spared by comparing with what is served.
    #[must_use]
    pub fn to_value(&self) -> Value {
        // Strings, numbers and maps with string keys always have a JSON form.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The record in a Canary's status; `None` when there is none.
///
/// # Errors
///
/// A record that is too long, damaged, or newer: see [`RecordError`]. It must not be overwritten.
pub fn record(canary: &Value) -> Result<Option<Record>, RecordError> {
    match canary.pointer("/status/record") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => stored::from_value(value).map(Some),
    }
}

/// The images in a Canary's status: as written in the template, and as resolved when the canary started. What isn't a
/// text is left out.
#[must_use]
pub fn images(canary: &Value) -> BTreeMap<String, String> {
    let map = canary.pointer("/status/images").and_then(Value::as_object);
    let text = |(written, resolved): (&String, &Value)| Some((written.clone(), resolved.as_str()?.to_owned()));
    map.into_iter().flatten().filter_map(text).take(IMAGES).collect()
}
