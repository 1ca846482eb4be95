//! What is refused of pods and pod templates.

use serde_json::Value;

use super::names::label_fault;
use super::object;
use super::status::FieldError;
use super::validation;

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A pod, and on an update that only what may change has changed.
pub(crate) fn pod(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    spec(new.get("spec").unwrap_or(&Value::Null), "spec", errors);
    let Some(old) = old else { return };
    if fixed_part(new) != fixed_part(old) {
        errors.push(FieldError::forbidden("spec", IMMUTABLE));
    }
    let tolerations = object::list(new, "/spec/tolerations");
    if object::list(old, "/spec/tolerations").iter().any(|t| !tolerations.contains(t)) {
        errors.push(FieldError::forbidden(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        ));
    }
    let deadline = |of: &Value| object::number(of, "/spec/activeDeadlineSeconds");
    match (deadline(old), deadline(new)) {
        (Some(was), Some(now)) if now > was => errors.push(FieldError::invalid(
            "spec.activeDeadlineSeconds",
            now.into(),
            format!("must be less than or equal to previous value {was}"),
        )),
        (Some(_), None) => errors.push(FieldError::invalid(
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
pub(crate) fn template(of: &Value, errors: &mut Vec<FieldError>) {
    let template = of.pointer("/spec/template").unwrap_or(&Value::Null);
    validation::metadata(template.get("metadata").unwrap_or(&Value::Null), "spec.template", errors);
    spec(template.get("spec").unwrap_or(&Value::Null), "spec.template.spec", errors);
}

fn spec(spec: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let containers = object::list(spec, "/containers");
    if containers.is_empty() {
        errors.push(FieldError::required(format!("{at}.containers"), ""));
    }
    let volumes: Vec<&str> = object::list(spec, "/volumes").iter().filter_map(|v| object::text(v, "/name")).collect();
    for (i, name) in volumes.iter().enumerate() {
        if let Some(fault) = label_fault(name) {
            errors.push(FieldError::invalid(format!("{at}.volumes[{i}].name"), (*name).into(), fault));
        } else if volumes.iter().take(i).any(|other| other == name) {
            errors.push(FieldError::duplicate(format!("{at}.volumes[{i}].name"), (*name).into()));
        }
    }
    let mut seen = Vec::new();
    for list in ["initContainers", "containers"] {
        for (i, each) in object::list(spec, &format!("/{list}")).iter().enumerate() {
            container(each, &format!("{at}.{list}[{i}]"), &mut seen, &volumes, errors);
        }
    }
    if let Some(n) = object::number(spec, "/activeDeadlineSeconds")
        && !(1..=2_147_483_647).contains(&n)
    {
        errors.push(FieldError::invalid(
            format!("{at}.activeDeadlineSeconds"),
            n.into(),
            "must be between 1 and 2147483647, inclusive",
        ));
    }
    let policy = object::text(spec, "/restartPolicy").unwrap_or_default();
    if !matches!(policy, "Always" | "OnFailure" | "Never") {
        let supported = ["Always", "Never", "OnFailure"];
        errors.push(FieldError::not_supported(format!("{at}.restartPolicy"), policy.into(), &supported));
    }
}

fn container(of: &Value, at: &str, seen: &mut Vec<String>, volumes: &[&str], errors: &mut Vec<FieldError>) {
    let name = object::text(of, "/name").unwrap_or_default();
    if name.is_empty() {
        errors.push(FieldError::required(format!("{at}.name"), ""));
    } else if let Some(fault) = label_fault(name) {
        errors.push(FieldError::invalid(format!("{at}.name"), name.into(), fault));
    } else if seen.iter().any(|other| other == name) {
        errors.push(FieldError::duplicate(format!("{at}.name"), name.into()));
    }
    seen.push(name.to_owned());
    match object::text(of, "/image").unwrap_or_default() {
        "" => errors.push(FieldError::required(format!("{at}.image"), "")),
        image if image != image.trim() => {
            let fault = "must not have leading or trailing whitespace";
            errors.push(FieldError::invalid(format!("{at}.image"), image.into(), fault));
        }
        _ => {}
    }
    let policy = object::text(of, "/imagePullPolicy").unwrap_or_default();
    if !matches!(policy, "Always" | "IfNotPresent" | "Never") {
        let supported = ["Always", "IfNotPresent", "Never"];
        errors.push(FieldError::not_supported(format!("{at}.imagePullPolicy"), policy.into(), &supported));
    }
    for (i, port) in object::list(of, "/ports").iter().enumerate() {
        let number = object::number(port, "/containerPort").unwrap_or_default();
        if !(1..=65_535).contains(&number) {
            let fault = "must be between 1 and 65535, inclusive";
            errors.push(FieldError::invalid(format!("{at}.ports[{i}].containerPort"), number.into(), fault));
        }
    }
    for (i, env) in object::list(of, "/env").iter().enumerate() {
        if object::text(env, "/name").is_none_or(str::is_empty) {
            errors.push(FieldError::required(format!("{at}.env[{i}].name"), ""));
        }
    }
    for (i, mount) in object::list(of, "/volumeMounts").iter().enumerate() {
        let volume = object::text(mount, "/name").unwrap_or_default();
        if !volumes.contains(&volume) {
            let fault = FieldError::invalid(format!("{at}.volumeMounts[{i}].name"), volume.into(), "not found");
            errors.push(fault);
        }
    }
}
