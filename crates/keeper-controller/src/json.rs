//! Reading foreign JSON without a panic: what isn't there, or is of another kind, is `None`.

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

pub(crate) fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer)?.as_i64()
}

pub(crate) fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer)?.parse().ok()
}

pub(crate) fn condition<'a>(value: &'a Value, type_: &str) -> Option<&'a Value> {
    list(value, "/status/conditions").iter().find(|condition| text(condition, "/type") == Some(type_))
}

/// Whether a Service-style selector selects these labels; an empty one selects nothing.
pub(crate) fn selects(selector: Option<&Value>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector.and_then(Value::as_object).filter(|selector| !selector.is_empty()) else {
        return false;
    };
    selector.iter().all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
}

/// The text, cut to so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most).collect();
    short.push('…');
    short
}

/// The whole object as JSON.
pub(crate) fn as_json(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}
