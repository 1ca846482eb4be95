//! [`template_hash`]: has someone else changed the template?

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::targets::Targets;
use crate::workload::Workload;

/// How many hex characters the hash has.
const LENGTH: usize = 16;

/// A hash of `spec.template` as served, keys sorted, with the targets' images blanked: 16 hex characters of SHA-256.
///
/// It stays the same through our own promotion and through changes outside the template, and changes with any other
/// edit of it. It is taken from the JSON and never from typed structs, which would drop what they don't know.
pub fn template_hash(workload: &Workload<'_>, targets: &Targets) -> String {
    let mut template = workload.template().clone();
    for target in targets.iter() {
        let container = template
            .get_mut("spec")
            .and_then(|spec| spec.get_mut(target.list()))
            .and_then(|list| list.get_mut(target.index))
            .and_then(Value::as_object_mut);
        if let Some(container) = container {
            container.insert("image".to_owned(), Value::from(""));
        }
    }
    hash_of(&template)
}

/// A hash of a whole `spec.template` as served, images included: it changes with any edit. In the form of
/// [`template_hash`].
pub fn whole_template_hash(template: &Value) -> String {
    hash_of(template)
}

fn hash_of(template: &Value) -> String {
    let mut text = String::new();
    write_sorted(template, &mut text);
    hex::encode(Sha256::digest(text)).chars().take(LENGTH).collect()
}

/// Compact JSON with sorted keys. Not left to serde_json's map, whose order a feature of another crate can change.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (place, (key, value)) in fields.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_sorted(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write_sorted(item, text);
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}
