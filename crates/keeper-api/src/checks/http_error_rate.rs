//! `kind: httpErrorRate`: the share of requests that fail.

use super::fields::{Field, Fields, Form, METRIC, WORD, field, is_name};
use super::pace;
use super::series::{self, SeriesMatcher};
use crate::invalid::Invalid;

/// The share of the canary's requests that fail, as the canary itself counts them.
///
/// A threshold is strict: `threshold: 1` asks for a rate below 1 %, and exactly 1 % is unhealthy. What counts are the
/// increments of the counters during the canary's own life, never their totals.
///
/// ```yaml
/// - kind: httpErrorRate
///   threshold: 0.5
///   errorSelector: '{code=~"5..|429"}'
/// ```
///
/// Without a Prometheus, from the pods themselves:
///
/// ```yaml
/// - kind: httpErrorRate
///   port: 8080
///   errorCodes: 5..|429
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HttpErrorRate {
    /// `threshold`: a share at or over this many percent is Unhealthy. Above 0, at most 100. Default 1.
    pub threshold: f64,
    /// `minRequestCount`: below so many requests nothing is known. At least 1. Default 100.
    pub min_request_count: u64,
    /// Where the counters are read.
    pub source: Source,
    /// `metric`: the counter of requests. Default `http_requests_total`.
    pub metric: String,
    /// `codeLabel`: the counter's label that holds the status code. Default: `code` or `status`, whichever is there.
    pub code_label: Option<String>,
    /// `errorCodes`: which codes are errors, as patterns of three digits or dots with `|` between them. A regular
    /// expression of this form is safe to use as it is, anchored. Default `5..`.
    pub error_codes: String,
}

/// Where counters are read: from Prometheus, unless `port` is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// From the pods themselves.
    Pods {
        /// `port`: where the pod serves its metrics, 1 to 65535.
        port: u16,
        /// `path`: where on that port; begins with a slash. Default `/metrics`.
        path: String,
    },
    /// From a Prometheus.
    Prometheus {
        /// `provider`: which one, by name. Default: see the [module](super).
        provider: Option<String>,
        /// `selector`: which of the pod's series count. Default: all of them.
        selector: Vec<SeriesMatcher>,
        /// `errorSelector`: which of those are errors, in place of `codeLabel` and `errorCodes`. Default: by code.
        error_selector: Option<Vec<SeriesMatcher>>,
    },
}

impl HttpErrorRate {
    pub(crate) const KIND: &str = "httpErrorRate";
    pub(crate) const FIELDS: &[Field] = &[
        field(
            "threshold",
            Form::Percent,
            "A share of failed requests at or over this many percent is unhealthy. Default 1: below 1 %.",
        ),
        field(
            "minRequestCount",
            Form::Whole(1, 1_000_000_000),
            "Below so many requests nothing is known. Default 100.",
        ),
        field("provider", Form::Pattern(63, WORD), "Name of the Prometheus to ask, as the operator's owner set it up."),
        field(
            "port",
            Form::Whole(1, 65_535),
            "Port of the pods where their own metrics are read, in place of Prometheus.",
        ),
        field("path", Form::Pattern(1_024, "^/"), "Path of the metrics on that port. Default /metrics."),
        field("metric", Form::Pattern(256, METRIC), "The counter of requests. Default http_requests_total."),
        field(
            "codeLabel",
            Form::Pattern(256, "^[A-Za-z_][A-Za-z0-9_]*$"),
            "The counter's label that holds the status code. Default: code or status, whichever is there.",
        ),
        field(
            "errorCodes",
            Form::Pattern(256, r"^[0-9.]{3}(\|[0-9.]{3})*$"),
            "Which codes are errors, like 5..|429. Default 5.. .",
        ),
        field(
            "selector",
            Form::Text(1_024),
            "Label matchers: which of the pod's series count, in Prometheus. Default: all.",
        ),
        field(
            "errorSelector",
            Form::Text(1_024),
            "Label matchers: which of those are errors, in place of codeLabel and errorCodes.",
        ),
    ];

    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Invalid> {
        fields.refuse_unknown(&[&[pace::KIND], pace::COMMON, Self::FIELDS])?;
        Ok(Self {
            threshold: fields.percent("threshold")?.unwrap_or(1.0),
            min_request_count: fields.whole("minRequestCount", 1..=1_000_000_000, "100")?.unwrap_or(100),
            source: source(fields)?,
            metric: fields
                .text("metric", 256, "http_requests_total", |text| is_name(text, true))?
                .unwrap_or_else(|| "http_requests_total".into()),
            code_label: fields.text("codeLabel", 256, "code", |text| is_name(text, false))?,
            error_codes: fields.text("errorCodes", 256, "5.. or 5..|429", are_codes)?.unwrap_or_else(|| "5..".into()),
        })
    }
}

fn source(fields: &Fields<'_>) -> Result<Source, Invalid> {
    let port = fields.whole("port", 1..=u64::from(u16::MAX), "8080")?.and_then(|port| u16::try_from(port).ok());
    let path = fields.text("path", 1_024, "/metrics", is_path)?;
    if let Some(port) = port {
        let why = "is for Prometheus, and port asks the pods themselves";
        fields.refuse_beside(&["provider", "selector", "errorSelector"], why)?;
        return Ok(Source::Pods { port, path: path.unwrap_or_else(|| "/metrics".into()) });
    }
    if path.is_some() {
        let fix = "write the port of the pods beside it, or remove it to ask Prometheus";
        return Err(fields.invalid("path", "stands there without port", fix));
    }
    let error_selector = series::read(fields, "errorSelector")?;
    if error_selector.is_some() {
        fields.refuse_beside(&["codeLabel", "errorCodes"], "says the same as errorSelector")?;
    }
    let selector = series::read(fields, "selector")?.unwrap_or_default();
    Ok(Source::Prometheus { provider: fields.provider()?, selector, error_selector })
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

fn are_codes(text: &str) -> bool {
    text.split('|').all(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}
