//! Bodies as Alertmanager sends them, read and judged: the table of `testdata/alerts/README.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::target;
use keeper_alertmanager::{MatchRules, Matched, Relevance, Status, Webhook, WebhookError, judge, parse};
use std::path::PathBuf;

fn read(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/alerts").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Both versions of a body, which must say the same.
fn both(name: &str) -> Webhook {
    let [old, new] =
        ["alertmanager-0.25", "alertmanager-main"].map(|from| parse(&read(&format!("{from}/{name}"))).unwrap());
    assert_eq!(old, new, "{name}");
    old
}

fn verdicts(webhook: &Webhook) -> Vec<String> {
    webhook.alerts.iter().map(|alert| judge(alert, &target(), &MatchRules::default()).to_string()).collect()
}

#[test]
fn each_body_means_what_the_table_says() {
    let table: [(&str, &[&str]); 10] = [
        ("canary-pod.json", &["names the canary pod"]),
        ("resolved.json", &["names the canary pod"]),
        ("service.json", &["is about the service: service=cart"]),
        ("no-namespace.json", &["is about the service: sloth_service=cart (no namespace label)"]),
        ("kube-state-metrics.json", &["names the canary pod"]),
        ("production-pod.json", &["names the production pod cart-7d9f6c5b8-aaaa1"]),
        (
            "truncated.json",
            &["names the production pod cart-7d9f6c5b8-aaaa1", "names the production pod cart-7d9f6c5b8-aaaa2"],
        ),
        ("other-namespace.json", &["of the namespace warehouse"]),
        ("other-service.json", &["about something else"]),
        ("before-the-canary.json", &["firing since 2026-11-22T10:40:00Z, before the canary"]),
    ];
    for (name, expected) in table {
        assert_eq!(verdicts(&both(name)), expected, "{name}");
    }
    let mut mixed = verdicts(&both("mixed.json"));
    mixed.sort();
    assert_eq!(
        mixed,
        ["about something else", "names the canary pod", "names the production pod cart-7d9f6c5b8-aaaa1"]
    );
}

#[test]
fn what_alertmanager_left_out_is_known() {
    assert_eq!(both("truncated.json").truncated, 2);
    assert_eq!(both("mixed.json").truncated, 0);
}

#[test]
fn a_firing_alert_and_its_resolution_are_one_alert() {
    let [firing, resolved] = ["canary-pod.json", "resolved.json"].map(|name| both(name).alerts[0].clone());
    assert_eq!((firing.status, firing.ends_at), (Status::Firing, None));
    assert_eq!(resolved.status, Status::Resolved);
    assert_eq!(resolved.ends_at.unwrap().to_string(), "2026-11-22T11:05:51Z");
    assert_eq!((&firing.fingerprint, firing.starts_at), (&resolved.fingerprint, resolved.starts_at));
}

/// The fingerprints in real bodies are Alertmanager's own; ours, where one is missing, must be the same.
#[test]
fn a_missing_fingerprint_becomes_the_one_alertmanager_would_send() {
    for name in ["canary-pod.json", "service.json", "truncated.json", "no-namespace.json", "kube-state-metrics.json"] {
        let sent = both(name);
        let body = String::from_utf8(read(&format!("alertmanager-0.25/{name}"))).unwrap();
        let derived = parse(body.replace("\"fingerprint\"", "\"without\"").as_bytes()).unwrap();
        assert_eq!(sent, derived, "{name}");
    }
}

#[test]
fn what_counts_is_ready_to_be_stored() {
    let resolved = both("resolved.json").alerts[0].clone();
    let relevance = judge(&resolved, &target(), &MatchRules::default());
    let matched = Matched::new(&resolved, &relevance).unwrap();
    let expected = Matched {
        fingerprint: "4924f05d4853e165".into(),
        starts_at: "2026-11-22T11:05:05.123Z".parse().unwrap(),
        name: "PodErrors".into(),
        about: "names the canary pod".into(),
        summary: "More than 5 % of requests fail".into(),
        resolved: true,
    };
    assert_eq!(matched, expected);
    assert_eq!(matched.to_string(), "PodErrors names the canary pod: More than 5 % of requests fail (resolved since)");
    assert_eq!(Matched::new(&resolved, &Relevance::NotOurs), None);
}

#[test]
fn odd_bodies() {
    let without = parse(&read("other/without-labels.json")).unwrap();
    assert_eq!((without.alerts.len(), without.without_labels()), (3, 2));
    assert_eq!(verdicts(&without), ["about something else", "about something else", "names the canary pod"]);

    let unreadable = parse(&read("other/one-unreadable.json")).unwrap();
    assert_eq!(verdicts(&unreadable), ["names the canary pod"]);
    let why: Vec<String> = unreadable.unreadable.iter().map(|bad| format!("{}: {}", bad.index, bad.why)).collect();
    assert_eq!(why[0], "1: startsAt is missing");
    assert!(why[1].starts_with("2: not an alert's shape at its line 1"), "{}", why[1]);
    assert!(why[2].starts_with("3: not an alert's shape"), "{}", why[2]);

    assert_eq!(parse(&read("other/custom-payload.json")), Err(WebhookError::OtherShape));
    assert_eq!(parse(&read("other/not-json.txt")), Err(WebhookError::NotJson { line: 1, column: 1 }));
}
