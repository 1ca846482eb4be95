//! The life of one pod on the node: its containers, its status, its end.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    Shared,
    board::{self, Board, Slot, Stop, Stopper},
    command::Place,
    container::Runner,
    status,
};
use crate::{
    objects::{Fields, Meta, Object, PODS, is_finished},
    view::{is_gone, status_of},
};

/// What the API server last said about a pod.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    Is(Arc<Object>),
    Gone,
}

/// A write that failed is tried again after this.
const RETRY: Duration = Duration::from_millis(200);

/// Runs a pod until it is gone from the API server, or until `shutdown`.
pub(crate) async fn run(
    shared: Arc<Shared>,
    pod: Arc<Object>,
    seen: watch::Receiver<Seen>,
    shutdown: CancellationToken,
) {
    let life = Life::new(shared, pod, seen);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = life.run() => {}
    }
}

struct Life {
    shared: Arc<Shared>,
    pod: Arc<Object>,
    seen: watch::Receiver<Seen>,
    board: Board,
    stopper: Stopper,
    /// `None` once all containers ended for good. Dropping it kills them.
    work: Option<AbortOnDropHandle<()>>,
    overdue: bool,
    deleted: bool,
}

impl Life {
    fn new(shared: Arc<Shared>, pod: Arc<Object>, seen: watch::Receiver<Seen>) -> Self {
        let now = Timestamp::now();
        let board = Board::new(status::Pod::of(&pod, shared.config.addresses.node(), now));
        let (stopper, stop) = board::stop();
        // A pod that ended in the life of another node process, or that is leaving already, is not started again.
        let runs = !is_finished(&pod) && !pod.deleting();
        let work = runs.then(|| {
            AbortOnDropHandle::new(tokio::spawn(containers(Arc::clone(&shared), Arc::clone(&pod), board.clone(), stop)))
        });
        Self { shared, pod, seen, board, stopper, work, overdue: false, deleted: false }
    }

    async fn run(mut self) {
        loop {
            if self.work.is_none() && self.pod.deleting() && !self.deleted {
                self.take_leave().await;
            }
            let deadline = self.deadline();
            tokio::select! {
                () = self.board.changed(), if !is_finished(&self.pod) => self.report().await,
                () = finished(&mut self.work) => self.containers_ended(),
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => self.expire(),
                changed = self.seen.changed() => {
                    let seen = self.seen.borrow_and_update().clone();
                    match seen {
                        Seen::Is(pod) if changed.is_ok() => self.look_at(pod),
                        // Taken away by force: nobody waits for a grace period.
                        Seen::Gone | Seen::Is(_) => return,
                    }
                }
            }
        }
    }

    /// When `activeDeadlineSeconds` are over.
    fn deadline(&self) -> Option<Instant> {
        let seconds = self.pod.int("/spec/activeDeadlineSeconds").filter(|_| self.work.is_some() && !self.overdue)?;
        let since = self.board.read(|pod| pod.since);
        let left = SignedDuration::from_secs(seconds) - Timestamp::now().duration_since(since);
        Some(Instant::now() + if left.is_positive() { left.unsigned_abs() } else { Duration::ZERO })
    }

    fn expire(&mut self) {
        self.overdue = true;
        self.stopper.stop_by(Instant::now() + self.grace("/spec/terminationGracePeriodSeconds"));
    }

    fn grace(&self, pointer: &str) -> Duration {
        Duration::from_secs(self.pod.int(pointer).and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30))
    }

    fn look_at(&mut self, pod: Arc<Object>) {
        self.pod = pod;
        if self.pod.deleting() {
            let grace = self.pod.metadata.deletion_grace_period_seconds.and_then(|seconds| u64::try_from(seconds).ok());
            self.stopper.stop_by(Instant::now() + Duration::from_secs(grace.unwrap_or(30)));
        }
        if !self.pod.items("/spec/readinessGates").is_empty() {
            self.board.remind();
        }
    }

    fn containers_ended(&mut self) {
        self.work = None;
        if self.overdue {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            self.board.update(|pod| pod.failed = Some(("DeadlineExceeded".to_owned(), message)));
        }
        self.board.remind();
    }

    /// Writes the status, if it says anything new.
    async fn report(&mut self) {
        let key = self.pod.key();
        if let Some(latest) = self.shared.view.get(&PODS, &key).filter(|latest| latest.uid() == self.pod.uid()) {
            self.pod = latest;
        }
        let wanted = self.board.read(|pod| pod.write(&self.pod, Timestamp::now()));
        let known = self.pod.data.get("status");
        let says_new =
            |(field, value): (&String, &serde_json::Value)| known.and_then(|known| known.get(field)) != Some(value);
        if !wanted.as_object().is_some_and(|fields| fields.iter().any(says_new)) {
            return;
        }
        match self.write(wanted).await {
            Ok(pod) => self.pod = Arc::new(pod),
            Err(error) if is_gone(&error) || status_of(&error) == Some(409) => {}
            Err(error) => {
                tracing::debug!(pod = %key, %error, "status not written, trying again");
                let board = self.board.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(RETRY).await;
                    board.remind();
                });
            }
        }
    }

    async fn write(&self, status: serde_json::Value) -> kube::Result<Object> {
        use kube::api::{Patch, PatchParams};
        let patch = json!({"metadata": {"uid": self.pod.uid()}, "status": status});
        let api = self.shared.view.api(&PODS, self.pod.namespace());
        let patched = api.patch_status(self.pod.name(), &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.shared.view.learn(&PODS, patched.clone());
        Ok(patched)
    }

    /// The last two words about a deleted pod: how its containers ended, and that it may go.
    async fn take_leave(&mut self) {
        if !is_finished(&self.pod) {
            self.report().await;
        }
        match self.shared.view.delete(&PODS, &self.pod, Some(0)).await {
            Ok(()) => self.deleted = true,
            // Another pod has the name: this one is gone.
            Err(error) if status_of(&error) == Some(409) => self.deleted = true,
            Err(error) => {
                tracing::debug!(pod = %self.pod.key(), %error, "not deleted, trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn finished(work: &mut Option<AbortOnDropHandle<()>>) {
    match work {
        Some(handle) => {
            if let Err(error) = handle.await {
                tracing::error!(%error, "the containers of a pod ended unexpectedly");
            }
        }
        None => std::future::pending().await,
    }
}

/// Runs the init containers one after the other, then all others together, until every one ended for good.
async fn containers(shared: Arc<Shared>, pod: Arc<Object>, board: Board, stop: Stop) {
    let place = Place { pod_ip: shared.config.addresses.pod(), host_ip: shared.config.addresses.node() };
    board.update(|status| status.pod_ip = Some(place.pod_ip));
    let runner = |spec: &serde_json::Value, slot: Slot| Runner {
        shared: Arc::clone(&shared),
        pod: Arc::clone(&pod),
        spec: spec.clone(),
        slot,
        place: place.clone(),
        board: board.clone(),
        stop: stop.clone(),
    };
    for (index, spec) in pod.items("/spec/initContainers").iter().enumerate() {
        if !runner(spec, Slot::Init(index)).run().await {
            return;
        }
    }
    let all =
        pod.items("/spec/containers").iter().enumerate().map(|(index, spec)| runner(spec, Slot::Main(index)).run());
    futures::future::join_all(all).await;
}
