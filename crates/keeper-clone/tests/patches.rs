//! The patches do what they say to the workload, and nothing else; and the hash sees what the patches don't do.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too, which the lint does not see")]

mod common;

use common::{RUN, load, new_image};
use keeper_clone::{CloneError, Targets, Workload, fence_patch, promotion_patch, template_hash};
use serde_json::{Value, json};

/// Applies a JSON patch as a server does: all of it or nothing.
fn applied(json: &Value, patch: &[Value]) -> Result<Value, json_patch::PatchError> {
    let patch: json_patch::Patch = serde_json::from_value(json!(patch)).unwrap();
    let mut after = json.clone();
    json_patch::patch(&mut after, &patch).map(|()| after)
}

fn promotion(json: &Value, containers: &[&str]) -> Vec<Value> {
    let workload = Workload::read(json).unwrap();
    let targets = Targets::choose(&workload, containers).unwrap();
    promotion_patch(&workload, &targets, &new_image(), RUN).unwrap()
}

fn hash(json: &Value, containers: &[&str]) -> String {
    let workload = Workload::read(json).unwrap();
    template_hash(&workload, &Targets::choose(&workload, containers).unwrap())
}

#[test]
fn the_promotion_as_written() {
    insta::assert_yaml_snapshot!(promotion(&load("sidecar.yaml"), &["api", "migrate"]));
}

#[test]
fn a_promotion_changes_image_and_label_alone() {
    let json = load("simple.yaml");
    let mut expected = json.clone();
    expected["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!(format!("quay.io/myorg/app@sha256:{}", "b".repeat(64)));
    expected["metadata"]["labels"]["canary-keeper.dev/run"] = json!(RUN);
    assert_eq!(applied(&json, &promotion(&json, &[])).unwrap(), expected);
    assert_eq!(hash(&json, &[]), hash(&expected, &[]), "our own promotion is no edit of the template");
}

#[test]
fn maps_and_images_that_are_not_there_are_made() {
    let mut json = load("new-app.yaml");
    json["metadata"].as_object_mut().unwrap().remove("labels");
    json["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("image");
    let after = applied(&json, &promotion(&json, &[])).unwrap();
    assert_eq!(after["metadata"]["labels"], json!({"canary-keeper.dev/run": RUN}));
    assert!(after["spec"]["template"]["spec"]["containers"][0]["image"].is_string());
    assert_eq!(hash(&json, &[]), hash(&after, &[]));
}

#[test]
fn whatever_changed_since_refuses_both_patches() {
    let json = load("sidecar.yaml");
    let promotion = promotion(&json, &["api"]);
    let fence = fence_patch(&Workload::read(&json).unwrap(), RUN).unwrap();
    for (pointer, value) in [("/metadata/uid", json!("another")), ("/metadata/resourceVersion", json!("100"))] {
        let mut changed = json.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert!(applied(&changed, &promotion).is_err(), "{pointer}");
        assert!(applied(&changed, &fence).is_err(), "{pointer}");
    }
    // Even were the version the same, another container at the place is never touched.
    let mut moved = json.clone();
    moved["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().swap(0, 1);
    assert!(applied(&moved, &promotion).is_err());
}

#[test]
fn a_fence_changes_an_annotation_each_time() {
    let mut json = load("long-name.yaml");
    for expected in [RUN.to_owned(), format!("{RUN}.2"), format!("{RUN}.3")] {
        let patch = fence_patch(&Workload::read(&json).unwrap(), RUN).unwrap();
        let after = applied(&json, &patch).unwrap();
        assert_eq!(after["metadata"]["annotations"]["canary-keeper.dev/fence"], json!(expected));
        assert_eq!(after["spec"], json["spec"]);
        json = after;
    }
    // Annotations of others stay.
    let simple = load("simple.yaml");
    let after = applied(&simple, &fence_patch(&Workload::read(&simple).unwrap(), RUN).unwrap()).unwrap();
    assert_eq!(after["metadata"]["annotations"]["canary-image"], simple["metadata"]["annotations"]["canary-image"]);
}

#[test]
fn what_cannot_be_patched_is_said() {
    let json = load("simple.yaml");
    let workload = Workload::read(&json).unwrap();
    let targets = Targets::choose(&workload, &[]).unwrap();
    let tag = "quay.io/myorg/shop".parse().unwrap();
    assert!(matches!(promotion_patch(&workload, &targets, &tag, RUN), Err(CloneError::NotPinned { .. })));
    assert_eq!(promotion_patch(&workload, &targets, &new_image(), ""), Err(CloneError::NotALabelValue { what: "run" }));
    assert!(fence_patch(&workload, "-x").is_err());
    let sidecar = load("sidecar.yaml");
    let other = Workload::read(&sidecar).unwrap();
    assert!(promotion_patch(&other, &targets, &new_image(), RUN).is_err());
}

#[test]
fn the_hash_sees_every_edit_but_ours() {
    let json = load("sidecar.yaml");
    let before = hash(&json, &["api"]);
    assert_eq!(before.len(), 16);
    for (pointer, value) in [
        ("/spec/replicas", json!(9)),
        ("/metadata/labels", json!({"x": "y"})),
        ("/spec/template/spec/containers/1/image", json!("quay.io/myorg/api:2")),
    ] {
        let mut edited = json.clone();
        *edited.pointer_mut(pointer).unwrap() = value;
        assert_eq!(hash(&edited, &["api"]), before, "{pointer}");
    }
    for (pointer, value) in [
        ("/spec/template/spec/containers/0/image", json!("quay.io/myorg/proxy:8")),
        ("/spec/template/spec/containers/1/env/0/value", json!("test")),
        ("/spec/template/metadata/annotations", json!({})),
        ("/spec/template/spec/volumes/0/emptyDir", json!({"medium": "Memory"})),
    ] {
        let mut edited = json.clone();
        *edited.pointer_mut(pointer).unwrap() = value;
        assert_ne!(hash(&edited, &["api"]), before, "{pointer}");
    }
    assert_ne!(hash(&json, &["proxy"]), before);
}

#[test]
fn the_hash_is_of_sorted_keys() {
    // As printed by: jq -cSj .spec.template | sha256sum, of the object below with its image blanked.
    let text = r#"{"metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"1"},
        "spec":{"template":{"spec":{"containers":[{"name":"c","image":"x"}]},"metadata":{"labels":{"b":"2","a":"ä\n"}}}}}"#;
    assert_eq!(hash(&serde_json::from_str(text).unwrap(), &[]), EXPECTED);
}

const EXPECTED: &str = "f7ca1901a06e9735";
