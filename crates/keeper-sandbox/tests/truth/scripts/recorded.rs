//! What our own programs asked of a sandbox, asked again: the requests of a demo with its three releases, in order.
//!
//! They are in `testdata/truth/recorded`, taken from a request log: those of the operator and the demo, and the node's
//! about the canary. Two things are changed, so that no controller writes beside them: the Deployment is paused and at
//! zero, and the Service has no selector. Before each write of the Deployment it is read until the controllers have seen it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::script::{JSON, JSON_PATCH, MERGE, METADATA_LIST, Script};

/// One request of a log, without what the script does not need.
#[derive(Deserialize)]
struct Recorded {
    verb: String,
    path: String,
    query: String,
    content_type: String,
    code: u16,
    body: Option<Value>,
}

pub(crate) fn demo() -> Script {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/truth/recorded/demo.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let mut replay = Replay::new("recorded-demo", "shop");
    for line in text.lines() {
        replay.ask(serde_json::from_str(line).unwrap());
    }
    replay.look_back();
    replay.script
}

/// A script in the making. What an earlier answer has is saved under the path of the object or list.
struct Replay {
    script: Script,
    namespace: &'static str,
    /// Kind and name to path.
    named: BTreeMap<(String, String), String>,
    /// The lists that were watched.
    watched: Vec<String>,
}

impl Replay {
    fn new(name: &str, namespace: &'static str) -> Self {
        Self { script: Script::new(name), namespace, named: BTreeMap::new(), watched: Vec::new() }
    }

    fn ask(&mut self, recorded: Recorded) {
        let Recorded { verb, path, query, content_type, code, body } = recorded;
        if path == "/api/v1/namespaces" {
            return;
        }
        let path = path.replace(&format!("/namespaces/{}/", self.namespace), "/namespaces/{ns}/");
        let (method, media) = match verb.as_str() {
            "create" => ("POST", JSON),
            "update" => ("PUT", JSON),
            "patch" if content_type == JSON_PATCH => ("PATCH", JSON_PATCH),
            "patch" => ("PATCH", MERGE),
            "delete" => ("DELETE", JSON),
            _ => ("GET", ""),
        };
        let object = path.trim_end_matches("/status").trim_end_matches("/binding").to_owned();
        let is_deployment = path.contains("/deployments/");
        if method == "PATCH" && is_deployment {
            self.script.get(&object).settled().save(&key(&object));
        }
        let mut body = body.unwrap_or_default();
        let object = match body.pointer("/metadata/name").and_then(Value::as_str) {
            Some(name) if verb == "create" && object == path => format!("{object}/{name}"),
            _ => object,
        };
        self.prepare(&mut body, &object, code);
        let query = self.query(&verb, &path, &query);
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let step = self.script.send(method, format!("{path}{query}"), media, text);
        match verb.as_str() {
            "watch" => step.events = Some(0),
            "get" if is_deployment => drop(step.settled()),
            _ => {}
        }
        if path.ends_with("/deploymentconfigs") {
            step.accept(METADATA_LIST);
        }
        let dry_run = query.contains("dryRun=All");
        if code < 300 && !dry_run && verb != "watch" && !path.ends_with("/binding") {
            step.save(&key(&object));
        }
    }

    fn query(&mut self, verb: &str, path: &str, query: &str) -> String {
        if query.is_empty() {
            return String::new();
        }
        let parts = query.split('&').map(|part| match part.strip_prefix("resourceVersion=") {
            Some(_) => format!("resourceVersion=${{{}:/metadata/resourceVersion}}", key(path)),
            None => part.to_owned(),
        });
        let query = format!("?{}", parts.collect::<Vec<_>>().join("&"));
        if verb == "watch" {
            self.watched.push(path.to_owned());
        }
        query
    }

    /// Puts what the answers of this run have in place of what the recorded ones had, and takes out what makes
    /// controllers write.
    fn prepare(&mut self, body: &mut Value, object: &str, code: u16) {
        if let (Some(kind), Some(name)) = (text(body, "/kind"), text(body, "/metadata/name")) {
            match kind.as_str() {
                "Deployment" => {
                    body["spec"]["paused"] = json!(true);
                    body["spec"]["replicas"] = json!(0);
                }
                "Service" => drop(body["spec"].as_object_mut().unwrap().remove("selector")),
                _ => {}
            }
            self.named.insert((kind, name), object.to_owned());
        }
        let of = |field: &str| json!(format!("${{{}:/metadata/{field}}}", key(object)));
        for (pointer, field) in [
            ("/metadata/uid", "uid"),
            ("/metadata/resourceVersion", "resourceVersion"),
            ("/preconditions/uid", "uid"),
            ("/preconditions/resourceVersion", "resourceVersion"),
        ] {
            // A version that was refused was an old one; any version of that run is.
            if let Some(value) = body.pointer_mut(pointer).filter(|_| code != 409) {
                *value = of(field);
            }
        }
        for operation in body.as_array_mut().into_iter().flatten() {
            match text(operation, "/path").as_deref() {
                Some("/metadata/uid") => operation["value"] = of("uid"),
                Some("/metadata/resourceVersion") if code != 409 => operation["value"] = of("resourceVersion"),
                _ => {}
            }
        }
        self.refer(body);
    }

    /// References to other objects, and their namespace.
    fn refer(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                if map.get("namespace") == Some(&json!(self.namespace)) {
                    map.insert("namespace".into(), json!("{ns}"));
                }
                let part = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                let referred = self.named.get(&(part("kind"), part("name")));
                if let (Some(path), true) = (referred, map.contains_key("uid")) {
                    map.insert("uid".into(), json!(format!("${{{}:/metadata/uid}}", key(path))));
                }
                map.values_mut().for_each(|value| self.refer(value));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.refer(item)),
            _ => {}
        }
    }

    /// Everything that the operator's watches of what it alone writes have shown it, from the first list on.
    fn look_back(&mut self) {
        for path in std::mem::take(&mut self.watched) {
            if ["/pods", "/configmaps"].iter().any(|kind| path.ends_with(kind)) {
                let from = format!("${{{}:/metadata/resourceVersion}}", key(&path));
                let path = format!("{path}?watch=true&timeoutSeconds=2&resourceVersion={from}");
                self.script.watch(path, usize::MAX);
            }
        }
    }
}

/// Under what an answer about this path is saved.
fn key(path: &str) -> String {
    path.replace("{ns}", "ns")
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}
