//! EndpointSlice: which pods a Service's traffic goes to.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{Controller, Error};
use crate::{
    objects::{
        ENDPOINT_SLICES, Fields, Key, Meta, Object, PODS, SERVICES, controller_reference, is_finished, is_ready,
        object, set,
    },
    selector::Selector,
    view::{Change, View},
};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";
/// The most endpoints in one slice.
const SLICE: usize = 100;

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
        let pods: Vec<_> = pods.into_iter().filter(|pod| selector.matches(pod.metadata.labels.as_ref())).collect();
        let wanted = slices(&service, &pods);
        self.write(&service, wanted).await?;
        Ok(None)
    }
}

impl Endpoints {
    /// Changes the slices there are into the wanted ones: same ports stay in the same slice.
    async fn write(&self, service: &Object, wanted: Vec<Slice>) -> Result<(), Error> {
        let mut there: Vec<Arc<Object>> = self
            .view
            .all(&ENDPOINT_SLICES, Some(service.namespace()))
            .into_iter()
            .filter(|slice| {
                slice.label(SERVICE_NAME) == Some(service.name()) && slice.label(MANAGED_BY) == Some(MANAGER)
            })
            .filter(|slice| !slice.deleting())
            .collect();
        for slice in wanted {
            let same_ports = there.iter().position(|old| old.data.get("ports").unwrap_or(&Value::Null) == &slice.ports);
            let position = same_ports.or(if there.is_empty() { None } else { Some(0) });
            match position.map(|position| there.remove(position)) {
                Some(old) => self.update(service, &old, slice).await?,
                None => {
                    self.view.create(&ENDPOINT_SLICES, &slice.new_object(service)?).await?;
                }
            }
        }
        for surplus in there {
            self.view.delete(&ENDPOINT_SLICES, &surplus, None).await?;
        }
        Ok(())
    }

    async fn update(&self, service: &Object, old: &Object, slice: Slice) -> Result<(), Error> {
        let mut changed = old.clone();
        changed.metadata.labels = Some(labels(service));
        changed.set(&["ports"], slice.ports);
        changed.set(&["endpoints"], Value::Array(slice.endpoints));
        let same_endpoints =
            changed.items("/endpoints") == old.items("/endpoints") && changed.at("/ports") == old.at("/ports");
        if !same_endpoints || changed.metadata.labels != old.metadata.labels {
            self.view.replace(&ENDPOINT_SLICES, &changed).await?;
        }
        Ok(())
    }
}

fn service_of(slice: &Object) -> Option<Key> {
    Some(Key::new(slice.namespace(), slice.label(SERVICE_NAME)?))
}

/// The contents of one EndpointSlice.
#[derive(Clone, Debug, PartialEq)]
struct Slice {
    ports: Value,
    endpoints: Vec<Value>,
}

impl Slice {
    fn new_object(self, service: &Object) -> serde_json::Result<Object> {
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
                "ports": self.ports,
                "endpoints": self.endpoints,
            }),
        )
    }
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

/// The slices a Service should have for these pods: one for each set of resolved ports, one empty one when there is no pod.
fn slices(service: &Object, pods: &[Arc<Object>]) -> Vec<Slice> {
    let mut groups: BTreeMap<String, Slice> = BTreeMap::new();
    for pod in pods {
        let Some(endpoint) = endpoint(service, pod) else { continue };
        let ports = ports(service, pod);
        let group = groups.entry(ports.to_string()).or_insert_with(|| Slice { ports, endpoints: Vec::new() });
        group.endpoints.push(endpoint);
    }
    if groups.is_empty() {
        return vec![Slice { ports: Value::Null, endpoints: Vec::new() }];
    }
    let split = |group: Slice| {
        let Slice { ports, endpoints } = group;
        let chunks: Vec<Vec<Value>> = endpoints.chunks(SLICE).map(<[Value]>::to_vec).collect();
        chunks.into_iter().map(move |endpoints| Slice { ports: ports.clone(), endpoints })
    };
    groups.into_values().flat_map(split).collect()
}

fn endpoint(service: &Object, pod: &Object) -> Option<Value> {
    let address = pod.text("/status/podIP").filter(|address| !address.is_empty())?;
    if is_finished(pod) {
        return None;
    }
    let serving = is_ready(pod) || service.flag("/spec/publishNotReadyAddresses");
    let ready = service.flag("/spec/publishNotReadyAddresses") || (serving && !pod.deleting());
    let mut endpoint = json!({
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": pod.deleting()},
        "targetRef": {"kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid()},
    });
    if let Some(node) = pod.text("/spec/nodeName") {
        set(&mut endpoint, &["nodeName"], json!(node));
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
        let slices = slices(&service, &[Arc::new(ended), Arc::new(early)]);
        assert_eq!(slices, [Slice { ports: Value::Null, endpoints: vec![] }]);
    }

    #[test]
    fn pods_that_resolve_a_port_differently_are_in_different_slices() {
        let service = service(json!({"name": "http", "port": 80, "targetPort": "http"}));
        let pods = [pod("a", "True", 8080), pod("b", "True", 9090), pod("c", "False", 8080)].map(Arc::new);
        let slices = slices(&service, &pods);
        let shape: Vec<_> =
            slices.iter().map(|slice| (slice.ports[0]["port"].as_i64(), slice.endpoints.len())).collect();
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
