use crate::clone;
use crate::context::Context;
use crate::kind::{self, Subject};
use crate::names::canary_name;
use crate::resource::{self, Resource};
use crate::view::Key;
use keeper_api::{Invalid, Wish};
use keeper_rollout::{Observation, Plan, Revision, RunId, Stored};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use serde_json::Value;
use std::sync::Arc;

/// What one decision is made of.
pub(crate) struct Gathered {
    pub(crate) key: Key,
    /// The workload, or the Canary: what is shown and told is shown and told of it.
    pub(crate) subject: Arc<DynamicObject>,
    pub(crate) plan: Plan,
    pub(crate) stored: Stored,
    pub(crate) services: Vec<Arc<DynamicObject>>,
    pub(crate) observation: Observation,
    /// Whether the registry has not been asked yet.
    pub(crate) unasked: bool,
    pub(crate) front: Front,
}

/// In which of the two ways a rollout was asked for: all that differs between them.
pub(crate) enum Front {
    /// By annotations of the workload.
    Annotations(Box<Annotated>),
    /// By a Canary.
    Resource(Box<Resource>),
}

/// What annotation mode needs beside the workload.
pub(crate) struct Annotated {
    pub(crate) wish: Result<Wish, Invalid>,
    /// The ConfigMap with the record.
    pub(crate) record: Option<Arc<DynamicObject>>,
}

/// How a revision comes into production.
pub(crate) enum Promotion {
    /// By a JSON patch of what is there.
    Patch(Value),
    /// By its creation.
    Create(Box<DynamicObject>),
}

/// Says, in words for the workload's owner, why something can't be made.
pub(crate) type Made<T> = Result<T, String>;

impl Gathered {
    /// The production workload, whether it is there or not.
    pub(crate) fn production(&self) -> Key {
        match &self.front {
            Front::Annotations(_) => self.key.clone(),
            Front::Resource(resource) => (self.key.0.clone(), resource.name.clone(), Subject::DEPLOYMENT),
        }
    }

    /// The kind of its canary.
    pub(crate) fn canary_kind(&self) -> ApiResource {
        match &self.front {
            Front::Annotations(_) => kind::pod(),
            Front::Resource(_) => Subject::DEPLOYMENT.resource(),
        }
    }

    /// The name of its canary: of the one that is there, or would be.
    pub(crate) fn canary_name(&self) -> String {
        match &self.front {
            Front::Annotations(_) => canary_name(&self.subject),
            Front::Resource(resource) => {
                let there = resource.canary.as_ref().map(|canary| canary.name_any());
                there.unwrap_or_else(|| keeper_clone::canary_deployment_name(&resource.name))
            }
        }
    }

    /// The canary of that revision and run.
    pub(crate) fn canary(&self, context: &Context, revision: &Revision, run: &RunId) -> Made<DynamicObject> {
        match &self.front {
            Front::Annotations(front) => clone::pod(context, self, front, revision, run),
            Front::Resource(resource) => resource::make::canary(self, resource, revision, run),
        }
    }

    /// The patch that keeps a promotion still on its way from landing.
    pub(crate) fn fence(&self, run: &RunId) -> Made<Value> {
        match &self.front {
            Front::Annotations(_) => clone::fence(&self.subject, run),
            Front::Resource(resource) => match resource.production.as_deref().filter(|p| crate::view::is_whole(p)) {
                Some(production) => clone::fence(production, run),
                None => Err("production was not read afresh".into()),
            },
        }
    }

    /// The reason of a step: as the core names it, or more exactly where we know more.
    pub(crate) fn reason<'a>(&'a self, because: &'a keeper_rollout::Because) -> &'a str {
        match (&self.front, because) {
            (Front::Resource(resource), keeper_rollout::Because::InvalidPlan(_)) => {
                resource.refused_as.unwrap_or_else(|| because.reason())
            }
            _ => because.reason(),
        }
    }
}
