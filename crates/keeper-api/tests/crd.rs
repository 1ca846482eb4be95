//! The CustomResourceDefinition: that its YAML is fresh, and what can be said of it without a server.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too, which the lint does not see")]

use keeper_api::canary;
use serde_json::Value;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/crd/canaries.yaml");

fn schema() -> Value {
    canary::crd().pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone()
}

/// Calls back for every schema in this one, with its path.
fn walk(path: &str, schema: &Value, each: &mut dyn FnMut(&str, &Value)) {
    each(path, schema);
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, each);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = schema.get(key).filter(|inner| inner.is_object()) {
            walk(&format!("{path}{mark}"), inner, each);
        }
    }
}

#[test]
fn the_yaml_is_fresh() {
    let written = std::fs::read_to_string(PATH).unwrap();
    let fresh = serde_saphyr::to_string(&canary::crd()).unwrap();
    assert!(written == fresh, "deploy/crd/canaries.yaml is stale: run cargo xtask crds");
    // And what is written is what is meant.
    assert_eq!(serde_saphyr::from_str::<Value>(&written).unwrap(), canary::crd());
}

#[test]
fn every_field_is_explained() {
    let mut fields = 0;
    walk("canary", &schema(), &mut |path, schema| {
        if path.ends_with("{}") {
            return;
        }
        fields += 1;
        let doc = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        assert!(doc.ends_with('.'), "{path}: {doc:?}");
    });
    assert!(fields > 70, "{fields} fields");
}

#[test]
fn every_rule_is_told_with_a_message_and_a_field() {
    let mut rules = 0;
    walk("canary", &schema(), &mut |path, schema| {
        for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            rules += 1;
            assert!(rule.get("message").and_then(Value::as_str).is_some_and(|text| text.len() > 10), "{path}: {rule}");
            // A rule about a field stands where the field is declared.
            let field = rule.get("fieldPath").and_then(Value::as_str).unwrap_or_default();
            let pointer = field.replace('.', "/properties/");
            assert!(schema.pointer(&pointer).is_some(), "{path}: no field {field}");
        }
    });
    assert!(rules > 40, "{rules} rules");
}

#[test]
fn what_rules_run_over_is_bounded() {
    // Without bounds the API server refuses the definition: its estimate of a rule's cost takes the worst case.
    let schema = schema();
    let spec = schema.pointer("/properties/spec").unwrap();
    walk("spec", spec, &mut |path, schema| match schema.get("type").and_then(Value::as_str) {
        Some("array") => assert!(schema.get("maxItems").is_some(), "{path}"),
        Some("string") => assert!(schema.get("maxLength").is_some() || schema.get("enum").is_some(), "{path}"),
        _ if schema.get("additionalProperties").is_some() => assert!(schema.get("maxProperties").is_some(), "{path}"),
        _ => {}
    });
}

#[test]
fn the_schema_and_the_reader_know_the_same_fields() {
    let schema = schema();
    let spec = schema.pointer("/properties/spec/properties").unwrap().as_object().unwrap();
    let unknown = serde_json::json!({ "spec": { "unheard": 1 } });
    let told = canary::read(&unknown, &keeper_api::Defaults::default()).unwrap_err().fix;
    let mut known: Vec<&str> = told.trim_start_matches("write one of ").split(", ").collect();
    known.sort_unstable();
    assert_eq!(spec.keys().map(String::as_str).collect::<Vec<_>>(), known);
}
