//! DeploymentConfigs: the canary's labels and owner, the promotion with and without ConfigChange trigger, image triggers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests too, which the lint does not see"
)]

mod common;

use common::{RUN, load, new_image};
use keeper_clone::{
    CanaryPod, CanarySpec, Refusal, Targets, Workload, XRayInput, clone_pod, image_triggers, instantiate_request,
    not_rolled_out, promotion_patch, xray,
};
use serde_json::{Value, json};

fn service(selector: &Value) -> Value {
    json!({"metadata": {"name": "cart", "namespace": "prod"}, "spec": {"selector": selector}})
}

/// The ReplicationController of the version that runs.
fn controller(pods: u32) -> Value {
    json!({
        "kind": "ReplicationController",
        "metadata": {
            "name": "cart-4", "namespace": "prod",
            "ownerReferences": [{"kind": "DeploymentConfig", "uid": load("config.yaml")["metadata"]["uid"], "controller": true}],
        },
        "spec": {"replicas": pods, "selector": {"app": "cart", "deployment": "cart-4", "deploymentconfig": "cart"}},
    })
}

fn canary(json: &Value, services: &[Value]) -> CanaryPod {
    let workload = Workload::read(json).unwrap();
    clone_pod(&CanarySpec {
        workload: &workload,
        targets: &Targets::choose(&workload, &[]).unwrap(),
        image: &new_image(),
        revision: "bbbbbbbbbbbb",
        run: RUN,
        active_deadline_seconds: 4200,
        services,
    })
    .unwrap()
}

fn refusal(json: &Value, services: &[Value], change: impl FnOnce(&mut Value)) -> Option<Refusal> {
    let workload = Workload::read(json).unwrap();
    let mut pod = canary(json, services).pod;
    change(&mut pod);
    let controllers = [controller(3)];
    xray(&XRayInput { services, controllers: &controllers, ..XRayInput::new(&workload, &pod) }).refusal()
}

#[test]
fn both_ties_go_and_the_owner_is_a_plain_one() {
    let json = load("config.yaml");
    let services = [service(&json!({"app": "cart"}))];
    let pod = canary(&json, &services).pod;
    insta::assert_yaml_snapshot!(pod);
    assert_eq!(refusal(&json, &services, |_| {}), None);
}

#[test]
fn a_service_that_selects_by_the_config_keeps_that_label_alone() {
    let by_config = [service(&json!({"deploymentconfig": "cart"}))];
    let mut json = load("config.yaml");
    let labels = |json: &Value| canary(json, &by_config).pod["metadata"]["labels"].clone();
    assert_eq!(labels(&json)["deploymentconfig"], "cart");
    assert_eq!(labels(&json).get("deployment"), None);
    assert_eq!(refusal(&json, &by_config, |_| {}), None);
    // Production pods have the label from their ReplicationController even where the template doesn't say so.
    json["spec"]["template"]["metadata"]["labels"] = json!({"app": "cart"});
    assert_eq!(labels(&json)["deploymentconfig"], "cart");
    assert_eq!(refusal(&json, &by_config, |_| {}), None);
}

#[test]
fn a_service_of_one_version_would_not_reach_the_canary() {
    let json = load("config.yaml");
    let refusal = refusal(&json, &[service(&json!({"deployment": "cart-4"}))], |_| {}).unwrap();
    assert!(refusal.to_string().contains("deployment=cart-4"), "{refusal}");
}

#[test]
fn with_the_label_of_a_version_it_would_be_adopted() {
    let json = load("config.yaml");
    let services = [service(&json!({"deploymentconfig": "cart"}))];
    let tie = |pod: &mut Value| pod["metadata"]["labels"]["deployment"] = json!("cart-4");
    let by = "ReplicationController cart-4".to_owned();
    assert_eq!(refusal(&json, &services, tie), Some(Refusal::WouldBeAdopted { by }));
}

fn promoted(json: &Value, takes_status: bool) -> Value {
    let workload = Workload::read(json).unwrap();
    let targets = Targets::choose(&workload, &[]).unwrap();
    let patch = promotion_patch(&workload, &targets, &new_image(), RUN).unwrap();
    let patch: json_patch::Patch = serde_json::from_value(json!(patch)).unwrap();
    let mut after = json.clone();
    json_patch::patch(&mut after, &patch).unwrap();
    if !takes_status {
        after["status"] = json["status"].clone();
    }
    after
}

#[test]
fn with_the_trigger_the_template_is_enough() {
    for triggers in [json!([{"type": "ConfigChange"}]), Value::Null] {
        let mut json = load("config.yaml");
        json["spec"]["triggers"] = triggers;
        let after = promoted(&json, true);
        assert_eq!(after["status"], json["status"]);
        assert_eq!(after["metadata"]["annotations"], json["metadata"]["annotations"]);
        assert_eq!(after["metadata"]["labels"]["canary-keeper.dev/run"], RUN);
        assert!(!not_rolled_out(&Workload::read(&after).unwrap()));
    }
}

#[test]
fn without_it_the_version_is_raised_or_still_to_be_instantiated() {
    let mut json = load("config.yaml");
    json["spec"]["triggers"] = json!([]);
    let after = promoted(&json, true);
    assert_eq!(after["status"]["latestVersion"], 5);
    assert!(!not_rolled_out(&Workload::read(&json).unwrap()), "not promoted");
    assert!(!not_rolled_out(&Workload::read(&after).unwrap()));

    let mut passed_over = promoted(&json, false);
    let workload = Workload::read(&passed_over).unwrap();
    assert!(not_rolled_out(&workload));
    let request = instantiate_request(&workload);
    assert_eq!((&request["name"], &request["force"]), (&json!("cart"), &json!(true)));
    passed_over["status"]["latestVersion"] = json!(5);
    assert!(!not_rolled_out(&Workload::read(&passed_over).unwrap()), "somebody raised it");
    // A version that somebody raised meanwhile refuses the patch.
    let workload = Workload::read(&json).unwrap();
    let targets = Targets::choose(&workload, &[]).unwrap();
    let patch = json!(promotion_patch(&workload, &targets, &new_image(), RUN).unwrap());
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    let mut raised = json.clone();
    raised["status"]["latestVersion"] = json!(9);
    assert!(json_patch::patch(&mut raised, &patch).is_err());
}

#[test]
fn a_config_that_never_ran_gets_its_first_version() {
    for status in [Value::Null, json!({}), json!({"latestVersion": 0})] {
        let mut json = load("config.yaml");
        json["spec"]["triggers"] = json!([]);
        json["status"] = status;
        assert_eq!(promoted(&json, true)["status"]["latestVersion"], 1);
    }
    let mut json = load("config.yaml");
    json["spec"]["triggers"] = json!([]);
    json.as_object_mut().unwrap().remove("status");
    assert_eq!(promoted(&json, true)["status"]["latestVersion"], 1);
}

fn triggers(json: &Value) -> Vec<String> {
    let workload = Workload::read(json).unwrap();
    let targets = Targets::choose(&workload, &[]).unwrap();
    image_triggers(&workload, &targets).iter().map(ToString::to_string).collect()
}

#[test]
fn an_automatic_image_trigger_of_the_container_is_named() {
    let mut json = load("config.yaml");
    assert_eq!(triggers(&json), [""; 0]);
    let trigger = |automatic: bool, container: &str| {
        json!([{"type": "ImageChange", "imageChangeParams": {
            "automatic": automatic, "containerNames": [container], "from": {"kind": "ImageStreamTag", "name": "cart:latest"},
        }}])
    };
    json["spec"]["triggers"] = trigger(true, "cart");
    insta::assert_yaml_snapshot!(triggers(&json));
    for harmless in [trigger(false, "cart"), trigger(true, "sidecar"), json!([{"type": "ImageChange"}]), json!("x")] {
        json["spec"]["triggers"] = harmless;
        assert_eq!(triggers(&json), [""; 0]);
    }
}

#[test]
fn the_triggers_annotation_counts_on_any_workload() {
    let annotated = |file: &str, text: &str| {
        let mut json = load(file);
        json["metadata"]["annotations"]["image.openshift.io/triggers"] = json!(text);
        triggers(&json)
    };
    let one = |rest: &str| {
        format!("[{{\"from\": {{\"kind\": \"ImageStreamTag\", \"name\": \"app:latest\"}}, \"fieldPath\": {rest}}}]")
    };
    for file in ["config.yaml", "simple.yaml"] {
        assert_eq!(annotated(file, &one("\"spec.template.spec.containers[0].image\"")).len(), 1);
        assert_eq!(annotated(file, &one("\"spec.template.spec.containers[0].image\", \"paused\": true")), [""; 0]);
        assert_eq!(annotated(file, &one("\"spec.template.spec.containers[0].image\", \"paused\": \"true\"")), [""; 0]);
        assert_eq!(annotated(file, &one("\"spec.template.spec.containers[0].image\", \"paused\": \"false\"")).len(), 1);
        assert_eq!(annotated(file, &one("\"spec.template.spec.containers[?(@.name==\\\"other\\\")].image\"")), [""; 0]);
        assert_eq!(annotated(file, "[]"), [""; 0]);
        assert_eq!(annotated(file, " "), [""; 0]);
        let unreadable = annotated(file, "{\"from\"");
        assert!(unreadable[0].starts_with("annotation image.openshift.io/triggers can't be read"), "{unreadable:?}");
    }
}
