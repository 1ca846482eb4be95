//! `kind: http`: an HTTP endpoint whose JSON decides.

use super::fields::{Field, Fields, Form, NAMES, WORD, field, unknown_braces};
use super::pace;
use crate::invalid::{Invalid, quote};
use crate::yaml;
use serde_json::Value;

/// A request to a provider that the operator's owner named, and what its JSON answer must hold. So any vendor's API
/// becomes a check, and nobody but the owner says where requests and credentials go.
///
/// ```yaml
/// - kind: http
///   provider: synthetic-tests
///   path: /v1/suites/basket/result?pod={{canary}}
///   pointer: /summary/failed
///   max: 0
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// `provider`: whom to ask, by name. Required.
    pub provider: String,
    /// `method`. Default [`Method::Get`].
    pub method: Method,
    /// `path`: what is added to the provider's address: begins with one slash, may have a query, and can't leave that
    /// address. Default `/`. The words that may stand in braces are told in the [module](super).
    pub path: String,
    /// `body`: JSON as text, for `POST`. Default: none.
    pub body: Option<String>,
    /// `pointer`: where in the answer's JSON the value is (RFC 6901). Default: the whole answer.
    pub pointer: String,
    /// `min`, `max` or `equals`: what the value must be. Required.
    pub expected: Expected,
    /// `unit`: stands after the number in what is told. Default: none.
    pub unit: Option<String>,
}

/// See [`Http::method`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    #[default]
    Get,
    /// `POST`.
    Post,
}

/// What a value must be to be healthy.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// A number not less than `min` and not more than `max`; at least one of the two is there.
    Range {
        /// The least healthy number.
        min: Option<f64>,
        /// The largest healthy number.
        max: Option<f64>,
    },
    /// This text; where the answer has a number or a boolean, its JSON form.
    Equals(String),
}

impl Http {
    pub(crate) const KIND: &str = "http";
    pub(crate) const FIELDS: &[Field] = &[
        field(
            "provider",
            Form::Pattern(63, WORD),
            "Name of the endpoint to ask, as the operator's owner set it up. Required.",
        ),
        field("method", Form::Word(&["GET", "POST"]), "GET (default) or POST."),
        field(
            "path",
            Form::Pattern(1_024, "^/"),
            "Path and query that are added to the provider's address. {{canary}}, {{namespace}} and {{workload}} are replaced. Default /.",
        ),
        field("body", Form::Text(4_096), "Body of a POST: JSON as text, with the same words in braces."),
        field(
            "pointer",
            Form::Pattern(256, "^(/.*)?$"),
            "JSON pointer to the value in the answer, like /data/0/value. Default: the whole answer.",
        ),
        field("min", Form::Number, "The least healthy number. One of min, max and equals is required."),
        field("max", Form::Number, "The largest healthy number. One of min, max and equals is required."),
        field(
            "equals",
            Form::Text(256),
            "The one healthy value, as text: a number or a boolean of the answer is compared in its JSON form.",
        ),
        field("unit", Form::Text(16), "Unit of the number, for what is told."),
    ];

    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Invalid> {
        fields.refuse_unknown(&[&[pace::KIND], pace::COMMON, Self::FIELDS])?;
        let method = match fields.text("method", 8, "POST", |text| matches!(text, "GET" | "POST"))?.as_deref() {
            Some("POST") => Method::Post,
            _ => Method::Get,
        };
        let body = fields.text("body", 4_096, "'{\"pod\": \"{{canary}}\"}'", |_| true)?;
        if body.is_some() && method == Method::Get {
            return Err(fields.invalid("body", "stands beside the method GET", "write method: POST, or remove it"));
        }
        let path = fields.text("path", 1_024, "/v1/result?pod={{canary}}", is_path)?.unwrap_or_else(|| "/".into());
        for (name, text) in [("path", Some(&path)), ("body", body.as_ref())] {
            if let Some(unknown) = text.and_then(|text| unknown_braces(text, &NAMES)) {
                let problem = format!("{} can't stand in double braces", quote(unknown));
                return Err(fields.invalid(name, problem, format!("write one of {}", NAMES.join(", "))));
            }
        }
        Ok(Self {
            provider: fields.provider()?.ok_or_else(|| fields.missing("provider", "synthetic-tests"))?,
            method,
            path,
            body,
            pointer: fields.text("pointer", 256, "/data/0/value", is_pointer)?.unwrap_or_default(),
            expected: expected(fields)?,
            unit: fields.text("unit", 16, "ms", |text| !text.contains(char::is_control))?,
        })
    }
}

fn expected(fields: &Fields<'_>) -> Result<Expected, Invalid> {
    let (min, max) = fields.range()?;
    match fields.get("equals") {
        Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => {
            fields.refuse_beside(&["min", "max"], "stands beside equals")?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if text.len() > 256 {
                return Err(fields.invalid("equals", "is longer than 256 bytes", "shorten it"));
            }
            Ok(Expected::Equals(text))
        }
        Some(other) => {
            let problem = format!("is {}", yaml::kind_of(other));
            Err(fields.invalid("equals", problem, "write a text, a number or a boolean, like equals: passed"))
        }
        None if min.is_none() && max.is_none() => {
            Err(fields.whole_invalid("has none of min, max and equals", "write what is healthy, like max: 0"))
        }
        None => Ok(Expected::Range { min, max }),
    }
}

/// One slash first (two would begin another address), no step upwards in whatever spelling, and nothing that a URL
/// can't hold as it is, but for the braces that are replaced.
fn is_path(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let upwards = lower.split(['/', '?']).any(|part| part == ".." || part.contains("%2e"));
    text.starts_with('/')
        && !text.starts_with("//")
        && !upwards
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\' | b'"' | b'<' | b'>' | b'`'))
}

/// Empty, or parts that each begin with a slash and in which `~` is followed by 0 or 1.
fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escapes && !text.contains(char::is_control)
}
