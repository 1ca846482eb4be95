//! What no good client sends.

use serde_json::json;

use super::super::script::{JSON, JSON_PATCH, MERGE, STRATEGIC, Script, TABLE};
use super::core;

pub(crate) fn bodies() -> Script {
    let mut script = Script::new("garbage-bodies");
    script.post(core("configmaps"), json!({ "metadata": { "name": "a" } }));
    for body in [
        "",
        "{",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{}",
        "{\"metadata\":[]}",
        "{\"kind\":1}",
        "{\"a\":1,\"a\":2}",
        "{} x",
        "\u{0}",
    ] {
        script.send("POST", core("configmaps"), JSON, body);
        script.send("PUT", core("configmaps/a"), JSON, body);
    }
    for body in ["", ":", "- a", "a: [", "\t", "metadata:\n  name: [", "--- \n---\n", "metadata: &a\n  name: *b"] {
        script.send("POST", core("configmaps"), "application/yaml", body);
    }
    for (media, body) in [
        ("application/vnd.kubernetes.protobuf", ""),
        ("application/vnd.kubernetes.protobuf", "nonsense"),
        ("application/vnd.kubernetes.protobuf", "k8s\u{0}"),
        ("application/vnd.kubernetes.protobuf", "k8s\u{0}\u{0a}\u{7f}"),
        ("text/plain", "{}"),
        ("text/html", "{}"),
        ("nonsense", "{}"),
        ("/", "{}"),
        ("application/json; charset=utf-8", "{}"),
        ("application/json;;", "{}"),
        ("APPLICATION/JSON", "{}"),
        ("application/xml", "<a/>"),
        ("*/*", "{}"),
    ] {
        script.send("POST", core("configmaps"), media, body);
    }
    let deep = format!("{{\"metadata\":{{\"name\":\"deep\"}},\"x\":{}{}}}", "[".repeat(9000), "]".repeat(9000));
    script.send("POST", core("configmaps?dryRun=All"), JSON, deep);
    let large = format!("{{\"metadata\":{{\"name\":\"large\"}},\"data\":{{\"k\":\"{}\"}}}}", "v".repeat(4 << 20));
    for (method, path, media) in [
        ("POST", "configmaps", JSON),
        ("PUT", "configmaps/a", JSON),
        ("PATCH", "configmaps/a", MERGE),
        ("PATCH", "configmaps/a", STRATEGIC),
        ("PATCH", "configmaps/a", JSON_PATCH),
        ("DELETE", "configmaps/a", JSON),
    ] {
        script.send(method, core(path), media, large.clone());
    }
    script
}

pub(crate) fn paths() -> Script {
    let mut script = Script::new("garbage-paths");
    for path in [
        "/nonsense",
        "/api/nonsense",
        "/api/v1/nonsense",
        "/api/v2/pods",
        "/apis/nonsense",
        "/apis/nonsense/v1",
        "/apis/apps/v9/deployments",
        "/apis/apps/v1/nonsense",
        "/api/v1/namespaces/{ns}/nonsense",
        "/api/v1/namespaces/{ns}/nonsense/x",
        "/api/v1/namespaces/{ns}/pods/x/y/z",
        "/api/v1/namespaces/{ns}/nodes",
        "/api/v1/namespaces/{ns}/nodes/x",
        "/api/v1/pods/x",
        "/api/v1/nodes/x/nonsense",
        "/apis/apps/v1/namespaces/{ns}/pods",
        "/api/v1/namespaces/{ns}/Pods",
        "/api/v1/namespaces/{ns}/pod",
        "/api/v1/namespaces/{ns}/pods/",
        "/api/v1/namespaces/{ns}/pods/%2E%2E",
        "/api/v1/namespaces/{ns}/pods/a%2Fb",
        "/api/v1/namespaces/{ns}/pods/%00",
        "/api/v1/namespaces/{ns}/pods/A%20B",
        "/api/v1/namespaces/Not%20A%20Name/pods",
        "/healthz",
        "/livez",
        "/readyz",
        "/healthz/nonsense",
    ] {
        script.get(path);
        if path.contains("nonsense") {
            script.post(path, json!({}));
            script.delete(path, json!(null));
        }
    }
    let long = "n".repeat(300);
    script.get(core(&format!("pods/{long}")));
    script.get(core(&format!("{long}/x")));
    script.get(format!("/api/v1/namespaces/{long}/pods"));
    script.delete(core(&format!("pods/{long}")), json!(null));
    script.patch(core(&format!("pods/{long}")), MERGE, json!({}));
    for method in ["TRACE", "NONSENSE", "CONNECT2"] {
        script.send(method, core("configmaps"), "", "");
    }
    script.send("OPTIONS", core("configmaps"), "", "");
    script.send("HEAD", "/api/v1/namespaces/{ns}", "", "");
    script.send("HEAD", core("pods/none"), "", "");
    script
}

pub(crate) fn queries() -> Script {
    let mut script = Script::new("garbage-queries");
    script.post(core("secrets"), json!({ "metadata": { "name": "a" } }));
    for query in [
        "pretty=true",
        "nonsense=1",
        "fieldValidation=Nonsense",
        "fieldManager=%00",
        "timeout=nonsense",
        "timeout=1s",
        "limit=9999999999999999999999",
        "watch",
        "resourceVersion=%00",
        "resourceVersion=1.5",
        "=",
        "&&",
        "%zz",
        "allowWatchBookmarks=nonsense",
        "dryRun=Nonsense",
        "exact=true",
    ] {
        script.get(core(&format!("secrets/a?{query}")));
    }
    for query in [
        "fieldValidation=Nonsense",
        "fieldValidation=Strict",
        "fieldValidation=Warn",
        "fieldValidation=Ignore",
        "fieldManager=m",
        "dryRun=",
        "dryRun=All&dryRun=All",
        "dryRun=all",
    ] {
        script.post(core(&format!("secrets?{query}")), json!({ "metadata": { "name": "q", "generateName": "x" } }));
        script.delete(core("secrets/q"), json!(null));
    }
    let long = "m".repeat(200);
    script.post(core(&format!("secrets?dryRun=All&fieldManager={long}")), json!({ "metadata": { "name": "q" } }));
    for accept in [
        "",
        "*/*",
        "application/*",
        "text/plain",
        "text/html",
        "nonsense",
        "application/json;as=Table",
        "application/json;as=Nonsense;v=v1;g=meta.k8s.io",
        "application/json;as=Table;v=v9;g=meta.k8s.io",
        "application/json;as=Table;v=v1;g=nonsense",
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        "application/nonsense,application/json",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        "application/json;q=0.5,*/*;q=0.1",
        "application/json;stream=watch",
    ] {
        script.get(core("secrets/a")).accept(accept);
    }
    script.get(core("secrets?includeObject=None")).accept(TABLE);
    script.get(core("secrets?includeObject=Object")).accept(TABLE);
    script.get(core("secrets?includeObject=Nonsense")).accept(TABLE);
    script
}
