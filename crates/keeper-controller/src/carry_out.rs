//! Carry out: one order after the other, each by the one request that it stands for. Which failure means what is here;
//! what follows from it is the core's.

use crate::clone;
use crate::context::Context;
use crate::error::ClusterError;
use crate::gathered::{Front, Gathered, Made, Promotion};
use crate::memory::{Memory, Own};
use crate::records;
use crate::resource::{self, Resource};
use crate::show::Face;
use keeper_api::record::Signals;
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
            Order::Record(record) => write_record(context, gathered, record, step, memory).await?,
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
    let (Front::Annotations(_), Stored::Readable(record)) = (&gathered.front, &gathered.stored) else {
        return Ok(Outcome::Done);
    };
    let State::Promoting(run, _) = &record.state else { return Ok(Outcome::Done) };
    let accepted = |workload: &DynamicObject| {
        workload.labels().get(keeper_api::keys::RUN_LABEL).map(String::as_str) == Some(run.id.as_str())
    };
    if !accepted(&gathered.subject) || clone::roll_out(&gathered.subject).is_none() {
        return Ok(Outcome::Done);
    }
    let cluster = &context.shared.cluster;
    let Some(now) = cluster.subject(&gathered.key).await?.filter(accepted) else { return Ok(Outcome::Soon) };
    let Some(request) = clone::roll_out(&now) else { return Ok(Outcome::Soon) };
    match cluster.instantiate(&gathered.key, &request).await {
        Ok(rolled) => {
            memory.workload.wrote(gathered.subject.resource_version(), rolled);
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
    let promotion = match rehearsal(context, gathered, revision, run).await? {
        Ok(promotion) => promotion,
        Err(message) => return Ok(refuse(memory, Refused::Preflight, message)),
    };
    let cluster = &context.shared.cluster;
    let patch = match promotion {
        Promotion::Patch(patch) => patch,
        // Without production there is no canary either.
        Promotion::Create(production) => {
            return match cluster.create_workload(&production, true).await {
                Ok(_) => Ok(Outcome::Done),
                Err(error) => refused(memory, Refused::Preflight, error),
            };
        }
    };
    if !context.shared.take_place(&gathered.key, &gathered.services) {
        return Ok(Outcome::Soon);
    }
    let canary = match gathered.canary(context, revision, run) {
        Ok(canary) => canary,
        Err(message) => return Ok(refuse(memory, Refused::Preflight, message)),
    };
    if let Err(error) = cluster.patch_workload(&gathered.production(), &patch, true).await {
        return refused(memory, Refused::Preflight, error);
    }
    match cluster.create_canary(&canary, &gathered.canary_kind(), true).await {
        Ok(_) => Ok(Outcome::Done),
        Err(error) => refused(memory, Refused::Preflight, error),
    }
}

/// The promotion as it is tried beforehand.
async fn rehearsal(
    context: &Context,
    gathered: &Gathered,
    revision: &Revision,
    run: &RunId,
) -> Result<Made<Promotion>, ClusterError> {
    match &gathered.front {
        Front::Annotations(front) => Ok(clone::rehearsal(gathered, front, revision, run).map(Promotion::Patch)),
        Front::Resource(resource) => {
            // Our watch keeps a part of production only.
            let production = context.shared.cluster.subject(&gathered.production()).await?;
            let made = whole_promotion(context, gathered, resource, production.as_ref(), revision, run).await?;
            Ok(made.map(|promotion| match promotion {
                Promotion::Patch(patch) => Promotion::Patch(clone::of_any_version(patch)),
                create @ Promotion::Create(_) => create,
            }))
        }
    }
}

async fn whole_promotion(
    context: &Context,
    gathered: &Gathered,
    resource: &Resource,
    production: Option<&DynamicObject>,
    revision: &Revision,
    run: &RunId,
) -> Result<Made<Promotion>, ClusterError> {
    let replicas_are_others = match production {
        Some(_) if resource.says_replicas() => autoscaled(context, gathered).await?,
        _ => false,
    };
    Ok(resource::make::promotion(gathered, resource, production, revision, run, replicas_are_others))
}

/// Whether an autoscaler counts production's replicas; in doubt it does.
async fn autoscaled(context: &Context, gathered: &Gathered) -> Result<bool, ClusterError> {
    let (namespace, name, _) = gathered.production();
    match context.shared.cluster.is_autoscaled(&namespace, &name).await {
        Err(ClusterError::NotFound { .. }) => Ok(false),
        Err(error @ ClusterError::Refused { .. }) => {
            tracing::warn!(namespace, %error, "replicas are left as they are: autoscalers can't be seen");
            Ok(true)
        }
        answer => answer,
    }
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
    step: &Step,
    memory: &mut Memory,
) -> Result<Outcome, ClusterError> {
    let cluster = &context.shared.cluster;
    let signals = signals(gathered, record, memory);
    let object = match &gathered.front {
        Front::Annotations(front) => {
            records::write(front.record.as_deref(), &gathered.subject, &gathered.canary_name(), record, &signals)
        }
        Front::Resource(resource) => {
            resource::status::with_record(gathered, resource, (record, &signals), step, memory)
        }
    };
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
            let there = match &gathered.front {
                Front::Annotations(_) => cluster.record(&gathered.key.0, &object.name_any()).await?,
                Front::Resource(_) => cluster.subject(&gathered.key).await?,
            };
            if let Some(there) = there {
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

/// What the signals of the record's run need after a restart: as they are, or as they were stored where none was asked yet.
fn signals(gathered: &Gathered, record: &Record, memory: &Memory) -> Signals {
    let Some(run) = record.state.run() else { return Signals::new() };
    if let Some(signals) = memory.signals.as_ref().filter(|signals| signals.run == run.id) {
        return signals.stored();
    }
    let before = match &gathered.front {
        Front::Annotations(front) => front.record.as_deref(),
        Front::Resource(_) => Some(&*gathered.subject),
    };
    let same = matches!(&gathered.stored, Stored::Readable(old) if old.state.run().is_some_and(|old| old.id == run.id));
    before.filter(|_| same).map(records::signals).unwrap_or_default()
}

async fn create(
    context: &Context,
    gathered: &Gathered,
    revision: &Revision,
    run: &RunId,
    memory: &mut Memory,
) -> Result<Outcome, ClusterError> {
    let canary = match gathered.canary(context, revision, run) {
        Ok(canary) => canary,
        Err(message) => return Ok(refuse(memory, Refused::Create, message)),
    };
    let (cluster, kind) = (&context.shared.cluster, gathered.canary_kind());
    match cluster.create_canary(&canary, &kind, false).await {
        Ok(created) => memory.canary.wrote(None, created),
        // A create whose answer was lost, or a canary that our watch doesn't show yet. Whose it is the core will see.
        Err(ClusterError::Conflict { .. }) => {
            if let Some(there) = cluster.canary(&gathered.key.0, &canary.name_any(), &kind).await? {
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
    let (namespace, name, kind) = (&gathered.key.0, gathered.canary_name(), gathered.canary_kind());
    let cluster = &context.shared.cluster;
    match cluster.delete_canary(namespace, &name, &kind, uid).await {
        Ok(()) | Err(ClusterError::NotFound { .. }) => {}
        // Another pod has the name now, or the server was in two minds about this one: only a look tells.
        Err(ClusterError::Conflict { .. }) => {
            let there = cluster.canary(namespace, &name, &kind).await?;
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
    let (made, before) = match &gathered.front {
        Front::Annotations(front) => {
            // Only where annotations are there can some be added one by one.
            let annotated = !gathered.subject.annotations().is_empty();
            let shown = face.filter(|_| annotated).map_or(Value::Null, Face::annotations);
            let patch = clone::promotion(gathered, front, revision, run, &shown);
            (patch.map(Promotion::Patch), gathered.subject.resource_version())
        }
        Front::Resource(resource) => {
            let production = resource.production.as_deref();
            if production.is_some_and(|production| !crate::view::is_whole(production)) {
                return Ok(Outcome::Again(Read::Production));
            }
            let made = whole_promotion(context, gathered, resource, production, revision, run).await?;
            (made, production.and_then(|production| production.resource_version()))
        }
    };
    let sent = match made {
        Ok(Promotion::Patch(patch)) => {
            context.shared.cluster.patch_workload(&gathered.production(), &patch, false).await
        }
        Ok(Promotion::Create(production)) => context.shared.cluster.create_workload(&production, false).await,
        Err(message) => return Ok(refuse(memory, Refused::Promote, message)),
    };
    match sent {
        Ok(production) => {
            memory.workload.wrote(before, production);
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
    let Ok(patch) = gathered.fence(run) else { return Ok(Outcome::Soon) };
    match context.shared.cluster.patch_workload(&gathered.production(), &patch, false).await {
        Ok(patched) => {
            let before = match &gathered.front {
                Front::Annotations(_) => gathered.subject.resource_version(),
                Front::Resource(resource) => resource.production.as_ref().and_then(|it| it.resource_version()),
            };
            memory.workload.wrote(before, patched);
            Ok(Outcome::Done)
        }
        // The workload moved: what was on its way can't land any more, or has.
        Err(ClusterError::Refused { .. } | ClusterError::Conflict { .. } | ClusterError::NotFound { .. }) => {
            Ok(Outcome::Soon)
        }
        Err(error) => Err(error),
    }
}
