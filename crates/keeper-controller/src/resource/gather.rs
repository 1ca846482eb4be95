//! Gather for a Canary: from our watches, or from the server where the core asks for it.

use super::images::{IsOf, Resolved};
use super::{Resource, images, make, observe};
use crate::context::Context;
use crate::error::ClusterError;
use crate::gather::{STORE_REFUSES_AFTER, claims, read_write_once, run, understood};
use crate::gathered::{Front, Gathered};
use crate::json::{as_json, text};
use crate::kind::{self, Subject};
use crate::look::look;
use crate::memory::{HeadError, Memory, Own};
use crate::view::{self, Key};
use crate::{records, registry};
use jiff::Timestamp;
use keeper_api::canary::{self, CanaryWish};
use keeper_api::{Invalid, keys};
use keeper_clone::{Desired, Targets, XRayInput};
use keeper_image::Reference;
use keeper_rollout::{
    Blocker, BlockerKind, Observation, Production, Reach, Read, Revision, Rollout, Stored, TemplateHash, Wanted,
    Workload,
};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) async fn gather(
    context: &Context,
    key: &Key,
    memory: &mut Memory,
    read: Read,
    now: Timestamp,
) -> Result<Option<Gathered>, ClusterError> {
    let Some(subject) = canary_resource(context, key, memory, read, now).await? else { return Ok(None) };
    let object = as_json(&subject);
    let wish = wish(context, &object);
    let stored = records::read(Some(&subject));
    let (name, is_other) = production_name(&subject, &stored, &wish);
    if memory.production != name {
        memory.production.clone_from(&name);
        memory.workload = Own::Nothing;
    }
    let objects = objects(context, key, &subject, &name, memory, read, now).await?;
    let is_younger = is_younger(context, key, &stored, &objects, read).await?;
    let stored = observe::of_this_production(stored, is_other, is_younger);
    let plan = wish.as_ref().map_or_else(|_| context.shared.settings.defaults.plan.clone(), |wish| wish.plan.clone());

    let base = canary::revision(&object).unwrap_or_else(|| Revision::new(""));
    let (resolved, wanted) = wanted(context, key, &object, &wish, &stored, &base, memory, read, now).await;
    let revision = images::revision(&base, &resolved.images);
    let written = wish.as_ref().ok().and_then(|wish| Some(Desired::read(&wish.deployment).ok()?.images()));
    let written = written.unwrap_or_default();
    let expected = images::of_containers(&written, &resolved.images);
    let production = observe::production(objects.production.as_deref(), Some((&revision, &expected)));

    let view = &context.view;
    let all_services = view.services(&key.0);
    let services = objects
        .production
        .as_ref()
        .map_or(Vec::new(), |production| crate::observe::production_services(production, &all_services));
    let containers: Vec<String> = written.keys().cloned().collect();
    let pod = observe::live(&objects.pods).cloned();
    let observed = match &objects.canary {
        None => None,
        Some(deployment) => {
            let head = head(context, &stored, pod.as_deref(), &containers, &expected, memory, now).await;
            let missing = || Reach::Missing(services.iter().map(|service| service.name_any()).collect());
            let reach = match &pod {
                Some(pod) => crate::observe::reach(pod, &services, &view.slices(&key.0)),
                None if services.is_empty() => Reach::NoService,
                None => missing(),
            };
            Some(observe::canary(deployment, pod.as_deref(), &containers, reach, head.as_ref()))
        }
    };
    let baseline = objects
        .production
        .as_ref()
        .map_or(Vec::new(), |production| view.production_pods(&key.0, &production.uid().unwrap_or_default()));
    let signals = match (&wish, &pod, &observed) {
        (Ok(wish), Some(pod), Some(canary)) => {
            look(
                context,
                &name,
                (&wish.checks, &wish.plan),
                (&stored, Some(&*subject)),
                pod,
                canary,
                &baseline,
                memory,
                now,
            )
            .await
        }
        _ => Vec::new(),
    };
    if let (Some(run), Some(pod)) = (run(&stored), &pod) {
        memory.judged = Some((run.id.clone(), images::ids(pod)));
    }
    let refusal = refusal(context, key, &subject, objects.production.as_deref(), &wish);
    let resource = Resource {
        name,
        production: objects.production,
        canary: objects.canary,
        wish,
        images: resolved.images,
        unresolved: resolved.unresolved,
        refused_as: refusal.as_ref().and_then(|(reason, _)| *reason),
    };
    let blocker = match (run(&stored), &resource.production) {
        (None, Some(deployment)) if wanted != Wanted::Revision(revision_of(&production)) => {
            let crowd = context.shared.crowd(key, &services);
            let place = crate::observe::blocker(deployment, &crowd, context.shared.settings.limits);
            let once = read_write_once(context, key, &volume_claims(&resource), &stored, memory, now).await?;
            place.or(objects.foreign).or_else(|| blocker(context, key, &subject, &resource, &all_services, &once))
        }
        _ => None,
    };
    let observation = Observation {
        read,
        workload: workload(&subject, &object, &resource, &base, &stored, production, blocker, refusal),
        wanted,
        canary: observed,
        signals,
        alert_path_live: false,
        watch: memory.watch.clone(),
        refused: memory.refused.clone(),
        store_refuses: memory.store_failures >= STORE_REFUSES_AFTER,
    };
    let front = Front::Resource(Box::new(resource));
    let (key, unasked) = (key.clone(), resolved.unasked);
    Ok(Some(Gathered { key, subject, plan, stored, services, observation, unasked, front }))
}

/// The Canary; from the server where what is read is its record, or what a promotion rests on.
async fn canary_resource(
    context: &Context,
    key: &Key,
    memory: &mut Memory,
    read: Read,
    now: Timestamp,
) -> Result<Option<Arc<DynamicObject>>, ClusterError> {
    match read {
        Read::Cached => Ok(memory.record.over(context.view.subject(key), now)),
        Read::Production | Read::Record => Ok(context.shared.cluster.subject(key).await?.map(Arc::new)),
    }
}

fn wish(context: &Context, object: &Value) -> Result<CanaryWish, Invalid> {
    let wish = canary::read(object, &context.shared.settings.defaults)?;
    understood(&wish.alert_matchers, "spec.alertMatchers")?;
    Ok(wish)
}

/// The name of the production Deployment that is looked at, and whether it is another one than the record speaks of. A run
/// under way is about the one it began with, whatever the template says now.
fn production_name(subject: &DynamicObject, stored: &Stored, wish: &Result<CanaryWish, Invalid>) -> (String, bool) {
    let recorded = text(&subject.data, "/status/deployment").filter(|name| !name.is_empty());
    let wanted = wish.as_ref().ok().map(CanaryWish::name).or_else(|| view::deployment_name(subject));
    let name = if run(stored).is_some() { recorded.or(wanted) } else { wanted.or(recorded) };
    let is_other = run(stored).is_none() && recorded.is_some_and(|recorded| Some(recorded) != name);
    (name.unwrap_or_default().to_owned(), is_other)
}

/// Everything that a Canary has to do with.
struct Objects {
    production: Option<Arc<DynamicObject>>,
    canary: Option<Arc<DynamicObject>>,
    /// What is in the way under the canary's name.
    foreign: Option<Blocker>,
    pods: Vec<Arc<DynamicObject>>,
}

async fn objects(
    context: &Context,
    key: &Key,
    subject: &DynamicObject,
    name: &str,
    memory: &mut Memory,
    read: Read,
    now: Timestamp,
) -> Result<Objects, ClusterError> {
    let (view, cluster, namespace) = (&context.view, &context.shared.cluster, &key.0);
    let uid = subject.uid().unwrap_or_default();
    let production = (namespace.clone(), name.to_owned(), Subject::DEPLOYMENT);
    let shown = memory.canary.over(view.canary_deployment(namespace, &uid), now);
    let default = keeper_clone::canary_deployment_name(name);
    let canary_name = shown.as_ref().map_or_else(|| default.clone(), |canary| canary.name_any());
    let (production, there) = if read == Read::Production && !name.is_empty() {
        let kind = Subject::DEPLOYMENT.resource();
        let production = cluster.subject(&production).await?.map(Arc::new);
        (production, cluster.canary(namespace, &canary_name, &kind).await?.map(Arc::new))
    } else {
        let by_name = || view.subject(&(namespace.clone(), default, Subject::DEPLOYMENT));
        (memory.workload.over(view.subject(&production), now), shown.or_else(by_name))
    };
    let is_ours = |canary: &Arc<DynamicObject>| kind::owning_canary(canary).is_some_and(|(_, owner)| owner == uid);
    let foreign = there.as_ref().filter(|there| !is_ours(there)).map(|there| foreign(there));
    let canary = there.filter(is_ours);
    let run = canary.as_ref().and_then(|canary| canary.labels().get(keys::RUN_LABEL).cloned());
    let pods = match run {
        None => Vec::new(),
        Some(run) if read == Read::Production => {
            cluster.pods_of_run(namespace, name, &run).await?.into_iter().map(Arc::new).collect()
        }
        Some(run) => view.pods_of_run(namespace, name, &run),
    };
    Ok(Objects { production, canary, foreign, pods })
}

/// Whatever has the canary's name and was not made for this Canary.
fn foreign(there: &DynamicObject) -> Blocker {
    let name = there.name_any();
    match kind::owning_canary(there) {
        // It goes with its Canary.
        Some((other, _)) => Blocker {
            kind: BlockerKind::TooManyCanaries,
            text: format!("Deployment {name} was made for Canary {other} and is still there"),
        },
        None => Blocker {
            kind: BlockerKind::CloneRefused,
            text: format!("Deployment {name} has the canary's name and is not ours; delete or rename it"),
        },
    }
}

/// Whether production is younger than our last promotion of it: deleted and made again, it counts its generations anew.
async fn is_younger(
    context: &Context,
    key: &Key,
    stored: &Stored,
    objects: &Objects,
    read: Read,
) -> Result<bool, ClusterError> {
    let (Stored::Readable(record), Some(production)) = (stored, &objects.production) else { return Ok(false) };
    let below = |production: &DynamicObject| production.metadata.generation.unwrap_or(0) <= record.floor;
    if record.floor == 0 || !below(production) {
        return Ok(false);
    }
    if read == Read::Production {
        return Ok(true);
    }
    let production = (key.0.clone(), production.name_any(), Subject::DEPLOYMENT);
    Ok(context.shared.cluster.subject(&production).await?.is_some_and(|production| below(&production)))
}

/// Which revision is wanted, as far as it is known, with its images. The registry is asked only for a run under way, and
/// before one could begin.
#[expect(clippy::too_many_arguments, reason = "what the question is made of")]
async fn wanted(
    context: &Context,
    key: &Key,
    object: &Value,
    wish: &Result<CanaryWish, Invalid>,
    stored: &Stored,
    base: &Revision,
    memory: &mut Memory,
    read: Read,
    now: Timestamp,
) -> (Resolved, Wanted) {
    let recorded = canary::images(object);
    let known = |revision: Revision, memory: &mut Memory| {
        memory.tags.clear();
        let images = if revision.is_of(base) { recorded.clone() } else { BTreeMap::new() };
        (Resolved { images, ..Resolved::default() }, Wanted::Revision(revision))
    };
    let running = run(stored);
    // Another generation than the one that runs supersedes it, whatever its images turn out to be.
    if running.is_some_and(|run| !run.revision.is_of(base)) {
        return known(base.clone(), memory);
    }
    if let (None, Stored::Readable(record)) = (running, stored)
        && let Some(revision) = observe::remembered(record, base, now)
    {
        return known(revision, memory);
    }
    let Some(desired) = wish.as_ref().ok().and_then(|wish| Desired::read(&wish.deployment).ok()) else {
        return known(base.clone(), memory);
    };
    let written: BTreeSet<String> = desired.images().into_values().collect();
    let of_run = running.map(|run| (run, &recorded));
    let mut resolved = images::resolve(context, key, &written, of_run, memory, read).await;
    let wanted = match (resolved.unasked, running) {
        (true, None) => Wanted::Unknown("the registry was not asked yet".into()),
        _ => Wanted::Revision(images::revision(base, &resolved.images)),
    };
    if running.is_some() {
        // What is made for a run is made of the images that it began with.
        resolved.images = recorded;
    }
    (resolved, wanted)
}

/// Asks the registry about an image that the canary's node can't pull.
async fn head(
    context: &Context,
    stored: &Stored,
    pod: Option<&DynamicObject>,
    containers: &[String],
    images: &BTreeMap<String, String>,
    memory: &mut Memory,
    now: Timestamp,
) -> Option<Result<(), HeadError>> {
    let (run, pod) = (run(stored)?, pod?);
    let waiting = containers.iter().find(|name| crate::observe::waits_for_image(pod, std::slice::from_ref(name)))?;
    let image: Reference = images.get(waiting)?.parse().ok()?;
    Some(registry::believed_head(context, run, &image, memory, now).await)
}

type Refusal = (Option<&'static str>, String);

/// Why nothing is done for this Canary at all: what is wrong with it, or who acts in its place.
fn refusal(
    context: &Context,
    key: &Key,
    subject: &DynamicObject,
    production: Option<&DynamicObject>,
    wish: &Result<CanaryWish, Invalid>,
) -> Option<Refusal> {
    if let Err(invalid) = wish {
        return Some((None, invalid.to_string()));
    }
    if let Some(elder) = observe::elder(subject, &context.view.canary_resources(&key.0)) {
        let text = format!("Canary {elder} is older and is for the same Deployment: it acts, and this one waits");
        return Some((Some("OtherCanary"), text));
    }
    let production = production?;
    let name = production.name_any();
    if production.labels().get(keys::CANARY_LABEL).is_some_and(|label| label == "true") {
        let label = keys::CANARY_LABEL;
        let text = format!("Deployment {name} is in annotation mode: remove its label {label}, or this Canary");
        return Some((Some("AnnotationMode"), text));
    }
    let deleted = production.metadata.deletion_timestamp.is_some();
    deleted.then(|| (Some("ProductionDeleted"), format!("Deployment {name} is being deleted")))
}

fn volume_claims(resource: &Resource) -> Vec<String> {
    resource.wish.as_ref().map_or(Vec::new(), |wish| claims(&wish.deployment))
}

/// Why a canary can't be started, as far as what is wanted and what is there tell.
fn blocker(
    context: &Context,
    key: &Key,
    subject: &DynamicObject,
    resource: &Resource,
    all_services: &[Arc<DynamicObject>],
    read_write_once: &BTreeSet<String>,
) -> Option<Blocker> {
    let (wish, production) = (resource.wish.as_ref().ok()?, as_json(resource.production.as_deref()?));
    let refused = |text| Some(Blocker { kind: BlockerKind::CloneRefused, text });
    let workload = match keeper_clone::Workload::read(&production) {
        Ok(workload) => workload,
        Err(malformed) => return refused(malformed.to_string()),
    };
    if let Some(trigger) = image_trigger(&workload) {
        return refused(trigger);
    }
    // What is wanted, as if it were there: the questions are the same.
    let mut wanted = production.clone();
    if let (Some(fields), Some(spec)) = (wanted.as_object_mut(), wish.deployment.get("spec")) {
        fields.insert("spec".to_owned(), spec.clone());
    }
    if !wish.allow_two_copies
        && let Ok(wanted) = keeper_clone::Workload::read(&wanted)
        && let Some(refusal) = keeper_clone::not_two_copies(&wanted, read_write_once).first()
    {
        let text = format!("{refusal}; to allow it: spec.allowTwoCopies: true");
        return Some(Blocker { kind: BlockerKind::NotTwoCopies, text });
    }
    let services: Vec<Value> = all_services.iter().map(|service| as_json(service)).collect();
    let made = match make::deployment(subject, resource, &services, &Revision::from("/0"), "0-0") {
        Ok(made) => made,
        Err(text) => return refused(text),
    };
    let controllers: Vec<Value> = context.view.controllers(&key.0).iter().map(|set| as_json(set)).collect();
    let seen = keeper_clone::xray(&XRayInput {
        services: &services,
        controllers: &controllers,
        kept_labels: &made.kept_labels,
        ..XRayInput::new(&workload, &made.pod)
    });
    seen.refusal().and_then(|refusal| refused(refusal.to_string()))
}

/// What OpenShift would do to the promotion, if it would take it back.
fn image_trigger(workload: &keeper_clone::Workload<'_>) -> Option<String> {
    let images = keeper_clone::template_images(workload.template());
    let names: Vec<&str> = images.keys().map(String::as_str).collect();
    let targets = Targets::choose(workload, &names).ok()?;
    keeper_clone::image_triggers(workload, &targets).first().map(ToString::to_string)
}

#[expect(clippy::too_many_arguments, reason = "what the core sees of production")]
fn workload(
    subject: &DynamicObject,
    object: &Value,
    resource: &Resource,
    base: &Revision,
    stored: &Stored,
    production: Production,
    blocker: Option<Blocker>,
    refusal: Option<Refusal>,
) -> Workload {
    let there = resource.production.as_deref();
    let label = there.and_then(|production| production.labels().get(keys::RUN_LABEL));
    // A label of another Canary's, or of annotation mode's, speaks of no record of ours.
    let uid = base.as_str().split_once('/').map_or("", |(uid, _)| uid);
    let marked = there.and_then(|production| production.annotations().get(keeper_clone::PROMOTED_ANNOTATION));
    let ours = marked.is_some_and(|promoted| promoted.split_once('/').is_some_and(|(of, _)| of == uid));
    let label = label.filter(|_| ours || *stored != Stored::Absent);
    Workload {
        opted_in: subject.metadata.deletion_timestamp.is_none(),
        paused: keeper_api::paused(object),
        commands: keeper_api::commands(object),
        generation: there.and_then(|production| production.metadata.generation).unwrap_or(0),
        version: there.and_then(|production| production.resource_version()).unwrap_or_default().as_str().into(),
        template: TemplateHash::new(there.map(view::whole_template_hash).unwrap_or_default()),
        production,
        run_label: label.map(|run| run.as_str().into()),
        rollout: there.map_or(Rollout::Complete, crate::observe::rollout),
        blocker,
        invalid: refusal.map(|(_, text)| text),
    }
}

fn revision_of(production: &Production) -> Revision {
    match production {
        Production::Runs(revision) => revision.clone(),
        Production::Absent | Production::NotPinned(_) => Revision::new(""),
    }
}
