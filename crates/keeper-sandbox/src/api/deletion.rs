//! Deleting: preconditions, grace, finalizers, those of namespaces, and eviction under budgets.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::cluster::{Cluster, Target, Write};
use super::convert;
use super::definitions::is_definition;
use super::object::{self, set_meta};
use super::resources::ResourceType;
use super::selector::{LabelSelector, Selection};
use super::status::{self, FieldError, Status};

/// `DeleteOptions`, as sent in the body or the query.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) grace_seconds: Option<i64>,
    pub(crate) propagation: Option<String>,
}

impl DeleteOptions {
    pub(crate) fn read(options: &Value) -> Result<Self, Status> {
        if let Some(kind) = object::text(options, "/kind").filter(|kind| !matches!(*kind, "" | "DeleteOptions")) {
            let version = object::text(options, "/apiVersion").unwrap_or_default();
            return Err(Status::bad_request(format!(
                "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\""
            )));
        }
        let of_text = |pointer: &str| object::text(options, pointer).map(str::to_owned);
        let read = Self {
            uid: of_text("/preconditions/uid"),
            resource_version: of_text("/preconditions/resourceVersion"),
            grace_seconds: object::number(options, "/gracePeriodSeconds"),
            propagation: of_text("/propagationPolicy").or_else(|| {
                let orphan = options.get("orphanDependents").and_then(Value::as_bool)?;
                Some(if orphan { "Orphan" } else { "Background" }.to_owned())
            }),
        };
        let dry_run = object::list(options, "/dryRun");
        if dry_run.iter().any(|value| value.as_str() != Some("All")) {
            let error = FieldError::not_supported("dryRun", Value::Array(dry_run.to_vec()), &["All"]);
            return Err(Status::invalid_options("DeleteOptions", &[error]));
        }
        if let Some(policy) = &read.propagation
            && !matches!(policy.as_str(), "Orphan" | "Background" | "Foreground")
        {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            let error = FieldError::not_supported("propagationPolicy", json!(policy), &supported);
            return Err(Status::invalid_options("DeleteOptions", &[error]));
        }
        if of_text("/propagationPolicy").is_some() && options.get("orphanDependents").is_some_and(|o| !o.is_null()) {
            let policy = json!(read.propagation);
            let why = "orphanDependents and deletionPropagation cannot be both set";
            let error = FieldError::invalid("propagationPolicy", policy, why);
            return Err(Status::invalid_options("DeleteOptions", &[error]));
        }
        Ok(read)
    }
}

impl Cluster {
    /// Deletes an object, or starts to. Returns what the client is shown.
    pub(crate) fn delete(&mut self, target: &Target, options: &DeleteOptions, write: Write) -> Result<Value, Status> {
        let resource = Arc::clone(&target.resource);
        let old = self.stored(target)?;
        preconditions(&resource, &old, options)?;
        if resource.is("", "namespaces") && matches!(target.name.as_str(), "default" | "kube-system" | "kube-public") {
            return Err(Status::forbidden(&resource, &target.name, "this namespace may not be deleted"));
        }
        if is_definition(&resource) && !object::is_being_deleted(&old) {
            return Ok(self.delete_definition(target, &old, write));
        }
        let grace = grace(&resource, &old, options);
        let mut new = (*old).clone();
        add_propagation_finalizer(&mut new, options);
        let waits = grace > 0
            || !object::list(&new, "/metadata/finalizers").is_empty()
            || !object::list(&new, "/spec/finalizers").is_empty() && resource.is("", "namespaces");
        if !waits {
            if resource.is("", "pods") {
                // A pod is marked before it goes, also when it goes at once.
                mark_deleted(&resource, &old, &mut new, 0, write.now);
            }
            if write.dry_run {
                return Ok(farewell(&resource, &new));
            }
            if new != *old {
                self.store.put(&resource.storage, new.clone());
            }
            let last = self.remove(&resource, &new).unwrap_or(old);
            return Ok(farewell(&resource, &last));
        }
        mark_deleted(&resource, &old, &mut new, grace, write.now);
        if new == *old || write.dry_run {
            return Ok(convert::served(&resource, &new));
        }
        Ok(convert::served(&resource, &self.store.put(&resource.storage, new)))
    }

    /// Deletes every selected object and returns them as a list.
    pub(crate) fn delete_collection(
        &mut self,
        target: &Target,
        selection: &Selection,
        options: &DeleteOptions,
        write: Write,
    ) -> Result<Value, Status> {
        let resource = &target.resource;
        let selected: Vec<Arc<Value>> = self
            .store
            .list(&resource.storage)
            .map(|(_, object)| object)
            .filter(|object| selection.matches(&convert::served(resource, object)))
            .cloned()
            .collect();
        let mut items = Vec::with_capacity(selected.len());
        for object in selected {
            let one = Target {
                namespace: object::namespace(&object).to_owned(),
                name: object::name(&object).to_owned(),
                ..target.clone()
            };
            self.delete(&one, options, write)?;
            let mut item = convert::served(resource, &object);
            if !resource.custom {
                object::remove(&mut item, "apiVersion");
                object::remove(&mut item, "kind");
            }
            items.push(item);
        }
        Ok(json!({
            "kind": resource.list_kind, "apiVersion": resource.api_version(),
            "metadata": { "resourceVersion": self.store.version().to_string() }, "items": items,
        }))
    }

    /// Takes an object out of the store, with what hangs on it in the server itself. `object` is its last state.
    pub(crate) fn remove(&mut self, resource: &ResourceType, object: &Value) -> Option<Arc<Value>> {
        let last = self.store.remove_as(&resource.storage, object);
        if is_definition(resource) {
            self.resources.forget(object);
        }
        if resource.custom {
            self.finish_definition(&resource.qualified());
        }
        last
    }

    /// The finalize subresource of a namespace: sets `spec.finalizers`, the last of which holds a deleted one.
    pub(crate) fn finalize(&mut self, target: &Target, body: &Value, write: Write) -> Result<Value, Status> {
        let old = self.stored(target)?;
        let wanted = object::resource_version(body);
        if !wanted.is_empty() && wanted != object::resource_version(&old) {
            return Err(Status::modified(&target.resource, &target.name));
        }
        let mut new = (*old).clone();
        match object::list(body, "/spec/finalizers") {
            [] => drop(object::remove(object::child(&mut new, "spec"), "finalizers")),
            kept => object::set(object::child(&mut new, "spec"), "finalizers", Value::Array(kept.to_vec())),
        }
        if new == *old || write.dry_run {
            return Ok(convert::served(&target.resource, &new));
        }
        Ok(convert::served(&target.resource, &self.keep(&target.resource, new)))
    }

    /// The eviction subresource: a delete that a disruption budget may refuse.
    pub(crate) fn evict(&mut self, target: &Target, body: &Value, write: Write) -> Result<Value, Status> {
        if let Some(kind) = object::text(body, "/kind").filter(|k| *k != "Eviction") {
            let version = object::text(body, "/apiVersion").unwrap_or_default();
            let why = format!("{kind} in version {version:?} cannot be handled as a Eviction: it is no Eviction");
            return Err(Status::bad_request(why));
        }
        if object::name(body) != target.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let pod = self.stored(target)?;
        let options = DeleteOptions::read(body.get("deleteOptions").unwrap_or(&Value::Null))?;
        if !counts_for_budgets(&pod) {
            self.delete(target, &options, write)?;
            return Ok(evicted());
        }
        let budgets = self.budgets_of(&pod);
        match budgets.as_slice() {
            [] => {}
            [budget] => self.spend(budget, &pod, target, write)?,
            _ => {
                let message =
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(Status::new(500, "", message));
            }
        }
        // As measured: a precondition that fails here has already spent the budget.
        self.delete(target, &options, write)?;
        Ok(evicted())
    }

    fn budgets_of(&self, pod: &Value) -> Vec<Arc<Value>> {
        let labels = object::map(pod, "/metadata/labels");
        let selects = |budget: &Value| {
            budget
                .pointer("/spec/selector")
                .is_some_and(|s| LabelSelector::from_object(s).is_ok_and(|s| s.matches(labels)))
        };
        self.store
            .list("policy/poddisruptionbudgets")
            .filter(|((namespace, _), budget)| namespace == object::namespace(pod) && selects(budget))
            .map(|(_, budget)| Arc::clone(budget))
            .collect()
    }

    /// Takes one disruption from the budget, or refuses.
    fn spend(&mut self, budget: &Value, pod: &Value, target: &Target, write: Write) -> Result<(), Status> {
        let name = object::name(budget);
        let status = |pointer: &str| object::number(budget, &format!("/status/{pointer}")).unwrap_or_default();
        let generation = object::number(budget, "/metadata/generation").unwrap_or_default();
        if status("observedGeneration") < generation {
            let message = "Cannot evict pod as it would violate the pod's disruption budget.";
            let cause = format!("The disruption budget {name} is still being processed by the server.");
            return Err(too_many(message, &cause, true));
        }
        if object::map(budget, "/status/disruptedPods").is_some_and(|p| p.len() > 2000) {
            let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
            return Err(Status::forbidden(&target.resource, name, why));
        }
        if status("disruptionsAllowed") <= 0 {
            let cause = format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                status("desiredHealthy"),
                status("currentHealthy")
            );
            return Err(too_many("Cannot evict pod as it would violate the pod's disruption budget.", &cause, false));
        }
        if write.dry_run {
            return Ok(());
        }
        let mut new = budget.clone();
        let parts = object::child(&mut new, "status");
        object::set(parts, "disruptionsAllowed", json!(status("disruptionsAllowed") - 1));
        object::set(object::child(parts, "disruptedPods"), object::name(pod), json!(object::seconds(write.now)));
        self.store.put("policy/poddisruptionbudgets", new);
        Ok(())
    }
}

fn too_many(message: &str, cause: &str, retry: bool) -> Status {
    let mut details = json!({ "causes": [{ "reason": "DisruptionBudget", "message": cause }] });
    if retry {
        object::set(&mut details, "retryAfterSeconds", json!(10));
    }
    Status { details, ..Status::new(429, "TooManyRequests", message) }
}

fn evicted() -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 })
}

/// Pods that are over, not started or not ready anyway are evicted without asking a budget.
fn counts_for_budgets(pod: &Value) -> bool {
    let phase = object::text(pod, "/status/phase").unwrap_or_default();
    !matches!(phase, "Succeeded" | "Failed" | "Pending") && !object::is_being_deleted(pod)
}

fn preconditions(resource: &ResourceType, old: &Value, options: &DeleteOptions) -> Result<(), Status> {
    let name = object::name(old);
    let refuse = |why: String| {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified_kind());
        let mut details = json!({ "name": name, "kind": resource.kind });
        if !resource.object_group().is_empty() {
            object::set(&mut details, "group", json!(resource.object_group()));
        }
        Err(Status { details, ..Status::new(409, "Conflict", message) })
    };
    let uid = object::uid(old);
    if resource.is("", "namespaces") {
        // They have a storage of their own, with words of its own.
        let version = object::resource_version(old);
        for (what, wanted, found) in
            [("UID", &options.uid, uid), ("ResourceVersion", &options.resource_version, version)]
        {
            if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
                let why =
                    format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}");
                return Err(Status::conflict(resource, name, &why));
            }
        }
        return Ok(());
    }
    if let Some(wanted) = options.uid.as_deref().filter(|wanted| *wanted != uid) {
        return refuse(format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). \
             The object might have been deleted and then recreated"
        ));
    }
    let version = object::resource_version(old);
    if let Some(wanted) = options.resource_version.as_deref().filter(|wanted| *wanted != version) {
        return refuse(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        ));
    }
    Ok(())
}

/// Seconds until the object really goes. Only pods that a node runs, or may run, have any.
fn grace(resource: &ResourceType, old: &Value, options: &DeleteOptions) -> i64 {
    let over = matches!(object::text(old, "/status/phase"), Some("Succeeded" | "Failed"));
    let assigned = object::text(old, "/spec/nodeName").is_some_and(|n| !n.is_empty());
    if !resource.is("", "pods") || over || !assigned {
        return 0;
    }
    let own = object::number(old, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
    let grace = options.grace_seconds.unwrap_or(own);
    if grace < 0 { 1 } else { grace }
}

fn add_propagation_finalizer(new: &mut Value, options: &DeleteOptions) {
    let wanted = match options.propagation.as_deref() {
        Some("Foreground") => Some("foregroundDeletion"),
        Some("Orphan") => Some("orphan"),
        _ => None,
    };
    let mut finalizers = object::list(new, "/metadata/finalizers").to_vec();
    finalizers.retain(|f| match f.as_str() {
        // A later, different wish replaces an earlier one.
        Some(f @ ("foregroundDeletion" | "orphan")) => options.propagation.is_none() || wanted == Some(f),
        _ => true,
    });
    if let Some(wanted) = wanted
        && !finalizers.iter().any(|f| f.as_str() == Some(wanted))
    {
        finalizers.push(json!(wanted));
    }
    if finalizers.is_empty() {
        object::remove(object::child(new, "metadata"), "finalizers");
    } else {
        set_meta(new, "finalizers", Value::Array(finalizers));
    }
}

/// Marks for deletion; a second delete can only shorten the grace.
fn mark_deleted(resource: &ResourceType, old: &Value, new: &mut Value, grace: i64, now: Timestamp) {
    let known = object::number(old, "/metadata/deletionGracePeriodSeconds");
    if object::is_being_deleted(old) && known.is_none_or(|known| grace >= known) {
        return;
    }
    let at = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    set_meta(new, "deletionTimestamp", json!(object::seconds(at)));
    if !resource.is("", "namespaces") {
        set_meta(new, "deletionGracePeriodSeconds", json!(grace));
    }
    if let Some(generation) = object::number(old, "/metadata/generation")
        && !object::is_being_deleted(old)
    {
        set_meta(new, "generation", json!(generation + 1));
    }
    if resource.is("", "namespaces") {
        object::set(object::child(new, "status"), "phase", json!("Terminating"));
    }
}

/// Some kinds show the deleted object, the others a success status.
fn farewell(resource: &ResourceType, last: &Value) -> Value {
    let shown = resource.group.is_empty()
        && matches!(resource.plural.as_str(), "pods" | "services" | "serviceaccounts" | "persistentvolumeclaims");
    if shown {
        convert::served(resource, last)
    } else {
        status::success(resource, object::name(last), object::uid(last))
    }
}
