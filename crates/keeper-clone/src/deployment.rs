//! [`canary_deployment`]: the one-replica Deployment that tries what is wanted.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clone::CloneError;
use crate::desired::Desired;
use crate::labels::{self, CANARY_LABEL, KeptLabel, OURS, RUN_LABEL, TEMPLATE_HASH_LABEL};
use crate::workload::Workload;

/// On a canary Deployment and its pods: the value `canary` tells them from production.
pub const TIER_LABEL: &str = "tier";
const TIER: &str = "canary";
/// The label by which a workload asks for canaries of its own. A canary must not.
const OPT_IN: &str = "canary";
/// The longest name of a Deployment.
const MAX_NAME: usize = 253;

/// What the canary Deployment is to be.
#[derive(Clone, Copy, Debug)]
pub struct CanaryDeploymentSpec<'a> {
    /// What is wanted in the end.
    pub desired: &'a Desired<'a>,
    /// What is in production now.
    pub production: &'a Workload<'a>,
    /// What containers run in place of what is written, by the container's name.
    pub images: &'a BTreeMap<String, String>,
    /// The revision's short name for the label.
    pub revision: &'a str,
    /// The run's id for the label.
    pub run: &'a str,
    /// What the canary goes with: an owner reference, which is made a plain one.
    pub owner: &'a Value,
    /// The Services of the namespace. What those of them select by that reach the production pods stays on the canary.
    pub services: &'a [Value],
}

/// A canary Deployment, ready to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct CanaryDeployment {
    /// Its name; see [`canary_deployment_name`].
    pub name: String,
    /// Its JSON.
    pub deployment: Value,
    /// A pod of it, as far as labels and ownership go: for the [X-ray](crate::xray).
    pub pod: Value,
    /// Labels of the template that we would have replaced, kept because a Service selects by them.
    pub kept_labels: Vec<KeptLabel>,
}

/// The name of the canary of a production Deployment: `<name>-canary`.
pub fn canary_deployment_name(production: &str) -> String {
    format!("{production}-canary")
}

/// The canary Deployment: what is wanted, with one replica, these images, a name, labels and a selector of its own.
///
/// Its selector is made of labels that no production pod has, so that neither Deployment sees the other's pods. Its pods
/// have the labels of the template, `tier: canary` (unless a Service selects the production pods by `tier`) and ours. It
/// takes over no annotations of the Deployment: tools that keep their marks there would count it as theirs. It can't end
/// by itself as a canary pod does: servers refuse `activeDeadlineSeconds` in the template of a Deployment.
///
/// # Errors
///
/// When the template carries labels that are ours, what is to be a label value can't be one, or the name is too long.
pub fn canary_deployment(spec: &CanaryDeploymentSpec<'_>) -> Result<CanaryDeployment, CloneError> {
    let name = canary_deployment_name(spec.desired.name());
    if name.len() > MAX_NAME {
        return Err(CloneError::NameTooLong { name });
    }
    let (pod_labels, kept_labels) = pod_labels(spec)?;
    let mut template = spec.desired.template_with(spec.images);
    set_labels(&mut template, &pod_labels);
    let selector = [CANARY_LABEL, RUN_LABEL].map(|key| (key.to_owned(), json!(pod_labels.get(key))));
    let mut fields = spec.desired.spec().clone();
    fields.remove("paused");
    fields.insert("replicas".to_owned(), json!(1));
    fields.insert("selector".to_owned(), json!({"matchLabels": Map::from_iter(selector)}));
    fields.insert("template".to_owned(), template);
    let metadata = json!({
        "name": name,
        "namespace": spec.production.namespace(),
        "labels": own_labels(spec)?,
        "ownerReferences": [plain(spec.owner)],
    });
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": fields});
    let controller = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "controller": true}]);
    let metadata = json!({"labels": pod_labels, "ownerReferences": controller});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata});
    Ok(CanaryDeployment { name, deployment, pod, kept_labels })
}

fn pod_labels(spec: &CanaryDeploymentSpec<'_>) -> Result<(BTreeMap<String, String>, Vec<KeptLabel>), CloneError> {
    let labels = spec.desired.template_labels();
    // Read before; were it not a map of texts now, the server would say so.
    let mut labels = labels.unwrap_or_default();
    if let Some(label) = labels.keys().find(|key| key.starts_with(OURS)) {
        return Err(CloneError::OurLabel { label: label.clone() });
    }
    labels.remove(TEMPLATE_HASH_LABEL);
    let ours = labels::ours(spec.desired.name(), spec.revision, spec.run)?;
    let all = ours.into_iter().chain([(TIER_LABEL, TIER.to_owned())]);
    let kept = labels::set(&mut labels, all, spec.production, spec.services);
    Ok((labels, kept))
}

/// The labels of the Deployment itself.
fn own_labels(spec: &CanaryDeploymentSpec<'_>) -> Result<Map<String, Value>, CloneError> {
    let mut labels = spec.desired.metadata("labels");
    labels.retain(|key, _| !key.starts_with(OURS) && key != OPT_IN);
    labels.insert(TIER_LABEL.to_owned(), json!(TIER));
    let ours = labels::ours(spec.desired.name(), spec.revision, spec.run)?;
    labels.extend(ours.map(|(key, value)| (key.to_owned(), json!(value))));
    Ok(labels)
}

fn set_labels(template: &mut Value, labels: &BTreeMap<String, String>) {
    let Some(template) = template.as_object_mut() else { return };
    let metadata = template.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("labels".to_owned(), json!(labels));
    }
}

/// The reference without any claim to control.
fn plain(owner: &Value) -> Value {
    let mut owner = owner.clone();
    if let Some(fields) = owner.as_object_mut() {
        fields.remove("controller");
        fields.remove("blockOwnerDeletion");
    }
    owner
}
