//! What the kinds that make pods from a template are filled in with.

use serde_json::{Value, json};

use crate::api::object::{self, child, default, omit_empty};

pub(super) fn deployment(spec: &mut Value) {
    replica_set(spec);
    omit_empty(spec, &["paused"]);
    default(spec, "revisionHistoryLimit", || json!(10));
    default(spec, "progressDeadlineSeconds", || json!(600));
    let strategy = child(spec, "strategy");
    omit_empty(strategy, &["type"]);
    default(strategy, "type", || json!("RollingUpdate"));
    if object::text(strategy, "/type") == Some("RollingUpdate") {
        let rolling = child(strategy, "rollingUpdate");
        default(rolling, "maxSurge", || json!("25%"));
        default(rolling, "maxUnavailable", || json!("25%"));
    }
}

pub(super) fn replica_set(spec: &mut Value) {
    omit_empty(spec, &["minReadySeconds"]);
    default(spec, "replicas", || json!(1));
    if let Some(selector) = spec.get_mut("selector") {
        omit_empty(selector, &["matchLabels", "matchExpressions"]);
    }
}

pub(super) fn stateful_set(spec: &mut Value) {
    default(spec, "replicas", || json!(1));
    default(spec, "revisionHistoryLimit", || json!(10));
    default(spec, "podManagementPolicy", || json!("OrderedReady"));
    default(spec, "updateStrategy", || json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } }));
    let retention = json!({ "whenDeleted": "Retain", "whenScaled": "Retain" });
    default(spec, "persistentVolumeClaimRetentionPolicy", || retention);
}

pub(super) fn job(spec: &mut Value) {
    // Whoever says how many run at once may leave open how many have to succeed.
    if spec.get("parallelism").is_none_or(Value::is_null) {
        default(spec, "completions", || json!(1));
    }
    default(spec, "parallelism", || json!(1));
    default(spec, "backoffLimit", || json!(6));
    default(spec, "completionMode", || json!("NonIndexed"));
    default(spec, "suspend", || json!(false));
    default(spec, "manualSelector", || json!(false));
    default(spec, "podReplacementPolicy", || json!("TerminatingOrFailed"));
}

/// Selector and labels of a ReplicationController are taken from its template.
pub(super) fn replication_controller(of: &mut Value) {
    omit_empty(child(of, "spec"), &["selector", "minReadySeconds"]);
    let labels = of.pointer("/spec/template/metadata/labels").cloned();
    if let Some(labels) = labels {
        default(child(of, "spec"), "selector", || labels.clone());
        default(child(of, "metadata"), "labels", || labels);
    }
}
