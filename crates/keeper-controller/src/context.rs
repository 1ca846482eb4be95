use crate::cluster::Cluster;
use crate::kind::Subject;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::observe::{CanaryLimits, Crowd};
use crate::signals::MakeSignals;
use crate::view::{Key, View};
use futures::channel::mpsc::UnboundedSender;
use keeper_api::Defaults;
use keeper_image::{Repository, TagWatcher};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the operator's owner decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespaces that are served; empty: all.
    pub namespaces: Vec<String>,
    /// What a workload that says nothing gets.
    pub defaults: Defaults,
    /// Repositories that a workload may move to although it runs another one, as `host/path`, or `host/path/*`.
    pub allowed_repositories: Vec<String>,
    /// The most canaries at once.
    pub limits: CanaryLimits,
    /// How much longer than its rollout may take a canary lives that nobody watches. Default 10 min.
    pub canary_grace: Duration,
    /// Who tells Events: the operator's pod or host.
    pub instance: String,
    /// How alerts are matched.
    pub alerts: keeper_alertmanager::MatchRules,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            defaults: Defaults::default(),
            allowed_repositories: Vec::new(),
            limits: CanaryLimits::default(),
            canary_grace: Duration::from_secs(600),
            instance: "canary-keeper".to_owned(),
            alerts: keeper_alertmanager::MatchRules::default(),
        }
    }
}

/// What all scopes share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) cluster: Cluster,
    pub(crate) tags: TagWatcher,
    pub(crate) signals: Arc<dyn MakeSignals>,
    pub(crate) metrics: Metrics,
    views: Mutex<Vec<Arc<View>>>,
    /// The workloads whose canary may run, with the Services it stands behind: known before any watch shows it.
    live: Mutex<BTreeMap<Key, BTreeSet<String>>>,
}

/// One scope and kind at work.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: Arc<View>,
    /// What it is about.
    pub(crate) subject: Subject,
    pub(crate) triggers: UnboundedSender<ObjectRef<DynamicObject>>,
    memories: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Memory>>>>,
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        cluster: Cluster,
        tags: TagWatcher,
        signals: Arc<dyn MakeSignals>,
        metrics: Metrics,
    ) -> Self {
        Self { settings, cluster, tags, signals, metrics, views: Mutex::default(), live: Mutex::default() }
    }

    pub(crate) fn add_view(&self, view: Arc<View>) {
        locked(&self.views).push(view);
    }

    pub(crate) fn views(&self) -> Vec<Arc<View>> {
        locked(&self.views).clone()
    }

    /// Notes whether the workload's canary may run.
    pub(crate) fn note_run(&self, key: &Key, under_way: bool, services: &[Arc<DynamicObject>]) {
        if !under_way {
            return self.set_gone(key);
        }
        locked(&self.live).insert(key.clone(), services.iter().map(|service| service.name_any()).collect());
    }

    pub(crate) fn set_gone(&self, key: &Key) {
        locked(&self.live).remove(key);
    }

    /// The other canaries there are, as seen from one workload and its Services.
    pub(crate) fn crowd(&self, key: &Key, services: &[Arc<DynamicObject>]) -> Crowd {
        self.crowd_with(key, services, &locked(&self.live))
    }

    /// Takes a place for the workload's canary; `false` where another took it since the crowd was looked at. Workloads
    /// are reconciled at once: without this, two of them could both find the place free.
    pub(crate) fn take_place(&self, key: &Key, services: &[Arc<DynamicObject>]) -> bool {
        let mut live = locked(&self.live);
        let free = crate::observe::crowded(&self.crowd_with(key, services, &live), self.settings.limits).is_none();
        if free {
            live.insert(key.clone(), services.iter().map(|service| service.name_any()).collect());
        }
        free
    }

    fn crowd_with(&self, key: &Key, services: &[Arc<DynamicObject>], live: &BTreeMap<Key, BTreeSet<String>>) -> Crowd {
        let mut others: BTreeMap<Key, bool> = BTreeMap::new();
        for view in self.views() {
            for pod in view.canaries() {
                let Some((subject, of)) = view.subject_of_canary(&pod) else { continue };
                let there = (pod.namespace().unwrap_or_default(), of.name, subject);
                let beside = there.0 == key.0
                    && services.iter().any(|s| crate::json::selects(s.data.pointer("/spec/selector"), pod.labels()));
                others.insert(there, beside);
            }
        }
        for (there, behind) in live {
            let shares = there.0 == key.0 && services.iter().any(|service| behind.contains(&service.name_any()));
            *others.entry(there.clone()).or_default() |= shares;
        }
        others.remove(key);
        Crowd {
            in_namespace: others.keys().filter(|other| other.0 == key.0).count(),
            in_all: others.len(),
            neighbour: others.iter().find(|(_, beside)| **beside).map(|(other, _)| other.1.clone()),
        }
    }

    /// Whether a workload may move to that repository although it runs another.
    pub(crate) fn allows(&self, repository: &Repository) -> bool {
        let name = repository.to_string();
        self.settings.allowed_repositories.iter().any(|allowed| match allowed.strip_suffix("/*") {
            Some(prefix) => name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')),
            None => *allowed == name,
        })
    }
}

impl Context {
    pub(crate) fn new(
        shared: Arc<Shared>,
        view: Arc<View>,
        subject: Subject,
        triggers: UnboundedSender<ObjectRef<DynamicObject>>,
    ) -> Self {
        Self { shared, view, subject, triggers, memories: Mutex::default() }
    }

    pub(crate) fn memory(&self, key: &Key) -> Arc<tokio::sync::Mutex<Memory>> {
        Arc::clone(locked(&self.memories).entry(key.clone()).or_default())
    }

    pub(crate) fn forget(&self, key: &Key) {
        locked(&self.memories).remove(key);
        self.shared.set_gone(key);
        self.shared.metrics.phase(key, None);
    }
}

/// What is behind these locks is whole after every statement: a panic elsewhere spoils nothing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
