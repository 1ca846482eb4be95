//! `spec.deploymentTemplate`: a whole Deployment, with or without its apiVersion and kind.

use crate::invalid::{Invalid, list, quote};
use crate::{keys, yaml};
use serde_json::{Map, Value, json};

const ROOT: &str = "spec.deploymentTemplate";

/// The Deployment that is meant, and notes on what was passed over.
pub(super) fn read(template: Option<&Value>, namespace: &str) -> Result<(Value, Vec<String>), Invalid> {
    let fix = "write the Deployment that is wanted after success";
    let written = match template {
        None => return Err(invalid("", "is missing", fix)),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(invalid("", format!("is {} and not a mapping", yaml::kind_of(other)), fix)),
    };
    is(written, "apiVersion", "apps/v1")?;
    is(written, "kind", "Deployment")?;
    let metadata = metadata(written, namespace)?;
    let spec = object(written.get("spec"), ".spec", "write the Deployment's spec")?;
    let labels = pod_labels(spec)?;
    selector(spec, labels)?;
    containers(spec)?;
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec });
    Ok((deployment, notes(written)))
}

fn invalid(path: &str, problem: impl Into<String>, fix: impl Into<String>) -> Invalid {
    Invalid { field: format!("{ROOT}{path}"), problem: problem.into(), fix: fix.into() }
}

fn object<'a>(value: Option<&'a Value>, path: &str, fix: &str) -> Result<&'a Map<String, Value>, Invalid> {
    match value {
        Some(Value::Object(map)) => Ok(map),
        None | Some(Value::Null) => Err(invalid(path, "is missing", fix)),
        Some(other) => Err(invalid(path, format!("is {} and not a mapping", yaml::kind_of(other)), fix)),
    }
}

fn is(written: &Map<String, Value>, key: &str, only: &str) -> Result<(), Invalid> {
    match written.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(text)) if text == only => Ok(()),
        Some(other) => {
            let problem = format!("is {}", other.as_str().map_or_else(|| yaml::kind_of(other).into(), quote));
            Err(invalid(&format!(".{key}"), problem, format!("write {only}, or leave it out")))
        }
    }
}

/// Name, namespace, labels and annotations; what servers and other controllers write there is not the owner's wish.
fn metadata(written: &Map<String, Value>, namespace: &str) -> Result<Value, Invalid> {
    let metadata = object(written.get("metadata"), ".metadata", "write metadata.name, the production Deployment's")?;
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    if !is_object_name(name) {
        let problem =
            if name.is_empty() { "is missing".into() } else { format!("{} is no object's name", quote(name)) };
        let fix = "write the production Deployment's name, of at most 246 lower-case letters, digits, - and .";
        return Err(invalid(".metadata.name", problem, fix));
    }
    match metadata.get("namespace") {
        None | Some(Value::Null) => {}
        Some(other) if other == namespace || other == "" => {}
        Some(_) => {
            let problem = format!("is another one than the Canary's, {}", quote(namespace));
            return Err(invalid(".metadata.namespace", problem, "leave it out: a Canary acts in its own namespace"));
        }
    }
    let mut kept = Map::from_iter([("name".into(), name.into()), ("namespace".into(), namespace.into())]);
    for key in ["labels", "annotations"] {
        let map = texts(metadata.get(key), &format!(".metadata.{key}"))?;
        let theirs: Map<String, Value> =
            map.into_iter().flatten().filter(|(key, _)| !key.starts_with(keys::PREFIX)).map(cloned).collect();
        if !theirs.is_empty() {
            kept.insert(key.into(), theirs.into());
        }
    }
    if kept.get("labels").and_then(|labels| labels.get(keys::CANARY_LABEL)).is_some_and(|value| value == "true") {
        let problem = "opts the Deployment into annotation mode, and two would bring out its releases";
        return Err(invalid(".metadata.labels.canary", problem, "remove the label"));
    }
    Ok(Value::Object(kept))
}

fn cloned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// Short enough that `-canary` can be added.
fn is_object_name(name: &str) -> bool {
    let part = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().last())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 246 && name.split('.').all(part)
}

/// A mapping of texts, if there is one.
fn texts<'a>(value: Option<&'a Value>, path: &str) -> Result<Option<&'a Map<String, Value>>, Invalid> {
    let map = match value {
        None | Some(Value::Null) => return Ok(None),
        value => object(value, path, "write key: value")?,
    };
    match map.iter().find(|(_, value)| !value.is_string()) {
        None => Ok(Some(map)),
        Some((key, value)) => {
            let path = format!("{path}.{}", list([key.as_str()]));
            Err(invalid(&path, format!("is {} and not a text", yaml::kind_of(value)), "put the value in quotes"))
        }
    }
}

fn pod_labels(spec: &Map<String, Value>) -> Result<&Map<String, Value>, Invalid> {
    const PATH: &str = ".spec.template.metadata.labels";
    let labels = spec.get("template").and_then(|template| template.pointer("/metadata/labels"));
    let fix = "give the pods the labels that the selector and the Service ask for";
    match texts(labels, PATH)? {
        Some(labels) if !labels.is_empty() => Ok(labels),
        _ => Err(invalid(PATH, "is missing", fix)),
    }
}

fn selector(spec: &Map<String, Value>, labels: &Map<String, Value>) -> Result<(), Invalid> {
    const PATH: &str = ".spec.selector";
    let fix = "write the production Deployment's selector; it can't be changed later";
    let selector = object(spec.get("selector"), PATH, fix)?;
    let wanted = texts(selector.get("matchLabels"), ".spec.selector.matchLabels")?;
    if let Some((key, value)) = wanted.into_iter().flatten().find(|(key, value)| labels.get(*key) != Some(*value)) {
        let value = value.as_str().unwrap_or_default();
        let problem = format!("asks for {}, which the template's labels don't have", quote(&format!("{key}={value}")));
        let fix = format!("add it to {ROOT}.spec.template.metadata.labels");
        return Err(invalid(".spec.selector.matchLabels", problem, fix));
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if let Some(at) = expressions.iter().position(|expression| !fits(expression, labels)) {
        let fix = format!("change it, or {ROOT}.spec.template.metadata.labels");
        let path = format!(".spec.selector.matchExpressions[{at}]");
        return Err(invalid(&path, "doesn't fit the template's labels", fix));
    }
    if wanted.is_none_or(Map::is_empty) && expressions.is_empty() {
        return Err(invalid(PATH, "selects every pod of the namespace", fix));
    }
    Ok(())
}

/// Whether these labels fit one expression; one that can't be read fits nothing.
fn fits(expression: &Value, labels: &Map<String, Value>) -> bool {
    let Some(key) = expression.get("key").and_then(Value::as_str) else { return false };
    let label = labels.get(key);
    let among = || {
        let values = expression.get("values").and_then(Value::as_array);
        values.is_some_and(|values| label.is_some_and(|label| values.contains(label)))
    };
    match expression.get("operator").and_then(Value::as_str) {
        Some("In") => among(),
        Some("NotIn") => !among(),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        _ => false,
    }
}

fn containers(spec: &Map<String, Value>) -> Result<(), Invalid> {
    const PATH: &str = ".spec.template.spec.containers";
    let pod = spec.get("template").and_then(|template| template.get("spec"));
    let containers = pod.and_then(|pod| pod.get("containers")).and_then(Value::as_array);
    let Some(containers) = containers.filter(|containers| !containers.is_empty()) else {
        return Err(invalid(PATH, "is missing", "write at least one container with name and image"));
    };
    let lacks = |key: &str| {
        let text = |container: &Value| container.get(key).and_then(Value::as_str).is_none_or(str::is_empty);
        containers.iter().position(text).map(|at| format!("{PATH}[{at}].{key}"))
    };
    match lacks("name").or_else(|| lacks("image")) {
        None => Ok(()),
        Some(path) => Err(invalid(&path, "is missing", "a container needs a name and an image")),
    }
}

fn notes(written: &Map<String, Value>) -> Vec<String> {
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    let stray: Vec<&str> = written.keys().map(String::as_str).filter(|key| !known.contains(key)).collect();
    if stray.is_empty() {
        return vec![];
    }
    vec![format!(
        "{ROOT}: {} has no meaning beside metadata and is passed over; fields of a Deployment stand below spec",
        list(stray)
    )]
}
