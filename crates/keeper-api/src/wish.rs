use crate::annotations::{Annotations, commands, paused};
use crate::check::{self, Check};
use crate::invalid::{Invalid, quote};
use crate::{containers, duration, keys, matchers};
use keeper_image::Reference;
use keeper_rollout::{Command, OnInconclusive, Plan};
use serde_json::Value;

/// What holds where the owner of a workload says nothing: the operator's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The plan. Its parts that have no annotation hold for every workload; its longest incubation holds for those that
    /// say nothing of their incubation, and for the others it is twice that.
    pub plan: Plan,
    /// The most bytes of any one annotation that is read. Default 16 KiB; the API server takes 256 KiB in all.
    pub max_annotation: usize,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { plan: Plan::default(), max_annotation: 16 * 1024 }
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
    Ok(Wish {
        paused: paused(object),
        commands: commands(object),
        image: image(&annotations)?,
        containers: containers::read(object, &annotations)?,
        plan: plan(&annotations, &defaults.plan)?,
        checks: annotations.text(keys::CHECKS)?.map_or(Ok(vec![]), check::read)?,
        alert_matchers: annotations.text(keys::ALERT_MATCHERS)?.map_or(Ok(vec![]), matchers::read)?,
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
    let span = |key| annotations.text(key)?.map(|text| duration::read(key, text)).transpose();
    let mut plan = defaults.clone();
    let incubation = span(keys::CANARY_DURATION)?;
    plan.incubation = incubation.unwrap_or(plan.incubation);
    plan.max_incubation = match span(keys::MAX_INCUBATION)? {
        Some(longest) => longest,
        None if incubation.is_some() || plan.max_incubation < plan.incubation => plan.incubation.saturating_mul(2),
        None => plan.max_incubation,
    };
    if plan.max_incubation < plan.incubation {
        let problem = format!(
            "{:?} is less than the {:?} for which a canary must be watched",
            plan.max_incubation, plan.incubation
        );
        let fix = format!("write at least {}s, or shorten {}", plan.incubation.as_secs_f64(), keys::CANARY_DURATION);
        return Err(Invalid::annotation(keys::MAX_INCUBATION, problem, fix));
    }
    plan.launch_deadline = span(keys::LAUNCH_DEADLINE)?.unwrap_or(plan.launch_deadline);
    plan.on_inconclusive = on_inconclusive(annotations)?.unwrap_or(plan.on_inconclusive);
    Ok(plan)
}

fn on_inconclusive(annotations: &Annotations<'_>) -> Result<Option<OnInconclusive>, Invalid> {
    match annotations.text(keys::ON_INCONCLUSIVE)? {
        None => Ok(None),
        Some("retry") => Ok(Some(OnInconclusive::Retry)),
        Some("reject") => Ok(Some(OnInconclusive::Reject)),
        Some(other) => {
            let problem = format!("{} is neither retry nor reject", quote(other));
            Err(Invalid::annotation(keys::ON_INCONCLUSIVE, problem, "write retry or reject"))
        }
    }
}
