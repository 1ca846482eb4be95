//! CustomResourceDefinitions themselves: their defaults, what is refused, and their status.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::names::{label_1035_faults, subdomain_faults};
use super::super::object::{self, child, default, list, text};
use super::super::status::FieldError;
use super::column::Path;
use super::structural;

/// The types of printer columns.
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];

/// Names that follow from the kind, and the conversion that there is.
pub(in super::super) fn defaults(definition: &mut Value) {
    let spec = child(definition, "spec");
    default(spec, "conversion", || json!({ "strategy": "None" }));
    let names = child(spec, "names");
    let kind = text(names, "/kind").unwrap_or_default().to_owned();
    default(names, "singular", || json!(kind.to_lowercase()));
    if !kind.is_empty() {
        default(names, "listKind", || json!(format!("{kind}List")));
    }
}

/// The status of a definition that nobody has looked at yet.
pub(in super::super) fn initial_status(definition: &Value) -> Value {
    json!({ "conditions": null, "acceptedNames": { "plural": "", "kind": "" }, "storedVersions": stored(definition) })
}

/// The status once its names are taken and it is served, which here is at once. What was stored stays listed.
pub(in super::super) fn settled_status(definition: &Value, now: Timestamp) -> Value {
    let names = definition.pointer("/spec/names").cloned().unwrap_or(Value::Null);
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({ "type": kind, "status": "True", "reason": reason, "message": message,
                "lastTransitionTime": object::seconds(now) })
    };
    let mut versions = list(definition, "/status/storedVersions").to_vec();
    for version in stored(definition) {
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    let before = list(definition, "/status/conditions");
    let conditions = if before.is_empty() {
        vec![
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ]
    } else {
        before.to_vec()
    };
    json!({ "conditions": conditions, "acceptedNames": names, "storedVersions": versions })
}

fn stored(definition: &Value) -> Vec<Value> {
    list(definition, "/spec/versions")
        .iter()
        .filter(|v| is(v, "/storage"))
        .filter_map(|v| v.get("name").cloned())
        .collect()
}

fn is(of: &Value, pointer: &str) -> bool {
    of.pointer(pointer).and_then(Value::as_bool) == Some(true)
}

/// What is wrong with a definition's spec. `old` is the stored one on an update.
pub(in super::super) fn faults(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let of = |pointer: &str| text(new, pointer).unwrap_or_default();
    group(of("/spec/group"), &mut errors);
    match of("/spec/scope") {
        "Cluster" | "Namespaced" => {}
        "" => errors.push(FieldError::required("spec.scope", "")),
        scope => errors.push(FieldError::not_supported("spec.scope", json!(scope), &["Cluster", "Namespaced"])),
    }
    let versions = list(new, "/spec/versions");
    for (i, version) in versions.iter().enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            errors.push(FieldError::required(format!("spec.versions[{i}].schema.openAPIV3Schema"), ""));
        }
    }
    let parts = Parts::of(versions);
    for (i, version) in versions.iter().enumerate() {
        let name = text(version, "/name").unwrap_or_default();
        for fault in label_1035_faults(name) {
            errors.push(FieldError::invalid(format!("spec.versions[{i}].name"), json!(name), fault));
        }
        parts.own(version, &format!("spec.versions[{i}]"), &mut errors);
    }
    let same = |a: &Value, b: &Value| a.get("name") == b.get("name");
    if versions.iter().enumerate().any(|(i, v)| versions.iter().take(i).any(|other| same(v, other))) {
        errors.push(FieldError::invalid("spec.versions", json!(versions), "must contain unique version names"));
    }
    if versions.iter().filter(|v| is(v, "/storage")).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", json!(versions), why));
    }
    if let Some(name) = versions.first().and_then(|version| text(version, "/name")) {
        let faults = label_1035_faults(name).into_iter();
        errors.extend(faults.map(|fault| FieldError::invalid("spec.version", json!(name), fault)));
    }
    names(new, &mut errors);
    if let Some(version) = versions.first() {
        parts.shared(version, versions, &mut errors);
    }
    if of("/spec/conversion/strategy") != "None" {
        // The real server also takes Webhook, which nothing here could call.
        let strategy = json!(of("/spec/conversion/strategy"));
        errors.push(FieldError::not_supported("spec.conversion.strategy", strategy, &["None"]));
    }
    if let Some(old) = old {
        for field in ["scope", "names.kind", "group", "names.plural"] {
            let pointer = format!("/spec/{}", field.replace('.', "/"));
            if new.pointer(&pointer) != old.pointer(&pointer) {
                errors.push(FieldError::immutable(format!("spec.{field}"), json!(of(&pointer))));
            }
        }
    }
    kept_versions(new, old, &mut errors);
    if old.is_none() && stored(new).is_empty() {
        errors.push(FieldError::invalid("status.storedVersions", Value::Null, "must have at least one stored version"));
    }
    errors
}

fn group(group: &str, errors: &mut Vec<FieldError>) {
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
        return;
    }
    let mut faults = subdomain_faults(group);
    if faults.is_empty() && !group.contains('.') {
        faults.push("should be a domain with at least one dot".into());
    }
    errors.extend(faults.into_iter().map(|fault| FieldError::invalid("spec.group", json!(group), fault)));
}

/// Which parts all versions have in common. The real server names the faults of those once, by the place where they were
/// in the first form of definitions.
struct Parts {
    schema: bool,
    subresources: bool,
    columns: bool,
}

impl Parts {
    fn of(versions: &[Value]) -> Self {
        let same = |key: &str| versions.iter().all(|v| v.get(key) == versions.first().and_then(|first| first.get(key)));
        Self { schema: same("schema"), subresources: same("subresources"), columns: same("additionalPrinterColumns") }
    }

    fn own(&self, version: &Value, at: &str, errors: &mut Vec<FieldError>) {
        if !self.schema {
            schema(version, &format!("{at}.schema"), version.pointer("/subresources/status").is_some(), errors);
        }
        if !self.subresources {
            scale(&format!("{at}.subresources"), version, errors);
        }
        if !self.columns {
            columns(&format!("{at}.additionalPrinterColumns"), version, errors);
        }
    }

    fn shared(&self, version: &Value, all: &[Value], errors: &mut Vec<FieldError>) {
        if self.schema {
            let status = all.iter().any(|version| version.pointer("/subresources/status").is_some());
            schema(version, "spec.validation", status, errors);
        }
        if self.subresources {
            scale("spec.subresources", version, errors);
        }
        if self.columns {
            columns("spec.additionalPrinterColumns", version, errors);
        }
    }
}

fn schema(version: &Value, at: &str, with_status: bool, errors: &mut Vec<FieldError>) {
    let Some(schema) = version.pointer("/schema/openAPIV3Schema") else { return };
    let at = format!("{at}.openAPIV3Schema");
    let kind = text(schema, "/type").unwrap_or_default();
    if with_status && !matches!(kind, "" | "object") {
        let why =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(FieldError::invalid(format!("{at}.type"), json!(kind), why));
    }
    structural::faults(schema, &at, errors);
}

fn scale(at: &str, version: &Value, errors: &mut Vec<FieldError>) {
    let Some(scale) = version.pointer("/subresources/scale") else { return };
    for (key, under) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
        let field = format!("{at}.scale.{key}");
        let path = text(scale, &format!("/{key}")).unwrap_or_default();
        if path.is_empty() {
            errors.push(FieldError::required(field, ""));
        } else if !path.starts_with('.') {
            errors.push(FieldError::invalid(field, json!(path), "must be a simple json path starting with ."));
        } else if !path.starts_with(&format!("{under}.")) {
            errors.push(FieldError::invalid(field, json!(path), format!("should be a json path under {under}")));
        }
    }
}

fn columns(at: &str, version: &Value, errors: &mut Vec<FieldError>) {
    for (i, each) in list(version, "/additionalPrinterColumns").iter().enumerate() {
        column(&format!("{at}[{i}]"), each, errors);
    }
}

fn column(at: &str, column: &Value, errors: &mut Vec<FieldError>) {
    let of = |key: &str| text(column, key).unwrap_or_default();
    if of("/name").is_empty() {
        errors.push(FieldError::required(format!("{at}.name"), ""));
    }
    let kinds = format!("must be one of {}", COLUMN_TYPES.join(","));
    if of("/type").is_empty() {
        errors.push(FieldError::required(format!("{at}.type"), &kinds));
    } else if !COLUMN_TYPES.contains(&of("/type")) {
        errors.push(FieldError::invalid(format!("{at}.type"), json!(of("/type")), kinds));
    }
    let path = of("/jsonPath");
    let field = format!("{at}.JSONPath");
    if path.is_empty() {
        errors.push(FieldError::required(field, ""));
    } else if !path.starts_with('.') {
        errors.push(FieldError::invalid(field, json!(path), "must be a simple json path starting with ."));
    } else if Path::read(path).is_none() {
        // The real server takes it, and then shows no column at all.
        errors.push(FieldError::invalid(field, json!(path), "is not a path that the sandbox can follow"));
    }
}

fn names(new: &Value, errors: &mut Vec<FieldError>) {
    let of = |key: &str| text(new, &format!("/spec/names/{key}")).unwrap_or_default();
    for key in ["plural", "singular", "kind", "listKind"] {
        if of(key).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{key}"), ""));
        }
    }
    for key in ["plural", "singular", "kind", "listKind"] {
        let mixed = key.ends_with("ind");
        let name = if mixed { of(key).to_lowercase() } else { of(key).to_owned() };
        for fault in label_1035_faults(&name).into_iter().filter(|_| !name.is_empty()) {
            let but = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            errors.push(FieldError::invalid(format!("spec.names.{key}"), json!(of(key)), format!("{but}{fault}")));
        }
    }
    let each = |key: &str, errors: &mut Vec<FieldError>| {
        for (i, name) in list(new, &format!("/spec/names/{key}")).iter().enumerate() {
            for fault in label_1035_faults(name.as_str().unwrap_or_default()) {
                errors.push(FieldError::invalid(format!("spec.names.{key}[{i}]"), name.clone(), fault));
            }
        }
    };
    each("shortNames", errors);
    if !of("kind").is_empty() && of("kind") == of("listKind") {
        let why = "kind and listKind may not be the same";
        errors.push(FieldError::invalid("spec.names.listKind", json!(of("kind")), why));
    }
    each("categories", errors);
}

/// A version that objects were stored in can't be taken out.
fn kept_versions(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let versions = list(new, "/spec/versions");
    for (i, kept) in old.map_or(&[][..], |old| list(old, "/status/storedVersions")).iter().enumerate() {
        if versions.iter().all(|version| version.get("name") != Some(kept)) {
            let name = kept.as_str().unwrap_or_default();
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until \
                 a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.push(FieldError::invalid(format!("status.storedVersions[{i}]"), kept.clone(), why));
        }
    }
}
