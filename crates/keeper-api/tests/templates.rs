//! Checks that the operator's owner writes once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests are tests too, which the lint does not see"
)]

use keeper_api::checks::Templates;
use keeper_api::{Check, Defaults, Invalid, Rule, canary};
use keeper_signal::Policy;
use serde_json::{Value, json};
use std::time::Duration;

const EDGE: &str = r#"
variables:
  service: {}
  percent: { type: number, default: 1 }
  only: { type: flag, default: false }
  zone: { default: all }
check:
  kind: query
  query: sum(edge:errors:percent{service="${service}", zone=~"${zone}"}) or label_replace(x, "a", "${1}", "b", "c")
  max: ${percent}
  observeOnly: ${only}
  interval: 30s
  failureLimit: 2
"#;

fn templates() -> Templates {
    let mut templates = Templates::default();
    templates.add("edge", EDGE).unwrap();
    templates.add("smoke", "check: {kind: latencyShare, bound: 250ms}").unwrap();
    templates.add("bad", "variables: {b: {}}\ncheck: {kind: latencyShare, bound: '${b}'}").unwrap();
    templates
}

fn read(checks: Value) -> Result<Vec<Check>, Invalid> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/canaries/few-words.yaml");
    let mut object: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    object["spec"]["metrics"] = checks;
    let defaults = Defaults { templates: templates(), ..Defaults::default() };
    canary::read(&object, &defaults).map(|wish| wish.checks)
}

fn query(check: &Check) -> (&str, Option<f64>) {
    let Rule::Query(query) = &check.rule else { panic!("{check:?}") };
    (&query.query, query.max)
}

#[test]
fn variables_are_put_in() {
    let with = json!({ "service": "basket", "percent": "0.5", "only": "true" });
    let checks =
        read(json!([{ "template": "edge", "with": with }, { "template": "smoke" }, { "template": "smoke" }])).unwrap();
    let text = r#"sum(edge:errors:percent{service="basket", zone=~"all"}) or label_replace(x, "a", "${1}", "b", "c")"#;
    assert_eq!(query(&checks[0]), (text, Some(0.5)));
    let policy =
        Policy { interval: Duration::from_secs(30), failure_limit: 2, observe_only: true, ..Policy::default() };
    assert_eq!((checks[0].name.as_str(), &checks[0].policy), ("edge", &policy));
    assert_eq!((checks[1].name.as_str(), checks[1].kind()), ("smoke", "latencyShare"));
    assert_eq!(checks[2].name, "smoke-2");
}

#[test]
fn how_it_is_asked_may_be_said_beside_it() {
    let item = json!({ "template": "edge", "with": { "service": "a" }, "name": "mine", "failureLimit": 0 });
    let check = read(json!([item])).unwrap().remove(0);
    assert_eq!((check.name.as_str(), check.policy.failure_limit, check.policy.interval.as_secs()), ("mine", 0, 30));
    assert_eq!(query(&check).1, Some(1.0));
}

#[test]
fn annotations_may_write_numbers_as_numbers() {
    let checks = "- {template: edge, with: {service: basket, percent: 0.25, only: true}}";
    let object = json!({
        "metadata": { "annotations": { "canary-image": "app", "canary-keeper.dev/checks": checks } },
        "spec": { "template": { "spec": { "containers": [{ "name": "app" }] } } },
    });
    let defaults = Defaults { templates: templates(), ..Defaults::default() };
    let wish = keeper_api::read(&object, &defaults).unwrap();
    assert_eq!((query(&wish.checks[0]).1, wish.checks[0].policy.observe_only), (Some(0.25), true));
}

#[test]
fn what_is_wrong_is_told_with_field_and_fix() {
    let edge = |with: Value| json!([{ "template": "edge", "with": with }]);
    let all = [
        json!([{ "template": "egde" }]),
        json!([{ "template": 7 }]),
        json!([{ "template": "edge" }]),
        edge(json!(["service"])),
        edge(json!({ "service": "a", "servise": "b" })),
        edge(json!({ "service": ["a"] })),
        edge(json!({ "service": "a\"}) or vector(0) #" })),
        edge(json!({ "service": "${zone}" })),
        edge(json!({ "service": "{{pod}}" })),
        edge(json!({ "service": "a".repeat(300) })),
        edge(json!({ "service": "a", "percent": "half" })),
        edge(json!({ "service": "a", "only": "yes" })),
        json!([{ "template": "edge", "with": { "service": "a" }, "query": "up" }]),
        json!([{ "template": "edge", "with": { "service": "a" }, "interval": "5" }]),
        json!([{ "template": "smoke", "kind": "query" }]),
        json!([{ "template": "smoke", "with": { "a": "b" } }]),
        json!([{ "template": "bad", "with": { "b": "soon" } }]),
        json!([{ "kind": "latencyShare", "bound": "1s", "with": {} }]),
        json!([{ "template": "smoke", "name": "a" }, { "template": "smoke", "name": "a" }]),
    ];
    let told: Vec<String> = all.into_iter().map(|checks| read(checks).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn without_templates_there_is_nothing_to_name() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/canaries/few-words.yaml");
    let mut object: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    object["spec"]["metrics"] = json!([{ "template": "edge" }]);
    let fix = canary::read(&object, &Defaults::default()).unwrap_err().fix;
    assert_eq!(fix, "write kind: in its place; the operator's owner wrote no templates");
}

#[test]
fn a_template_that_cannot_work_is_told_to_the_owner() {
    let told = |name: &str, text: &str| Templates::default().add(name, text).unwrap_err().to_string();
    let mut twice = templates();
    let all = [
        told("a/b", "check: {kind: job}"),
        twice.add("edge", EDGE).unwrap_err().to_string(),
        told("a", "- kind: query"),
        told("a", "kind: query"),
        told("a", "{check: {kind: query}, hue: 1}"),
        told("a", "check: [a]"),
        told("a", "check: {query: up}"),
        told("a", "check: {kind: query, template: b}"),
        told("a", "{variables: [a], check: {kind: query}}"),
        told("a", "{variables: {1a: {}}, check: {kind: query}}"),
        told("a", "{variables: {a: b}, check: {kind: query}}"),
        told("a", "{variables: {a: {kind: text}}, check: {kind: query}}"),
        told("a", "{variables: {a: {type: date}}, check: {kind: query}}"),
        told("a", "{variables: {a: {type: number, default: x}}, check: {kind: query}}"),
        told("a", "check: {kind: query, query: 'up{a=\"${b}\"}'}"),
        told("a", "variables: {b: {type: number}}\ncheck: {kind: query, query: 'up > ${b}'}"),
        told("a", &" ".repeat(20_000)),
        told("a", "a: &a [*a]"),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
