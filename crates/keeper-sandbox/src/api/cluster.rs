//! What a write does: the server's rules around the store. Every function here is one transaction.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::definitions::is_definition;
use super::object::{self, child, set_meta};
use super::resources::{Generation, ResourceType, Resources};
use super::status::{FieldError, Status};
use super::store::Store;
use super::{
    admission, convert, custom, decode, defaults, deployment_config, go, names, services, strategy, validation,
};

/// The whole state of the server.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) store: Store,
    pub(crate) resources: Resources,
    /// First address and number of addresses of the Service range.
    pub(crate) service_range: (Ipv4Addr, u32),
}

/// What a request is about.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) resource: Arc<ResourceType>,
    /// Empty for cluster-scoped resources and for lists over all namespaces.
    pub(crate) namespace: String,
    /// Empty for collections.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
}

/// How a write is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Write {
    pub(crate) dry_run: bool,
    /// A field that the kind doesn't have is refused rather than dropped.
    pub(crate) strict: bool,
    pub(crate) now: Timestamp,
}

/// How a new state of an object came about; the server words some refusals by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Put,
    Patch,
}

impl Cluster {
    /// An empty cluster with the namespaces every cluster has.
    pub(crate) fn new(history_limit: usize, service_range: (Ipv4Addr, u32), now: Timestamp) -> Self {
        let mut cluster = Self { store: Store::new(history_limit), resources: Resources::builtin(), service_range };
        if let Some(resource) = cluster.resources.find("", "v1", "namespaces") {
            for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
                let target = Target {
                    resource: Arc::clone(&resource),
                    namespace: String::new(),
                    name: String::new(),
                    subresource: String::new(),
                };
                let body = json!({ "metadata": { "name": name } });
                // These names are valid and the store is empty: nothing can be refused.
                let _ = cluster.create(&target, body, Write { dry_run: false, strict: false, now });
            }
        }
        cluster
    }

    /// The object as stored.
    pub(crate) fn stored(&self, target: &Target) -> Result<Arc<Value>, Status> {
        if let Some(fault) = names::path_segment_fault(&target.name) {
            let name = go::quoted(&target.name);
            return Err(Status::bad_request(format!("Name parameter invalid: {name}: {fault}")));
        }
        self.store
            .get(&target.resource.storage, &target.namespace, &target.name)
            .ok_or_else(|| Status::not_found(&target.resource, &target.name))
    }

    /// The object as served under the target's group and version.
    pub(crate) fn get(&self, target: &Target) -> Result<Value, Status> {
        self.stored(target).map(|object| convert::served(&target.resource, &object))
    }

    /// Creates an object and returns it as served.
    pub(crate) fn create(&mut self, target: &Target, body: Value, write: Write) -> Result<Value, Status> {
        let resource = &target.resource;
        let mut new = convert::stored(resource, decode::object(resource, body, write.strict)?);
        self.namespace_for(target, &mut new)?;
        fresh_metadata(resource, &mut new, write.now);
        admission::admit(resource, &new)?;
        first_status(resource, &mut new);
        defaults::apply(resource, &mut new);
        services::addresses(None, resource, &mut new);
        strategy::complete(resource, &mut new);
        first_status_of_defaults(resource, &mut new);
        let name = object::name(&new).to_owned();
        let errors = validation::faults(resource, &new, None);
        if !errors.is_empty() {
            return Err(Status::invalid(resource, &name, &errors));
        }
        self.refuse_orphans(resource, &name)?;
        services::allocate(self, resource, &mut new, write.dry_run)?;
        if !write.dry_run && !object::resource_version(&new).is_empty() {
            return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        if let Some(other) = self.store.get(&resource.storage, object::namespace(&new), &name) {
            let mut refused = Status::already_exists(resource, &name);
            if object::is_being_deleted(&other) {
                refused.message = format!("object is being deleted: {}", refused.message);
            }
            if object::text(&new, "/metadata/generateName").is_some_and(|prefix| !prefix.is_empty()) {
                refused.message.push_str(", the server was not able to generate a unique name for the object");
                object::set(&mut refused.details, "retryAfterSeconds", json!(1));
            }
            return Err(refused);
        }
        custom::narrow(resource, &mut new);
        if write.dry_run {
            return Ok(convert::served(resource, &new));
        }
        let stored = if is_definition(resource) {
            self.put_definition(new, write)
        } else {
            self.store.put(&resource.storage, new)
        };
        Ok(convert::served(resource, &stored))
    }

    /// Creates what a replace did not find.
    pub(crate) fn create_named(&mut self, target: &Target, body: Value, write: Write) -> Result<Value, Status> {
        named_as(target, object::name(&body))?;
        self.create(target, body, write)
    }

    /// The body's namespace must be the path's, and must exist and not be going away.
    fn namespace_for(&self, target: &Target, new: &mut Value) -> Result<(), Status> {
        if !target.resource.namespaced {
            object::remove(child(new, "metadata"), "namespace");
            return Ok(());
        }
        let given = object::namespace(new);
        if !given.is_empty() && given != target.namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        set_meta(new, "namespace", json!(target.namespace));
        let Some(namespace) = self.store.get("/namespaces", "", &target.namespace) else {
            let namespaces = self.resources.find("", "v1", "namespaces").ok_or_else(Status::no_such_path)?;
            return Err(Status::not_found(&namespaces, &target.namespace));
        };
        if object::is_being_deleted(&namespace) {
            let why = format!(
                "unable to create new content in namespace {} because it is being terminated",
                target.namespace
            );
            let mut status = Status::forbidden(&target.resource, object::name(new), &why);
            let message = format!("namespace {} is being terminated", target.namespace);
            let cause = json!({ "reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace" });
            object::set(&mut status.details, "causes", json!([cause]));
            return Err(status);
        }
        Ok(())
    }

    /// Replaces an object (or its status) and returns it as served.
    ///
    /// `by` says whether `body` is the client's whole object or the outcome of a patch.
    pub(crate) fn update(&mut self, target: &Target, body: Value, by: By, write: Write) -> Result<Value, Status> {
        let resource = &target.resource;
        let mut old = self.stored(target)?;
        if resource.schema.is_some() {
            // What the definition says now is said of what was stored before it, too.
            old = Arc::new(convert::served(resource, &old));
        }
        let decoded = match by {
            By::Put => decode::object(resource, body, write.strict)?,
            // Without a version nothing of it is known, not even the name.
            By::Patch if object::text(&body, "/apiVersion").is_none() => return Err(nameless(target)),
            By::Patch => decode::patched(resource, body, write.strict)?,
        };
        let mut new = convert::stored(resource, decoded);
        same_object(target, &old, &mut new, by)?;
        if target.subresource == "status" {
            status_only(resource, &old, &mut new);
        } else {
            let raised = deployment_config::raised(resource, &old, &new);
            all_but_status(resource, &old, &mut new);
            defaults::apply(resource, &mut new);
            services::addresses(Some(&old), resource, &mut new);
            bump_generation(resource, &old, &mut new);
            if is_definition(resource) {
                let status = custom::settled_status(&new, write.now);
                object::set(&mut new, "status", status);
            }
            if let Some(version) = raised {
                deployment_config::raise(&old, &mut new, version);
            }
        }
        if new == *old {
            return Ok(convert::served(resource, &old));
        }
        let errors = match target.subresource.as_str() {
            "status" => custom::faults(resource, &new, Some(&old), true),
            _ => validation::faults(resource, &new, Some(&old)),
        };
        if !errors.is_empty() {
            return Err(Status::invalid(resource, &target.name, &errors));
        }
        services::allocate(self, resource, &mut new, write.dry_run)?;
        custom::narrow(resource, &mut new);
        if write.dry_run {
            return Ok(convert::served(resource, &new));
        }
        Ok(convert::served(resource, &self.keep(resource, new)))
    }

    /// Stores a changed object, or removes it when it was only waiting for its last finalizer.
    pub(crate) fn keep(&mut self, resource: &ResourceType, new: Value) -> Arc<Value> {
        let finished = object::is_being_deleted(&new)
            && object::list(&new, "/metadata/finalizers").is_empty()
            && object::number(&new, "/metadata/deletionGracePeriodSeconds").unwrap_or_default() == 0
            && (object::list(&new, "/spec/finalizers").is_empty() || !resource.is("", "namespaces"));
        if finished {
            // The last change and the removal are one: watchers are shown what was stored, the client what it changed.
            if let Some(last) = self.store.get(&resource.storage, object::namespace(&new), object::name(&new)) {
                self.remove(resource, &last);
            }
            return Arc::new(new);
        }
        if is_definition(resource) {
            self.resources.define(&new);
        }
        self.store.put(&resource.storage, new)
    }
}

/// Sets what the server sets on creation and drops what only it may set.
fn fresh_metadata(resource: &ResourceType, new: &mut Value, now: Timestamp) {
    let metadata = child(new, "metadata");
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"] {
        object::remove(metadata, field);
    }
    let prefix = object::text(metadata, "/generateName").unwrap_or_default().to_owned();
    if object::text(metadata, "/name").is_none_or(str::is_empty) && !prefix.is_empty() {
        // The real server cuts the prefix so that the name stays within 63 characters.
        let prefix: String = prefix.chars().take(58).collect();
        object::set(metadata, "name", json!(format!("{prefix}{}", object::name_suffix())));
    }
    object::set(metadata, "uid", json!(object::new_uid()));
    object::set(metadata, "creationTimestamp", json!(object::seconds(now)));
    if resource.generation != Generation::Unused {
        object::set(metadata, "generation", json!(1));
    }
}

/// A client can't create a status; nodes are the exception.
fn first_status(resource: &ResourceType, new: &mut Value) {
    if !resource.status || resource.is("", "nodes") {
        return;
    }
    object::remove(new, "status");
    if resource.custom {
        return;
    }
    if is_definition(resource) {
        let status = custom::initial_status(new);
        return object::set(new, "status", status);
    }
    let status = match resource.plural.as_str() {
        "namespaces" => json!({ "phase": "Active" }),
        "persistentvolumeclaims" => json!({ "phase": "Pending" }),
        "services" => json!({ "loadBalancer": {} }),
        "poddisruptionbudgets" => json!({
            "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
        }),
        "replicasets" | "replicationcontrollers" => json!({ "replicas": 0 }),
        "statefulsets" => json!({ "replicas": 0, "availableReplicas": 0 }),
        "horizontalpodautoscalers" => json!({ "currentMetrics": null, "desiredReplicas": 0 }),
        _ => json!({}),
    };
    object::set(new, "status", status);
}

/// The part of the first status that follows from the defaulted spec.
fn first_status_of_defaults(resource: &ResourceType, new: &mut Value) {
    if resource.is("", "pods") {
        let class = decode::quality_of_service(new);
        object::set(new, "status", json!({ "phase": "Pending", "qosClass": class }));
    }
}

/// Checks that a write is about this very object in its present version, and keeps what no client can change.
fn same_object(target: &Target, old: &Value, new: &mut Value, by: By) -> Result<(), Status> {
    let resource = &target.resource;
    named_as(target, object::name(new))?;
    let given = object::namespace(new);
    if !given.is_empty() && given != target.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    // Most kinds look at it twice.
    let once = matches!(
        (resource.group.as_str(), resource.plural.as_str()),
        ("", "events") | ("policy" | "discovery.k8s.io", _)
    );
    let immutable = |field: &str, value: Value| {
        let fault = FieldError::immutable(field, value);
        let faults = if once { vec![fault] } else { vec![fault.clone(), fault] };
        Status::invalid(resource, &target.name, &faults)
    };
    let (uid, stored_uid) = (object::uid(new).to_owned(), object::uid(old));
    if !uid.is_empty() && uid != stored_uid {
        if by == By::Patch {
            return Err(immutable("metadata.uid", json!(uid)));
        }
        let why = other_uid(resource, old, &uid);
        return Err(Status::conflict(resource, &target.name, &why));
    }
    let version = object::resource_version(new);
    if version.is_empty() && must_name_version(resource) {
        let error = FieldError::invalid("metadata.resourceVersion", json!(0), "must be specified for an update");
        let mut refused = Status::invalid(resource, &target.name, &[error]);
        refused.message = refused.message.replacen(&resource.qualified_kind(), &resource.qualified(), 1);
        object::set(&mut refused.details, "kind", json!(resource.plural));
        return Err(refused);
    }
    if !version.is_empty() && version != object::resource_version(old) {
        return Err(Status::modified(resource, &target.name));
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        let pointer = format!("/metadata/{field}");
        let wanted = new.pointer(&pointer).filter(|wanted| !wanted.is_null());
        if let Some(wanted) = wanted
            && !object::is_being_deleted(old)
        {
            return Err(immutable(&format!("metadata.{field}"), wanted.clone()));
        }
    }
    let was = old.get("metadata").cloned().unwrap_or(Value::Null);
    let metadata = child(new, "metadata");
    for field in [
        "uid",
        "namespace",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
        "managedFields",
    ] {
        object::take_over(metadata, &was, field);
    }
    Ok(())
}

/// Whether an object has the name that the path says.
pub(crate) fn named_as(target: &Target, given: &str) -> Result<(), Status> {
    let name = &target.name;
    if given == name {
        return Ok(());
    }
    if given.is_empty() {
        return Err(nameless(target));
    }
    Err(Status::bad_request(format!("the name of the object ({given}) does not match the name on the URL ({name})")))
}

fn nameless(target: &Target) -> Status {
    let name = &target.name;
    let why = "was undeterminable: name must be provided";
    Status::bad_request(format!("the name of the object ({name} based on URL) {why}"))
}

/// Why a write that names another uid conflicts, in the words of the real server's storage.
pub(crate) fn other_uid(resource: &ResourceType, old: &Value, uid: &str) -> String {
    format!(
        "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: \
         UID in precondition: {uid}, UID in object meta: {}",
        resource.registry_key(object::namespace(old), object::name(old)),
        object::uid(old)
    )
}

/// Whether an update without a resourceVersion is refused.
fn must_name_version(resource: &ResourceType) -> bool {
    resource.custom
        || resource.is("coordination.k8s.io", "leases")
        || resource.is("policy", "poddisruptionbudgets")
        || resource.is("apiextensions.k8s.io", "customresourcedefinitions")
}

/// A write to `status` moves the status, and of the metadata what the real server lets through there (measured): of a
/// Deployment and a ReplicaSet all but the former's labels, of a Pod all but the owners. It never moves the generation.
fn status_only(resource: &ResourceType, old: &Value, new: &mut Value) {
    let written = std::mem::replace(new, old.clone());
    object::take_over(new, &written, "status");
    let moved: &[&str] = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => &["annotations", "labels", "finalizers"],
        ("apps", "deployments") => &["annotations", "finalizers", "ownerReferences"],
        ("apps", "replicasets") => &["annotations", "labels", "finalizers", "ownerReferences"],
        _ => &[],
    };
    if let Some(from) = written.get("metadata") {
        moved.iter().for_each(|field| object::take_over(child(new, "metadata"), from, field));
    }
    if resource.is("", "pods") {
        let class = old.pointer("/status/qosClass").cloned().unwrap_or_default();
        object::default(child(new, "status"), "qosClass", || class);
        defaults::pod_status(new);
    }
}

/// A write to the object leaves the status alone where that has a door of its own.
fn all_but_status(resource: &ResourceType, old: &Value, new: &mut Value) {
    if resource.status {
        object::take_over(new, old, "status");
    }
    if resource.is("", "namespaces") {
        // All it has are the finalizers, which only the subresource changes.
        object::take_over(new, old, "spec");
    }
}

fn bump_generation(resource: &ResourceType, old: &Value, new: &mut Value) {
    let differs = |pointer: &str| old.pointer(pointer) != new.pointer(pointer);
    let moved = match resource.generation {
        Generation::Unused => false,
        Generation::Spec => differs("/spec"),
        Generation::SpecAndAnnotations => differs("/spec") || differs("/metadata/annotations"),
        Generation::AllButStatus => {
            let labels = resource.is("discovery.k8s.io", "endpointslices") && differs("/metadata/labels");
            let rest = |of: &Value| {
                let mut rest = of.clone();
                object::remove(&mut rest, "metadata");
                if resource.status {
                    object::remove(&mut rest, "status");
                }
                rest
            };
            labels || rest(old) != rest(new)
        }
    };
    if moved {
        let generation = object::number(old, "/metadata/generation").unwrap_or_default() + 1;
        set_meta(new, "generation", json!(generation));
    }
}
