//! Between the stored form of an object and the form of the group and version it is asked under.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::object;
use super::resources::ResourceType;

/// Fields of an Event that have another name in `events.k8s.io`: stored (core) name first.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("source", "deprecatedSource"),
];

/// The object as a client of `resource` sees it.
pub(crate) fn served(resource: &ResourceType, stored: &Value) -> Value {
    let mut object = stored.clone();
    object::set(&mut object, "apiVersion", json!(resource.api_version()));
    if resource.is("events.k8s.io", "events") {
        for (core, events) in EVENT_FIELDS {
            rename(&mut object, core, events);
        }
    }
    if resource.custom {
        super::custom::conform(resource, &mut object);
    }
    object
}

/// The object as it is stored, from the form of `resource`.
pub(crate) fn stored(resource: &ResourceType, mut object: Value) -> Value {
    if resource.is("events.k8s.io", "events") {
        for (core, events) in EVENT_FIELDS {
            rename(&mut object, events, core);
        }
        object::set(&mut object, "apiVersion", json!("v1"));
    }
    if resource.is("", "secrets")
        && let Some(Value::Object(texts)) = object::remove(&mut object, "stringData")
    {
        let data = object::child(&mut object, "data");
        for (key, text) in &texts {
            object::set(data, key, json!(BASE64_STANDARD.encode(text.as_str().unwrap_or_default())));
        }
    }
    object
}

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(value) = object::remove(object, from) {
        object::set(object, to, value);
    }
}
