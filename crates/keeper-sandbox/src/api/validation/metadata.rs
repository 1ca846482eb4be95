//! What is refused of `metadata`, the same for all kinds and for pod templates, and of labels and selectors anywhere.

use serde_json::{Value, json};

use super::{Faults, Field};
use crate::api::names::{label_faults, label_key_faults, label_value_faults, long_name_faults, subdomain_faults};
use crate::api::object;
use crate::api::resources::ResourceType;
use crate::api::status::FieldError;

/// Annotations of one object may take this many bytes, keys and values together.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

/// The fields of an owner in the order in which the real server shows them.
const OWNER_FIELDS: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];

/// The name of an object that is to be created, and what it was generated from.
pub(super) fn name(resource: &ResourceType, metadata: &Field<'_>, faults: &mut Faults) {
    let rule = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces" | "services") | ("apps", "statefulsets") => label_faults,
        ("", "replicationcontrollers") => long_name_faults,
        // The real server looks at these names no further.
        ("", "events") | ("policy", "poddisruptionbudgets") | ("rbac.authorization.k8s.io", _) => |_: &str| Vec::new(),
        _ => subdomain_faults,
    };
    let (prefix, name) = (metadata.at("generateName"), metadata.at("name"));
    if !prefix.text().is_empty() {
        faults.each(&prefix, rule(&completed(prefix.text())));
    }
    if name.text().is_empty() {
        faults.required(&name, "name or generateName is required");
    } else {
        faults.each(&name, rule(name.text()));
    }
}

/// A prefix as if something followed its dash.
fn completed(prefix: &str) -> String {
    let stem = prefix.len().checked_sub(2).filter(|_| prefix.ends_with('-')).and_then(|end| prefix.get(..end));
    stem.map_or_else(|| prefix.to_owned(), |stem| format!("{stem}a"))
}

/// Everything but the name.
pub(super) fn metadata(metadata: &Field<'_>, faults: &mut Faults) {
    faults.not_negative(&metadata.at("generation"));
    labels(&metadata.at("labels"), faults);
    annotations(&metadata.at("annotations"), faults);
    owners(&metadata.at("ownerReferences"), faults);
    finalizers(&metadata.at("finalizers"), faults);
}

/// The metadata of an update: the real server's common rules look at most of it twice, and those of most kinds once or
/// twice more; each names what it finds.
pub(super) fn updated(resource: &ResourceType, metadata: &Field<'_>, faults: &mut Faults) {
    let (times, with_finalizers) = match (resource.group.as_str(), resource.plural.as_str()) {
        (_, "events") | ("policy", "poddisruptionbudgets") => (2, false),
        ("coordination.k8s.io", "leases") => (3, false),
        ("", "configmaps" | "secrets" | "serviceaccounts" | "endpoints" | "persistentvolumeclaims")
        | ("batch", "jobs") => (4, true),
        _ => (3, true),
    };
    for round in 0..times {
        labels(&metadata.at("labels"), faults);
        annotations(&metadata.at("annotations"), faults);
        owners(&metadata.at("ownerReferences"), faults);
        if with_finalizers && round > 1 {
            finalizers(&metadata.at("finalizers"), faults);
        }
    }
}

/// Labels, of an object or wanted by a selector.
pub(super) fn labels(labels: &Field<'_>, faults: &mut Faults) {
    for (key, value) in labels.entries() {
        label_key(&labels.path, key, faults);
        faults.each(&value, label_value_faults(value.text()));
    }
}

fn label_key(path: &str, key: &str, faults: &mut Faults) {
    faults.each(&Field { path: path.to_owned(), value: &json!(key) }, label_key_faults(key));
}

/// A label selector with `matchLabels` and `matchExpressions`.
pub(super) fn label_selector(selector: &Field<'_>, faults: &mut Faults) {
    labels(&selector.at("matchLabels"), faults);
    for expression in selector.at("matchExpressions").items() {
        let (key, operator, values) = (expression.at("key"), expression.at("operator"), expression.at("values"));
        let any = values.items().next().is_some();
        match operator.text() {
            "In" | "NotIn" if !any => {
                faults.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if any => {
                faults.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => faults.invalid(&operator, "not a valid selector operator"),
        }
        label_key(&key.path, key.text(), faults);
        for value in values.items() {
            faults.each(&value, label_value_faults(value.text()));
        }
    }
}

/// Keys are label keys but for the case; together they are not too large.
pub(super) fn annotations(annotations: &Field<'_>, faults: &mut Faults) {
    let mut bytes = 0;
    for (key, value) in annotations.entries() {
        let shown = json!(key);
        faults.each(&Field { path: value.path.clone(), value: &shown }, label_key_faults(&key.to_lowercase()));
        bytes += key.len() + value.text().len();
    }
    if bytes > MAX_ANNOTATION_BYTES {
        faults.push(FieldError::too_long(annotations.path.as_str(), MAX_ANNOTATION_BYTES));
    }
}

/// A finalizer is one of Kubernetes' own, or has a prefix.
fn finalizers(finalizers: &Field<'_>, faults: &mut Faults) {
    for name in finalizers.items() {
        let all = Field { path: finalizers.path.clone(), value: name.value };
        faults.each(&all, label_key_faults(name.text()));
    }
    let has = |wanted: &str| finalizers.items().any(|name| name.text() == wanted);
    if has("orphan") && has("foregroundDeletion") {
        faults.invalid(finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
    }
    for name in finalizers.items() {
        if !name.text().contains('/') && !matches!(name.text(), "foregroundDeletion" | "orphan" | "kubernetes") {
            faults.invalid(&name, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
}

/// What is being deleted takes no further finalizer.
pub(super) fn added_finalizers(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let Some(old) = old.filter(|old| object::is_being_deleted(old)) else { return };
    let known = object::list(old, "/metadata/finalizers");
    let added: Vec<String> = object::list(new, "/metadata/finalizers")
        .iter()
        .filter(|f| !known.contains(f))
        .filter_map(Value::as_str)
        .map(|f| format!("{f:?}"))
        .collect();
    if !added.is_empty() {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        );
        // Found by two checks there, and so named by both.
        let fault = FieldError::forbidden("metadata.finalizers", why);
        faults.push(fault.clone());
        faults.push(fault);
    }
}

/// Who owns an object: each owner is named whole, and at most one of them controls it.
fn owners(owners: &Field<'_>, faults: &mut Faults) {
    let mut controller: Option<String> = None;
    for owner in owners.items() {
        let text = |field: &str| owner.at(field).text();
        for field in OWNER_FIELDS.iter().take(4) {
            let wrong = match *field {
                "apiVersion" if text(field).is_empty() || text(field).matches('/').count() > 1 => {
                    "version must not be empty"
                }
                "apiVersion" => continue,
                _ if text(field).is_empty() => "must not be empty",
                _ => continue,
            };
            faults.push(FieldError::invalid(format!("{}.{field}", owners.path), text(field).into(), wrong));
        }
        if (text("apiVersion"), text("kind")) == ("v1", "Event") {
            let why = "/v1, Kind=Event is disallowed from being an owner";
            faults.push(FieldError::invalid(owners.path.as_str(), Value::Null, why).showing(shown(&owner)));
        }
        if owner.at("controller").value == true {
            let this = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                Some(first) => {
                    let found = format!("Found \"true\" in references for {first} and {this}");
                    let why = format!("Only one reference can have Controller set to true. {found}");
                    let all = owners.items().map(|owner| shown(&owner)).collect::<Vec<_>>().join(",");
                    let fault = FieldError::invalid(owners.path.as_str(), Value::Null, why);
                    faults.push(fault.showing(format!("[{all}]")));
                }
                None => controller = Some(this),
            }
        }
    }
}

/// An owner as the real server shows it.
fn shown(owner: &Field<'_>) -> String {
    let field = |name: &&str| owner.value.get(*name).map(|value| format!("{name:?}:{value}"));
    format!("{{{}}}", OWNER_FIELDS.iter().filter_map(field).collect::<Vec<_>>().join(","))
}
