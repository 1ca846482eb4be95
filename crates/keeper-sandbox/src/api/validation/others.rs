//! What is refused of the kinds without a file of their own.

use serde_json::Value;

use super::{Faults, immutable};
use crate::api::object;
use crate::api::selector::LabelSelector;
use crate::api::status::FieldError;

pub(super) fn data(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let mut bytes = 0;
    for field in ["data", "binaryData", "stringData"] {
        for (key, value) in object::map(new, &format!("/{field}")).into_iter().flatten() {
            let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if key.is_empty() || key.len() > 253 || !key.chars().all(good) || key == "." || key == ".." {
                faults.push(FieldError::invalid(
                    format!("{field}[{key}]"),
                    key.as_str().into(),
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
                     'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                ));
            }
            bytes += value.as_str().map_or(0, str::len);
        }
    }
    if bytes > 1024 * 1024 {
        faults.push(FieldError::too_long("", 1024 * 1024));
    }
    if let Some(old) = old
        && old.get("immutable").and_then(Value::as_bool) == Some(true)
    {
        for field in ["data", "binaryData", "immutable"] {
            if old.get(field) != new.get(field) {
                faults.push(FieldError::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
}

pub(super) fn budget(new: &Value, faults: &mut Faults) {
    let set = |field: &str| new.pointer(&format!("/spec/{field}")).is_some_and(|v| !v.is_null());
    if set("minAvailable") && set("maxUnavailable") {
        faults.push(FieldError::invalid(
            "spec",
            new.get("spec").cloned().unwrap_or(Value::Null),
            "minAvailable and maxUnavailable cannot be both set",
        ));
    }
    if let Some(selector) = new.pointer("/spec/selector")
        && let Err(fault) = LabelSelector::from_object(selector)
    {
        faults.push(FieldError::invalid("spec.selector", selector.clone(), fault));
    }
}

/// Events that carry an `eventTime` are of the newer kind, which must be complete and of which only the series moves.
pub(super) fn event(new: &Value, old: Option<&Value>, by_new_group: bool, faults: &mut Faults) {
    let about = object::text(new, "/involvedObject/namespace").unwrap_or_default();
    let own = object::namespace(new);
    if about != own && !(about.is_empty() && matches!(own, "default" | "kube-system")) {
        faults.push(FieldError::invalid("involvedObject.namespace", about.into(), "does not match event.namespace"));
    }
    let newer = |of: &Value| object::text(of, "/eventTime").is_some();
    if !newer(new) && by_new_group && old.is_none() {
        faults.push(FieldError::required("eventTime", ""));
    }
    if newer(new) {
        for field in ["reportingComponent", "reportingInstance", "action", "reason"] {
            if object::text(new, &format!("/{field}")).is_none_or(str::is_empty) {
                faults.push(FieldError::required(field.replace("Component", "Controller"), ""));
            }
        }
        let kind = object::text(new, "/type").unwrap_or_default();
        if !matches!(kind, "Normal" | "Warning") {
            faults.push(FieldError::invalid("type", kind.into(), format!("has invalid value: {kind}")));
        }
    }
    if newer(new) || by_new_group {
        for field in [
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
        ] {
            immutable(field, new, old, faults);
        }
    }
}
