use crate::annotations::{Annotations, commands, paused};
use crate::checks::{self, Check, Templates};
use crate::invalid::Invalid;
use crate::spans::Spans;
use crate::{containers, keys, matchers};
use keeper_image::Reference;
use keeper_rollout::{Command, Plan};
use serde_json::Value;

/// What holds where the owner of a workload says nothing: the operator's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The plan. Its parts that have no annotation hold for every workload; its longest incubation holds for those that
    /// say nothing of their incubation, and for the others it is twice that.
    pub plan: Plan,
    /// The most bytes of any one annotation that is read. Default 16 KiB; the API server takes 256 KiB in all.
    pub max_annotation: usize,
    /// The checks that have names. Default: none.
    pub templates: Templates,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { plan: Plan::default(), max_annotation: 16 * 1024, templates: Templates::default() }
    }
}

/// What the owner of a workload asks for, validated. Everything in it is bounded by [`Defaults::max_annotation`].
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// See [`paused`].
    pub paused: bool,
    /// See [`commands`].
    pub commands: Vec<Command>,
    /// What is watched: a tag, `latest` if none was written; or a digest, which never moves.
    pub image: Reference,
    /// The containers that get the image, each of them in the template and named once. Empty: the only one there is.
    pub containers: Vec<String>,
    /// The defaults' plan with what the annotations say.
    pub plan: Plan,
    /// The checks beside the alerts, at most eight. Empty: alerts are the only signal.
    pub checks: Vec<Check>,
    /// Matchers as written, one each, at most 32; an alert must fit all of them. Whether they can be understood is for
    /// `keeper-alertmanager` to say.
    pub alert_matchers: Vec<String>,
    /// Whether a canary may run beside a workload that declares it can't have two copies.
    pub allow_two_copies: bool,
}

/// Reads what the owner of a workload wishes: its annotations, and the container names of its pod template.
///
/// # Errors
///
/// The first thing that is wrong: a missing or unparsable image, a container that isn't there, a duration out of
/// 1 s to 7 days, a check with an unknown field, an annotation that is too long, or one under our prefix that is not
/// known. Trying again doesn't help; the workload has to change.
pub fn read(object: &Value, defaults: &Defaults) -> Result<Wish, Invalid> {
    let annotations = Annotations::of(object, defaults.max_annotation);
    annotations.refuse_unknown()?;
    let mut listed = match annotations.text(keys::CHECKS)? {
        Some(text) => checks::read_annotation(text, object, &defaults.templates)?,
        None => checks::Checks::default(),
    };
    let matchers = annotations.text(keys::ALERT_MATCHERS)?.map(matchers::read).transpose()?;
    let alert_matchers = listed.matchers_or(&format!("annotation {}", keys::ALERT_MATCHERS), matchers)?;
    Ok(Wish {
        paused: paused(object),
        commands: commands(object),
        image: image(&annotations)?,
        containers: containers::read(object, &annotations)?,
        plan: plan(&annotations, &defaults.plan)?,
        checks: listed.checks,
        alert_matchers,
        allow_two_copies: annotations.flag(keys::ALLOW_TWO_COPIES)?,
    })
}

fn image(annotations: &Annotations<'_>) -> Result<Reference, Invalid> {
    let invalid =
        |problem: String| Invalid::annotation(keys::CANARY_IMAGE, problem, "write it like quay.io/team/app:stable");
    let text = annotations.text(keys::CANARY_IMAGE)?.ok_or_else(|| invalid("is missing".into()))?;
    text.parse().map_err(|error: keeper_image::ReferenceError| invalid(error.to_string()))
}

fn plan(annotations: &Annotations<'_>, defaults: &Plan) -> Result<Plan, Invalid> {
    let span = |key: &str| Ok(annotations.text(key)?.map(|text| (format!("annotation {key}"), text)));
    let spans = Spans {
        incubation: span(keys::CANARY_DURATION)?,
        max_incubation: span(keys::MAX_INCUBATION)?,
        launch_deadline: span(keys::LAUNCH_DEADLINE)?,
    };
    let on_inconclusive = annotations.text(keys::ON_INCONCLUSIVE)?;
    let place = format!("annotation {}", keys::ON_INCONCLUSIVE);
    spans.plan(keys::CANARY_DURATION, on_inconclusive.map(|text| (place, text)), defaults)
}
