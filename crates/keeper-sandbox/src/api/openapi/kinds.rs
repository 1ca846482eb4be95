//! Custom kinds and their lists as OpenAPI, from the schemas in their definitions.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use super::super::object::{child, default, remove, set};
use super::super::resources::ResourceType;
use super::objects;

/// Changes when what is said of the resource changes.
pub(super) fn hash(resource: &ResourceType) -> u64 {
    let mut hasher = DefaultHasher::new();
    resource.kind.hash(&mut hasher);
    resource.open_api.to_string().hash(&mut hasher);
    hasher.finish()
}

/// The kind and its list, by their names in the document.
pub(super) fn schemas(resource: &ResourceType) -> Map<String, Value> {
    let ResourceType { group, version, kind, list_kind, .. } = resource;
    let mut reversed: Vec<&str> = group.split('.').collect();
    reversed.reverse();
    let prefix = format!("{}.{version}", reversed.join("."));
    let told = |kind: &str| json!([{ "group": group, "version": version, "kind": kind }]);
    let mut whole = described(&resource.open_api);
    embed(&mut whole, &objects::TYPE_FIELDS);
    set(&mut whole, "x-kubernetes-group-version-kind", told(kind));
    let name = format!("{prefix}.{kind}");
    let reference = format!("#/components/schemas/{name}");
    let mut list = json!({
        "type": "object", "description": format!("{list_kind} is a list of {kind}"), "required": ["items"],
        "properties": {
            "items": {
                "type": "array", "description": format!("The {} of the list.", resource.plural),
                "items": { "allOf": [{ "$ref": reference }] },
            },
            "metadata": objects::list_metadata(),
        },
        "x-kubernetes-group-version-kind": told(list_kind),
    });
    objects::add_type_fields(child(&mut list, "properties"), &objects::TYPE_FIELDS);
    Map::from_iter([(name, whole), (format!("{prefix}.{list_kind}"), list)])
}

/// The schema as the real server publishes it: places for whole objects and for numbers or texts are spelt out.
fn described(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if !schema.is_object() {
        return json!({ "type": "object" });
    }
    for key in ["items", "additionalProperties", "not"] {
        if let Some(inner) = schema.get(key).filter(|inner| inner.is_object()) {
            let inner = described(inner);
            set(&mut schema, key, inner);
        }
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|property| *property = described(property));
    }
    let is = |schema: &Value, key: &str| schema.get(key) == Some(&Value::Bool(true));
    if is(&schema, "x-kubernetes-int-or-string") {
        remove(&mut schema, "type");
        default(&mut schema, "anyOf", || json!([{ "type": "integer" }, { "type": "string" }]));
    }
    if is(&schema, "x-kubernetes-embedded-resource") {
        embed(&mut schema, &objects::EMBEDDED_TYPE_FIELDS);
        set(&mut schema, "required", json!(["kind", "apiVersion"]));
    }
    schema
}

/// Adds what every object has.
fn embed(schema: &mut Value, fields: &objects::TypeFields) {
    let properties = child(schema, "properties");
    objects::add_type_fields(properties, fields);
    set(properties, "metadata", objects::metadata());
}
