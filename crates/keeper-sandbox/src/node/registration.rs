//! The node as an object of the API: its registration, its heartbeat, and the pods it takes.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::Shared;
use crate::{
    objects::{Fields, LEASES, Meta, NODES, Object, PODS, object, stamp},
    view::{has_reason, is_gone},
};

const LEASE_NAMESPACE: &str = "kube-node-lease";

/// Makes the Node object, or takes over the one there is, and says that it is ready.
pub(super) async fn register(shared: &Shared) -> kube::Result<()> {
    let name = &shared.config.name;
    let body = json!({"metadata": {"name": name, "labels": labels(name)}});
    let node = object(&NODES, body).map_err(kube::Error::SerdeError)?;
    match shared.view.create(&NODES, &node).await {
        Ok(_) => {}
        Err(error) if has_reason(&error, "AlreadyExists") => {}
        Err(error) => return Err(error),
    }
    report(shared).await
}

async fn report(shared: &Shared) -> kube::Result<()> {
    let patch = json!({"status": status(shared, Timestamp::now())});
    let api = shared.view.api(&NODES, "");
    api.patch_status(&shared.config.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

fn labels(name: &str) -> Value {
    json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"})
}

fn status(shared: &Shared, now: Timestamp) -> Value {
    let room = json!({"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti"});
    let now = stamp(now);
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": now, "lastTransitionTime": now});
    json!({
        "capacity": room,
        "allocatable": room,
        "addresses": [
            {"type": "InternalIP", "address": shared.config.addresses.node()},
            {"type": "Hostname", "address": shared.config.name},
        ],
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "the sandbox does not measure memory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "the sandbox does not measure disks"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "the sandbox does not count processes"),
            condition("Ready", "True", "KubeletReady", "the sandbox's node runs pods"),
        ],
        "nodeInfo": {
            "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "keeper-sandbox",
            "containerRuntimeVersion": "processes://1", "kubeletVersion": "v1.36.0-sandbox", "kubeProxyVersion": "v1.36.0-sandbox",
            "operatingSystem": "linux", "architecture": "amd64",
        },
    })
}

/// Says that the node lives. A real control plane marks a silent node's pods unready after 40 s.
pub(super) async fn beat(shared: &Shared) -> kube::Result<()> {
    let name = &shared.config.name;
    let renewal = json!({"spec": {
        "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
    }});
    let api = shared.view.api(&LEASES, LEASE_NAMESPACE);
    match api.patch(name, &PatchParams::default(), &Patch::Merge(&renewal)).await {
        Ok(_) => return Ok(()),
        Err(error) if !is_gone(&error) => return Err(error),
        Err(_) => {}
    }
    let mut body = renewal;
    crate::objects::set(&mut body, &["metadata"], json!({"name": name, "namespace": LEASE_NAMESPACE}));
    let lease = object(&LEASES, body).map_err(kube::Error::SerdeError)?;
    match api.create(&PostParams::default(), &lease).await {
        Ok(_) => Ok(()),
        // A server without that namespace keeps no leases of nodes.
        Err(error) if is_gone(&error) => report(shared).await,
        Err(error) => Err(error),
    }
}

/// Gives an unscheduled pod to this node, or says why not.
pub(super) async fn schedule(shared: &Shared, pod: &Object) -> kube::Result<()> {
    let api = shared.view.api(&PODS, pod.namespace());
    if let Some(message) = misfit(pod, &shared.config.name) {
        let known = pod.condition("PodScheduled").and_then(|condition| condition.text("/message"));
        if known == Some(message.as_str()) {
            return Ok(());
        }
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastProbeTime": null, "lastTransitionTime": stamp(Timestamp::now()),
        });
        let patch = json!({"metadata": {"uid": pod.uid()}, "status": {"conditions": [condition]}});
        api.patch_status(pod.name(), &PatchParams::default(), &Patch::Merge(patch)).await?;
        return Ok(());
    }
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": pod.name(), "namespace": pod.namespace(), "uid": pod.uid()},
        "target": {"apiVersion": "v1", "kind": "Node", "name": shared.config.name},
    });
    let _: Value = api.create_subresource("binding", pod.name(), &PostParams::default(), &binding).await?;
    Ok(())
}

/// Whether a pod is one that the node's scheduler looks at.
pub(super) fn is_unscheduled(pod: &Object) -> bool {
    let scheduler = pod.text("/spec/schedulerName").unwrap_or("default-scheduler");
    pod.text("/spec/nodeName").unwrap_or_default().is_empty()
        && scheduler == "default-scheduler"
        && !pod.deleting()
        && pod.items("/spec/schedulingGates").is_empty()
}

/// Why the pod can't run on this one node, in the words of the real scheduler. Of all rules only `nodeSelector` is looked at.
fn misfit(pod: &Object, node: &str) -> Option<String> {
    let labels = labels(node);
    let fits = |(name, value): (&String, &Value)| labels.get(name) == Some(value);
    let all_fit = pod.map("/spec/nodeSelector").into_iter().flatten().all(fits);
    (!all_fit).then(|| "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.".to_owned())
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literal JSON reads better without borrows")]
mod tests {
    use super::*;

    fn pod(spec: Value) -> Object {
        object(&PODS, json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec})).unwrap()
    }

    #[test]
    fn a_foreign_node_selector_does_not_fit() {
        assert_eq!(misfit(&pod(json!({"nodeSelector": {"kubernetes.io/os": "linux"}})), "n"), None);
        assert!(misfit(&pod(json!({"nodeSelector": {"disk": "ssd"}})), "n").is_some());
    }

    #[test]
    fn pods_of_other_schedulers_are_left_alone() {
        assert!(is_unscheduled(&pod(json!({}))));
        assert!(!is_unscheduled(&pod(json!({"nodeName": "n"}))));
        assert!(!is_unscheduled(&pod(json!({"schedulerName": "mine"}))));
        assert!(!is_unscheduled(&pod(json!({"schedulingGates": [{"name": "g"}]}))));
    }
}
