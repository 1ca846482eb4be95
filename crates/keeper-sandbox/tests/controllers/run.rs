//! One run of one script: its steps, and what was seen after each.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::{Cluster, is_real};
use super::kept;
use super::kinds::Kind;
use super::normal;

/// How long a step may take to settle.
fn patience() -> Duration {
    Duration::from_secs(if is_real() { 90 } else { 20 })
}

/// How long nothing must have changed: the real controllers gather changes for up to a second.
fn quiet() -> Duration {
    Duration::from_millis(if is_real() { 1600 } else { 250 })
}

/// A script under way.
pub(crate) struct Run {
    pub(crate) cluster: Cluster,
    name: &'static str,
    kinds: &'static [Kind],
    steps: Vec<Value>,
    known: normal::Known,
}

impl Run {
    /// Begins a script that looks at these kinds.
    pub(crate) async fn begin(name: &'static str, kinds: &'static [Kind]) -> Self {
        Self { cluster: Cluster::new().await, name, kinds, steps: Vec::new(), known: Vec::new() }
    }

    pub(crate) async fn create(&self, kind: Kind, object: Value) -> Value {
        self.cluster.must("POST", &self.cluster.path(kind, ""), Some(object)).await
    }

    /// A merge patch, or a JSON patch when it is a list.
    pub(crate) async fn patch(&self, kind: Kind, name: &str, patch: Value) -> Value {
        self.cluster.must("PATCH", &self.cluster.path(kind, name), Some(patch)).await
    }

    /// Deletes with these options.
    pub(crate) async fn delete(&self, kind: Kind, name: &str, options: Value) {
        self.cluster.must("DELETE", &self.cluster.path(kind, name), Some(options)).await;
    }

    /// Waits until all objects of a kind together are as wanted.
    pub(crate) async fn until(&self, what: &str, kind: Kind, wanted: impl Fn(&[Value]) -> bool) {
        let start = Instant::now();
        loop {
            let objects = self.cluster.list(kind).await;
            if wanted(&objects) {
                return;
            }
            assert!(start.elapsed() < patience(), "{}: not in time: {what}: {}", self.name, json!(objects));
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits until one object's condition has this reason.
    pub(crate) async fn until_reason(&self, kind: Kind, name: &str, reason: &str) {
        let has = |object: &Value| {
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            object["metadata"]["name"] == name && conditions.into_iter().flatten().any(|c| c["reason"] == reason)
        };
        self.until(reason, kind, |objects| objects.iter().any(has)).await;
    }

    async fn look(&self) -> Vec<(Kind, Vec<Value>)> {
        let mut seen = Vec::new();
        for kind in self.kinds {
            seen.push((*kind, self.cluster.list(*kind).await));
        }
        seen
    }

    /// Waits until nothing changes any more and takes down what there is.
    pub(crate) async fn settle(&mut self, step: &str) {
        let seen = self.rest().await;
        let state = normal::normalise(&seen, &self.cluster, &mut self.known);
        self.steps.push(json!({ "step": step, "state": state }));
    }

    /// Waits until nothing changes any more.
    pub(crate) async fn rest(&self) -> Vec<(Kind, Vec<Value>)> {
        let start = Instant::now();
        let mut last = (self.look().await, Instant::now());
        while last.1.elapsed() < quiet() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let seen = self.look().await;
            if seen != last.0 {
                last = (seen, Instant::now());
            }
            assert!(start.elapsed() < patience(), "{}: never at rest", self.name);
        }
        last.0
    }

    /// Takes down something else than a state.
    pub(crate) fn note(&mut self, step: &str, value: Value) {
        self.steps.push(json!({ "step": step, "value": value }));
    }

    /// Compares with what the real controllers did, or writes it down.
    pub(crate) async fn end(self) {
        self.cluster.end().await;
        if is_real() && std::env::var_os("KEEPER_CONTROLLERS_RECORD").is_some() {
            return kept::write(self.name, &self.steps);
        }
        let real = kept::read(self.name);
        let names = |steps: &[Value]| steps.iter().map(|s| s["step"].to_string()).collect::<Vec<_>>();
        assert_eq!(names(&real), names(&self.steps), "the script has changed since; record it again");
        let mut report = String::new();
        for (real, ours) in real.iter().zip(&self.steps) {
            let mut found = Vec::new();
            kept::differences("", &kept::without_races(real), &kept::without_races(ours), &mut found);
            for difference in found {
                report.push_str(&format!("\n  {} {}: {difference}", self.name, real["step"]));
            }
        }
        assert!(report.is_empty(), "the controllers differ from the real ones:{report}");
    }
}
