//! What is refused of pods and pod templates.

use serde_json::Value;

use super::{Faults, Field, metadata};
use crate::api::names::label_faults;
use crate::api::object;
use crate::api::status::FieldError;

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A pod, and on an update that only what may change has changed.
pub(super) fn pod(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    spec(&Field::of(new, "spec"), faults);
    let Some(old) = old else { return };
    if fixed_part(new) != fixed_part(old) {
        faults.forbidden(&Field::of(new, "spec"), IMMUTABLE);
    }
    let tolerations = object::list(new, "/spec/tolerations");
    if object::list(old, "/spec/tolerations").iter().any(|t| !tolerations.contains(t)) {
        faults.push(FieldError::forbidden(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        ));
    }
    let deadline = |of: &Value| object::number(of, "/spec/activeDeadlineSeconds");
    match (deadline(old), deadline(new)) {
        (Some(was), Some(now)) if now > was => faults.push(FieldError::invalid(
            "spec.activeDeadlineSeconds",
            now.into(),
            format!("must be less than or equal to previous value {was}"),
        )),
        (Some(_), None) => faults.push(FieldError::invalid(
            "spec.activeDeadlineSeconds",
            Value::Null,
            "must not update from a positive integer to nil value",
        )),
        _ => {}
    }
}

/// The spec without the fields that an update may change. A node is assigned by a binding only.
fn fixed_part(pod: &Value) -> Value {
    let mut spec = pod.get("spec").cloned().unwrap_or(Value::Null);
    for field in ["activeDeadlineSeconds", "tolerations"] {
        object::remove(&mut spec, field);
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            object::remove(container, "image");
        }
    }
    spec
}

/// The template of a workload.
pub(super) fn template(of: &Value, faults: &mut Faults) {
    let template = Field::of(of, "spec.template");
    for (field, rule) in [("labels", metadata::labels as fn(&_, &mut _)), ("annotations", metadata::annotations)] {
        let value = template.at("metadata").at(field).value;
        rule(&Field { path: format!("{}.{field}", template.path), value }, faults);
    }
    spec(&template.at("spec"), faults);
}

fn spec(spec: &Field<'_>, faults: &mut Faults) {
    let containers = spec.at("containers");
    if containers.items().next().is_none() {
        faults.required(&containers, "");
    }
    let mut volumes = Vec::new();
    for volume in spec.at("volumes").items() {
        name(&volume.at("name"), &mut volumes, faults);
    }
    let mut names = Vec::new();
    for list in ["initContainers", "containers"] {
        for each in spec.at(list).items() {
            container(&each, &mut names, &volumes, faults);
        }
    }
    let deadline = spec.at("activeDeadlineSeconds");
    if deadline.is_set() {
        faults.range(&deadline, 1, i32::MAX.into());
    }
    faults.one_of(&spec.at("restartPolicy"), &["Always", "Never", "OnFailure"]);
}

/// A name that is a label and is not among those `seen`.
fn name<'a>(name: &Field<'a>, seen: &mut Vec<&'a str>, faults: &mut Faults) {
    let wrong = label_faults(name.text());
    if name.text().is_empty() {
        faults.required(name, "");
    } else if !wrong.is_empty() {
        faults.each(name, wrong);
    } else if seen.contains(&name.text()) {
        faults.duplicate(name);
    }
    seen.push(name.text());
}

fn container<'a>(of: &Field<'a>, names: &mut Vec<&'a str>, volumes: &[&str], faults: &mut Faults) {
    name(&of.at("name"), names, faults);
    let image = of.at("image");
    if image.text().is_empty() {
        faults.required(&image, "");
    } else if image.text() != image.text().trim() {
        faults.invalid(&image, "must not have leading or trailing whitespace");
    }
    faults.one_of(&of.at("imagePullPolicy"), &["Always", "IfNotPresent", "Never"]);
    for port in of.at("ports").items() {
        faults.range(&port.at("containerPort"), 1, 65_535);
    }
    for env in of.at("env").items() {
        if env.at("name").text().is_empty() {
            faults.required(&env.at("name"), "");
        }
    }
    for mount in of.at("volumeMounts").items() {
        if !volumes.contains(&mount.at("name").text()) {
            faults.invalid(&mount.at("name"), "not found");
        }
    }
}
