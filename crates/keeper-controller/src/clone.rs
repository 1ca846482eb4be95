//! What `keeper-clone` makes, asked with what we gathered.

use crate::context::Context;
use crate::gathered::{Annotated, Gathered, Made};
use crate::json::as_json;
use crate::observe::revision as revision_of;
use keeper_api::{Invalid, Wish, keys};
use keeper_clone::{CanarySpec, Targets, XRayInput};
use keeper_image::{Digest, Reference};
use keeper_rollout::{Blocker, BlockerKind, Production, Revision, RunId};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) fn template_hash(workload: &Value, containers: &[String]) -> String {
    let hash = || {
        let workload = keeper_clone::Workload::read(workload).ok()?;
        Some(keeper_clone::template_hash(&workload, &targets(&workload, containers).ok()?))
    };
    // Without containers to judge there is no plan either, and an invalid plan ends a rollout before its template is
    // compared.
    hash().unwrap_or_default()
}

fn targets(workload: &keeper_clone::Workload<'_>, containers: &[String]) -> Made<Targets> {
    let names: Vec<&str> = containers.iter().map(String::as_str).collect();
    Targets::choose(workload, &names).map_err(|refusal| refusal.to_string())
}

/// Why the clone of another revision than production's can't be started, as far as its template tells.
pub(crate) fn blocker(
    context: &Context,
    gathered: &Clonable<'_>,
    wanted: Option<&Digest>,
    production: &Production,
) -> Option<Blocker> {
    let (wish, wanted) = (gathered.wish.as_ref().ok()?, wanted?);
    if *production == Production::Runs(revision_of(wanted)) {
        return None;
    }
    let refused = |text| Some(Blocker { kind: BlockerKind::CloneRefused, text });
    let object = as_json(gathered.workload);
    let workload = match keeper_clone::Workload::read(&object) {
        Ok(workload) => workload,
        Err(malformed) => return refused(malformed.to_string()),
    };
    if let Some(other) = other_repository(context, &workload, wish) {
        return Some(Blocker { kind: BlockerKind::OtherRepository, text: other });
    }
    if let Some(refusal) = image_trigger(&workload, wish) {
        return refused(refusal);
    }
    if !wish.allow_two_copies
        && let Some(refusal) = keeper_clone::not_two_copies(&workload, gathered.read_write_once).first()
    {
        let text = format!("{refusal}; to allow it: annotation {}", keys::ALLOW_TWO_COPIES);
        return Some(Blocker { kind: BlockerKind::NotTwoCopies, text });
    }
    let services: Vec<Value> = gathered.services.iter().map(|service| as_json(service)).collect();
    let image = wish.image.with_digest(wanted.clone());
    let pod = match canary(context, &workload, wish, &services, &image, "0-0") {
        Ok(pod) => pod,
        Err(text) => return refused(text),
    };
    let controllers: Vec<Value> = gathered.controllers.iter().map(|set| as_json(set)).collect();
    let seen = keeper_clone::xray(&XRayInput {
        services: &services,
        controllers: &controllers,
        kept_labels: &pod.kept_labels,
        ..XRayInput::new(&workload, &pod.pod)
    });
    seen.refusal().and_then(|refusal| refused(refusal.to_string()))
}

/// What the question whether a clone can start is asked with.
pub(crate) struct Clonable<'a> {
    pub(crate) workload: &'a DynamicObject,
    pub(crate) wish: &'a Result<Wish, Invalid>,
    pub(crate) services: &'a [Arc<DynamicObject>],
    pub(crate) controllers: &'a [Arc<DynamicObject>],
    pub(crate) read_write_once: &'a BTreeSet<String>,
}

fn other_repository(context: &Context, workload: &keeper_clone::Workload<'_>, wish: &Wish) -> Option<String> {
    let targets = targets(workload, &wish.containers).ok()?;
    let images = keeper_clone::production_images(workload, &targets);
    let runs = images.into_iter().filter_map(|image| image.image.ok());
    let mut others = runs.filter(|image| !image.same_repository(&wish.image));
    let other = others.next().filter(|_| !context.shared.allows(wish.image.repository()))?;
    Some(format!(
        "{} is another repository than {}, which production runs; the operator's owner can allow it",
        wish.image.repository(),
        other.repository()
    ))
}

/// What OpenShift would do to the promotion, if it would take it back.
fn image_trigger(workload: &keeper_clone::Workload<'_>, wish: &Wish) -> Option<String> {
    let targets = targets(workload, &wish.containers).ok()?;
    keeper_clone::image_triggers(workload, &targets).first().map(ToString::to_string)
}

fn canary(
    context: &Context,
    workload: &keeper_clone::Workload<'_>,
    wish: &Wish,
    services: &[Value],
    image: &Reference,
    run: &str,
) -> Made<keeper_clone::CanaryPod> {
    let lifetime = wish.plan.canary_lifetime(context.shared.settings.canary_grace);
    let short = image.digest().map(|digest| digest.short().to_owned()).unwrap_or_default();
    let targets = targets(workload, &wish.containers)?;
    let spec = CanarySpec {
        workload,
        targets: &targets,
        image,
        revision: &short,
        run,
        active_deadline_seconds: u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX),
        services,
    };
    keeper_clone::clone_pod(&spec).map_err(|error| error.to_string())
}

/// The canary of that revision and run.
pub(crate) fn pod(
    context: &Context,
    gathered: &Gathered,
    front: &Annotated,
    revision: &Revision,
    run: &RunId,
) -> Made<DynamicObject> {
    let wish = front.wish.as_ref().map_err(ToString::to_string)?;
    let object = as_json(&gathered.subject);
    let workload = keeper_clone::Workload::read(&object).map_err(|malformed| malformed.to_string())?;
    let services: Vec<Value> = gathered.services.iter().map(|service| as_json(service)).collect();
    let made = canary(context, &workload, wish, &services, &image(wish, revision)?, run.as_str())?;
    let mut pod: DynamicObject = serde_json::from_value(made.pod).map_err(|error| error.to_string())?;
    let template = gathered.observation.workload.template.to_string();
    pod.metadata.annotations.get_or_insert_default().insert(keys::TEMPLATE.to_owned(), template);
    Ok(pod)
}

fn image(wish: &Wish, revision: &Revision) -> Made<Reference> {
    let digest: Digest = revision.as_str().parse().map_err(|_| format!("{revision} is no digest"))?;
    Ok(wish.image.with_digest(digest))
}

/// The one patch of production; with what it shows, so that no second write is needed for that.
pub(crate) fn promotion(
    gathered: &Gathered,
    front: &Annotated,
    revision: &Revision,
    run: &RunId,
    shown: &Value,
) -> Made<Value> {
    let wish = front.wish.as_ref().map_err(ToString::to_string)?;
    let object = as_json(&gathered.subject);
    let workload = keeper_clone::Workload::read(&object).map_err(|malformed| malformed.to_string())?;
    let targets = targets(&workload, &wish.containers)?;
    let pinned = image(wish, revision)?;
    let patch = keeper_clone::promotion_patch(&workload, &targets, &pinned, run.as_str());
    let mut operations = patch.map_err(|error| error.to_string())?;
    for (key, value) in shown.as_object().into_iter().flatten() {
        let path = format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"));
        operations.push(json!({ "op": "add", "path": path, "value": value }));
    }
    Ok(Value::Array(operations))
}

/// The promotion as it is tried beforehand: what the server would say of it, whatever version the workload has now.
pub(crate) fn rehearsal(gathered: &Gathered, front: &Annotated, revision: &Revision, run: &RunId) -> Made<Value> {
    promotion(gathered, front, revision, run, &Value::Null).map(of_any_version)
}

/// A patch without its test of the version.
pub(crate) fn of_any_version(mut operations: Value) -> Value {
    if let Some(operations) = operations.as_array_mut() {
        operations.retain(|operation| crate::json::text(operation, "/path") != Some("/metadata/resourceVersion"));
    }
    operations
}

/// What rolls a promoted workload out, where nothing else does.
pub(crate) fn roll_out(workload: &DynamicObject) -> Option<Value> {
    let object = as_json(workload);
    let workload = keeper_clone::Workload::read(&object).ok()?;
    keeper_clone::not_rolled_out(&workload).then(|| keeper_clone::instantiate_request(&workload))
}

/// The patch that keeps a promotion still on its way from landing.
pub(crate) fn fence(production: &DynamicObject, run: &RunId) -> Made<Value> {
    let object = as_json(production);
    let workload = keeper_clone::Workload::read(&object).map_err(|malformed| malformed.to_string())?;
    keeper_clone::fence_patch(&workload, run.as_str()).map(Value::Array).map_err(|error| error.to_string())
}
