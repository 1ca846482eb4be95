//! `kind: query`: a number that a PromQL query comes to.

use super::fields::{Field, Fields, Form, NAMES, WORD, field, unknown_braces};
use super::pace;
use crate::invalid::{Invalid, quote};
use std::time::Duration;

/// Any PromQL query that comes to one number, and the range that is healthy.
///
/// ```yaml
/// - kind: query
///   name: slow-orders
///   query: histogram_quantile(0.99, sum by (le) (rate(order_seconds_bucket{pod="{{canary}}"}[{{window}}])))
///   max: 0.5
///   unit: s
///   window: 2m
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// `provider`: the Prometheus that is asked, by name. Default: see the [module](super).
    pub provider: Option<String>,
    /// `query`: must come to a scalar or to a vector of one series. Required. The words that may stand in braces are
    /// told in the [module](super); here they are not yet replaced.
    pub query: String,
    /// `min`: a smaller number is unhealthy. At least one of `min` and `max` is there.
    pub min: Option<f64>,
    /// `max`: a larger number is unhealthy; the bounds themselves are healthy.
    pub max: Option<f64>,
    /// `unit`: stands after the number in what is told. Default: none.
    pub unit: Option<String>,
    /// `window`: what `{{window}}` is replaced by. 1 s to 1 day, default 1 min.
    pub window: Duration,
    /// `noData`: what an empty answer means. Default [`NoData::Unknown`]. NaN is an error in any case.
    pub no_data: NoData,
}

/// What it means that a query finds no series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoData {
    /// `unknown`: nothing is known, the measurement is in error.
    #[default]
    Unknown,
    /// `zero`: the number is 0, as for a counter that appears with its first event.
    Zero,
    /// `healthy`: for a query of what must not be there.
    Healthy,
    /// `unhealthy`: for a query of what must be there.
    Unhealthy,
}

/// The words for [`NoData`].
const NO_DATA: &[&str] = &["unknown", "zero", "healthy", "unhealthy"];

impl Query {
    pub(crate) const KIND: &str = "query";
    pub(crate) const FIELDS: &[Field] = &[
        field("provider", Form::Pattern(63, WORD), "Name of the Prometheus to ask, as the operator's owner set it up."),
        field(
            "query",
            Form::Text(4_096),
            "PromQL that comes to one number. {{canary}}, {{namespace}} and {{workload}} stand inside quotes, {{baseline}} inside quotes after =~, {{window}} outside. Required.",
        ),
        field("min", Form::Number, "The least healthy number. min or max is required."),
        field("max", Form::Number, "The largest healthy number. min or max is required."),
        field("unit", Form::Text(16), "Unit of the number, for what is told."),
        field("window", Form::Span, "What {{window}} is replaced by, 1s to 1d. Default 1m."),
        field("noData", Form::Word(NO_DATA), "What no series means: unknown (default), zero, healthy or unhealthy."),
    ];

    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Invalid> {
        const EXAMPLE: &str = r#"sum(queue_depth{pod="{{canary}}"})"#;
        fields.refuse_unknown(&[&[pace::KIND], pace::COMMON, Self::FIELDS])?;
        let query = fields.text("query", 4_096, EXAMPLE, |text| !text.trim().is_empty())?;
        let query = query.ok_or_else(|| fields.missing("query", EXAMPLE))?;
        let known: Vec<&str> = NAMES.into_iter().chain(["baseline", "window"]).collect();
        if let Some(name) = unknown_braces(&query, &known) {
            let problem = format!("{} can't stand in double braces", quote(name));
            return Err(fields.invalid("query", problem, format!("write one of {}", known.join(", "))));
        }
        let (min, max) = fields.range()?;
        if min.is_none() && max.is_none() {
            return Err(
                fields.whole_invalid("has neither min nor max", "write which numbers are healthy, like max: 100")
            );
        }
        let day = Duration::from_secs(86_400);
        Ok(Self {
            provider: fields.provider()?,
            query,
            min,
            max,
            unit: fields.text("unit", 16, "ms", |text| !text.contains(char::is_control))?,
            window: fields.span("window", Duration::from_secs(1)..=day, "5m")?.unwrap_or(Duration::from_secs(60)),
            no_data: match fields.text("noData", 16, "zero", |text| NO_DATA.contains(&text))?.as_deref() {
                Some("zero") => NoData::Zero,
                Some("healthy") => NoData::Healthy,
                Some("unhealthy") => NoData::Unhealthy,
                _ => NoData::Unknown,
            },
        })
    }
}
