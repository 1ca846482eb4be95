//! What is asked: requests in order, in a namespace of their own, deterministic but for what a server invents.

use serde_json::Value;

pub(crate) const JSON: &str = "application/json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
pub(crate) const METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
pub(crate) const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/// One request. `{ns}` in path and body is the script's namespace; `${saved:/pointer}` is a value of an earlier answer.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    pub(crate) media: &'static str,
    pub(crate) body: String,
    /// Under which name later steps refer to the answer.
    pub(crate) save: Option<String>,
    /// For a watch: read this many events, then hang up.
    pub(crate) events: Option<usize>,
    /// Not compared before the controllers have seen the object: `observedGeneration` is its generation.
    pub(crate) settled: bool,
    /// Asked again until the answer has this code.
    pub(crate) until: Option<u16>,
    /// Asked again until the answer has (`true`) or has not something at this JSON pointer.
    pub(crate) until_there: Option<(&'static str, bool)>,
}

impl Step {
    pub(crate) fn save(&mut self, name: &str) -> &mut Self {
        self.save = Some(name.to_owned());
        self
    }

    pub(crate) fn accept(&mut self, accept: &'static str) -> &mut Self {
        self.accept = accept;
        self
    }

    pub(crate) fn settled(&mut self) -> &mut Self {
        self.settled = true;
        self
    }

    pub(crate) fn until(&mut self, code: u16) -> &mut Self {
        self.until = Some(code);
        self
    }

    pub(crate) fn until_there(&mut self, pointer: &'static str) -> &mut Self {
        self.until_there = Some((pointer, true));
        self
    }

    pub(crate) fn until_absent(&mut self, pointer: &'static str) -> &mut Self {
        self.until_there = Some((pointer, false));
        self
    }
}

/// A named sequence of requests.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

impl Script {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), steps: Vec::new() }
    }

    pub(crate) fn send(
        &mut self,
        method: &'static str,
        path: impl Into<String>,
        media: &'static str,
        body: impl Into<String>,
    ) -> &mut Step {
        self.steps.push(Step {
            method,
            path: path.into(),
            accept: JSON,
            media,
            body: body.into(),
            save: None,
            events: None,
            settled: false,
            until: None,
            until_there: None,
        });
        self.steps.last_mut().unwrap()
    }

    pub(crate) fn get(&mut self, path: impl Into<String>) -> &mut Step {
        self.send("GET", path, "", "")
    }

    pub(crate) fn post(&mut self, path: impl Into<String>, body: Value) -> &mut Step {
        self.send("POST", path, JSON, body.to_string())
    }

    pub(crate) fn put(&mut self, path: impl Into<String>, body: Value) -> &mut Step {
        self.send("PUT", path, JSON, body.to_string())
    }

    pub(crate) fn patch(&mut self, path: impl Into<String>, media: &'static str, body: Value) -> &mut Step {
        self.send("PATCH", path, media, body.to_string())
    }

    pub(crate) fn delete(&mut self, path: impl Into<String>, options: Value) -> &mut Step {
        let body = if options.is_null() { String::new() } else { options.to_string() };
        let media = if options.is_null() { "" } else { JSON };
        self.send("DELETE", path, media, body)
    }

    pub(crate) fn watch(&mut self, path: impl Into<String>, events: usize) -> &mut Step {
        let step = self.get(path);
        step.events = Some(events);
        step
    }
}
