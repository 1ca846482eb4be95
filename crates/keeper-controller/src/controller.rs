use crate::cluster::Cluster;
use crate::context::{Context, Settings, Shared};
use crate::error::ClusterError;
use crate::intake::AlertIntake;
use crate::kind::Subject;
use crate::metrics::Metrics;
use crate::reconcile::{failed, gone, reconcile};
use crate::signals::MakeSignals;
use crate::view::View;
use futures::StreamExt;
use futures::channel::mpsc;
use jiff::Timestamp;
use keeper_clone::WorkloadKind;
use keeper_image::TagWatcher;
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::controller::{Config, Error, applier};
use kube::runtime::reflector::ObjectRef;
use prometheus_client::registry::Registry;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How many workloads of a kind are reconciled at once.
const CONCURRENCY: u16 = 16;
/// How often a server that answers is asked for DeploymentConfigs.
const PROBES: u32 = 10;
const PROBE_AGAIN: Duration = Duration::from_secs(1);

/// The operator's loop over all workloads in its scope.
#[derive(Clone)]
pub struct Controller {
    shared: Arc<Shared>,
    client: Client,
    filled: Arc<AtomicBool>,
}

impl Controller {
    /// A controller that doesn't run yet. Its figures are registered in `metrics`.
    pub fn new(
        client: Client,
        settings: Settings,
        tags: TagWatcher,
        signals: Arc<dyn MakeSignals>,
        metrics: &mut Registry,
    ) -> Self {
        let cluster = Cluster::new(client.clone(), settings.instance.clone());
        let shared = Shared::new(settings, cluster, tags, signals, Metrics::register(metrics));
        Self { shared: Arc::new(shared), client, filled: Arc::default() }
    }

    /// Where alerts are brought to. Refuses them until the controller runs.
    #[must_use]
    pub fn intake(&self) -> AlertIntake {
        AlertIntake::new(Arc::clone(&self.shared))
    }

    /// Whether what the controller sees is whole and fresh.
    ///
    /// # Errors
    ///
    /// What is missing, in words.
    pub fn ready(&self) -> Result<(), String> {
        if !self.filled.load(Ordering::Acquire) {
            return Err("still reading the cluster".into());
        }
        self.shared.views().iter().try_for_each(|view| view.fresh(Timestamp::now()))
    }

    /// Runs until `stop`. A reconcile under way is finished first.
    pub async fn run(&self, stop: CancellationToken) {
        let namespaces = &self.shared.settings.namespaces;
        let mut scopes: Vec<Option<String>> = namespaces.iter().cloned().map(Some).collect();
        if scopes.is_empty() {
            scopes.push(None);
        }
        let mut opened = Vec::new();
        for scope in &scopes {
            let probe = self.has_configs(scope.as_deref());
            let Some(with_configs) = stop.run_until_cancelled(probe).await else { return };
            opened.push(self.scope(scope.as_deref(), with_configs, &stop));
        }
        let (views, loops): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        let filled = async {
            for view in &views {
                view.ready().await;
            }
            views.iter().for_each(|view| self.shared.add_view(Arc::clone(view)));
            self.filled.store(true, Ordering::Release);
        };
        futures::join!(futures::future::join_all(loops), filled);
    }

    /// Whether DeploymentConfigs are there to be watched: OpenShift may have them switched off, and elsewhere there are
    /// none. Asked once: a kind that is served later is watched from the next start on.
    async fn has_configs(&self, namespace: Option<&str>) -> bool {
        let mut refusals = 0;
        loop {
            match self.shared.cluster.probe_configs(namespace).await {
                Ok(()) => return true,
                Err(ClusterError::NotFound { .. }) => return false,
                // A server that answers, and not this: Deployments must not wait for it.
                Err(error) if error.is_an_answer() && (refusals >= PROBES || !error.is_passing()) => {
                    tracing::warn!(%error, "DeploymentConfigs are not watched");
                    return false;
                }
                Err(error) => {
                    refusals += u32::from(error.is_an_answer());
                    tracing::debug!(%error, "whether there are DeploymentConfigs is asked again");
                    tokio::time::sleep(PROBE_AGAIN).await;
                }
            }
        }
    }

    fn scope(
        &self,
        namespace: Option<&str>,
        with_configs: bool,
        stop: &CancellationToken,
    ) -> (Arc<View>, impl Future<Output = ()> + use<>) {
        let (view, touched) = View::open(&self.client, namespace, with_configs);
        let mut subjects = vec![Subject::DEPLOYMENT, Subject::Canary];
        subjects.extend(with_configs.then_some(Subject::Workload(WorkloadKind::DeploymentConfig)));
        let opened = subjects.into_iter().map(|subject| (subject, self.subject(&view, subject, stop)));
        let (triggers, loops): (Vec<_>, Vec<_>) =
            opened.map(|(subject, (triggers, apply))| ((subject.resource().kind, triggers), apply)).unzip();
        let touched = touched.take_until(stop.clone().cancelled_owned());
        let sort = touched.for_each(move |object| {
            if let Some((_, to)) = triggers.iter().find(|(kind, _)| *kind == object.dyntype.kind) {
                // Who no longer listens is ending.
                let _ = to.unbounded_send(object);
            }
            futures::future::ready(())
        });
        let all = async move {
            futures::join!(sort, futures::future::join_all(loops));
        };
        (view, all)
    }

    /// The loop over the workloads of one kind, or over the Canaries, and what wakes it.
    fn subject(
        &self,
        view: &Arc<View>,
        subject: Subject,
        stop: &CancellationToken,
    ) -> (mpsc::UnboundedSender<ObjectRef<DynamicObject>>, impl Future<Output = ()> + use<>) {
        let (triggers, wakes) = mpsc::unbounded();
        let context = Arc::new(Context::new(Arc::clone(&self.shared), Arc::clone(view), subject, triggers.clone()));
        let queue = wakes.take_until(stop.clone().cancelled_owned()).map(Ok::<_, Infallible>);
        let (ready, store) = (Arc::clone(view), view.subjects(subject).cloned());
        let apply = async move {
            let Some(store) = store else { return };
            let results = applier(
                move |object, context| {
                    let ready = Arc::clone(&ready);
                    Box::pin(async move {
                        // Nothing is decided on a view that isn't whole.
                        ready.ready().await;
                        reconcile(object, context).await
                    })
                },
                |object, error, context: Arc<Context>| failed(&object, error, &context),
                Arc::clone(&context),
                store,
                queue,
                Config::default().concurrency(CONCURRENCY),
            );
            let results = results.for_each(|result| async {
                match result {
                    Ok(_) => context.shared.metrics.reconciled("ok"),
                    Err(Error::ObjectNotFound(object)) => {
                        gone(&context, &(object.namespace.unwrap_or_default(), object.name, subject)).await;
                    }
                    // Already told, and tried again, by `failed`.
                    Err(_) => {}
                }
            });
            results.await;
        };
        (triggers, apply)
    }
}
