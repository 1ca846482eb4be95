//! The manifests under `deploy/`: that they fit each other, as far as that can be seen without a cluster.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests are tests too, which the lint does not see"
)]

use keeper_api::checks::Source;
use keeper_api::{Defaults, Rule, canary};
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");

fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The only object of this kind in a file.
fn one(path: &str, kind: &str) -> Value {
    let mut found = documents(path).into_iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("{path}: no {kind}"));
    assert!(found.next().is_none(), "{path}: several {kind}");
    object
}

/// Whether these labels are all among those.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().unwrap();
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn port_names(object: &Value, pointer: &str) -> Vec<String> {
    let ports = object.pointer(pointer).unwrap().as_array().unwrap();
    ports.iter().map(|port| port["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_canary_is_a_release_of_the_deployment() {
    let deployment = one("demo/deployment.yaml", "Deployment");
    let wish = canary::read(&one("demo/canary.yaml", "Canary"), &Defaults::default()).unwrap();
    assert_eq!(wish.notes, Vec::<String>::new());
    assert_eq!(wish.name(), deployment["metadata"]["name"]);
    assert_eq!(wish.deployment["spec"]["selector"], deployment["spec"]["selector"]);
    assert!(wish.deployment["spec"].get("replicas").is_none(), "the number of copies is production's own");
    assert_eq!(deployment["spec"]["replicas"], 10);
    // Another release, of the same form.
    let container = |object: &Value| object.pointer("/spec/template/spec/containers/0").unwrap().clone();
    let (mut next, now) = (container(&wish.deployment), container(&deployment));
    assert!(next.as_object_mut().unwrap().remove("env").is_some());
    assert_eq!(next, now);
    let [Rule::HttpErrorRate(check)] = [&wish.checks[0].rule] else { panic!("{:?}", wish.checks) };
    let prometheus = Source::Prometheus { provider: None, selector: vec![], error_selector: None };
    assert_eq!((&check.source, check.threshold), (&prometheus, 1.0));
}

#[test]
fn traffic_and_scrapes_reach_the_pods() {
    let deployment = one("demo/deployment.yaml", "Deployment");
    let service = one("demo/deployment.yaml", "Service");
    let monitor = one("demo/servicemonitor.yaml", "ServiceMonitor");
    let labels = deployment.pointer("/spec/template/metadata/labels").unwrap();
    assert!(selects(&service["spec"]["selector"], labels));
    assert!(selects(&deployment["spec"]["selector"]["matchLabels"], labels));
    let containers = port_names(&deployment, "/spec/template/spec/containers/0/ports");
    let target = service.pointer("/spec/ports/0/targetPort").unwrap().as_str().unwrap();
    assert!(containers.iter().any(|name| name == target));
    assert!(selects(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"]));
    let port = monitor.pointer("/spec/endpoints/0/port").unwrap().as_str().unwrap();
    assert!(port_names(&service, "/spec/ports").iter().any(|name| name == port));
}

#[test]
fn prometheus_finds_what_the_service_monitor_would() {
    let map = one("demo/prometheus/prometheus.yaml", "ConfigMap");
    let config: Value = serde_saphyr::from_str(map["data"]["prometheus.yml"].as_str().unwrap()).unwrap();
    let scrape = &config["scrape_configs"][0];
    assert_eq!(scrape["kubernetes_sd_configs"][0]["role"], "endpointslice");
    assert_eq!(scrape["kubernetes_sd_configs"][0]["namespaces"]["own_namespace"], true);
    let labels: Vec<&str> =
        scrape["relabel_configs"].as_array().unwrap().iter().filter_map(|rule| rule["target_label"].as_str()).collect();
    // The checks find a pod's series by these two.
    assert!(labels.contains(&"pod") && labels.contains(&"namespace"), "{labels:?}");
    let service = one("demo/deployment.yaml", "Service");
    let (label, port) = (&service["metadata"]["labels"]["app"], service.pointer("/spec/ports/0/name").unwrap());
    let kept = format!("{};{}", label.as_str().unwrap(), port.as_str().unwrap());
    assert_eq!(scrape["relabel_configs"][0]["regex"], kept);
}

#[test]
fn whoever_runs_has_the_account_and_the_rights_it_names() {
    for (folder, workload) in [("demo/prometheus", "prometheus.yaml"), ("base", "operator.yaml")] {
        let rights = if folder == "base" { "operator.yaml" } else { "rbac.yaml" };
        let deployment = one(&format!("{folder}/{workload}"), "Deployment");
        let account = deployment.pointer("/spec/template/spec/serviceAccountName").unwrap();
        let rights = format!("{folder}/{rights}");
        assert_eq!(&one(&rights, "ServiceAccount")["metadata"]["name"], account);
        let binding = one(&rights, "RoleBinding");
        assert_eq!(&binding["subjects"][0]["name"], account);
        assert_eq!(binding["roleRef"]["name"], one(&rights, "Role")["metadata"]["name"]);
        let pods = deployment.pointer("/spec/template/metadata/labels").unwrap();
        assert!(selects(&one(&format!("{folder}/{workload}"), "Service")["spec"]["selector"], pods));
    }
}

#[test]
fn the_demos_operator_asks_the_demos_prometheus() {
    let kustomization = one("demo/operator/kustomization.yaml", "Kustomization");
    let patch: Value = serde_saphyr::from_str(kustomization["patches"][0]["patch"].as_str().unwrap()).unwrap();
    let service = one("demo/prometheus/prometheus.yaml", "Service");
    let (name, port) = (&service["metadata"]["name"], service.pointer("/spec/ports/0/port").unwrap());
    let flag = format!("--prometheus=default=http://{}:{port}", name.as_str().unwrap());
    assert_eq!(patch[0]["value"], flag);
    // The image that is renamed is the one that the base has.
    let base = one("base/operator.yaml", "Deployment");
    let image = base.pointer("/spec/template/spec/containers/0/image").unwrap().as_str().unwrap();
    assert!(image.starts_with(kustomization["images"][0]["name"].as_str().unwrap()));
}

#[test]
fn images_hold_one_static_program_and_run_as_nobody() {
    for program in ["operator", "killer", "demo-app"] {
        let text = std::fs::read_to_string(format!("{ROOT}/images/{program}.Containerfile")).unwrap();
        let (_, last) = text.split_once("\nFROM scratch\n").unwrap();
        assert!(text.contains(&format!("--package {program} --bin {program}")), "{program}");
        assert!(
            last.contains("USER 65532:65532") && last.contains(&format!("ENTRYPOINT [\"/{program}\"]")),
            "{program}"
        );
    }
}
