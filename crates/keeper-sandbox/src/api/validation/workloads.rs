//! What is refused of the kinds that make pods from a template.

use serde_json::Value;

use super::metadata::label_selector;
use super::{Faults, Field, immutable, pods};
use crate::api::object;
use crate::api::resources::ResourceType;
use crate::api::selector::LabelSelector;
use crate::api::status::FieldError;

/// Deployments, ReplicaSets, StatefulSets and DaemonSets.
pub(super) fn workload(resource: &ResourceType, new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let spec = Field::of(new, "spec");
    faults.not_negative(&spec.at("replicas"));
    if resource.plural != "deployments" {
        faults.not_negative(&spec.at("minReadySeconds"));
    }
    let before = faults.count();
    selector(&spec.at("selector"), &resource.singular, faults);
    if faults.count() > before && spec.at("selector").is_set() && !selects_all(&spec) {
        let fault = FieldError::invalid("spec.selector", Value::Null, "invalid label selector");
        faults.push(fault.showing(shown(&spec.at("selector"))));
    } else {
        template(&spec, &resource.kind, faults);
    }
    if resource.plural == "deployments" {
        strategy(&spec.at("strategy"), faults);
        faults.not_negative(&spec.at("minReadySeconds"));
        faults.not_negative(&spec.at("revisionHistoryLimit"));
        deadline(&spec, faults);
    }
    immutable("spec.selector", new, old, faults);
}

fn selects_all(spec: &Field<'_>) -> bool {
    spec.at("selector").at("matchLabels").is_empty() && spec.at("selector").at("matchExpressions").is_empty()
}

fn selector(selector: &Field<'_>, kind: &str, faults: &mut Faults) {
    if !selector.is_set() {
        return faults.required(selector, "");
    }
    label_selector(selector, faults);
    if selector.at("matchLabels").is_empty() && selector.at("matchExpressions").is_empty() {
        // ReplicaSets are told of deployments too.
        let kind = if kind == "replicaset" { "deployment" } else { kind };
        faults.invalid(selector, format!("empty selector is invalid for {kind}"));
    }
}

/// A selector as the real server shows it: the labels first.
fn shown(selector: &Field<'_>) -> String {
    let part = |name: &str| {
        let part = selector.at(name);
        (!part.is_empty()).then(|| format!("{name:?}:{}", part.value))
    };
    format!("{{{}}}", ["matchLabels", "matchExpressions"].into_iter().filter_map(part).collect::<Vec<_>>().join(","))
}

/// Labels that the selector selects, and pods that are always restarted.
fn template(spec: &Field<'_>, kind: &str, faults: &mut Faults) {
    let template = spec.at("template");
    let labels = template.at("metadata").at("labels");
    let selector = spec.at("selector").value;
    let matched = match kind {
        "ReplicationController" => selector.as_object().map(LabelSelector::from_map),
        _ => LabelSelector::from_object(selector).ok().filter(|_| selector.is_object()),
    };
    if !matched.is_some_and(|selector| selector.matches(labels.value.as_object())) {
        faults.invalid(&labels, "`selector` does not match template `labels`");
    }
    pods::template(&template, faults);
    let of = template.at("spec");
    faults.one_of(&of.at("restartPolicy"), &["Always"]);
    if of.at("activeDeadlineSeconds").is_set() {
        let kind = if kind == "Deployment" { "ReplicaSet" } else { kind };
        let why = format!("activeDeadlineSeconds in {kind} is not Supported");
        faults.forbidden(&of.at("activeDeadlineSeconds"), &why);
    }
}

fn strategy(strategy: &Field<'_>, faults: &mut Faults) {
    let rolling = strategy.at("rollingUpdate");
    match strategy.at("type").text() {
        "RollingUpdate" => rolling_update(&rolling, faults),
        "Recreate" if rolling.is_set() => {
            faults.forbidden(&rolling, "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        other => {
            let fault = FieldError::not_supported(strategy.path.as_str(), other.into(), &["Recreate", "RollingUpdate"]);
            let rolling = match rolling.value {
                Value::Null => "null".to_owned(),
                _ => {
                    let number = |field: &str| match rolling.at(field).value {
                        Value::Null => "0".to_owned(),
                        set => set.to_string(),
                    };
                    format!("{{\"MaxUnavailable\":{},\"MaxSurge\":{}}}", number("maxUnavailable"), number("maxSurge"))
                }
            };
            faults.push(fault.showing(format!("{{\"Type\":{other:?},\"RollingUpdate\":{rolling}}}")));
        }
    }
}

fn rolling_update(rolling: &Field<'_>, faults: &mut Faults) {
    let (fewer, more) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    faults.share(&fewer);
    faults.share(&more);
    if number(&fewer) == 0 && number(&more) == 0 {
        faults.invalid(&fewer, "may not be 0 when `maxSurge` is 0");
    }
    faults.not_above_all(&fewer);
}

/// The number of pods or percents; 0 where it can't be read.
fn number(of: &Field<'_>) -> i64 {
    of.number().or_else(|| of.percent()).or_else(|| of.text().parse().ok()).unwrap_or_default()
}

fn deadline(spec: &Field<'_>, faults: &mut Faults) {
    let deadline = spec.at("progressDeadlineSeconds");
    faults.not_negative(&deadline);
    let ready = spec.at("minReadySeconds").number().unwrap_or_default();
    if deadline.number().is_some_and(|seconds| seconds <= ready) {
        faults.invalid(&deadline, "must be greater than minReadySeconds");
    }
}

pub(super) fn replication_controller(new: &Value, faults: &mut Faults) {
    let spec = Field::of(new, "spec");
    faults.not_negative(&spec.at("minReadySeconds"));
    if spec.at("selector").is_empty() {
        faults.required(&spec.at("selector"), "");
    }
    faults.not_negative(&spec.at("replicas"));
    if spec.at("template").is_set() {
        template(&spec, "ReplicationController", faults);
    } else {
        faults.required(&spec.at("template"), "");
    }
}

pub(super) fn job(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    pods::template(&Field::of(new, "spec.template"), faults);
    let policy = object::text(new, "/spec/template/spec/restartPolicy").unwrap_or_default();
    if !matches!(policy, "OnFailure" | "Never") {
        faults.push(FieldError::required("spec.template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\""));
    }
    immutable("spec.selector", new, old, faults);
    immutable("spec.completions", new, old, faults);
    // A suspended Job's template may still be changed in a few fields; here it is fixed once created.
    immutable("spec.template", new, old, faults);
}
