//! A whole Deployment that is wanted: its canary, its promotion, its first creation.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests too, which the lint does not see"
)]

mod common;

use std::collections::BTreeMap;

use common::RUN;
use keeper_clone::{
    CanaryDeployment, CanaryDeploymentSpec, Desired, Replacement, Workload, XRayInput, canary_deployment,
    first_deployment, replacement_patch, xray,
};
use serde_json::{Value, json};

const REVISION: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301/2@0a1b2c3d";

/// Production: two containers, three replicas, behind a Service that selects by `app`.
fn production() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "team", "uid": "u1", "resourceVersion": "7", "labels": {"app": "shop"}},
        "spec": {
            "replicas": 3, "minReadySeconds": 1, "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"containers": [
                    {"name": "web", "image": "quay.io/org/shop:1"}, {"name": "sidecar", "image": "quay.io/org/side:1"},
                ]},
            },
        },
    })
}

/// What is wanted: another image, and no sidecar any more.
fn wanted() -> Value {
    json!({
        "metadata": {
            "name": "shop",
            "labels": {"app": "shop", "canary": "true"},
            "annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:team/shop"},
        },
        "spec": {
            "minReadySeconds": 5, "paused": true,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}, "annotations": {"note": "kept"}},
                "spec": {"containers": [{"name": "web", "image": "quay.io/org/shop:2", "futureField": {"a": [1]}}]},
            },
        },
    })
}

fn images() -> BTreeMap<String, String> {
    [("web".to_owned(), format!("quay.io/org/shop@sha256:{}", "b".repeat(64)))].into()
}

fn service(selector: &Value) -> Value {
    json!({"metadata": {"name": "shop", "namespace": "team"}, "spec": {"selector": selector}})
}

fn canary(wanted: &Value, production: &Value, services: &[Value]) -> CanaryDeployment {
    canary_deployment(&CanaryDeploymentSpec {
        desired: &Desired::read(wanted).unwrap(),
        production: &Workload::read(production).unwrap(),
        images: &images(),
        revision: "2-0a1b2c3d",
        run: RUN,
        owner: &json!({"apiVersion": "canary-keeper.dev/v1alpha1", "kind": "Canary", "name": "c", "uid": "u2",
            "controller": true, "blockOwnerDeletion": true}),
        services,
    })
    .unwrap()
}

fn patch(wanted: &Value, production: &Value, replicas_are_others: bool) -> Vec<Value> {
    let desired = Desired::read(wanted).unwrap();
    let replacement =
        Replacement { desired: &desired, images: &images(), revision: REVISION, run: RUN, replicas_are_others };
    replacement_patch(&Workload::read(production).unwrap(), &replacement).unwrap()
}

fn applied(json: &Value, patch: &[Value]) -> Result<Value, json_patch::PatchError> {
    let patch: json_patch::Patch = serde_json::from_value(json!(patch)).unwrap();
    let mut after = json.clone();
    json_patch::patch(&mut after, &patch).map(|()| after)
}

#[test]
fn the_canary_as_created() {
    insta::assert_yaml_snapshot!(canary(&wanted(), &production(), &[service(&json!({"app": "shop"}))]).deployment);
}

#[test]
fn the_canary_is_reached_and_never_adopted() {
    let production = production();
    let services = [service(&json!({"app": "shop"}))];
    let made = canary(&wanted(), &production, &services);
    let controllers = [json!({
        "kind": "ReplicaSet", "metadata": {"name": "shop-1", "namespace": "team", "labels": {"pod-template-hash": "1"}},
        "spec": {"selector": {"matchLabels": {"app": "shop", "pod-template-hash": "1"}}},
    })];
    let workload = Workload::read(&production).unwrap();
    let input = XRayInput { services: &services, controllers: &controllers, ..XRayInput::new(&workload, &made.pod) };
    let seen = xray(&input);
    assert_eq!((seen.reached_by.as_slice(), seen.refusal()), (["shop".to_owned()].as_slice(), None));
    assert_eq!(seen.controllers, []);
    // Its selector matches its own pods, and nothing that production has.
    let selector = made.deployment["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let labels = &made.deployment["spec"]["template"]["metadata"]["labels"];
    assert!(!selector.is_empty() && selector.iter().all(|(key, value)| labels[key] == *value));
    assert!(selector.keys().all(|key| production["spec"]["template"]["metadata"]["labels"].get(key).is_none()));
}

#[test]
fn a_service_that_selects_by_tier_keeps_the_tier_of_the_pods() {
    let mut production = production();
    let mut wanted = wanted();
    for template in [&mut production, &mut wanted] {
        template["spec"]["template"]["metadata"]["labels"]["tier"] = json!("web");
    }
    let made = canary(&wanted, &production, &[service(&json!({"app": "shop", "tier": "web"}))]);
    assert_eq!(made.deployment["spec"]["template"]["metadata"]["labels"]["tier"], "web");
    assert_eq!(made.deployment["metadata"]["labels"]["tier"], "canary");
    assert_eq!(made.kept_labels[0].label, "tier");
    let made = canary(&wanted, &production, &[service(&json!({"app": "shop"}))]);
    assert_eq!(made.deployment["spec"]["template"]["metadata"]["labels"]["tier"], "canary");
}

#[test]
fn a_service_that_would_not_reach_it_is_told() {
    let mut wanted = wanted();
    wanted["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    let production = production();
    let services = [service(&json!({"app": "shop"}))];
    let made = canary(&wanted, &production, &services);
    let workload = Workload::read(&production).unwrap();
    let seen = xray(&XRayInput { services: &services, ..XRayInput::new(&workload, &made.pod) });
    assert!(seen.refusal().unwrap().to_string().contains("app=shop"));
}

#[test]
fn a_promotion_replaces_what_is_declared_and_leaves_the_rest() {
    let before = production();
    let after = applied(&before, &patch(&wanted(), &before, false)).unwrap();
    let mut template = wanted()["spec"]["template"].clone();
    template["spec"]["containers"][0]["image"] = json!(images()["web"]);
    assert_eq!(after["spec"]["template"], template, "the sidecar is gone, and nothing is lost");
    assert_eq!(after["spec"]["replicas"], 3, "the template says nothing of it");
    assert_eq!(after["spec"]["progressDeadlineSeconds"], 600);
    assert_eq!(after["spec"]["minReadySeconds"], 5);
    assert_eq!(after["metadata"]["labels"], json!({"app": "shop", "canary-keeper.dev/run": RUN}));
    assert_eq!(after["metadata"]["annotations"], json!({"canary-keeper.dev/promoted": REVISION}));
    // Whatever changed since refuses it.
    for (pointer, value) in [("/metadata/uid", json!("u9")), ("/metadata/resourceVersion", json!("8"))] {
        let mut changed = before.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert!(applied(&changed, &patch(&wanted(), &before, false)).is_err(), "{pointer}");
    }
}

#[test]
fn replicas_are_written_only_where_nothing_else_counts_them() {
    let (mut wanted, before) = (wanted(), production());
    wanted["spec"]["replicas"] = json!(9);
    assert!(Desired::read(&wanted).unwrap().says_replicas());
    assert_eq!(applied(&before, &patch(&wanted, &before, false)).unwrap()["spec"]["replicas"], 9);
    assert_eq!(applied(&before, &patch(&wanted, &before, true)).unwrap()["spec"]["replicas"], 3);
    wanted["spec"]["replicas"] = json!(null);
    assert!(!Desired::read(&wanted).unwrap().says_replicas());
    assert_eq!(applied(&before, &patch(&wanted, &before, false)).unwrap()["spec"]["replicas"], 3);
}

#[test]
fn the_first_production_as_created() {
    let wanted = wanted();
    let desired = Desired::read(&wanted).unwrap();
    let images = images();
    let replacement =
        Replacement { desired: &desired, images: &images, revision: REVISION, run: RUN, replicas_are_others: false };
    insta::assert_yaml_snapshot!(first_deployment("team", &replacement).unwrap());
}

#[test]
fn labels_that_are_ours_are_refused() {
    let mut wanted = wanted();
    wanted["spec"]["template"]["metadata"]["labels"]["canary-keeper.dev/run"] = json!("x");
    let desired = Desired::read(&wanted).unwrap();
    let images = images();
    let replacement =
        Replacement { desired: &desired, images: &images, revision: REVISION, run: RUN, replicas_are_others: false };
    assert!(replacement_patch(&Workload::read(&production()).unwrap(), &replacement).is_err());
    assert!(first_deployment("team", &replacement).is_err());
}
