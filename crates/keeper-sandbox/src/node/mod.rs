//! A node: a client of any API server that runs pods on this machine.
//!
//! It plays the kubelet and, where there is none, the scheduler. A pod is a process (or several) with an address of its own,
//! or an instant fake ([`NodeMode::Fake`]) whose behaviour a test scripts ([`FakeScript`]). What to run comes from the image:
//! the pull spec is resolved at its registry over plain HTTP, and manifest and config are read by digest. An image without
//! layers, as the sandbox's own registry makes them, names a program of this machine by its entrypoint. One with layers is
//! run in a root directory of its own, which takes the programs `tar` and `chroot`, and root's rights: run none that you
//! would not run as root. [`Node::load_image`] puts an image on the node that no registry serves under its name.
//!
//! The status is written as a kubelet writes it: phases, conditions whose transition times move only with their status,
//! container states with `ErrImagePull`, `ImagePullBackOff`, `CrashLoopBackOff`, restart counts, `imageID` with the digest
//! that was asked for. It probes readiness, liveness and startup (HTTP and TCP), honours restart policy, grace period,
//! `preStop` sleep and `activeDeadlineSeconds`.
//!
//! It isolates nothing but the files of an image with layers: a pod is a process of this machine. Volumes (Secret, ConfigMap,
//! `emptyDir`) and a ServiceAccount are for images with layers. No limits, no exec, no Secret or ConfigMap in the environment
//! (a container that asks for one says so in its status and waits).

mod board;
mod command;
mod container;
mod fake;
pub(crate) mod image;
mod layers;
mod pod;
mod probe;
mod process;
mod registration;
mod root;
mod status;

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::{Client, runtime::watcher};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::fake::{Delay, FakeScript, SCRIPT_PREFIX};
use self::{
    image::{Credentials, Image, Reference},
    layers::Store,
    pod::Seen,
};
use crate::{
    address::AddressBlock,
    objects::{Fields, Meta, Object, PODS, SECRETS, is_finished},
    queue::Queue,
    view::{View, is_conflict, is_gone},
};

/// The most images remembered.
const CACHE: usize = 1000;

/// How pods are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeMode {
    /// As processes; their output goes to `<logs>/<namespace>_<pod>_<container>.log`, and that of the run before to
    /// `.previous.log`.
    Processes {
        /// A directory; it is made if it isn't there.
        logs: PathBuf,
        /// Another one, for the layers of images and the root directories of containers.
        images: PathBuf,
    },
    /// As nothing but a status.
    Fake,
}

/// How a program in a pod finds the API server. Only containers whose image has layers are told.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiAccess {
    /// As on a cluster: by the variables `KUBERNETES_SERVICE_HOST` and `_PORT`, with a token of its ServiceAccount that the
    /// server issues.
    ServiceAccount {
        /// The server's address, which its certificate has.
        host: String,
        /// Its port.
        port: u16,
    },
    /// By a kubeconfig that the variable `KUBECONFIG` names: for a server without TLS, for which the other way has no words.
    Kubeconfig(Value),
}

/// What a node is like.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The name of its Node object.
    pub name: String,
    /// How pods are run.
    pub mode: NodeMode,
    /// Where pods get their addresses.
    pub addresses: Arc<AddressBlock>,
    /// Look after the pods of this namespace alone: several nodes can then share a cluster without a scheduler.
    pub namespace: Option<String>,
    /// Whether pods without a node are taken: `false` where a scheduler runs.
    pub schedule: bool,
    /// The wait before the second restart in a row, doubled at each further one (a kubelet: 10 s).
    pub crash_backoff: Duration,
    /// The wait after a failed pull, doubled at each further one (a kubelet: 10 s).
    pub pull_backoff: Duration,
    /// The longest of both waits (a kubelet: 5 min).
    pub backoff_cap: Duration,
    /// How often the node says that it lives; `None` where nobody listens.
    pub heartbeat: Option<Duration>,
    /// How pods find the API server; `None`: they are not told.
    pub access: Option<ApiAccess>,
}

impl NodeConfig {
    /// A node called `sandbox-node` that takes every pod, with waits from one second up to half a minute.
    #[must_use]
    pub fn new(mode: NodeMode, addresses: Arc<AddressBlock>) -> Self {
        Self {
            name: "sandbox-node".to_owned(),
            mode,
            addresses,
            namespace: None,
            schedule: true,
            crash_backoff: Duration::from_secs(1),
            pull_backoff: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(30),
            heartbeat: None,
            access: None,
        }
    }
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The Node object could not be written. A retry helps when the API server was not up yet.
    #[error("node can't be registered with the API server")]
    Register(#[source] kube::Error),
    /// The directory for logs could not be made.
    #[error("directory {0} for logs can't be made")]
    Logs(PathBuf, #[source] io::Error),
    /// An image can't be had from where it was to be loaded from.
    #[error("image {0} can't be loaded: {1}")]
    Image(String, String),
}

/// A running node. Dropping it kills its processes; [`Node::stop`] also waits for that.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Node {
    /// Registers the node and starts to take and run pods.
    ///
    /// # Errors
    ///
    /// [`NodeError`].
    pub async fn start(client: Client, config: NodeConfig) -> Result<Self, NodeError> {
        let store = match &config.mode {
            NodeMode::Processes { logs, images } => {
                std::fs::create_dir_all(logs).map_err(|error| NodeError::Logs(logs.clone(), error))?;
                Some(Store::new(images))
            }
            NodeMode::Fake => None,
        };
        let view = View::within(client, config.namespace.clone());
        let shared = Arc::new(Shared { view, config, store, images: Mutex::default(), scripts: RwLock::default() });
        registration::register(&shared).await.map_err(NodeError::Register)?;
        let node = Self { shared, shutdown: CancellationToken::new(), tasks: TaskTracker::new() };
        node.run_pods();
        node.schedule_pods();
        node.beat();
        node.shared.view.follow(&PODS, watcher::Config::default(), node.shutdown.clone());
        Ok(node)
    }

    /// Scripts the fake containers of an image, given as pods name it. Says nothing to containers that run already.
    pub fn script_image(&self, image: &str, script: FakeScript) {
        self.shared.scripts.write().unwrap_or_else(PoisonError::into_inner).insert(image.to_owned(), script);
    }

    /// Puts an image on the node under a name of its own, as `docker load` does on a machine: a pod that names it finds it
    /// there, whatever registry the name is of, unless its pull policy is `Always`. Answers its digest.
    ///
    /// # Errors
    ///
    /// [`NodeError::Image`]: one of the two is no pull spec, or the image can't be pulled from there.
    pub async fn load_image(&self, name: &str, from: &str) -> Result<String, NodeError> {
        let failed = |error| NodeError::Image(name.to_owned(), container::in_full(&error));
        let own = Reference::parse(name).map_err(failed)?;
        let image = image::pull(&Reference::parse(from).map_err(failed)?, None, self.shared.store.as_ref()).await;
        let image = image.map_err(failed)?;
        let digest = image.digest.clone();
        self.shared.cache(own.to_string(), Image { id: own.id(&digest), ..image });
        Ok(digest)
    }

    /// Kills all processes and returns when they are gone. The pods' status stays as it is.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn run_pods(&self) {
        let (sender, mut changes) = mpsc::unbounded_channel();
        self.shared.view.on_change(move |change| {
            let seen = change.new.map_or(Seen::Gone, |pod| Seen::Is(Arc::clone(pod)));
            if let Some(pod) = change.latest() {
                // The receiver is gone only when the node stops.
                let _ = sender.send((pod.uid().to_owned(), seen));
            }
        });
        let (shared, tasks, shutdown) = (Arc::clone(&self.shared), self.tasks.clone(), self.shutdown.clone());
        self.tasks.spawn(async move {
            let mut running: HashMap<String, watch::Sender<Seen>> = HashMap::new();
            while let Some(Some((uid, seen))) = shutdown.run_until_cancelled(changes.recv()).await {
                running.retain(|_, sender| !sender.is_closed());
                match (running.get(&uid), seen) {
                    (Some(sender), seen) => {
                        sender.send_replace(seen);
                    }
                    (None, Seen::Is(pod)) if takes(&pod, &shared.config.name) => {
                        let (sender, receiver) = watch::channel(Seen::Is(Arc::clone(&pod)));
                        running.insert(uid, sender);
                        tasks.spawn(pod::run(Arc::clone(&shared), pod, receiver, shutdown.clone()));
                    }
                    (None, Seen::Is(_) | Seen::Gone) => {}
                }
            }
        });
    }

    fn schedule_pods(&self) {
        if !self.shared.config.schedule {
            return;
        }
        let queue = Arc::new(Queue::new());
        let line = Arc::clone(&queue);
        self.shared.view.on_change(move |change| {
            if let Some(pod) = change.new.filter(|pod| registration::is_unscheduled(pod)) {
                line.add(pod.key());
            }
        });
        let (shared, shutdown) = (Arc::clone(&self.shared), self.shutdown.clone());
        self.tasks.spawn(async move {
            while let Some(key) = shutdown.run_until_cancelled(queue.next()).await {
                let Some(pod) = shared.view.get(&PODS, &key).filter(|pod| registration::is_unscheduled(pod)) else {
                    continue;
                };
                match registration::schedule(&shared, &pod).await {
                    Ok(()) => {}
                    Err(error) if is_gone(&error) || is_conflict(&error) => {}
                    Err(error) => {
                        tracing::warn!(pod = %key, %error, "pod could not be scheduled, trying again");
                        queue.add_after(key, Duration::from_millis(500));
                    }
                }
            }
        });
    }

    fn beat(&self) {
        let Some(period) = self.shared.config.heartbeat else { return };
        let (shared, shutdown) = (Arc::clone(&self.shared), self.shutdown.clone());
        self.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(period);
            while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
                if let Err(error) = registration::beat(&shared).await {
                    tracing::warn!(%error, "heartbeat failed");
                }
            }
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Whether a pod is this node's to run, or to see off.
fn takes(pod: &Object, node: &str) -> bool {
    pod.text("/spec/nodeName") == Some(node) && (!is_finished(pod) || pod.deleting())
}

/// What all pods of a node share.
pub(crate) struct Shared {
    view: View,
    config: NodeConfig,
    /// `None` where pods are fakes.
    store: Option<Store>,
    images: Mutex<HashMap<String, Image>>,
    scripts: RwLock<HashMap<String, FakeScript>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Shared {
    fn script_of(&self, image: &str) -> FakeScript {
        self.scripts.read().unwrap_or_else(PoisonError::into_inner).get(image).cloned().unwrap_or_default()
    }

    fn cached(&self, reference: &str) -> Option<Image> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner).get(reference).cloned()
    }

    fn cache(&self, reference: String, image: Image) {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if images.len() >= CACHE {
            images.clear();
        }
        images.insert(reference, image);
    }

    /// User and password for a registry from the pod's `imagePullSecrets`.
    async fn credentials(&self, pod: &Object, host: &str) -> Credentials {
        for secret in pod.items("/spec/imagePullSecrets").iter().filter_map(|secret| secret.text("/name")) {
            let secret = self.view.api(&SECRETS, pod.namespace()).get_opt(secret).await;
            let config = secret.ok().flatten().and_then(|secret| {
                let encoded = secret.data.get("data")?.get(".dockerconfigjson")?.as_str()?.to_owned();
                serde_json::from_slice::<Value>(&BASE64_STANDARD.decode(encoded).ok()?).ok()
            });
            if let Some(found) = config.as_ref().and_then(|config| login(config, host)) {
                return Some(found);
            }
        }
        None
    }
}

/// The login for exactly this host in a `.dockerconfigjson`.
fn login(config: &Value, host: &str) -> Credentials {
    let entry = config.get("auths")?.get(host)?;
    if let (Some(user), Some(password)) = (entry.text("/username"), entry.text("/password")) {
        return Some((user.to_owned(), password.to_owned()));
    }
    let decoded = BASE64_STANDARD.decode(entry.text("/auth")?).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_login_is_found_in_both_forms() {
        let config = json!({"auths": {"a:1": {"username": "u", "password": "p"}, "b:2": {"auth": BASE64_STANDARD.encode("x:y:z")}}});
        assert_eq!(login(&config, "a:1"), Some(("u".into(), "p".into())));
        assert_eq!(login(&config, "b:2"), Some(("x".into(), "y:z".into())));
        assert_eq!(login(&config, "c:3"), None);
    }
}
