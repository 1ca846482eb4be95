//! What is refused of pods and pod templates. Affinity, security contexts, DNS settings and resource claims are taken as
//! they are.

use serde_json::Value;

use super::containers::{self, Grace};
use super::metadata::{self, annotations, labels};
use super::volumes::volumes;
use super::{Faults, Field};
use crate::api::names::{label_faults, label_key_faults, label_value_faults, subdomain_faults};
use crate::api::object;

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A pod, and on an update that only what may change has changed.
pub(super) fn pod(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    if old.is_some() {
        // An update of a pod looks at its metadata a second time.
        metadata::metadata(&Field::of(new, "metadata"), faults);
    }
    let now = Field::of(new, "spec");
    spec(&now, true, faults);
    for list in ["containers", "initContainers"] {
        now.at(list).items().for_each(|each| trimmed(&each.at("image"), faults));
    }
    match old {
        Some(old) => update(&now, &Field::of(old, "spec"), faults),
        None if now.at("ephemeralContainers").items().next().is_some() => {
            faults.forbidden(&now.at("ephemeralContainers"), "cannot be set on create");
        }
        None => {}
    }
}

fn trimmed(image: &Field<'_>, faults: &mut Faults) {
    if image.text() != image.text().trim() {
        faults.invalid(image, "must not have leading or trailing whitespace");
    }
}

fn update(new: &Field<'_>, old: &Field<'_>, faults: &mut Faults) {
    for list in ["containers", "initContainers"] {
        let now = new.at(list);
        if now.items().count() != old.at(list).items().count() {
            return faults.forbidden(&now, "pod updates may not add or remove containers");
        }
        for image in now.items().map(|each| each.at("image")) {
            if image.text().is_empty() {
                faults.required(&image, "");
            }
            trimmed(&image, faults);
        }
    }
    let deadline = new.at("activeDeadlineSeconds");
    match (old.at("activeDeadlineSeconds").number(), deadline.number()) {
        (_, Some(now)) if !(0..=i64::from(i32::MAX)).contains(&now) => {
            return faults.range(&deadline, 0, i32::MAX.into());
        }
        (Some(was), Some(now)) if now > was => {
            return faults.invalid(&deadline, "must be less than or equal to previous value");
        }
        (Some(_), None) => faults.invalid(&deadline, "must not update from a positive integer to nil value"),
        _ => {}
    }
    more_tolerations(&new.at("tolerations"), &old.at("tolerations"), faults);
    if fixed_part(new.value) != fixed_part(old.value) {
        faults.forbidden(new, IMMUTABLE);
    }
}

/// Tolerations may be added, and of those that are there only the seconds change.
fn more_tolerations(new: &Field<'_>, old: &Field<'_>, faults: &mut Faults) {
    let timeless = |toleration: Field<'_>| {
        let mut toleration = toleration.value.clone();
        object::remove(&mut toleration, "tolerationSeconds");
        toleration
    };
    let now: Vec<Value> = new.items().map(timeless).collect();
    if old.items().map(timeless).all(|toleration| now.contains(&toleration)) {
        tolerations(new, faults);
    } else {
        faults.forbidden(new, "existing toleration can not be modified except its tolerationSeconds");
    }
}

/// The spec without the fields that an update may change. A node is assigned by a binding only.
fn fixed_part(spec: &Value) -> Value {
    let mut spec = spec.clone();
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

/// The template of a workload, at a path such as `spec.template`.
pub(super) fn template(template: &Field<'_>, faults: &mut Faults) {
    let of_metadata = |field: &str| {
        // The real server names them without `metadata`.
        template.at("metadata").at(field).under(format!("{}.{field}", template.path))
    };
    labels(&of_metadata("labels"), faults);
    annotations(&of_metadata("annotations"), faults);
    let of = template.at("spec");
    spec(&of, false, faults);
    if of.at("ephemeralContainers").items().next().is_some() {
        faults.forbidden(&of.at("ephemeralContainers"), "ephemeral containers not allowed in pod template");
    }
}

fn spec(spec: &Field<'_>, of_pod: bool, faults: &mut Faults) {
    let named = volumes(&spec.at("volumes"), faults);
    containers::containers(spec, &named, Grace(spec.at("terminationGracePeriodSeconds").number()), faults);
    if spec.at("hostNetwork").value == true {
        host_network(&spec.at("containers"), of_pod, faults);
    }
    faults.one_of(&spec.at("restartPolicy"), &["Always", "OnFailure", "Never"]);
    faults.one_of(&spec.at("dnsPolicy"), &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    labels(&spec.at("nodeSelector"), faults);
    named_by(spec, &["serviceAccountName", "nodeName"], subdomain_faults, faults);
    if spec.at("activeDeadlineSeconds").is_set() {
        faults.range(&spec.at("activeDeadlineSeconds"), 1, i32::MAX.into());
    }
    named_by(spec, &["hostname", "subdomain"], label_faults, faults);
    tolerations(&spec.at("tolerations"), faults);
    named_by(spec, &["priorityClassName", "runtimeClassName"], subdomain_faults, faults);
    if spec.at("preemptionPolicy").is_set() {
        faults.one_of(&spec.at("preemptionPolicy"), &["PreemptLowerPriority", "Never"]);
    }
}

/// Fields that may be left out, and else are names.
fn named_by(spec: &Field<'_>, fields: &[&str], rule: fn(&str) -> Vec<String>, faults: &mut Faults) {
    for name in fields.iter().map(|field| spec.at(field)).filter(|name| !name.text().is_empty()) {
        faults.each(&name, rule(name.text()));
    }
}

/// On the node's own network a container's port is the node's.
fn host_network(containers: &Field<'_>, of_pod: bool, faults: &mut Faults) {
    for port in containers.items().flat_map(|container| container.at("ports").items()) {
        let (host, own) = (port.at("hostPort"), port.at("containerPort"));
        let left_open = !of_pod && host.number().unwrap_or_default() == 0;
        if !left_open && host.number() != own.number() {
            faults.invalid(&host, "must match `containerPort` when `hostNetwork` is true");
        }
    }
}

fn tolerations(tolerations: &Field<'_>, faults: &mut Faults) {
    for each in tolerations.items() {
        let (key, operator, value, effect) = (each.at("key"), each.at("operator"), each.at("value"), each.at("effect"));
        if !key.text().is_empty() {
            faults.each(&key, label_key_faults(key.text()));
        } else if operator.text() != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            faults.invalid_text(&operator, why);
        }
        if each.at("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
            faults.invalid_text(&effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
        }
        let shown = value.under(operator.path.as_str());
        match operator.text() {
            "Exists" if !shown.text().is_empty() => {
                faults.invalid(&shown, "value must be empty when `operator` is 'Exists'")
            }
            "Exists" => {}
            "" | "Equal" => faults.each(&shown, label_value_faults(shown.text())),
            _ => faults.one_of(&operator, &["Equal", "Exists"]),
        }
        if !effect.text().is_empty() {
            faults.one_of(&effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}
