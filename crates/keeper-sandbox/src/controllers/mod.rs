//! The controllers that make workloads work, as clients of an API server.
//!
//! [`run`] starts them all: Deployment, ReplicaSet, ReplicationController, StatefulSet, Job, EndpointSlice, disruption
//! budget, namespace and garbage collection; [`deployment_configs`] is OpenShift's, by itself, for any API server. They
//! follow the algorithms of kube-controller-manager, since users of a cluster lean on the details: which ReplicaSet is
//! scaled first, which annotations are copied, when a pod is adopted. They never act for anything but the objects they
//! watch, and they are for the sandbox's own API server: a real control plane brings its own.
//!
//! Nothing polls. Each controller is woken by the changes it depends on, and answers within milliseconds.

mod deployment;
mod deployment_config;
mod disruption;
mod endpoints;
mod garbage;
mod job;
mod namespaces;
mod replicaset;
mod stateful;

pub use deployment_config::definition as deployment_config_definition;

use std::{future::Future, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use kube::{Client, runtime::watcher};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    objects::{
        DEPLOYMENT_CONFIGS, DEPLOYMENTS, DISRUPTION_BUDGETS, ENDPOINT_SLICES, JOBS, Key, NAMESPACES, NODES, PODS,
        REPLICA_SETS, REPLICATION_CONTROLLERS, SERVICES, STATEFUL_SETS,
    },
    queue::Queue,
    view::{Change, View, is_conflict, is_gone},
};

/// A failed reconcile is tried again after this, doubled at each failure in a row up to [`SLOWEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(20);
const SLOWEST_RETRY: Duration = Duration::from_secs(10);

/// Runs all controllers until `shutdown` is cancelled.
///
/// `client` should be made with `default_retry` off: the controllers retry by themselves, with a fresh look.
pub async fn run(client: Client, shutdown: CancellationToken) {
    let view = View::new(client.clone());
    // Each is told of changes from the first one on, and looks only when every kind was listed once.
    let workers = [
        register(deployment::Deployments::new(view.clone()), &view),
        register(replicaset::ReplicaSets::new(view.clone()), &view),
        register(replicaset::ReplicaSets::replication_controllers(view.clone()), &view),
        register(stateful::StatefulSets::new(view.clone()), &view),
        register(job::Jobs::new(view.clone()), &view),
        register(namespaces::Namespaces::new(view.clone()), &view),
        register(endpoints::Endpoints::new(view.clone()), &view),
        register(disruption::Budgets::new(view.clone()), &view),
    ];
    let kinds = [&PODS, &SERVICES, &DEPLOYMENTS, &REPLICA_SETS, &REPLICATION_CONTROLLERS, &STATEFUL_SETS, &JOBS];
    for kind in kinds.into_iter().chain([&ENDPOINT_SLICES, &DISRUPTION_BUDGETS, &NAMESPACES, &NODES]) {
        view.follow(kind, watcher::Config::default(), shutdown.clone());
    }
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(worker));
    }
    tasks.spawn(shutdown.run_until_cancelled_owned(garbage::run(client)));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a controller ended early");
        }
    }
}

/// Runs OpenShift's DeploymentConfig controller until `shutdown` is cancelled, for one namespace or for all.
///
/// The kind must be served: by OpenShift it is, elsewhere [`deployment_config_definition`] defines it. The
/// ReplicationControllers that it makes are kept by [`run`], or by any real control plane.
pub async fn deployment_configs(client: Client, namespace: Option<String>, shutdown: CancellationToken) {
    let view = View::within(client, namespace);
    let worker = register(deployment_config::DeploymentConfigs::new(view.clone()), &view);
    for kind in [&DEPLOYMENT_CONFIGS, &REPLICATION_CONTROLLERS, &PODS] {
        view.follow(kind, watcher::Config::default(), shutdown.clone());
    }
    shutdown.run_until_cancelled(worker).await;
}

/// A controller: what wakes it, and what it does about one object.
trait Controller: Send + Sync + 'static {
    /// For logs.
    const NAME: &'static str;

    /// Which objects of this controller are concerned by a change.
    fn concerns(&self, change: &Change<'_>) -> Vec<Key>;

    /// Brings the cluster one step nearer to what the object asks for; says when to look again without a change.
    fn reconcile(&self, key: &Key) -> impl Future<Output = Result<Option<Duration>, Error>> + Send;
}

/// Why a reconcile stopped. All of them are tried again.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The API server refused a request or could not be reached.
    #[error("request to the API server failed")]
    Api(#[from] kube::Error),
    /// An object could not be built from what the user wrote.
    #[error("object can't be built from its template")]
    Build(#[from] serde_json::Error),
}

fn register<C: Controller>(controller: C, view: &View) -> BoxFuture<'static, ()> {
    let controller = Arc::new(controller);
    let queue = Arc::new(Queue::new());
    let (woken, line) = (Arc::clone(&controller), Arc::clone(&queue));
    view.on_change(move |change| {
        for key in woken.concerns(change) {
            line.add(key);
        }
    });
    let view = view.clone();
    async move { work(&*controller, &view, &queue).await }.boxed()
}

async fn work<C: Controller>(controller: &C, view: &View, queue: &Queue<Key>) {
    let mut failures = std::collections::HashMap::new();
    view.synced().await;
    loop {
        let key = queue.next().await;
        match controller.reconcile(&key).await {
            Ok(again) => {
                failures.remove(&key);
                if let Some(delay) = again {
                    queue.add_after(key, delay);
                }
            }
            Err(error) => {
                let failed = failures.entry(key.clone()).and_modify(|count| *count += 1).or_insert(0_u32);
                let delay = FIRST_RETRY.saturating_mul(1 << (*failed).min(10)).min(SLOWEST_RETRY);
                report(C::NAME, &key, &error, delay);
                queue.add_after(key, delay);
            }
        }
    }
}

fn report(controller: &str, key: &Key, error: &Error, delay: Duration) {
    match error {
        // Everyday races: the next look will be a fresh one.
        Error::Api(error) if is_conflict(error) || is_gone(error) => {
            tracing::trace!(controller, %key, %error, ?delay, "overtaken, looking again");
        }
        Error::Api(_) | Error::Build(_) => {
            let cause: &dyn std::error::Error = error;
            tracing::warn!(controller, %key, error = %error, cause = cause.source().map(tracing::field::display), ?delay, "reconcile failed");
        }
    }
}
