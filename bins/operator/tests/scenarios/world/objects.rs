//! The objects of the scenario's namespace, as they are made and as they are read.

use super::{World, config_maps, deployments, pods, resource};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

impl World {
    pub fn api(&self, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, kind)
    }

    pub async fn create(&self, kind: &ApiResource, object: Value) -> DynamicObject {
        self.api(kind).create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    /// A Service `shop` and a Deployment `shop` of `replicas` pods that run `digest`, managed, ready to be shipped.
    /// `annotations` go beside `canary-image`.
    pub async fn deploy(&self, digest: &str, replicas: usize, annotations: &[(&str, &str)]) {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"},
            "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]},
        });
        self.create(&resource("", "v1", "Service", "services"), service).await;
        self.create(&deployments(), self.deployment("shop", digest, replicas, annotations)).await;
        self.until("the workload is rolled out", async || {
            self.deployment_now().await.data.pointer("/status/availableReplicas") == Some(&json!(replicas))
        })
        .await;
    }

    /// The same, with the template naming the watched tag instead of a digest.
    pub async fn deploy_tagged(&self, replicas: usize) {
        let mut deployment = self.deployment("shop", "", replicas, &[]);
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(self.tag());
        self.create(&deployments(), deployment).await;
        self.until("the workload is rolled out", async || {
            self.deployment_now().await.data.pointer("/status/availableReplicas") == Some(&json!(replicas))
        })
        .await;
    }

    pub fn deployment(&self, name: &str, digest: &str, replicas: usize, annotations: &[(&str, &str)]) -> Value {
        let mut all = json!({"canary-image": self.tag(), "canary-duration": "2s"});
        for (key, value) in annotations {
            all[*key] = json!(value);
        }
        let ip = json!({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}});
        let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1});
        let mut container =
            json!({"name": "shop", "image": self.image(digest), "env": [ip], "ports": [{"containerPort": 8080}]});
        if self.processes {
            container["readinessProbe"] = probe;
        }
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "labels": {"app": name, "canary": "true"}, "annotations": all},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [container], "terminationGracePeriodSeconds": 2},
                },
            },
        })
    }

    pub async fn deployment_now(&self) -> DynamicObject {
        self.api(&self.kind).get("shop").await.unwrap()
    }

    /// The image of the production template.
    pub async fn production(&self) -> String {
        let deployment = self.deployment_now().await;
        deployment.data.pointer("/spec/template/spec/containers/0/image").unwrap().as_str().unwrap().to_owned()
    }

    /// The canary pods there are, terminating ones too.
    pub async fn canaries(&self) -> Vec<DynamicObject> {
        let params = ListParams::default().labels("canary-keeper.dev/canary");
        self.api(&pods()).list(&params).await.unwrap().items
    }

    /// Sets annotations of the workload; `null` removes one.
    pub async fn annotate(&self, annotations: Value) {
        let patch = json!({"metadata": {"annotations": annotations}});
        self.api(&self.kind).patch("shop", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub async fn patch_named(&self, name: &str, patch: Value) {
        self.api(&deployments()).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub async fn patch(&self, patch: Value) {
        self.api(&self.kind).patch("shop", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub async fn delete(&self, kind: &ApiResource, name: &str) {
        let _ = self.api(kind).delete(name, &DeleteParams::default()).await;
    }

    /// Phase and reason as shown on the workload.
    pub async fn shown(&self) -> (String, String) {
        let deployment = self.deployment_now().await;
        let shown = |key: &str| deployment.annotations().get(key).cloned().unwrap_or_default();
        (shown("canary-keeper.dev/phase"), shown("canary-keeper.dev/reason"))
    }

    /// The record as stored.
    pub async fn record(&self) -> Option<Value> {
        let params = ListParams::default().labels("app.kubernetes.io/managed-by=canary-keeper");
        let list = self.api(&config_maps()).list(&params).await.unwrap();
        let text = list.items.first()?.data.pointer("/data/record.json")?.as_str()?.to_owned();
        serde_json::from_str(&text).ok()
    }

    /// Where the record says the rollout stands: phase, and the revision it is about.
    pub async fn state(&self) -> (String, String) {
        let record = self.record().await.unwrap_or_default();
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let revision = text("/state/run/revision").or_else(|| text("/state/revision"));
        (text("/state/phase").unwrap_or_default(), revision.unwrap_or_default())
    }

    /// Any workload by its name.
    pub async fn workload(&self, name: &str) -> DynamicObject {
        self.api(&deployments()).get(name).await.unwrap()
    }

    /// Phase and reason as shown on any workload.
    pub async fn shown_of(&self, name: &str) -> (String, String) {
        let workload = self.workload(name).await;
        let shown = |key: &str| workload.annotations().get(key).cloned().unwrap_or_default();
        (shown("canary-keeper.dev/phase"), shown("canary-keeper.dev/reason"))
    }

    /// The Events of any workload: reason and note.
    pub async fn events_of(&self, name: &str) -> Vec<(String, String)> {
        let mut ours = self.our_events().await;
        ours.retain(|event| event.data["regarding"]["name"] == name);
        ours.iter().map(words).collect()
    }

    /// The Events that we told: reason and note.
    pub async fn events(&self) -> Vec<(String, String)> {
        self.our_events().await.iter().map(words).collect()
    }

    /// A real cluster's controllers tell Events of the same workloads.
    async fn our_events(&self) -> Vec<DynamicObject> {
        let kind = resource("events.k8s.io", "v1", "Event", "events");
        let mut all = self.api(&kind).list(&ListParams::default()).await.unwrap().items;
        all.retain(|event| event.data["reportingController"] == "canary-keeper.dev/operator");
        all
    }
}

/// An Event's reason and note.
fn words(event: &DynamicObject) -> (String, String) {
    let text = |key: &str| event.data[key].as_str().unwrap_or_default().to_owned();
    (text("reason"), text("note"))
}
