//! A state as it is kept and compared: what a server or the moment invents is a symbol or gone, lists without order are sorted.

use serde_json::{Map, Value, json};

use super::cluster::Cluster;
use super::kinds::Kind;

/// Hashes and uids with their symbols; a script keeps them, since a status may name one whose object is gone.
pub(crate) type Known = Vec<(String, String)>;

/// All objects seen, by plural.
pub(crate) fn normalise(seen: &[(Kind, Vec<Value>)], cluster: &Cluster, known: &mut Known) -> Value {
    let mut symbols = Symbols::of(seen, known);
    symbols.add(&cluster.namespace, "{ns}");
    symbols.add(&cluster.node, "{node}");
    let mut state = Map::new();
    for (kind, objects) in seen {
        let mut objects: Vec<Value> = objects.iter().map(|object| symbols.text_of(essence(*kind, object))).collect();
        objects.iter_mut().for_each(sort);
        objects.sort_by_key(Value::to_string);
        state.insert(kind.plural.to_owned(), gathered(objects));
    }
    Value::Object(state)
}

/// Equal objects are counted.
fn gathered(objects: Vec<Value>) -> Value {
    let mut groups: Vec<(Value, usize)> = Vec::new();
    for object in objects {
        match groups.last_mut() {
            Some((last, count)) if *last == object => *count += 1,
            _ => groups.push((object, 1)),
        }
    }
    let shown = |(object, count): (Value, usize)| match count {
        1 => object,
        count => json!({ "count": count, "of": object }),
    };
    groups.into_iter().map(shown).collect()
}

/// What is compared of an object: what controllers write, and what their writes depend on.
fn essence(kind: Kind, object: &Value) -> Value {
    let mut metadata = object["metadata"].clone();
    for field in ["uid", "resourceVersion", "managedFields", "creationTimestamp", "selfLink"] {
        metadata.as_object_mut().unwrap().remove(field);
    }
    // How often an object was written is up to the moment; whether its controller has seen the last write is not.
    let generation = metadata.as_object_mut().unwrap().remove("generation");
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        // Left out by the sandbox.
        annotations.remove("endpoints.kubernetes.io/last-change-trigger-time");
    }
    if metadata.get("annotations").is_some_and(|annotations| annotations == &json!({})) {
        metadata.as_object_mut().unwrap().remove("annotations");
    }
    let mut essence = json!({ "metadata": metadata });
    let of = |pointer: &str| object.pointer(pointer).cloned();
    match kind.plural {
        "pods" => {
            essence["image"] = of("/spec/containers/0/image").into();
            for field in ["nodeName", "hostname", "subdomain"] {
                if let Some(value) = object["spec"].get(field) {
                    essence[field] = value.clone();
                }
            }
            essence["phase"] = of("/status/phase").into();
            essence["ready"] = json!(super::kubelet::is_ready(object));
        }
        "configmaps" => {}
        "endpointslices" => {
            for field in ["addressType", "ports", "endpoints"] {
                essence[field] = object.get(field).cloned().into();
            }
        }
        _ => {
            essence["status"] = of("/status").into();
            for field in ["replicas", "selector", "minReadySeconds", "parallelism"] {
                if let Some(value) = object["spec"].get(field) {
                    essence["spec"][field] = value.clone();
                }
            }
            seen(&mut essence["status"], generation.as_ref());
            for condition in essence["status"].get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten()
            {
                seen(condition, generation.as_ref());
            }
            if let Some(image) = of("/spec/template/spec/containers/0/image") {
                essence["spec"]["image"] = image;
                essence["spec"]["template"] = of("/spec/template/metadata").into();
            }
        }
    }
    essence
}

/// Instead of the number: whether it is the latest.
fn seen(status: &mut Value, generation: Option<&Value>) {
    if let Some(observed) = status.as_object_mut().and_then(|status| status.get_mut("observedGeneration")) {
        *observed = if Some(&*observed) == generation { json!("latest") } else { json!("older") };
    }
}

/// Conditions, endpoints and the like have no order.
fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            if items.iter().all(Value::is_object) {
                items.sort_by_key(Value::to_string);
            }
        }
        Value::Object(map) => map.values_mut().for_each(sort),
        _ => {}
    }
}

/// What stands for what a server invented; the longest first.
#[derive(Default)]
struct Symbols(Vec<(String, String)>);

impl Symbols {
    fn of(seen: &[(Kind, Vec<Value>)], known: &mut Known) -> Self {
        let objects = || seen.iter().flat_map(|(kind, objects)| objects.iter().map(move |object| (kind, object)));
        objects().for_each(|(_, object)| note_hashes(object, known));
        let mut symbols = Self::default();
        known.iter().for_each(|(what, symbol)| symbols.add(what, symbol));
        objects().for_each(|(_, object)| symbols.completed(object));
        for (kind, object) in objects() {
            let name = symbols.fill(object["metadata"]["name"].as_str().unwrap_or_default());
            symbols
                .add(object["metadata"]["uid"].as_str().unwrap_or_default(), &format!("<uid of {} {name}>", kind.kind));
        }
        symbols
    }

    /// A name that the server completed is named after its beginning.
    fn completed(&mut self, object: &Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (prefix, name) = (text("/metadata/generateName"), text("/metadata/name"));
        if !prefix.is_empty() {
            self.add(name, &format!("{prefix}<five>"));
        }
    }

    fn add(&mut self, what: &str, symbol: &str) {
        if !what.is_empty() {
            self.0.push((what.to_owned(), symbol.to_owned()));
            self.0.sort_by_key(|(what, _)| std::cmp::Reverse(what.len()));
        }
    }

    fn fill(&self, text: &str) -> String {
        if is_time(text) {
            return "<time>".into();
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return "<address>".into();
        }
        if is_uid(text) && !self.0.iter().any(|(known, _)| known == text) {
            return "<uid>".into();
        }
        // A symbol may hold what another one stands for: names hold hashes.
        let mut text = text.to_owned();
        for _ in 0..2 {
            for (what, symbol) in &self.0 {
                text = text.replace(what, symbol);
            }
        }
        text
    }

    fn text_of(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.text_of(item)).collect(),
            Value::Object(map) => {
                map.into_iter().map(|(key, value)| (self.fill(&key), self.text_of(value))).collect::<Map<_, _>>().into()
            }
            other => other,
        }
    }
}

/// A hash is named after the image and the restart annotation that went into it.
fn note_hashes(object: &Value, known: &mut Known) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let template = if object.pointer("/spec/template").is_some() { "/spec/template" } else { "" };
    let image = text(&format!("{template}/spec/containers/0/image"));
    let tag = image.rsplit(':').next().unwrap_or_default();
    let restarted = text(&format!("{template}/metadata/annotations/restarted"));
    for place in
        ["/metadata/labels/pod-template-hash", "/metadata/labels/controller-revision-hash", "/status/updateRevision"]
    {
        let hash = text(place).rsplit('-').next().unwrap_or_default();
        if !hash.is_empty() && !known.iter().any(|(known, _)| known == hash) {
            known.push((hash.to_owned(), format!("<hash {tag}{restarted}>")));
        }
    }
}

fn is_uid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn is_time(text: &str) -> bool {
    text.len() >= 20 && text.starts_with("20") && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T')
}
