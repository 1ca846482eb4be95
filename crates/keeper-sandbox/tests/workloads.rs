//! Workloads on the whole sandbox with fake pods: what is seen only while a node runs them, and what `kubectl` makes of it.
//! What the controllers settle to is in `tests/controllers`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value, reason = "a test may panic")]

mod support;

use std::time::Duration;

use futures::StreamExt;
use keeper_sandbox::Sandbox;
use kube::{
    Client,
    api::{DeleteParams, DynamicObject, WatchEvent},
};
use serde_json::json;

use support::*;

async fn sandbox() -> (Sandbox, Client, Rest) {
    cluster(true, |_| {}).await
}

async fn running_pods(client: &Client) -> Vec<DynamicObject> {
    list(&pods(client)).await.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_comes_up_and_says_so() {
    let (sandbox, client, _rest) = sandbox().await;
    create(&deployments(&client), deployment("web", 3, "example.com/app:1")).await;
    rolled_out(&client, "web").await;
    let web = eventually("progress is told", || async {
        let web = deployments(&client).get("web").await.unwrap();
        (condition(&web, "Progressing", "reason") == "NewReplicaSetAvailable").then_some(web)
    })
    .await;
    assert_eq!(condition(&web, "Available", "status"), "True");
    assert_eq!(
        web.metadata.annotations.unwrap().get("deployment.kubernetes.io/revision").map(String::as_str),
        Some("1")
    );
    let set = list(&sets(&client)).await.remove(0);
    assert_eq!(set.metadata.annotations.as_ref().unwrap().get("note").map(String::as_str), Some("example.com/app:1"));
    let pods = running_pods(&client).await;
    assert_eq!(pods.len(), 3);
    assert!(text(&pods[0], "/status/containerStatuses/0/imageID").starts_with("example.com/app@sha256:"));
    assert_eq!(text(&pods[0], "/status/phase"), "Running");
    sandbox.stop().await;
}

/// The table of what a ReplicaSet adopts, as measured on Kubernetes 1.36: a clone of its pods in four forms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_ownerless_pod_with_the_hash_is_adopted() {
    let (sandbox, client, _rest) = sandbox().await;
    let web = create(&deployments(&client), deployment("web", 3, "example.com/app:1")).await;
    rolled_out(&client, "web").await;
    let set = list(&sets(&client)).await.remove(0);
    let hash = set.metadata.labels.as_ref().unwrap()["pod-template-hash"].clone();
    let owner = |controller: bool| json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": web.metadata.uid, "controller": controller}]);
    let clone = |name: &str, labels: serde_json::Value, owners: serde_json::Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": labels, "ownerReferences": owners},
            "spec": {"containers": [{"name": "app", "image": "example.com/app:2"}]},
        })
    };
    let (bare, hashed) = (json!({"app": "web"}), json!({"app": "web", "pod-template-hash": hash}));
    for (name, labels, owners) in [
        ("bare", &bare, json!([])),
        ("plain", &bare, owner(false)),
        ("controlled", &bare, owner(true)),
        ("controlled-with-hash", &hashed, owner(true)),
    ] {
        create(&pods(&client), clone(name, labels.clone(), owners.clone())).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let pod = pods(&client).get(name).await.unwrap();
        let uids: Vec<String> =
            pod.metadata.owner_references.unwrap_or_default().into_iter().map(|owner| owner.uid).collect();
        assert!(!uids.contains(set.metadata.uid.as_ref().unwrap()), "{name} was adopted");
        assert_eq!(running_pods(&client).await.len(), 4, "{name} cost a pod");
        pods(&client).delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
        eventually("the clone is gone", || async { (running_pods(&client).await.len() == 3).then_some(()) }).await;
    }

    let version = pods(&client).list(&Default::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut changes = pods(&client).watch(&Default::default(), &version).await.unwrap().boxed();
    create(&pods(&client), clone("hashed", hashed, json!([]))).await;
    // It may be the one that is then one too many, and be gone at the next look.
    let adopted = async {
        while let Some(change) = changes.next().await {
            if let Ok(WatchEvent::Modified(pod)) = change
                && pod.metadata.name.as_deref() == Some("hashed")
                && pod.metadata.owner_references.unwrap_or_default().first().map(|owner| &owner.uid)
                    == set.metadata.uid.as_ref()
            {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), adopted).await.expect("the hashed clone is adopted");
    eventually("the set is back at its count", || async { (running_pods(&client).await.len() == 3).then_some(()) })
        .await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_keeps_its_bounds() {
    let (sandbox, client, _rest) = sandbox().await;
    let mut web = deployment("web", 6, "example.com/app:1");
    web["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 2, "maxUnavailable": "20%"}});
    web["spec"]["template"]["metadata"]["annotations"] = json!({"sandbox.canary-keeper.dev/ready-after": "200ms"});
    create(&deployments(&client), web).await;
    rolled_out(&client, "web").await;
    merge(&deployments(&client), "web", set_image("example.com/app:2")).await;
    let (mut fewest, mut most, mut looks) = (usize::MAX, 0_u64, 0);
    loop {
        let pods = running_pods(&client).await;
        let ready = pods.iter().filter(|pod| condition(pod, "Ready", "status") == "True").count();
        // The surge bounds what the ReplicaSets are told to have; one that was told to shrink may be a moment late.
        let told = list(&sets(&client)).await.iter().filter_map(|set| set.data["spec"]["replicas"].as_u64()).sum();
        (fewest, most, looks) = (fewest.min(ready), most.max(told), looks + 1);
        let web = deployments(&client).get("web").await.unwrap();
        if is_rolled_out(&web) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    assert!(looks > 5, "looked {looks} times only");
    assert!(fewest >= 5, "{fewest} ready pods of 6, and 20 % of 6 is 1");
    assert!(most <= 8, "{most} pods at once");
    let images: Vec<String> =
        running_pods(&client).await.iter().map(|pod| text(pod, "/spec/containers/0/image").to_owned()).collect();
    assert_eq!(images, ["example.com/app:2"; 6]);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recreate_never_runs_two_versions_and_history_is_bounded() {
    let (sandbox, client, _rest) = sandbox().await;
    let mut web = deployment("web", 3, "example.com/app:0");
    web["spec"]["strategy"] = json!({"type": "Recreate"});
    web["spec"]["revisionHistoryLimit"] = json!(1);
    create(&deployments(&client), web).await;
    rolled_out(&client, "web").await;
    for version in 1..4 {
        let image = format!("example.com/app:{version}");
        merge(&deployments(&client), "web", set_image(&image)).await;
        loop {
            let mut images: Vec<String> =
                list(&pods(&client)).await.iter().map(|pod| text(pod, "/spec/containers/0/image").to_owned()).collect();
            images.dedup();
            assert!(images.len() <= 1, "two versions at once: {images:?}");
            if is_rolled_out(&deployments(&client).get("web").await.unwrap()) {
                break;
            }
        }
    }
    eventually("old ReplicaSets are gone", || async { (list(&sets(&client)).await.len() == 2).then_some(()) }).await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_hold_what_a_service_selects() {
    let (sandbox, client, _rest) = sandbox().await;
    create(&deployments(&client), deployment("web", 2, "example.com/app:1")).await;
    create(
        &services(&client),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}}),
    )
    .await;
    let ready = || async {
        let slice = list(&slices(&client)).await.pop()?;
        let endpoints = slice.data["endpoints"].as_array().cloned().unwrap_or_default();
        Some(endpoints.into_iter().filter(|endpoint| endpoint["conditions"]["ready"] == true).collect::<Vec<_>>())
    };
    eventually("two ready endpoints", || async { ready().await.filter(|ready| ready.len() == 2) }).await;
    let slice = list(&slices(&client)).await.remove(0);
    assert_eq!(slice.metadata.labels.as_ref().unwrap()["kubernetes.io/service-name"], "web");
    assert_eq!(slice.data["ports"][0]["port"], 8080);

    let canary = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "canary", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "example.com/app:2"}]},
    });
    create(&pods(&client), canary).await;
    let three =
        eventually("the canary is among them", || async { ready().await.filter(|ready| ready.len() == 3) }).await;
    assert!(three.iter().any(|endpoint| endpoint["targetRef"]["name"] == "canary"));
    pods(&client).delete("canary", &DeleteParams::default()).await.unwrap();
    eventually("and no longer", || async { ready().await.filter(|ready| ready.len() == 2) }).await;

    services(&client).delete("web", &DeleteParams::default()).await.unwrap();
    eventually("slices go with their Service", || async { list(&slices(&client)).await.is_empty().then_some(()) })
        .await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_counts_a_clone_as_capacity() {
    let (sandbox, client, _rest) = sandbox().await;
    let web = create(&deployments(&client), deployment("web", 3, "example.com/app:1")).await;
    rolled_out(&client, "web").await;
    let budgets = api(&client, "policy", "v1", "PodDisruptionBudget");
    create(
        &budgets,
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}}),
    )
    .await;
    let counts = || async {
        let budget = budgets.get("web").await.unwrap();
        ["expectedPods", "currentHealthy", "disruptionsAllowed"].map(|field| int(&budget, &format!("/status/{field}")))
    };
    eventually("three of three, one may go", || async { (counts().await == [3, 3, 1]).then_some(()) }).await;
    let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": web.metadata.uid, "controller": true}]);
    create(
        &pods(&client),
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "canary", "labels": {"app": "web"}, "ownerReferences": owner},
            "spec": {"containers": [{"name": "app", "image": "example.com/app:2"}]},
        }),
    )
    .await;
    eventually("as measured on Kubernetes 1.36", || async { (counts().await == [3, 4, 2]).then_some(()) }).await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_owner_left_is_collected() {
    let (sandbox, client, _rest) = sandbox().await;
    let web = create(&deployments(&client), deployment("web", 2, "example.com/app:1")).await;
    rolled_out(&client, "web").await;
    let maps = api(&client, "", "v1", "ConfigMap");
    let owner = |uid: &str| json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid}]);
    let uid = web.metadata.uid.unwrap();
    create(
        &maps,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ours", "ownerReferences": owner(&uid)}}),
    )
    .await;
    create(&maps, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "orphan", "ownerReferences": owner("no-such-uid")}})).await;
    create(&maps, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "free"}})).await;
    eventually("an owner that never was", || async { maps.get_opt("orphan").await.unwrap().is_none().then_some(()) })
        .await;
    assert!(maps.get_opt("ours").await.unwrap().is_some());
    deployments(&client).delete("web", &DeleteParams::background()).await.unwrap();
    eventually("everything is collected", || async {
        let left = list(&sets(&client)).await.len() + list(&pods(&client)).await.len();
        (left == 0 && maps.get_opt("ours").await.unwrap().is_none()).then_some(())
    })
    .await;
    assert!(maps.get_opt("free").await.unwrap().is_some());
    sandbox.stop().await;
}

/// The machine's `kubectl` on a Deployment: what people type.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_follows_undoes_and_lists_rollouts() {
    let (sandbox, client, rest) = sandbox().await;
    let kubectl = async |line: &str| {
        let mut command = tokio::process::Command::new("kubectl");
        command.arg("--kubeconfig").arg(sandbox.kubeconfig()).args(["--namespace", &rest.namespace]);
        let output = command.args(line.split_whitespace()).output().await.ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "kubectl {line}: {}", text(&output.stderr));
        Some(text(&output.stdout))
    };
    if kubectl("get pods").await.is_none() {
        println!("NOT RUN: no kubectl on PATH");
        return sandbox.stop().await;
    }
    create(&deployments(&client), deployment("web", 3, "example.com/app:1")).await;
    let done = "deployment \"web\" successfully rolled out";
    assert!(kubectl("rollout status deployment/web --timeout 30s").await.unwrap().contains(done));
    kubectl("set image deployment/web app=example.com/app:2").await.unwrap();
    assert!(kubectl("rollout status deployment/web --timeout 30s").await.unwrap().contains(done));
    kubectl("rollout restart deployment/web").await.unwrap();
    assert!(kubectl("rollout status deployment/web --timeout 30s").await.unwrap().contains(done));
    kubectl("rollout undo deployment/web --to-revision 1").await.unwrap();
    assert!(kubectl("rollout status deployment/web --timeout 30s").await.unwrap().contains(done));
    let history = kubectl("rollout history deployment/web").await.unwrap();
    let revisions: Vec<&str> = history.lines().skip(2).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(revisions, ["2", "3", "4"], "{history}");
    assert_eq!(kubectl("get deployment web -o jsonpath={..image}").await.unwrap(), "example.com/app:1");
    kubectl("wait --for=condition=Available deployment/web --timeout 30s").await.unwrap();
    sandbox.stop().await;
}
