//! Gather: everything that one decision needs, from our watches, the registry, the signals, and where the core asks for
//! it the server. Decides nothing.

use crate::clone::{self, Clonable};
use crate::context::Context;
use crate::error::ClusterError;
use crate::gathered::{Annotated, Front, Gathered};
use crate::json::as_json;
use crate::kind::{self, Subject};
use crate::look::look;
use crate::memory::Memory;
use crate::names::canary_name;
use crate::view::{CANARY_OF, Key};
use crate::{observe, records, registry};
use jiff::Timestamp;
use keeper_alertmanager::LabelMatcher;
use keeper_api::{Invalid, Wish};
use keeper_rollout::{Blocker, BlockerKind, Observation, Production, Read, Run, Stored, TemplateHash, Workload};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How long the store may refuse our record before a canary goes all the same.
pub(crate) const STORE_REFUSES_AFTER: u32 = 3;

pub(crate) async fn gather(
    context: &Context,
    key: &Key,
    memory: &mut Memory,
    read: Read,
    now: Timestamp,
) -> Result<Option<Gathered>, ClusterError> {
    if key.2 == Subject::Canary {
        return crate::resource::gather(context, key, memory, read, now).await;
    }
    let Some((workload, pod)) = objects(context, key, memory, read, now).await? else { return Ok(None) };
    let foreign = pod.as_ref().filter(|pod| !pod.labels().contains_key(CANARY_OF)).map(|pod| pod.name_any());
    let pod = pod.filter(|_| foreign.is_none());
    let record = record(context, key, &workload, memory, read, now).await?;
    let stored = records::read(record.as_deref());
    let wish = wish(context, &workload);
    let containers = wish.as_ref().map_or(Vec::new(), |wish| wish.containers.clone());
    let view = &context.view;
    let services = observe::production_services(&workload, &view.services(&key.0));
    let plan = wish.as_ref().map_or_else(|_| context.shared.settings.defaults.plan.clone(), |wish| wish.plan.clone());

    let seen = wish.as_ref().ok().and_then(|wish| registry::seen(context, key, &wish.image, memory));
    let unasked = seen.as_ref().is_some_and(|seen| seen.at.is_none() && seen.digest.is_none());
    let pods = view.production_pods(&key.0, &workload.uid().unwrap_or_default());
    let wanted = seen.as_ref().and_then(|seen| seen.digest.clone());
    let same = registry::equivalents(context, &wish, &workload, &containers, wanted.as_ref()).await;
    let production = observe::production(&workload, &containers, &pods, &same, wanted.as_ref());

    let canary = match &pod {
        None => None,
        Some(pod) => {
            let head = registry::head(context, &wish, run(&stored), pod, &containers, memory, now).await;
            let reach = observe::reach(pod, &services, &view.slices(&key.0));
            Some(observe::canary(pod, &containers, reach, head.as_ref()))
        }
    };
    let signals = match (&wish, &pod, &canary) {
        (Ok(wish), Some(pod), Some(canary)) => {
            look(
                context,
                &workload.name_any(),
                (&wish.checks, &wish.plan),
                (&stored, record.as_deref()),
                pod,
                canary,
                &pods,
                memory,
                now,
            )
            .await
        }
        _ => Vec::new(),
    };
    let clonable = Clonable {
        workload: &workload,
        wish: &wish,
        services: &services,
        controllers: &view.controllers(&key.0),
        read_write_once: &read_write_once(context, key, &claims(&workload.data), &stored, memory, now).await?,
    };
    let foreign = foreign.map(|name| Blocker {
        kind: BlockerKind::CloneRefused,
        text: format!("pod {name} has the canary's name and is not ours; delete or rename it"),
    });
    let crowd = context.shared.crowd(key, &services);
    let blocker = observe::blocker(&workload, &crowd, context.shared.settings.limits)
        .or(foreign)
        .or_else(|| clone::blocker(context, &clonable, wanted.as_ref(), &production));
    let observation = Observation {
        read,
        workload: observed_workload(&workload, &wish, &containers, production, blocker),
        wanted: registry::wanted(&wish, seen, run(&stored)),
        canary,
        signals,
        alert_path_live: false,
        watch: memory.watch.clone(),
        refused: memory.refused.clone(),
        store_refuses: memory.store_failures >= STORE_REFUSES_AFTER,
    };
    let (key, front) = (key.clone(), Front::Annotations(Box::new(Annotated { wish, record })));
    Ok(Some(Gathered { key, subject: workload, plan, stored, services, observation, unasked, front }))
}

/// What the workload's owner asks for.
fn wish(context: &Context, workload: &DynamicObject) -> Result<Wish, Invalid> {
    let wish = keeper_api::read(&as_json(workload), &context.shared.settings.defaults)?;
    understood(&wish.alert_matchers, &format!("annotation {}", keeper_api::keys::ALERT_MATCHERS))?;
    Ok(wish)
}

/// Alert matchers are read where alerts are understood.
pub(crate) fn understood(matchers: &[String], field: &str) -> Result<(), Invalid> {
    for matcher in matchers {
        LabelMatcher::parse_list(matcher).map_err(|error| Invalid {
            field: field.to_owned(),
            problem: error.to_string(),
            fix: "write matchers as Alertmanager does, such as team=\"shop\"".into(),
        })?;
    }
    Ok(())
}

/// The volume claims of a workload's template.
pub(crate) fn claims(workload: &Value) -> Vec<String> {
    let volumes = crate::json::list(workload, "/spec/template/spec/volumes").iter();
    let claims = volumes.filter_map(|volume| crate::json::text(volume, "/persistentVolumeClaim/claimName"));
    claims.map(str::to_owned).collect()
}

/// How long what the server said of volume claims is believed.
const CLAIMS_BELIEVED: i64 = 60;

/// The volume claims that one node can mount at a time; asked only before a canary could start.
pub(crate) async fn read_write_once(
    context: &Context,
    key: &Key,
    claims: &[String],
    stored: &Stored,
    memory: &mut Memory,
    now: Timestamp,
) -> Result<BTreeSet<String>, ClusterError> {
    if claims.is_empty() || run(stored).is_some() {
        return Ok(BTreeSet::new());
    }
    if let Some((at, once)) = &memory.claims
        && now.as_second() - at.as_second() < CLAIMS_BELIEVED
    {
        return Ok(once.clone());
    }
    let mut once = BTreeSet::new();
    for name in claims {
        let claim = context.shared.cluster.volume_claim(&key.0, name).await?;
        let modes = claim.as_ref().map_or(&[][..], |claim| crate::json::list(&claim.data, "/spec/accessModes"));
        if modes.iter().any(|mode| mode == "ReadWriteOnce" || mode == "ReadWriteOncePod") {
            once.insert(name.clone());
        }
    }
    memory.claims = Some((now, once.clone()));
    Ok(once)
}

type Found = (Arc<DynamicObject>, Option<Arc<DynamicObject>>);

/// Workload and canary, from our watches or, where the core asked for it, from the server.
async fn objects(
    context: &Context,
    key: &Key,
    memory: &mut Memory,
    read: Read,
    now: Timestamp,
) -> Result<Option<Found>, ClusterError> {
    let namespace = &key.0;
    if read == Read::Production {
        let cluster = &context.shared.cluster;
        let Some(workload) = cluster.subject(key).await? else { return Ok(None) };
        let pod = cluster.canary(namespace, &canary_name(&workload), &kind::pod()).await?;
        return Ok(Some((Arc::new(workload), pod.map(Arc::new))));
    }
    let Some(workload) = memory.workload.over(context.view.subject(key), now) else { return Ok(None) };
    let pod = memory.canary.over(context.view.pod(namespace, &canary_name(&workload)), now);
    Ok(Some((workload, pod)))
}

async fn record(
    context: &Context,
    key: &Key,
    workload: &DynamicObject,
    memory: &mut Memory,
    read: Read,
    now: Timestamp,
) -> Result<Option<Arc<DynamicObject>>, ClusterError> {
    let name = canary_name(workload);
    if read == Read::Record {
        return Ok(context.shared.cluster.record(&key.0, &name).await?.map(Arc::new));
    }
    Ok(memory.record.over(context.view.record(&key.0, &name), now))
}

fn observed_workload(
    workload: &DynamicObject,
    wish: &Result<Wish, Invalid>,
    containers: &[String],
    production: Production,
    blocker: Option<Blocker>,
) -> Workload {
    let object = as_json(workload);
    let label = workload.labels().get(keeper_api::keys::RUN_LABEL);
    Workload {
        opted_in: keeper_api::opted_in(&object) && workload.metadata.deletion_timestamp.is_none(),
        paused: keeper_api::paused(&object),
        commands: keeper_api::commands(&object),
        generation: workload.metadata.generation.unwrap_or(0),
        version: workload.resource_version().unwrap_or_default().as_str().into(),
        template: TemplateHash::new(clone::template_hash(&object, containers)),
        production,
        run_label: label.map(|run| run.as_str().into()),
        rollout: observe::rollout(workload),
        blocker,
        invalid: wish.as_ref().err().map(ToString::to_string),
    }
}

pub(crate) fn run(stored: &Stored) -> Option<&Run> {
    match stored {
        Stored::Readable(record) => record.state.run(),
        Stored::Absent | Stored::Unreadable(_) => None,
    }
}
