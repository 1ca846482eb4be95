//! Whom an alert accuses, as a table of labels, and what holds for every alert there can be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::target;
use keeper_alertmanager::{Alert, LabelMatcher, MatchRules, Relevance, Status, Target, judge, parse};
use proptest::prelude::*;
use std::collections::BTreeMap;

const AFTER: &str = "2026-11-22T11:05:05Z";
const AT: &str = "2026-11-22T11:05:00Z";
const BEFORE: &str = "2026-11-22T11:04:59.999Z";

fn alert(starts_at: &str, labels: &[(&str, &str)]) -> Alert {
    Alert {
        fingerprint: "0123456789abcdef".into(),
        status: Status::Firing,
        labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        annotations: BTreeMap::new(),
        starts_at: starts_at.parse().unwrap(),
        ends_at: None,
        generator_url: String::new(),
    }
}

fn says(starts_at: &str, labels: &[(&str, &str)]) -> String {
    judge(&alert(starts_at, labels), &target(), &MatchRules::default()).to_string()
}

#[test]
fn the_rules_of_matching() {
    const CANARY: &str = "cart-canary-1a2b3c";
    const PRODUCTION: &str = "cart-7d9f6c5b8-aaaa1";
    const IS_CANARY: &str = "names the canary pod";
    const IS_PRODUCTION: &str = "names the production pod cart-7d9f6c5b8-aaaa1";
    const NOT_OURS: &str = "about something else";
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let table: &[Row<'_>] = &[
        // The canary, by each of the labels.
        (AFTER, &[("namespace", "shop"), ("pod", CANARY)], IS_CANARY),
        (AFTER, &[("namespace", "shop"), ("pod_name", CANARY)], IS_CANARY),
        (AFTER, &[("kubernetes_namespace", "shop"), ("kubernetes_pod_name", CANARY)], IS_CANARY),
        (AFTER, &[("exported_namespace", "shop"), ("exported_pod", CANARY)], IS_CANARY),
        // Any pod label that names it is enough, whatever the others say.
        (AFTER, &[("namespace", "shop"), ("pod", "exporter-1"), ("exported_pod", CANARY)], IS_CANARY),
        (AFTER, &[("namespace", "shop"), ("pod", PRODUCTION), ("exported_pod", CANARY)], IS_CANARY),
        // A production pod and not the canary never counts, even where the service is named.
        (AFTER, &[("namespace", "shop"), ("pod", PRODUCTION)], IS_PRODUCTION),
        (AFTER, &[("namespace", "shop"), ("pod", PRODUCTION), ("service", "cart")], IS_PRODUCTION),
        (
            AFTER,
            &[("namespace", "shop"), ("pod", "exporter-1"), ("exported_pod", PRODUCTION), ("app", "cart")],
            IS_PRODUCTION,
        ),
        (BEFORE, &[("pod", PRODUCTION)], IS_PRODUCTION),
        // The service, by each of the labels; a pod that is neither excludes nothing.
        (AFTER, &[("namespace", "shop"), ("service", "cart")], "is about the service: service=cart"),
        (AFTER, &[("namespace", "shop"), ("app", "cart")], "is about the service: app=cart"),
        (AFTER, &[("namespace", "shop"), ("job", "cart")], "is about the service: job=cart"),
        (AFTER, &[("namespace", "shop"), ("deployment", "cart")], "is about the service: deployment=cart"),
        (AFTER, &[("namespace", "shop"), ("deploymentconfig", "cart")], "is about the service: deploymentconfig=cart"),
        (AFTER, &[("namespace", "shop"), ("service", "other"), ("app", "cart")], "is about the service: app=cart"),
        (
            AFTER,
            &[("namespace", "shop"), ("pod", "exporter-1"), ("service", "cart")],
            "is about the service: service=cart",
        ),
        (AFTER, &[("sloth_service", "cart")], "is about the service: sloth_service=cart (no namespace label)"),
        (AFTER, &[("pod", CANARY)], "names the canary pod (no namespace label)"),
        // Names are equal or they are not: no prefixes.
        (AFTER, &[("namespace", "shop"), ("pod", "cart-canary-1a2b3c-x")], NOT_OURS),
        (AFTER, &[("namespace", "shop"), ("service", "cart-canary")], NOT_OURS),
        (AFTER, &[("namespace", "shop"), ("severity", "cart")], NOT_OURS),
        (AFTER, &[("namespace", "shop")], NOT_OURS),
        (AFTER, &[("service", "")], NOT_OURS),
        (AFTER, &[], NOT_OURS),
        // Another namespace; one of several labels is enough to be here, an empty one is none.
        (AFTER, &[("namespace", "other"), ("pod", CANARY)], "of the namespace other"),
        (AFTER, &[("namespace", "other"), ("service", "cart")], "of the namespace other"),
        (AFTER, &[("namespace", "other"), ("pod", PRODUCTION)], "of the namespace other"),
        (BEFORE, &[("namespace", "other"), ("service", "cart")], "of the namespace other"),
        (AFTER, &[("namespace", "monitoring"), ("exported_namespace", "shop"), ("exported_pod", CANARY)], IS_CANARY),
        (AFTER, &[("namespace", "shop"), ("exported_namespace", "tenant-7"), ("pod", CANARY)], IS_CANARY),
        (AFTER, &[("namespace", ""), ("pod", CANARY)], "names the canary pod (no namespace label)"),
        // The canary's life begins at its creation, to the instant.
        (AT, &[("namespace", "shop"), ("pod", CANARY)], IS_CANARY),
        (BEFORE, &[("namespace", "shop"), ("pod", CANARY)], "firing since 2026-11-22T11:04:59.999Z, before the canary"),
        (BEFORE, &[("service", "cart")], "firing since 2026-11-22T11:04:59.999Z, before the canary"),
        (BEFORE, &[("service", "other")], NOT_OURS),
    ];
    for (starts_at, labels, expected) in table {
        assert_eq!(says(starts_at, labels), *expected, "{labels:?} at {starts_at}");
    }
}

#[test]
fn the_services_name_counts_like_the_workloads() {
    let target = Target { services: vec!["checkout".into(), "checkout-internal".into()], ..target() };
    for (service, counts) in [("cart", true), ("checkout", true), ("checkout-internal", true), ("check", false)] {
        let alert = alert(AFTER, &[("namespace", "shop"), ("service", service)]);
        assert_eq!(judge(&alert, &target, &MatchRules::default()).counts(), counts, "{service}");
    }
}

#[test]
fn own_matchers_must_all_match() {
    let own_matchers = LabelMatcher::parse_list(r#"team="cart", severity=~"critical|page""#).unwrap();
    let target = Target { own_matchers, ..target() };
    let says = |labels: &[(&str, &str)]| judge(&alert(AFTER, labels), &target, &MatchRules::default()).to_string();
    let own = "matches the workload's own matchers";
    assert_eq!(says(&[("namespace", "shop"), ("team", "cart"), ("severity", "page")]), own);
    assert_eq!(says(&[("team", "cart"), ("severity", "critical")]), format!("{own} (no namespace label)"));
    assert_eq!(says(&[("namespace", "shop"), ("team", "cart"), ("severity", "warning")]), "about something else");
    assert_eq!(says(&[("namespace", "other"), ("team", "cart"), ("severity", "page")]), "of the namespace other");
    let production = [("team", "cart"), ("severity", "page"), ("pod", "cart-7d9f6c5b8-aaaa2")];
    assert_eq!(says(&production), "names the production pod cart-7d9f6c5b8-aaaa2");
}

#[test]
fn matchers_that_take_anything_still_need_labels() {
    let target = Target { own_matchers: LabelMatcher::parse_list(r#"team!="other""#).unwrap(), ..target() };
    assert_eq!(judge(&alert(AFTER, &[]), &target, &MatchRules::default()), Relevance::NotOurs);
    assert!(judge(&alert(AFTER, &[("alertname", "A")]), &target, &MatchRules::default()).counts());
}

#[test]
fn a_namespace_can_be_required() {
    let rules = MatchRules { require_namespace: true, ..MatchRules::default() };
    let says = |labels: &[(&str, &str)]| judge(&alert(AFTER, labels), &target(), &rules);
    assert_eq!(says(&[("service", "cart")]), Relevance::WithoutNamespace);
    assert_eq!(says(&[("service", "basket")]), Relevance::NotOurs);
    assert!(says(&[("service", "cart"), ("namespace", "shop")]).counts());
}

#[test]
fn the_labels_are_a_setting() {
    let rules = MatchRules {
        pod_labels: vec!["instance_pod".into()],
        namespace_labels: vec!["namespace".into()],
        service_labels: vec![],
        require_namespace: false,
    };
    let says = |labels: &[(&str, &str)]| judge(&alert(AFTER, labels), &target(), &rules);
    assert!(says(&[("instance_pod", "cart-canary-1a2b3c")]).counts());
    assert_eq!(says(&[("pod", "cart-canary-1a2b3c")]), Relevance::NotOurs);
    assert_eq!(says(&[("service", "cart")]), Relevance::NotOurs);
    let spoofed = [("instance_pod", "cart-canary-1a2b3c"), ("namespace", "evil"), ("exported_namespace", "shop")];
    assert_eq!(says(&spoofed), Relevance::OtherNamespace { namespace: "evil".into() });
}

/// Labels out of the names and values that matter, so that they meet often.
fn any_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    const VALUES: [&str; 7] = ["cart", "cart-canary-1a2b3c", "cart-7d9f6c5b8-aaaa1", "shop", "other", "elsewhere", ""];
    let rules = MatchRules::default();
    let mut names = [rules.pod_labels, rules.namespace_labels, rules.service_labels].concat();
    names.push("alertname".into());
    proptest::collection::btree_map(
        proptest::sample::select(names),
        proptest::sample::select(&VALUES[..]).prop_map(str::to_owned),
        0..8,
    )
}

proptest! {
    #[test]
    fn an_alert_of_another_namespace_never_counts(labels in any_labels(), before: bool) {
        let mut alert = alert(if before { BEFORE } else { AFTER }, &[]);
        alert.labels = labels;
        let rules = MatchRules::default();
        let namespaces: Vec<&str> = rules.namespace_labels.iter().filter_map(|name| alert.label(name)).collect();
        let target = Target { own_matchers: LabelMatcher::parse_list("alertname=~\".*\"").unwrap(), ..target() };
        let relevance = judge(&alert, &target, &rules);
        if !namespaces.is_empty() && !namespaces.contains(&"shop") {
            prop_assert!(!relevance.counts(), "{relevance}");
        }
        if before {
            prop_assert!(!relevance.counts(), "{relevance}");
        }
        let pods: Vec<&str> = rules.pod_labels.iter().filter_map(|name| alert.label(name)).collect();
        if pods.contains(&"cart-7d9f6c5b8-aaaa1") && !pods.contains(&"cart-canary-1a2b3c") {
            prop_assert!(!relevance.counts(), "{relevance}");
        }
        if pods.contains(&"cart-canary-1a2b3c") && namespaces.contains(&"shop") && !before {
            prop_assert!(relevance.counts(), "{relevance}");
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&body);
    }

    /// Real bodies with some bytes changed get much further than random ones.
    #[test]
    fn damaged_bodies_are_read_without_a_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<proptest::sample::Index>(),
        cuts: bool,
    ) {
        let mut body = br#"{"version":"4","truncatedAlerts":0,"alerts":[{"status":"resolved","labels":{"a":"b"},
            "annotations":{"summary":"x"},"startsAt":"2026-11-22T11:05:05.123Z","endsAt":"0001-01-01T00:00:00Z",
            "generatorURL":"http://x","fingerprint":"4924f05d4853e165"}]}"#.to_vec();
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        if cuts {
            body.truncate(cut.index(body.len()));
        }
        if let Ok(webhook) = parse(&body) {
            for alert in &webhook.alerts {
                let _ = judge(alert, &target(), &MatchRules::default()).to_string();
            }
        }
    }

    #[test]
    fn any_text_is_read_as_matchers_without_a_panic(text in r#"[a-z0-9_={}!~",\\\n .*()\[\]é]{0,60}"#) {
        if let Ok(matchers) = LabelMatcher::parse_list(&text) {
            // What was read can be written and read again.
            let written = matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            prop_assert_eq!(LabelMatcher::parse_list(&written).unwrap(), matchers);
        }
    }
}
