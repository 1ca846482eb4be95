//! The killer's IO: watches of pods and their owners, the ledger in the cluster, the removals, and what is told of them.
//!
//! Nothing is decided here: [`keeper_kill::decide`] rules on a batch, [`keeper_kill::next`] and [`keeper_kill::after`] on
//! one removal. A webhook is answered when what it changed is stored. The ledger is one ConfigMap, written on the
//! condition that nobody wrote it meanwhile, so that several killers share the budgets.

mod book;
mod desk;
mod figures;
mod hands;
mod history;
mod requests;
mod sight;
mod stored;
mod told;

pub use book::BookError;
pub use desk::{TakeError, Taken};
pub use history::{History, Line, history};

use crate::error::ClusterError;
use book::Book;
use desk::Desk;
use figures::Figures;
use futures::StreamExt;
use hands::Hands;
use jiff::Timestamp;
use keeper_kill::Policy;
use kube::Client;
use prometheus_client::registry::Registry;
use requests::Requests;
use sight::Watched;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the killer's owner decides.
#[derive(Clone, Debug)]
pub struct KillSettings {
    /// The namespaces whose pods are watched; empty: all.
    pub namespaces: Vec<String>,
    /// The namespace of the ledger: the killer's own.
    pub ledger_namespace: String,
    /// What may be killed, and how.
    pub policy: Policy,
    /// Whether only to say what would be done. Nothing is stored or removed then, and so no budget is ever spent.
    pub dry_run: bool,
    /// This process: its pod's name.
    pub instance: String,
    /// The uid of its own pod, where it knows it. A pod of the instance's name in the ledger's namespace is its own too.
    pub own_uid: Option<String>,
}

/// The killer: [`take`](Self::take) for every webhook, [`run`](Self::run) once.
#[derive(Clone)]
pub struct Killer {
    desk: Arc<Desk>,
    hands: Arc<Hands>,
    sight: Arc<Watched>,
    book: Arc<Book>,
    client: Client,
    settings: Arc<KillSettings>,
}

impl Killer {
    /// Nothing is asked of the API server before [`run`](Self::run). Registers its figures below the registry's prefix.
    #[must_use]
    pub fn new(client: Client, settings: KillSettings, registry: &mut Registry) -> Self {
        let settings = Arc::new(settings);
        let figures = Figures::register(registry);
        let requests = Requests::new(client.clone(), settings.instance.clone());
        let sight = Arc::new(Watched::new(&settings));
        let book = Arc::new(Book::new(requests.clone(), &settings, figures.clone()));
        let hands = Arc::new(Hands::new(requests, Arc::clone(&book), Arc::clone(&settings), figures.clone()));
        let desk = Desk::new(Arc::clone(&sight), Arc::clone(&book), Arc::clone(&hands), Arc::clone(&settings), figures);
        Self { desk: Arc::new(desk), hands, sight, book, client, settings }
    }

    /// Takes one webhook body. What it changed is stored when this answers.
    ///
    /// # Errors
    ///
    /// When the body is none of Alertmanager's (coming again does not help), or when something of it must come again.
    pub async fn take(&self, body: bytes::Bytes, caller: &str) -> Result<Taken, TakeError> {
        self.desk.take(body, caller).await
    }

    /// Whether the cluster is seen and the ledger known.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn ready(&self) -> Result<(), String> {
        self.sight.ready(Timestamp::now())?;
        self.book.ready()
    }

    /// Watches, and works on what is open in the ledger, until the token is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let (watching, reading) = (self.sight.watch(&self.client), self.book.watch(&self.client));
        let watching = watching.for_each(|()| async {});
        let reading = reading.for_each(|()| async { self.hands.look(Timestamp::now()) });
        tokio::select! {
            () = stop.cancelled() => {}
            () = watching => {}
            () = reading => {}
            () = self.look_again() => {}
        }
        self.hands.stop().await;
    }

    /// What another process left open is taken over when its time is up, whether or not anything changes.
    async fn look_again(&self) {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            self.hands.look(Timestamp::now());
        }
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &KillSettings {
        &self.settings
    }
}

/// How often the ledger is looked through for what another process left.
const LOOK: Duration = Duration::from_secs(10);

/// A failed request, for those who only need its text.
fn said(error: &ClusterError) -> String {
    use std::error::Error;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
