//! What the owner of a Canary writes, and what we write into its status.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests are tests too, which the lint does not see"
)]

use jiff::Timestamp;
use keeper_api::canary::{self, CanaryWish, CheckStatus, Shown, Status};
use keeper_api::record::Signals;
use keeper_api::{Defaults, Invalid};
use keeper_rollout::{Command, OnInconclusive, Phase, Record, Revision, Verb};
use keeper_signal::{Evidence, Verdict, Why};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

fn fixture(name: &str) -> Value {
    let path = format!("{}/../../testdata/canaries/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn read(canary: &Value) -> Result<CanaryWish, Invalid> {
    canary::read(canary, &Defaults::default())
}

/// The few words with one thing changed: at this pointer, to this value, or removed.
fn with(pointer: &str, value: impl Into<Option<Value>>) -> Value {
    let mut canary = fixture("few-words");
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = canary.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value.into() {
        Some(value) => parent.insert(last.replace("~1", "/"), value),
        None => parent.remove(last),
    };
    canary
}

const TEMPLATE: &str = "/spec/deploymentTemplate";

#[test]
fn a_manifest_of_the_prototype_needs_no_change() {
    let wish = read(&fixture("prototype")).unwrap();
    assert_eq!(wish.name(), "app-deployment");
    assert_eq!((&wish.deployment["apiVersion"], &wish.deployment["kind"]), (&json!("apps/v1"), &json!("Deployment")));
    assert_eq!(wish.deployment["metadata"]["namespace"], "default");
    assert!(wish.deployment["spec"].get("replicas").is_none() && wish.deployment.get("minReadySeconds").is_none());
    assert_eq!((wish.plan.incubation.as_secs(), wish.plan.max_incubation.as_secs()), (60, 120));
    assert_eq!(wish.checks.len(), 1);
    assert_eq!(
        wish.notes,
        ["spec.deploymentTemplate: minReadySeconds has no meaning beside metadata and is passed over; \
          fields of a Deployment stand below spec"]
    );
}

#[test]
fn few_words_are_enough() {
    let wish = read(&fixture("few-words")).unwrap();
    assert!(wish.checks.is_empty() && wish.alert_matchers.is_empty() && wish.notes.is_empty());
    assert!(!wish.paused && !wish.allow_two_copies && wish.commands.is_empty());
    assert_eq!(wish.plan.launch_deadline, Defaults::default().plan.launch_deadline);
}

#[test]
fn everything_that_can_be_wished() {
    let wish = read(&fixture("everything")).unwrap();
    let minutes = |n: u64| Duration::from_secs(60 * n);
    assert_eq!(
        (wish.plan.incubation, wish.plan.max_incubation, wish.plan.launch_deadline, wish.plan.on_inconclusive),
        (minutes(5), minutes(20), minutes(3), OnInconclusive::Reject)
    );
    assert_eq!(wish.alert_matchers, [r#"team="shop""#, r#"severity=~"page|ticket""#]);
    assert!(wish.allow_two_copies);
    assert_eq!(wish.deployment["spec"]["replicas"], 4);
    assert_eq!(wish.deployment.pointer("/spec/template/spec/containers/0/fieldOfTomorrow/kept"), Some(&json!(true)));
    let names: Vec<_> = wish.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["errors", "errors-by-hand", "latencyShare", "queue", "synthetic", "smoke"]);
    insta::assert_debug_snapshot!(wish.checks);
}

#[test]
fn what_a_person_says_of_a_revision_is_heard_whatever_else_is_wrong() {
    let mut canary = with(TEMPLATE, json!("nothing"));
    canary["metadata"]["annotations"] =
        json!({ "canary-keeper.dev/pause": "until Monday", "canary-keeper.dev/abort": "7a1f/3" });
    assert!(read(&canary).is_err() && keeper_api::paused(&canary));
    assert_eq!(keeper_api::commands(&canary), [Command::new(Verb::Abort, "7a1f/3")]);
}

#[test]
fn only_what_an_owner_wishes_is_taken_of_the_metadata() {
    let metadata = json!({
        "name": "basket", "uid": "1", "resourceVersion": "2", "finalizers": ["a/b"], "ownerReferences": [{}],
        "labels": { "app": "basket", "canary-keeper.dev/run": "r1", "canary": "false" },
        "annotations": { "canary-keeper.dev/phase": "Settled" },
    });
    let wish = read(&with(&format!("{TEMPLATE}/metadata"), metadata)).unwrap();
    let expected =
        json!({ "name": "basket", "namespace": "default", "labels": { "app": "basket", "canary": "false" } });
    assert_eq!(wish.deployment["metadata"], expected);
}

#[test]
fn what_is_wrong_is_told_with_field_and_fix() {
    let template = |path: &str, value: Value| with(&format!("{TEMPLATE}{path}"), value);
    let without = |path: &str| with(&format!("{TEMPLATE}{path}"), None);
    let labelled = |value: &str| template("/spec/template/metadata/labels", json!({ "app": value }));
    let expression = |operator: &str, values: Value| {
        let selector = json!({ "matchExpressions": [{ "key": "app", "operator": operator, "values": values }] });
        template("/spec/selector", selector)
    };
    let mut both = with("/spec/metrics", json!([{ "kind": "alerts", "matchers": "a=b" }]));
    both["spec"]["alertMatchers"] = json!(["c=d"]);
    let all = [
        json!({}),
        with("/spec/metric", json!([])),
        with(TEMPLATE, None),
        with(TEMPLATE, json!("basket.yaml")),
        template("/apiVersion", json!("extensions/v1beta1")),
        template("/kind", json!("StatefulSet")),
        without("/metadata/name"),
        template("/metadata/name", json!("Basket_1")),
        template("/metadata/name", json!("x".repeat(250))),
        template("/metadata/namespace", json!("kube-system")),
        template("/metadata/labels", json!({ "canary": "true" })),
        template("/metadata/labels", json!({ "a": 1 })),
        without("/spec"),
        without("/spec/selector"),
        template("/spec/selector", json!({})),
        template("/spec/selector", json!({ "matchLabels": {} })),
        labelled("shop"),
        without("/spec/template/metadata/labels"),
        expression("In", json!(["shop"])),
        expression("NotIn", json!(["basket"])),
        expression("DoesNotExist", json!([])),
        expression("Like", json!(["basket"])),
        template("/spec/template/spec/containers", json!([])),
        template("/spec/template/spec/containers", json!([{ "name": "a" }])),
        without("/spec/template"),
        with("/spec/incubation", json!("soon")),
        with("/spec/incubation", json!(60)),
        with("/spec/maxIncubation", json!("30s")),
        with("/spec/onInconclusive", json!("promote")),
        with("/spec/allowTwoCopies", json!("yes")),
        with("/spec/alertMatchers", json!("a=b")),
        with("/spec/alertMatchers", json!(["a=\"b"])),
        with("/spec/metrics", json!({})),
        with("/spec/metrics", json!([{ "kind": "httpErrorRate", "threshold": 0 }])),
        both,
        with("/metadata/annotations", json!({ "canary-keeper.dev/checks": "[]" })),
    ];
    let told: Vec<String> = all.iter().map(|canary| read(canary).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn expressions_that_fit_are_taken() {
    for (operator, values) in [("In", json!(["shop", "basket"])), ("NotIn", json!(["shop"])), ("Exists", json!([]))] {
        let selector = json!({ "matchExpressions": [{ "key": "app", "operator": operator, "values": values }] });
        read(&with(&format!("{TEMPLATE}/spec/selector"), selector)).unwrap();
    }
}

fn served(status: Value) -> Value {
    let mut canary = fixture("few-words");
    canary["metadata"]["uid"] = "7a1f".into();
    canary["metadata"]["generation"] = 3.into();
    canary["status"] = status;
    canary
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn status(canary: &Value, phase: Phase, promoted: bool, now: &str) -> Status {
    let revision = canary::revision(canary);
    let shown = Shown {
        phase,
        promoted,
        reason: "Watching",
        message: "12 s of\n60 s",
        revision: revision.as_ref(),
        deployment: Some("basket"),
    };
    Status::of(canary, &shown, at(now))
}

fn conditions(status: &Status) -> Vec<(&str, &str)> {
    status.conditions.iter().map(|c| (c.r#type.as_str(), c.status.as_str())).collect()
}

#[test]
fn the_revision_is_uid_and_generation() {
    assert_eq!(canary::revision(&served(json!({}))), Some(Revision::from("7a1f/3")));
    assert_eq!(canary::revision(&fixture("few-words")), None);
}

#[test]
fn conditions_tell_how_it_stands() {
    let canary = served(json!({}));
    let of = |phase, promoted| {
        let status = status(&canary, phase, promoted, "2026-01-01T00:00:00Z");
        conditions(&status).iter().map(|(_, status)| (*status).to_owned()).collect::<Vec<_>>().join(" ")
    };
    // Promoted, Progressing, Ready.
    assert_eq!(of(Phase::Settled, false), "Unknown False False");
    assert_eq!(of(Phase::Launching, false), "Unknown True False");
    assert_eq!(of(Phase::Incubating, false), "Unknown True False");
    assert_eq!(of(Phase::Promoting, false), "Unknown True False");
    assert_eq!(of(Phase::Promoting, true), "Unknown True False");
    assert_eq!(of(Phase::Settled, true), "True False True");
    assert_eq!(of(Phase::Rejected, false), "False False False");
    assert_eq!(of(Phase::Inconclusive, false), "False False False");
    assert_eq!(of(Phase::Held, false), "False False False");
}

#[test]
fn a_condition_that_stays_keeps_its_time() {
    let first = status(&served(json!({})), Phase::Incubating, false, "2026-01-01T00:00:00Z");
    let canary = served(first.to_value());
    let second = status(&canary, Phase::Promoting, false, "2026-01-01T00:05:00Z");
    assert_eq!(second.conditions, first.conditions);
    let third = status(&canary, Phase::Settled, true, "2026-01-01T00:06:00Z");
    assert!(third.conditions.iter().all(|c| c.last_transition_time == at("2026-01-01T00:06:00Z")));
    let damaged =
        served(json!({ "conditions": [7, { "type": "Ready", "status": "False", "lastTransitionTime": "x" }] }));
    let fourth = status(&damaged, Phase::Held, false, "2026-01-01T00:07:00Z");
    assert!(fourth.conditions.iter().all(|c| c.last_transition_time == at("2026-01-01T00:07:00Z")));
}

#[test]
fn a_status_as_it_is_written() {
    let canary = served(json!({}));
    let mut status = status(&canary, Phase::Incubating, false, "2026-01-01T00:00:00Z")
        .with_record(&Record::default(), &Signals::new());
    let evidence = Evidence::new("3 of 500 failed").with("requests", 500.0).with("rate", f64::NAN);
    status.checks.push(CheckStatus::of("errors", &Verdict::Healthy(evidence), false));
    let why = Verdict::Unknown(Why::NotMeasured("connection\nrefused".into()));
    status.checks.push(CheckStatus::of("queue", &why, true));
    status.images.insert("app:good".into(), "quay.io/shop/app@sha256:12".into());
    insta::assert_json_snapshot!(status);
}

#[test]
fn record_and_images_are_read_back() {
    let record = Record { runs: 7, promoted: Some(Revision::from("7a1f/2")), ..Record::default() };
    let mut status =
        status(&served(json!({})), Phase::Settled, true, "2026-01-01T00:00:00Z").with_record(&record, &Signals::new());
    status.images.insert("app:good".into(), "app@sha256:12".into());
    let canary = served(status.to_value());
    assert_eq!(canary::record(&canary).unwrap(), Some(record));
    assert_eq!(canary::images(&canary), status.images);
    assert_eq!(canary::record(&served(json!({}))).unwrap(), None);
    for damaged in [json!(7), json!({}), json!({ "version": 2 }), json!("{\"version\": 1}")] {
        assert!(canary::record(&served(json!({ "record": damaged }))).is_err());
    }
    assert!(canary::images(&served(json!({ "images": [1], "record": null }))).is_empty());
}

/// The places of a value, as JSON pointers.
fn places(at: &str, value: &Value, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(&format!("{at}/{index}"), item, found));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, item)| {
                places(&format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), item, found);
            });
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let word =
        prop::sample::select(vec!["true", "apps/v1", "Deployment", "60s", "basket", "edge", "alerts", "${a}", "{{x}}"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
        "(?s).{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("(?s).{0,90}|name|labels|spec|kind", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_stands_where_the_answer_is_bounded(
        changes in prop::collection::vec((any::<prop::sample::Index>(), anything()), 1..4),
        stray in prop::option::of(("(?s).{0,90}", anything())),
    ) {
        let mut canary = fixture("everything");
        for (index, value) in changes {
            let mut found = vec![];
            places("", &canary, &mut found);
            let place: &String = index.get(&found);
            *canary.pointer_mut(place).unwrap() = value;
        }
        if let (Some((key, value)), Some(Value::Object(template))) = (stray, canary.pointer_mut(TEMPLATE)) {
            template.insert(key, value);
        }
        match read(&canary) {
            Ok(wish) => {
                prop_assert!(!wish.name().is_empty() && wish.checks.len() <= 8 && wish.alert_matchers.len() <= 32);
                prop_assert!(wish.notes.iter().all(|note| !note.contains('\n') && note.chars().count() < 1_500));
            }
            Err(invalid) => {
                let told = invalid.to_string();
                prop_assert!(!told.contains('\n') && told.chars().count() < 1_500, "{told}");
            }
        }
        let status = status(&canary, Phase::Held, false, "2026-01-01T00:00:00Z");
        prop_assert_eq!(status.conditions.len(), 3);
        let _ = (canary::record(&canary), canary::images(&canary), canary::revision(&canary));
    }
}
