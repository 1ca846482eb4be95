//! The server as a process part: its settings, its life, its end.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::http::handle;
use super::request_log::RequestLog;

/// Settings of the API server.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Where to listen. Default `127.0.0.1:0`, a free port of loopback. There is no authentication: keep it on
    /// loopback.
    pub listen: SocketAddr,
    /// First address of the range of Service addresses. Default `127.96.0.0`, which a process can listen on.
    pub service_range: Ipv4Addr,
    /// Length of that range's prefix, 8 to 30. Default 16.
    pub service_prefix: u8,
    /// Changes that are kept per resource for watches to resume from. Default 10 000.
    pub history: usize,
    /// Requests that are kept in the log; its counters forget nothing. Default 100 000.
    pub request_log: usize,
    /// A file to which every request is also appended as a line of JSON. Default none.
    pub request_log_file: Option<PathBuf>,
    /// Where the node writes container logs, in files named by [`log_file_name`](super::log_file_name). Default none:
    /// log requests are answered with 501.
    pub log_directory: Option<PathBuf>,
    /// How often a watch that asked for bookmarks gets one. Default 10 s.
    pub bookmark_every: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            service_range: Ipv4Addr::new(127, 96, 0, 0),
            service_prefix: 16,
            history: 10_000,
            request_log: 100_000,
            request_log_file: None,
            log_directory: None,
            bookmark_every: Duration::from_secs(10),
        }
    }
}

/// What every request sees.
pub(crate) struct Server {
    cluster: Mutex<Cluster>,
    pub(crate) log: RequestLog,
    pub(crate) address: SocketAddr,
    pub(crate) log_directory: Option<PathBuf>,
    pub(crate) bookmark_every: Duration,
    pub(crate) stop: CancellationToken,
}

impl Server {
    /// The cluster, for one transaction. Never held across an await.
    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running API server. Dropping it leaves it running until the process or the runtime ends; see
/// [`ApiServer::stop`].
pub struct ApiServer {
    server: Arc<Server>,
    task: JoinHandle<()>,
}

/// How long open requests may go on after a stop.
const STOP_WITHIN: Duration = Duration::from_secs(3);

impl ApiServer {
    /// Starts a server with the namespaces `default`, `kube-system`, `kube-public` and `kube-node-lease` and nothing
    /// else.
    ///
    /// # Errors
    /// The address can't be listened on, the prefix is out of range, or the request log file can't be opened. A retry
    /// helps only when the port was taken for a while.
    pub async fn serve(config: ApiConfig) -> std::io::Result<Self> {
        if !(8..=30).contains(&config.service_prefix) {
            let message = format!("service_prefix is {}: use 8 to 30", config.service_prefix);
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, message));
        }
        let file = match &config.request_log_file {
            Some(path) => Some(File::options().create(true).append(true).open(path)?),
            None => None,
        };
        let listener = TcpListener::bind(config.listen).await?;
        let range = (config.service_range, 1_u32 << (32 - u32::from(config.service_prefix)));
        let stop = CancellationToken::new();
        let server = Arc::new(Server {
            cluster: Mutex::new(Cluster::new(config.history, range, Timestamp::now())),
            log: RequestLog::new(config.request_log.max(1), file),
            address: listener.local_addr()?,
            log_directory: config.log_directory,
            bookmark_every: config.bookmark_every.max(Duration::from_millis(10)),
            stop: stop.clone(),
        });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&server));
        let task = tokio::spawn(async move {
            let ended = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = ended {
                tracing::error!(%error, "the API server ended");
            }
        });
        Ok(Self { server, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Its address as a URL without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// A kubeconfig whose only context is this server.
    #[must_use]
    pub fn kubeconfig(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "sandbox",
            "clusters": [{ "name": "sandbox", "cluster": { "server": self.url() } }],
            "contexts": [{ "name": "sandbox", "context": { "cluster": "sandbox", "user": "sandbox" } }],
            "users": [{ "name": "sandbox", "user": {} }],
        })
    }

    /// The log of all requests so far.
    #[must_use]
    pub fn requests(&self) -> &RequestLog {
        &self.server.log
    }

    /// Forgets the history of changes, as etcd's compaction does: watches and list pages that continue from an older
    /// resourceVersion are answered with 410 from now on.
    pub fn compact(&self) {
        self.server.cluster().store.compact();
    }

    /// Stops listening, ends all watches and waits a moment for open requests.
    pub async fn stop(self) {
        self.server.stop.cancel();
        let mut task = self.task;
        if tokio::time::timeout(STOP_WITHIN, &mut task).await.is_err() {
            task.abort();
        }
    }
}
