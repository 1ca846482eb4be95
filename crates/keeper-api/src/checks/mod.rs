//! The checks that judge a canary beside the alerts: a small language in YAML.
//!
//! A list of checks stands in the annotation `canary-keeper.dev/checks` of a workload and in `spec.metrics` of a Canary,
//! and means the same in both. Each item has a `kind`, which says what is asked ([`Rule`]), and may say how it is asked
//! ([`Policy`]). Everything is validated here, nothing is asked here.
//!
//! | `kind` | asks | type |
//! |---|---|---|
//! | `httpErrorRate` | which share of the canary's requests fails | [`HttpErrorRate`] |
//! | `latencyShare` | which share of them is slower than a bound | [`LatencyShare`] |
//! | `query` | a number that a PromQL query comes to | [`Query`] |
//! | `http` | a number or a word in the JSON that an HTTP endpoint answers | [`Http`] |
//! | `job` | a Kubernetes Job, whose exit decides | [`Job`] |
//! | `alerts` | nothing: it says which further alerts are about this service | matchers, see below |
//!
//! ```yaml
//! - kind: httpErrorRate              # from Prometheus; with `port: 8080` from the pods' own /metrics
//!   threshold: 1                     # percent: the rate must be below it
//! - kind: query
//!   name: queue
//!   query: sum(queue_depth{pod="{{canary}}"})
//!   max: 100
//!   interval: 30s
//!   failureLimit: 2
//! - kind: alerts
//!   matchers: '{team="shop", severity="page"}'
//! ```
//!
//! # Beside `kind`
//!
//! `name` (default: the kind, then `query-2` and so on), `interval`, `initialDelay`, `failureLimit`, `errorBudget` and
//! `observeOnly`: see [`Policy`]. An `alerts` check is not asked and takes none but `name`: its `matchers`,
//! written as Alertmanager writes them or as a list, have the meaning of the annotation
//! `canary-keeper.dev/alert-matchers` (`spec.alertMatchers`), and only one of the places may be used.
//!
//! # Where it is asked
//!
//! Addresses and credentials are not in this language. `provider` names one that the operator's owner set up; left out,
//! it is the only Prometheus there is, or the one named `default`.
//!
//! # What may stand in braces
//!
//! In `query`, and in `path` and `body` of `http`: `{{canary}}` or `{{pod}}` (the canary pod's name), `{{namespace}}` and `{{workload}}`. In
//! `query` those stand inside quotes, and there are two more: `{{baseline}}`, a pattern of the production pods' names
//! inside quotes after `=~`, and `{{window}}` outside quotes.
//!
//! # Checks that are written once
//!
//! The operator's owner can give names to checks with variables in them ([`Templates`]); a workload then says
//! `template: errors-at-the-edge` in place of `kind`, and `with:` what the variables are.

mod alerts;
mod fields;
mod http;
mod http_error_rate;
mod job;
mod latency_share;
mod pace;
mod query;
mod series;
mod templates;

pub(crate) use fields::{Field, Form};
pub use http::{Expected, Http, Method};
pub use http_error_rate::{HttpErrorRate, Source};
pub use job::Job;
pub use latency_share::LatencyShare;
pub use query::{NoData, Query};
pub use series::{Matching, SeriesMatcher};
pub(crate) use templates::FIELDS as TEMPLATE;
pub use templates::{TemplateError, Templates};

use crate::invalid::{Invalid, list, quote};
use crate::{keys, yaml};
use fields::Fields;
use keeper_signal::Policy;
use serde_json::Value;

/// The most checks of one workload.
pub(crate) const MOST: usize = 8;
/// The longest name of a check, in bytes.
const NAME_LENGTH: usize = 63;
/// Every kind that can be written.
pub(crate) const KINDS: [&str; 6] =
    [HttpErrorRate::KIND, LatencyShare::KIND, Query::KIND, Http::KIND, Job::KIND, alerts::KIND];

/// Every kind with the tables of its fields: what the schema of a Canary is made of.
pub(crate) const FIELDS: [(&str, &[&[Field]]); 6] = [
    (HttpErrorRate::KIND, &[&[pace::KIND], pace::COMMON, HttpErrorRate::FIELDS]),
    (LatencyShare::KIND, &[&[pace::KIND], pace::COMMON, LatencyShare::FIELDS]),
    (Query::KIND, &[&[pace::KIND], pace::COMMON, Query::FIELDS]),
    (Http::KIND, &[&[pace::KIND], pace::COMMON, Http::FIELDS]),
    (Job::KIND, &[&[pace::KIND], pace::COMMON, Job::FIELDS]),
    (alerts::KIND, &[&[pace::KIND, pace::NAME], alerts::FIELDS]),
];

/// One way to judge a canary beside the alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// `name`: stands in events, metrics and the status; unique among the checks of one workload. Default: the kind.
    pub name: String,
    /// How it is used: `interval` (1 s to 1 h), `initialDelay`, `failureLimit`, `errorBudget`, `observeOnly`.
    pub policy: Policy,
    /// What is asked.
    pub rule: Rule,
}

/// What a [`Check`] asks. The `kind` `alerts` is not among them: nobody asks for alerts, they come.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// `kind: httpErrorRate`.
    HttpErrorRate(HttpErrorRate),
    /// `kind: latencyShare`.
    LatencyShare(LatencyShare),
    /// `kind: query`.
    Query(Query),
    /// `kind: http`.
    Http(Http),
    /// `kind: job`.
    Job(Box<Job>),
}

impl Check {
    /// The `kind` as written in YAML.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.rule {
            Rule::HttpErrorRate(_) => HttpErrorRate::KIND,
            Rule::LatencyShare(_) => LatencyShare::KIND,
            Rule::Query(_) => Query::KIND,
            Rule::Http(_) => Http::KIND,
            Rule::Job(_) => Job::KIND,
        }
    }
}

/// A list of checks, and what its `alerts` check says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Checks {
    pub(crate) checks: Vec<Check>,
    /// The place of the `alerts` check, and its matchers.
    pub(crate) matchers: Option<(String, Vec<String>)>,
}

impl Checks {
    /// The matchers that count: those of the `alerts` check, or those written at `place`.
    pub(crate) fn matchers_or(&mut self, place: &str, others: Option<Vec<String>>) -> Result<Vec<String>, Invalid> {
        match (self.matchers.take(), others) {
            (Some((check, _)), Some(_)) => Err(Invalid {
                field: check,
                problem: format!("says which alerts count, and so does {place}"),
                fix: "write the matchers in one of the two places".into(),
            }),
            (Some((_, matchers)), None) | (None, Some(matchers)) => Ok(matchers),
            (None, None) => Ok(vec![]),
        }
    }
}

/// Where the checks stand, and what they are checked against.
pub(crate) struct Place<'a> {
    /// The path of the list, like `spec.metrics`.
    pub(crate) path: String,
    /// The workload as it will be: a Job may use no other ServiceAccount than its pods do.
    pub(crate) workload: &'a Value,
    /// The checks that have names.
    pub(crate) templates: &'a Templates,
}

/// Reads the YAML list of checks in the annotation.
pub(crate) fn read_annotation(text: &str, workload: &Value, templates: &Templates) -> Result<Checks, Invalid> {
    let place = Place { path: format!("annotation {}", keys::CHECKS), workload, templates };
    let value = yaml::read(text).map_err(|problem| not_a_list(&place.path, problem))?;
    read(&value, &place)
}

/// Reads a list of checks; nothing at all is an empty one.
pub(crate) fn read(value: &Value, place: &Place<'_>) -> Result<Checks, Invalid> {
    let items = match value {
        Value::Null => &[][..],
        Value::Array(items) => items,
        other => return Err(not_a_list(&place.path, format!("is {} and not a list", yaml::kind_of(other)))),
    };
    if items.len() > MOST {
        return Err(not_a_list(&place.path, format!("has {} checks, at most {MOST} are taken", items.len())));
    }
    let mut read = Checks::default();
    for (at, item) in items.iter().enumerate() {
        let path = format!("{}[{at}]", place.path);
        match place.templates.resolve(&path, item)? {
            Some(resolved) => read_one(&mut read, &resolved.path, &resolved.check, Some(&resolved.name), place)?,
            None => read_one(&mut read, &path, item, None, place)?,
        }
    }
    Ok(read)
}

fn not_a_list(path: &str, problem: String) -> Invalid {
    let fix = format!("write a list of at most {MOST} whose items begin with - kind: {}", HttpErrorRate::KIND);
    Invalid { field: path.to_owned(), problem, fix }
}

fn read_one(
    all: &mut Checks,
    path: &str,
    item: &Value,
    template: Option<&str>,
    place: &Place<'_>,
) -> Result<(), Invalid> {
    let fields = Fields::of(path, item)?;
    let rule = match kind(&fields)? {
        alerts::KIND => {
            if all.matchers.is_some() {
                let problem = "is the second check of kind alerts";
                return Err(fields.whole_invalid(problem, "write all matchers into one; an alert must fit all of them"));
            }
            all.matchers = Some((path.to_owned(), alerts::read(&fields)?));
            return Ok(());
        }
        HttpErrorRate::KIND => Rule::HttpErrorRate(HttpErrorRate::read(&fields)?),
        LatencyShare::KIND => Rule::LatencyShare(LatencyShare::read(&fields)?),
        Query::KIND => Rule::Query(Query::read(&fields)?),
        Http::KIND => Rule::Http(Http::read(&fields)?),
        // `kind` answers with one of the known ones.
        _ => Rule::Job(Box::new(Job::read(&fields, place.workload)?)),
    };
    let mut check = Check { name: String::new(), policy: pace::read(&fields)?, rule };
    check.name = name(&fields, template.unwrap_or_else(|| check.kind()), &all.checks)?;
    all.checks.push(check);
    Ok(())
}

fn kind(fields: &Fields<'_>) -> Result<&'static str, Invalid> {
    let fix = format!("write one of kind: {}", list(KINDS));
    match fields.get("kind") {
        Some(Value::String(text)) => KINDS
            .into_iter()
            .find(|kind| kind == text)
            .ok_or_else(|| fields.invalid("kind", format!("{} is not known", quote(text)), fix)),
        Some(other) => Err(fields.invalid("kind", format!("is {}", yaml::kind_of(other)), fix)),
        None => Err(fields.whole_invalid("has no kind", format!("{fix}; or template: and its name"))),
    }
}

/// The name as written, or one made of the kind's or the template's.
fn name(fields: &Fields<'_>, otherwise: &str, others: &[Check]) -> Result<String, Invalid> {
    let taken = |name: &str| others.iter().any(|other| other.name == name);
    match fields.text("name", NAME_LENGTH, "errors-at-login", is_word)? {
        Some(name) if taken(&name) => {
            let problem = format!("{} is the name of an earlier check", quote(&name));
            Err(fields.invalid("name", problem, "give each check a name of its own"))
        }
        Some(name) => Ok(name),
        None if !taken(otherwise) => Ok(otherwise.to_owned()),
        None => {
            let numbered = (2..=MOST + 1).map(|n| format!("{otherwise}-{n}"));
            Ok(numbered.into_iter().find(|name| !taken(name)).unwrap_or_default())
        }
    }
}

/// Whether this can be the name of a check, a provider or a template.
pub(crate) fn is_word(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().last())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
