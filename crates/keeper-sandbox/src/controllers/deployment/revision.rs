//! Revisions: which ReplicaSet has the Deployment's template, its number, and the annotations that travel with it.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use serde_json::{Value, json};

use super::spec::Spec;
use crate::objects::{DEPLOYMENTS, Fields, Meta, Object, REPLICA_SETS, controller_reference, object, set};

pub(super) const HASH_LABEL: &str = "pod-template-hash";
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations of a Deployment that are not copied to its ReplicaSets.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
];
/// How long the list of former revisions in an annotation may get, in bytes.
const HISTORY_LENGTH: usize = 2000;

/// The ReplicaSets of a Deployment, told apart: the one with the present template, and the others.
pub(super) struct Sets {
    pub(super) newest: Option<Arc<Object>>,
    /// Oldest first.
    pub(super) old: Vec<Arc<Object>>,
}

impl Sets {
    pub(super) fn of(deployment: &Object, sets: Vec<Arc<Object>>) -> Self {
        let mut sets = sets;
        sets.sort_by_key(|set| (set.created(), set.name().to_owned()));
        let template = template_of(deployment);
        let position = sets.iter().position(|set| template_of(set) == template);
        let newest = position.map(|position| sets.remove(position));
        Self { newest, old: sets }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.old.iter().chain(&self.newest)
    }

    /// The number that the newest ReplicaSet has to carry: one more than every other.
    pub(super) fn next_revision(&self) -> i64 {
        self.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1
    }
}

pub(super) fn revision(object: &Object) -> i64 {
    object.annotation(REVISION).and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

/// The pod template without the hash label, and without what says nothing (nulls, empty maps).
pub(in crate::controllers) fn template_of(object: &Object) -> Value {
    let mut template = object.at("/spec/template").cloned().unwrap_or(Value::Null);
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH_LABEL);
    }
    without_nothing(template)
}

fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let says_something =
                |value: &Value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty());
            let fields = fields.into_iter().map(|(name, value)| (name, without_nothing(value)));
            Value::Object(fields.filter(|(_, value)| says_something(value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nothing).collect()),
        other => other,
    }
}

/// A name for a template: short, safe in names and labels, other when `collisions` moves.
pub(in crate::controllers) fn hash_of(template: &Value, collisions: i64) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut text = String::new();
    canonical(template, &mut text);
    if collisions > 0 {
        let _ = write!(text, "{collisions}");
    }
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let letter = |digit: u8| char::from(LETTERS.get(usize::from(digit) % LETTERS.len()).copied().unwrap_or(b'b'));
    hash.to_string().bytes().map(letter).collect()
}

/// JSON with sorted keys: the same whatever order a map keeps.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            out.push('{');
            for (name, value) in sorted {
                let _ = write!(out, "{name:?}:");
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        leaf => {
            let _ = write!(out, "{leaf}");
        }
    }
}

/// The ReplicaSet for the Deployment's present template.
pub(super) fn new_set(deployment: &Object, revision: i64, replicas: i64, spec: &Spec) -> serde_json::Result<Object> {
    let template = deployment.at("/spec/template").cloned().unwrap_or_else(|| json!({}));
    let hash = hash_of(&template_of(deployment), deployment.int("/status/collisionCount").unwrap_or(0));
    let mut labelled = template;
    set(&mut labelled, &["metadata", "labels", HASH_LABEL], json!(hash));
    let mut selector = deployment.at("/spec/selector").cloned().unwrap_or_else(|| json!({}));
    set(&mut selector, &["matchLabels", HASH_LABEL], json!(hash));
    let mut body = json!({
        "metadata": {
            "name": format!("{}-{hash}", deployment.name()),
            "namespace": deployment.namespace(),
            "labels": labelled.at("/metadata/labels"),
            "ownerReferences": [controller_reference(&DEPLOYMENTS, deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": labelled},
    });
    if let Some(wait) = deployment.int("/spec/minReadySeconds").filter(|wait| *wait > 0) {
        set(&mut body, &["spec", "minReadySeconds"], json!(wait));
    }
    let mut new = object(&REPLICA_SETS, body)?;
    copy_annotations(deployment, &mut new);
    new.annotate(REVISION, &revision.to_string());
    note_sizes(&mut new, spec);
    Ok(new)
}

/// Brings the newest ReplicaSet's annotations and `minReadySeconds` up to date; says whether anything changed.
pub(super) fn refresh(deployment: &Object, newest: &mut Object, revision_wanted: i64) -> bool {
    let before = newest.clone();
    copy_annotations(deployment, newest);
    let had = revision(newest);
    if had < revision_wanted {
        if had > 0 {
            remember(newest, had);
        }
        newest.annotate(REVISION, &revision_wanted.to_string());
    }
    let wait = deployment.int("/spec/minReadySeconds").unwrap_or(0);
    if newest.int("/spec/minReadySeconds").unwrap_or(0) != wait {
        newest.set(&["spec", "minReadySeconds"], if wait == 0 { Value::Null } else { json!(wait) });
    }
    *newest != before
}

fn copy_annotations(deployment: &Object, set: &mut Object) {
    for (name, value) in deployment.metadata.annotations.iter().flatten() {
        if !NOT_COPIED.contains(&name.as_str()) {
            set.annotate(name, value);
        }
    }
}

/// A ReplicaSet that comes back keeps the numbers it had before, the oldest dropped when they get long.
fn remember(set: &mut Object, revision: i64) {
    let mut history: Vec<String> =
        set.annotation(HISTORY).into_iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
    history.push(revision.to_string());
    while history.join(",").len() > HISTORY_LENGTH {
        history.remove(0);
    }
    set.annotate(HISTORY, &history.join(","));
}

/// Notes on a ReplicaSet which sizes it was scaled for, so that a later scaling can be told from an update.
pub(super) fn note_sizes(set: &mut Object, spec: &Spec) {
    set.annotate(DESIRED, &spec.replicas.to_string());
    set.annotate(MAXIMUM, &(spec.replicas + spec.surge()).to_string());
}

/// The numbers that [`note_sizes`] wrote.
pub(super) fn noted(set: &Object, name: &str) -> Option<i64> {
    set.annotation(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Object {
        object(&DEPLOYMENTS, json!({
            "metadata": {"name": "web", "namespace": "n", "uid": "u", "annotations": {
                "note": "1", REVISION: "4", "kubectl.kubernetes.io/last-applied-configuration": "{}",
            }},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"creationTimestamp": null, "labels": {"app": "web"}}, "spec": {"containers": [{"name": "a"}]}},
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_new_set_carries_hash_owner_and_annotations() {
        let deployment = deployment();
        let set = new_set(&deployment, 5, 1, &Spec::of(&deployment)).unwrap();
        let hash = set.label(HASH_LABEL).unwrap();
        assert_eq!(set.name(), format!("web-{hash}"));
        assert_eq!(set.text("/spec/selector/matchLabels/pod-template-hash"), Some(hash));
        assert_eq!(set.text("/spec/template/metadata/labels/pod-template-hash"), Some(hash));
        assert_eq!(set.annotation("note"), Some("1"));
        assert_eq!(set.annotation("kubectl.kubernetes.io/last-applied-configuration"), None);
        assert_eq!((revision(&set), noted(&set, DESIRED), noted(&set, MAXIMUM)), (5, Some(2), Some(3)));
        assert!(set.controller().is_some_and(|owner| owner.uid == "u"));
    }

    #[test]
    fn the_template_decides_which_set_is_newest() {
        let deployment = deployment();
        let set = Arc::new(new_set(&deployment, 1, 1, &Spec::of(&deployment)).unwrap());
        let sets = Sets::of(&deployment, vec![set]);
        assert!(sets.newest.is_some(), "the hash label and empty fields don't count");
        assert_eq!(sets.next_revision(), 1);
    }

    #[test]
    fn a_set_that_comes_back_remembers_its_numbers() {
        let deployment = deployment();
        let mut set = new_set(&deployment, 2, 1, &Spec::of(&deployment)).unwrap();
        assert!(refresh(&deployment, &mut set, 4));
        assert!(refresh(&deployment, &mut set, 7));
        assert_eq!((revision(&set), set.annotation(HISTORY)), (7, Some("2,4")));
        assert!(!refresh(&deployment, &mut set, 7), "nothing left to change");
    }

    #[test]
    fn the_hash_ignores_the_order_of_keys_and_moves_with_collisions() {
        let (one, two) = (json!({"a": 1, "b": [2]}), serde_json::from_str::<Value>(r#"{"b":[2],"a":1}"#).unwrap());
        assert_eq!(hash_of(&one, 0), hash_of(&two, 0));
        assert_ne!(hash_of(&one, 0), hash_of(&one, 1));
        assert!(hash_of(&one, 0).len() <= 10);
    }
}
