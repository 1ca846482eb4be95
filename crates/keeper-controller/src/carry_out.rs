//! Carry out: one order after the other, each by the one request that it stands for. Which failure means what is here;
//! what follows from it is the core's.

use crate::clone;
use crate::context::Context;
use crate::error::ClusterError;
use crate::gathered::Gathered;
use crate::memory::{Memory, Own};
use crate::names::canary_name;
use crate::records;
use crate::show::Face;
use keeper_rollout::{Afresh, Order, Read, Record, Refusal, Refused, Revision, RunId, State, Step, Stored};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

/// How the list ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every order was carried out.
    Done,
    /// The core wants to see more.
    Again(Read),
    /// The world is not as it was seen: look again soon.
    Soon,
}

pub(crate) async fn carry_out(
    context: &Context,
    gathered: &Gathered,
    step: &Step,
    face: Option<&Face>,
    memory: &mut Memory,
) -> Result<Outcome, ClusterError> {
    for order in &step.orders {
        let outcome = match order {
            Order::Read(Afresh::Production) => Outcome::Again(Read::Production),
            Order::Read(Afresh::Record) => Outcome::Again(Read::Record),
            Order::Preflight { revision, run } => preflight(context, gathered, revision, run, memory).await?,
            Order::Record(record) => write_record(context, gathered, record, memory).await?,
            Order::CreateCanary { revision, run } => create(context, gathered, revision, run, memory).await?,
            Order::DeleteCanary(uid) => delete(context, gathered, uid.as_str(), memory).await?,
            Order::Promote { revision, run, .. } => promote(context, gathered, revision, run, face, memory).await?,
            Order::Fence { run, .. } => fence(context, gathered, run, memory).await?,
        };
        if outcome != Outcome::Done {
            return Ok(outcome);
        }
    }
    roll_out(context, gathered, memory).await
}

/// The rest of a promotion that was accepted: a DeploymentConfig without ConfigChange trigger, on a server that passed over
/// the raised version, must be told to roll out. Only while its version is the one noted in the promotion itself, so that
/// it is done once whoever does it.
async fn roll_out(context: &Context, gathered: &Gathered, memory: &mut Memory) -> Result<Outcome, ClusterError> {
    let Stored::Readable(record) = &gathered.stored else { return Ok(Outcome::Done) };
    let State::Promoting(run, _) = &record.state else { return Ok(Outcome::Done) };
    let accepted = |workload: &DynamicObject| {
        workload.labels().get(keeper_api::keys::RUN_LABEL).map(String::as_str) == Some(run.id.as_str())
    };
    if !accepted(&gathered.workload) || clone::roll_out(&gathered.workload).is_none() {
        return Ok(Outcome::Done);
    }
    let cluster = &context.shared.cluster;
    let Some(now) = cluster.workload(&gathered.key).await?.filter(accepted) else { return Ok(Outcome::Soon) };
    let Some(request) = clone::roll_out(&now) else { return Ok(Outcome::Soon) };
    match cluster.instantiate(&gathered.key, &request).await {
        Ok(rolled) => {
            memory.workload.wrote(gathered.workload.resource_version(), rolled);
            Ok(Outcome::Done)
        }
        Err(ClusterError::Conflict { .. }) => Ok(Outcome::Soon),
        // The rollout's own deadline tells the workload's owner.
        Err(error @ (ClusterError::NotFound { .. } | ClusterError::Refused { .. })) => {
            tracing::warn!(%error, "a promoted workload can't be rolled out");
            Ok(Outcome::Done)
        }
        Err(error) => Err(error),
    }
}

/// The promotion and the canary, once, as dry-run: fields that can't change, admission, quota and rights fail here.
async fn preflight(
    context: &Context,
    gathered: &Gathered,
    revision: &Revision,
    run: &RunId,
    memory: &mut Memory,
) -> Result<Outcome, ClusterError> {
    if !context.shared.take_place(&gathered.key, &gathered.services) {
        return Ok(Outcome::Soon);
    }
    let made = clone::rehearsal(gathered, revision, run)
        .and_then(|patch| Ok((patch, canary(context, gathered, revision, run)?)));
    let (patch, pod) = match made {
        Ok(made) => made,
        Err(message) => return Ok(refuse(memory, Refused::Preflight, message)),
    };
    let cluster = &context.shared.cluster;
    if let Err(error) = cluster.patch_workload(&gathered.key, &patch, true).await {
        return refused(memory, Refused::Preflight, error);
    }
    match cluster.create_canary(&pod, true).await {
        Ok(_) => Ok(Outcome::Done),
        Err(error) => refused(memory, Refused::Preflight, error),
    }
}

fn canary(context: &Context, gathered: &Gathered, revision: &Revision, run: &RunId) -> Result<DynamicObject, String> {
    clone::pod(context, gathered, revision, run)
}

fn refuse(memory: &mut Memory, what: Refused, message: String) -> Outcome {
    memory.refused = Some(Refusal { what, message });
    Outcome::Soon
}

/// A no for good is told to the core; anything passing is tried again.
fn refused(memory: &mut Memory, what: Refused, error: ClusterError) -> Result<Outcome, ClusterError> {
    match error {
        ClusterError::Refused { message, .. } => Ok(refuse(memory, what, crate::json::cut(&message, 500))),
        ClusterError::Conflict { .. } | ClusterError::NotFound { .. } => Ok(Outcome::Soon),
        ClusterError::Unavailable { .. } | ClusterError::TimedOut { .. } | ClusterError::Patch(_) => Err(error),
    }
}

async fn write_record(
    context: &Context,
    gathered: &Gathered,
    record: &Record,
    memory: &mut Memory,
) -> Result<Outcome, ClusterError> {
    let cluster = &context.shared.cluster;
    let name = canary_name(&gathered.workload);
    let object = records::write(gathered.record.as_deref(), &gathered.workload, &name, record);
    match cluster.write_record(&object).await {
        Ok(written) => {
            memory.store_failures = 0;
            memory.recorded = true;
            memory.record.wrote(object.resource_version(), written);
            context.shared.note_run(&gathered.key, record.state.run().is_some(), &gathered.services);
            Ok(Outcome::Done)
        }
        Err(ClusterError::Conflict { .. }) => {
            // Our watch may be behind: what the server holds is what the next decision is formed from.
            if let Some(there) = cluster.record(&gathered.key.0, &name).await? {
                memory.record.wrote(object.resource_version(), there);
            }
            Ok(Outcome::Soon)
        }
        Err(error) => {
            memory.store_failures = memory.store_failures.saturating_add(1);
            Err(error)
        }
    }
}

async fn create(
    context: &Context,
    gathered: &Gathered,
    revision: &Revision,
    run: &RunId,
    memory: &mut Memory,
) -> Result<Outcome, ClusterError> {
    let pod = match canary(context, gathered, revision, run) {
        Ok(pod) => pod,
        Err(message) => return Ok(refuse(memory, Refused::Create, message)),
    };
    let cluster = &context.shared.cluster;
    match cluster.create_canary(&pod, false).await {
        Ok(created) => memory.canary.wrote(None, created),
        // A create whose answer was lost, or a pod that our watch doesn't show yet. Whose it is the core will see.
        Err(ClusterError::Conflict { .. }) => {
            if let Some(there) = cluster.canary(&gathered.key.0, &pod.name_any()).await? {
                memory.canary.wrote(None, there);
            }
        }
        Err(error) => return refused(memory, Refused::Create, error),
    }
    Ok(Outcome::Done)
}

async fn delete(
    context: &Context,
    gathered: &Gathered,
    uid: &str,
    memory: &mut Memory,
) -> Result<Outcome, ClusterError> {
    let (namespace, name) = (&gathered.key.0, canary_name(&gathered.workload));
    let cluster = &context.shared.cluster;
    match cluster.delete_canary(namespace, &name, uid).await {
        Ok(()) | Err(ClusterError::NotFound { .. }) => {}
        // Another pod has the name now, or the server was in two minds about this one: only a look tells.
        Err(ClusterError::Conflict { .. }) => {
            let there = cluster.canary(namespace, &name).await?;
            if there.is_some_and(|there| there.uid().as_deref() == Some(uid)) {
                return Ok(Outcome::Soon);
            }
        }
        Err(error) => return Err(error),
    }
    memory.canary = Own::Deleted { uid: uid.to_owned() };
    Ok(Outcome::Done)
}

async fn promote(
    context: &Context,
    gathered: &Gathered,
    revision: &Revision,
    run: &RunId,
    face: Option<&Face>,
    memory: &mut Memory,
) -> Result<Outcome, ClusterError> {
    // Only where annotations are there can some be added one by one.
    let annotated = !gathered.workload.annotations().is_empty();
    let shown = face.filter(|_| annotated).map_or(Value::Null, Face::annotations);
    let patch = match clone::promotion(gathered, revision, run, &shown) {
        Ok(patch) => patch,
        Err(message) => return Ok(refuse(memory, Refused::Promote, message)),
    };
    match context.shared.cluster.patch_workload(&gathered.key, &patch, false).await {
        Ok(patched) => {
            memory.workload.wrote(gathered.workload.resource_version(), patched);
            Ok(Outcome::Done)
        }
        Err(error) => refused(memory, Refused::Promote, error),
    }
}

async fn fence(
    context: &Context,
    gathered: &Gathered,
    run: &RunId,
    memory: &mut Memory,
) -> Result<Outcome, ClusterError> {
    let Ok(patch) = clone::fence(gathered, run) else { return Ok(Outcome::Soon) };
    match context.shared.cluster.patch_workload(&gathered.key, &patch, false).await {
        Ok(patched) => {
            memory.workload.wrote(gathered.workload.resource_version(), patched);
            Ok(Outcome::Done)
        }
        // The workload moved: what was on its way can't land any more, or has.
        Err(ClusterError::Refused { .. } | ClusterError::Conflict { .. } | ClusterError::NotFound { .. }) => {
            Ok(Outcome::Soon)
        }
        Err(error) => Err(error),
    }
}
