//! Garbage collection: what has no owner left is deleted; `foreground` and `orphan` deletions are carried out.
//!
//! Every kind the server knows is watched, custom ones too, so that whatever refers to an owner by uid is collected.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Client,
    api::DeleteParams,
    discovery::{Discovery, Scope, verbs},
    runtime::watcher,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::{
    objects::{Kind, Meta, Object},
    queue::Queue,
    view::{Change, View, is_gone},
};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// Kinds are asked for again so long after a definition changed: the server needs a moment to serve a new one.
const DEFINITION_SETTLES: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    /// Ask which kinds there are, and follow the new ones.
    Discover,
    /// An owner with this uid is gone.
    OwnerGone(String),
    /// This object has owners: is one of them still there?
    Check(String),
    /// This object is being deleted with a finalizer of ours.
    Finalize(String),
}

struct Collector {
    view: View,
    queue: Arc<Queue<Work>>,
    index: Arc<Mutex<Index>>,
    followed: HashMap<String, Kind>,
    ends: CancellationToken,
}

/// Every object by uid, and who refers to whom.
#[derive(Default)]
struct Index {
    objects: HashMap<String, (Kind, Arc<Object>)>,
    dependents: HashMap<String, HashSet<String>>,
}

/// Runs until it is dropped.
pub(super) async fn run(client: Client) {
    // Its watches end with it.
    let ends = CancellationToken::new();
    let _ends = ends.clone().drop_guard();
    let view = View::new(client);
    let queue = Arc::new(Queue::new());
    let index = Arc::new(Mutex::new(Index::default()));
    let (line, known) = (Arc::clone(&queue), Arc::clone(&index));
    view.on_change(move |change| {
        let work = known.lock().unwrap_or_else(PoisonError::into_inner).take_in(change);
        for work in work {
            match work {
                Work::Discover => line.add_after(work, DEFINITION_SETTLES),
                work => line.add(work),
            }
        }
    });
    queue.add(Work::Discover);
    let mut collector = Collector { view, queue, index, followed: HashMap::new(), ends };
    collector.work().await;
}

impl Index {
    fn take_in(&mut self, change: &Change<'_>) -> Vec<Work> {
        let mut work = Vec::new();
        if change.kind.resource.plural == "customresourcedefinitions" {
            work.push(Work::Discover);
        }
        if let Some(old) = change.old {
            for owner in old.owners() {
                if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                    dependents.remove(old.uid());
                }
            }
        }
        match (change.old, change.new) {
            (_, Some(new)) => {
                let uid = new.uid().to_owned();
                self.objects.insert(uid.clone(), (change.kind.clone(), Arc::clone(new)));
                for owner in new.owners() {
                    self.dependents.entry(owner.uid.clone()).or_default().insert(uid.clone());
                    work.push(Work::Check(uid.clone()));
                }
                if new.deleting() && [FOREGROUND, ORPHAN].iter().any(|finalizer| has_finalizer(new, finalizer)) {
                    work.push(Work::Finalize(uid));
                }
            }
            (Some(old), None) => {
                self.objects.remove(old.uid());
                work.push(Work::OwnerGone(old.uid().to_owned()));
                // An owner that waits in the foreground for this one may go now.
                work.extend(old.owners().iter().map(|owner| Work::Finalize(owner.uid.clone())));
            }
            (None, None) => {}
        }
        work
    }

    fn dependents_of(&self, uid: &str) -> Vec<(Kind, Arc<Object>)> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| self.objects.get(uid).cloned()).collect()
    }
}

impl Collector {
    async fn work(&mut self) {
        loop {
            let work = self.queue.next().await;
            if let Err(error) = self.carry_out(&work).await {
                tracing::debug!(?work, %error, "garbage collection will try again");
                self.queue.add_after(work, LOOK_AGAIN);
            }
        }
    }

    async fn carry_out(&mut self, work: &Work) -> Result<(), Error> {
        match work {
            Work::Discover => self.discover().await,
            Work::OwnerGone(uid) => {
                for (_, dependent) in self.index().dependents_of(uid) {
                    self.queue.add(Work::Check(dependent.uid().to_owned()));
                }
                Ok(())
            }
            Work::Check(uid) => self.check(uid).await,
            Work::Finalize(uid) => self.finalize(uid).await,
        }
    }

    fn index(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, uid: &str) -> Option<(Kind, Arc<Object>)> {
        self.index().objects.get(uid).cloned()
    }

    async fn discover(&mut self) -> Result<(), Error> {
        let discovery = Discovery::new(self.view.client()).run().await?;
        for (resource, capabilities) in discovery.groups().flat_map(|group| group.recommended_resources()) {
            let kind = Kind { resource, namespaced: capabilities.scope == Scope::Namespaced };
            let watched =
                [verbs::LIST, verbs::WATCH, verbs::DELETE].iter().all(|verb| capabilities.supports_operation(verb));
            // Events have no owners and are many.
            if watched && kind.resource.kind != "Event" && !self.followed.contains_key(&kind.id()) {
                self.followed.insert(kind.id(), kind.clone());
                self.view.follow(&kind, watcher::Config::default(), self.ends.clone());
            }
        }
        self.view.synced().await;
        Ok(())
    }

    /// Deletes a dependent none of whose owners is left; takes dead owners off one that has others.
    async fn check(&self, uid: &str) -> Result<(), Error> {
        let Some((kind, object)) = self.known(uid).filter(|(_, object)| !object.deleting()) else { return Ok(()) };
        let (mut living, mut waiting) = (Vec::new(), false);
        for owner in object.owners() {
            match self.owner(&object, owner).await? {
                Owner::Gone => {}
                Owner::Waiting => waiting = true,
                Owner::Lives => living.push(owner),
            }
        }
        if living.len() == object.owners().len() {
            return Ok(());
        }
        if living.is_empty() {
            // In the foreground the whole chain goes from its end: who has dependents waits for them, too.
            let waits = waiting && !self.index().dependents_of(uid).is_empty();
            let params = match () {
                () if has_finalizer(&object, ORPHAN) => DeleteParams::orphan(),
                () if waits || has_finalizer(&object, FOREGROUND) => DeleteParams::foreground(),
                () => DeleteParams::background(),
            };
            tracing::debug!(kind = kind.id(), object = %object.key(), waits, "no owner left, deleting");
            return Ok(self.view.delete_as(&kind, &object, params).await?);
        }
        let kept: Vec<_> = living.into_iter().map(|owner| json!(owner)).collect();
        self.view.merge(&kind, &object, json!({"metadata": {"ownerReferences": kept}})).await?;
        Ok(())
    }

    async fn owner(&self, dependent: &Object, owner: &OwnerReference) -> Result<Owner, Error> {
        if let Some((_, known)) = self.known(&owner.uid) {
            let waits = known.deleting() && has_finalizer(&known, FOREGROUND);
            return Ok(if waits { Owner::Waiting } else { Owner::Lives });
        }
        // Not in the copy: ask, since the copy may be behind. A kind that the server does not know decides nothing.
        let Some(kind) = self.kind_of(owner) else { return Ok(Owner::Lives) };
        let namespace = if kind.namespaced { dependent.namespace() } else { "" };
        let found = self.view.api(&kind, namespace).get_opt(&owner.name).await?;
        Ok(if found.is_some_and(|found| found.uid() == owner.uid) { Owner::Lives } else { Owner::Gone })
    }

    /// The kind may have no object left: what is followed counts.
    fn kind_of(&self, owner: &OwnerReference) -> Option<Kind> {
        self.followed.values().find(|kind| kind.is_meant_by(owner)).cloned()
    }

    async fn finalize(&self, uid: &str) -> Result<(), Error> {
        let Some((kind, object)) = self.known(uid).filter(|(_, object)| object.deleting()) else { return Ok(()) };
        let dependents = self.index().dependents_of(uid);
        if has_finalizer(&object, ORPHAN) {
            for (kind, dependent) in &dependents {
                let kept: Vec<_> =
                    dependent.owners().iter().filter(|owner| owner.uid != uid).map(|owner| json!(owner)).collect();
                self.view.merge(kind, dependent, json!({"metadata": {"ownerReferences": kept}})).await?;
            }
            return self.drop_finalizer(&kind, &object, ORPHAN).await;
        }
        if !has_finalizer(&object, FOREGROUND) {
            return Ok(());
        }
        let blocks = |dependent: &Object| {
            dependent.owners().iter().any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
        };
        if dependents.iter().any(|(_, dependent)| blocks(dependent)) {
            for (_, dependent) in &dependents {
                self.queue.add(Work::Check(dependent.uid().to_owned()));
            }
            return Ok(());
        }
        self.drop_finalizer(&kind, &object, FOREGROUND).await
    }

    async fn drop_finalizer(&self, kind: &Kind, object: &Object, finalizer: &str) -> Result<(), Error> {
        let kept: Vec<&String> =
            object.metadata.finalizers.iter().flatten().filter(|kept| *kept != finalizer).collect();
        match self.view.merge(kind, object, json!({"metadata": {"finalizers": kept}})).await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

enum Owner {
    Lives,
    /// Being deleted, and waiting for its dependents to go first.
    Waiting,
    Gone,
}

fn has_finalizer(object: &Object, finalizer: &str) -> bool {
    object.metadata.finalizers.iter().flatten().any(|known| known == finalizer)
}
