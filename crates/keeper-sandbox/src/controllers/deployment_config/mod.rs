//! DeploymentConfig: one ReplicationController for each version, and pods moved from the old ones to the newest.
//!
//! As far as a canary's work meets it: the ConfigChange trigger, versions raised by a person or by `instantiate`, both
//! strategies, time-outs, and the status. Left out: image triggers, hooks, custom strategies, deployer pods and automatic
//! rollback of the image; a version that fails is scaled down and the last complete one back up, as OpenShift does.

mod definition;
mod replication;
mod spec;
mod status;

pub use definition::definition;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use self::replication::Phase;
use super::{
    Controller, Error,
    deployment::{
        sizes::{self, Size},
        spec::{Spec, Strategy},
    },
};
use crate::{
    objects::{DEPLOYMENT_CONFIGS, Fields, Key, Meta, Object, PODS, REPLICATION_CONTROLLERS, is_finished},
    view::{Change, View},
};

pub(super) struct DeploymentConfigs {
    view: View,
}

impl DeploymentConfigs {
    pub(super) fn new(view: View) -> Self {
        Self { view }
    }

    /// The ReplicationControllers of a DeploymentConfig, oldest version first.
    fn owned(&self, config: &Object) -> Vec<Arc<Object>> {
        let all = self.view.all(&REPLICATION_CONTROLLERS, Some(config.namespace())).into_iter();
        let mut owned: Vec<_> =
            all.filter(|one| one.controller().is_some_and(|owner| owner.uid == config.uid())).collect();
        owned.sort_by_key(|one| replication::version(one));
        owned
    }
}

impl Controller for DeploymentConfigs {
    const NAME: &'static str = "deploymentconfig";

    fn concerns(&self, change: &Change<'_>) -> Vec<Key> {
        if *change.kind == *DEPLOYMENT_CONFIGS {
            return change.latest().map(Meta::key).into_iter().collect();
        }
        let config_of = |replication: &Object| {
            let owner = replication.controller().filter(|owner| DEPLOYMENT_CONFIGS.is_meant_by(owner))?;
            Some(Key::new(replication.namespace(), owner.name.clone()))
        };
        if *change.kind == *REPLICATION_CONTROLLERS {
            return change.latest().and_then(config_of).into_iter().collect();
        }
        // `Recreate` waits for the last old pod to be gone.
        let Some(pod) = change.old.filter(|_| change.new.is_none()) else { return Vec::new() };
        let replication = pod.controller().filter(|owner| REPLICATION_CONTROLLERS.is_meant_by(owner));
        let key = replication.map(|owner| Key::new(pod.namespace(), owner.name.clone()));
        let replication = key.and_then(|key| self.view.get(&REPLICATION_CONTROLLERS, &key));
        replication.and_then(|replication| config_of(&replication)).into_iter().collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Error> {
        let Some(config) = self.view.get(&DEPLOYMENT_CONFIGS, key).filter(|config| !config.deleting()) else {
            return Ok(None);
        };
        let latest = config.int("/status/latestVersion").unwrap_or(0);
        let mut owned = self.owned(&config);
        let place = owned.iter().position(|one| one.name() == replication::name(&config, latest));
        let newest = place.map(|place| owned.remove(place));
        let mut look = Look { view: &self.view, spec: spec::of(&config), config, latest, newest, old: owned };
        if !look.spec.paused && look.is_outdated() {
            look.raise().await?;
            // The raised version is a change that wakes us.
            return Ok(None);
        }
        look.act().await?;
        look.report().await
    }
}

/// One look at one DeploymentConfig.
struct Look<'a> {
    view: &'a View,
    config: Arc<Object>,
    spec: Spec,
    latest: i64,
    newest: Option<Arc<Object>>,
    /// Oldest first.
    old: Vec<Arc<Object>>,
}

impl Look<'_> {
    /// The template is not the newest version's, and such a change rolls out by itself.
    fn is_outdated(&self) -> bool {
        let rolled_out = self.newest.as_ref().and_then(|newest| replication::template(newest));
        let same = self.config.at("/spec/template") == rolled_out.as_ref();
        // A version that was raised and is not there yet will get the present template.
        let awaited = self.latest > 0 && self.newest.is_none();
        spec::on_config_change(&self.config) && !same && !awaited
    }

    async fn raise(&self) -> Result<(), Error> {
        let mut raised = (*self.config).clone();
        raised.set(&["status", "latestVersion"], json!(self.latest + 1));
        let details = json!({"message": "config change", "causes": [{"type": "ConfigChange"}]});
        raised.set(&["status", "details"], details);
        self.view.replace_status(&DEPLOYMENT_CONFIGS, &raised).await?;
        Ok(())
    }

    async fn act(&mut self) -> Result<(), Error> {
        if self.latest == 0 {
            return Ok(());
        }
        for other in self.old.clone().iter().filter(|other| !Phase::of(other).is_over()) {
            // A newer version takes over in the middle.
            self.change(other, |changed| {
                changed.annotate("openshift.io/deployment.cancelled", "true");
                changed.annotate("openshift.io/deployment.status-reason", "newer deployment was found running");
                Phase::Failed.write(changed);
            })
            .await?;
        }
        let newest = match self.newest.clone() {
            Some(newest) => newest,
            None if self.spec.paused => return Ok(()),
            None => {
                let new = replication::new(&self.config, self.latest, self.spec.replicas)?;
                let made = Arc::new(self.view.create(&REPLICATION_CONTROLLERS, &new).await?);
                self.newest = Some(Arc::clone(&made));
                made
            }
        };
        match Phase::of(&newest) {
            Phase::Complete => self.only(newest.name()).await?,
            Phase::Failed => match self.last_complete() {
                Some(name) => self.only(&name).await?,
                None => self.resize(&newest, 0).await?,
            },
            Phase::New | Phase::Running if self.timed_out(&newest) => {
                self.change(&newest, |changed| Phase::Failed.write(changed)).await?;
            }
            Phase::New => self.change(&newest, |changed| Phase::Running.write(changed)).await?,
            Phase::Running => self.roll(&newest).await?,
        }
        self.trim_history().await
    }

    async fn roll(&mut self, newest: &Arc<Object>) -> Result<(), Error> {
        let old: Vec<Size> = self.old.iter().map(|one| size(one)).collect();
        let now = size(newest);
        let emptied = self.old.iter().all(|one| size(one).wanted == 0);
        if now.wanted == self.spec.replicas && now.available >= self.spec.replicas && emptied {
            return self.change(newest, |changed| Phase::Complete.write(changed)).await;
        }
        if self.spec.strategy == Strategy::Recreate {
            if !emptied {
                return self.resize_old(&vec![0; old.len()]).await;
            }
            return if self.old_pods_left() { Ok(()) } else { self.resize(newest, self.spec.replicas).await };
        }
        let all: Vec<Size> = old.iter().copied().chain([now]).collect();
        let grown = sizes::grow(&self.spec, now.wanted, &all);
        if grown != now.wanted {
            return self.resize(newest, grown).await;
        }
        self.resize_old(&sizes::shrink(&self.spec, now, &old)).await
    }

    fn timed_out(&self, newest: &Object) -> bool {
        self.deadline(newest).is_some_and(|deadline| deadline < Timestamp::now())
    }

    fn deadline(&self, newest: &Object) -> Option<Timestamp> {
        newest.created()?.checked_add(SignedDuration::from_secs(self.spec.progress_deadline?)).ok()
    }

    fn last_complete(&self) -> Option<String> {
        let complete = self.old.iter().rev().find(|one| Phase::of(one) == Phase::Complete);
        complete.map(|one| one.name().to_owned())
    }

    /// That one has all pods, and the others none.
    async fn only(&mut self, name: &str) -> Result<(), Error> {
        for one in self.all() {
            let replicas = if one.name() == name { self.spec.replicas } else { 0 };
            self.resize(&one, replicas).await?;
        }
        Ok(())
    }

    fn all(&self) -> Vec<Arc<Object>> {
        self.old.iter().chain(&self.newest).cloned().collect()
    }

    /// Terminating pods count: `Recreate` promises that two versions never run at once.
    fn old_pods_left(&self) -> bool {
        let old: Vec<&str> = self.old.iter().map(|one| one.uid()).collect();
        let pods = self.view.all(&PODS, Some(self.config.namespace()));
        pods.iter()
            .any(|pod| !is_finished(pod) && pod.controller().is_some_and(|owner| old.contains(&owner.uid.as_str())))
    }

    async fn resize_old(&mut self, next: &[i64]) -> Result<(), Error> {
        for (one, next) in self.old.clone().iter().zip(next) {
            self.resize(one, *next).await?;
        }
        Ok(())
    }

    async fn resize(&mut self, one: &Arc<Object>, replicas: i64) -> Result<(), Error> {
        self.change(one, |changed| changed.set(&["spec", "replicas"], json!(replicas))).await
    }

    async fn change(&mut self, one: &Arc<Object>, change: impl FnOnce(&mut Object)) -> Result<(), Error> {
        let mut changed = (**one).clone();
        change(&mut changed);
        if changed == **one {
            return Ok(());
        }
        let changed = Arc::new(self.view.replace(&REPLICATION_CONTROLLERS, &changed).await?);
        for known in self.old.iter_mut().chain(&mut self.newest) {
            if known.uid() == changed.uid() {
                *known = Arc::clone(&changed);
            }
        }
        Ok(())
    }

    /// Deletes the oldest empty ReplicationControllers beyond the history limit.
    async fn trim_history(&mut self) -> Result<(), Error> {
        let empty = |one: &&Arc<Object>| {
            Phase::of(one).is_over() && size(one).wanted == 0 && one.int("/status/replicas").unwrap_or(0) == 0
        };
        let past: Vec<Arc<Object>> = self.old.iter().filter(empty).cloned().collect();
        for one in past.iter().take(past.len().saturating_sub(self.spec.history_limit)) {
            self.view.delete(&REPLICATION_CONTROLLERS, one, None).await?;
        }
        Ok(())
    }

    async fn report(&self) -> Result<Option<Duration>, Error> {
        let now = Timestamp::now();
        let status = status::status(&self.config, &self.all(), self.newest.as_deref(), &self.spec, now);
        if self.config.data.get("status") != Some(&status) {
            let mut changed = (*self.config).clone();
            changed.set(&["status"], status);
            self.view.replace_status(&DEPLOYMENT_CONFIGS, &changed).await?;
        }
        let running = self.newest.as_ref().filter(|newest| !Phase::of(newest).is_over());
        let deadline = running.and_then(|newest| self.deadline(newest));
        let left = deadline.map(|deadline| deadline.duration_since(now).max(SignedDuration::ZERO).unsigned_abs());
        Ok(left.map(|left| left + Duration::from_millis(20)))
    }
}

fn size(replication: &Object) -> Size {
    Size {
        wanted: replication.int("/spec/replicas").unwrap_or(1).max(0),
        available: replication.int("/status/availableReplicas").unwrap_or(0),
    }
}
