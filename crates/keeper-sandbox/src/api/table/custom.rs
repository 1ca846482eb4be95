//! The columns and cells of custom resources, as their definitions say.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kinds::S;
use super::{age, duration};
use crate::api::custom::cell;
use crate::api::object::{self, number, text};
use crate::api::resources::ResourceType;

pub(super) fn definitions(resource: &ResourceType) -> Value {
    let name = json!({ "name": "Name", "type": S, "format": "name", "description": "", "priority": 0 });
    let mut all = vec![name];
    if resource.columns.is_empty() {
        all.push(json!({ "name": "Age", "type": "date", "format": "", "description": "", "priority": 0 }));
    }
    for (column, _) in &resource.columns {
        let of = |field: &str| text(column, field).unwrap_or_default();
        let path = format!("Custom resource definition column (in JSONPath format): {}", of("/jsonPath"));
        all.push(json!({
            "name": of("/name"), "type": of("/type"), "format": of("/format"),
            "description": if of("/description").is_empty() { &path } else { of("/description") },
            "priority": number(column, "/priority").unwrap_or_default(),
        }));
    }
    Value::Array(all)
}

pub(super) fn cells(resource: &ResourceType, object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![json!(object::name(object))];
    if resource.columns.is_empty() {
        cells.push(json!(age(object, "/metadata/creationTimestamp", now)));
    }
    for (column, path) in &resource.columns {
        let age = |since: Timestamp| duration(now.as_second() - since.as_second());
        cells.push(cell(text(column, "/type").unwrap_or_default(), path.find(object), age));
    }
    cells
}
