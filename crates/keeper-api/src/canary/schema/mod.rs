//! The schema of a Canary, as the API server checks it and `kubectl explain` tells it.
//!
//! Every declared field is described. The Deployment is declared in part and keeps what isn't: a full schema would
//! prune fields that are newer than our build. The fields of checks come from the tables that their reader uses.

mod metrics;
mod spec;
mod status;
mod template;

use serde_json::{Map, Value, json};

/// `openAPIV3Schema` of the version.
pub(super) fn canary() -> Value {
    let properties = [("spec", spec::schema()), ("status", status::schema())];
    let doc = "A release of a Deployment that is judged on one copy beside the untouched production, and then brought \
               out or removed.";
    object(doc, properties, &["spec"])
}

/// An object with these properties, of which some are required.
fn object<const N: usize>(doc: &str, properties: [(&str, Value); N], required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let mut schema = json!({ "type": "object", "description": doc, "properties": properties });
    if !required.is_empty() {
        put(&mut schema, "required", json!(required));
    }
    schema
}

/// The same object, with fields that are not declared kept.
fn open(schema: Value) -> Value {
    with(schema, "x-kubernetes-preserve-unknown-fields", true)
}

/// A text of at most so many characters.
fn text(doc: &str, longest: usize) -> Value {
    json!({ "type": "string", "description": doc, "maxLength": longest })
}

/// A text that fits a regular expression.
fn pattern(doc: &str, longest: usize, pattern: &str) -> Value {
    with(text(doc, longest), "pattern", pattern)
}

/// A text such as `90s`.
fn span(doc: &str) -> Value {
    pattern(doc, 64, r"^([0-9]+(\.[0-9]{1,6})?(w|d|h|ms|m|s))+$")
}

/// One of a few words.
fn word(doc: &str, words: &[&str]) -> Value {
    json!({ "type": "string", "description": doc, "enum": words })
}

/// `true` or `false`.
fn flag(doc: &str) -> Value {
    json!({ "type": "boolean", "description": doc })
}

/// A whole number in a range.
fn whole(doc: &str, least: u64, most: u64) -> Value {
    json!({ "type": "integer", "format": "int64", "description": doc, "minimum": least, "maximum": most })
}

/// A list that is replaced as a whole.
fn list(doc: &str, most: usize, items: Value) -> Value {
    let list = json!({ "type": "array", "description": doc, "maxItems": most, "x-kubernetes-list-type": "atomic" });
    with(list, "items", items)
}

/// A list whose items are told apart by a field.
fn keyed(doc: &str, most: usize, key: &str, items: Value) -> Value {
    let list = with(list(doc, most, items), "x-kubernetes-list-type", "map");
    with(list, "x-kubernetes-list-map-keys", json!([key]))
}

/// Texts by name.
fn texts(doc: &str, most: usize, longest: usize) -> Value {
    json!({
        "type": "object", "description": doc, "maxProperties": most,
        "additionalProperties": { "type": "string", "maxLength": longest },
    })
}

fn with(mut schema: Value, key: &str, value: impl Into<Value>) -> Value {
    put(&mut schema, key, value.into());
    schema
}

fn put(schema: &mut Value, key: &str, value: Value) {
    if let Some(map) = schema.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

/// A rule in CEL, told with the field that it is about.
struct Rule {
    rule: String,
    message: String,
    field: Option<String>,
    reason: &'static str,
}

impl Rule {
    fn new(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule: rule.into(), message: message.into(), field: None, reason: "FieldValueInvalid" }
    }

    /// About this field, as a path from where the rule stands.
    fn about(mut self, field: &str) -> Self {
        self.field = Some(format!(".{field}"));
        self
    }

    /// The field has to be there.
    fn required(mut self) -> Self {
        self.reason = "FieldValueRequired";
        self
    }

    /// The field must not be there.
    fn forbidden(mut self) -> Self {
        self.reason = "FieldValueForbidden";
        self
    }
}

/// The schema with rules.
fn ruled(schema: Value, rules: impl IntoIterator<Item = Rule>) -> Value {
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|rule| {
            let mut json = json!({ "rule": rule.rule, "message": rule.message, "reason": rule.reason });
            if let Some(field) = rule.field {
                put(&mut json, "fieldPath", field.into());
            }
            json
        })
        .collect();
    with(schema, "x-kubernetes-validations", rules)
}
