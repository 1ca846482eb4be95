//! The resource `Canary`: what its owner writes, and what we write into its status.
//!
//! [`read`] turns a Canary as the API server serves it into a [`CanaryWish`]: the same plan and the same checks as
//! annotation mode has, and the production Deployment that is wanted after success. [`Status`] is what the operator
//! shows and stores in it. Nothing here talks to a cluster.
//!
//! ```
//! use keeper_api::{Defaults, canary};
//! use serde_json::json;
//!
//! let canary = json!({
//!     "apiVersion": "canary-keeper.dev/v1alpha1",
//!     "kind": "Canary",
//!     "metadata": { "name": "basket", "namespace": "shop", "uid": "7a1f", "generation": 3 },
//!     "spec": {
//!         "metrics": [{ "kind": "httpErrorRate" }],
//!         "deploymentTemplate": {
//!             "metadata": { "name": "basket" },
//!             "spec": {
//!                 "selector": { "matchLabels": { "app": "basket" } },
//!                 "template": {
//!                     "metadata": { "labels": { "app": "basket" } },
//!                     "spec": { "containers": [{ "name": "basket", "image": "quay.io/shop/basket:1.2" }] }
//!                 }
//!             }
//!         }
//!     }
//! });
//! let wish = canary::read(&canary, &Defaults::default()).unwrap();
//! assert_eq!(wish.plan.incubation.as_secs(), 60);
//! assert_eq!(wish.deployment["kind"], "Deployment");
//! assert_eq!(canary::revision(&canary).unwrap().as_str(), "7a1f/3");
//! ```
//!
//! # Annotations of a Canary
//!
//! A change of the spec is another revision, which starts over. So what a person says about a revision stands in
//! annotations of the Canary, the same as in annotation mode: `canary-keeper.dev/pause`, `promote`, `abort` and `retry`
//! ([`crate::paused`], [`crate::commands`]). Everything else is in the spec.

mod condition;
mod crd;
mod schema;
mod status;
mod template;

pub use condition::Condition;
pub use crd::crd;
pub use status::{CheckStatus, Shown, Status, images, record};

use crate::annotations::{Annotations, commands, paused};
use crate::checks::{self, Check};
use crate::invalid::{Invalid, list, quote};
use crate::spans::{Spans, Written};
use crate::wish::Defaults;
use crate::{keys, matchers, yaml};
use keeper_rollout::{Command, Plan, Revision};
use serde_json::{Map, Value};
use std::time::Duration;

/// The API group.
pub const GROUP: &str = "canary-keeper.dev";
/// The version that is served and stored.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of a Canary.
pub const API_VERSION: &str = "canary-keeper.dev/v1alpha1";
/// `kind` of a Canary.
pub const KIND: &str = "Canary";
/// The resource's name in paths.
pub const PLURAL: &str = "canaries";
/// How long a canary must be watched when `incubation` is left out.
pub const INCUBATION: Duration = Duration::from_secs(60);

/// The fields of a spec.
const FIELDS: [&str; 8] = [
    "deploymentTemplate",
    "incubation",
    "maxIncubation",
    "launchDeadline",
    "onInconclusive",
    "metrics",
    "alertMatchers",
    "allowTwoCopies",
];

/// What the owner of a Canary asks for, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct CanaryWish {
    /// See [`crate::paused`].
    pub paused: bool,
    /// See [`crate::commands`].
    pub commands: Vec<Command>,
    /// `deploymentTemplate`: the Deployment that is wanted after success, as JSON: with apiVersion and kind, in the
    /// Canary's namespace, of its metadata only name, labels and annotations (none of ours), of the rest only the spec,
    /// as written. What it doesn't declare (`replicas`, say) is not in it.
    pub deployment: Value,
    /// The defaults' plan with what the spec says; `incubation` is 60 s when it says nothing.
    pub plan: Plan,
    /// `metrics`: the checks beside the alerts, at most eight. Empty: alerts are the only signal.
    pub checks: Vec<Check>,
    /// `alertMatchers`: see [`crate::Wish::alert_matchers`].
    pub alert_matchers: Vec<String>,
    /// `allowTwoCopies`: whether a canary may run beside a workload that declares it can't have two copies.
    pub allow_two_copies: bool,
    /// What was taken and probably not meant, a line each, for the owner.
    pub notes: Vec<String>,
}

impl CanaryWish {
    /// The production Deployment's name: the template's, whatever the Canary is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.deployment.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }
}

/// What is judged when this Canary is: its uid and generation. `None` for an object that no server has served.
#[must_use]
pub fn revision(canary: &Value) -> Option<Revision> {
    let uid = canary.pointer("/metadata/uid")?.as_str()?;
    let generation = canary.pointer("/metadata/generation")?.as_i64()?;
    Some(Revision::new(format!("{uid}/{generation}")))
}

/// Reads what the owner of a Canary wishes.
///
/// # Errors
///
/// The first thing that is wrong, by the path of its field: a template that is no Deployment, is for another namespace,
/// has no selector or one that doesn't fit its own labels, or names no container; a duration out of 1 s to 7 days; a
/// check that can't be understood; a field or an annotation that is not known. Trying again doesn't help; the Canary
/// has to change. Whether the cluster would take the Deployment is not known here.
pub fn read(canary: &Value, defaults: &Defaults) -> Result<CanaryWish, Invalid> {
    let annotations = Annotations::of(canary, defaults.max_annotation);
    annotations.refuse_unknown_of_canary()?;
    let spec = Spec::of(canary)?;
    let namespace = canary.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
    let (deployment, notes) = template::read(spec.get("deploymentTemplate"), namespace)?;
    let place = checks::Place { path: "spec.metrics".into(), workload: &deployment, templates: &defaults.templates };
    let mut listed = checks::read(spec.get("metrics").unwrap_or(&Value::Null), &place)?;
    let alert_matchers = listed.matchers_or("spec.alertMatchers", spec.matchers()?)?;
    Ok(CanaryWish {
        paused: paused(canary),
        commands: commands(canary),
        plan: spec.plan(&defaults.plan)?,
        checks: listed.checks,
        alert_matchers,
        allow_two_copies: spec.flag("allowTwoCopies")?,
        deployment,
        notes,
    })
}

/// The spec's fields. One that is empty counts as left out.
struct Spec<'a>(&'a Map<String, Value>);

impl<'a> Spec<'a> {
    fn of(canary: &'a Value) -> Result<Self, Invalid> {
        let Some(map) = canary.get("spec").and_then(Value::as_object) else {
            let fix = "write at least spec.deploymentTemplate";
            return Err(Invalid { field: "spec".into(), problem: "is missing".into(), fix: fix.into() });
        };
        match map.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            None => Ok(Self(map)),
            Some(unknown) => Err(Invalid {
                field: "spec".into(),
                problem: format!("the field {} is not known", quote(unknown)),
                fix: format!("write one of {}", list(FIELDS)),
            }),
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn invalid(name: &str, problem: impl Into<String>, fix: &str) -> Invalid {
        Invalid { field: format!("spec.{name}"), problem: problem.into(), fix: fix.into() }
    }

    fn text(&self, name: &str) -> Result<Written<'a>, Invalid> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some((format!("spec.{name}"), text.trim()))),
            Some(other) => Err(Self::invalid(name, format!("is {}", yaml::kind_of(other)), "put the value in quotes")),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Invalid> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(Self::invalid(name, format!("is {}", yaml::kind_of(other)), "write true or false")),
        }
    }

    fn plan(&self, defaults: &Plan) -> Result<Plan, Invalid> {
        let ours = Plan { incubation: INCUBATION, max_incubation: INCUBATION.saturating_mul(2), ..defaults.clone() };
        let spans = Spans {
            incubation: self.text("incubation")?,
            max_incubation: self.text("maxIncubation")?,
            launch_deadline: self.text("launchDeadline")?,
        };
        spans.plan("spec.incubation", self.text("onInconclusive")?, &ours)
    }

    fn matchers(&self) -> Result<Option<Vec<String>>, Invalid> {
        const FIX: &str = r#"write a list like ['team="shop"', 'severity=~"page|ticket"']"#;
        let Some(value) = self.get("alertMatchers") else { return Ok(None) };
        let texts = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let Some(texts) = texts else {
            let problem = format!("is {} and not a list of texts", yaml::kind_of(value));
            return Err(Self::invalid("alertMatchers", problem, FIX));
        };
        let read = matchers::split_list(&texts.join("\n"));
        let read = read.map_err(|problem| Self::invalid("alertMatchers", problem, FIX))?;
        Ok(Some(read).filter(|matchers| !matchers.is_empty()))
    }
}

impl Annotations<'_> {
    /// Refuses what is under our prefix and has no meaning on a Canary, where its owner may think it has.
    fn refuse_unknown_of_canary(&self) -> Result<(), Invalid> {
        const KNOWN: [&str; 4] = [keys::PAUSE, keys::PROMOTE, keys::ABORT, keys::RETRY];
        self.refuse_others(
            &KNOWN,
            "remove it: what else can be said of a Canary stands in its spec, and these are read",
        )
    }
}
