//! What makes a schema structural, and what its list types ask of lists.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::status::FieldError;
use super::schema::{Additional, Schema};
use super::{prune, validate};

const KINDS: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Where a schema stands, which decides how its missing type is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What is wrong with the schema of a version.
pub(super) fn faults(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let Some(read) = Schema::read(schema) else {
        let why = "has fields whose values have the wrong type";
        return errors.push(FieldError::invalid(at, json!(""), why));
    };
    let mut found = Vec::new();
    invariants(&read, Level::Root, at, &mut found);
    complete(&read, &read, at, at, &mut found);
    found.sort_by_key(FieldError::to_string);
    let is_structural = found.is_empty();
    errors.extend(found);
    if is_structural {
        default_faults(&read, at, errors);
    }
    standard(schema, at, errors);
}

fn invariants(schema: &Schema, level: Level, at: &str, errors: &mut Vec<FieldError>) {
    if schema.kind == "array" && schema.items.is_none() {
        errors.push(FieldError::required(format!("{at}.items"), "must be specified"));
    }
    if let Some(items) = &schema.items {
        invariants(items, Level::Item, &format!("{at}.items"), errors);
    }
    for (key, property) in &schema.properties {
        invariants(property, Level::Field, &format!("{at}.properties[{key}]"), errors);
    }
    if let Some(additional) = &schema.additional_properties {
        let field = format!("{at}.additionalProperties");
        if level == Level::Root {
            errors.push(FieldError::forbidden(field.clone(), "must not be used at the root"));
        }
        if let Additional::Like(like) = additional {
            invariants(like, Level::Field, &field, errors);
        }
    }
    nested(schema, at, errors);
    kind(schema, level, at, errors);
    if let Some(metadata) = schema.properties.get("metadata").filter(|_| level == Level::Root) {
        let named = metadata.properties.keys().all(|key| key == "name" || key == "generateName");
        if !named || metadata.additional_properties.is_some() || !metadata.description.is_empty() {
            let why =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(FieldError::forbidden(format!("{at}.properties[metadata]"), why));
        }
    }
    if schema.embedded && !schema.preserve_unknown && schema.properties.is_empty() {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without \
                   x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(format!("{at}.properties"), why));
    }
}

fn kind(schema: &Schema, level: Level, at: &str, errors: &mut Vec<FieldError>) {
    let field = format!("{at}.type");
    if schema.embedded && schema.kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match schema.kind.as_str() {
            "" => FieldError::required(field.clone(), why),
            other => FieldError::invalid(field.clone(), json!(other), why),
        });
    } else if schema.kind.is_empty() && !schema.int_or_string && !schema.preserve_unknown {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(field.clone(), why));
    }
    if level == Level::Root && !schema.kind.is_empty() && schema.kind != "object" {
        errors.push(FieldError::invalid(field, json!(schema.kind), "must be object at the root"));
    }
}

/// The schemas inside of `anyOf` and its like may only narrow.
fn nested(schema: &Schema, at: &str, errors: &mut Vec<FieldError>) {
    let either = |schemas: &[Schema]| matches!(schemas, [a, b] if a.kind == "integer" && b.kind == "string");
    let junctors = [("anyOf", &schema.any_of), ("allOf", &schema.all_of), ("oneOf", &schema.one_of)];
    for (name, schemas) in junctors {
        if name == "anyOf" && either(schemas) {
            continue;
        }
        for (i, each) in schemas.iter().enumerate() {
            let skip = name == "allOf" && i == 0 && either(&each.any_of);
            narrow(each, &format!("{at}.{name}[{i}]"), skip, errors);
        }
    }
    if let Some(not) = &schema.not {
        narrow(not, &format!("{at}.not"), false, errors);
    }
    if let Some(pattern) = schema.pattern.as_ref().filter(|pattern| pattern.regex.is_none()) {
        let why = "must be a valid regular expression, but isn't: the sandbox does not understand it";
        errors.push(FieldError::invalid(format!("{at}.pattern"), json!(pattern.text), why));
    }
}

fn narrow(schema: &Schema, at: &str, skip_any_of: bool, errors: &mut Vec<FieldError>) {
    if !skip_any_of {
        nested(schema, at, errors);
    }
    if let Some(items) = &schema.items {
        narrow(items, &format!("{at}.items"), false, errors);
    }
    for (key, property) in &schema.properties {
        narrow(property, &format!("{at}.properties[{key}]"), false, errors);
    }
    for (there, key, what) in [
        (!schema.kind.is_empty(), "type", "must be empty to be structural"),
        (schema.additional_properties.is_some(), "additionalProperties", "must be undefined to be structural"),
        (schema.default.is_some(), "default", "must be undefined to be structural"),
        (!schema.description.is_empty(), "description", "must be empty to be structural"),
        (schema.nullable, "nullable", "must be false to be structural"),
        (schema.preserve_unknown, "x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        (schema.embedded, "x-kubernetes-embedded-resource", "must be false to be structural"),
        (schema.int_or_string, "x-kubernetes-int-or-string", "must be false to be structural"),
    ] {
        if there {
            errors.push(FieldError::forbidden(format!("{at}.{key}"), what));
        }
    }
    if schema.properties.contains_key("metadata") {
        let why = "must not be specified in a nested context";
        errors.push(FieldError::forbidden(format!("{at}.properties[metadata]"), why));
    }
}

/// What a nested schema narrows must be there outside of it. `inside` has the junctors, `schema` the structure.
fn complete(inside: &Schema, schema: &Schema, at: &str, from: &str, errors: &mut Vec<FieldError>) {
    let parts = |name: &str, schemas: &[Schema], errors: &mut Vec<FieldError>| {
        for (i, each) in schemas.iter().enumerate() {
            complete_nested(each, schema, at, &format!("{from}.{name}[{i}]"), errors);
        }
    };
    if let Some(not) = &inside.not {
        complete_nested(not, schema, at, &format!("{from}.not"), errors);
    }
    parts("allOf", &inside.all_of, errors);
    parts("anyOf", &inside.any_of, errors);
    parts("oneOf", &inside.one_of, errors);
}

fn complete_nested(part: &Schema, schema: &Schema, at: &str, from: &str, errors: &mut Vec<FieldError>) {
    complete(part, schema, at, from, errors);
    if let Some(items) = &part.items {
        let (at, from) = (format!("{at}.items"), format!("{from}.items"));
        match &schema.items {
            Some(structure) => complete_nested(items, structure, &at, &from, errors),
            None => errors.push(FieldError::required(at, &format!("because it is defined in {from}"))),
        }
    }
    for (key, property) in &part.properties {
        let (at, from) = (format!("{at}.properties[{key}]"), format!("{from}.properties[{key}]"));
        match schema.properties.get(key) {
            Some(structure) => complete_nested(property, structure, &at, &from, errors),
            None => errors.push(FieldError::required(at, &format!("because it is defined in {from}"))),
        }
    }
}

/// Defaults must be values that the schema takes whole.
fn default_faults(schema: &Schema, at: &str, errors: &mut Vec<FieldError>) {
    if let Some(default) = &schema.default {
        let at = format!("{at}.default");
        if !prune::prune_part(&mut default.clone(), schema).is_empty() {
            errors.push(FieldError::invalid(at.clone(), default.clone(), "must not have unknown fields"));
        }
        errors.extend(validate::faults(schema, default, None, &at));
    }
    if let Some(items) = &schema.items {
        default_faults(items, &format!("{at}.items"), errors);
    }
    for (key, property) in &schema.properties {
        default_faults(property, &format!("{at}.properties[{key}]"), errors);
    }
    if let Some(Additional::Like(like)) = &schema.additional_properties {
        default_faults(like, &format!("{at}.additionalProperties"), errors);
    }
}

/// What of OpenAPI definitions may not use at all.
fn standard(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let of = |key: &str| schema.get(key).filter(|value| !value.is_null());
    if let Some(kind) = of("type").and_then(Value::as_str).filter(|kind| !kind.is_empty() && !KINDS.contains(kind)) {
        errors.push(FieldError::not_supported(format!("{at}.type"), json!(kind), &KINDS));
    }
    for key in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if of(key).is_some() {
            errors.push(FieldError::forbidden(format!("{at}.{key}"), format!("{key} is not supported")));
        }
    }
    if of("uniqueItems") == Some(&json!(true)) {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(format!("{at}.uniqueItems"), why));
    }
    if of("properties").and_then(Value::as_object).is_some_and(|properties| !properties.is_empty())
        && of("additionalProperties").is_some_and(|additional| *additional != json!(true))
    {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(format!("{at}.additionalProperties"), why));
    }
    for key in ["additionalProperties", "not", "items"] {
        if let Some(inner) = of(key).filter(|inner| inner.is_object()) {
            standard(inner, &format!("{at}.{key}"), errors);
        }
    }
    for (key, property) in of("properties").and_then(Value::as_object).into_iter().flatten() {
        standard(property, &format!("{at}.properties[{key}]"), errors);
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        for (i, inner) in of(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
            standard(inner, &format!("{at}.{key}[{i}]"), errors);
        }
    }
}

/// Lists that are sets or maps have no item twice.
pub(super) fn list_faults(schema: &Schema, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    lists(schema, object, "", &mut errors);
    errors
}

fn lists(schema: &Schema, value: &Value, at: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = match (at.is_empty(), schema.properties.contains_key(key)) {
                    (true, _) => key.clone(),
                    (false, true) => format!("{at}.{key}"),
                    (false, false) => format!("{at}[{key}]"),
                };
                if let Some(property) = schema.property(key) {
                    lists(property, value, &path, errors);
                }
            }
        }
        Value::Array(items) => {
            if matches!(schema.list_type.as_deref(), Some("set" | "map")) {
                twice(schema, items, at, errors);
            }
            if let Some(like) = &schema.items {
                for (i, item) in items.iter().enumerate() {
                    lists(like, item, &format!("{at}[{i}]"), errors);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn twice(schema: &Schema, items: &[Value], at: &str, errors: &mut Vec<FieldError>) {
    let is_map = schema.list_type.as_deref() == Some("map");
    if is_map && let Some(i) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        let why = "must be an object for an array of list-type map";
        let item = items.get(i).cloned().unwrap_or_default();
        return errors.push(FieldError::invalid(format!("{at}[{i}]"), item, why));
    }
    let identity = |item: &Value| {
        if !is_map {
            return item.clone();
        }
        let part = |key: &String| Some((key.clone(), item.get(key)?.clone()));
        Value::Object(schema.list_map_keys.iter().filter_map(part).collect::<Map<_, _>>())
    };
    let (mut seen, mut named) = (BTreeSet::new(), BTreeSet::new());
    for (i, item) in items.iter().enumerate() {
        let identity = identity(item);
        // One that comes a third time is not named again.
        if !seen.insert(identity.to_string()) && named.insert(identity.to_string()) {
            errors.push(FieldError::duplicate(format!("{at}[{i}]"), identity));
        }
    }
}
