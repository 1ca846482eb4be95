//! What is refused of `metadata`, the same for all kinds and for pod templates.

use serde_json::Value;

use super::Faults;
use crate::api::names::{label_fault, label_key_fault, label_value_fault, subdomain_fault};
use crate::api::object;
use crate::api::resources::ResourceType;
use crate::api::status::FieldError;

/// Annotations of one object may take this many bytes, keys and values together.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

pub(super) fn name(resource: &ResourceType, new: &Value, faults: &mut Faults) {
    let name = object::name(new);
    if name.is_empty() {
        faults.push(FieldError::required("metadata.name", "name or generateName is required"));
        return;
    }
    let fault = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => label_fault(name),
        ("", "services") => label_fault(name),
        // The real server looks at these names no further.
        ("", "events") | ("policy", "poddisruptionbudgets") => None,
        _ => subdomain_fault(name),
    };
    if let Some(fault) = fault {
        faults.push(FieldError::invalid("metadata.name", name.into(), fault));
    }
}

/// Labels, annotations and owners, of an object or of a pod template.
pub(super) fn metadata(metadata: &Value, at: &str, faults: &mut Faults) {
    for (key, value) in object::map(metadata, "/labels").into_iter().flatten() {
        label(&format!("{at}.labels"), key, value, faults);
    }
    let mut bytes = 0;
    for (key, value) in object::map(metadata, "/annotations").into_iter().flatten() {
        if let Some(fault) = label_key_fault(&key.to_lowercase()) {
            faults.push(FieldError::invalid(format!("{at}.annotations"), key.as_str().into(), fault));
        }
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > MAX_ANNOTATION_BYTES {
        faults.push(FieldError::too_long(format!("{at}.annotations"), MAX_ANNOTATION_BYTES));
    }
    finalizers(metadata, at, faults);
    owners(metadata, at, faults);
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

/// A finalizer is one of Kubernetes' own, or has a prefix.
fn finalizers(metadata: &Value, at: &str, faults: &mut Faults) {
    let names: Vec<&str> = object::list(metadata, "/finalizers").iter().filter_map(Value::as_str).collect();
    for (i, name) in names.iter().enumerate() {
        if let Some(fault) = label_key_fault(name) {
            faults.push(FieldError::invalid(format!("{at}.finalizers"), (*name).into(), fault));
        } else if !name.contains('/') && !matches!(*name, "foregroundDeletion" | "orphan" | "kubernetes") {
            let fault = "name is neither a standard finalizer name nor is it fully qualified";
            faults.push(FieldError::invalid(format!("{at}.finalizers[{i}]"), (*name).into(), fault));
        }
    }
    if names.contains(&"orphan") && names.contains(&"foregroundDeletion") {
        let fault = "finalizer orphan and foregroundDeletion cannot be both set";
        faults.push(FieldError::invalid(format!("{at}.finalizers"), names.into(), fault));
    }
}

pub(super) fn label(at: &str, key: &str, value: &Value, faults: &mut Faults) {
    if let Some(fault) = label_key_fault(key) {
        faults.push(FieldError::invalid(at, key.into(), fault));
    }
    let value = value.as_str().unwrap_or_default();
    if let Some(fault) = label_value_fault(value) {
        faults.push(FieldError::invalid(at, value.into(), fault));
    }
}

fn owners(metadata: &Value, at: &str, faults: &mut Faults) {
    let owners = object::list(metadata, "/ownerReferences");
    for owner in owners {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if object::text(owner, &format!("/{field}")).is_none_or(str::is_empty) {
                faults.push(FieldError::invalid(
                    format!("{at}.ownerReferences.{field}"),
                    "".into(),
                    "must not be empty",
                ));
            }
        }
    }
    let controllers: Vec<&Value> =
        owners.iter().filter(|o| o.get("controller").and_then(Value::as_bool) == Some(true)).collect();
    if controllers.len() > 1 {
        faults.push(FieldError::invalid(
            format!("{at}.ownerReferences"),
            Value::Array(owners.to_vec()),
            "Only one reference can have Controller set to true",
        ));
    }
}
