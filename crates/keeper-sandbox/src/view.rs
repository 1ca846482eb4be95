//! A local copy of some kinds of objects, kept by watches, that already knows the process's own writes.
//!
//! A controller that decides from a watch alone acts twice when its own write has not come back yet. Kubernetes keeps a count
//! of "expectations" against that; here every answer to a write goes into the copy at once, and an older watch event that
//! arrives later is ignored.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::watcher::{self, Event, watcher},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::objects::{Key, Kind, Meta, Object};

/// How many deleted objects are remembered, so that a late event does not bring them back.
const TOMBSTONES: usize = 4096;
/// A watch that fails is begun again after this, doubled at each failure up to [`SLOWEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);

/// One object changed: before and after, at least one of them there.
pub(crate) struct Change<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) old: Option<&'a Arc<Object>>,
    pub(crate) new: Option<&'a Arc<Object>>,
}

impl Change<'_> {
    /// The newest known state of the object.
    pub(crate) fn latest(&self) -> Option<&Object> {
        self.new.or(self.old).map(|object| &**object)
    }
}

type Listener = Box<dyn Fn(&Change<'_>) + Send + Sync>;

/// The local copy. Clones share it.
#[derive(Clone)]
pub(crate) struct View {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    namespace: Option<String>,
    shelves: Mutex<HashMap<String, Shelf>>,
    listeners: RwLock<Vec<Listener>>,
    synced: Notify,
}

#[derive(Default)]
struct Shelf {
    objects: BTreeMap<Key, Arc<Object>>,
    tombstones: VecDeque<String>,
    buried: HashSet<String>,
    synced: Arc<AtomicBool>,
}

impl View {
    pub(crate) fn new(client: Client) -> Self {
        Self::within(client, None)
    }

    /// A copy of one namespace alone; kinds without namespaces can't be followed then.
    pub(crate) fn within(client: Client, namespace: Option<String>) -> Self {
        let inner = Inner {
            client,
            namespace,
            shelves: Mutex::new(HashMap::new()),
            listeners: RwLock::new(Vec::new()),
            synced: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn client(&self) -> Client {
        self.inner.client.clone()
    }

    /// Calls `listener` at each change from now on, in the task that learned of it: it must be quick.
    pub(crate) fn on_change(&self, listener: impl Fn(&Change<'_>) + Send + Sync + 'static) {
        self.inner.listeners.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(listener));
    }

    /// Starts to watch all objects of a kind until `shutdown`.
    pub(crate) fn follow(&self, kind: &Kind, config: watcher::Config, shutdown: CancellationToken) {
        self.shelves().entry(kind.id()).or_default();
        let (view, kind) = (self.clone(), kind.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = view.watch(&kind, config) => {}
            }
        });
    }

    /// Returns once every followed kind was listed.
    pub(crate) async fn synced(&self) {
        loop {
            let notified = self.inner.synced.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.shelves().values().all(|shelf| shelf.synced.load(Ordering::Acquire)) {
                return;
            }
            notified.await;
        }
    }

    async fn watch(&self, kind: &Kind, config: watcher::Config) {
        let api: Api<Object> = match &self.inner.namespace {
            Some(namespace) => Api::namespaced_with(self.client(), namespace, &kind.resource),
            None => Api::all_with(self.client(), &kind.resource),
        };
        let mut events = watcher(api, config).boxed();
        let mut listed: Vec<Object> = Vec::new();
        let mut retry = FIRST_RETRY;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => listed.push(object),
                Ok(Event::InitDone) => self.replace_all(kind, std::mem::take(&mut listed)),
                Ok(Event::Apply(object)) => self.learn(kind, object),
                Ok(Event::Delete(object)) => self.forget(kind, &object.key(), object.uid()),
                Err(error) => {
                    tracing::debug!(kind = kind.id(), %error, "watch failed, beginning again");
                    if is_not_served(&error) {
                        self.forget_all(kind);
                    }
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(SLOWEST_RETRY);
                    continue;
                }
            }
            retry = FIRST_RETRY;
        }
    }

    /// A fresh list: what it lacks is gone, unless it was made after the list was read.
    fn replace_all(&self, kind: &Kind, listed: Vec<Object>) {
        let newest = listed.iter().filter_map(Meta::version).max().unwrap_or(0);
        let present: HashSet<String> = listed.iter().map(|object| object.uid().to_owned()).collect();
        let gone: Vec<Arc<Object>> = self
            .all(kind, None)
            .into_iter()
            .filter(|object| {
                !present.contains(object.uid()) && object.version().is_none_or(|version| version <= newest)
            })
            .collect();
        for object in gone {
            self.forget(kind, &object.key(), object.uid());
        }
        for object in listed {
            self.learn(kind, object);
        }
        self.is_synced(kind);
    }

    /// The kind is not served: its definition went, or has not come yet. There is none of it, and nobody must wait for it.
    fn forget_all(&self, kind: &Kind) {
        for object in self.all(kind, None) {
            self.forget(kind, &object.key(), object.uid());
        }
        self.is_synced(kind);
    }

    fn is_synced(&self, kind: &Kind) {
        if let Some(shelf) = self.shelves().get(&kind.id()) {
            shelf.synced.store(true, Ordering::Release);
        }
        self.inner.synced.notify_waiters();
    }

    /// Takes in a state of an object, from a watch or from the answer to a write; an older one than is known is ignored.
    pub(crate) fn learn(&self, kind: &Kind, object: Object) {
        let new = Arc::new(object);
        let old = {
            let mut shelves = self.shelves();
            let shelf = shelves.entry(kind.id()).or_default();
            if shelf.buried.contains(new.uid()) {
                return;
            }
            let key = new.key();
            if let Some(known) = shelf.objects.get(&key)
                && known.uid() == new.uid()
                && known.version() >= new.version()
            {
                return;
            }
            shelf.objects.insert(key, Arc::clone(&new))
        };
        match old {
            // The name was taken over by another object: its predecessor is gone, and whoever waits for that must hear it.
            Some(old) if old.uid() != new.uid() => {
                self.tell(&Change { kind, old: Some(&old), new: None });
                self.tell(&Change { kind, old: None, new: Some(&new) });
            }
            old => self.tell(&Change { kind, old: old.as_ref(), new: Some(&new) }),
        }
    }

    /// Forgets an object that is deleted for good.
    pub(crate) fn forget(&self, kind: &Kind, key: &Key, uid: &str) {
        let old = {
            let mut shelves = self.shelves();
            let shelf = shelves.entry(kind.id()).or_default();
            shelf.bury(uid);
            if shelf.objects.get(key).is_some_and(|known| known.uid() == uid) {
                shelf.objects.remove(key)
            } else {
                None
            }
        };
        if let Some(old) = old {
            self.tell(&Change { kind, old: Some(&old), new: None });
        }
    }

    fn tell(&self, change: &Change<'_>) {
        for listener in self.inner.listeners.read().unwrap_or_else(PoisonError::into_inner).iter() {
            listener(change);
        }
    }

    pub(crate) fn get(&self, kind: &Kind, key: &Key) -> Option<Arc<Object>> {
        self.shelves().get(&kind.id())?.objects.get(key).cloned()
    }

    /// All objects of a kind, in one namespace or everywhere, by name.
    pub(crate) fn all(&self, kind: &Kind, namespace: Option<&str>) -> Vec<Arc<Object>> {
        let shelves = self.shelves();
        let Some(shelf) = shelves.get(&kind.id()) else { return Vec::new() };
        let wanted = |key: &Key| namespace.is_none_or(|namespace| key.namespace == namespace);
        shelf.objects.iter().filter(|(key, _)| wanted(key)).map(|(_, object)| Arc::clone(object)).collect()
    }

    fn shelves(&self) -> MutexGuard<'_, HashMap<String, Shelf>> {
        self.inner.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes. The copy knows the outcome when they return.
impl View {
    pub(crate) fn api(&self, kind: &Kind, namespace: &str) -> Api<Object> {
        if kind.namespaced && !namespace.is_empty() {
            Api::namespaced_with(self.client(), namespace, &kind.resource)
        } else {
            Api::all_with(self.client(), &kind.resource)
        }
    }

    pub(crate) async fn create(&self, kind: &Kind, object: &Object) -> kube::Result<Object> {
        let created = self.api(kind, object.namespace()).create(&PostParams::default(), object).await?;
        self.learn(kind, created.clone());
        Ok(created)
    }

    pub(crate) async fn replace(&self, kind: &Kind, object: &Object) -> kube::Result<Object> {
        let api = self.api(kind, object.namespace());
        let replaced = api.replace(object.name(), &PostParams::default(), object).await?;
        self.learn(kind, replaced.clone());
        Ok(replaced)
    }

    pub(crate) async fn replace_status(&self, kind: &Kind, object: &Object) -> kube::Result<Object> {
        let api = self.api(kind, object.namespace());
        let replaced = api.replace_status(object.name(), &PostParams::default(), object).await?;
        self.learn(kind, replaced.clone());
        Ok(replaced)
    }

    /// A JSON merge patch that only lands on the object with this uid.
    pub(crate) async fn merge(&self, kind: &Kind, object: &Object, patch: Value) -> kube::Result<Object> {
        let mut patch = patch;
        crate::objects::set(&mut patch, &["metadata", "uid"], json!(object.uid()));
        let api = self.api(kind, object.namespace());
        let patched = api.patch(object.name(), &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.learn(kind, patched.clone());
        Ok(patched)
    }

    /// Deletes exactly this object, its dependents in the background. That it is gone already is a success.
    pub(crate) async fn delete(&self, kind: &Kind, object: &Object, grace: Option<u32>) -> kube::Result<()> {
        let params = DeleteParams { grace_period_seconds: grace, ..DeleteParams::background() };
        self.delete_as(kind, object, params).await
    }

    /// Deletes exactly this object, with these options beside its uid.
    pub(crate) async fn delete_as(&self, kind: &Kind, object: &Object, params: DeleteParams) -> kube::Result<()> {
        let preconditions = Preconditions { uid: Some(object.uid().to_owned()), resource_version: None };
        let params = params.preconditions(preconditions);
        let kept = match self.api(kind, object.namespace()).delete(object.name(), &params).await {
            // Some servers answer a deletion that is done with the last state of the object.
            Ok(answer) => answer.left().filter(|left| {
                let finalizers = left.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
                finalizers || (left.deleting() && left.metadata.deletion_grace_period_seconds != Some(0))
            }),
            Err(error) if is_gone(&error) => None,
            Err(error) => return Err(error),
        };
        match kept {
            Some(left) => self.learn(kind, left),
            None => self.forget(kind, &object.key(), object.uid()),
        }
        Ok(())
    }
}

impl Shelf {
    fn bury(&mut self, uid: &str) {
        if self.buried.insert(uid.to_owned()) {
            self.tombstones.push_back(uid.to_owned());
        }
        while self.tombstones.len() > TOMBSTONES {
            if let Some(oldest) = self.tombstones.pop_front() {
                self.buried.remove(&oldest);
            }
        }
    }
}

/// The HTTP status of an answer that refused a request.
pub(crate) fn status_of(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// The server knows no such kind.
fn is_not_served(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => is_gone(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => false,
    }
}

/// The object of the request does not exist (any more).
pub(crate) fn is_gone(error: &kube::Error) -> bool {
    status_of(error) == Some(404)
}

/// Somebody else wrote first: look again.
pub(crate) fn is_conflict(error: &kube::Error) -> bool {
    status_of(error) == Some(409)
}

/// Whether an error's status carries this reason, as `AlreadyExists`.
pub(crate) fn has_reason(error: &kube::Error, reason: &str) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == reason)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::api::{ApiConfig, ApiServer};
    use crate::objects::{DEPLOYMENT_CONFIGS, PODS, object};

    /// Over a client that is never asked anything.
    fn view() -> View {
        let service = tower::service_fn(|_request: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("not asked"))
        });
        View::new(Client::new(service, "default"))
    }

    fn pod(uid: &str, version: u64) -> Object {
        object(
            &PODS,
            json!({"metadata": {"name": "a", "namespace": "n", "uid": uid, "resourceVersion": version.to_string()}}),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn an_older_state_never_replaces_a_newer_one() {
        let view = view();
        view.learn(&PODS, pod("1", 7));
        view.learn(&PODS, pod("1", 5));
        assert_eq!(view.get(&PODS, &Key::new("n", "a")).and_then(|pod| pod.version()), Some(7));
    }

    #[tokio::test]
    async fn a_late_event_does_not_bring_back_the_dead() {
        let view = view();
        view.learn(&PODS, pod("1", 7));
        view.forget(&PODS, &Key::new("n", "a"), "1");
        view.learn(&PODS, pod("1", 8));
        assert!(view.get(&PODS, &Key::new("n", "a")).is_none());
        view.learn(&PODS, pod("2", 9));
        assert!(view.get(&PODS, &Key::new("n", "a")).is_some(), "another object may take the name");
    }

    #[tokio::test]
    async fn a_name_taken_over_tells_that_the_first_is_gone() {
        let view = view();
        let gone = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&gone);
        view.on_change(move |change| {
            count.fetch_add(usize::from(change.new.is_none()), Ordering::Relaxed);
        });
        view.learn(&PODS, pod("1", 7));
        view.learn(&PODS, pod("2", 9));
        assert_eq!(gone.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_list_keeps_what_was_made_after_it_was_read() {
        let view = view();
        view.learn(&PODS, pod("mine", 20));
        let mut other = pod("other", 10);
        other.metadata.name = Some("b".into());
        view.replace_all(&PODS, vec![other]);
        assert_eq!(view.all(&PODS, Some("n")).len(), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_waits_for_a_kind_that_is_not_served() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = ApiServer::serve(ApiConfig::default()).await.unwrap();
        let config = kube::Config::new(server.url().parse().unwrap());
        let view = View::new(Client::try_from(config).unwrap());
        let ends = CancellationToken::new();
        let _ends = ends.clone().drop_guard();
        for kind in [&PODS, &DEPLOYMENT_CONFIGS] {
            view.follow(kind, watcher::Config::default(), ends.clone());
        }
        tokio::time::timeout(Duration::from_secs(30), view.synced()).await.expect("what is served was listed");
        server.stop().await;
    }
}
