//! What is refused of the kinds without a file of their own.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::metadata::label_selector;
use super::{Faults, Field, immutable};
use crate::api::names::data_key_faults;
use crate::api::status::FieldError;

/// All values of a ConfigMap or Secret together may take this many bytes.
const MAX_DATA_BYTES: usize = 1024 * 1024;

pub(super) fn config_map(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    frozen(&["data", "binaryData"], new, old, faults);
    let (texts, binary) = (Field::of(new, "data"), Field::of(new, "binaryData"));
    let bytes = data(&texts, str::len, faults);
    for (key, _) in texts.entries().filter(|(key, _)| binary.value.get(key).is_some()) {
        let fault = FieldError::invalid(format!("data[{key}]"), key.into(), "duplicate of key present in binaryData");
        faults.push(fault);
    }
    if bytes + data(&binary, decoded, faults) > MAX_DATA_BYTES {
        // The whole object, as the real server names it.
        faults.push(FieldError::too_long("[]", MAX_DATA_BYTES));
    }
}

pub(super) fn secret(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    immutable("type", new, old, faults);
    frozen(&["data"], new, old, faults);
    if data(&Field::of(new, "data"), decoded, faults) > MAX_DATA_BYTES {
        faults.push(FieldError::too_long("data", MAX_DATA_BYTES));
    }
}

fn decoded(text: &str) -> usize {
    BASE64_STANDARD.decode(text).map_or(0, |bytes| bytes.len())
}

/// Looks at the keys, and gives the size of the values.
fn data(map: &Field<'_>, size: impl Fn(&str) -> usize, faults: &mut Faults) -> usize {
    let mut bytes = 0;
    for (key, value) in map.entries() {
        faults.each(&Field { path: format!("{}[{key}]", map.path), value: &json!(key) }, data_key_faults(key));
        bytes += size(value.text());
    }
    bytes
}

/// What was made immutable stays so.
fn frozen(fields: &[&str], new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let Some(old) = old.filter(|old| old.get("immutable") == Some(&Value::Bool(true))) else { return };
    for field in ["immutable"].iter().chain(fields) {
        if old.get(field) != new.get(field) {
            faults.forbidden(&Field::of(new, field), "field is immutable when `immutable` is set");
        }
    }
}

pub(super) fn budget(new: &Value, faults: &mut Faults) {
    let spec = Field::of(new, "spec");
    let [least, most] = ["minAvailable", "maxUnavailable"].map(|field| spec.at(field));
    if least.is_set() && most.is_set() {
        let shown = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            least.value,
            spec.at("selector").value,
            most.value,
            spec.at("unhealthyPodEvictionPolicy").value,
        );
        let fault = FieldError::invalid("spec", Value::Null, "minAvailable and maxUnavailable cannot be both set");
        faults.push(fault.showing(shown));
    }
    for pods in [&least, &most] {
        faults.share(pods);
        faults.not_above_all(pods);
    }
    label_selector(&spec.at("selector"), faults);
    let policy = spec.at("unhealthyPodEvictionPolicy");
    if policy.is_set() {
        faults.one_of(&policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

pub(super) fn lease(new: &Value, faults: &mut Faults) {
    let seconds = Field::of(new, "spec.leaseDurationSeconds");
    if seconds.number().is_some_and(|n| n <= 0) {
        faults.invalid(&seconds, "must be greater than 0");
    }
    faults.not_negative(&Field::of(new, "spec.leaseTransitions"));
}
