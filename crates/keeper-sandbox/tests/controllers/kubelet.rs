//! What a script does in the kubelet's place: pods become ready, end, and go.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::kinds::PODS;
use super::run::Run;

/// A pod's name.
pub(crate) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

pub(crate) fn is_leaving(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn is_over(pod: &Value) -> bool {
    ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase)
}

/// Whether a pod runs the image with this tag.
pub(crate) fn runs(pod: &Value, tag: &str) -> bool {
    pod["spec"]["containers"][0]["image"] == super::kinds::image(tag)
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An address that is nobody's: a real API server takes none of the loopback's.
fn address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("10.250.{}.{}", next / 250 % 128, next % 250 + 2)
}

impl Run {
    /// The pods that neither ended nor leave, oldest first.
    pub(crate) async fn pods(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut pods = self.cluster.list(PODS).await;
        pods.retain(|pod| !is_leaving(pod) && !is_over(pod) && wanted(pod));
        pods.sort_by_key(|pod| (pod["metadata"]["creationTimestamp"].to_string(), name(pod)));
        pods
    }

    async fn write_status(&self, pod: &str, status: Value) {
        let path = format!("{}/status", self.cluster.path(PODS, pod));
        self.cluster.must("PATCH", &path, Some(json!({ "status": status }))).await;
    }

    /// Makes up to so many unready pods ready that are wanted.
    pub(crate) async fn ready(&self, count: usize, wanted: impl Fn(&Value) -> bool) {
        let pods = self.pods(|pod| !is_ready(pod) && wanted(pod)).await;
        for pod in pods.iter().take(count) {
            self.set_ready(&name(pod), true).await;
        }
    }

    /// Makes every pod ready, those too that come for it, until the cluster is at rest.
    pub(crate) async fn set_ready(&self, pod: &str, ready: bool) {
        let known = self.cluster.get(PODS, pod).await.unwrap();
        let ip = known.pointer("/status/podIP").and_then(Value::as_str).map_or_else(address, str::to_owned);
        let ready = if ready { "True" } else { "False" };
        self.write_status(
            pod,
            json!({
                "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
                "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": now() }],
            }),
        )
        .await;
    }

    /// Ends a pod: it succeeds with 0 and fails with anything else.
    pub(crate) async fn finish(&self, pod: &str, exit_code: i32) {
        let (phase, reason) = if exit_code == 0 { ("Succeeded", "Completed") } else { ("Failed", "Error") };
        self.write_status(
            pod,
            json!({
                "phase": phase,
                "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": now() }],
                "containerStatuses": [{
                    "name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "terminated": {
                        "exitCode": exit_code, "reason": reason, "startedAt": now(), "finishedAt": now(),
                    } },
                }],
            }),
        )
        .await;
    }

    /// Says that a pod's container was started again so often.
    pub(crate) async fn restarted(&self, pod: &str, times: i64) {
        let status = json!([{ "name": "app", "image": "", "imageID": "", "ready": false, "restartCount": times }]);
        self.write_status(pod, json!({ "phase": "Running", "containerStatuses": status })).await;
    }

    /// Gives every pod that has none a node, so that its deletion takes its time.
    pub(crate) async fn bind_all(&self) {
        for pod in self.pods(|pod| pod["spec"]["nodeName"].is_null()).await {
            let path = format!("{}/binding", self.cluster.path(PODS, &name(&pod)));
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name(&pod) },
                "target": { "kind": "Node", "name": self.cluster.node },
            });
            self.cluster.must("POST", &path, Some(binding)).await;
        }
    }

    /// Lets the pods go that are leaving.
    pub(crate) async fn see_off(&self) {
        for pod in self.cluster.list(PODS).await.iter().filter(|pod| is_leaving(pod)) {
            let path = self.cluster.path(PODS, &name(pod));
            self.cluster.send("DELETE", &path, Some(json!({ "gracePeriodSeconds": 0 }))).await;
        }
    }
}
