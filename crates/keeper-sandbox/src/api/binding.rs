//! The binding subresource: how a scheduler gives a pod its node. There is no other way once the pod exists.

use serde_json::{Value, json};

use super::cluster::{Cluster, Target, Write, other_uid};
use super::object::{self, child};
use super::status::{FieldError, Status};

impl Cluster {
    /// Assigns a pod to the node that a `Binding` names.
    pub(crate) fn bind(&mut self, target: &Target, binding: &Value, write: Write) -> Result<Value, Status> {
        let name = &target.name;
        if object::name(binding) != name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        let node = object::text(binding, "/target/name").unwrap_or_default();
        let kind = object::text(binding, "/target/kind").unwrap_or_default();
        let mut faults = Vec::new();
        if !matches!(kind, "" | "Node") {
            faults.push(FieldError::not_supported("target.kind", kind.into(), &["Node", "<empty>"]).to_string());
        }
        if node.is_empty() {
            faults.push("target.name: Required value".to_owned());
        }
        match faults.as_slice() {
            [] => {}
            [only] => return Err(Status::new(500, "", only)),
            many => return Err(Status::new(500, "", format!("[{}]", many.join(", ")))),
        }
        let pod = self.stored(target)?;
        let refuse = |why: &str| {
            let message = format!("Operation cannot be fulfilled on pods/binding \"{name}\": {why}");
            let details = json!({ "name": name, "kind": "pods/binding" });
            Err(Status { details, ..Status::new(409, "Conflict", message) })
        };
        let uid = object::uid(binding);
        if !uid.is_empty() && uid != object::uid(&pod) {
            return Err(Status::conflict(&target.resource, name, &other_uid(&target.resource, &pod, uid)));
        }
        if object::is_being_deleted(&pod) {
            return refuse(&format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        match object::text(&pod, "/spec/nodeName").unwrap_or_default() {
            "" => {}
            other => return refuse(&format!("pod {name} is already assigned to node \"{other}\"")),
        }
        let mut new = (*pod).clone();
        object::set(child(&mut new, "spec"), "nodeName", json!(node));
        let status = child(&mut new, "status");
        let mut conditions = object::list(status, "/conditions").to_vec();
        conditions.retain(|c| object::text(c, "/type") != Some("PodScheduled"));
        conditions.push(json!({
            "type": "PodScheduled", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": object::seconds(write.now),
        }));
        object::set(status, "conditions", Value::Array(conditions));
        if !write.dry_run {
            self.store.put(&target.resource.storage, new);
        }
        Ok(json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 }))
    }
}
