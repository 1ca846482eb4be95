//! What the killer sees of pods and of what they belong to: metadata alone, by watches.

use super::KillSettings;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use keeper_api::keys::CANARY_OF;
use keeper_api::kills::{KILL_ALLOWED, KILL_LABEL, QUARANTINED};
use keeper_kill::{PodName, Role, Sight, Uid, View, Workload};
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a watch may fail before what it feeds counts as unknown, in seconds.
const STALE_AFTER: i64 = 30;
/// The annotation that the kubelet puts on the shadow of a static pod.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The stores of all scopes.
pub(super) struct Watched {
    scopes: Vec<Scope>,
    health: Arc<Health>,
    own: Own,
}

/// How the killer knows itself.
struct Own {
    uid: Option<String>,
    name: Option<PodName>,
}

/// One namespace, or the whole cluster.
struct Scope {
    namespace: Option<String>,
    pods: Kept<Pod>,
    replica_sets: Kept<ReplicaSet>,
    replication_controllers: Kept<ReplicationController>,
}

type Meta<K> = PartialObjectMeta<K>;

/// A store and the end that feeds it, which the watch takes.
struct Kept<K: Resource<DynamicType = ()> + Clone + 'static> {
    reader: Store<Meta<K>>,
    writer: Mutex<Option<store::Writer<Meta<K>>>>,
}

/// Since when a watch fails, and which ones have not been filled yet.
#[derive(Default)]
struct Health {
    failing: Mutex<BTreeMap<String, Timestamp>>,
}

impl Watched {
    pub(super) fn new(settings: &KillSettings) -> Self {
        let mut namespaces: Vec<_> = settings.namespaces.iter().cloned().map(Some).collect();
        if namespaces.is_empty() {
            namespaces.push(None);
        }
        let scope = |namespace| Scope {
            namespace,
            pods: Kept::new(),
            replica_sets: Kept::new(),
            replication_controllers: Kept::new(),
        };
        let name = PodName::new(&settings.ledger_namespace, &settings.instance);
        let own = Own { uid: settings.own_uid.clone(), name };
        Self { scopes: namespaces.into_iter().map(scope).collect(), health: Arc::default(), own }
    }

    /// Starts the watches; the stream must be driven. A second call watches nothing.
    pub(super) fn watch(&self, client: &Client) -> BoxStream<'static, ()> {
        let watches = self.scopes.iter().flat_map(|scope| {
            let namespace = scope.namespace.as_deref();
            [
                scope.pods.watch(client, namespace, &self.health),
                scope.replica_sets.watch(client, namespace, &self.health),
                scope.replication_controllers.watch(client, namespace, &self.health),
            ]
        });
        stream::select_all(watches).boxed()
    }

    /// Whether what is seen can be believed.
    pub(super) fn ready(&self, now: Timestamp) -> Result<(), String> {
        if !self.scopes.iter().all(Scope::is_filled) {
            return Err("still reading the cluster's pods".into());
        }
        let failing = self.health.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match failing.iter().find(|(_, since)| now.as_second() - since.as_second() > STALE_AFTER) {
            None => Ok(()),
            Some((kind, since)) => Err(format!("the watch of {kind} fails since {since}")),
        }
    }

    /// What is known of these names at this moment.
    pub(super) fn snapshot<'a>(&'a self, names: impl IntoIterator<Item = PodName>, now: Timestamp) -> Snapshot<'a> {
        let known = self.ready(now).is_ok();
        let mut pods = HashMap::new();
        if known {
            for name in names {
                pods.entry(name).or_insert_with_key(|name| self.pod(name));
            }
        }
        Snapshot { watched: self, known, pods, sizes: Mutex::default() }
    }

    fn pod(&self, name: &PodName) -> Option<keeper_kill::Pod> {
        let scope = self.scope(name.namespace())?;
        let pod = scope.pods.reader.get(&ObjectRef::new(name.name()).within(name.namespace()))?;
        Some(keeper_kill::Pod {
            uid: Uid::new(pod.uid().unwrap_or_default()),
            created: pod.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |created| created.0),
            workload: scope.workload_of(&pod),
            role: self.role(name, &pod),
            opted_in: pod.labels().get(KILL_LABEL).is_some_and(|value| value == KILL_ALLOWED),
            leaving: is_leaving(&pod),
        })
    }

    fn role(&self, name: &PodName, pod: &Meta<Pod>) -> Role {
        let by_uid = self.own.uid.is_some() && pod.uid() == self.own.uid;
        if by_uid || self.own.name.as_ref() == Some(name) {
            Role::Killer
        } else if pod.labels().contains_key(CANARY_OF) {
            Role::Canary
        } else if pod.annotations().contains_key(MIRROR) {
            Role::Static
        } else {
            Role::Ordinary
        }
    }

    fn scope(&self, namespace: &str) -> Option<&Scope> {
        self.scopes.iter().find(|scope| scope.namespace.as_deref().is_none_or(|own| own == namespace))
    }
}

impl Scope {
    fn is_filled(&self) -> bool {
        self.pods.is_filled() && self.replica_sets.is_filled() && self.replication_controllers.is_filled()
    }

    /// The top of the pod's chain of controllers: one step more for what a Deployment or DeploymentConfig makes.
    fn workload_of(&self, pod: &Meta<Pod>) -> Option<Workload> {
        let owner = controller(pod)?;
        let above = match owner.kind.as_str() {
            "ReplicaSet" => self.above(&self.replica_sets, pod, owner),
            "ReplicationController" => self.above(&self.replication_controllers, pod, owner),
            _ => None,
        };
        Some(workload(&above.unwrap_or_else(|| owner.clone())))
    }

    fn above<K: Resource<DynamicType = ()> + Clone>(
        &self,
        store: &Kept<K>,
        pod: &Meta<Pod>,
        owner: &OwnerReference,
    ) -> Option<OwnerReference> {
        let found = store.reader.get(&ObjectRef::new(&owner.name).within(&pod.namespace()?))?;
        (found.uid().as_deref() == Some(&owner.uid)).then(|| controller(found.as_ref()).cloned())?
    }

    /// How many pods the workload has.
    fn size(&self, namespace: &str, workload: &Workload) -> usize {
        let mut owners = HashSet::from([workload.uid.as_str().to_owned()]);
        owners.extend(self.replica_sets.controlled_by(&workload.uid));
        owners.extend(self.replication_controllers.controlled_by(&workload.uid));
        let here = |pod: &Arc<Meta<Pod>>| pod.namespace().as_deref() == Some(namespace) && !is_leaving(pod);
        let theirs = |pod: &Arc<Meta<Pod>>| controller(pod.as_ref()).is_some_and(|owner| owners.contains(&owner.uid));
        self.pods.reader.state().iter().filter(|pod| here(pod) && theirs(pod)).count()
    }
}

impl<K> Kept<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    fn new() -> Self {
        let (reader, writer) = store();
        Self { reader, writer: Mutex::new(Some(writer)) }
    }

    fn is_filled(&self) -> bool {
        futures::FutureExt::now_or_never(self.reader.wait_until_ready()).is_some_and(|ready| ready.is_ok())
    }

    fn controlled_by(&self, uid: &Uid) -> Vec<String> {
        let ours = |object: &Arc<Meta<K>>| controller(object.as_ref()).is_some_and(|owner| owner.uid == uid.as_str());
        self.reader.state().iter().filter(|object| ours(object)).filter_map(|object| object.uid()).collect()
    }
}

impl<K> Kept<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + fmt::Debug
        + Send
        + Sync
        + 'static,
{
    fn watch(&self, client: &Client, namespace: Option<&str>, health: &Arc<Health>) -> BoxStream<'static, ()> {
        let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return stream::empty().boxed();
        };
        let api: Api<Meta<K>> = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let health = Arc::clone(health);
        fed(watcher::watcher(api, watcher::Config::default()), writer, move |event| {
            health.note(&K::kind(&()), event.as_ref().err());
        })
    }
}

/// Drives a watch into its store.
fn fed<K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static>(
    events: impl Stream<Item = Result<Event<Meta<K>>, watcher::Error>> + Send + 'static,
    writer: store::Writer<Meta<K>>,
    note: impl Fn(&Result<Event<Meta<K>>, watcher::Error>) + Send + 'static,
) -> BoxStream<'static, ()> {
    events
        .default_backoff()
        .modify(|object| {
            object.metadata.managed_fields = None;
            object.annotations_mut().retain(|key, _| key == MIRROR);
        })
        .reflect(writer)
        .inspect(note)
        .map(|_| ())
        .boxed()
}

impl Health {
    fn note(&self, kind: &str, error: Option<&watcher::Error>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => {
                failing.remove(kind);
            }
            Some(error) => {
                tracing::debug!(kind, %error, "a watch failed and is tried again");
                failing.entry(kind.to_owned()).or_insert_with(Timestamp::now);
            }
        }
    }
}

fn controller<K: Resource<DynamicType = ()>>(object: &K) -> Option<&OwnerReference> {
    object.owner_references().iter().find(|owner| owner.controller == Some(true))
}

fn workload(owner: &OwnerReference) -> Workload {
    Workload {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: Uid::new(owner.uid.as_str()),
    }
}

fn is_leaving(pod: &Meta<Pod>) -> bool {
    pod.meta().deletion_timestamp.is_some() || pod.labels().contains_key(QUARANTINED)
}

/// What is known at one moment, for one batch.
pub(super) struct Snapshot<'a> {
    watched: &'a Watched,
    known: bool,
    pods: HashMap<PodName, Option<keeper_kill::Pod>>,
    /// Counted when asked for, once each.
    sizes: Mutex<HashMap<Uid, usize>>,
}

impl View for Snapshot<'_> {
    fn pod(&self, name: &PodName) -> Sight<'_> {
        match self.pods.get(name) {
            Some(Some(pod)) => Sight::Pod(pod),
            Some(None) => Sight::Gone,
            None if self.known => Sight::Gone,
            None => Sight::Unknown,
        }
    }

    fn size(&self, namespace: &str, workload: &Workload) -> usize {
        let count = || self.watched.scope(namespace).map_or(0, |scope| scope.size(namespace, workload));
        *self.sizes.lock().unwrap_or_else(PoisonError::into_inner).entry(workload.uid.clone()).or_insert_with(count)
    }
}
