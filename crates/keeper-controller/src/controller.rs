use crate::cluster::Cluster;
use crate::context::{Context, Settings, Shared};
use crate::intake::AlertIntake;
use crate::metrics::Metrics;
use crate::reconcile::{failed, reconcile};
use crate::signals::MakeSignals;
use crate::view::View;
use futures::channel::mpsc;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use keeper_image::TagWatcher;
use kube::Client;
use kube::runtime::controller::{Config, Error, applier};
use prometheus_client::registry::Registry;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// How many workloads are reconciled at once.
const CONCURRENCY: u16 = 16;

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
        let (views, loops): (Vec<_>, Vec<_>) = scopes.iter().map(|scope| self.scope(scope.as_deref(), &stop)).unzip();
        let filled = async {
            for view in &views {
                view.ready().await;
            }
            views.iter().for_each(|view| self.shared.add_view(Arc::clone(view)));
            self.filled.store(true, Ordering::Release);
        };
        futures::join!(futures::future::join_all(loops), filled);
    }

    fn scope(&self, namespace: Option<&str>, stop: &CancellationToken) -> (Arc<View>, impl Future<Output = ()>) {
        let (view, touched) = View::open(&self.client, namespace);
        let (triggers, wakes) = mpsc::unbounded();
        let context = Arc::new(Context::new(Arc::clone(&self.shared), Arc::clone(&view), triggers));
        let stop = stop.clone().cancelled_owned();
        let queue = stream::select(touched, wakes).take_until(stop).map(Ok::<_, Infallible>);
        let apply = {
            let ready = Arc::clone(&view);
            let store = view.workloads.clone();
            let context = Arc::clone(&context);
            async move {
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
                        Err(Error::ObjectNotFound(gone)) => {
                            context.forget(&(gone.namespace.clone().unwrap_or_default(), gone.name.clone()));
                        }
                        // Already told, and tried again, by `failed`.
                        Err(_) => {}
                    }
                });
                results.await;
            }
        };
        (view, apply)
    }
}
