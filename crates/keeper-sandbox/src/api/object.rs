//! Reading and writing objects kept as plain JSON.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// The text at a JSON pointer.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// The number at a JSON pointer.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The list at a JSON pointer; empty when there is none.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The map at a JSON pointer.
pub(crate) fn map<'a>(object: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    object.pointer(pointer).and_then(Value::as_object)
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name").unwrap_or_default()
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace").unwrap_or_default()
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid").unwrap_or_default()
}

pub(crate) fn resource_version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion").unwrap_or_default()
}

pub(crate) fn is_being_deleted(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|t| !t.is_null())
}

/// The value as a map; anything else is replaced by an empty one first.
pub(crate) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made a map just above"),
    }
}

/// The map under `key`, made when it is missing.
pub(crate) fn child<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    let slot = as_map(value).entry(key).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot
}

pub(crate) fn set(value: &mut Value, key: &str, to: Value) {
    as_map(value).insert(key.to_owned(), to);
}

pub(crate) fn set_meta(object: &mut Value, key: &str, to: Value) {
    set(child(object, "metadata"), key, to);
}

pub(crate) fn remove(value: &mut Value, key: &str) -> Option<Value> {
    value.as_object_mut().and_then(|m| m.remove(key))
}

/// Sets `key` when it is missing or null.
pub(crate) fn default(value: &mut Value, key: &str, to: impl FnOnce() -> Value) {
    let slot = as_map(value).entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = to();
    }
}

/// Removes those of `keys` that say nothing: an empty text, list or map, zero, false.
pub(crate) fn omit_empty(value: &mut Value, keys: &[&str]) {
    let says_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    };
    for key in keys {
        if value.get(key).is_some_and(says_nothing) {
            remove(value, key);
        }
    }
}

/// Takes `key` over from `from`, its absence included.
pub(crate) fn take_over(to: &mut Value, from: &Value, key: &str) {
    match from.get(key) {
        Some(value) => set(to, key, value.clone()),
        None => {
            remove(to, key);
        }
    }
}

/// A point in time as API objects carry it: UTC, whole seconds.
pub(crate) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// A random (version 4) identifier.
pub(crate) fn new_uid() -> String {
    let mut bytes: [u8; 16] = rand::random();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// The five characters that `generateName` appends.
pub(crate) fn name_suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let pick = |_| LETTERS.get(rand::random_range(0..LETTERS.len())).copied().map_or('x', char::from);
    (0..5).map(pick).collect()
}
