//! What we see of the cluster through watches: one store a kind, trimmed to the fields that are used.

use crate::json;
use crate::kind::{self, Subject};
use futures::future::Ready;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, future, stream};
use jiff::Timestamp;
use keeper_clone::WorkloadKind;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The label that a canary, and the record of its rollouts, carry: the workload's name.
pub(crate) use keeper_api::keys::CANARY_OF;

/// A workload or Canary by namespace, name and kind.
pub(crate) type Key = (String, String, Subject);

/// Under which a Deployment that isn't ours keeps the hash of its template, in place of the template itself.
const TEMPLATE_HASH: &str = "templateHash";

/// The stores of one scope: a namespace, or the whole cluster.
pub(crate) struct View {
    deployments: Store<DynamicObject>,
    configs: Option<Configs>,
    canaries: Canaries,
    pub(crate) records: Store<DynamicObject>,
    replica_sets: Store<DynamicObject>,
    pods: Store<DynamicObject>,
    services: Store<DynamicObject>,
    slices: Store<DynamicObject>,
    health: Arc<Health>,
}

/// What is seen where the cluster has DeploymentConfigs.
struct Configs {
    workloads: Store<DynamicObject>,
    replication_controllers: Store<DynamicObject>,
}

/// The Canaries, where that kind is served.
struct Canaries {
    store: Store<DynamicObject>,
    /// Whether the server has answered what there are, or that there are none to be seen.
    known: tokio::sync::watch::Receiver<bool>,
}

/// Since when a watch fails, by kind.
#[derive(Default)]
struct Health(Mutex<BTreeMap<String, Timestamp>>);

/// How long a watch may fail before what it feeds counts as stale, in seconds.
const STALE_AFTER: i64 = 30;

impl View {
    /// Starts watching, DeploymentConfigs too if `with_configs`. The stream must be driven; it gives the workloads that
    /// something happened to.
    pub(crate) fn open(
        client: &Client,
        namespace: Option<&str>,
        with_configs: bool,
    ) -> (Arc<Self>, BoxStream<'static, ObjectRef<DynamicObject>>) {
        let health = Arc::new(Health::default());
        let all = watcher::Config::default();
        let follow = |kind: ApiResource, config: watcher::Config, trim: fn(&mut DynamicObject)| {
            follow(client, namespace, kind, config, trim, Arc::clone(&health))
        };
        let (deployments, a) = follow(kind::workload(WorkloadKind::Deployment), all.clone(), trim_workload);
        let (records, b) = follow(kind::config_map(), all.clone().labels(kind::RECORDS), trim_nothing);
        let (replica_sets, c) = follow(kind::replica_set(), all.clone(), trim_to_metadata);
        let (pods, d) = follow(kind::pod(), all.clone(), trim_pod);
        let (services, e) = follow(kind::service(), all.clone(), trim_service);
        let (slices, f) = follow(kind::endpoint_slice(), all.clone(), trim_slice);
        let mut of_configs = stream::empty().boxed();
        let configs = with_configs.then(|| {
            let kind = kind::workload(WorkloadKind::DeploymentConfig);
            let (workloads, changes) = follow(kind, all.clone(), trim_workload);
            let (replication_controllers, others) = follow(kind::replication_controller(), all, trim_to_metadata);
            let quiet = others.map(|_| Vec::new()).boxed();
            of_configs = stream::select(changes.map(|config| vec![reference(&config)]), quiet).boxed();
            Configs { workloads, replication_controllers }
        });
        let (canaries, g) = follow_canaries(client, namespace, Arc::clone(&health));
        let view =
            Arc::new(Self { deployments, configs, canaries, records, replica_sets, pods, services, slices, health });
        let [by_workload, by_owner, by_slice, by_canary] = [(); 4].map(|()| Arc::clone(&view));
        let triggers = stream::select_all([
            a.map(move |workload| by_workload.touched_by(&workload)).boxed(),
            of_configs,
            b.map(|record| owner_of(&record).into_iter().collect()).boxed(),
            c.map(|_| Vec::new()).boxed(),
            d.map(move |pod| by_owner.workload_of(&pod).into_iter().collect()).boxed(),
            e.map(|_| Vec::new()).boxed(),
            f.map(move |slice| by_slice.live_in(&slice.namespace().unwrap_or_default())).boxed(),
            g.map(move |canary| by_canary.rivals_of(&canary)).boxed(),
        ]);
        (view, triggers.flat_map(stream::iter).boxed())
    }

    /// Waits until every store was filled once.
    pub(crate) async fn ready(&self) {
        let stores = [&self.deployments, &self.records, &self.replica_sets, &self.pods, &self.services, &self.slices];
        let of_configs = self.configs.iter().flat_map(|configs| [&configs.workloads, &configs.replication_controllers]);
        for store in stores.into_iter().chain(of_configs) {
            // The writer lives as long as the stream that feeds it; where it is gone, the program is ending.
            let _ = store.wait_until_ready().await;
        }
        let _ = self.canaries.known.clone().wait_for(|known| *known).await;
    }

    /// Whether what is seen is fresh; else which watch fails.
    pub(crate) fn fresh(&self, now: Timestamp) -> Result<(), String> {
        let failing = self.health.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failing.iter().find(|(_, since)| now.as_second() - since.as_second() > STALE_AFTER) {
            None => Ok(()),
            Some((kind, since)) => Err(format!("the watch of {kind} fails since {since}")),
        }
    }

    /// The store of one kind; none where the cluster has no such kind.
    pub(crate) fn subjects(&self, subject: Subject) -> Option<&Store<DynamicObject>> {
        match subject {
            Subject::Workload(WorkloadKind::Deployment) => Some(&self.deployments),
            Subject::Workload(WorkloadKind::DeploymentConfig) => {
                self.configs.as_ref().map(|configs| &configs.workloads)
            }
            Subject::Canary => Some(&self.canaries.store),
        }
    }

    /// The workload or Canary. A Deployment without our label is kept in part only: see [`whole_template_hash`].
    pub(crate) fn subject(&self, (namespace, name, subject): &Key) -> Option<Arc<DynamicObject>> {
        self.subjects(*subject)?.get(&subject.reference(namespace, name))
    }

    /// The Canaries of a namespace.
    pub(crate) fn canary_resources(&self, namespace: &str) -> Vec<Arc<DynamicObject>> {
        in_namespace(&self.canaries.store, namespace)
    }

    /// The Deployment that was made for the Canary of that uid.
    pub(crate) fn canary_deployment(&self, namespace: &str, uid: &str) -> Option<Arc<DynamicObject>> {
        let ours = |owner: Option<(String, String)>| owner.is_some_and(|(_, owner)| owner == uid);
        let mut all = in_namespace(&self.deployments, namespace).into_iter();
        all.find(|deployment| ours(kind::owning_canary(deployment)))
    }

    /// The Deployments that were made for a Canary of that name, whichever Canary that was.
    pub(crate) fn deployments_of_canary(&self, namespace: &str, name: &str) -> Vec<Arc<DynamicObject>> {
        let mut all = in_namespace(&self.deployments, namespace);
        all.retain(|deployment| kind::owning_canary(deployment).is_some_and(|(owner, _)| owner == name));
        all
    }

    /// The pods of one run for one Deployment: runs for two of them may have the same id.
    pub(crate) fn pods_of_run(&self, namespace: &str, deployment: &str, run: &str) -> Vec<Arc<DynamicObject>> {
        let mut all = in_namespace(&self.pods, namespace);
        let (of, run) = (Some(keeper_clone::label_value(deployment)), Some(run));
        all.retain(|pod| {
            pod.labels().get(CANARY_OF) == of.as_ref()
                && pod.labels().get(keeper_api::keys::RUN_LABEL).map(String::as_str) == run
        });
        all
    }

    pub(crate) fn record(&self, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        self.records.get(&ObjectRef::new_with(name, kind::config_map()).within(namespace))
    }

    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        self.pods.get(&ObjectRef::new_with(name, kind::pod()).within(namespace))
    }

    /// The production pods: those that a controller of the workload controls, found through the chain of controllers.
    pub(crate) fn production_pods(&self, namespace: &str, workload_uid: &str) -> Vec<Arc<DynamicObject>> {
        let ours = |set: &Arc<DynamicObject>| controller_uid(set) == Some(workload_uid);
        let sets: Vec<String> = self.all_controllers().iter().filter(|s| ours(s)).filter_map(|s| s.uid()).collect();
        let here = |pod: &Arc<DynamicObject>| pod.namespace().as_deref() == Some(namespace);
        let owned =
            |pod: &Arc<DynamicObject>| controller_uid(pod).is_some_and(|owner| sets.iter().any(|set| set == owner));
        self.pods.state().into_iter().filter(here).filter(owned).collect()
    }

    /// The ReplicaSets of a namespace, and its ReplicationControllers where there are DeploymentConfigs.
    pub(crate) fn controllers(&self, namespace: &str) -> Vec<Arc<DynamicObject>> {
        let mut all = self.all_controllers();
        all.retain(|controller| controller.namespace().as_deref() == Some(namespace));
        all
    }

    fn all_controllers(&self) -> Vec<Arc<DynamicObject>> {
        let mut all = self.replica_sets.state();
        all.extend(self.configs.iter().flat_map(|configs| configs.replication_controllers.state()));
        all
    }

    /// The Services of a namespace.
    pub(crate) fn services(&self, namespace: &str) -> Vec<Arc<DynamicObject>> {
        in_namespace(&self.services, namespace)
    }

    /// The EndpointSlices of a namespace.
    pub(crate) fn slices(&self, namespace: &str) -> Vec<Arc<DynamicObject>> {
        in_namespace(&self.slices, namespace)
    }

    /// Every canary there is, terminating ones too.
    pub(crate) fn canaries(&self) -> Vec<Arc<DynamicObject>> {
        self.pods.state().into_iter().filter(|pod| pod.labels().contains_key(CANARY_OF)).collect()
    }

    /// Whose canary a pod is: directly, or through ReplicaSet and Deployment.
    pub(crate) fn subject_of_canary(&self, pod: &DynamicObject) -> Option<(Subject, ObjectRef<DynamicObject>)> {
        let directly = kind::owning_subject(pod).filter(|_| pod.labels().contains_key(CANARY_OF));
        directly.or_else(|| {
            let namespace = pod.namespace()?;
            let owner = pod.owner_references().iter().find(|owner| owner.kind == "ReplicaSet")?;
            let set =
                self.replica_sets.get(&ObjectRef::new_with(&owner.name, kind::replica_set()).within(&namespace))?;
            let (_, deployment) = kind::owning_subject(&set)?;
            let (name, _) = kind::owning_canary(self.deployments.get(&deployment)?.as_ref())?;
            Some((Subject::Canary, Subject::Canary.reference(&namespace, &name)))
        })
    }

    fn workload_of(&self, pod: &DynamicObject) -> Option<ObjectRef<DynamicObject>> {
        if pod.labels().contains_key(CANARY_OF) {
            return self.subject_of_canary(pod).map(|(_, subject)| subject);
        }
        let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true))?;
        let (kind, store) = match owner.kind.as_str() {
            "ReplicaSet" => (kind::replica_set(), &self.replica_sets),
            "ReplicationController" => {
                (kind::replication_controller(), &self.configs.as_ref()?.replication_controllers)
            }
            _ => return None,
        };
        owner_of(store.get(&ObjectRef::new_with(&owner.name, kind).within(&pod.namespace()?))?.as_ref())
    }

    /// The workloads with a run under way in a namespace: an EndpointSlice may have listed their canary.
    fn live_in(&self, namespace: &str) -> Vec<ObjectRef<DynamicObject>> {
        let canaries = self.canaries();
        let here = canaries.iter().filter(|pod| pod.namespace().as_deref() == Some(namespace));
        here.filter_map(|pod| self.subject_of_canary(pod)).map(|(_, subject)| subject).collect()
    }

    /// What a Deployment's change is of interest to: itself, the Canaries whose production it is, and the one it tries.
    fn touched_by(&self, deployment: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
        let namespace = deployment.namespace().unwrap_or_default();
        let mut all = vec![reference(deployment)];
        all.extend(self.canaries_for(&namespace, &deployment.name_any()));
        all.extend(kind::owning_canary(deployment).map(|(name, _)| Subject::Canary.reference(&namespace, &name)));
        all
    }

    /// A Canary and all others for the same Deployment: which of them acts may have changed.
    fn rivals_of(&self, canary: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
        let namespace = canary.namespace().unwrap_or_default();
        let mut all = self.canaries_for(&namespace, deployment_name(canary).unwrap_or_default());
        let itself = Subject::Canary.reference(&namespace, &canary.name_any());
        if !all.contains(&itself) {
            all.push(itself);
        }
        all
    }

    fn canaries_for(&self, namespace: &str, deployment: &str) -> Vec<ObjectRef<DynamicObject>> {
        let all = self.canary_resources(namespace);
        let named = all.iter().filter(|canary| deployment_name(canary) == Some(deployment));
        named.map(|canary| Subject::Canary.reference(namespace, &canary.name_any())).collect()
    }
}

/// The production Deployment that a Canary names, as written.
pub(crate) fn deployment_name(canary: &DynamicObject) -> Option<&str> {
    json::text(&canary.data, "/spec/deploymentTemplate/metadata/name")
}

/// The hash of a Deployment's template, whether it is there or only its hash was kept.
pub(crate) fn whole_template_hash(deployment: &DynamicObject) -> String {
    let kept = deployment.data.get(TEMPLATE_HASH).and_then(Value::as_str).map(str::to_owned);
    let nothing = Value::Null;
    let template = || deployment.data.pointer("/spec/template").unwrap_or(&nothing);
    kept.unwrap_or_else(|| keeper_clone::whole_template_hash(template()))
}

/// Whether all of a Deployment is there, as the server served it.
pub(crate) fn is_whole(deployment: &DynamicObject) -> bool {
    deployment.data.get(TEMPLATE_HASH).is_none()
}

fn in_namespace(store: &Store<DynamicObject>, namespace: &str) -> Vec<Arc<DynamicObject>> {
    store.state().into_iter().filter(|object| object.namespace().as_deref() == Some(namespace)).collect()
}

pub(crate) fn reference(workload: &DynamicObject) -> ObjectRef<DynamicObject> {
    ObjectRef::from_obj_with(workload, Subject::of(workload).resource())
}

fn owner_of(object: &DynamicObject) -> Option<ObjectRef<DynamicObject>> {
    kind::owning_subject(object).map(|(_, owner)| owner)
}

pub(crate) fn controller_uid(object: &DynamicObject) -> Option<&str> {
    let controls = object.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    Some(&controls.uid)
}

/// Canaries are looked for whether they are served or not: a kind that isn't there, or may not be seen, is no failure of
/// ours, and is asked for again as long as we run.
fn follow_canaries(
    client: &Client,
    namespace: Option<&str>,
    health: Arc<Health>,
) -> (Canaries, impl Stream<Item = DynamicObject> + Send + 'static) {
    let kind = Subject::Canary.resource();
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    let (reader, writer) = store_of(kind.clone());
    let (answered, known) = tokio::sync::watch::channel(false);
    let name = kind.kind.clone();
    let noted = move |event: &Result<Event<DynamicObject>, watcher::Error>| match event {
        Ok(Event::Init | Event::InitApply(_)) => {}
        Ok(_) => {
            health.note(&name, None);
            answered.send_replace(true);
        }
        Err(error) if is_not_served(error) => {
            tracing::debug!(%error, "there are no Canaries to be seen; asked again");
            health.note(&name, None);
            answered.send_replace(true);
        }
        Err(error) => health.note(&name, Some(error)),
    };
    let events = watch(api, watcher::Config::default())
        .default_backoff()
        .modify(move |canary| {
            canary.managed_fields_mut().clear();
            kind::note(canary, &kind);
        })
        .reflect(writer)
        .inspect(noted);
    (Canaries { store: reader, known }, events.touched_objects().filter_map(ok))
}

/// Whether the server says that there is no such kind, or that we may not see it.
fn is_not_served(error: &watcher::Error) -> bool {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code,
        _ => return false,
    };
    matches!(code, 403 | 404)
}

fn follow(
    client: &Client,
    namespace: Option<&str>,
    kind: ApiResource,
    config: watcher::Config,
    trim: fn(&mut DynamicObject),
    health: Arc<Health>,
) -> (Store<DynamicObject>, impl Stream<Item = DynamicObject> + Send + 'static) {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    let (reader, writer) = store_of(kind.clone());
    let resource = kind.clone();
    let noted =
        move |event: &Result<Event<DynamicObject>, watcher::Error>| health.note(&kind.kind, event.as_ref().err());
    let events = watch(api, config)
        .default_backoff()
        .modify(move |object| {
            trim(object);
            // In lists of built-in kinds the objects don't say what they are.
            kind::note(object, &resource);
        })
        .reflect(writer)
        .inspect(noted);
    (reader, events.touched_objects().filter_map(ok))
}

fn store_of(kind: ApiResource) -> (Store<DynamicObject>, store::Writer<DynamicObject>) {
    let writer = store::Writer::new(kind);
    (writer.as_reader(), writer)
}

/// A watch that fails is noted in its health and tries again by itself.
fn ok(event: Result<DynamicObject, watcher::Error>) -> Ready<Option<DynamicObject>> {
    future::ready(event.ok())
}

impl Health {
    fn note(&self, kind: &str, error: Option<&watcher::Error>) {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

fn trim_nothing(_: &mut DynamicObject) {}

/// Of a workload that isn't labelled as ours only what a Canary needs to know of its production is kept: how far it is, what it
/// runs, and a hash of its template.
fn trim_workload(workload: &mut DynamicObject) {
    workload.managed_fields_mut().clear();
    let ours = workload.labels().contains_key(keeper_api::keys::CANARY_LABEL);
    if ours {
        return;
    }
    workload.annotations_mut().retain(|key, _| key.starts_with(keeper_api::keys::PREFIX));
    let kept = |pointer| workload.data.pointer(pointer).cloned().unwrap_or(Value::Null);
    let hash = keeper_clone::whole_template_hash(&kept("/spec/template"));
    let containers = |list: &str| -> Vec<Value> {
        let all = json::list(&workload.data, list).iter();
        all.map(|c| json!({ "name": c.get("name"), "image": c.get("image") })).collect()
    };
    let template = json!({
        "metadata": { "labels": kept("/spec/template/metadata/labels") },
        "spec": {
            "containers": containers("/spec/template/spec/containers"),
            "initContainers": containers("/spec/template/spec/initContainers"),
        },
    });
    let spec = json!({
        "selector": kept("/spec/selector"), "replicas": kept("/spec/replicas"), "paused": kept("/spec/paused"),
        "template": template,
    });
    workload.data = json!({ "spec": spec, "status": kept("/status"), TEMPLATE_HASH: hash });
}

fn trim_to_metadata(object: &mut DynamicObject) {
    object.managed_fields_mut().clear();
    let kept = |pointer| object.data.pointer(pointer).cloned().unwrap_or(Value::Null);
    object.data = json!({ "spec": { "selector": kept("/spec/selector"), "replicas": kept("/spec/replicas") } });
}

fn trim_pod(pod: &mut DynamicObject) {
    pod.managed_fields_mut().clear();
    pod.annotations_mut().retain(|key, _| key.starts_with(keeper_api::keys::PREFIX));
    let container = |status: &Value| {
        let mut kept = json!({});
        for key in ["name", "ready", "restartCount", "imageID", "state", "lastState"] {
            if let (Some(value), Some(kept)) = (status.get(key), kept.as_object_mut()) {
                kept.insert(key.to_owned(), value.clone());
            }
        }
        kept
    };
    let containers = |of| -> Vec<Value> { json::list(&pod.data, of).iter().map(container).collect() };
    let status = json!({
        "phase": pod.data.pointer("/status/phase"),
        "reason": pod.data.pointer("/status/reason"),
        "message": pod.data.pointer("/status/message"),
        "podIP": pod.data.pointer("/status/podIP"),
        "conditions": pod.data.pointer("/status/conditions"),
        "containerStatuses": containers("/status/containerStatuses"),
        "initContainerStatuses": containers("/status/initContainerStatuses"),
    });
    pod.data = json!({ "status": status });
}

fn trim_service(service: &mut DynamicObject) {
    service.managed_fields_mut().clear();
    service.annotations_mut().clear();
    let selector = service.data.pointer("/spec/selector").cloned().unwrap_or(Value::Null);
    service.data = json!({ "spec": { "selector": selector } });
}

fn trim_slice(slice: &mut DynamicObject) {
    slice.managed_fields_mut().clear();
    slice.annotations_mut().clear();
    let endpoints = slice.data.get("endpoints").cloned().unwrap_or(Value::Null);
    slice.data = json!({ "endpoints": endpoints });
}
