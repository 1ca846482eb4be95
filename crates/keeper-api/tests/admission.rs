//! What a real API server takes and refuses with our CustomResourceDefinition.
//!
//! Needs a cluster, named by `KEEPER_E2E_KUBECONFIG` (`cargo xtask e2e` does that), and `kubectl`. Nothing is kept there
//! but the definition of a Canary: everything is sent as a dry run.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "helpers of tests are tests too, which the lint does not see"
)]

use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Output, Stdio};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A real cluster that has the definition; `None` where there is none, which is noted.
struct Server(OsString);

impl Server {
    fn find() -> Option<Self> {
        let kubectl = Command::new("kubectl").arg("version").arg("--client").stdout(Stdio::null()).status();
        let (Some(kubeconfig), true) = (std::env::var_os("KEEPER_E2E_KUBECONFIG"), kubectl.is_ok()) else {
            not_run("what a real API server takes and refuses of a Canary; `cargo xtask e2e` runs it (with kubectl)");
            return None;
        };
        let server = Self(kubeconfig);
        let definition = format!("{ROOT}/deploy/crd/canaries.yaml");
        server.must(&["apply", "--server-side", "--force-conflicts", "-f", &definition]);
        server.must(&["wait", "--for=condition=Established", "crd/canaries.canary-keeper.dev", "--timeout=60s"]);
        // Established comes before the resource is served.
        for _ in 0..50 {
            if server.kubectl(&["get", "cny", "-n", "default"], None).status.success() {
                return Some(server);
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        panic!("the resource is not served");
    }

    fn kubectl(&self, arguments: &[&str], input: Option<&Value>) -> Output {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(&self.0).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let text = input.map(ToString::to_string).unwrap_or_default();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn must(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments, None);
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Sends it as `kubectl create` does, with unknown fields refused; answers what the server made of it, or its words.
    fn create(&self, canary: &Value) -> Result<Value, String> {
        let mut canary = canary.clone();
        // Its name is nothing to the rules, and may be taken.
        canary["metadata"]["name"] = "not-to-be-kept".into();
        let arguments = ["create", "-n", "default", "--dry-run=server", "-o", "json", "-f", "-"];
        let output = self.kubectl(&arguments, Some(&canary));
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

fn not_run(why: &str) {
    println!("NOT RUN: {why}");
    if let Some(path) = std::env::var_os("KEEPER_NOT_RUN") {
        let mut notes = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(notes, "NOT RUN: {why}").unwrap();
    }
}

fn fixture(name: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(format!("{ROOT}/testdata/canaries/{name}.yaml")).unwrap()).unwrap()
}

/// The few words with one thing set, or removed with null.
fn with(pointer: &str, value: Value) -> Value {
    let mut canary = fixture("few-words");
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = canary.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => parent.remove(last),
        value => parent.insert(last.to_owned(), value),
    };
    canary
}

fn check(check: Value) -> Value {
    with("/spec/metrics", json!([check]))
}

#[test]
fn manifests_are_taken_and_mean_the_same_after_the_server() {
    let Some(server) = Server::find() else { return };
    let read = |canary: &Value| keeper_api::canary::read(canary, &keeper_api::Defaults::default()).unwrap();
    for name in ["prototype", "few-words", "everything"] {
        let served = server.create(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(served["spec"]["incubation"].as_str().unwrap(), if name == "everything" { "5m" } else { "60s" });
        // Defaults filled in, nothing pruned.
        assert_eq!(read(&served), read(&fixture(name)), "{name}");
    }
}

#[test]
fn what_cannot_work_is_refused_with_the_field() {
    let Some(server) = Server::find() else { return };
    const T: &str = "/spec/deploymentTemplate";
    let template = |path: &str, value: Value| with(&format!("{T}{path}"), value);
    let query = |rest: Value| {
        let mut item = json!({ "kind": "query", "query": "up", "max": 1 });
        item.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        check(item)
    };
    let expression = |operator: &str, values: Value| {
        template(
            "/spec/selector",
            json!({ "matchExpressions": [{ "key": "app", "operator": operator, "values": values }] }),
        )
    };
    let alerts = json!({ "kind": "alerts", "matchers": ["a=b"] });
    let mut both = check(alerts.clone());
    both["spec"]["alertMatchers"] = json!(["c=d"]);
    let cases: Vec<(Value, &str, &str)> = vec![
        (with(T, Value::Null), "spec.deploymentTemplate", "Required value"),
        (template("/apiVersion", json!("apps/v1beta1")), "spec.deploymentTemplate.apiVersion", "Unsupported value"),
        (template("/kind", json!("StatefulSet")), "spec.deploymentTemplate.kind", "Unsupported value"),
        (template("/metadata/name", Value::Null), "spec.deploymentTemplate.metadata.name", "Required value"),
        (template("/metadata/name", json!("Basket_1")), "spec.deploymentTemplate.metadata.name", "should match"),
        (
            template("/metadata/labels", json!({ "canary": "true" })),
            "spec.deploymentTemplate.metadata.labels",
            "annotation mode",
        ),
        (template("/spec/selector", Value::Null), "spec.deploymentTemplate.spec.selector", "Required value"),
        (template("/spec/selector", json!({})), "spec.deploymentTemplate.spec.selector", "must not be empty"),
        (
            template("/spec/selector", json!({ "matchLabels": { "app": "shop" } })),
            "spec.deploymentTemplate.spec.selector.matchLabels",
            "must match the labels of spec.template",
        ),
        (
            template("/spec/selector", json!({ "matchLabels": { "tier": "web" } })),
            "spec.deploymentTemplate.spec.selector.matchLabels",
            "must match the labels of spec.template",
        ),
        (
            expression("In", json!(["shop"])),
            "spec.deploymentTemplate.spec.selector.matchExpressions",
            "must match the labels of spec.template",
        ),
        (
            expression("NotIn", json!(["basket"])),
            "spec.deploymentTemplate.spec.selector.matchExpressions",
            "must match the labels of spec.template",
        ),
        (
            expression("DoesNotExist", json!([])),
            "spec.deploymentTemplate.spec.selector.matchExpressions",
            "must match the labels of spec.template",
        ),
        (
            expression("Like", json!([])),
            "spec.deploymentTemplate.spec.selector.matchExpressions[0].operator",
            "Unsupported value",
        ),
        (
            template("/spec/template/metadata/labels", Value::Null),
            "spec.deploymentTemplate.spec.template.metadata.labels",
            "Required value",
        ),
        (
            template("/spec/template/spec/containers", json!([])),
            "spec.deploymentTemplate.spec.template.spec.containers",
            "should have at least 1 items",
        ),
        (
            template("/spec/template/spec/containers", json!([{ "name": "a" }])),
            "spec.deploymentTemplate.spec.template.spec.containers[0].image",
            "Required value",
        ),
        (
            template("/spec/replicas", json!(-1)),
            "spec.deploymentTemplate.spec.replicas",
            "should be greater than or equal to 0",
        ),
        (with("/spec/incubation", json!("soon")), "spec.incubation", "should match"),
        (with("/spec/incubation", json!(60)), "spec.incubation", "must be of type string"),
        (with("/spec/maxIncubation", json!("30s")), "spec.maxIncubation", "must not be shorter than incubation"),
        (with("/spec/onInconclusive", json!("promote")), "spec.onInconclusive", "Unsupported value"),
        (with("/spec/metric", json!([])), "spec.metric", "unknown field"),
        (check(json!({ "interval": "5s" })), "spec.metrics[0].kind", "a check needs kind, or template"),
        (check(json!({ "kind": "job", "template": "a" })), "spec.metrics[0].kind", "and so does template"),
        (
            check(json!({ "template": "a", "threshold": 1 })),
            "spec.metrics[0].threshold",
            "of kind httpErrorRate, latencyShare alone",
        ),
        (check(json!({ "template": "a", "with": { "b": 1 } })), "spec.metrics[0].with.b", "must be of type string"),
        (
            check(json!({ "kind": "query", "query": "up", "max": 1, "with": {} })),
            "spec.metrics[0].with",
            "belongs to template",
        ),
        (check(json!({ "kind": "mood" })), "spec.metrics[0].kind", "Unsupported value"),
        (check(json!({ "kind": "httpErrorRate", "treshold": 1 })), "spec.metrics[0].treshold", "unknown field"),
        (
            check(json!({ "kind": "httpErrorRate", "threshold": 0 })),
            "spec.metrics[0].threshold",
            "should be greater than 0",
        ),
        (
            check(json!({ "kind": "httpErrorRate", "threshold": 100.5 })),
            "spec.metrics[0].threshold",
            "should be less than or equal to 100",
        ),
        (
            check(json!({ "kind": "httpErrorRate", "minRequestCount": 0 })),
            "spec.metrics[0].minRequestCount",
            "should be greater than or equal to 1",
        ),
        (
            check(json!({ "kind": "httpErrorRate", "port": 70_000 })),
            "spec.metrics[0].port",
            "should be less than or equal to 65535",
        ),
        (check(json!({ "kind": "httpErrorRate", "path": "/m" })), "spec.metrics[0].port", "needs port beside it"),
        (
            check(json!({ "kind": "httpErrorRate", "port": 1, "provider": "a" })),
            "spec.metrics[0].provider",
            "remove one of the two",
        ),
        (
            check(json!({ "kind": "httpErrorRate", "query": "up" })),
            "spec.metrics[0].query",
            "is a field of kind query alone",
        ),
        (check(json!({ "kind": "query", "max": 1 })), "spec.metrics[0].query", "a check of kind query needs it"),
        (check(json!({ "kind": "query", "query": "up" })), "spec.metrics[0].max", "needs min or max"),
        (query(json!({ "min": 2 })), "spec.metrics[0].max", "must not be less than min"),
        (query(json!({ "noData": "fine" })), "spec.metrics[0].noData", "Unsupported value"),
        (query(json!({ "interval": 30 })), "spec.metrics[0].interval", "must be of type string"),
        (query(json!({ "failureLimit": -1 })), "spec.metrics[0].failureLimit", "should be greater than or equal to 0"),
        (query(json!({ "name": "-" })), "spec.metrics[0].name", "should match"),
        (query(json!({ "query": "a".repeat(5_000) })), "spec.metrics[0].query", "Too long"),
        (check(json!({ "kind": "latencyShare" })), "spec.metrics[0].bound", "a check of kind latencyShare needs it"),
        (check(json!({ "kind": "http", "max": 1 })), "spec.metrics[0].provider", "a check of kind http needs it"),
        (check(json!({ "kind": "http", "provider": "a" })), "spec.metrics[0].max", "needs min, max or equals"),
        (
            check(json!({ "kind": "http", "provider": "a", "max": 1, "equals": "b" })),
            "spec.metrics[0].max",
            "stands beside equals",
        ),
        (
            check(json!({ "kind": "http", "provider": "a", "max": 1, "path": "x" })),
            "spec.metrics[0].path",
            "should match",
        ),
        (check(json!({ "kind": "job" })), "spec.metrics[0].jobTemplate", "a check of kind job needs it"),
        (
            check(json!({ "kind": "job", "jobTemplate": { "spec": { "template": { "spec": {} } } } })),
            "spec.metrics[0].jobTemplate.spec.template.spec.containers",
            "Required value",
        ),
        (check(json!({ "kind": "alerts" })), "spec.metrics[0].matchers", "a check of kind alerts needs it"),
        (
            check(json!({ "kind": "alerts", "matchers": ["a=b"], "interval": "5s" })),
            "spec.metrics[0].interval",
            "is a field of kind",
        ),
        (with("/spec/metrics", json!([alerts, alerts])), "spec.metrics", "only one check can be of kind alerts"),
        (both, "spec.alertMatchers", "one place"),
        (
            with(
                "/spec/metrics",
                json!([{ "kind": "httpErrorRate", "name": "a" }, { "kind": "httpErrorRate", "name": "a" }]),
            ),
            "spec.metrics",
            "a name of its own",
        ),
        (
            with("/spec/metrics", json!(vec![json!({ "kind": "httpErrorRate" }); 9])),
            "spec.metrics",
            "must have at most 8 items",
        ),
    ];
    let mut wrong = vec![];
    for (canary, field, words) in &cases {
        match server.create(canary) {
            Ok(_) => wrong.push(format!("taken, should name {field}: {words}")),
            Err(told) if told.contains(field) && told.contains(words) => {}
            Err(told) => wrong.push(format!("should name {field}: {words}\n  told: {told}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} wrong Canaries, each refused with its field", cases.len());
}

#[test]
fn a_check_may_be_named() {
    let Some(server) = Server::find() else { return };
    let item = json!({ "template": "errors", "with": { "percent": "0.5" }, "name": "edge", "interval": "30s" });
    let served = server.create(&check(item.clone())).unwrap();
    assert_eq!(served["spec"]["metrics"][0], item);
}

#[test]
fn fields_that_kubernetes_will_have_one_day_are_kept() {
    let Some(server) = Server::find() else { return };
    let container = json!({ "name": "a", "image": "b", "hue": { "of": ["tomorrow"] } });
    let mut canary = with("/spec/deploymentTemplate/spec/template/spec/containers", json!([container]));
    canary["spec"]["deploymentTemplate"]["spec"]["template"]["spec"]["mood"] = json!(3);
    let served = server.create(&canary).unwrap();
    let pod = &served["spec"]["deploymentTemplate"]["spec"]["template"]["spec"];
    assert_eq!((&pod["containers"][0], &pod["mood"]), (&container, &json!(3)));
}

#[test]
fn the_manifests_of_the_demo_are_taken() {
    let Some(server) = Server::find() else { return };
    let deploy = format!("{ROOT}/deploy");
    for path in ["demo/prometheus", "demo/deployment.yaml", "demo/canary.yaml", "base/operator.yaml"] {
        let file = format!("{deploy}/{path}");
        server.must(&["apply", "-n", "default", "--dry-run=server", "--validate=strict", "-f", &file]);
    }
    let folder = format!("{deploy}/demo/operator");
    server.must(&["apply", "-n", "default", "--dry-run=server", "--validate=strict", "-k", &folder]);
}

/// The definition that the Prometheus Operator publishes, which `.ci/clients.py` puts beside what is built.
fn published(name: &str) -> Option<std::path::PathBuf> {
    // This program is in <target>/<profile>/deps.
    let own = std::env::current_exe().unwrap();
    let file = own.ancestors().nth(3).unwrap().join("prometheus-operator").join(name);
    file.is_file().then_some(file)
}

#[test]
fn the_service_monitor_fits_its_published_schema() {
    let Some(server) = Server::find() else { return };
    let Some(definition) = published("servicemonitors.yaml") else {
        not_run("whether the demo's ServiceMonitor fits its published schema (.ci/clients.py gets it, with Go)");
        return;
    };
    // One that the cluster has is its owner's.
    let own = server.kubectl(&["get", "crd", "servicemonitors.monitoring.coreos.com"], None).status.success();
    if !own {
        server.must(&["apply", "--server-side", "-f", definition.to_str().unwrap()]);
    }
    server.must(&["wait", "--for=condition=Established", "crd/servicemonitors.monitoring.coreos.com", "--timeout=60s"]);
    let file = format!("{ROOT}/deploy/demo/servicemonitor.yaml");
    let apply = |file: &str| {
        server.kubectl(&["apply", "-n", "default", "--dry-run=server", "--validate=strict", "-f", file], None)
    };
    // Established comes before the resource is served.
    let mut taken = apply(&file);
    for _ in 0..50 {
        if taken.status.success() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        taken = apply(&file);
    }
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    let wrong = std::fs::read_to_string(&file).unwrap().replace("  - port: web", "  - prot: web");
    let folder = std::env::temp_dir().join(format!("servicemonitor-{}.yaml", std::process::id()));
    std::fs::write(&folder, wrong).unwrap();
    let refused = apply(folder.to_str().unwrap());
    std::fs::remove_file(folder).unwrap();
    if !own {
        server.must(&["delete", "crd", "servicemonitors.monitoring.coreos.com"]);
    }
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("unknown field \"spec.endpoints[0].prot\""), "what is checked is checked: {said}");
}

#[test]
fn people_are_told_what_each_field_means() {
    let Some(server) = Server::find() else { return };
    let explained = server.must(&["explain", "cny.spec", "--recursive"]);
    for field in ["deploymentTemplate", "incubation", "jobTemplate", "matchExpressions"] {
        assert!(explained.contains(field), "{explained}");
    }
    assert!(server.must(&["explain", "cny.spec.metrics.threshold"]).contains("below 1 %"));
    assert!(server.must(&["api-resources", "--categories=canary-keeper"]).contains("cny"));
}
