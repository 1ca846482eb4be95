//! What puts a whole Deployment into production: one patch of what is there, or its first creation.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::clone::CloneError;
use crate::desired::Desired;
use crate::labels::{OURS, RUN_LABEL};
use crate::patch::{check_run, preconditions, set_entry};
use crate::workload::Workload;

/// On a Deployment that was promoted as a whole: which revision it is. An annotation, since `kubectl rollout undo` puts
/// those back with the template: so it tells when production is no longer what was promoted.
pub const PROMOTED_ANNOTATION: &str = "canary-keeper.dev/promoted";

/// What a promotion of a whole Deployment writes.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'a> {
    /// What is wanted.
    pub desired: &'a Desired<'a>,
    /// What containers run in place of what is written, by the container's name: the digests that were judged.
    pub images: &'a BTreeMap<String, String>,
    /// The revision that production then is.
    pub revision: &'a str,
    /// The run that led to it.
    pub run: &'a str,
    /// Whether something else, as an autoscaler, counts the replicas: then they are left as they are.
    pub replicas_are_others: bool,
}

/// The promotion: one JSON patch that replaces `spec.template` and every other field of the spec that the wanted
/// Deployment declares, and stamps the run as a label and the revision as an annotation.
///
/// Fields that it doesn't declare stay as they are, `replicas` above all. It tests uid and resourceVersion as the workload
/// was read, so that anything anyone changed since refuses it (422).
///
/// # Errors
///
/// When the run id can't be a label value, or the template carries labels that are ours.
pub fn replacement_patch(workload: &Workload<'_>, replacement: &Replacement<'_>) -> Result<Vec<Value>, CloneError> {
    check_run(replacement.run)?;
    let mut patch = preconditions(workload);
    let template = template(replacement)?;
    patch.push(json!({"op": "replace", "path": "/spec/template", "value": template}));
    for (field, value) in replacement.desired.spec() {
        let others = field == "replicas" && replacement.replicas_are_others;
        if field == "template" || others || value.is_null() {
            continue;
        }
        let path = format!("/spec/{}", field.replace('~', "~0").replace('/', "~1"));
        patch.push(json!({"op": "add", "path": path, "value": value}));
    }
    patch.push(set_entry(workload, "labels", RUN_LABEL, replacement.run));
    patch.push(set_entry(workload, "annotations", PROMOTED_ANNOTATION, replacement.revision));
    Ok(patch)
}

/// Production as it is created where there was none: what is wanted, with the same stamps as a promotion. Nothing owns
/// it, so that it stays when what asked for it goes.
///
/// # Errors
///
/// When the run id can't be a label value, or the template carries labels that are ours.
pub fn first_deployment(namespace: &str, replacement: &Replacement<'_>) -> Result<Value, CloneError> {
    check_run(replacement.run)?;
    let desired = replacement.desired;
    let (mut labels, mut annotations) = (desired.metadata("labels"), desired.metadata("annotations"));
    labels.insert(RUN_LABEL.to_owned(), json!(replacement.run));
    annotations.insert(PROMOTED_ANNOTATION.to_owned(), json!(replacement.revision));
    let mut spec = desired.spec().clone();
    spec.insert("template".to_owned(), template(replacement)?);
    let metadata =
        json!({"name": desired.name(), "namespace": namespace, "labels": labels, "annotations": annotations});
    Ok(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}))
}

fn template(replacement: &Replacement<'_>) -> Result<Value, CloneError> {
    let labels = replacement.desired.template_labels().unwrap_or_default();
    match labels.keys().find(|key| key.starts_with(OURS)) {
        Some(label) => Err(CloneError::OurLabel { label: label.clone() }),
        None => Ok(replacement.desired.template_with(replacement.images)),
    }
}
