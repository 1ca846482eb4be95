//! Releases of OpenShift's DeploymentConfig. Its kind comes from a definition and its controller is the sandbox's; on a real
//! control plane the ReplicationControllers are that one's own.

use crate::world::{Start, World, creations, deployment_configs, kill, not_run, promotions, resource, services};
use keeper_sandbox::controllers;
use keeper_sandbox::faults::{Fault, HookPoint, Matcher, When};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A world in which the kind is served and driven.
async fn world(definition: Value) -> (World, DropGuard) {
    let world = Start::default().config().world().await;
    let kind = resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");
    let definitions: Api<DynamicObject> = Api::all_with(world.client.clone(), &kind);
    // On a cluster that other scenarios use it is there already.
    let _ = definitions.create(&PostParams::default(), &serde_json::from_value(definition).unwrap()).await;
    let configs = world.api(&deployment_configs());
    while configs.list(&ListParams::default()).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let stop = CancellationToken::new();
    let own = world.sandbox.client_named("deployment-configs").unwrap();
    tokio::spawn(controllers::deployment_configs(own, Some(world.namespace.clone()), stop.clone()));
    (world, stop.drop_guard())
}

fn real() -> bool {
    std::env::var_os("KEEPER_E2E_KUBECONFIG").is_some()
}

/// A DeploymentConfig `shop` of two pods that run `digest`, behind a Service with that selector.
async fn deploy(world: &World, digest: &str, triggers: Value, selector: Value) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"},
        "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    world.create(&services(), service).await;
    let mut config = world.deployment("shop", digest, 2, &[]);
    config["apiVersion"] = json!("apps.openshift.io/v1");
    config["kind"] = json!("DeploymentConfig");
    config["spec"]["selector"] = json!({"app": "shop"});
    config["spec"]["triggers"] = triggers;
    world.create(&deployment_configs(), config).await;
}

async fn rolled_out(world: &World, version: i64) {
    world
        .until(&format!("version {version} is rolled out"), async || {
            let status = world.deployment_now().await.data["status"].clone();
            status["latestVersion"] == version && status["availableReplicas"] == 2 && status["replicas"] == 2
        })
        .await;
}

/// Raises the latest version by hand, as `oc rollout latest` does.
async fn instantiate(world: &World) {
    let request = json!({
        "apiVersion": "apps.openshift.io/v1", "kind": "DeploymentRequest", "name": "shop", "latest": false, "force": true,
    });
    let configs = world.api(&deployment_configs());
    let raised: DynamicObject =
        configs.create_subresource("instantiate", "shop", &PostParams::default(), &request).await.unwrap();
    assert!(raised.data["status"]["latestVersion"].is_i64());
}

/// A good release, a bad one, a good one: two more versions are rolled out.
async fn good_bad_good(world: &World) {
    world.start_operator();
    world.operator_ready().await;
    let second = world.push("2", &[]);
    world.until_promoted(&second).await;
    rolled_out(world, 2).await;
    let bad = world.push("3", &[("exit-after", "500ms")]);
    world.until_rejected(&bad, &second).await;
    let fourth = world.push("4", &[]);
    world.until_promoted(&fourth).await;
    rolled_out(world, 3).await;
    let requests = world.requests();
    let counts = (creations(&requests).len(), promotions(&requests).len());
    assert_eq!(counts, (3, 2), "{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn good_bad_good_with_a_change_trigger_behind_a_service_that_selects_the_config() {
    let (world, _controller) = world(controllers::deployment_config_definition()).await;
    let first = world.push("1", &[]);
    // The template says nothing of that label: production pods have it from their ReplicationController.
    deploy(&world, &first, json!([{"type": "ConfigChange"}]), json!({"deploymentconfig": "shop"})).await;
    rolled_out(&world, 1).await;
    good_bad_good(&world).await;

    let requests = world.requests();
    for creation in creations(&requests) {
        let pod = creation.body.as_ref().unwrap();
        let labels = &pod["metadata"]["labels"];
        assert_eq!((&labels["deploymentconfig"], labels.get("deployment")), (&json!("shop"), None), "{labels}");
        let owner = &pod["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["kind"], owner.get("controller")), (&json!("DeploymentConfig"), None), "{owner}");
    }
    let record = world.api(&resource("", "v1", "ConfigMap", "configmaps"));
    let record =
        record.list(&ListParams::default().labels("app.kubernetes.io/managed-by=canary-keeper")).await.unwrap();
    assert_eq!(record.items[0].owner_references()[0].kind, "DeploymentConfig");
    let events = world.api(&resource("events.k8s.io", "v1", "Event", "events"));
    let events = events.list(&ListParams::default()).await.unwrap().items;
    let ours: Vec<_> =
        events.iter().filter(|event| event.data["reportingController"] == "canary-keeper.dev/operator").collect();
    assert!(ours.iter().all(|event| event.data["regarding"]["kind"] == "DeploymentConfig"), "{ours:?}");
    for reason in ["PromotedRestsOnSilence", "Rejected"] {
        assert!(ours.iter().any(|event| event.data["reason"] == reason), "{reason}: {ours:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_change_trigger_the_promotion_raises_the_version() {
    if real() {
        return not_run(
            "a DeploymentConfig without ConfigChange trigger: only OpenShift raises its version for others",
        );
    }
    let (world, _controller) = world(controllers::deployment_config_definition()).await;
    let first = world.push("1", &[]);
    deploy(&world, &first, json!([]), json!({"app": "shop"})).await;
    instantiate(&world).await;
    rolled_out(&world, 1).await;
    good_bad_good(&world).await;
    let asked = world.requests().iter().filter(|request| request.subresource == "instantiate").count();
    assert_eq!(asked, 0, "one patch does it all");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_server_passes_over_the_version_the_promotion_is_instantiated_once() {
    if real() {
        return not_run("a DeploymentConfig that is instantiated: only OpenShift has that door");
    }
    let mut definition = controllers::deployment_config_definition();
    definition["metadata"]["annotations"] = json!({"sandbox.canary-keeper.dev/instantiate-only": "true"});
    let (world, _controller) = world(definition).await;
    let first = world.push("1", &[]);
    deploy(&world, &first, json!([]), json!({"app": "shop"})).await;
    instantiate(&world).await;
    rolled_out(&world, 1).await;
    good_bad_good(&world).await;
    let requests = world.requests();
    let asked: Vec<_> = requests.iter().filter(|request| request.subresource == "instantiate").collect();
    assert_eq!(asked.len(), 2, "{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_dies_around_instantiate_leaves_one_rollout_a_release() {
    if real() {
        return not_run("an operator that dies around instantiate: only OpenShift has that door");
    }
    let mut definition = controllers::deployment_config_definition();
    definition["metadata"]["annotations"] = json!({"sandbox.canary-keeper.dev/instantiate-only": "true"});
    let (world, _controller) = world(definition).await;
    let first = world.push("1", &[]);
    deploy(&world, &first, json!([]), json!({"app": "shop"})).await;
    instantiate(&world).await;
    rolled_out(&world, 1).await;
    world.start_operator();
    world.operator_ready().await;
    let door = || Matcher::any().resource("deploymentconfigs").subresource("instantiate");
    for (version, refused, point) in [(2, true, HookPoint::Before), (3, false, HookPoint::Committed)] {
        let rule = refused.then(|| world.faults().add(door(), When::Always, Fault::Refuse));
        let operator = world.operator();
        world.faults().at(door(), 1, point, move |_| kill(&operator));
        let new = world.push(&format!("{version}"), &[]);
        world.until("the operator is dead", async || !world.operator_lives()).await;
        if let Some(rule) = rule {
            assert_eq!(world.deployment_now().await.data["status"]["latestVersion"], version - 1);
            world.faults().remove(rule);
        }
        world.start_operator();
        world.until_promoted(&new).await;
        rolled_out(&world, version).await;
    }
    assert_eq!(promotions(&world.requests()).len(), 2, "{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_trigger_that_would_take_the_promotion_back_is_reported() {
    let (world, _controller) = world(controllers::deployment_config_definition()).await;
    let first = world.push("1", &[]);
    let trigger = |automatic: bool| {
        json!([{"type": "ConfigChange"}, {"type": "ImageChange", "imageChangeParams": {
            "automatic": automatic, "containerNames": ["shop"], "from": {"kind": "ImageStreamTag", "name": "shop:latest"},
        }}])
    };
    deploy(&world, &first, trigger(true), json!({"app": "shop"})).await;
    rolled_out(&world, 1).await;
    world.start_operator();
    let second = world.push("2", &[]);
    world
        .until("the trigger is named", async || {
            let config = world.deployment_now().await;
            let told = config.annotations().get("canary-keeper.dev/message").cloned().unwrap_or_default();
            told.contains("ImageChange trigger") && told.contains("shop:latest")
        })
        .await;
    assert_eq!(creations(&world.requests()).len(), 0, "nothing was started");
    let calmed = json!({"spec": {"triggers": trigger(false)}});
    let configs = world.api(&deployment_configs());
    configs.patch("shop", &PatchParams::default(), &Patch::Merge(&calmed)).await.unwrap();
    world.until_promoted(&second).await;
}
