//! How many pods of a Job are in which state. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{end::Verdict, has_failed, is_active};
use crate::objects::{Fields, Meta, Object, is_finished, is_ready, set, stamp};

/// Keeps a pod until its Job has counted it.
pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// Whether a pod was counted, or never is.
pub(super) fn is_counted(pod: &Object) -> bool {
    !pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// The pods of one Job, and what its status has counted of them.
pub(super) struct Tally {
    pods: Vec<Arc<Object>>,
    pub(super) active: Vec<Arc<Object>>,
    /// Pods that ended and of which the status says nothing yet.
    pub(super) new_succeeded: Vec<Arc<Object>>,
    pub(super) new_failed: Vec<Arc<Object>>,
    ready: i64,
    terminating: i64,
    /// Counted for good.
    succeeded: i64,
    failed: i64,
    /// Uids of pods that are being counted.
    uncounted_succeeded: Vec<String>,
    uncounted_failed: Vec<String>,
    /// The same counts as they will be.
    pub(super) all_succeeded: i64,
    pub(super) all_failed: i64,
    suspended: bool,
    replaced_late: bool,
}

impl Tally {
    pub(super) fn of(job: &Object, pods: Vec<Arc<Object>>) -> Self {
        let uids = |field: &str| -> Vec<String> {
            let listed = job.items(&format!("/status/uncountedTerminatedPods/{field}"));
            listed.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (uncounted_succeeded, uncounted_failed) = (uids("succeeded"), uids("failed"));
        let new = |uncounted: &[String], ended: &dyn Fn(&Object) -> bool| -> Vec<Arc<Object>> {
            let is_new = |pod: &&Arc<Object>| !is_counted(pod) && !uncounted.iter().any(|uid| uid == pod.uid());
            pods.iter().filter(is_new).filter(|pod| ended(pod)).cloned().collect()
        };
        let new_succeeded = new(&uncounted_succeeded, &|pod| pod.text("/status/phase") == Some("Succeeded"));
        let new_failed = new(&uncounted_failed, &|pod| has_failed(job, pod));
        let active: Vec<Arc<Object>> = pods.iter().filter(|pod| is_active(pod)).cloned().collect();
        let count = |field: &str| job.int(&format!("/status/{field}")).unwrap_or(0);
        Self {
            ready: length(active.iter().filter(|pod| is_ready(pod)).count()),
            terminating: length(pods.iter().filter(|pod| pod.deleting() && !is_finished(pod)).count()),
            succeeded: count("succeeded"),
            failed: count("failed"),
            all_succeeded: count("succeeded") + length(new_succeeded.len() + uncounted_succeeded.len()),
            all_failed: count("failed") + length(new_failed.len() + uncounted_failed.len()),
            suspended: job.flag("/spec/suspend"),
            replaced_late: job.text("/spec/podReplacementPolicy") == Some("Failed"),
            pods,
            active,
            new_succeeded,
            new_failed,
            uncounted_succeeded,
            uncounted_failed,
        }
    }

    pub(super) fn pods(&self) -> &[Arc<Object>] {
        &self.pods
    }

    /// The status as it is, with the time of the start.
    pub(super) fn status(&self, job: &Object, now: Timestamp) -> Value {
        let mut status = job.data.get("status").cloned().unwrap_or_else(|| json!({}));
        if status.at("/startTime").is_none() && !self.suspended {
            set(&mut status, &["startTime"], json!(stamp(now)));
        }
        status
    }

    /// How many pods should be active.
    pub(super) fn wanted(&self, job: &Object) -> usize {
        if self.suspended {
            return 0;
        }
        let parallelism = job.int("/spec/parallelism").unwrap_or(1).max(0);
        let wanted = match job.int("/spec/completions") {
            Some(completions) => (completions - self.all_succeeded).clamp(0, parallelism),
            None if self.all_succeeded > 0 => length(self.active.len()),
            None => parallelism,
        };
        usize::try_from(wanted).unwrap_or(0)
    }

    /// How many successors must wait, since a pod is replaced only when it has ended.
    pub(super) fn held_back(&self) -> usize {
        if self.replaced_late { usize::try_from(self.terminating).unwrap_or(0) } else { 0 }
    }

    /// An active pod was deleted.
    pub(super) fn leaves(&mut self, pod: &Object) {
        self.terminating += 1;
        self.ready -= i64::from(is_ready(pod));
    }

    /// The pods whose finalizer may go now.
    pub(super) fn to_free(&self, job: &Object, verdict: Option<&Verdict>) -> Vec<Arc<Object>> {
        let over = job.deleting() || verdict.is_some();
        let ended = |pod: &Object| pod.text("/status/phase") == Some("Succeeded") || has_failed(job, pod);
        self.pods.iter().filter(|pod| !is_counted(pod) && (over || ended(pod))).cloned().collect()
    }

    /// Lists those pods as being counted; what a failed Job stopped has failed.
    pub(super) fn note_uncounted(&mut self, done: &[Arc<Object>], verdict: Option<&Verdict>) {
        self.count_freed();
        for pod in done {
            let uid = pod.uid().to_owned();
            let succeeded = pod.text("/status/phase") == Some("Succeeded");
            let failed = self.new_failed.iter().any(|known| known.uid() == uid);
            if succeeded && !self.uncounted_failed.contains(&uid) {
                note(&mut self.uncounted_succeeded, uid);
            } else if !succeeded && (failed || verdict.is_some_and(Verdict::is_failure)) {
                note(&mut self.uncounted_failed, uid);
            }
        }
    }

    /// What an earlier look freed and could not count any more.
    fn count_freed(&mut self) {
        let held: Vec<String> =
            self.pods.iter().filter(|pod| !is_counted(pod)).map(|pod| pod.uid().to_owned()).collect();
        let freed =
            |uids: &[String]| -> Vec<String> { uids.iter().filter(|uid| !held.contains(uid)).cloned().collect() };
        let (succeeded, failed) = (freed(&self.uncounted_succeeded), freed(&self.uncounted_failed));
        self.settle(&succeeded, &failed);
    }

    /// Their finalizers are off: they are counted.
    pub(super) fn counted(&mut self, done: &[Arc<Object>]) {
        let uids: Vec<String> = done.iter().map(|pod| pod.uid().to_owned()).collect();
        self.settle(&uids, &uids);
    }

    fn settle(&mut self, succeeded: &[String], failed: &[String]) {
        let move_over = |uncounted: &mut Vec<String>, settled: &[String]| {
            let before = uncounted.len();
            uncounted.retain(|uid| !settled.contains(uid));
            length(before - uncounted.len())
        };
        self.succeeded += move_over(&mut self.uncounted_succeeded, succeeded);
        self.failed += move_over(&mut self.uncounted_failed, failed);
    }

    /// Nothing is left to count, and no pod is on its way out.
    pub(super) fn is_at_rest(&self) -> bool {
        self.uncounted_succeeded.is_empty() && self.uncounted_failed.is_empty() && self.terminating == 0
    }

    /// Puts the counts into a status.
    pub(super) fn write(&self, status: &mut Value) {
        for (field, count) in
            [("active", length(self.active.len())), ("succeeded", self.succeeded), ("failed", self.failed)]
        {
            // Zero is left out, as the API does for these fields.
            match (count, status.as_object_mut()) {
                (0, Some(fields)) => drop(fields.remove(field)),
                (count, _) => set(status, &[field], json!(count)),
            }
        }
        set(status, &["ready"], json!(self.ready));
        set(status, &["terminating"], json!(self.terminating));
        let mut uncounted = json!({});
        for (field, uids) in [("succeeded", &self.uncounted_succeeded), ("failed", &self.uncounted_failed)] {
            if !uids.is_empty() {
                set(&mut uncounted, &[field], json!(uids));
            }
        }
        set(status, &["uncountedTerminatedPods"], uncounted);
    }
}

fn note(uids: &mut Vec<String>, uid: String) {
    if !uids.contains(&uid) {
        uids.push(uid);
    }
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
