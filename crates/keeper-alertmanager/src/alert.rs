use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// The most labels, and the most annotations, that one alert may carry.
const PAIRS_LIMIT: usize = 64;
/// The longest name of a label or annotation, in bytes.
const NAME_LIMIT: usize = 256;
/// The longest value of a label, in bytes.
const VALUE_LIMIT: usize = 1024;
/// The longest fingerprint that is believed; Alertmanager's have 16 characters.
const FINGERPRINT_LIMIT: usize = 64;

/// One alert of a webhook.
///
/// Its identity is [`fingerprint`](Self::fingerprint) with [`starts_at`](Self::starts_at): the same pair comes again and
/// again, from every member of a high-availability pair and at every repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Alertmanager's hash of the labels, 16 hex digits; computed the same way where the body holds none.
    pub fingerprint: String,
    /// Firing, or resolved by now.
    pub status: Status,
    /// Its labels; may be empty, and then it is about nothing.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, for people.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it ended; `None` while it fires (Alertmanager then sends the year 1).
    pub ends_at: Option<Timestamp>,
    /// A link to where it comes from; may be empty.
    pub generator_url: String,
}

/// Whether an alert is still firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is.
    Firing,
    /// Not any more.
    Resolved,
}

impl Alert {
    /// Its `alertname`, or `(unnamed)`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.labels.get("alertname").filter(|name| !name.is_empty()).map_or("(unnamed)", String::as_str)
    }

    /// The value of a label; an empty one counts as none, as in Prometheus.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).filter(|value| !value.is_empty()).map(String::as_str)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        })
    }
}

/// An alert as it is sent. Every field may be missing or null; unknown ones are skipped.
#[derive(Deserialize)]
pub(crate) struct Wire {
    status: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    #[serde(rename = "startsAt")]
    starts_at: Option<String>,
    #[serde(rename = "endsAt")]
    ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
    fingerprint: Option<String>,
}

impl TryFrom<Wire> for Alert {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let labels = bounded(wire.labels.unwrap_or_default(), "labels", VALUE_LIMIT)?;
        let annotations = bounded(wire.annotations.unwrap_or_default(), "annotations", usize::MAX)?;
        let starts_at = wire.starts_at.ok_or("startsAt is missing")?;
        let starts_at = time(&starts_at).map_err(|why| format!("startsAt {why}"))?;
        // A value that can't be read leaves the status to say whether it ended; when exactly decides nothing.
        let ended = wire.ends_at.and_then(|ends_at| time(&ends_at).ok()).filter(|ends_at| !is_zero(*ends_at));
        let status = match wire.status.as_deref() {
            Some("firing") => Status::Firing,
            Some("resolved") => Status::Resolved,
            None if ended.is_some() => Status::Resolved,
            None => Status::Firing,
            Some(_) => return Err("status is neither firing nor resolved".into()),
        };
        let ends_at = ended.filter(|_| status == Status::Resolved);
        let fingerprint = wire.fingerprint.filter(|sent| is_fingerprint(sent)).unwrap_or_else(|| fingerprint(&labels));
        let generator_url = wire.generator_url.unwrap_or_default();
        Ok(Self { fingerprint, status, labels, annotations, starts_at, ends_at, generator_url })
    }
}

fn bounded(
    pairs: BTreeMap<String, String>,
    what: &str,
    value_limit: usize,
) -> Result<BTreeMap<String, String>, String> {
    if pairs.len() > PAIRS_LIMIT {
        return Err(format!("more than {PAIRS_LIMIT} {what}"));
    }
    if pairs.keys().any(|name| name.len() > NAME_LIMIT) {
        return Err(format!("a name among the {what} is longer than {NAME_LIMIT} bytes"));
    }
    if pairs.values().any(|value| value.len() > value_limit) {
        return Err(format!("a value among the {what} is longer than {value_limit} bytes"));
    }
    Ok(pairs)
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| "is no RFC 3339 time")
}

/// Go's zero time, the year 1: Alertmanager's way to say "not yet".
fn is_zero(time: Timestamp) -> bool {
    time.as_second() <= -62_135_596_800
}

fn is_fingerprint(sent: &str) -> bool {
    (1..=FINGERPRINT_LIMIT).contains(&sent.len()) && sent.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Alertmanager's own: FNV-1a over the sorted names and values, with a byte between them that no label can hold.
fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    const BETWEEN: [u8; 1] = [255];
    let parts = labels.iter().flat_map(|(name, value)| [name.as_bytes(), &BETWEEN, value.as_bytes(), &BETWEEN]);
    let hash = parts.flatten().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Alert, String> {
        serde_json::from_str::<Wire>(json).map_err(|error| error.to_string())?.try_into()
    }

    #[test]
    fn a_firing_alert_has_no_end() {
        let alert =
            read(r#"{"status": "firing", "startsAt": "2026-08-20T10:05:00+02:00", "endsAt": "0001-01-01T00:00:00Z"}"#);
        let alert = alert.unwrap();
        assert_eq!(alert.starts_at.to_string(), "2026-08-20T08:05:00Z");
        assert_eq!((alert.status, alert.ends_at), (Status::Firing, None));
        let expected =
            read(r#"{"status": "firing", "startsAt": "2026-08-20T10:05:00Z", "endsAt": "2026-08-20T10:10:00Z"}"#);
        assert_eq!(expected.unwrap().ends_at, None, "a time-out in the future is no end");
    }

    #[test]
    fn a_missing_status_is_told_from_the_end() {
        let end =
            |ends_at| read(&format!(r#"{{"startsAt": "2026-08-20T10:05:00Z", "endsAt": {ends_at}}}"#)).unwrap().status;
        assert_eq!(end("null"), Status::Firing);
        assert_eq!(end(r#""0001-01-01T00:00:00Z""#), Status::Firing);
        assert_eq!(end(r#""2026-08-20T10:06:00Z""#), Status::Resolved);
    }

    #[test]
    fn what_cannot_be_placed_is_refused_by_field() {
        assert_eq!(read("{}").unwrap_err(), "startsAt is missing");
        assert_eq!(read(r#"{"startsAt": "yesterday"}"#).unwrap_err(), "startsAt is no RFC 3339 time");
        let odd = r#"{"startsAt": "2026-08-20T10:05:00Z", "status": "suppressed"}"#;
        assert_eq!(read(odd).unwrap_err(), "status is neither firing nor resolved");
        let long = format!(r#"{{"startsAt": "2026-08-20T10:05:00Z", "labels": {{"pod": "{}"}}}}"#, "x".repeat(1025));
        assert_eq!(read(&long).unwrap_err(), "a value among the labels is longer than 1024 bytes");
        let labels: Vec<String> = (0..65).map(|n| format!(r#""l{n}": "x""#)).collect();
        let many = format!(r#"{{"startsAt": "2026-08-20T10:05:00Z", "labels": {{{}}}}}"#, labels.join(","));
        assert_eq!(read(&many).unwrap_err(), "more than 64 labels");
    }

    #[test]
    fn a_fingerprint_that_is_none_is_replaced() {
        let with = |fingerprint: &str| {
            let json = format!(
                r#"{{"startsAt": "2026-08-20T10:05:00Z", "labels": {{"a": "b"}}, "fingerprint": "{fingerprint}"}}"#
            );
            read(&json).unwrap().fingerprint
        };
        assert_eq!(with("4924f05d4853e165"), "4924f05d4853e165");
        let derived = with("");
        assert_eq!(derived.len(), 16);
        assert_eq!(with("two words"), derived);
        assert_eq!(with(&"f".repeat(65)), derived);
    }
}
