use crate::alert::{Alert, Wire};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;

/// The most alerts that one body may hold.
pub const ALERTS_LIMIT: usize = 20_000;
/// The most unreadable alerts that are told apart; more are only counted.
const UNREADABLE_LIMIT: usize = 10;

/// Alertmanager's webhook, version 4: one group of alerts, old and new, firing and resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The name of the receiver that Alertmanager sent it for; may be empty.
    pub receiver: String,
    /// The group it belongs to; may be empty.
    pub group_key: String,
    /// How many alerts of the group Alertmanager left out (its `max_alerts`). More than zero means that what is not in
    /// here may still be firing.
    pub truncated: u64,
    /// The alerts, in the order they came.
    pub alerts: Vec<Alert>,
    /// The alerts that can't be read; the first ten of them.
    pub unreadable: Vec<Unreadable>,
    /// How many can't be read in all.
    pub unreadable_count: usize,
}

/// An alert that can't be read. The others of its batch can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why, naming the field.
    pub why: String,
}

/// Why a body is no webhook. The same body never becomes one: answer 400. The texts hold nothing of the body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// Not JSON at all.
    #[error("the body is not JSON (line {line}, column {column}): expected Alertmanager's webhook, version 4")]
    NotJson {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// JSON of another shape.
    #[error(
        "the body is not Alertmanager's webhook: expected a JSON object with a list `alerts` of objects with `labels`, \
         `status` and `startsAt`; take a custom `payload` out of the receiver's webhook_config"
    )]
    OtherShape,
    /// Too many alerts.
    #[error(
        "more than {ALERTS_LIMIT} alerts in one body: set max_alerts in the receiver's webhook_config, or group finer"
    )]
    TooMany,
    /// A list of alerts, none of which can be read.
    #[error("none of the {count} alerts can be read; the first: {why}")]
    NoneReadable {
        /// How many there are.
        count: usize,
        /// What is wrong with the first.
        why: String,
    },
}

/// Reads a webhook's body. The caller bounds its bytes; this bounds everything else.
///
/// Unknown fields are skipped and missing ones tolerated, so that bodies of older and newer Alertmanagers are read alike.
///
/// # Errors
///
/// When the body is no webhook, or none of its alerts can be read.
pub fn parse(body: &[u8]) -> Result<Webhook, WebhookError> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|error| refuse(&error))?;
    let Alerts::Some(raw) = envelope.alerts else { return Err(WebhookError::TooMany) };
    let mut webhook = Webhook {
        receiver: envelope.receiver.unwrap_or_default(),
        group_key: envelope.group_key.unwrap_or_default(),
        truncated: envelope.truncated.unwrap_or_default(),
        alerts: Vec::with_capacity(raw.len()),
        unreadable: Vec::new(),
        unreadable_count: 0,
    };
    for (index, raw) in raw.iter().enumerate() {
        match read(raw) {
            Ok(alert) => webhook.alerts.push(alert),
            Err(why) => webhook.note_unreadable(index, why),
        }
    }
    match webhook.unreadable.first() {
        Some(first) if webhook.alerts.is_empty() => {
            Err(WebhookError::NoneReadable { count: webhook.unreadable_count, why: first.why.clone() })
        }
        _ => Ok(webhook),
    }
}

impl Webhook {
    /// How many of its alerts carry no label at all: they are about nothing and never match.
    #[must_use]
    pub fn without_labels(&self) -> usize {
        self.alerts.iter().filter(|alert| alert.labels.is_empty()).count()
    }

    fn note_unreadable(&mut self, index: usize, why: String) {
        self.unreadable_count += 1;
        if self.unreadable.len() < UNREADABLE_LIMIT {
            self.unreadable.push(Unreadable { index, why });
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    receiver: Option<String>,
    #[serde(rename = "groupKey")]
    group_key: Option<String>,
    #[serde(rename = "truncatedAlerts")]
    truncated: Option<u64>,
    #[serde(borrow)]
    alerts: Alerts<'a>,
}

/// The alerts still as text: small next to what they become, and each can be refused alone.
enum Alerts<'a> {
    Some(Vec<&'a RawValue>),
    TooMany,
}

impl<'de: 'a, 'a> Deserialize<'de> for Alerts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Counting)
    }
}

struct Counting;

impl<'de> Visitor<'de> for Counting {
    type Value = Alerts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of alerts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut alerts = Vec::new();
        while let Some(alert) = list.next_element()? {
            if alerts.len() == ALERTS_LIMIT {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Alerts::TooMany);
            }
            alerts.push(alert);
        }
        Ok(Alerts::Some(alerts))
    }
}

fn read(raw: &RawValue) -> Result<Alert, String> {
    // serde's own text may quote the body; where it stopped is all that is passed on.
    let wire: Wire = serde_json::from_str(raw.get()).map_err(|error| {
        format!(
            "not an alert's shape at its line {}, column {}: expected an object of strings",
            error.line(),
            error.column()
        )
    })?;
    wire.try_into()
}

fn refuse(error: &serde_json::Error) -> WebhookError {
    match error.classify() {
        serde_json::error::Category::Data => WebhookError::OtherShape,
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            WebhookError::NotJson { line: error.line(), column: error.column() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERT: &str = r#"{"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-08-20T10:05:00Z"}"#;

    #[test]
    fn a_body_of_another_shape_is_told_what_was_expected() {
        for body in
            ["[]", "{}", "3", r#""alerts""#, r#"{"alerts": {}}"#, r#"{"alerts": null}"#, r#"{"text": "custom"}"#]
        {
            assert_eq!(parse(body.as_bytes()), Err(WebhookError::OtherShape), "{body}");
        }
        for body in ["", "<html>", "{", "alerts=1", "{\"alerts\": [}"] {
            assert!(matches!(parse(body.as_bytes()), Err(WebhookError::NotJson { .. })), "{body}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes()).is_err());
        assert!(parse(format!(r#"{{"x": {deep}"#).as_bytes()).is_err());
        assert!(parse(format!(r#"{{"alerts": [{{"x": {deep}"#).as_bytes()).is_err());
        assert!(WebhookError::OtherShape.to_string().contains("custom `payload`"));
    }

    #[test]
    fn one_bad_alert_costs_itself_alone() {
        let body = format!(r#"{{"alerts": [{ALERT}, 7, {{"labels": {{"n": 1}}}}, {{"startsAt": "never"}}, {ALERT}]}}"#);
        let webhook = parse(body.as_bytes()).unwrap();
        assert_eq!((webhook.alerts.len(), webhook.unreadable_count), (2, 3));
        let places: Vec<usize> = webhook.unreadable.iter().map(|unreadable| unreadable.index).collect();
        assert_eq!(places, [1, 2, 3]);
        assert_eq!(webhook.unreadable[2].why, "startsAt is no RFC 3339 time");
    }

    #[test]
    fn a_batch_without_one_readable_alert_is_refused() {
        let refused = parse(br#"{"alerts": [{"labels": {}}, {"labels": {}}]}"#).unwrap_err();
        assert_eq!(refused.to_string(), "none of the 2 alerts can be read; the first: startsAt is missing");
        assert_eq!(parse(br#"{"alerts": []}"#).unwrap().alerts, []);
    }

    #[test]
    fn the_number_of_alerts_is_bounded() {
        let batch = |count: usize| format!(r#"{{"alerts": [{}]}}"#, vec![ALERT; count].join(","));
        assert_eq!(parse(batch(ALERTS_LIMIT).as_bytes()).unwrap().alerts.len(), ALERTS_LIMIT);
        assert_eq!(parse(batch(ALERTS_LIMIT + 1).as_bytes()), Err(WebhookError::TooMany));
        let unreadable = format!(r#"{{"alerts": [{ALERT}, {}]}}"#, vec!["0"; 1000].join(","));
        let webhook = parse(unreadable.as_bytes()).unwrap();
        assert_eq!((webhook.unreadable_count, webhook.unreadable.len()), (1000, UNREADABLE_LIMIT));
    }

    #[test]
    fn an_alert_without_labels_is_kept_and_counted() {
        let body = format!(r#"{{"alerts": [{ALERT}, {{"startsAt": "2026-08-20T10:05:00Z"}}]}}"#);
        let webhook = parse(body.as_bytes()).unwrap();
        assert_eq!((webhook.alerts.len(), webhook.without_labels()), (2, 1));
    }
}
