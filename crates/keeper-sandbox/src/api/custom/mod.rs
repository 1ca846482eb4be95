//! Custom resources: what their definitions say, and what the server does with their objects because of it.
//!
//! A definition's schema is read once, when it is stored. Then every object of the kind is pruned, filled with defaults and
//! checked by it. Rules in CEL (`x-kubernetes-validations`) are kept and never evaluated; conversion webhooks are refused
//! at the definition. A general JSON schema library was no help here: what a Kubernetes client sees are the words, the
//! order and the choice of faults of the real server's validator, and these have to be ours.

mod column;
mod definition;
mod embedded;
mod fill;
mod format;
mod prune;
mod schema;
mod structural;
mod validate;

pub(crate) use column::Path;
pub(super) use column::cell;
pub(super) use definition::{defaults, faults as definition_faults, initial_status, settled_status};
pub(crate) use schema::Schema;

use serde_json::Value;

use super::object;
use super::resources::{ResourceType, ScalePaths};
use super::status::FieldError;

/// Drops what the schema does not name, and nulls that it does not allow, and fills in its defaults.
///
/// Numbers without a fraction become whole ones, as they do when Go writes them.
///
/// Returns the paths of what was dropped, in order: a strict client wants to know.
pub(super) fn conform(resource: &ResourceType, object: &mut Value) -> Vec<String> {
    whole_numbers(object);
    let Some(schema) = &resource.schema else { return Vec::new() };
    let dropped = prune::prune(object, schema);
    fill::drop_nulls(object, schema);
    fill::fill(object, schema);
    dropped
}

/// A float with this many digits before the point is still exact.
const EXACT: f64 = 9.0e15;

fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < EXACT) {
                // Without a fraction it reads as the whole number that it is.
                *value = format!("{float:.0}").parse::<i64>().map_or(Value::Null, Value::from);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Drops what the version that is stored does not name, when it is another one.
pub(super) fn narrow(resource: &ResourceType, object: &mut Value) {
    if let Some(schema) = &resource.storage_schema {
        prune::prune(object, schema);
    }
}

/// What is wrong with a custom object; `status` when only that was written.
pub(super) fn faults(resource: &ResourceType, new: &Value, old: Option<&Value>, status: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(schema) = &resource.schema {
        if status {
            if let (Some(schema), Some(now)) = (schema.properties.get("status"), new.get("status")) {
                errors.extend(validate::faults(schema, now, old.and_then(|old| old.get("status")), "status"));
            }
        } else {
            errors.extend(validate::faults(schema, new, old, ""));
        }
        replicas(resource, new, status, &mut errors);
        if !status {
            errors.extend(embedded::faults(schema, new));
        }
        if old.is_none_or(|old| structural::list_faults(schema, old).is_empty()) {
            errors.extend(structural::list_faults(schema, new));
        }
        if errors.iter().any(FieldError::hides_more) && schema.has_rules() {
            let why = "some validation rules were not checked because the object was invalid; correct the existing \
                       errors to complete validation";
            errors.push(FieldError::invalid(FieldError::ROOT, Value::Null, why));
        }
    }
    errors
}

/// The numbers behind the scale subresource are no negative ones.
fn replicas(resource: &ResourceType, new: &Value, status: bool, errors: &mut Vec<FieldError>) {
    let Some(ScalePaths { spec_replicas, status_replicas, .. }) = &resource.scale else { return };
    for (pointer, spec) in [(spec_replicas, true), (status_replicas, false)] {
        let Some(replicas) = object::number(new, pointer).filter(|_| !(status && spec)) else { continue };
        // The real server names the path with its leading dot.
        let field = pointer.replace('/', ".");
        if replicas < 0 {
            errors.push(FieldError::invalid(field, replicas.into(), "should be a non-negative integer"));
        } else if replicas > i64::from(i32::MAX) {
            let why = format!("should be less than or equal to {}", i32::MAX);
            errors.push(FieldError::invalid(field, replicas.into(), why));
        }
    }
}
