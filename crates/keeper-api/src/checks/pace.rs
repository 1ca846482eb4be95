//! How a check is asked.

use super::fields::{Field, Fields, Form, WORD, field};
use crate::invalid::Invalid;
use keeper_signal::Policy;
use std::time::Duration;

/// The fields that every check has which is asked.
pub(crate) const COMMON: &[Field] = &[
    NAME,
    field("interval", Form::Span, "Time between two measurements, 1s to 1h. Default: every look of the operator (5s)."),
    field("initialDelay", Form::Span, "For so long after the canary was created it isn't asked. Default 0s."),
    field(
        "failureLimit",
        Form::Whole(0, 1000),
        "So many unhealthy measurements in all are borne, but nothing is promoted on one. Default 0.",
    ),
    field(
        "errorBudget",
        Form::Whole(0, 1000),
        "So many measurements in a row may fail to give an answer before the incubation's clock stands still. They never count as unhealthy. Default 0.",
    ),
    field("observeOnly", Form::Flag, "true: it is asked and shown, and judges nothing. Default false."),
];

/// The one field that every check has.
pub(crate) const NAME: Field = field(
    "name",
    Form::Pattern(63, WORD),
    "Name of the check in events, metrics and the status; unique in the list. Default: its kind.",
);

/// The field that says which kind it is.
pub(crate) const KIND: Field = field("kind", Form::Word(&super::KINDS), "What is asked.");

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Reads how a check is asked.
pub(super) fn read(fields: &Fields<'_>) -> Result<Policy, Invalid> {
    let limit = |name| Ok(fields.whole(name, 0..=1_000, "2")?.and_then(|n| u32::try_from(n).ok()).unwrap_or(0));
    Ok(Policy {
        interval: fields.span("interval", SECOND..=HOUR, "30s")?.unwrap_or_default(),
        initial_delay: fields.span("initialDelay", Duration::ZERO..=DAY, "1m")?.unwrap_or_default(),
        failure_limit: limit("failureLimit")?,
        error_budget: limit("errorBudget")?,
        observe_only: fields.flag("observeOnly")?.unwrap_or(false),
    })
}
