//! What some kinds are given when they are created, beyond defaults of single fields.

use serde_json::{Value, json};

use super::object::{self, child};
use super::resources::ResourceType;

/// Completes an object that has its name, its uid and its defaults.
pub(crate) fn complete(resource: &ResourceType, new: &mut Value) {
    if resource.is("batch", "jobs") && new.pointer("/spec/manualSelector") != Some(&json!(true)) {
        select_own_pods(new);
    }
}

/// A Job selects its pods by its own uid, unless its author chose the selector.
fn select_own_pods(job: &mut Value) {
    let (name, uid) = (json!(object::name(job)), json!(object::uid(job)));
    let labels = child(child(child(child(job, "spec"), "template"), "metadata"), "labels");
    for prefix in ["", "batch.kubernetes.io/"] {
        object::default(labels, &format!("{prefix}job-name"), || name.clone());
        object::default(labels, &format!("{prefix}controller-uid"), || uid.clone());
    }
    let labels = labels.clone();
    object::default(child(job, "metadata"), "labels", || labels);
    let selected = child(child(child(job, "spec"), "selector"), "matchLabels");
    object::default(selected, "batch.kubernetes.io/controller-uid", || uid);
}
