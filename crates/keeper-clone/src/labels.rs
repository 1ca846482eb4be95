//! The canary's labels: the template's, minus what ties it to a controller, plus ours.

use serde_json::Value;

use crate::clone::{CanarySpec, CloneError};
use crate::names::{is_label_value, label_value};
use crate::selector::{Labels, service_selector};
use crate::workload::{Workload, WorkloadKind, name_of};
use crate::xray::production_services;

/// On the canary: the workload it is a copy of.
pub const CANARY_LABEL: &str = "canary-keeper.dev/canary";
/// On the canary: the first 12 hex characters of the digest it runs.
pub const REVISION_LABEL: &str = "canary-keeper.dev/revision";
/// On the canary and on a promoted workload: the run it belongs to.
pub const RUN_LABEL: &str = "canary-keeper.dev/run";
/// On the canary: who made it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY_LABEL`].
pub const MANAGER: &str = "canary-keeper";

/// What a ReplicaSet tells its pods by.
pub(crate) const TEMPLATE_HASH_LABEL: &str = "pod-template-hash";
/// What a ReplicationController of a DeploymentConfig tells its pods by.
const DEPLOYMENT_LABEL: &str = "deployment";
/// What all pods of a DeploymentConfig carry: its name.
pub(crate) const CONFIG_LABEL: &str = "deploymentconfig";
/// The prefix of what is ours.
pub(crate) const OURS: &str = "canary-keeper.dev/";

/// A label of the template that we would have replaced, kept because a Service selects by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLabel {
    /// The label's key.
    pub label: String,
    /// The Service that selects by it.
    pub service: String,
}

/// The canary's labels, and those of the template that a Service made us keep.
pub(crate) fn plan(spec: &CanarySpec<'_>) -> Result<(Labels, Vec<KeptLabel>), CloneError> {
    let mut labels = spec.workload.template_labels()?;
    if let Some(label) = labels.keys().find(|key| key.starts_with(OURS)) {
        return Err(CloneError::OurLabel { label: label.clone() });
    }
    match spec.workload.kind() {
        WorkloadKind::Deployment => drop(labels.remove(TEMPLATE_HASH_LABEL)),
        WorkloadKind::DeploymentConfig => untie(spec, &mut labels),
    }
    let ours = ours(spec.workload.name(), spec.revision, spec.run)?;
    let kept = set(&mut labels, ours, spec.workload, spec.services);
    Ok((labels, kept))
}

/// Sets labels of ours, except where a Service selects the production pods by one. Answers those.
pub(crate) fn set(
    labels: &mut Labels,
    ours: impl IntoIterator<Item = (&'static str, String)>,
    workload: &Workload<'_>,
    services: &[Value],
) -> Vec<KeptLabel> {
    let mut kept = Vec::new();
    for (key, value) in ours {
        match selected_by(workload, services, key) {
            Some(service) => kept.push(KeptLabel { label: key.to_owned(), service }),
            None => {
                labels.insert(key.to_owned(), value);
            }
        }
    }
    kept
}

/// Without `deployment` no ReplicationController adopts the canary. `deploymentconfig` goes too, unless that would take
/// the canary off a Service: there it gets what the production pods have, whether the template says so or not.
fn untie(spec: &CanarySpec<'_>, labels: &mut Labels) {
    labels.remove(DEPLOYMENT_LABEL);
    labels.remove(CONFIG_LABEL);
    if selected_by(spec.workload, spec.services, CONFIG_LABEL).is_some() {
        labels.insert(CONFIG_LABEL.to_owned(), spec.workload.name().to_owned());
    }
}

/// The labels that tell a canary, its workload, its revision and its run.
pub(crate) fn ours(workload: &str, revision: &str, run: &str) -> Result<[(&'static str, String); 4], CloneError> {
    for (what, value) in [("revision", revision), ("run", run)] {
        if value.is_empty() || !is_label_value(value) {
            return Err(CloneError::NotALabelValue { what });
        }
    }
    Ok([
        (CANARY_LABEL, label_value(workload)),
        (REVISION_LABEL, revision.to_owned()),
        (RUN_LABEL, run.to_owned()),
        (MANAGED_BY_LABEL, MANAGER.to_owned()),
    ])
}

/// The first Service that selects the production pods by this label among others.
fn selected_by(workload: &Workload<'_>, services: &[Value], key: &str) -> Option<String> {
    production_services(workload, &[], services)
        .into_iter()
        .find(|service| service_selector(service).is_some_and(|selector| selector.contains_key(key)))
        .map(|service| name_of(service).to_owned())
}
