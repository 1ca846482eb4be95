//! Job: pods until enough of them have succeeded, or too many have failed.
//!
//! As kube-controller-manager counts: each pod carries a finalizer until the Job's status has counted it, so that none is
//! counted twice or missed. A Job that is over is deleted after `ttlSecondsAfterFinished`.
//!
//! Left out: Jobs with `completionMode: Indexed`, a `podFailurePolicy` or a `managedBy` are not run; pods are never adopted.

mod backoff;
mod end;
mod tally;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use self::{
    backoff::Backoff,
    end::Verdict,
    tally::{FINALIZER, Tally, is_counted},
};
use super::{
    Controller, Error,
    replicaset::{deletion_rank, new_pod},
};
use crate::{
    objects::{Fields, JOBS, Key, Meta, Object, PODS, is_finished, stamp},
    view::{Change, View, is_gone},
};

/// The most pods made or deleted in one go.
const BURST: usize = 500;
/// Added to a wait, so that it is over when it ends.
const SLACK: Duration = Duration::from_millis(20);

pub(super) struct Jobs {
    view: View,
    /// When the pods of a Job failed last, by its uid.
    backoffs: Mutex<HashMap<String, Backoff>>,
}

impl Jobs {
    pub(super) fn new(view: View) -> Self {
        Self { view, backoffs: Mutex::default() }
    }
}

impl Controller for Jobs {
    const NAME: &'static str = "job";

    fn concerns(&self, change: &Change<'_>) -> Vec<Key> {
        if *change.kind == *JOBS {
            return change.latest().map(Meta::key).into_iter().collect();
        }
        if *change.kind != *PODS {
            return Vec::new();
        }
        let owner = change.latest().and_then(|pod| Some((pod.namespace(), pod.controller()?)));
        let owner = owner.filter(|(_, owner)| JOBS.is_meant_by(owner));
        owner.map(|(namespace, owner)| Key::new(namespace, owner.name.clone())).into_iter().collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Error> {
        let job = self.view.get(&JOBS, key);
        self.free_orphans(key, job.as_deref()).await?;
        let Some(job) = job else { return Ok(None) };
        if let Some(ended) = end::ended_at(&job) {
            self.backoffs().remove(job.uid());
            return self.expire(&job, ended).await;
        }
        if is_left_out(&job) {
            tracing::warn!(job = %key, "indexed Jobs, pod failure policies and managed Jobs are left out");
            return Ok(None);
        }
        let pods = self.view.all(&PODS, Some(job.namespace()));
        let pods =
            pods.into_iter().filter(|pod| pod.controller().is_some_and(|owner| owner.uid == job.uid())).collect();
        let now = Timestamp::now();
        let tally = Tally::of(&job, pods);
        let backoff = self.backoffs().get(job.uid()).copied().unwrap_or_default();
        let backoff = backoff.after(&tally.new_succeeded, &tally.new_failed);
        Sync { controller: self, status: tally.status(&job, now), job, tally, backoff, verdict: None, again: None }
            .run()
            .await
    }
}

impl Jobs {
    fn backoffs(&self) -> MutexGuard<'_, HashMap<String, Backoff>> {
        self.backoffs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pods whose Job is gone wait for nobody to count them.
    async fn free_orphans(&self, key: &Key, job: Option<&Object>) -> Result<(), Error> {
        for pod in self.view.all(&PODS, Some(&key.namespace)) {
            let Some(owner) = pod.controller().filter(|owner| JOBS.is_meant_by(owner) && owner.name == key.name) else {
                continue;
            };
            if is_counted(&pod) || job.is_some_and(|job| job.uid() == owner.uid) {
                continue;
            }
            // Read from the server: the copy may not know the Job yet.
            let fresh = self.view.api(&JOBS, &key.namespace).get_opt(&key.name).await?;
            if fresh.is_none_or(|fresh| fresh.uid() != owner.uid) {
                self.free(&pod).await?;
            }
        }
        Ok(())
    }

    /// Takes our finalizer off a pod.
    async fn free(&self, pod: &Object) -> Result<(), Error> {
        let kept: Vec<&String> = pod.metadata.finalizers.iter().flatten().filter(|kept| *kept != FINALIZER).collect();
        let kept = if kept.is_empty() { Value::Null } else { json!(kept) };
        match self.view.merge(&PODS, pod, json!({"metadata": {"finalizers": kept}})).await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a Job that has been over for long enough.
    async fn expire(&self, job: &Object, ended: Timestamp) -> Result<Option<Duration>, Error> {
        let Some(seconds) = job.int("/spec/ttlSecondsAfterFinished").filter(|_| !job.deleting()) else {
            return Ok(None);
        };
        let left = SignedDuration::from_secs(seconds) - Timestamp::now().duration_since(ended);
        if left.is_positive() {
            return Ok(Some(left.unsigned_abs() + SLACK));
        }
        self.view.delete_as(&JOBS, job, DeleteParams::foreground()).await?;
        Ok(None)
    }
}

fn is_left_out(job: &Object) -> bool {
    let managed = job.text("/spec/managedBy").is_some_and(|manager| manager != "kubernetes.io/job-controller");
    managed || job.text("/spec/completionMode") == Some("Indexed") || job.at("/spec/podFailurePolicy").is_some()
}

/// One look at one Job.
struct Sync<'a> {
    controller: &'a Jobs,
    job: Arc<Object>,
    tally: Tally,
    /// The status to write next.
    status: Value,
    backoff: Backoff,
    verdict: Option<Verdict>,
    again: Option<Duration>,
}

impl Sync<'_> {
    async fn run(mut self) -> Result<Option<Duration>, Error> {
        let now = Timestamp::now();
        self.verdict = end::verdict(&self.job, &self.status, &self.tally, now);
        let mut failed = None;
        if self.verdict.is_some() {
            // It can't be declared over while pods of it may run.
            self.stop_all().await?;
        } else {
            self.again = end::deadline(&self.job, &self.status, now);
            if !self.job.deleting() {
                failed = self.manage(now).await.err();
            }
            if end::is_complete(&self.job, &self.tally) {
                self.verdict = Some(Verdict::complete());
            } else if !self.job.deleting() && failed.is_none() {
                end::suspension(&self.job, &mut self.status, now);
            }
        }
        self.count(now).await?;
        failed.map_or(Ok(self.again), Err)
    }

    fn view(&self) -> &View {
        &self.controller.view
    }

    /// Deletes all active pods; they keep the finalizer until they are counted.
    async fn stop_all(&mut self) -> Result<(), Error> {
        for pod in std::mem::take(&mut self.tally.active) {
            self.view().delete(&PODS, &pod, None).await?;
            self.tally.leaves(&pod);
        }
        Ok(())
    }

    /// Makes or deletes pods until the right number is active.
    async fn manage(&mut self, now: Timestamp) -> Result<(), Error> {
        let wanted = self.tally.wanted(&self.job);
        let surplus = self.tally.active.len().saturating_sub(wanted).min(BURST);
        if surplus > 0 {
            self.tally.active.sort_by_cached_key(|pod| deletion_rank(pod, 1, now));
            for pod in self.tally.active.drain(..surplus).collect::<Vec<_>>() {
                // Not a failure: it is never counted.
                self.controller.free(&pod).await?;
                self.view().delete(&PODS, &pod, None).await?;
                self.tally.leaves(&pod);
            }
            return Ok(());
        }
        let missing = wanted.saturating_sub(self.tally.active.len() + self.tally.held_back()).min(BURST);
        let wait = self.backoff.remaining(now);
        if missing > 0 && wait > Duration::ZERO {
            self.again = Some(self.again.map_or(wait, |again| again.min(wait)) + SLACK);
            return Ok(());
        }
        for _ in 0..missing {
            let mut pod = new_pod(&JOBS, &self.job)?;
            let finalizers = pod.metadata.finalizers.get_or_insert_default();
            if !finalizers.iter().any(|known| known == FINALIZER) {
                finalizers.push(FINALIZER.to_owned());
            }
            let made = self.view().create(&PODS, &pod).await?;
            self.tally.active.push(Arc::new(made));
        }
        Ok(())
    }

    /// Counts the pods that ended in two writes: first who is being counted, then, when the finalizers are off, how many.
    async fn count(&mut self, now: Timestamp) -> Result<(), Error> {
        let done = self.tally.to_free(&self.job, self.verdict.as_ref());
        self.tally.note_uncounted(&done, self.verdict.as_ref());
        if let Some(verdict) = &self.verdict {
            verdict.announce(&mut self.status, now);
        }
        self.tally.write(&mut self.status);
        self.flush().await?;
        self.controller.backoffs().insert(self.job.uid().to_owned(), self.backoff);
        for pod in &done {
            self.controller.free(pod).await?;
        }
        self.tally.counted(&done);
        self.tally.write(&mut self.status);
        if let Some(verdict) = self.verdict.as_ref().filter(|_| self.tally.is_at_rest()) {
            verdict.enact(&mut self.status, now);
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        if self.job.data.get("status") != Some(&self.status) {
            let mut changed = (*self.job).clone();
            changed.set(&["status"], self.status.clone());
            self.job = Arc::new(self.view().replace_status(&JOBS, &changed).await?);
        }
        Ok(())
    }
}

/// Sets a condition, or changes the one there is; says whether anything changed.
fn put_condition(status: &mut Value, kind: &str, is: bool, reason: &str, message: &str, now: Timestamp) -> bool {
    let mut conditions = status.items("/conditions").to_vec();
    let value = if is { "True" } else { "False" };
    let known = conditions.iter().position(|condition| condition.text("/type") == Some(kind));
    let new = json!({
        "type": kind, "status": value, "reason": reason, "message": message,
        "lastProbeTime": stamp(now), "lastTransitionTime": stamp(now),
    });
    match known.and_then(|position| conditions.get_mut(position)) {
        Some(old) if ["status", "reason", "message"].iter().all(|field| old.get(field) == new.get(field)) => {
            return false;
        }
        Some(old) => *old = new,
        // What never was need not be denied.
        None if !is => return false,
        None => conditions.push(new),
    }
    crate::objects::set(status, &["conditions"], Value::Array(conditions));
    true
}

/// Whether a pod ended or is on its way out, which counts as failed: it may never get to say how it ended.
fn has_failed(job: &Object, pod: &Object) -> bool {
    let phase = pod.text("/status/phase");
    let replaced_late = job.text("/spec/podReplacementPolicy") == Some("Failed");
    phase == Some("Failed") || (!replaced_late && pod.deleting() && phase != Some("Succeeded"))
}

/// Whether a pod may still do something.
fn is_active(pod: &Object) -> bool {
    !pod.deleting() && !is_finished(pod)
}
