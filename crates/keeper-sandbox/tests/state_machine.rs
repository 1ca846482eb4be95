//! Random requests against the API server, and after each what must hold whatever was asked.
//!
//! Versions strictly grow; a write that changes nothing keeps its version; the generation moves with the spec (for
//! Deployments also with the annotations) and with nothing else; a stale version always conflicts; a refused request and a
//! dry-run change nothing; lists are what was written; selectors agree with a naive evaluation; the watch tells exactly the
//! differences between the lists.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

mod api_support;

use std::collections::{BTreeMap, BTreeSet};

use api_support::{Answer, Api, MERGE, deployment};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

/// Two kinds with different rules for the generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    ConfigMap,
    Deployment,
}

const KINDS: [Kind; 2] = [Kind::ConfigMap, Kind::Deployment];
const NAMES: [&str; 3] = ["a", "b", "c"];
const SELECTORS: [&str; 8] = ["l0=0", "l0!=0", "l0", "!l0", "l1 in (0,1)", "l1 notin (1)", "l0=1,l1", "!l0,l1!=0"];

/// What a request changes: at most two labels, an annotation and the content.
#[derive(Debug, Clone, Copy)]
struct Content {
    labels: [Option<u8>; 2],
    annotation: Option<u8>,
    spec: u8,
}

#[derive(Debug, Clone, Copy)]
enum Version {
    None,
    Current,
    Stale,
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Create(Content),
    Put(Content, Version),
    Patch(Content, Version),
    /// A patch with nothing in it.
    Nothing,
    Hold(bool),
    Delete {
        right: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Request {
    kind: Kind,
    name: usize,
    dry: bool,
    verb: Verb,
}

fn content() -> impl Strategy<Value = Content> {
    (prop::array::uniform2(prop::option::of(0..3_u8)), prop::option::of(0..2_u8), 0..3_u8)
        .prop_map(|(labels, annotation, spec)| Content { labels, annotation, spec })
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::None), Just(Version::Current), Just(Version::Stale)]
}

fn request() -> impl Strategy<Value = Request> {
    let verb = prop_oneof![
        4 => content().prop_map(Verb::Create),
        3 => (content(), version()).prop_map(|(content, version)| Verb::Put(content, version)),
        3 => (content(), version()).prop_map(|(content, version)| Verb::Patch(content, version)),
        1 => Just(Verb::Nothing),
        1 => any::<bool>().prop_map(Verb::Hold),
        2 => prop::bool::weighted(0.8).prop_map(|right| Verb::Delete { right }),
    ];
    let kind = prop_oneof![Just(Kind::ConfigMap), Just(Kind::Deployment)];
    (kind, 0..NAMES.len(), prop::bool::weighted(0.2), verb).prop_map(|(kind, name, dry, verb)| Request {
        kind,
        name,
        dry,
        verb,
    })
}

impl Content {
    fn metadata(&self, name: &str) -> Value {
        let labels: BTreeMap<String, String> = self
            .labels
            .iter()
            .enumerate()
            .filter_map(|(i, v)| Some((format!("l{i}"), v.as_ref()?.to_string())))
            .collect();
        let annotations: BTreeMap<&str, String> =
            self.annotation.iter().map(|value| ("example.com/a", value.to_string())).collect();
        json!({ "name": name, "labels": labels, "annotations": annotations })
    }

    fn object(&self, kind: Kind, name: &str) -> Value {
        let mut object = match kind {
            Kind::ConfigMap => json!({ "data": { "k": self.spec.to_string() } }),
            Kind::Deployment => deployment(),
        };
        if kind == Kind::Deployment {
            object["spec"]["replicas"] = json!(self.spec);
        }
        object["metadata"] = self.metadata(name);
        object
    }

    /// As a merge patch, which takes out what is not there.
    fn patch(&self, kind: Kind) -> Value {
        let labels =
            json!({ "l0": self.labels[0].map(|v| v.to_string()), "l1": self.labels[1].map(|v| v.to_string()) });
        let annotations = json!({ "example.com/a": self.annotation.map(|v| v.to_string()) });
        let mut patch = json!({ "metadata": { "labels": labels, "annotations": annotations } });
        match kind {
            Kind::ConfigMap => patch["data"] = json!({ "k": self.spec.to_string() }),
            Kind::Deployment => patch["spec"] = json!({ "replicas": self.spec }),
        }
        patch
    }
}

/// What the server must hold, learnt from its answers, and what its watches must tell.
struct Model {
    api: Api,
    objects: BTreeMap<(Kind, &'static str), Value>,
    events: BTreeMap<Kind, Vec<(&'static str, String, u64)>>,
    newest: u64,
    start: String,
}

fn number(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

fn without_version(object: &Value) -> Value {
    let mut rest = object.clone();
    rest["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    rest
}

impl Model {
    async fn new() -> Self {
        let api = Api::sandbox().await;
        let list = api.get(&api.core("configmaps")).await.expect(200);
        let start = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        Self { api, objects: BTreeMap::new(), events: BTreeMap::new(), newest: start.parse().unwrap(), start }
    }

    fn collection(&self, kind: Kind) -> String {
        match kind {
            Kind::ConfigMap => self.api.core("configmaps"),
            Kind::Deployment => self.api.apps("deployments"),
        }
    }

    /// Asks, and checks the answer against what was there.
    async fn step(&mut self, request: &Request) -> Result<(), TestCaseError> {
        let Request { kind, dry, .. } = *request;
        let name = NAMES[request.name];
        let old = self.objects.get(&(kind, name)).cloned();
        let answer = self.send(request, old.as_ref()).await;
        let expected = expected_code(request, old.as_ref());
        prop_assert_eq!(answer.code, expected, "{:?} on {:?}: {:#}", request, old, answer.body);
        if answer.code < 300 && !dry {
            self.learn(request, name, old, answer.body)?;
        }
        self.lists().await
    }

    async fn send(&self, request: &Request, old: Option<&Value>) -> Answer {
        let name = NAMES[request.name];
        let collection = self.collection(request.kind);
        let query = if request.dry { "?dryRun=All" } else { "" };
        let path = format!("{collection}/{name}{query}");
        let with_version = |mut body: Value, version: Version| {
            match (version, old) {
                (Version::Current, Some(old)) => {
                    body["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
                }
                (Version::Stale, _) => body["metadata"]["resourceVersion"] = json!("1"),
                _ => {}
            }
            body
        };
        match request.verb {
            Verb::Create(content) => {
                self.api.post(&format!("{collection}{query}"), content.object(request.kind, name)).await
            }
            Verb::Put(content, version) => {
                let mut body = with_version(content.object(request.kind, name), version);
                if let Some(finalizers) = old.and_then(|old| old["metadata"].get("finalizers")) {
                    body["metadata"]["finalizers"] = finalizers.clone();
                }
                self.api.put(&path, &body).await
            }
            Verb::Patch(content, version) => {
                self.api.patch(&path, MERGE, with_version(content.patch(request.kind), version)).await
            }
            Verb::Nothing => self.api.patch(&path, MERGE, json!({})).await,
            Verb::Hold(hold) => {
                let finalizers = if hold { json!(["example.com/held"]) } else { Value::Null };
                self.api.patch(&path, MERGE, json!({ "metadata": { "finalizers": finalizers } })).await
            }
            Verb::Delete { right } => {
                let uid = old.map_or_else(|| json!("x"), |old| old["metadata"]["uid"].clone());
                let uid = if right { uid } else { json!("other") };
                let dry = if request.dry { json!(["All"]) } else { json!([]) };
                let options = json!({ "preconditions": { "uid": uid }, "dryRun": dry });
                self.api.delete(&format!("{collection}/{name}"), options).await
            }
        }
    }

    /// Takes a committed write over, and checks version and generation.
    fn learn(
        &mut self,
        request: &Request,
        name: &'static str,
        old: Option<Value>,
        body: Value,
    ) -> Result<(), TestCaseError> {
        let key = (request.kind, name);
        let held = |of: &Value| of["metadata"].get("finalizers").is_some();
        let deleting = |of: &Value| of["metadata"].get("deletionTimestamp").is_some();
        let gone = match request.verb {
            Verb::Delete { .. } => old.as_ref().is_some_and(|old| !held(old)),
            _ => deleting(&body) && !held(&body),
        };
        if gone {
            self.objects.remove(&key);
            // The removal's version is in no answer; the watch has it, above all that were.
            self.event(request.kind, "DELETED", name, 0);
            return Ok(());
        }
        let Some(old) = old else {
            prop_assert!(number(&body) > self.newest);
            self.newest = number(&body);
            self.event(request.kind, "ADDED", name, number(&body));
            self.objects.insert(key, body);
            return Ok(());
        };
        if without_version(&old) == without_version(&body) {
            prop_assert_eq!(number(&old), number(&body), "a write that changes nothing keeps the version");
            return Ok(());
        }
        prop_assert!(number(&body) > self.newest, "versions grow");
        self.newest = number(&body);
        let generation = |of: &Value| of["metadata"]["generation"].as_u64().unwrap_or_default();
        let marked = deleting(&old) != deleting(&body);
        let moved = request.kind == Kind::Deployment
            && (old["spec"] != body["spec"]
                || old["metadata"].get("annotations") != body["metadata"].get("annotations")
                || marked);
        prop_assert_eq!(generation(&body), generation(&old) + u64::from(moved), "{:#} {:#}", old, body);
        prop_assert_eq!(&old["metadata"]["uid"], &body["metadata"]["uid"]);
        self.event(request.kind, "MODIFIED", name, number(&body));
        self.objects.insert(key, body);
        Ok(())
    }

    fn event(&mut self, kind: Kind, event: &'static str, name: &str, version: u64) {
        self.events.entry(kind).or_default().push((event, name.to_owned(), version));
    }

    /// Lists and gets are what was written; what was deleted is nowhere.
    async fn lists(&mut self) -> Result<(), TestCaseError> {
        for kind in KINDS {
            let collection = self.collection(kind);
            let list = self.api.get(&collection).await.expect(200);
            let listed: Vec<&Value> = list["items"].as_array().unwrap().iter().collect();
            let known: Vec<Value> =
                self.objects.iter().filter(|((k, _), _)| *k == kind).map(|(_, object)| as_item(object)).collect();
            prop_assert_eq!(listed, known.iter().collect::<Vec<_>>());
            let version = number(&list);
            prop_assert!(version >= self.newest, "a list is as new as the newest write");
            self.newest = version;
        }
        let selector = SELECTORS[usize::try_from(self.newest).unwrap() % SELECTORS.len()];
        self.selected(selector).await
    }

    async fn selected(&self, selector: &str) -> Result<(), TestCaseError> {
        for kind in KINDS {
            let query: String = url::form_urlencoded::byte_serialize(selector.as_bytes()).collect();
            let list = self.api.get(&format!("{}?labelSelector={query}", self.collection(kind))).await.expect(200);
            let names: BTreeSet<&str> = list["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["metadata"]["name"].as_str().unwrap())
                .collect();
            let naive: BTreeSet<&str> = self
                .objects
                .iter()
                .filter(|((k, _), object)| *k == kind && selects(selector, &object["metadata"]["labels"]))
                .map(|((_, name), _)| *name)
                .collect();
            prop_assert_eq!(names, naive, "{}", selector);
        }
        Ok(())
    }

    /// The watch from the start tells every difference, in order, and nothing else.
    async fn watches(self) -> Result<(), TestCaseError> {
        for kind in KINDS {
            let collection = self.collection(kind);
            let last = Content { labels: [None; 2], annotation: None, spec: 0 }.object(kind, "last");
            self.api.post(&collection, last).await.expect(201);
            let mut lines = self.api.open(&format!("{collection}?watch=1&resourceVersion={}", self.start)).await;
            let mut newest = 0;
            for (event, name, version) in self.events.get(&kind).into_iter().flatten() {
                let told = lines.next().await.expect("an event");
                prop_assert_eq!(told["type"].as_str().unwrap(), *event);
                prop_assert_eq!(told["object"]["metadata"]["name"].as_str().unwrap(), name);
                let now = number(&told["object"]);
                prop_assert!(now > newest);
                prop_assert!(*version == 0 || now == *version);
                newest = now;
            }
            let told = lines.next().await.expect("an event");
            prop_assert_eq!(&told["object"]["metadata"]["name"], "last");
        }
        self.api.stop().await;
        Ok(())
    }
}

fn as_item(object: &Value) -> Value {
    let mut item = object.clone();
    item.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
    item
}

/// Which answer a request must have, from nothing but what was there before.
fn expected_code(request: &Request, old: Option<&Value>) -> u16 {
    match (request.verb, old) {
        (Verb::Create(_), None) => 201,
        (Verb::Create(_), Some(_)) => 409,
        (_, None) => 404,
        (Verb::Put(_, Version::Stale) | Verb::Patch(_, Version::Stale), _) | (Verb::Delete { right: false }, _) => 409,
        _ => 200,
    }
}

/// A selector, term by term, without the server's parser.
fn selects(selector: &str, labels: &Value) -> bool {
    let terms: Vec<&str> = match selector {
        with_values if with_values.contains('(') => vec![with_values],
        plain => plain.split(',').collect(),
    };
    let value = |key: &str| labels.get(key).and_then(Value::as_str);
    terms.into_iter().all(|term| {
        if let Some((key, values)) = term.split_once(" in ") {
            return value(key).is_some_and(|v| values.trim_matches(['(', ')']).split(',').any(|x| x == v));
        }
        if let Some((key, values)) = term.split_once(" notin ") {
            return value(key).is_none_or(|v| values.trim_matches(['(', ')']).split(',').all(|x| x != v));
        }
        if let Some((key, wanted)) = term.split_once("!=") {
            return value(key) != Some(wanted);
        }
        if let Some((key, wanted)) = term.split_once('=') {
            return value(key) == Some(wanted);
        }
        match term.strip_prefix('!') {
            Some(key) => value(key).is_none(),
            None => value(term).is_some(),
        }
    })
}

#[test]
fn whatever_is_asked_the_rules_hold() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    runner
        .run(&prop::collection::vec(request(), 1..30), |requests| {
            runtime.block_on(async {
                let mut model = Model::new().await;
                for request in &requests {
                    model.step(request).await?;
                }
                model.watches().await
            })
        })
        .unwrap();
}
