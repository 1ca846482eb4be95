//! What the store does with CustomResourceDefinitions: serve what they define, and take its objects along when they go.

use std::sync::Arc;

use serde_json::{Value, json};

use super::cluster::{Cluster, Target, Write};
use super::deletion::DeleteOptions;
use super::object::{self, child, set_meta};
use super::resources::ResourceType;
use super::status::Status;
use super::{convert, custom};

const GROUP: &str = "apiextensions.k8s.io";
const STORAGE: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// Keeps a definition until the last object of its kind is gone.
const CLEAN_UP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Whether objects of this resource are definitions.
pub(super) fn is_definition(resource: &ResourceType) -> bool {
    resource.is(GROUP, "customresourcedefinitions")
}

impl Cluster {
    /// Stores a new definition and serves it. The client is shown it as it was before its names were accepted.
    pub(super) fn put_definition(&mut self, new: Value, write: Write) -> Arc<Value> {
        let first = self.store.put(STORAGE, new);
        let mut settled = (*first).clone();
        let status = custom::settled_status(&settled, write.now);
        object::set(&mut settled, "status", status);
        self.resources.define(&settled);
        self.store.put(STORAGE, settled);
        first
    }

    /// Whether the definition of a custom resource is going away.
    pub(super) fn refuse_orphans(&self, resource: &ResourceType, name: &str) -> Result<(), Status> {
        let going = |definition: Arc<Value>| object::is_being_deleted(&definition);
        if resource.custom && self.definition_of(resource).is_some_and(going) {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Status::forbidden(resource, name, why));
        }
        Ok(())
    }

    fn definition_of(&self, resource: &ResourceType) -> Option<Arc<Value>> {
        self.store.get(STORAGE, "", &resource.qualified())
    }

    /// Starts to delete a definition, and all objects of its kind with it.
    pub(super) fn delete_definition(&mut self, target: &Target, old: &Value, write: Write) -> Value {
        let mut new = old.clone();
        set_meta(&mut new, "deletionTimestamp", json!(object::seconds(write.now)));
        let mut finalizers = object::list(&new, "/metadata/finalizers").to_vec();
        finalizers.push(json!(CLEAN_UP));
        set_meta(&mut new, "finalizers", json!(finalizers));
        let mut conditions = object::list(&new, "/status/conditions").to_vec();
        conditions.push(json!({
            "type": "Terminating", "status": "True", "lastTransitionTime": object::seconds(write.now),
            "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }));
        object::set(child(&mut new, "status"), "conditions", json!(conditions));
        if write.dry_run {
            return convert::served(&target.resource, &new);
        }
        let marked = self.store.put(STORAGE, new);
        for (resource, object) in self.objects_of(&marked) {
            let one = Target {
                namespace: object::namespace(&object).to_owned(),
                name: object::name(&object).to_owned(),
                subresource: String::new(),
                resource,
            };
            // Nothing can refuse it but that it is gone already.
            let _ = self.delete(&one, &DeleteOptions::default(), write);
        }
        self.finish_definition(object::name(&marked));
        convert::served(&target.resource, &marked)
    }

    fn objects_of(&self, definition: &Value) -> Vec<(Arc<ResourceType>, Arc<Value>)> {
        let of = |pointer: &str| object::text(definition, pointer).unwrap_or_default();
        let (group, plural) = (of("/spec/group"), of("/spec/names/plural"));
        let Some(resource) = self.resources.iter().find(|r| r.custom && r.is(group, plural)) else { return Vec::new() };
        let objects = self.store.list(&resource.storage);
        objects.map(|(_, object)| (Arc::clone(resource), Arc::clone(object))).collect()
    }

    /// Lets a definition go that is being deleted and has no objects any more.
    pub(super) fn finish_definition(&mut self, name: &str) {
        let Some(definition) = self.store.get(STORAGE, "", name) else { return };
        if !object::is_being_deleted(&definition) || !self.objects_of(&definition).is_empty() {
            return;
        }
        let mut new = (*definition).clone();
        let others: Vec<Value> =
            object::list(&new, "/metadata/finalizers").iter().filter(|f| **f != CLEAN_UP).cloned().collect();
        if others.is_empty() {
            object::remove(child(&mut new, "metadata"), "finalizers");
            self.resources.forget(&new);
            self.store.remove_as(STORAGE, &new);
        } else {
            set_meta(&mut new, "finalizers", json!(others));
            self.store.put(STORAGE, new);
        }
    }
}
