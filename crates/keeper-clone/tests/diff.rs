//! Whatever the template, the clone differs from it only where the plan says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests too, which the lint does not see"
)]

mod common;

use std::collections::BTreeMap;

use common::{canary, load, new_image};
use keeper_clone::{Targets, Workload, XRayInput, promotion_patch, template_hash, xray};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The JSON pointers at which two values differ.
fn differences(a: &Value, b: &Value, at: &str, found: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => differences(a, b, &format!("{at}/{key}"), found),
                    _ => found.push(format!("{at}/{key}")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (place, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{at}/{place}"), found);
            }
        }
        _ if a == b => {}
        _ => found.push(at.to_owned()),
    }
}

fn spec_differences(json: &Value, pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    differences(&json["spec"]["template"]["spec"], &pod["spec"], "", &mut found);
    found
}

#[test]
fn the_shared_workloads_differ_in_image_and_deadline() {
    for (file, containers, image) in [
        ("simple.yaml", &[] as &[&str], "/containers/0/image"),
        ("sidecar.yaml", &["api"], "/containers/1/image"),
        ("sidecar.yaml", &["mesh"], "/initContainers/1/image"),
        ("future.yaml", &[], "/containers/0/image"),
    ] {
        let json = load(file);
        let workload = Workload::read(&json).unwrap();
        let pod = canary(&workload, &Targets::choose(&workload, containers).unwrap()).pod;
        assert_eq!(spec_differences(&json, &pod), ["/activeDeadlineSeconds", image], "{file}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9/.:-]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z]{1,8}", inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    })
}

prop_compose! {
    fn any_deployment()(
        name in "[a-z]([a-z0-9-]{0,60}[a-z0-9])?",
        uid in "[0-9a-f]{8}-[0-9a-f]{4}",
        labels in prop::collection::btree_map(
            prop_oneof!["[a-z]{1,6}", Just("app.kubernetes.io/managed-by".to_owned()), Just("pod-template-hash".to_owned())],
            "[a-z0-9]{0,8}", 0..5),
        annotations in prop::option::of(prop::collection::btree_map("[a-z/]{1,8}", "[a-z ]{0,8}", 0..3)),
        fields in prop::collection::btree_map("[a-z][a-zA-Z]{0,9}", any_json(), 0..6),
        containers in prop::collection::vec(prop::collection::btree_map("[a-z][a-zA-Z]{0,9}", any_json(), 0..4), 1..4),
    ) -> Value {
        let containers: Vec<Value> = containers.into_iter().enumerate().map(|(place, mut fields): (usize, BTreeMap<String, Value>)| {
            fields.insert("name".to_owned(), json!(format!("c{place}")));
            json!(fields)
        }).collect();
        let mut spec = json!(fields);
        spec["containers"] = json!(containers);
        let mut metadata = json!({"labels": labels});
        if let Some(annotations) = annotations {
            metadata["annotations"] = json!(annotations);
        }
        json!({
            "metadata": {"name": name, "namespace": "prod", "uid": uid, "resourceVersion": "1"},
            "spec": {"template": {"metadata": metadata, "spec": spec}},
        })
    }
}

proptest! {
    #[test]
    fn only_the_plan_differs(json in any_deployment(), choice in 0usize..8) {
        let workload = Workload::read(&json).unwrap();
        let count = json["spec"]["template"]["spec"]["containers"].as_array().unwrap().len();
        let place = choice % count;
        let target = format!("c{place}");
        let targets = Targets::choose(&workload, &[&target]).unwrap();
        let pod = canary(&workload, &targets).pod;

        let planned = [format!("/containers/{place}/image"), "/activeDeadlineSeconds".to_owned()];
        for difference in spec_differences(&json, &pod) {
            prop_assert!(planned.contains(&difference), "{}", difference);
        }
        let template = &json["spec"]["template"]["metadata"];
        prop_assert_eq!(template.get("annotations"), pod["metadata"].get("annotations"));
        let labels = pod["metadata"]["labels"].as_object().unwrap();
        prop_assert!(!labels.contains_key("pod-template-hash"));
        for (key, value) in template["labels"].as_object().unwrap() {
            if key != "pod-template-hash" && key != "app.kubernetes.io/managed-by" {
                prop_assert_eq!(labels.get(key), Some(value));
            }
        }
        prop_assert_eq!(xray(&XRayInput::new(&workload, &pod)).refusal(), None);
        // Asked twice, the same answer.
        prop_assert_eq!(canary(&workload, &targets).pod, pod);

        // A promotion is no edit of the template either.
        let patch = promotion_patch(&workload, &targets, &new_image(), common::RUN).unwrap();
        let patch: json_patch::Patch = serde_json::from_value(json!(patch)).unwrap();
        let mut promoted = json.clone();
        json_patch::patch(&mut promoted, &patch).unwrap();
        let after = Workload::read(&promoted).unwrap();
        prop_assert_eq!(template_hash(&after, &targets), template_hash(&workload, &targets));
    }

    #[test]
    fn foreign_json_never_panics(json in any_json(), inside in any_json()) {
        let nested = json!({
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "labels": inside.clone(), "annotations": inside.clone()},
            "spec": {"strategy": inside, "template": {"metadata": {"annotations": inside}, "spec": {"containers": [inside.clone(), {"name": "c", "ports": inside}], "volumes": inside}}},
        });
        for json in [&json, &nested] {
            let Ok(workload) = Workload::read(json) else { continue };
            let Ok(targets) = Targets::choose(&workload, &["c"]) else { continue };
            let pod = canary(&workload, &targets).pod;
            let list = [inside.clone(), json!({"spec": inside}), json!({"metadata": inside, "spec": {"selector": inside}})];
            let _ = xray(&XRayInput {
                services: &list,
                controllers: &list,
                budgets: &list,
                autoscalers: &list,
                network_policies: &list,
                ..XRayInput::new(&workload, &pod)
            });
            let _ = keeper_clone::not_two_copies(&workload, &Default::default());
            let _ = promotion_patch(&workload, &targets, &new_image(), "r");
            let _ = keeper_clone::fence_patch(&workload, "r");
        }
    }
}
