//! `kind: latencyShare`: the share of requests that are slow.

use super::fields::{Field, Fields, Form, METRIC, WORD, field, is_name};
use super::pace;
use super::series::{self, SeriesMatcher};
use crate::invalid::Invalid;
use std::time::Duration;

/// The share of the canary's requests that took longer than a bound, from the buckets of a histogram in Prometheus.
///
/// A share is counted, where a quantile is guessed between two buckets: it is exact, and it can be added up. The bound
/// must be that of a bucket, in seconds; where the histogram has none of it the check can't tell.
///
/// ```yaml
/// - kind: latencyShare
///   bound: 250ms
///   threshold: 5          # percent of the requests that may be slower, at most just below this
///   selector: '{handler!="/healthz"}'
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyShare {
    /// `provider`: the Prometheus that is asked, by name. Default: see the [module](super).
    pub provider: Option<String>,
    /// `metric`: the histogram, without `_bucket`. Default `http_request_duration_seconds`.
    pub metric: String,
    /// `bound`: a request that took longer is slow. 1 ms to 1 h. Required.
    pub bound: Duration,
    /// `threshold`: a share of slow requests at or over this many percent is unhealthy. Above 0, at most 100. Default 1.
    pub threshold: f64,
    /// `minRequestCount`: below so many requests nothing is known. At least 1. Default 100.
    pub min_request_count: u64,
    /// `selector`: which of the histogram's series count. Default: all of the pod's.
    pub selector: Vec<SeriesMatcher>,
}

impl LatencyShare {
    pub(crate) const KIND: &str = "latencyShare";
    pub(crate) const FIELDS: &[Field] = &[
        field("provider", Form::Pattern(63, WORD), "Name of the Prometheus to ask, as the operator's owner set it up."),
        field(
            "metric",
            Form::Pattern(256, METRIC),
            "The histogram, without _bucket. Default http_request_duration_seconds.",
        ),
        field(
            "bound",
            Form::Span,
            "A request that took longer is slow; must be the bound of a bucket. 1ms to 1h. Required.",
        ),
        field(
            "threshold",
            Form::Percent,
            "A share of slow requests at or over this many percent is unhealthy. Default 1.",
        ),
        field(
            "minRequestCount",
            Form::Whole(1, 1_000_000_000),
            "Below so many requests nothing is known. Default 100.",
        ),
        field(
            "selector",
            Form::Text(1_024),
            "Label matchers: which of the histogram's series count. Default: all of the pod's.",
        ),
    ];

    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Invalid> {
        fields.refuse_unknown(&[&[pace::KIND], pace::COMMON, Self::FIELDS])?;
        let range = Duration::from_millis(1)..=Duration::from_secs(3_600);
        let metric = fields.text("metric", 256, "http_request_duration_seconds", |text| is_name(text, true))?;
        Ok(Self {
            provider: fields.provider()?,
            metric: metric.unwrap_or_else(|| "http_request_duration_seconds".into()),
            bound: fields.span("bound", range, "250ms")?.ok_or_else(|| fields.missing("bound", "250ms"))?,
            threshold: fields.percent("threshold")?.unwrap_or(1.0),
            min_request_count: fields.whole("minRequestCount", 1..=1_000_000_000, "100")?.unwrap_or(100),
            selector: series::read(fields, "selector")?.unwrap_or_default(),
        })
    }
}
