//! What is refused of Events. Those with an `eventTime` are of the newer kind and must say more.

use serde_json::{Value, json};

use super::{Faults, Field};
use crate::api::names::label_key_faults;
use crate::api::object;
use crate::api::status::FieldError;

/// Texts of newer events, which of them must be there, and how long they may be.
const TEXTS: [(&str, bool, usize); 4] =
    [("reportingInstance", true, 128), ("action", true, 128), ("reason", true, 128), ("message", false, 1024)];

/// Fields of the older kind.
const OLDER: [&str; 4] = ["firstTimestamp", "lastTimestamp", "count", "source"];

/// What an update through the newer group leaves as it is.
const FIXED: [&str; 13] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];

/// An event as it is stored, written through the newer group or the core one.
pub(super) fn event(new: &Value, old: Option<&Value>, newer_group: bool, faults: &mut Faults) {
    let newer = object::text(new, "/eventTime").is_some();
    namespace(new, newer, faults);
    if newer {
        texts(new, newer_group, faults);
    }
    match old {
        _ if !newer_group => {}
        None => complete(new, newer, faults),
        Some(old) => {
            if new.get("series") != old.get("series") {
                series(new, faults);
            }
            for field in FIXED {
                let (new, old) = (Field::of(new, field), Field::of(old, field));
                faults.immutable(&Field { path: field.replace("Component", "Controller"), ..new }, &old);
            }
        }
    }
}

/// An event lies beside what it is about.
fn namespace(new: &Value, newer: bool, faults: &mut Faults) {
    let about = Field::of(new, "involvedObject.namespace");
    let own = object::namespace(new);
    let fits = match about.text() {
        "" => own == "default" || (newer && own == "kube-system"),
        about => newer || about == own,
    };
    if !fits {
        faults.push(FieldError::invalid(
            about.path,
            json!(about.value.as_str().unwrap_or("")),
            "does not match event.namespace",
        ));
    }
}

fn texts(new: &Value, newer_group: bool, faults: &mut Faults) {
    let reporter = Field::of(new, "reportingComponent");
    let path = if newer_group { "reportingController" } else { "reportingComponent" };
    let reporter = Field { path: path.to_owned(), ..reporter };
    if reporter.text().is_empty() {
        faults.required(&reporter, "");
    }
    faults.each(&reporter, label_key_faults(reporter.text()));
    for (name, needed, most) in TEXTS {
        let field = Field::of(new, name);
        if needed && field.text().is_empty() {
            faults.required(&field, "");
        }
        if field.text().len() > most {
            unshown(name, &format!("can have at most {most} characters"), faults);
        }
    }
}

/// What a new event of the newer group has and has not.
fn complete(new: &Value, newer: bool, faults: &mut Faults) {
    series(new, faults);
    if !newer {
        faults.required(&Field::of(new, "eventTime"), "");
    }
    let kind = Field::of(new, "type");
    if !matches!(kind.text(), "Normal" | "Warning") {
        unshown("type", &format!("has invalid value: {}", kind.text()), faults);
    }
    for field in OLDER {
        let value = Field::of(new, field).value;
        let unset = value.is_null() || value == 0 || value.as_object().is_some_and(serde_json::Map::is_empty);
        if !unset {
            unshown(field, "needs to be unset", faults);
        }
    }
}

fn series(new: &Value, faults: &mut Faults) {
    if !Field::of(new, "series").is_set() {
        return;
    }
    if Field::of(new, "series.count").number().unwrap_or_default() < 2 {
        unshown("series.count", "should be at least 2", faults);
    }
    let last = Field::of(new, "series.lastObservedTime");
    if !last.is_set() {
        faults.required(&last, "");
    }
}

/// A fault that shows no value.
fn unshown(field: &str, why: &str, faults: &mut Faults) {
    faults.push(FieldError::invalid(field, json!(""), why));
}
