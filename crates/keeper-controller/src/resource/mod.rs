//! Resource mode: a Canary says which Deployment is wanted, and its status is the record.
//!
//! Everything that is decided is decided by the same core as in annotation mode. Here is what is seen of a Canary, of its
//! production and of the Deployment that tries it, and what is made of them.

mod gather;
mod images;
pub(crate) mod make;
mod observe;
pub(crate) mod status;

pub(crate) use gather::gather;

use crate::cluster::Told;
use crate::context::Context;
use crate::error::ClusterError;
use crate::gathered::{Front, Gathered};
use crate::kind::{self, Subject};
use crate::memory::Memory;
use crate::view::Key;
use keeper_api::Invalid;
use keeper_api::canary::CanaryWish;
use keeper_rollout::{Because, Step};
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What resource mode needs beside the Canary.
pub(crate) struct Resource {
    /// The name of the production Deployment.
    pub(crate) name: String,
    /// Production, where it exists; in part only where it was not read afresh.
    pub(crate) production: Option<Arc<DynamicObject>>,
    /// The Deployment that tries what is wanted.
    pub(crate) canary: Option<Arc<DynamicObject>>,
    pub(crate) wish: Result<CanaryWish, Invalid>,
    /// The images that were resolved: as written, and by digest.
    pub(crate) images: BTreeMap<String, String>,
    /// The images that could not be, and why.
    pub(crate) unresolved: Vec<String>,
    /// The reason why nothing is done for this Canary, where that is not its own spec.
    pub(crate) refused_as: Option<&'static str>,
}

impl Resource {
    /// Whether the wanted Deployment says how many replicas there are to be.
    pub(crate) fn says_replicas(&self) -> bool {
        let wish = self.wish.as_ref().ok();
        let desired = wish.and_then(|wish| keeper_clone::Desired::read(&wish.deployment).ok());
        desired.is_some_and(|desired| desired.says_replicas())
    }
}

/// Tells once a run what its owner should know, and once a promotion where production runs other images than were judged.
pub(crate) async fn tell(context: &Context, gathered: &Gathered, step: &Step, memory: &Memory) {
    let Front::Resource(resource) = &gathered.front else { return };
    let (reason, notes, run) = match &step.because {
        Because::CanaryLaunching(_) if memory.recorded => {
            let run = step.orders.iter().find_map(|order| match order {
                keeper_rollout::Order::CreateCanary { run, .. } => Some(run.to_string()),
                _ => None,
            });
            ("CanaryNotes", notes(resource), run.unwrap_or_default())
        }
        Because::Promoted { .. } => {
            let pods = match &resource.production {
                Some(production) => {
                    context.view.production_pods(&gathered.key.0, &production.uid().unwrap_or_default())
                }
                None => return,
            };
            let run = memory.judged.as_ref().map(|(run, _)| run.to_string()).unwrap_or_default();
            ("ImagesDiffer", images::differing(resource, &pods, memory), run)
        }
        _ => return,
    };
    if notes.is_empty() {
        return;
    }
    let warning = reason == "ImagesDiffer" || !resource.unresolved.is_empty();
    let event = Told { run: &run, reason, note: &notes.join("; "), warning };
    if let Err(error) = context.shared.cluster.tell(&gathered.subject, &event).await {
        tracing::warn!(%error, "an event could not be told");
    }
}

fn notes(resource: &Resource) -> Vec<String> {
    let mut notes = resource.wish.as_ref().map_or(Vec::new(), |wish| wish.notes.clone());
    notes.extend(resource.unresolved.iter().cloned());
    let ready = resource.production.as_ref().and_then(|p| crate::json::number(&p.data, "/status/readyReplicas"));
    let share = keeper_clone::Note::Share { production: ready.and_then(|n| u32::try_from(n).ok()).unwrap_or(0) };
    notes.push(share.to_string());
    notes.push("a canary Deployment can't end by itself: without an operator it stays until it is deleted".into());
    notes
}

/// Removes the Deployments that were made for a Canary that is gone. The garbage collector does so too, where there is one
/// and when it comes to it.
pub(crate) async fn remove_orphans(context: &Context, key: &Key) -> Result<(), ClusterError> {
    if key.2 != Subject::Canary {
        return Ok(());
    }
    let cluster = &context.shared.cluster;
    for deployment in context.view.deployments_of_canary(&key.0, &key.1) {
        let Some((_, owner)) = kind::owning_canary(&deployment) else { continue };
        if deployment.metadata.deletion_timestamp.is_some() {
            continue;
        }
        // Our watch may be late, or another Canary have come under the name.
        let there = cluster.subject(key).await?;
        if there.is_some_and(|canary| canary.uid().as_deref() == Some(owner.as_str())) {
            continue;
        }
        let uid = deployment.uid().unwrap_or_default();
        match cluster.delete_canary(&key.0, &deployment.name_any(), &Subject::DEPLOYMENT.resource(), &uid).await {
            Ok(()) => {
                tracing::info!(namespace = key.0, canary = key.1, "removed the Deployment of a Canary that is gone")
            }
            Err(ClusterError::NotFound { .. } | ClusterError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
