//! What is made for a Canary: the Deployment that tries, and the promotion.

use super::{Resource, images};
use crate::gathered::{Gathered, Made, Promotion};
use crate::json::as_json;
use keeper_api::keys;
use keeper_clone::{CanaryDeployment, CanaryDeploymentSpec, Desired, Replacement, Workload};
use keeper_rollout::{Revision, RunId};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// The canary Deployment of that revision and run.
pub(crate) fn canary(
    gathered: &Gathered,
    resource: &Resource,
    revision: &Revision,
    run: &RunId,
) -> Made<DynamicObject> {
    is_ours(gathered, resource, revision)?;
    let services: Vec<Value> = gathered.services.iter().map(|service| as_json(service)).collect();
    let made = deployment(&gathered.subject, resource, &services, revision, run.as_str())?;
    let mut canary: DynamicObject = serde_json::from_value(made.deployment).map_err(|error| error.to_string())?;
    let template = gathered.observation.workload.template.to_string();
    canary.metadata.annotations.get_or_insert_default().insert(keys::TEMPLATE.to_owned(), template);
    Ok(canary)
}

/// The canary Deployment as `keeper-clone` makes it.
pub(super) fn deployment(
    owner: &DynamicObject,
    resource: &Resource,
    services: &[Value],
    revision: &Revision,
    run: &str,
) -> Made<CanaryDeployment> {
    let (wish, production) = (resource.wish.as_ref().map_err(ToString::to_string)?, resource.production.as_deref());
    let desired = Desired::read(&wish.deployment).map_err(|malformed| malformed.to_string())?;
    let production = as_json(production.ok_or("production does not exist")?);
    let made = keeper_clone::canary_deployment(&CanaryDeploymentSpec {
        desired: &desired,
        production: &Workload::read(&production).map_err(|malformed| malformed.to_string())?,
        images: &images::of_containers(&desired.images(), &resource.images),
        revision: &images::label(revision),
        run,
        owner: &json!({
            "apiVersion": keeper_api::canary::API_VERSION,
            "kind": keeper_api::canary::KIND,
            "name": owner.name_any(),
            "uid": owner.uid(),
        }),
        services,
    });
    made.map_err(|error| error.to_string())
}

/// The one write of production: a patch of what is there, or its creation where nothing is.
pub(crate) fn promotion(
    gathered: &Gathered,
    resource: &Resource,
    production: Option<&DynamicObject>,
    revision: &Revision,
    run: &RunId,
    replicas_are_others: bool,
) -> Made<Promotion> {
    is_ours(gathered, resource, revision)?;
    let wish = resource.wish.as_ref().map_err(ToString::to_string)?;
    let desired = Desired::read(&wish.deployment).map_err(|malformed| malformed.to_string())?;
    let replacement = Replacement {
        desired: &desired,
        images: &images::of_containers(&desired.images(), &resource.images),
        revision: revision.as_str(),
        run: run.as_str(),
        replicas_are_others,
    };
    let Some(production) = production else {
        let made = keeper_clone::first_deployment(&gathered.key.0, &replacement);
        let created = serde_json::from_value(made.map_err(|error| error.to_string())?);
        return created.map(|created| Promotion::Create(Box::new(created))).map_err(|error| error.to_string());
    };
    let production = as_json(production);
    let workload = Workload::read(&production).map_err(|malformed| malformed.to_string())?;
    let patch = keeper_clone::replacement_patch(&workload, &replacement);
    patch.map(|patch| Promotion::Patch(Value::Array(patch))).map_err(|error| error.to_string())
}

/// What is made is made of the spec that is there now: never under the name of another revision.
fn is_ours(gathered: &Gathered, resource: &Resource, revision: &Revision) -> Made<()> {
    let base =
        keeper_api::canary::revision(&as_json(&gathered.subject)).ok_or("the Canary has no uid or generation")?;
    let now = images::revision(&base, &resource.images);
    if now == *revision { Ok(()) } else { Err(format!("the Canary is at {now}, and no longer at {revision}")) }
}
