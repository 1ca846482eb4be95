//! The canary pods of the shared workloads, and what their X-ray says.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too, which the lint does not see")]

mod common;

use std::collections::BTreeSet;

use common::{RUN, canary, load, new_image, services};
use keeper_clone::{
    CanarySpec, CloneError, Note, Refusal, Targets, Workload, XRay, XRayInput, clone_pod, not_two_copies,
    production_images, production_services, same_repository, xray,
};
use serde_json::{Value, json};

/// The pod and what the X-ray says about it, for the snapshot.
fn picture(file: &str, containers: &[&str], production_pods: u32) -> Value {
    let json = load(file);
    let workload = Workload::read(&json).unwrap();
    let targets = Targets::choose(&workload, containers).unwrap();
    let canary = canary(&workload, &targets);
    let services = services();
    let seen = xray(&XRayInput {
        services: &services,
        kept_labels: &canary.kept_labels,
        production_pods: Some(production_pods),
        ..XRayInput::new(&workload, &canary.pod)
    });
    let notes: Vec<String> = seen.notes.iter().map(Note::to_string).collect();
    json!({
        "pod": canary.pod,
        "xray": {
            "reached_by": seen.reached_by,
            "refusal": seen.refusal().map(|refusal| refusal.to_string()),
            "notes": notes,
        },
    })
}

#[test]
fn simple() {
    insta::assert_yaml_snapshot!(picture("simple.yaml", &[], 3));
}

#[test]
fn with_sidecar_and_init_containers() {
    insta::assert_yaml_snapshot!(picture("sidecar.yaml", &["api"], 1));
}

#[test]
fn labels_of_oc_new_app() {
    insta::assert_yaml_snapshot!(picture("new-app.yaml", &["ruby-ex"], 2));
}

#[test]
fn long_name_and_a_service_that_selects_by_manager() {
    insta::assert_yaml_snapshot!(picture("long-name.yaml", &[], 0));
}

#[test]
fn fields_newer_than_this_build() {
    insta::assert_yaml_snapshot!(picture("future.yaml", &[], 200));
}

/// The X-ray of `simple.yaml` after changes to its inputs.
fn seen(change_pod: impl FnOnce(&mut Value), more_services: &[Value], controllers: &[Value]) -> XRay {
    let json = load("simple.yaml");
    let workload = Workload::read(&json).unwrap();
    let mut pod = canary(&workload, &Targets::choose(&workload, &[]).unwrap()).pod;
    change_pod(&mut pod);
    let services: Vec<Value> = services().into_iter().chain(more_services.iter().cloned()).collect();
    xray(&XRayInput { services: &services, controllers, ..XRayInput::new(&workload, &pod) })
}

fn replica_set(selector: &Value) -> Value {
    json!({
        "kind": "ReplicaSet",
        "metadata": {
            "name": "shop-6d4cf56db6",
            "namespace": "prod",
            "labels": {"app": "shop", "pod-template-hash": "6d4cf56db6"},
            "ownerReferences": [{"kind": "Deployment", "name": "shop", "uid": "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "controller": true}],
        },
        "spec": {"replicas": 3, "selector": selector},
    })
}

#[test]
fn its_own_replica_set_does_not_match() {
    let own = replica_set(&json!({"matchLabels": {"app": "shop", "pod-template-hash": "6d4cf56db6"}}));
    let seen = seen(|_| {}, &[], &[own]);
    assert_eq!((seen.controllers.len(), seen.refusal()), (0, None));
    assert_eq!(seen.reached_by, ["shop"]);
}

#[test]
fn a_matching_controller_adopts_only_what_nothing_controls() {
    let bare = replica_set(&json!({"matchLabels": {"app": "shop"}}));
    let kept = seen(|_| {}, &[], std::slice::from_ref(&bare));
    assert_eq!(kept.refusal(), None);
    assert!(kept.notes.iter().any(|note| note.to_string() == "the selector of ReplicaSet shop-6d4cf56db6 matches the canary, whose controller reference keeps it from being adopted"));

    let orphan = |pod: &mut Value| drop(pod["metadata"].as_object_mut().unwrap().remove("ownerReferences"));
    let by = "ReplicaSet shop-6d4cf56db6".to_owned();
    assert_eq!(seen(orphan, &[], &[bare]).refusal(), Some(Refusal::WouldBeAdopted { by: by.clone() }));
    // A plain reference keeps no one away, and a selector that can't be read may match.
    let plain = |pod: &mut Value| pod["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    let newer = replica_set(&json!({"matchExpressions": [{"key": "app", "operator": "Resembles"}]}));
    assert_eq!(seen(plain, &[], &[newer]).refusal(), Some(Refusal::WouldBeAdopted { by }));
}

#[test]
fn a_replication_controller_has_a_plain_selector() {
    let controller =
        json!({"kind": "ReplicationController", "metadata": {"name": "old"}, "spec": {"selector": {"app": "shop"}}});
    let elsewhere = json!({"kind": "ReplicationController", "metadata": {"name": "x", "namespace": "other"}, "spec": {"selector": {"app": "shop"}}});
    assert_eq!(seen(|_| {}, &[], &[controller, elsewhere]).controllers.len(), 1);
}

#[test]
fn a_service_that_would_not_reach_the_canary_is_named() {
    let own = replica_set(&json!({"matchLabels": {"app": "shop", "pod-template-hash": "6d4cf56db6"}}));
    let by_hash = json!({"metadata": {"name": "pinned", "namespace": "prod"}, "spec": {"selector": {"pod-template-hash": "6d4cf56db6"}}});
    let refusal = seen(|_| {}, &[by_hash], &[own]).refusal().unwrap();
    assert_eq!(
        refusal.to_string(),
        "Service pinned would not reach the canary: it selects by pod-template-hash=6d4cf56db6, which the canary cannot have"
    );
}

#[test]
fn bystanders_are_noted() {
    let json = load("simple.yaml");
    let workload = Workload::read(&json).unwrap();
    let pod = canary(&workload, &Targets::choose(&workload, &[]).unwrap()).pod;
    let named = |name: &str, spec: Value| json!({"metadata": {"name": name, "namespace": "prod"}, "spec": spec});
    let budgets = [
        named("shop", json!({"selector": {"matchLabels": {"app": "shop"}}})),
        named("other", json!({"selector": {"matchLabels": {"app": "x"}}})),
    ];
    let autoscalers = [
        named("shop", json!({"scaleTargetRef": {"kind": "Deployment", "name": "shop"}})),
        named("other", json!({"scaleTargetRef": {"kind": "Deployment", "name": "x"}})),
    ];
    let policies = [
        named("all", json!({"podSelector": {}})),
        named(
            "stable-only",
            json!({"podSelector": {"matchExpressions": [{"key": "canary-keeper.dev/canary", "operator": "DoesNotExist"}]}}),
        ),
    ];
    let foreign = [named("canaries", json!({"selector": {"app.kubernetes.io/managed-by": "canary-keeper"}}))];
    let seen = xray(&XRayInput {
        services: &foreign,
        budgets: &budgets,
        autoscalers: &autoscalers,
        network_policies: &policies,
        ..XRayInput::new(&workload, &pod)
    });
    assert_eq!(
        seen.notes,
        [
            Note::ForeignService { service: "canaries".into() },
            Note::NoService,
            Note::DisruptionBudget { name: "shop".into() },
            Note::Autoscaler { name: "shop".into() },
            Note::NetworkPolicyLost { name: "stable-only".into() },
        ]
    );
}

#[test]
fn production_services_are_those_of_the_namespace_that_select_its_pods() {
    let json = load("simple.yaml");
    let workload = Workload::read(&json).unwrap();
    let all = services();
    let names: Vec<_> = production_services(&workload, &[], &all)
        .into_iter()
        .map(|service| service["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["shop"]);
}

#[test]
fn containers_are_found_or_the_names_are_told() {
    let json = load("sidecar.yaml");
    let workload = Workload::read(&json).unwrap();
    let have: Vec<String> = ["proxy", "api", "migrate", "mesh"].map(str::to_owned).into();
    assert_eq!(Targets::choose(&workload, &[]), Err(Refusal::ContainerNameMissing { have: have.clone() }));
    assert_eq!(
        Targets::choose(&workload, &["api", "web"]),
        Err(Refusal::UnknownContainer { wanted: "web".into(), have })
    );
    let found = Targets::choose(&workload, &["api", "migrate", "api"]).unwrap();
    let places: Vec<_> = found.iter().map(|target| (target.name.as_str(), target.init, target.index)).collect();
    assert_eq!(places, [("api", false, 1), ("migrate", true, 0)]);
    let long = "x".repeat(200_000);
    assert!(Targets::choose(&workload, &[&long]).unwrap_err().to_string().len() < 200);
}

#[test]
fn production_images_and_their_neighbours() {
    let json = load("sidecar.yaml");
    let workload = Workload::read(&json).unwrap();
    let targets = Targets::choose(&workload, &["api"]).unwrap();
    let images = production_images(&workload, &targets);
    assert_eq!(images[0].image.as_ref().unwrap().as_written(), "quay.io/myorg/api:1.4");
    let others: Vec<_> =
        same_repository(&workload, &targets).into_iter().map(|other| (other.container, other.init)).collect();
    assert_eq!(others, [("migrate".to_owned(), true)]);

    let mut blank = load("simple.yaml");
    blank["spec"]["template"]["spec"]["containers"][0]["image"] = json!(" ");
    let workload = Workload::read(&blank).unwrap();
    let images = production_images(&workload, &Targets::choose(&workload, &[]).unwrap());
    assert!(images[0].image.is_err());
}

#[test]
fn reasons_against_two_copies() {
    let json = load("alone.yaml");
    let workload = Workload::read(&json).unwrap();
    let claims = BTreeSet::from(["alone-data".to_owned()]);
    assert_eq!(
        not_two_copies(&workload, &claims),
        [
            Refusal::Recreate,
            Refusal::ReadWriteOnce { volume: "data".into(), claim: "alone-data".into() },
            Refusal::HostPort { container: "alone".into(), port: 80 },
        ]
    );
    for file in ["simple.yaml", "sidecar.yaml", "new-app.yaml"] {
        assert_eq!(not_two_copies(&Workload::read(&load(file)).unwrap(), &claims), []);
    }
}

#[test]
fn what_cannot_be_cloned_is_said() {
    let json = load("simple.yaml");
    let workload = Workload::read(&json).unwrap();
    let targets = Targets::choose(&workload, &[]).unwrap();
    let image = new_image();
    let spec = CanarySpec {
        workload: &workload,
        targets: &targets,
        image: &image,
        revision: "bbbbbbbbbbbb",
        run: RUN,
        active_deadline_seconds: 60,
        services: &[],
    };
    let tag = "quay.io/myorg/shop:stable".parse().unwrap();
    let wrong = |spec: CanarySpec<'_>| clone_pod(&spec).unwrap_err().to_string();
    assert_eq!(
        wrong(CanarySpec { image: &tag, ..spec }),
        "image quay.io/myorg/shop:stable has no digest: resolve it first"
    );
    assert!(wrong(CanarySpec { run: "a b", ..spec }).starts_with("the run cannot be a label value"));
    assert!(wrong(CanarySpec { revision: "", ..spec }).starts_with("the revision cannot be a label value"));
    assert!(wrong(CanarySpec { active_deadline_seconds: 0, ..spec }).contains("zero seconds"));

    let other = load("sidecar.yaml");
    let other = Workload::read(&other).unwrap();
    let strangers = Targets::choose(&other, &["api"]).unwrap();
    assert_eq!(
        clone_pod(&CanarySpec { targets: &strangers, ..spec }),
        Err(CloneError::OtherTargets { container: "api".into() })
    );

    let mut labelled = json.clone();
    labelled["spec"]["template"]["metadata"]["labels"]["canary-keeper.dev/canary"] = json!("shop");
    let workload = Workload::read(&labelled).unwrap();
    assert!(wrong(CanarySpec { workload: &workload, ..spec }).contains("is for canaries only"));
}
