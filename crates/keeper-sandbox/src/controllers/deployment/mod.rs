//! Deployment: one ReplicaSet for each template, and pods moved from the old ones to the newest.

pub(super) mod revision;
pub(super) mod sizes;
pub(super) mod spec;
mod status;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::json;

use self::{
    revision::{DESIRED, MAXIMUM, Sets},
    sizes::{Portion, Size},
    spec::{Spec, Strategy},
    status::News,
};
use super::{Controller, Error};
use crate::{
    objects::{DEPLOYMENTS, Fields, Key, Meta, Object, PODS, REPLICA_SETS, controller_reference, is_finished},
    selector::Selector,
    view::{Change, View, has_reason},
};

pub(super) struct Deployments {
    view: View,
}

impl Deployments {
    pub(super) fn new(view: View) -> Self {
        Self { view }
    }
}

impl Controller for Deployments {
    const NAME: &'static str = "deployment";

    fn concerns(&self, change: &Change<'_>) -> Vec<Key> {
        if *change.kind == *DEPLOYMENTS {
            return change.latest().map(Meta::key).into_iter().collect();
        }
        if *change.kind == *REPLICA_SETS {
            return [change.old, change.new].into_iter().flatten().flat_map(|set| self.wanted_by(set)).collect();
        }
        // `Recreate` waits for the last old pod to be gone.
        match (*change.kind == *PODS, change.old, change.new) {
            (true, Some(pod), None) => self.deployment_of(pod).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Error> {
        let Some(deployment) = self.view.get(&DEPLOYMENTS, key) else { return Ok(None) };
        let selector = Selector::of_workload(deployment.at("/spec/selector"));
        if selector.is_empty() {
            return Ok(None);
        }
        let spec = Spec::of(&deployment);
        let sets = Sets::of(&deployment, self.claim(&deployment, &selector).await?);
        let mut look = Look { view: &self.view, deployment, spec, sets, news: News::Nothing, rolls: false };
        if !look.deployment.deleting() {
            look.act().await?;
        }
        look.report().await
    }
}

impl Deployments {
    fn wanted_by(&self, set: &Object) -> Vec<Key> {
        if let Some(owner) = set.controller() {
            let ours = DEPLOYMENTS.is_meant_by(owner);
            return ours.then(|| Key::new(set.namespace(), owner.name.clone())).into_iter().collect();
        }
        let selects = |deployment: &Object| {
            let selector = Selector::of_workload(deployment.at("/spec/selector"));
            !selector.is_empty() && selector.matches(set.metadata.labels.as_ref())
        };
        let deployments = self.view.all(&DEPLOYMENTS, Some(set.namespace()));
        deployments.iter().filter(|deployment| selects(deployment)).map(|deployment| deployment.key()).collect()
    }

    fn deployment_of(&self, pod: &Object) -> Option<Key> {
        let owner = pod.controller().filter(|owner| REPLICA_SETS.is_meant_by(owner))?;
        let set = self.view.get(&REPLICA_SETS, &Key::new(pod.namespace(), owner.name.clone()))?;
        self.wanted_by(&set).pop()
    }

    /// The ReplicaSets of this Deployment, after taking in orphans that match and letting go of those that don't any more.
    async fn claim(&self, deployment: &Object, selector: &Selector) -> Result<Vec<Arc<Object>>, Error> {
        let (mut claimed, mut may_adopt) = (Vec::new(), None);
        for set in self.view.all(&REPLICA_SETS, Some(deployment.namespace())) {
            let matches = selector.matches(set.metadata.labels.as_ref());
            match set.controller() {
                Some(owner) if owner.uid == deployment.uid() && (matches || deployment.deleting()) => claimed.push(set),
                Some(owner) if owner.uid == deployment.uid() => {
                    let kept: Vec<_> = set
                        .owners()
                        .iter()
                        .filter(|owner| owner.uid != deployment.uid())
                        .map(|owner| json!(owner))
                        .collect();
                    self.view.merge(&REPLICA_SETS, &set, json!({"metadata": {"ownerReferences": kept}})).await?;
                }
                None if matches && !deployment.deleting() && !set.deleting() => {
                    if may_adopt.is_none() {
                        may_adopt = Some(self.still_lives(deployment).await?);
                    }
                    if may_adopt != Some(true) {
                        continue;
                    }
                    let mut owners: Vec<_> = set.owners().iter().map(|owner| json!(owner)).collect();
                    owners.push(controller_reference(&DEPLOYMENTS, deployment));
                    let adopted =
                        self.view.merge(&REPLICA_SETS, &set, json!({"metadata": {"ownerReferences": owners}})).await?;
                    claimed.push(Arc::new(adopted));
                }
                _ => {}
            }
        }
        Ok(claimed)
    }

    /// Read from the server, not from the copy: one that is being deleted must not take back what it left as orphans.
    async fn still_lives(&self, deployment: &Object) -> Result<bool, Error> {
        let fresh = self.view.api(&DEPLOYMENTS, deployment.namespace()).get_opt(deployment.name()).await?;
        Ok(fresh.is_some_and(|fresh| fresh.uid() == deployment.uid() && !fresh.deleting()))
    }
}

/// One look at one Deployment.
struct Look<'a> {
    view: &'a View,
    deployment: Arc<Object>,
    spec: Spec,
    sets: Sets,
    news: News,
    /// It is neither paused nor being scaled nor deleted.
    rolls: bool,
}

impl Look<'_> {
    async fn act(&mut self) -> Result<(), Error> {
        if self.spec.paused {
            self.number_newest().await?;
            self.scale_in_proportion().await?;
            return self.trim_history().await;
        }
        self.number_newest().await?;
        if self.is_being_scaled() {
            return self.scale_in_proportion().await;
        }
        self.rolls = true;
        match self.spec.strategy {
            Strategy::Recreate => self.recreate().await?,
            Strategy::Rolling { .. } => self.roll().await?,
        }
        if status::is_complete(&self.deployment, &self.sets, &self.spec) {
            self.trim_history().await?;
        }
        Ok(())
    }

    /// If the newest template has its ReplicaSet already: its annotations and its number.
    async fn number_newest(&mut self) -> Result<(), Error> {
        let Some(newest) = self.sets.newest.clone() else { return Ok(()) };
        let mut changed = (*newest).clone();
        if revision::refresh(&self.deployment, &mut changed, self.sets.next_revision()) {
            changed = self.view.replace(&REPLICA_SETS, &changed).await?;
        }
        self.number_deployment(revision::revision(&changed)).await?;
        self.sets.newest = Some(Arc::new(changed));
        Ok(())
    }

    /// Goes through the status subresource, as kube-controller-manager does: there an annotation does not move the generation.
    async fn number_deployment(&mut self, number: i64) -> Result<(), Error> {
        let number = number.to_string();
        if self.deployment.annotation(revision::REVISION) == Some(number.as_str()) {
            return Ok(());
        }
        let mut changed = (*self.deployment).clone();
        changed.annotate(revision::REVISION, &number);
        self.deployment = Arc::new(self.view.replace_status(&DEPLOYMENTS, &changed).await?);
        Ok(())
    }

    async fn make_newest(&mut self, replicas: i64) -> Result<(), Error> {
        let number = self.sets.next_revision();
        let new = revision::new_set(&self.deployment, number, replicas, &self.spec)?;
        match self.view.create(&REPLICA_SETS, &new).await {
            Ok(made) => {
                self.news = News::Created(made.name().to_owned());
                self.sets.newest = Some(Arc::new(made));
                self.number_deployment(number).await
            }
            Err(error) if has_reason(&error, "AlreadyExists") => self.collide().await,
            Err(kube::Error::Api(refused)) => {
                self.news = News::CreateFailed(refused.message.clone());
                self.report().await?;
                Err(kube::Error::Api(refused).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Another ReplicaSet has the name that the template hashes to: the next look hashes differently.
    async fn collide(&mut self) -> Result<(), Error> {
        let mut changed = (*self.deployment).clone();
        let collisions = changed.int("/status/collisionCount").unwrap_or(0) + 1;
        changed.set(&["status", "collisionCount"], json!(collisions));
        self.deployment = Arc::new(self.view.replace_status(&DEPLOYMENTS, &changed).await?);
        Ok(())
    }

    /// The wanted count differs from the one that the running ReplicaSets were sized for.
    fn is_being_scaled(&self) -> bool {
        let mut running = self.sets.all().filter(|set| size(set).wanted > 0);
        running.any(|set| revision::noted(set, DESIRED).is_some_and(|desired| desired != self.spec.replicas))
    }

    async fn scale_in_proportion(&mut self) -> Result<(), Error> {
        let running: Vec<Arc<Object>> = self.sets.all().filter(|set| size(set).wanted > 0).cloned().collect();
        if running.len() <= 1 {
            let only = running
                .into_iter()
                .next()
                .or_else(|| self.sets.newest.clone())
                .or_else(|| self.sets.old.last().cloned());
            if let Some(only) = only {
                self.resize(&only, self.spec.replicas).await?;
            }
            return Ok(());
        }
        if self.is_saturated() {
            return self.resize_old(&vec![0; self.sets.old.len()]).await;
        }
        if self.spec.strategy == Strategy::Recreate {
            return Ok(());
        }
        let mut ordered = running;
        ordered.sort_by_key(|set| std::cmp::Reverse((size(set).wanted, set.created())));
        let portions: Vec<Portion> = ordered
            .iter()
            .map(|set| Portion {
                wanted: size(set).wanted,
                max_before: revision::noted(set, MAXIMUM)
                    .or_else(|| self.deployment.int("/status/replicas"))
                    .unwrap_or(0),
            })
            .collect();
        for (set, next) in ordered.iter().zip(sizes::spread(&self.spec, &portions)) {
            self.resize(set, next).await?;
        }
        Ok(())
    }

    fn is_saturated(&self) -> bool {
        self.sets.newest.as_ref().is_some_and(|set| {
            let size = size(set);
            let desired = revision::noted(set, DESIRED);
            size.wanted == self.spec.replicas
                && size.available == self.spec.replicas
                && desired == Some(self.spec.replicas)
        })
    }

    async fn roll(&mut self) -> Result<(), Error> {
        let all: Vec<Size> = self.sets.all().map(|set| size(set)).collect();
        match self.sets.newest.clone() {
            None => return self.make_newest(sizes::grow(&self.spec, 0, &all)).await,
            Some(newest) => {
                let next = sizes::grow(&self.spec, size(&newest).wanted, &all);
                if next != size(&newest).wanted {
                    return self.resize(&newest, next).await;
                }
            }
        }
        let newest = self.sets.newest.as_ref().map(|set| size(set)).unwrap_or_default();
        let old: Vec<Size> = self.sets.old.iter().map(|set| size(set)).collect();
        self.resize_old(&sizes::shrink(&self.spec, newest, &old)).await
    }

    async fn recreate(&mut self) -> Result<(), Error> {
        if self.sets.old.iter().any(|set| size(set).wanted > 0) {
            return self.resize_old(&vec![0; self.sets.old.len()]).await;
        }
        if self.old_pods_left() {
            return Ok(());
        }
        match self.sets.newest.clone() {
            None => self.make_newest(self.spec.replicas).await,
            Some(newest) => self.resize(&newest, self.spec.replicas).await,
        }
    }

    /// Terminating pods count: `Recreate` promises that two versions never run at once.
    fn old_pods_left(&self) -> bool {
        let old: Vec<&str> = self.sets.old.iter().map(|set| set.uid()).collect();
        let pods = self.view.all(&PODS, Some(self.deployment.namespace()));
        pods.iter()
            .any(|pod| !is_finished(pod) && pod.controller().is_some_and(|owner| old.contains(&owner.uid.as_str())))
    }

    async fn resize_old(&mut self, next: &[i64]) -> Result<(), Error> {
        for (set, next) in self.sets.old.clone().iter().zip(next) {
            if size(set).wanted != *next {
                self.resize(set, *next).await?;
            }
        }
        Ok(())
    }

    async fn resize(&mut self, set: &Arc<Object>, replicas: i64) -> Result<(), Error> {
        let mut changed = (**set).clone();
        revision::note_sizes(&mut changed, &self.spec);
        changed.set(&["spec", "replicas"], json!(replicas));
        if changed == **set {
            return Ok(());
        }
        tracing::debug!(deployment = %self.deployment.key(), set = set.name(), from = size(set).wanted, to = replicas, "resized");
        let changed = Arc::new(self.view.replace(&REPLICA_SETS, &changed).await?);
        for known in self.sets.old.iter_mut().chain(&mut self.sets.newest) {
            if known.uid() == changed.uid() {
                *known = Arc::clone(&changed);
            }
        }
        Ok(())
    }

    /// Deletes the oldest empty ReplicaSets beyond the history limit.
    async fn trim_history(&mut self) -> Result<(), Error> {
        let mut past: Vec<Arc<Object>> = self.sets.old.iter().filter(|set| !set.deleting()).cloned().collect();
        past.sort_by_key(|set| revision::revision(set));
        let surplus = past.len().saturating_sub(self.spec.history_limit);
        for set in past.iter().take(surplus) {
            let observed = set.int("/status/observedGeneration").unwrap_or(0) >= set.metadata.generation.unwrap_or(0);
            let empty = size(set).wanted == 0 && set.int("/status/replicas").unwrap_or(0) == 0;
            if empty && observed {
                self.view.delete(&REPLICA_SETS, set, None).await?;
            }
        }
        Ok(())
    }

    async fn report(&self) -> Result<Option<Duration>, Error> {
        let now = Timestamp::now();
        let status = status::status(&self.deployment, &self.sets, &self.spec, &self.news, self.rolls, now);
        if self.deployment.data.get("status") != Some(&status) {
            let mut changed = (*self.deployment).clone();
            changed.set(&["status"], status.clone());
            self.view.replace_status(&DEPLOYMENTS, &changed).await?;
        }
        let again = status::deadline(&status, &self.spec).map(|deadline| deadline.duration_since(now));
        Ok(again.map(|left| if left.is_positive() { left.unsigned_abs() } else { Duration::from_secs(1) }))
    }
}

/// A ReplicaSet that was just made smaller still reports the pods that it is about to lose: they are not counted.
fn size(set: &Object) -> Size {
    let wanted = set.int("/spec/replicas").unwrap_or(1).max(0);
    Size { wanted, available: set.int("/status/availableReplicas").unwrap_or(0).min(wanted) }
}
