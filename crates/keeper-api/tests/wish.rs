//! What the owner of a workload writes, from whole objects.

use keeper_api::checks::Source;
use keeper_api::{Defaults, Invalid, Rule, Wish, keys, read};
use keeper_rollout::{Command, OnInconclusive, Verb};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A Deployment of one container `app` with these annotations.
fn deployment(annotations: impl Into<Value>) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "shop", "labels": { "canary": "true" }, "annotations": annotations.into() },
        "spec": { "template": { "spec": { "containers": [{ "name": "app", "image": "quay.io/shop/app:stable" }] } } }
    })
}

/// With an image and one more annotation.
fn with(key: &str, value: &str) -> Result<Wish, Invalid> {
    read(&deployment(json!({ "canary-image": "quay.io/shop/app:stable", key: value })), &Defaults::default())
}

fn told(key: &str, value: &str) -> String {
    with(key, value).map_or_else(|invalid| invalid.to_string(), |wish| format!("taken: {wish:?}"))
}

#[test]
fn few_words_are_enough() {
    let wish = read(&deployment(json!({ "canary-image": "quay.io/shop/app:stable" })), &Defaults::default()).unwrap();
    let expected = Wish {
        paused: false,
        commands: vec![],
        image: "quay.io/shop/app:stable".parse().unwrap(),
        containers: vec![],
        plan: Defaults::default().plan,
        checks: vec![],
        alert_matchers: vec![],
        allow_two_copies: false,
    };
    assert_eq!(wish, expected);
}

#[test]
fn everything_that_can_be_wished() {
    let object = deployment(json!({
        keys::CANARY_IMAGE: " quay.io/shop/app:stable\n",
        keys::CANARY_NAME: "app",
        keys::CANARY_DURATION: "20m",
        keys::CHECKS: "- kind: httpErrorRate\n  port: 8080\n",
        keys::ALERT_MATCHERS: r#"{service="shop", severity="page"}"#,
        keys::PAUSE: "true",
        keys::PROMOTE: "0123456789ab",
        keys::ABORT: "",
        keys::RETRY: "fedcba987654#1",
        keys::ON_INCONCLUSIVE: "reject",
        keys::LAUNCH_DEADLINE: "3m",
        keys::MAX_INCUBATION: "1h",
        keys::ALLOW_TWO_COPIES: "true",
        keys::PHASE: "Incubating",
        keys::REASON: "Watching",
        keys::MESSAGE: "the canary does well",
        keys::FENCE: "7",
        "kubectl.kubernetes.io/last-applied-configuration": "x".repeat(200_000),
    }));
    let wish = read(&object, &Defaults::default()).unwrap();
    assert!(wish.paused && wish.allow_two_copies);
    assert_eq!(
        wish.commands,
        [Command::new(Verb::Promote, "0123456789ab"), Command::new(Verb::Retry, "fedcba987654#1")]
    );
    assert_eq!(wish.containers, ["app"]);
    assert_eq!(wish.alert_matchers, [r#"service="shop""#, r#"severity="page""#]);
    let [Rule::HttpErrorRate(check)] = [&wish.checks[0].rule] else { panic!("{:?}", wish.checks) };
    assert_eq!(check.source, Source::Pods { port: 8080, path: "/metrics".into() });
    assert_eq!(
        (wish.plan.incubation, wish.plan.launch_deadline, wish.plan.max_incubation, wish.plan.on_inconclusive),
        (20 * MINUTE, 3 * MINUTE, 60 * MINUTE, OnInconclusive::Reject)
    );
}

#[test]
fn a_digest_is_watched_too_and_latest_is_meant_by_nothing() {
    let image = |text: &str| read(&deployment(json!({ "canary-image": text })), &Defaults::default()).unwrap().image;
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(image(&format!("quay.io/shop/app@{digest}")).digest().unwrap().to_string(), digest);
    assert_eq!(image("nginx").to_string(), "docker.io/library/nginx:latest");
}

#[test]
fn the_longest_incubation_follows_the_incubation() {
    assert_eq!(with(keys::CANARY_DURATION, "1h").unwrap().plan.max_incubation, 120 * MINUTE);
    assert_eq!(with(keys::MAX_INCUBATION, "15m").unwrap().plan.max_incubation, 15 * MINUTE);
    let mut defaults = Defaults::default();
    defaults.plan.max_incubation = 40 * MINUTE;
    let object = deployment(json!({ "canary-image": "app" }));
    assert_eq!(read(&object, &defaults).unwrap().plan.max_incubation, 40 * MINUTE);
    defaults.plan.incubation = 50 * MINUTE;
    assert_eq!(read(&object, &defaults).unwrap().plan.max_incubation, 100 * MINUTE);
}

#[test]
fn what_is_wrong_is_told_with_field_and_fix() {
    let nothing = read(&deployment(Value::Null), &Defaults::default()).unwrap_err().to_string();
    let all = [
        nothing,
        told(keys::CANARY_IMAGE, "Quay.io/Shop/App"),
        told(keys::CANARY_IMAGE, "https://quay.io/shop/app"),
        told(keys::CANARY_IMAGE, "quay.io/shop/app:sta ble"),
        told(keys::CANARY_IMAGE, "quay.io/shop/app@sha256:123"),
        told(keys::CANARY_IMAGE, &"x".repeat(200_000)),
        told(keys::CANARY_NAME, "web"),
        told(keys::CANARY_NAME, "app app"),
        told(keys::CANARY_DURATION, "-15m"),
        told(keys::CANARY_DURATION, "15"),
        told(keys::CANARY_DURATION, "900h"),
        told(keys::CANARY_DURATION, "soon"),
        told(keys::LAUNCH_DEADLINE, "0s"),
        told(keys::MAX_INCUBATION, "10m"),
        told(keys::ON_INCONCLUSIVE, "promote"),
        told(keys::ALLOW_TWO_COPIES, "yes"),
        told(keys::CHECKS, "- kind: httpErrorRate\n  port: 8080\n  treshold: 1"),
        told(keys::CHECKS, "a: &a [*a]"),
        told(keys::CHECKS, &"x".repeat(200_000)),
        told(keys::ALERT_MATCHERS, r#"{service="shop}"#),
        told("canary-keeper.dev/check", "- kind: httpErrorRate"),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn what_is_not_text_is_told() {
    let object = deployment(json!({ "canary-image": 7 }));
    let invalid = read(&object, &Defaults::default()).unwrap_err();
    assert_eq!(invalid.to_string(), "annotation canary-image: is not a string; put the value in quotes");
}

fn keys_of_owners() -> impl Strategy<Value = String> {
    let known = [
        keys::CANARY_IMAGE,
        keys::CANARY_NAME,
        keys::CANARY_DURATION,
        keys::CHECKS,
        keys::ALERT_MATCHERS,
        keys::PAUSE,
        keys::PROMOTE,
        keys::ABORT,
        keys::RETRY,
        keys::ON_INCONCLUSIVE,
        keys::LAUNCH_DEADLINE,
        keys::MAX_INCUBATION,
        keys::ALLOW_TWO_COPIES,
    ];
    prop_oneof![
        20 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => "canary-keeper.dev/.{0,100}",
        1 => ".{0,20}",
    ]
}

/// Texts near to what could be meant, and far from it.
fn texts() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        ".{0,200}",
        "[0-9.]{1,8}(w|d|h|m|s|ms){0,2}[0-9]{0,3}(h|m|s)?",
        r"- *\{?kind: httpErrorRate, port: [0-9]{1,6}, [a-zA-Z]{1,12}: .{0,10}\}?",
        r#"\{?[a-z]{1,5}(=|!=|=~|!~)"?[a-z\\",{}\n]{0,20}"?(,| )[a-z]{0,5}\}?"#,
        r"[\[\]{}&*:,\n \-a-c<]{0,200}",
        "(quay.io/)?[a-zA-Z/._-]{0,20}(:[a-z]{0,9})?(@sha256:[0-9a-f]{60,66})?",
        "(app|proxy|init|web|,| |\n|- |\\[|\\]){0,6}",
        "(true|false|retry|reject)",
        "x{16000,17000}",
    ];
    prop_oneof![
        30 => text.prop_map(Value::String),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(json!({ "a": ["b"] })),
    ]
}

proptest! {
    #[test]
    fn whatever_is_written_the_answer_is_bounded(
        annotations in prop::collection::btree_map(keys_of_owners(), texts(), 0..6),
        good_image in any::<bool>(),
        containers in prop::collection::vec("(app|proxy|.{0,300})", 0..4),
    ) {
        let mut annotations: Map<String, Value> = annotations.into_iter().collect();
        if good_image {
            annotations.insert(keys::CANARY_IMAGE.into(), "quay.io/shop/app:stable".into());
        }
        let mut object = deployment(annotations);
        object["spec"]["template"]["spec"]["containers"] = containers.iter().map(|name| json!({ "name": name })).collect();
        let defaults = Defaults::default();
        match read(&object, &defaults) {
            Err(invalid) => {
                let text = invalid.to_string();
                prop_assert!(text.chars().count() < 1_500, "{text}");
                prop_assert!(!text.contains('\n') || !invalid.fix.is_empty());
                prop_assert!(!invalid.problem.contains('\n'), "{text}");
            }
            Ok(wish) => {
                let week = 7 * 24 * 60 * MINUTE;
                prop_assert!(wish.plan.incubation >= Duration::from_secs(1) && wish.plan.incubation <= week);
                prop_assert!(wish.plan.max_incubation >= wish.plan.incubation && wish.plan.max_incubation <= 2 * week);
                prop_assert!(wish.plan.launch_deadline >= Duration::from_secs(1) && wish.plan.launch_deadline <= week);
                prop_assert!(wish.checks.len() <= 8 && wish.alert_matchers.len() <= 32);
                prop_assert!(wish.commands.iter().all(|command| command.value.len() <= 256));
                prop_assert!(wish.containers.iter().all(|name| containers.contains(name)));
            }
        }
    }

    #[test]
    fn a_brake_works_whatever_else_is_written(
        annotations in prop::collection::btree_map(keys_of_owners(), texts(), 0..6),
    ) {
        let mut annotations: Map<String, Value> = annotations.into_iter().collect();
        annotations.insert(keys::PAUSE.into(), "true".into());
        annotations.insert(keys::ABORT.into(), "0123456789ab".into());
        let object = deployment(annotations);
        prop_assert!(keeper_api::opted_in(&object) && keeper_api::paused(&object));
        prop_assert_eq!(&keeper_api::commands(&object)[0], &Command::new(Verb::Abort, "0123456789ab"));
    }
}
