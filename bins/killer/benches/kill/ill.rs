//! The cluster: a sandbox with workloads of two pods, in front of it the proxy that notes the killer's requests.

use keeper_sandbox::api::RequestRecord;
use keeper_sandbox::faults::{FaultProxy, ProxyConfig, Upstream};
use keeper_sandbox::{Sandbox, SandboxConfig};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

pub const NAMESPACE: &str = "shop";

/// A pod of a workload.
#[derive(Clone)]
pub struct Member {
    pub name: String,
    pub uid: String,
}

/// The cluster, and the pods of each workload, two each.
pub struct Ill {
    pub workloads: Vec<Vec<Member>>,
    pub directory: tempfile::TempDir,
    proxy: FaultProxy,
    client: Client,
    /// Runs it.
    _sandbox: Sandbox,
}

impl Ill {
    /// With so many workloads, all of whose pods are Ready.
    pub async fn prepare(workloads: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(SandboxConfig::new(directory.path()).with_fake_pods()).await.unwrap();
        let url = sandbox.api().unwrap().url();
        let proxy = FaultProxy::serve(ProxyConfig::new(Upstream::Url(url))).await.unwrap();
        std::fs::write(directory.path().join("killer.kubeconfig"), proxy.kubeconfig().to_string()).unwrap();
        let client = sandbox.client().unwrap();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        create(&Api::all_with(client.clone(), &kind("", "Namespace", "namespaces")), namespace).await;
        let deployments = Api::namespaced_with(client.clone(), NAMESPACE, &kind("apps", "Deployment", "deployments"));
        for number in 0..workloads {
            create(&deployments, deployment(&format!("cart-{number:03}"))).await;
        }
        let mut ill = Self { workloads: Vec::new(), directory, proxy, client, _sandbox: sandbox };
        while !ill.complete(workloads) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            ill.workloads = ill.ready().await;
        }
        ill
    }

    fn complete(&self, workloads: usize) -> bool {
        self.workloads.len() == workloads && self.workloads.iter().all(|pods| pods.len() == 2)
    }

    /// The Ready pods by workload.
    async fn ready(&self) -> Vec<Vec<Member>> {
        let mut all: BTreeMap<String, Vec<Member>> = BTreeMap::new();
        for pod in self.api("", "Pod", "pods").list(&ListParams::default()).await.unwrap().items {
            let app = pod.labels().get("app").cloned().unwrap_or_default();
            if is_ready(&pod) {
                let member = Member { name: pod.name_any(), uid: pod.uid().unwrap() };
                all.entry(app).or_default().push(member);
            }
        }
        all.into_values().collect()
    }

    pub async fn ledger(&self) -> Value {
        let map = self.api("", "ConfigMap", "configmaps").get("canary-keeper-kills").await.unwrap();
        serde_json::from_str(map.data["data"]["ledger.json"].as_str().unwrap()).unwrap()
    }

    /// The killer's requests.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.proxy.requests().records()
    }

    /// The accepted evictions, by the pod's uid.
    pub fn evictions(&self) -> Vec<(String, RequestRecord)> {
        let uid = |request: &RequestRecord| {
            let body = request.body.as_ref().unwrap();
            body.pointer("/deleteOptions/preconditions/uid").unwrap().as_str().unwrap().to_owned()
        };
        let mut all = self.requests();
        all.retain(|request| request.subresource == "eviction" && request.code == 201);
        all.into_iter().map(|request| (uid(&request), request)).collect()
    }

    pub fn ledger_writes(&self) -> usize {
        let written = |request: &&RequestRecord| request.resource == "configmaps" && request.is_write();
        self.requests().iter().filter(written).filter(|request| request.code < 300).count()
    }

    fn api(&self, group: &str, name: &str, plural: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &kind(group, name, plural))
    }
}

fn kind(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
}

async fn create(api: &Api<DynamicObject>, object: Value) {
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

fn deployment(app: &str) -> Value {
    let container = json!({"name": "app", "image": "registry.example.com/app:1"});
    let template = json!({
        "metadata": {"labels": {"app": app}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": app}}, "template": template},
    })
}

fn is_ready(pod: &DynamicObject) -> bool {
    let conditions = pod.data.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
