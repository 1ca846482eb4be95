//! What is refused of the kinds that make pods from a template.

use serde_json::Value;

use super::{Faults, immutable, not_negative, pods};
use crate::api::object;
use crate::api::resources::ResourceType;
use crate::api::selector::LabelSelector;
use crate::api::status::FieldError;

pub(super) fn workload(resource: &ResourceType, new: &Value, old: Option<&Value>, faults: &mut Faults) {
    for field in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
        not_negative(new, field, faults);
    }
    selector(new, faults);
    let labels = new.pointer("/spec/template/metadata/labels");
    let selects = new
        .pointer("/spec/selector")
        .is_some_and(|s| LabelSelector::from_object(s).is_ok_and(|s| s.matches(labels.and_then(Value::as_object))));
    if !selects {
        faults.push(FieldError::invalid(
            "spec.template.metadata.labels",
            labels.cloned().unwrap_or(Value::Null),
            "`selector` does not match template `labels`",
        ));
    }
    pods::template(new, faults);
    if object::text(new, "/spec/template/spec/restartPolicy").is_some_and(|p| p != "Always") {
        let policy = new.pointer("/spec/template/spec/restartPolicy").cloned().unwrap_or(Value::Null);
        faults.push(FieldError::not_supported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
    if new.pointer("/spec/template/spec/activeDeadlineSeconds").is_some_and(|d| !d.is_null()) {
        faults.push(FieldError::forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        ));
    }
    if resource.plural == "deployments" {
        strategy(new, faults);
    }
    immutable("spec.selector", new, old, faults);
}

fn selector(new: &Value, faults: &mut Faults) {
    match new.pointer("/spec/selector") {
        None => faults.push(FieldError::required("spec.selector", "")),
        Some(selector) => {
            if let Err(fault) = LabelSelector::from_object(selector) {
                faults.push(FieldError::invalid("spec.selector", selector.clone(), fault));
            } else if LabelSelector::from_object(selector).is_ok_and(|s| s.is_empty()) {
                faults.push(FieldError::invalid(
                    "spec.selector",
                    selector.clone(),
                    "empty selector is invalid for deployment",
                ));
            }
        }
    }
}

fn strategy(new: &Value, faults: &mut Faults) {
    let kind = object::text(new, "/spec/strategy/type").unwrap_or_default();
    if !matches!(kind, "Recreate" | "RollingUpdate") {
        faults.push(FieldError::not_supported("spec.strategy.type", kind.into(), &["Recreate", "RollingUpdate"]));
    }
    let rolling = new.pointer("/spec/strategy/rollingUpdate").filter(|r| !r.is_null());
    if kind == "Recreate" && rolling.is_some() {
        faults.push(FieldError::forbidden(
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        ));
    }
    let zero = |field: &str| {
        let value = rolling.and_then(|r| r.get(field));
        value.is_some_and(|v| v.as_i64() == Some(0) || v.as_str() == Some("0%"))
    };
    if kind == "RollingUpdate" && zero("maxSurge") && zero("maxUnavailable") {
        faults.push(FieldError::invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            0.into(),
            "may not be 0 when `maxSurge` is 0",
        ));
    }
    let deadline = object::number(new, "/spec/progressDeadlineSeconds").unwrap_or_default();
    if deadline <= object::number(new, "/spec/minReadySeconds").unwrap_or_default() {
        faults.push(FieldError::invalid(
            "spec.progressDeadlineSeconds",
            deadline.into(),
            "must be greater than minReadySeconds",
        ));
    }
}

pub(super) fn replication_controller(new: &Value, faults: &mut Faults) {
    not_negative(new, "replicas", faults);
    let selector = object::map(new, "/spec/selector");
    if selector.is_none_or(serde_json::Map::is_empty) {
        faults.push(FieldError::required("spec.selector", ""));
    }
    let labels = object::map(new, "/spec/template/metadata/labels");
    if selector.is_some_and(|s| !LabelSelector::from_map(s).matches(labels)) {
        faults.push(FieldError::invalid(
            "spec.template.metadata.labels",
            labels.cloned().map_or(Value::Null, Value::Object),
            "`selector` does not match template `labels`",
        ));
    }
    pods::template(new, faults);
}

pub(super) fn job(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    pods::template(new, faults);
    let policy = object::text(new, "/spec/template/spec/restartPolicy").unwrap_or_default();
    if !matches!(policy, "OnFailure" | "Never") {
        faults.push(FieldError::required("spec.template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\""));
    }
    immutable("spec.selector", new, old, faults);
    immutable("spec.completions", new, old, faults);
    // A suspended Job's template may still be changed in a few fields; here it is fixed once created.
    immutable("spec.template", new, old, faults);
}
