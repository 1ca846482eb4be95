//! An image registry on plain HTTP: the parts of the OCI distribution API that pulling, pushing and watching a tag need.
//!
//! Images are pushed by [`Registry::push`] or over HTTP. They hold no layers; what counts are manifests, configs and their
//! digests. Token authentication is optional. Faults ([`Fault`]) are chosen at run time, and every request is counted, so
//! that a test can say how often a tag was asked for. Everything is in memory and gone at the end.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use keeper_sandbox::registry::{ImageConfig, Registry, RegistryConfig};
//!
//! let registry = Registry::serve(RegistryConfig::default()).await?;
//! let digest = registry.push("team/app", "1.0", &ImageConfig::new(["/usr/local/bin/app"]));
//! assert_eq!(registry.digest("team/app", "1.0"), Some(digest));
//! println!("pull it as {}", registry.pull_spec("team/app", "1.0"));
//! registry.stop().await;
//! # Ok::<(), std::io::Error>(())
//! # }).unwrap();
//! ```

mod auth;
mod fault;
mod http;
mod image;
mod store;
mod upload;

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use self::{
    auth::RegistryAuth,
    fault::{Fault, FaultKind},
    image::ImageConfig,
};
use self::{auth::Tokens, store::Store};

/// The most requests remembered one by one; the counters forget nothing.
const LOG: usize = 100_000;
/// How long open requests may go on after a stop.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Settings of a registry.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Where to listen. Default `127.0.0.1:0`, a free port of loopback.
    pub listen: SocketAddr,
    /// Who may pull and push. Default `None`: everybody.
    pub auth: Option<RegistryAuth>,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), auth: None }
    }
}

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryRequest {
    /// When it had been read.
    pub time: Timestamp,
    /// `GET`, `HEAD` and so on.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query as sent; empty when there is none.
    pub query: String,
    /// The `Accept` headers, joined; empty when there is none.
    pub accept: String,
    /// The scheme of the `Authorization` header, such as `Bearer`; never its value.
    pub authorization: Option<String>,
    /// HTTP status code of the answer.
    pub code: u16,
}

/// A running registry. Dropping it stops it.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    auth: Option<RegistryAuth>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    tokens: Tokens,
    faults: Vec<Fault>,
    counts: BTreeMap<(String, String), u64>,
    log: Vec<RegistryRequest>,
}

impl Shared {
    /// For one short transaction, never across an await.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Starts an empty registry.
    ///
    /// # Errors
    ///
    /// The address can't be listened on. A retry helps only when the port was taken for a while.
    pub async fn serve(config: RegistryConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let shared = Arc::new(Shared { address: listener.local_addr()?, auth: config.auth, state: Mutex::default() });
        let router = Router::new().fallback(http::handle).with_state(Arc::clone(&shared));
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
                tracing::error!(%error, "the registry ended");
            }
        });
        Ok(Self { shared, shutdown, task: AbortOnDropHandle::new(task) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The pull spec of a tag: `127.0.0.1:port/name:tag`.
    #[must_use]
    pub fn pull_spec(&self, name: &str, tag: &str) -> String {
        format!("{}/{name}:{tag}", self.shared.address)
    }

    /// The pull spec of a digest: `127.0.0.1:port/name@sha256:...`.
    #[must_use]
    pub fn pinned_spec(&self, name: &str, digest: &str) -> String {
        format!("{}/{name}@{digest}", self.shared.address)
    }

    /// Pushes an image under a tag and returns its manifest's digest. The same configuration always has the same digest.
    pub fn push(&self, name: &str, tag: &str, image: &ImageConfig) -> String {
        let mut state = self.shared.state();
        let digest = image.store(&mut state.store, name);
        state.store.tag(name, tag, &digest);
        digest
    }

    /// Pushes one image for several architectures under a tag, as an index, and returns the digest of the index and those of
    /// its manifests in the order given.
    pub fn push_index(&self, name: &str, tag: &str, images: &[(&str, ImageConfig)]) -> (String, Vec<String>) {
        let mut state = self.shared.state();
        let (digest, children) = image::store_index(&mut state.store, name, images);
        state.store.tag(name, tag, &digest);
        (digest, children)
    }

    /// Lets a tag name a manifest that is there; `false` when it is not.
    pub fn tag(&self, name: &str, tag: &str, digest: &str) -> bool {
        self.shared.state().store.tag(name, tag, digest)
    }

    /// Takes a tag away; its manifest stays. `false` when there was none.
    pub fn delete_tag(&self, name: &str, tag: &str) -> bool {
        self.shared.state().store.untag(name, tag)
    }

    /// The digest that a tag names now.
    #[must_use]
    pub fn digest(&self, name: &str, tag: &str) -> Option<String> {
        self.shared.state().store.resolve(name, tag)
    }

    /// From now on answers wrongly, as the fault says; several faults hold at once, the oldest that fits is taken.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
    }

    /// Answers rightly again.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// Makes every token that was given out worthless, as if it had expired.
    pub fn expire_tokens(&self) {
        self.shared.state().tokens.expire_all();
    }

    /// How many requests there were, by method and path.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<(String, String), u64> {
        self.shared.state().counts.clone()
    }

    /// How many HEAD requests there were for a tag of a repository (or a digest).
    #[must_use]
    pub fn heads(&self, name: &str, reference: &str) -> u64 {
        let key = ("HEAD".to_owned(), format!("/v2/{name}/manifests/{reference}"));
        self.shared.state().counts.get(&key).copied().unwrap_or(0)
    }

    /// The requests, oldest first; after 100 000 the oldest are forgotten.
    #[must_use]
    pub fn requests(&self) -> Vec<RegistryRequest> {
        self.shared.state().log.clone()
    }

    /// Stops listening and waits a moment for open requests.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let _ = tokio::time::timeout(STOP_WITHIN, self.task).await;
    }
}

impl State {
    fn note(&mut self, request: RegistryRequest) {
        *self.counts.entry((request.method.clone(), request.path.clone())).or_insert(0) += 1;
        if self.log.len() >= LOG {
            self.log.drain(..LOG / 10);
        }
        self.log.push(request);
    }
}
