//! Where the sandbox may differ, by name. Nothing else may.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::script::Step;

/// A difference that is meant.
pub(crate) struct Exception {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    /// Takes what differs out of both answers.
    apply: fn(&Step, &mut u16, &mut Value),
}

/// All of them.
pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        name: "managedFields",
        reason: "field management belongs to server-side apply, which is left out",
        apply: |_, _, body| everywhere(body, &mut |map| drop(map.remove("managedFields"))),
    },
    Exception {
        name: "storageVersionHash",
        reason: "tells clients of storage migration which encoding is stored; here is none",
        apply: |_, _, body| everywhere(body, &mut |map| drop(map.remove("storageVersionHash"))),
    },
    Exception {
        name: "what admission adds",
        reason: "admission is left out: a claim's protection and a new node's taint need their controllers to go again",
        apply: |step, _, body| {
            let mark = match step.path.as_str() {
                path if path.contains("/persistentvolumeclaims") => ("finalizers", "kubernetes.io/pvc-protection"),
                path if path.contains("/nodes") => ("taints", "node.kubernetes.io/not-ready"),
                _ => return,
            };
            everywhere(body, &mut |map| without(map, mark));
        },
    },
    Exception {
        name: "column descriptions",
        reason: "the long texts of a table's columns; kubectl shows none of them",
        apply: |_, _, body| {
            everywhere(body, &mut |map| {
                for column in map.get_mut("columnDefinitions").and_then(Value::as_array_mut).into_iter().flatten() {
                    drop(column.as_object_mut().and_then(|column| column.remove("description")));
                }
            });
        },
    },
    Exception {
        name: "conditions of Deployments",
        reason: "the controllers' work: tests/controllers holds it against the real controllers",
        apply: |step, _, body| {
            if step.path.contains("/deployments") {
                everywhere(body, &mut |map| drop(map.remove("conditions")));
            }
        },
    },
    Exception {
        name: "versions of what controllers write",
        reason: "how often a Deployment, ReplicaSet or budget is written is up to the controllers and the moment",
        apply: |step, _, body| {
            if ["/deployments", "/replicasets", "/poddisruptionbudgets"].iter().any(|kind| step.path.contains(kind)) {
                everywhere(body, &mut |map| {
                    if map.get("resourceVersion").and_then(Value::as_str).is_some_and(|version| !version.is_empty()) {
                        map.insert("resourceVersion".into(), json!("<version>"));
                    }
                });
            }
        },
    },
    Exception {
        name: "wording of selector faults",
        reason: "which token the real parser expected next; code and reason are compared",
        apply: |step, code, body| {
            if *code == 400 && (step.path.contains("labelSelector=") || step.path.contains("fieldSelector=")) {
                body["message"] = json!("...");
            }
        },
    },
    Exception {
        name: "what a pod update may not change",
        reason: "the real server shows the two specs as Go prints them",
        apply: |_, code, body| {
            if *code == 422 {
                texts(body, &mut |text| cut(text, "(allow it to be set to 1 if it was previously negative)"));
            }
        },
    },
    Exception {
        name: "wording of a patch whose outcome has the wrong types",
        reason: "the real server shows the whole patch or object as Go prints it; code and reason are compared",
        apply: |_, code, body| {
            let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
            if *code == 422 && message.contains("is invalid: patch: Invalid value") {
                body["message"] = json!("...");
                body["details"] = json!("...");
            }
        },
    },
    Exception {
        name: "wording of decoding faults",
        reason: "what Go's and Rust's decoders say of a body that has the wrong types; code and reason are compared",
        apply: |_, code, body| {
            let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
            let cut = [
                "cannot be handled as a",
                "couldn't get version/kind; json parse error",
                "continue key is not valid",
                "error decoding patch",
                "yaml: ",
            ]
            .iter()
            .find_map(|mark| message.find(mark).map(|at| at + mark.len()));
            if let (400, Some(at)) = (*code, cut) {
                body["message"] = json!(format!("{} ...", &message[..at]));
            }
        },
    },
    Exception {
        name: "bodies that nest deeper than 128 levels",
        reason: "the sandbox refuses them with 400, so that no body uses up its stack; the real server's limit is 10,000",
        apply: |step, code, body| {
            if depth(&step.body) > DEPTH {
                nothing(code, body);
            }
        },
    },
    Exception {
        name: "the versions of a definition in a message",
        reason: "the real server shows its own types' fields; field, code and reason are compared",
        apply: |step, _, body| {
            if step.path.contains("/customresourcedefinitions") {
                texts(body, &mut |text| {
                    let (from, to) = (text.find("Invalid value: [{"), text.find("}]: must have exactly one version"));
                    if let (Some(from), Some(to)) = (from, to) {
                        text.replace_range(from..to + 2, "Invalid value: ...");
                    }
                });
            }
        },
    },
    Exception {
        name: "server-side apply",
        reason: "left out: the sandbox answers 415 and says so",
        apply: |step, code, body| {
            if step.media.contains("apply-patch+") && step.media != "application/apply-patch+json" {
                nothing(code, body);
            }
            texts(body, &mut |text| *text = text.replace(", application/apply-patch+yaml", ""));
        },
    },
    Exception {
        name: "access control and admission",
        reason: "left out: the sandbox answers 501 and says so",
        apply: |step, code, body| {
            let groups = [
                "/apis/authorization.k8s.io/",
                "/apis/rbac.authorization.k8s.io/v1/cluster",
                "/apis/admissionregistration.",
            ];
            if groups.iter().any(|group| step.path.starts_with(group)) {
                nothing(code, body);
            }
        },
    },
    Exception {
        name: "answers in YAML, protobuf and CBOR",
        reason: "left out: the sandbox answers 406 to who takes no JSON",
        apply: |step, code, body| {
            let others = ["application/yaml", "application/vnd.kubernetes.protobuf", "application/cbor"];
            if others.contains(&step.accept) {
                nothing(code, body);
            }
        },
    },
];

/// Takes out a whole answer.
fn nothing(code: &mut u16, body: &mut Value) {
    *code = 0;
    *body = json!("...");
}

/// What the sandbox's JSON reader takes.
const DEPTH: usize = 128;

/// How deep brackets are open at once in a body.
fn depth(body: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for b in body.bytes() {
        match b {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// Takes out what is excepted. What was excepted already stays as it is.
pub(crate) fn apply(step: &Step, code: &mut u16, body: &mut Value) {
    for exception in EXCEPTIONS {
        (exception.apply)(step, code, body);
    }
}

/// `warning` headers: deprecations, and unknown fields, whose detection is left out.
pub(crate) fn headers(headers: &mut BTreeMap<String, String>) {
    headers.remove("warning");
}

/// Takes an item out of a list, and the list when nothing is left in it.
fn without(map: &mut serde_json::Map<String, Value>, (list, item): (&str, &str)) {
    let Some(items) = map.get_mut(list).and_then(Value::as_array_mut) else { return };
    items.retain(|known| known != item && known["key"] != item);
    if items.is_empty() {
        map.remove(list);
    }
}

/// Cuts a text behind a mark.
fn cut(text: &mut String, mark: &str) {
    if let Some(at) = text.find(mark) {
        text.truncate(at + mark.len());
    }
}

fn texts(value: &mut Value, act: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, act)),
        Value::Object(map) => map.values_mut().for_each(|value| texts(value, act)),
        Value::String(text) => act(text),
        _ => {}
    }
}

fn everywhere(value: &mut Value, act: &mut dyn FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| everywhere(item, act)),
        Value::Object(map) => {
            act(map);
            map.values_mut().for_each(|value| everywhere(value, act));
        }
        _ => {}
    }
}
