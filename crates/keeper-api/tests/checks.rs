//! The language of checks, as annotations write it. In a Canary it is the same; `canary.rs` has the places.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests are tests too, which the lint does not see"
)]

use keeper_api::checks::{Expected, HttpErrorRate, NoData, Source};
use keeper_api::{Check, Defaults, Invalid, Rule, keys};
use keeper_signal::Policy;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

fn workload(checks: &str) -> Value {
    json!({
        "metadata": { "annotations": { "canary-image": "quay.io/shop/app:stable", keys::CHECKS: checks } },
        "spec": { "template": { "spec": { "serviceAccountName": "shop", "containers": [{ "name": "app" }] } } }
    })
}

fn read(checks: &str) -> Result<Vec<Check>, Invalid> {
    keeper_api::read(&workload(checks), &Defaults::default()).map(|wish| wish.checks)
}

fn one(yaml: &str) -> Check {
    let mut checks = read(yaml).unwrap_or_else(|invalid| panic!("{invalid}\n{yaml}"));
    assert_eq!(checks.len(), 1, "{yaml}");
    checks.remove(0)
}

fn all_defaults() -> HttpErrorRate {
    HttpErrorRate {
        threshold: 1.0,
        min_request_count: 100,
        source: Source::Pods { port: 8080, path: "/metrics".into() },
        metric: "http_requests_total".into(),
        code_label: None,
        error_codes: "5..".into(),
    }
}

fn check_rate(yaml: &str, expected: HttpErrorRate) {
    let expected =
        Check { name: "httpErrorRate".into(), policy: Policy::default(), rule: Rule::HttpErrorRate(expected) };
    assert_eq!(one(yaml), expected, "{yaml}");
}

fn check_err(yaml: &str, field: &str, problem: &str) {
    let invalid = read(yaml).unwrap_err();
    let expected = (format!("annotation canary-keeper.dev/checks{field}"), problem);
    assert_eq!((invalid.field, invalid.problem.as_str()), expected, "{yaml}");
    assert!(!invalid.fix.is_empty());
}

#[test]
fn a_check_of_few_words() {
    check_rate("- kind: httpErrorRate\n  port: 8080", all_defaults());
    check_rate(r#"[{"kind": "httpErrorRate", "port": 8080, "threshold": null}]"#, all_defaults());
    let source = Source::Prometheus { provider: None, selector: vec![], error_selector: None };
    check_rate("- kind: httpErrorRate", HttpErrorRate { source, ..all_defaults() });
    assert_eq!(read("[]"), Ok(vec![]));
    assert_eq!(read("# none yet"), Ok(vec![]));
}

#[test]
fn a_check_of_many_words() {
    let yaml = r#"{
        "kind": "httpErrorRate",
        "threshold": 0.5,
        "minRequestCount": 20,
        "port": 9090,
        "path": "/internal/metrics?format=text",
        "metric": "app:requests_total",
        "codeLabel": "status_code",
        "errorCodes": "5..|429"
    }"#;
    let yaml = &format!("[{yaml}]");
    let expected = HttpErrorRate {
        threshold: 0.5,
        min_request_count: 20,
        source: Source::Pods { port: 9090, path: "/internal/metrics?format=text".into() },
        metric: "app:requests_total".into(),
        code_label: Some("status_code".into()),
        error_codes: "5..|429".into(),
    };
    check_rate(yaml, expected);
}

#[test]
fn checks_without_a_name_get_one() {
    let names = |yaml: &str| read(yaml).unwrap().into_iter().map(|check| check.name).collect::<Vec<_>>();
    let q = "{kind: query, query: a, max: 1}";
    assert_eq!(
        names(&format!("[{q}, {q}, {{kind: query, query: a, max: 1, name: a}}, {q}]")),
        ["query", "query-2", "a", "query-3"]
    );
    check_err(
        "[{kind: query, query: a, max: 1, name: a}, {kind: query, query: a, max: 1, name: a}]",
        "[1].name",
        "\"a\" is the name of an earlier check",
    );
    check_err("[{kind: query, query: a, max: 1, name: '-a'}]", "[0].name", "\"-a\" is not valid");
}

#[test]
fn the_pace_of_a_check() {
    let check = one(
        "- {kind: query, query: a, max: 1, interval: 30s, initialDelay: 1m30s, failureLimit: 2, errorBudget: 4, observeOnly: true}",
    );
    let expected = Policy {
        interval: Duration::from_secs(30),
        initial_delay: Duration::from_secs(90),
        failure_limit: 2,
        error_budget: 4,
        observe_only: true,
    };
    assert_eq!(check.policy, expected);
    let query = |rest: &str| format!("- {{kind: query, query: a, max: 1, {rest}}}");
    check_err(&query("interval: 30"), "[0].interval", "is a number and not a text");
    check_err(&query("interval: 500ms"), "[0].interval", "\"500ms\" is not within 1s to 3600s");
    check_err(&query("initialDelay: -1s"), "[0].initialDelay", "\"-1s\" is negative");
    check_err(&query("failureLimit: -1"), "[0].failureLimit", "is not a whole number from 0 to 1000");
    check_err(&query("errorBudget: 1e9"), "[0].errorBudget", "is not a whole number from 0 to 1000");
    check_err(&query("observeOnly: maybe"), "[0].observeOnly", "is a text");
}

#[test]
fn what_is_wrong_with_an_error_rate() {
    let check = |rest: &str| format!("- {{kind: httpErrorRate, port: 1, {rest}}}");
    check_err("kind: httpErrorRate", "", "is a mapping and not a list");
    check_err("- httpErrorRate", "[0]", "is a text and not a mapping");
    check_err("- port: 1", "[0]", "has no kind");
    check_err("- kind: latency", "[0].kind", "\"latency\" is not known");
    check_err("- kind: [a]", "[0].kind", "is a list");
    check_err("- {kind: httpErrorRate, port: 0}", "[0].port", "is not a whole number from 1 to 65535");
    check_err("- {kind: httpErrorRate, port: 70000}", "[0].port", "is not a whole number from 1 to 65535");
    check_err("- {kind: httpErrorRate, path: /metrics}", "[0].path", "stands there without port");
    check_err(&check("treshold: 1"), "[0]", "the field \"treshold\" is not known here");
    check_err(&check("threshold: 0"), "[0].threshold", "0e0 is out of range");
    check_err(&check("threshold: -1"), "[0].threshold", "-1e0 is out of range");
    check_err(&check("threshold: 100.1"), "[0].threshold", "1.001e2 is out of range");
    check_err(&check("threshold: 1%"), "[0].threshold", "is a text and not a number");
    check_err(&check("minRequestCount: 0"), "[0].minRequestCount", "is not a whole number from 1 to 1000000000");
    check_err(&check("minRequestCount: 1.5"), "[0].minRequestCount", "is not a whole number from 1 to 1000000000");
    check_err(&check("path: metrics"), "[0].path", "\"metrics\" is not valid");
    check_err(&check("path: '/a b'"), "[0].path", "\"/a b\" is not valid");
    check_err(&check("metric: 'up{}'"), "[0].metric", "\"up{}\" is not valid");
    check_err(&check("codeLabel: 'a:b'"), "[0].codeLabel", "\"a:b\" is not valid");
    check_err(&check("errorCodes: '.*'"), "[0].errorCodes", "\".*\" is not valid");
    check_err(&check("errorCodes: 500"), "[0].errorCodes", "is a number and not a text");
    let of_prometheus = "is for Prometheus, and port asks the pods themselves";
    check_err(&check("provider: main"), "[0].provider", of_prometheus);
    check_err(&check("errorSelector: 'a=\"b\"'"), "[0].errorSelector", of_prometheus);
    let both = "- {kind: httpErrorRate, errorSelector: 'a=\"b\"', errorCodes: 4..}";
    check_err(both, "[0].errorCodes", "says the same as errorSelector");
    check_err(&"- {kind: httpErrorRate, port: 1}\n".repeat(9), "", "has 9 checks, at most 8 are taken");
}

#[test]
fn an_unknown_field_is_told_with_the_known_ones() {
    let fix = read("- {kind: alerts, matchers: a=b, interval: 5m}").unwrap_err().fix;
    assert_eq!(fix, "write one of kind, name, matchers");
}

#[test]
fn queries() {
    let Rule::Query(query) = one("- {kind: query, query: 'a{pod=\"{{ canary }}\"}[{{window}}]', max: 1}").rule else {
        panic!("another kind")
    };
    assert_eq!((query.window, query.no_data, query.min), (Duration::from_secs(60), NoData::Unknown, None));
    check_err("- {kind: query, max: 1}", "[0].query", "is missing");
    check_err("- {kind: query, query: ' ', max: 1}", "[0].query", "\" \" is not valid");
    check_err("- {kind: query, query: a}", "[0]", "has neither min nor max");
    check_err(
        "- {kind: query, query: a, min: 2, max: 1}",
        "[0].max",
        "1 is less than min, 2: nothing would ever be healthy",
    );
    check_err("- {kind: query, query: a, max: 1, noData: fine}", "[0].noData", "\"fine\" is not valid");
    check_err("- {kind: query, query: a, max: 1, window: 0s}", "[0].window", "\"0s\" is not within 1s to 86400s");
    check_err(
        "- {kind: query, query: 'a{{service}}', max: 1}",
        "[0].query",
        "\"service\" can't stand in double braces",
    );
    check_err("- {kind: query, query: 'a{{', max: 1}", "[0].query", "\"\" can't stand in double braces");
    let long = format!("- {{kind: query, query: {}, max: 1}}", "a".repeat(5_000));
    check_err(&long, "[0].query", "is 5000 bytes long, at most 4096 are taken");
}

#[test]
fn latency_shares() {
    let Rule::LatencyShare(share) = one("- {kind: latencyShare, bound: 250ms}").rule else { panic!("another kind") };
    assert_eq!((share.bound, share.threshold), (Duration::from_millis(250), 1.0));
    check_err("- kind: latencyShare", "[0].bound", "is missing");
    check_err("- {kind: latencyShare, bound: 2h}", "[0].bound", "\"2h\" is not within 1ms to 3600s");
    check_err("- {kind: latencyShare, bound: ''}", "[0].bound", "\"\" is not a duration");
    check_err("- {kind: latencyShare, bound: 1s, selector: up}", "[0].selector", "\"up\" is no label matcher");
}

#[test]
fn http_endpoints() {
    let http = |yaml: &str| match one(&format!("- {{kind: http, provider: p, {yaml}}}")).rule {
        Rule::Http(http) => http,
        other => panic!("{other:?}"),
    };
    assert_eq!(http("max: 0").path, "/");
    assert_eq!(http("equals: false").expected, Expected::Equals("false".into()));
    assert_eq!(http("min: 1, max: 1").expected, Expected::Range { min: Some(1.0), max: Some(1.0) });
    let wrong = |rest: &str, field: &str, problem: &str| {
        check_err(&format!("- {{kind: http, provider: p, {rest}}}"), field, problem);
    };
    check_err("- {kind: http, max: 1}", "[0].provider", "is missing");
    wrong("path: /", "[0]", "has none of min, max and equals");
    wrong("max: 1, equals: 1", "[0].max", "stands beside equals");
    wrong("equals: [1]", "[0].equals", "is a list");
    wrong("max: 1, method: DELETE", "[0].method", "\"DELETE\" is not valid");
    wrong("max: 1, body: '{}'", "[0].body", "stands beside the method GET");
    wrong("max: 1, pointer: a/b", "[0].pointer", "\"a/b\" is not valid");
    wrong("max: 1, pointer: /~2", "[0].pointer", "\"/~2\" is not valid");
    wrong("max: 1, path: '/{{window}}'", "[0].path", "\"window\" can't stand in double braces");
    for path in ["//evil.example", "https://evil.example", "/a/../../b", "/%2e%2e/b", "/a\\b", "/a#b", "/a b", "@b"] {
        wrong(&format!("max: 1, path: '{path}'"), "[0].path", &format!("{path:?} is not valid"));
    }
}

#[test]
fn jobs_run_as_the_workload_does() {
    let job =
        |spec: &str| format!("- kind: job\n  jobTemplate: {{metadata: {{name: x, labels: {{a: b}}}}, spec: {spec}}}");
    let pod = |rest: &str| job(&format!("{{template: {{spec: {{containers: [{{name: a, image: b}}]{rest}}}}}}}"));
    let Rule::Job(read) = one(&pod("")).rule else { panic!("another kind") };
    let expected = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "labels": { "a": "b" } },
        "spec": {
            "activeDeadlineSeconds": 300,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 600,
            "template": { "spec": {
                "containers": [{ "name": "a", "image": "b" }],
                "restartPolicy": "Never",
                "serviceAccountName": "shop",
            } },
        },
    });
    assert_eq!(read.template, expected);
    one(&pod(", serviceAccountName: shop, restartPolicy: OnFailure"));
    let place = "[0].jobTemplate.spec.template.spec.serviceAccountName";
    check_err(&pod(", serviceAccountName: admin"), place, "is \"admin\", and the workload runs as \"shop\"");
    let place = "[0].jobTemplate.spec.template.spec.serviceAccount";
    check_err(&pod(", serviceAccount: admin"), place, "is \"admin\", and the workload runs as \"shop\"");
    check_err("- kind: job", "[0].jobTemplate", "is missing");
    check_err(&job("{}"), "[0].jobTemplate.spec.template.spec", "is missing");
    check_err(&job("7"), "[0].jobTemplate.spec", "is a number and not a mapping");
    let place = "[0].jobTemplate.spec.template.spec.containers";
    check_err(&job("{template: {spec: {containers: []}}}"), place, "is missing");
    let suspended = "{suspend: true, template: {spec: {containers: [{name: a}]}}}";
    check_err(&job(suspended), "[0].jobTemplate.spec.suspend", "is for the cluster and us to set");
}

#[test]
fn alerts_say_which_alerts_count() {
    let matchers = |yaml: &str| keeper_api::read(&workload(yaml), &Defaults::default()).unwrap().alert_matchers;
    let two = [r#"team="shop""#, r#"severity=~"page|ticket""#];
    assert_eq!(matchers(r#"- {kind: alerts, matchers: '{team="shop", severity=~"page|ticket"}'}"#), two);
    assert_eq!(matchers(r#"- {kind: alerts, matchers: ['team="shop"', 'severity=~"page|ticket"']}"#), two);
    check_err("- kind: alerts", "[0].matchers", "is missing");
    check_err("- {kind: alerts, matchers: '{}'}", "[0].matchers", "has no matcher, so that every alert would count");
    check_err("- {kind: alerts, matchers: [1]}", "[0].matchers", "holds something else than texts");
    check_err(
        "[{kind: alerts, matchers: a=b}, {kind: alerts, matchers: a=b}]",
        "[1]",
        "is the second check of kind alerts",
    );
    let mut both = workload("- {kind: alerts, matchers: a=b}");
    both["metadata"]["annotations"][keys::ALERT_MATCHERS] = "c=d".into();
    let invalid = keeper_api::read(&both, &Defaults::default()).unwrap_err();
    assert_eq!(invalid.problem, "says which alerts count, and so does annotation canary-keeper.dev/alert-matchers");
}

/// Checks near to what could be meant.
fn near() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[a-z{}\"=~,/ .0-9]{0,20}".prop_map(|text| format!("{text:?}")),
        "-?[0-9]{1,12}(\\.[0-9]{1,3})?",
        "[0-9]{1,3}(ms|s|m|h)",
        Just("{spec: {template: {spec: {containers: [{name: a}]}}}}".to_owned()),
        Just("[a, 1]".to_owned()),
    ];
    let names = "kind name interval initialDelay failureLimit errorBudget observeOnly threshold minRequestCount port path \
                 metric codeLabel errorCodes selector errorSelector provider query min max unit window noData bound \
                 method body pointer equals jobTemplate timeout matchers";
    let names: Vec<&str> = names.split_whitespace().collect();
    let kinds = vec!["httpErrorRate", "latencyShare", "query", "http", "job", "alerts"];
    let fields = prop::collection::btree_map(prop::sample::select(names), value, 0..8);
    (prop::sample::select(kinds), fields).prop_map(|(kind, mut fields)| {
        fields.insert("kind", kind.to_owned());
        let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("- {{{}}}", fields.join(", "))
    })
}

proptest! {
    #[test]
    fn whatever_is_written_the_answer_is_bounded(yaml in prop_oneof![3 => near(), 1 => ".{0,300}"]) {
        match read(&yaml) {
            Err(invalid) => {
                let text = invalid.to_string();
                prop_assert!(text.chars().count() < 1_500 && !text.contains('\n'), "{text}");
            }
            Ok(checks) => {
                prop_assert!(checks.len() <= 8);
                prop_assert!(checks.iter().all(|check| !check.name.is_empty() && check.name.len() <= 63));
            }
        }
    }
}
