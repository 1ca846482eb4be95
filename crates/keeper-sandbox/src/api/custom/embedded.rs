//! Whole objects inside of custom ones (`x-kubernetes-embedded-resource`).

use serde_json::{Value, json};

use super::super::names;
use super::super::object;
use super::super::status::FieldError;
use super::super::validation;
use super::schema::Schema;

/// What is wrong with the embedded objects.
pub(super) fn faults(schema: &Schema, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(schema, object, "", &mut errors);
    errors
}

fn walk(schema: &Schema, value: &Value, at: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            if schema.embedded {
                embedded(value, at, errors);
            }
            for (key, value) in map {
                let named = schema.properties.contains_key(key);
                let path = match (at.is_empty(), named) {
                    (true, _) => key.clone(),
                    (false, true) => format!("{at}.{key}"),
                    (false, false) => format!("{at}[{key}]"),
                };
                if let Some(property) = schema.property(key) {
                    walk(property, value, &path, errors);
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                if let Some(schema) = &schema.items {
                    walk(schema, item, &format!("{at}[{i}]"), errors);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn embedded(of: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let of_field = |key: &str| of.get(key).map(|value| (format!("{at}.{key}"), value));
    for key in ["apiVersion", "kind"] {
        match of_field(key) {
            None => errors.push(FieldError::required(format!("{at}.{key}"), "")),
            Some((field, Value::String(text))) if text.is_empty() => {
                errors.push(FieldError::invalid(field, json!(""), "must not be empty"));
            }
            Some((_, Value::String(_))) => {}
            Some((field, other)) => errors.push(FieldError::invalid(field, other.clone(), "must be a string")),
        }
    }
    let metadata = of.get("metadata").unwrap_or(&Value::Null);
    errors.extend(validation::metadata_faults(metadata, &format!("{at}.metadata")));
    if let Some(namespace) = object::text(metadata, "/namespace").filter(|n| !n.is_empty()) {
        let field = format!("{at}.metadata.namespace");
        let faults = names::label_faults(namespace).into_iter();
        errors.extend(faults.map(|fault| FieldError::invalid(field.as_str(), json!(namespace), fault)));
    }
}
