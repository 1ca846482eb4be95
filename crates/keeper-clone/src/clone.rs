//! [`clone_pod`]: the canary pod.

use keeper_image::Reference;
use serde_json::{Map, Value, json};

use crate::labels::{KeptLabel, plan};
use crate::names::canary_name;
use crate::targets::Targets;
use crate::workload::{Malformed, Workload, WorkloadKind};

/// What the canary is to be.
#[derive(Clone, Copy, Debug)]
pub struct CanarySpec<'a> {
    /// The workload it is a copy of.
    pub workload: &'a Workload<'a>,
    /// The containers that get the image.
    pub targets: &'a Targets,
    /// The image. Must have a digest; a tag beside it is left out.
    pub image: &'a Reference,
    /// The revision's short name for the label: the first 12 hex characters of the digest.
    pub revision: &'a str,
    /// The run's id for the label.
    pub run: &'a str,
    /// After how many seconds the canary ends by itself: the watch over a canary that nobody watches.
    pub active_deadline_seconds: u32,
    /// The Services of the namespace. What those of them select by that reach the production pods stays on the canary.
    pub services: &'a [Value],
}

/// A canary pod, ready to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct CanaryPod {
    /// The pod's name; see [`canary_name`].
    pub name: String,
    /// The pod's JSON.
    pub pod: Value,
    /// Labels of the template that we would have replaced, kept because a Service selects by them.
    pub kept_labels: Vec<KeptLabel>,
}

/// The canary pod: `spec.template` with the image changed and `activeDeadlineSeconds` set, and nothing else in its spec.
///
/// It has the template's labels without those that controllers adopt by, plus ours; the template's annotations; and a
/// reference to the workload, with which it goes. For a Deployment that is a controller reference, so that no ReplicaSet
/// adopts it and drains treat it like any managed pod; for a DeploymentConfig it is a plain one. The same input always
/// gives the same pod.
///
/// # Errors
///
/// When the image has no digest, the template carries labels that are ours, or what is to be a label value can't be one.
pub fn clone_pod(spec: &CanarySpec<'_>) -> Result<CanaryPod, CloneError> {
    if spec.active_deadline_seconds == 0 {
        return Err(CloneError::NoDeadline);
    }
    let image = pinned(spec.image)?;
    let (labels, kept_labels) = plan(spec)?;
    let name = canary_name(spec.workload.name(), spec.workload.uid());
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(name));
    metadata.insert("namespace".to_owned(), json!(spec.workload.namespace()));
    metadata.insert("labels".to_owned(), json!(labels));
    // What a ReplicaSet copies too.
    for field in ["annotations", "finalizers"] {
        let copied = spec.workload.template().get("metadata").and_then(|from| from.get(field));
        if let Some(copied) = copied.filter(|copied| !copied.is_null()) {
            metadata.insert(field.to_owned(), copied.clone());
        }
    }
    metadata.insert("ownerReferences".to_owned(), json!([owner(spec.workload)]));
    let mut pod_spec = spec.workload.template().get("spec").cloned().unwrap_or_default();
    set_images(&mut pod_spec, spec.targets, &image)?;
    if let Some(fields) = pod_spec.as_object_mut() {
        fields.insert("activeDeadlineSeconds".to_owned(), json!(spec.active_deadline_seconds));
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec});
    Ok(CanaryPod { name, pod, kept_labels })
}

/// What is written as image: repository and digest, no tag.
pub(crate) fn pinned(image: &Reference) -> Result<String, CloneError> {
    match image.digest() {
        Some(digest) => Ok(image.with_digest(digest.clone()).to_string()),
        None => Err(CloneError::NotPinned { image: image.to_string() }),
    }
}

/// For a Deployment a controller reference: measured to keep ReplicaSets away. A DeploymentConfig's would be counted twice
/// by disruption budgets, so there it is a plain one. `blockOwnerDeletion` would need rights on finalizers.
fn owner(workload: &Workload<'_>) -> Value {
    let mut owner = Map::new();
    owner.insert("apiVersion".to_owned(), json!(workload.kind().api_version()));
    owner.insert("kind".to_owned(), json!(workload.kind().name()));
    owner.insert("name".to_owned(), json!(workload.name()));
    owner.insert("uid".to_owned(), json!(workload.uid()));
    if workload.kind() == WorkloadKind::Deployment {
        owner.insert("controller".to_owned(), json!(true));
    }
    Value::Object(owner)
}

fn set_images(pod_spec: &mut Value, targets: &Targets, image: &str) -> Result<(), CloneError> {
    for target in targets.iter() {
        let container = pod_spec
            .get_mut(target.list())
            .and_then(|list| list.get_mut(target.index))
            .and_then(Value::as_object_mut)
            // Targets chosen from another workload would change the wrong container.
            .filter(|container| container.get("name").and_then(Value::as_str) == Some(&target.name))
            .ok_or_else(|| CloneError::OtherTargets { container: target.name.clone() })?;
        container.insert("image".to_owned(), json!(image));
    }
    Ok(())
}

/// Why there is no pod or no patch. Trying again does not help; the input has to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloneError {
    /// The workload's JSON lacks something.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The image has no digest, so that what runs could differ from what was judged.
    #[error("image {image} has no digest: resolve it first")]
    NotPinned {
        /// The image, canonical.
        image: String,
    },
    /// The template carries a label that tells canaries from production pods.
    #[error("the template has the label {label}, which is for canaries only: remove it")]
    OurLabel {
        /// The label's key.
        label: String,
    },
    /// The revision or the run id can't be a label value.
    #[error("the {what} cannot be a label value: 1 to 63 letters, digits, dashes, underscores and dots are possible")]
    NotALabelValue {
        /// Which of the two.
        what: &'static str,
    },
    /// A canary without a deadline could stay for ever.
    #[error("the canary's deadline is zero seconds: at least one is needed")]
    NoDeadline,
    /// The name would be longer than the server takes.
    #[error("the name {name} is too long for a Deployment: at most 253 characters are possible")]
    NameTooLong {
        /// The name.
        name: String,
    },
    /// The targets were chosen from another state of the workload.
    #[error("container {container} is not where it was when it was chosen: choose again from this workload")]
    OtherTargets {
        /// The container's name.
        container: String,
    },
}
