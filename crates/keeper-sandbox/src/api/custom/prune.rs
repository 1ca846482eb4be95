//! What a schema does not name is not stored.

use serde_json::Value;

use super::schema::{Additional, Schema};

/// The fields that every object has, and every embedded one.
const OBJECT_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops unknown fields of a whole object and returns their paths in order.
pub(super) fn prune(object: &mut Value, schema: &Schema) -> Vec<String> {
    let mut dropped = Vec::new();
    walk(object, Some(schema), true, "", &mut dropped);
    dropped.sort();
    dropped
}

/// As [`prune`], for a value that is no object of its own.
pub(super) fn prune_part(value: &mut Value, schema: &Schema) -> Vec<String> {
    let mut dropped = Vec::new();
    walk(value, Some(schema), schema.embedded, "", &mut dropped);
    dropped
}

fn walk(value: &mut Value, schema: Option<&Schema>, is_object: bool, at: &str, dropped: &mut Vec<String>) {
    if let Some(open) = schema.filter(|schema| schema.preserve_unknown) {
        return pass_over(value, open, is_object, at, dropped);
    }
    match value {
        Value::Object(map) => map.retain(|key, value| {
            if is_object && OBJECT_FIELDS.contains(&key.as_str()) {
                return true;
            }
            let path = below(at, key);
            let Some(schema) = schema else {
                dropped.push(path);
                return false;
            };
            match (schema.properties.get(key), &schema.additional_properties) {
                (Some(property), _) => walk(value, Some(property), property.embedded, &path, dropped),
                (None, Some(Additional::Like(like))) => walk(value, Some(like), like.embedded, &path, dropped),
                (None, Some(Additional::Allowed(_))) => walk(value, None, false, &path, dropped),
                (None, None) => {
                    dropped.push(path);
                    return false;
                }
            }
            true
        }),
        Value::Array(items) => {
            let schema = schema.and_then(|schema| schema.items.as_deref());
            for (i, item) in items.iter_mut().enumerate() {
                walk(item, schema, schema.is_some_and(|s| s.embedded), &format!("{at}[{i}]"), dropped);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Below a place that keeps unknown fields, those that are named may again be strict.
fn pass_over(value: &mut Value, schema: &Schema, is_object: bool, at: &str, dropped: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if is_object && OBJECT_FIELDS.contains(&key.as_str()) {
                    continue;
                }
                if let Some(property) = schema.property(key) {
                    walk(value, Some(property), property.embedded, &below(at, key), dropped);
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                if let Some(schema) = schema.items.as_deref() {
                    pass_over(item, schema, schema.embedded, &format!("{at}[{i}]"), dropped);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn below(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}
