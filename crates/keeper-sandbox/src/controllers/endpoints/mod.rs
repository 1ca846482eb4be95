//! EndpointSlice: which pods a Service's traffic goes to.
//!
//! Left out: IPv6, topology hints, the annotation with the time of the last change, and the older Endpoints.

mod place;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use self::place::place;
use super::{Controller, Error};
use crate::{
    objects::{
        ENDPOINT_SLICES, Fields, Key, Meta, NODES, Object, PODS, SERVICES, controller_reference, is_finished, is_ready,
        object, set,
    },
    selector::Selector,
    view::{Change, View},
};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";

pub(super) struct Endpoints {
    view: View,
}

impl Endpoints {
    pub(super) fn new(view: View) -> Self {
        Self { view }
    }
}

impl Controller for Endpoints {
    const NAME: &'static str = "endpointslice";

    fn concerns(&self, change: &Change<'_>) -> Vec<Key> {
        if *change.kind == *SERVICES {
            return change.latest().map(Meta::key).into_iter().collect();
        }
        if *change.kind == *ENDPOINT_SLICES {
            // Only a slice that somebody else took away or changed needs us; our own writes come back as they were sent.
            return change.latest().and_then(service_of).into_iter().collect();
        }
        if *change.kind == *NODES {
            // Its pods may have been there first.
            let new = change.old.is_none();
            return self.view.all(&SERVICES, None).iter().filter(|_| new).map(|service| service.key()).collect();
        }
        if *change.kind != *PODS {
            return Vec::new();
        }
        let pods = [change.old, change.new];
        let Some(namespace) = change.latest().map(Meta::namespace) else { return Vec::new() };
        let selects = |service: &Object| {
            let selector = Selector::of_map(service.at("/spec/selector"));
            !selector.is_empty() && pods.iter().flatten().any(|pod| selector.matches(pod.metadata.labels.as_ref()))
        };
        let services = self.view.all(&SERVICES, Some(namespace));
        services.iter().filter(|service| selects(service)).map(|service| service.key()).collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Error> {
        let Some(service) = self.view.get(&SERVICES, key) else { return Ok(None) };
        if service.deleting() || service.text("/spec/type") == Some("ExternalName") {
            return Ok(None);
        }
        let selector = Selector::of_map(service.at("/spec/selector"));
        if selector.is_empty() {
            return Ok(None);
        }
        let pods = self.view.all(&PODS, Some(service.namespace()));
        let selected = |pod: &Arc<Object>| selector.matches(pod.metadata.labels.as_ref());
        let pods: Vec<_> = pods.into_iter().filter(|pod| selected(pod) && self.has_node(&service, pod)).collect();
        let wanted = groups(&service, &pods);
        self.write(&service, wanted).await?;
        Ok(None)
    }
}

impl Endpoints {
    /// Changes the slices there are into the wanted ones: endpoints with the same ports are together.
    async fn write(&self, service: &Object, wanted: Vec<Group>) -> Result<(), Error> {
        let mut there = self.slices_of(service);
        let (mut kept, mut deleted) = (0, Vec::new());
        for Group { ports, endpoints } in wanted {
            let (same, others) =
                there.into_iter().partition(|slice| slice.data.get("ports").unwrap_or(&Value::Null) == &ports);
            there = others;
            let same: Vec<Arc<Object>> = same;
            let placed = place(&same, endpoints);
            kept += same.len() - placed.delete.len() + placed.create.len();
            for slice in same.iter().filter(|slice| !placed.delete.iter().any(|gone| Arc::ptr_eq(gone, slice))) {
                let changed = placed.update.iter().find(|(changed, _)| Arc::ptr_eq(changed, slice));
                self.update(service, slice, changed.map(|(_, endpoints)| endpoints.clone())).await?;
            }
            for endpoints in placed.create {
                self.view.create(&ENDPOINT_SLICES, &new_slice(service, &ports, endpoints)?).await?;
            }
            deleted.extend(placed.delete);
        }
        deleted.extend(there);
        if kept == 0 {
            // A Service without endpoints has an empty slice, so that whoever looks knows that it was seen.
            let empty = |slice: &Arc<Object>| slice.items("/endpoints").is_empty() && slice.items("/ports").is_empty();
            match deleted.iter().position(empty) {
                Some(position) => self.update(service, &deleted.remove(position), None).await?,
                None => {
                    self.view.create(&ENDPOINT_SLICES, &new_slice(service, &Value::Null, Vec::new())?).await?;
                }
            }
        }
        for surplus in deleted {
            self.view.delete(&ENDPOINT_SLICES, &surplus, None).await?;
        }
        Ok(())
    }

    fn slices_of(&self, service: &Object) -> Vec<Arc<Object>> {
        let ours = |slice: &Object| {
            slice.label(SERVICE_NAME) == Some(service.name()) && slice.label(MANAGED_BY) == Some(MANAGER)
        };
        let slices = self.view.all(&ENDPOINT_SLICES, Some(service.namespace()));
        slices.into_iter().filter(|slice| ours(slice) && !slice.deleting()).collect()
    }

    /// Writes new endpoints, and the Service's labels where they changed.
    async fn update(&self, service: &Object, old: &Object, endpoints: Option<Vec<Value>>) -> Result<(), Error> {
        let mut changed = old.clone();
        changed.metadata.labels = Some(labels(service));
        if let Some(endpoints) = endpoints {
            changed.set(&["endpoints"], Value::Array(endpoints));
        }
        if changed != *old {
            self.view.replace(&ENDPOINT_SLICES, &changed).await?;
        }
        Ok(())
    }

    /// Only pods on a node that is there get traffic, unless the Service wants them in whatever state.
    fn has_node(&self, service: &Object, pod: &Object) -> bool {
        let node = pod.text("/spec/nodeName").unwrap_or_default();
        service.flag("/spec/publishNotReadyAddresses") || self.view.get(&NODES, &Key::new("", node)).is_some()
    }
}

fn service_of(slice: &Object) -> Option<Key> {
    Some(Key::new(slice.namespace(), slice.label(SERVICE_NAME)?))
}

/// The endpoints that have the same ports.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    ports: Value,
    endpoints: Vec<Value>,
}

fn new_slice(service: &Object, ports: &Value, endpoints: Vec<Value>) -> serde_json::Result<Object> {
    object(
        &ENDPOINT_SLICES,
        json!({
            "metadata": {
                "generateName": format!("{}-", service.name()),
                "namespace": service.namespace(),
                "labels": labels(service),
                "ownerReferences": [controller_reference(&SERVICES, service)],
            },
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": if endpoints.is_empty() { Value::Null } else { Value::Array(endpoints) },
        }),
    )
}

fn labels(service: &Object) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.into(), service.name().into());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if service.text("/spec/clusterIP") == Some("None") {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels
}

/// The endpoints that a Service should have for these pods, by their resolved ports.
fn groups(service: &Object, pods: &[Arc<Object>]) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for pod in pods {
        let Some(endpoint) = endpoint(service, pod) else { continue };
        let ports = ports(service, pod);
        let group = groups.entry(ports.to_string()).or_insert_with(|| Group { ports, endpoints: Vec::new() });
        group.endpoints.push(endpoint);
    }
    groups.into_values().collect()
}

fn endpoint(service: &Object, pod: &Object) -> Option<Value> {
    let address = pod.text("/status/podIP").filter(|address| !address.is_empty())?;
    if is_finished(pod) {
        return None;
    }
    let serving = is_ready(pod);
    let ready = service.flag("/spec/publishNotReadyAddresses") || (serving && !pod.deleting());
    let mut endpoint = json!({
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": pod.deleting()},
        "targetRef": {"kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid()},
    });
    if let Some(node) = pod.text("/spec/nodeName") {
        set(&mut endpoint, &["nodeName"], json!(node));
    }
    let hostname = pod.text("/spec/hostname").filter(|_| pod.text("/spec/subdomain") == Some(service.name()));
    if let Some(hostname) = hostname {
        set(&mut endpoint, &["hostname"], json!(hostname));
    }
    Some(endpoint)
}

/// The Service's ports as this pod has them; a named target port that the pod does not declare is left out.
fn ports(service: &Object, pod: &Object) -> Value {
    let resolve = |port: &Value| {
        let number = match port.at("/targetPort") {
            None => port.int("/port"),
            Some(target) => target.as_i64().filter(|number| *number > 0).or_else(|| named_port(pod, target.as_str()?)),
        };
        let mut resolved = json!({
            "name": port.text("/name").unwrap_or_default(),
            "port": number?,
            "protocol": port.text("/protocol").unwrap_or("TCP"),
        });
        if let Some(protocol) = port.text("/appProtocol") {
            set(&mut resolved, &["appProtocol"], json!(protocol));
        }
        Some(resolved)
    };
    Value::Array(service.items("/spec/ports").iter().filter_map(resolve).collect())
}

fn named_port(pod: &Object, name: &str) -> Option<i64> {
    let containers = pod.items("/spec/containers").iter();
    let mut ports = containers.flat_map(|container| container.items("/ports"));
    ports.find(|port| port.text("/name") == Some(name))?.int("/containerPort")
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literal JSON reads better without borrows")]
mod tests {
    use super::*;

    fn service(port: Value) -> Object {
        object(
            &SERVICES,
            json!({
                "metadata": {"name": "web", "namespace": "n", "uid": "s", "labels": {"team": "a"}},
                "spec": {"clusterIP": "10.0.0.1", "selector": {"app": "web"}, "ports": [port]},
            }),
        )
        .unwrap()
    }

    fn pod(name: &str, ready: &str, port: i64) -> Object {
        object(&PODS, json!({
            "metadata": {"name": name, "namespace": "n", "uid": name},
            "spec": {"nodeName": "node", "containers": [{"name": "a", "ports": [{"name": "http", "containerPort": port}]}]},
            "status": {"phase": "Running", "podIP": "10.1.0.1", "conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_terminating_pod_serves_and_is_not_ready() {
        let mut pod = pod("a", "True", 8080);
        pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let endpoint = endpoint(&service(json!({"port": 80})), &pod).unwrap();
        assert_eq!(endpoint["conditions"], json!({"ready": false, "serving": true, "terminating": true}));
        assert_eq!(endpoint["targetRef"]["uid"], "a");
    }

    #[test]
    fn ended_pods_and_pods_without_address_are_left_out() {
        let service = service(json!({"port": 80}));
        let mut ended = pod("a", "False", 8080);
        ended.set(&["status", "phase"], json!("Failed"));
        let mut early = pod("b", "False", 8080);
        early.set(&["status", "podIP"], Value::Null);
        assert_eq!(groups(&service, &[Arc::new(ended), Arc::new(early)]), []);
    }

    #[test]
    fn pods_that_resolve_a_port_differently_are_in_different_slices() {
        let service = service(json!({"name": "http", "port": 80, "targetPort": "http"}));
        let pods = [pod("a", "True", 8080), pod("b", "True", 9090), pod("c", "False", 8080)].map(Arc::new);
        let groups = groups(&service, &pods);
        let shape: Vec<_> =
            groups.iter().map(|group| (group.ports[0]["port"].as_i64(), group.endpoints.len())).collect();
        assert_eq!(shape, [(Some(8080), 2), (Some(9090), 1)]);
    }

    #[test]
    fn target_ports_by_number_by_default_and_unknown() {
        let pod = pod("a", "True", 8080);
        assert_eq!(ports(&service(json!({"port": 80, "targetPort": 8081})), &pod)[0]["port"], 8081);
        assert_eq!(ports(&service(json!({"port": 80})), &pod)[0]["port"], 80);
        assert_eq!(ports(&service(json!({"port": 80, "targetPort": "grpc"})), &pod), json!([]));
    }
}
