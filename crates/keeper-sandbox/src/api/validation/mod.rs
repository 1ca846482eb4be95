//! What is refused with 422, field by field, as the real server does for what our product leans on.
//!
//! A rule belongs to the file of its kind; what all kinds share is in [`metadata`]. The order in which faults are found
//! is the real server's, since clients see it.

mod containers;
mod events;
mod metadata;
mod others;
mod pods;
mod probes;
mod services;
mod volumes;
mod workloads;

use serde_json::Value;

use super::custom;
use super::object;
use super::resources::ResourceType;
use super::status::FieldError;

const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
    regex used for validation is '[0-9]+%')";

/// Everything wrong with an object as it would be stored. `old` is the stored one on an update.
pub(crate) fn faults(resource: &ResourceType, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut faults = Faults::default();
    let about = Field::of(new, "metadata");
    if old.is_none() {
        metadata::name(resource, &about, &mut faults);
        if resource.group == "apiextensions.k8s.io" {
            definition_name(new, &mut faults);
        }
    }
    if old.is_none() || resource.custom {
        metadata::metadata(&about, &mut faults);
    } else {
        metadata::updated(resource, &about, &mut faults);
    }
    metadata::added_finalizers(new, old, &mut faults);
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pods::pod(new, old, &mut faults),
        ("", "services") => services::service(new, old, &mut faults),
        ("", "configmaps") => others::config_map(new, old, &mut faults),
        ("", "secrets") => others::secret(new, old, &mut faults),
        ("apps", "deployments" | "replicasets" | "statefulsets") => {
            workloads::workload(resource, new, old, &mut faults);
        }
        ("", "replicationcontrollers") => workloads::replication_controller(new, &mut faults),
        ("batch", "jobs") => workloads::job(new, old, &mut faults),
        ("policy", "poddisruptionbudgets") => others::budget(new, &mut faults),
        ("coordination.k8s.io", "leases") => others::lease(new, &mut faults),
        ("discovery.k8s.io", "endpointslices") => services::endpoint_slice(new, old, &mut faults),
        ("apiextensions.k8s.io", _) => faults.found.extend(custom::definition_faults(new, old)),
        (group, "events") => events::event(new, old, group == "events.k8s.io", &mut faults),
        _ => faults.found.extend(custom::faults(resource, new, old, false)),
    }
    faults.found
}

/// What is wrong with the metadata of an object inside of another.
pub(crate) fn metadata_faults(metadata: &Value, at: &str) -> Vec<FieldError> {
    let mut faults = Faults::default();
    metadata::metadata(&Field { path: at.to_owned(), value: metadata }, &mut faults);
    faults.found
}

/// A definition is named after what it defines.
fn definition_name(new: &Value, faults: &mut Faults) {
    let of = |pointer: &str| object::text(new, pointer).unwrap_or_default();
    let name = object::name(new);
    if !name.is_empty() && name != format!("{}.{}", of("/spec/names/plural"), of("/spec/group")) {
        let why = "must be spec.names.plural+\".\"+spec.group";
        faults.push(FieldError::invalid("metadata.name", name.into(), why));
    }
}

/// What is wrong with one object, in the order in which it was found.
#[derive(Default)]
struct Faults {
    found: Vec<FieldError>,
}

impl Faults {
    fn count(&self) -> usize {
        self.found.len()
    }

    fn push(&mut self, fault: FieldError) {
        self.found.push(fault);
    }

    fn required(&mut self, field: &Field<'_>, why: &str) {
        self.push(FieldError::required(field.path.as_str(), why));
    }

    fn forbidden(&mut self, field: &Field<'_>, why: &str) {
        self.push(FieldError::forbidden(field.path.as_str(), why));
    }

    /// The value shown is the field's.
    fn invalid(&mut self, field: &Field<'_>, why: impl Into<String>) {
        self.push(FieldError::invalid(field.path.as_str(), field.value.clone(), why));
    }

    /// As [`Self::invalid`], of a text that may not be set.
    fn invalid_text(&mut self, field: &Field<'_>, why: &str) {
        self.push(FieldError::invalid(field.path.as_str(), field.text().into(), why));
    }

    /// One fault for each of `why`; the value shown is the field's.
    fn each(&mut self, field: &Field<'_>, why: Vec<String>) {
        why.into_iter().for_each(|why| self.invalid(field, why));
    }

    /// A text that must be there and keep a rule.
    fn needed(&mut self, field: &Field<'_>, rule: fn(&str) -> Vec<String>) {
        match field.text() {
            "" => self.required(field, ""),
            text => self.each(field, rule(text)),
        }
    }

    /// One of `supported`, which are listed in this order.
    fn one_of(&mut self, field: &Field<'_>, supported: &[&str]) {
        if !supported.contains(&field.text()) {
            self.push(FieldError::not_supported(field.path.as_str(), field.text().into(), supported));
        }
    }

    fn duplicate(&mut self, field: &Field<'_>) {
        self.push(FieldError::duplicate(field.path.as_str(), field.value.clone()));
    }

    fn range(&mut self, field: &Field<'_>, least: i64, most: i64) {
        if !(least..=most).contains(&field.number().unwrap_or_default()) {
            self.invalid(field, format!("must be between {least} and {most}, inclusive"));
        }
    }

    fn not_negative(&mut self, field: &Field<'_>) {
        if field.number().is_some_and(|n| n < 0) {
            self.invalid(field, "must be greater than or equal to 0");
        }
    }

    /// A number of pods, or a share of them in percent.
    fn share(&mut self, field: &Field<'_>) {
        self.not_negative(field);
        if field.value.is_string() && field.percent().is_none() {
            self.invalid(field, PERCENT);
        }
    }

    /// A share that is not more than all pods.
    fn not_above_all(&mut self, field: &Field<'_>) {
        if field.percent().is_some_and(|percent| percent > 100) {
            self.invalid(field, "must not be greater than 100%");
        }
    }

    fn immutable(&mut self, new: &Field<'_>, old: &Field<'_>) {
        if new.value != old.value {
            self.invalid(new, "field is immutable");
        }
    }
}

/// A part of an object, and the path by which faults name it.
#[derive(Clone)]
struct Field<'a> {
    path: String,
    /// Null where there is none.
    value: &'a Value,
}

impl<'a> Field<'a> {
    /// The part of `object` at a path of plain names, such as `spec.template`.
    fn of(object: &'a Value, path: &str) -> Self {
        let pointer = format!("/{}", path.replace('.', "/"));
        Self { path: path.to_owned(), value: object.pointer(&pointer).unwrap_or(&Value::Null) }
    }

    fn at(&self, name: &str) -> Self {
        Self { path: format!("{}.{name}", self.path), value: self.value.get(name).unwrap_or(&Value::Null) }
    }

    fn items(&self) -> impl Iterator<Item = Self> + use<'a> {
        let path = self.path.clone();
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().enumerate().map(move |(i, value)| Self { path: format!("{path}[{i}]"), value })
    }

    /// Empty where it is not set, which is the same to Kubernetes.
    fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    fn number(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// The number before a percent sign.
    fn percent(&self) -> Option<i64> {
        let digits = self.text().strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse().ok()
    }

    /// The entries of a map whose keys are not field names; each is named by the path of the map.
    fn entries(&self) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        let path = self.path.clone();
        let entries = self.value.as_object().into_iter().flatten();
        entries.map(move |(key, value)| (key.as_str(), Self { path: path.clone(), value }))
    }

    /// The entries of a map of which each is named by its key, as in `limits[cpu]`.
    fn keyed(&self) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        self.entries().map(|(key, entry)| (key, Self { path: format!("{}[{key}]", entry.path), ..entry }))
    }

    /// The same value under another path: some faults are named where the value is not.
    fn under(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// Not set, or an empty text, list or map.
    fn is_empty(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

fn immutable(field: &str, new: &Value, old: Option<&Value>, faults: &mut Faults) {
    if let Some(old) = old {
        faults.immutable(&Field::of(new, field), &Field::of(old, field));
    }
}
