//! The defaults of a schema, and the nulls that it has no place for.

use serde_json::Value;

use super::schema::{Additional, Schema};

/// Drops nulls where the schema allows none and has no default to put there.
pub(super) fn drop_nulls(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(map) => map.retain(|key, value| {
            let Some(schema) = schema.property(key) else { return true };
            if value.is_null() && !schema.nullable && schema.default.is_none() {
                return false;
            }
            drop_nulls(value, schema);
            true
        }),
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                items.iter_mut().for_each(|item| drop_nulls(item, schema));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Fills in what is missing, at every level that is there.
pub(super) fn fill(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(map) => {
            for (key, property) in &schema.properties {
                if let Some(default) = &property.default
                    && map.get(key).is_none_or(|now| now.is_null() && !property.nullable)
                {
                    map.insert(key.clone(), default.clone());
                }
            }
            for (key, value) in map {
                if let Some(property) = schema.properties.get(key) {
                    fill(value, property);
                } else if let Some(Additional::Like(like)) = &schema.additional_properties {
                    fill_null(value, like);
                    fill(value, like);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                for item in items {
                    fill_null(item, schema);
                    fill(item, schema);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fill_null(value: &mut Value, schema: &Schema) {
    if value.is_null() && !schema.nullable {
        *value = schema.default.clone().unwrap_or_default();
    }
}
