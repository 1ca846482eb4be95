//! DeploymentConfigs and ReplicationControllers on the whole sandbox with fake pods. On a real control plane the kind comes
//! from the same definition, and the ReplicationControllers are kept by kube-controller-manager.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value, reason = "a test may panic")]

mod support;

use std::time::Duration;

use keeper_sandbox::{
    Sandbox, controllers,
    node::{Delay, FakeScript},
};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams},
};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use support::*;

fn real() -> bool {
    std::env::var_os("KEEPER_E2E_KUBECONFIG").is_some()
}

fn configs(client: &Client) -> Api<DynamicObject> {
    api(client, "apps.openshift.io", "v1", "DeploymentConfig")
}

fn replications(client: &Client) -> Api<DynamicObject> {
    api(client, "", "v1", "ReplicationController")
}

/// A cluster with the kind defined and its controller running.
async fn sandbox() -> (Sandbox, Client, (Rest, DropGuard)) {
    let (sandbox, client, rest) = cluster(true, |_| {}).await;
    let definition = serde_json::from_value(controllers::deployment_config_definition()).unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
    let definitions: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    // On a cluster that other tests used it is there already.
    let _ = definitions.create(&PostParams::default(), &definition).await;
    eventually("the kind is served", || async { configs(&client).list(&Default::default()).await.ok() }).await;
    let stop = CancellationToken::new();
    let own = sandbox.client_named("deployment-configs").unwrap();
    tokio::spawn(controllers::deployment_configs(own, Some(rest.namespace.clone()), stop.clone()));
    (sandbox, client, (rest, stop.drop_guard()))
}

fn config(image: &str, more: Value) -> Value {
    let mut config = json!({
        "apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig", "metadata": {"name": "web"},
        "spec": {
            "replicas": 3, "selector": {"app": "web"},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
        },
    });
    for (key, value) in more.as_object().unwrap() {
        config["spec"][key] = value.clone();
    }
    config
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}})
}

/// That version is rolled out, and no pod of another one is left.
async fn rolled_out(client: &Client, version: i64) -> DynamicObject {
    eventually(&format!("version {version} is rolled out"), || async {
        let web = configs(client).get("web").await.unwrap();
        let counts = ["replicas", "updatedReplicas", "availableReplicas"];
        let all = counts.iter().all(|count| int(&web, &format!("/status/{count}")) == 3);
        let seen = int(&web, "/status/observedGeneration") >= web.metadata.generation.unwrap_or(0);
        let told = condition(&web, "Progressing", "reason") == "NewReplicationControllerAvailable";
        (seen && all && told && int(&web, "/status/latestVersion") == version).then_some(web)
    })
    .await
}

async fn images(client: &Client) -> Vec<String> {
    let pods = list(&pods(client)).await.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let mut images: Vec<String> = pods.map(|pod| text(&pod, "/spec/containers/0/image").to_owned()).collect();
    images.sort();
    images
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_template_rolls_out_as_the_next_version() {
    let (sandbox, client, _rest) = sandbox().await;
    create(&configs(&client), config("example.com/app:1", json!({}))).await;
    rolled_out(&client, 1).await;
    merge(&configs(&client), "web", image("example.com/app:2")).await;
    let web = rolled_out(&client, 2).await;
    assert_eq!(condition(&web, "Available", "status"), "True");
    assert_eq!(images(&client).await, ["example.com/app:2"; 3]);

    let second = replications(&client).get("web-2").await.unwrap();
    assert_eq!(second.metadata.annotations.unwrap()["openshift.io/deployment.phase"], "Complete");
    assert_eq!(int(&replications(&client).get("web-1").await.unwrap(), "/spec/replicas"), 0);
    let pod = list(&pods(&client)).await.remove(0);
    let labels = pod.metadata.labels.unwrap();
    let ties = [("app", "web"), ("deployment", "web-2"), ("deploymentconfig", "web")];
    assert!(ties.iter().all(|(key, value)| labels[*key] == *value), "{labels:?}");
    assert_eq!(pod.metadata.annotations.unwrap()["openshift.io/deployment-config.latest-version"], "2");

    merge(&configs(&client), "web", json!({"spec": {"replicas": 1}})).await;
    eventually("it is scaled", || async { (images(&client).await.len() == 1).then_some(()) }).await;
    assert_eq!(int(&configs(&client).get("web").await.unwrap(), "/status/latestVersion"), 2, "no new version");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_trigger_a_version_is_raised_by_hand() {
    let (sandbox, client, _rest) = sandbox().await;
    if real() {
        // Only OpenShift's server, and the sandbox, let others than the controller raise a version.
        return;
    }
    create(&configs(&client), config("example.com/app:1", json!({"triggers": []}))).await;
    let by_one = json!({"status": {"latestVersion": 1}});
    assert_eq!(int(&merge(&configs(&client), "web", by_one).await, "/status/latestVersion"), 1);
    let first = rolled_out(&client, 1).await;

    merge(&configs(&client), "web", image("example.com/app:2")).await;
    let by_two = json!({"status": {"latestVersion": 3, "replicas": 77}});
    let ignored = merge(&configs(&client), "web", by_two).await;
    assert_eq!((int(&ignored, "/status/latestVersion"), int(&ignored, "/status/replicas")), (1, 3));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(images(&client).await, ["example.com/app:1"; 3], "nothing rolls out by itself");

    let instantiate = |force: bool| {
        let request = json!({
            "apiVersion": "apps.openshift.io/v1", "kind": "DeploymentRequest",
            "name": "web", "latest": false, "force": force,
        });
        let configs = configs(&client);
        async move {
            configs
                .create_subresource::<Value, DynamicObject>("instantiate", "web", &PostParams::default(), &request)
                .await
        }
    };
    assert!(instantiate(false).await.is_err());
    let raised = instantiate(true).await.unwrap();
    assert_eq!(int(&raised, "/status/latestVersion"), 2);
    assert!(raised.metadata.generation > first.metadata.generation);
    rolled_out(&client, 2).await;
    assert_eq!(images(&client).await, ["example.com/app:2"; 3]);
    merge(&configs(&client), "web", json!({"spec": {"paused": true}})).await;
    assert!(instantiate(true).await.is_err(), "a paused one can't be forced");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_get_ready_in_time_fails_and_the_last_version_comes_back() {
    let (sandbox, client, _rest) = sandbox().await;
    let bounds = json!({"strategy": {"type": "Rolling", "rollingParams": {"timeoutSeconds": 2}}});
    create(&configs(&client), config("example.com/app:1", bounds)).await;
    rolled_out(&client, 1).await;
    sandbox
        .node()
        .script_image("example.com/app:bad", FakeScript { ready_after: Some(Delay::Never), ..FakeScript::default() });
    merge(&configs(&client), "web", image("example.com/app:bad")).await;
    eventually("it has failed", || async {
        let web = configs(&client).get("web").await.unwrap();
        (condition(&web, "Progressing", "reason") == "ProgressDeadlineExceeded").then_some(())
    })
    .await;
    let whole = ["example.com/app:1"; 3];
    eventually("the first version is whole again", || async { (images(&client).await == whole).then_some(()) }).await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recreate_never_runs_two_versions_at_once() {
    let (sandbox, client, _rest) = sandbox().await;
    create(&configs(&client), config("example.com/app:1", json!({"strategy": {"type": "Recreate"}}))).await;
    rolled_out(&client, 1).await;
    merge(&configs(&client), "web", image("example.com/app:2")).await;
    eventually("only the second version runs", || async {
        let mut all: Vec<String> =
            list(&pods(&client)).await.iter().map(|pod| text(pod, "/spec/containers/0/image").to_owned()).collect();
        all.sort();
        all.dedup();
        assert!(all.len() < 2, "both run: {all:?}");
        (all == ["example.com/app:2"]).then_some(())
    })
    .await;
    rolled_out(&client, 2).await;
    sandbox.stop().await;
}

/// The same rule as for ReplicaSets, with a plain selector.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replication_controller_adopts_what_matches_and_nothing_controls() {
    let (sandbox, client, _rest) = sandbox().await;
    let web = create(&configs(&client), config("example.com/app:1", json!({}))).await;
    rolled_out(&client, 1).await;
    let clone = |name: &str, labels: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": labels, "ownerReferences": [{
                "apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig", "name": "web", "uid": web.metadata.uid,
            }]},
            "spec": {"containers": [{"name": "app", "image": "example.com/app:2"}]},
        })
    };
    // The label `deployment` is the one that ties a pod to its ReplicationController.
    create(&pods(&client), clone("canary", json!({"app": "web", "deploymentconfig": "web"}))).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(images(&client).await.len(), 4, "left alone");
    let tied = json!({"app": "web", "deployment": "web-1", "deploymentconfig": "web"});
    create(&pods(&client), clone("adopted", tied)).await;
    eventually("one pod of the four goes", || async { (images(&client).await.len() == 4).then_some(()) }).await;
    assert!(pods(&client).get("canary").await.is_ok());

    configs(&client).delete("web", &DeleteParams::background()).await.unwrap();
    eventually("all of it is collected", || async {
        (images(&client).await.is_empty() && list(&replications(&client)).await.is_empty()).then_some(())
    })
    .await;
    sandbox.stop().await;
}
