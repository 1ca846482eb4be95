//! All parts together: a whole cluster in this process, or the node's side of one that runs elsewhere.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use http::header::USER_AGENT;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    address::AddressBlock,
    api::{ApiConfig, ApiServer},
    controllers,
    node::{ApiAccess, Node, NodeConfig, NodeError, NodeMode},
    proxy::Proxy,
    registry::{Registry, RegistryAuth, RegistryConfig},
};

/// How to set up a [`Sandbox`].
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where kubeconfig and logs go; it is made if it isn't there and stays afterwards.
    pub directory: PathBuf,
    /// Run pods as nothing but a status. Default `false`: as processes.
    pub fake_pods: bool,
    /// Who may use the registry. Default everybody.
    pub registry_auth: Option<RegistryAuth>,
    /// Where the API server listens. Default a free port of 127.0.0.1.
    pub listen: SocketAddr,
    /// Further settings of the API server; its address, Service range and log directory are set by the sandbox.
    pub api: ApiConfig,
    /// Changes the node's settings before it starts.
    pub node: fn(&mut NodeConfig),
}

impl SandboxConfig {
    /// The defaults, with this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            fake_pods: false,
            registry_auth: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api: ApiConfig::default(),
            node: |_| {},
        }
    }

    /// With fake pods, for quick tests.
    #[must_use]
    pub fn with_fake_pods(mut self) -> Self {
        self.fake_pods = true;
        self
    }
}

/// How to set up the node's side of a cluster that runs elsewhere.
#[derive(Clone, Debug)]
pub struct AttachConfig {
    /// The cluster's admin kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where logs go; it is made if it isn't there and stays afterwards.
    pub directory: PathBuf,
    /// Addresses for pods; this machine must have them, and a real API server takes none of 127.0.0.0/8.
    pub addresses: Arc<AddressBlock>,
    /// Look after this namespace alone, with a node of its own: several can then be attached to one cluster. Default all.
    pub namespace: Option<String>,
    /// Run pods as nothing but a status.
    pub fake_pods: bool,
    /// Who may use the registry. Default everybody.
    pub registry_auth: Option<RegistryAuth>,
    /// Changes the node's settings before it starts.
    pub node: fn(&mut NodeConfig),
}

impl AttachConfig {
    /// Processes with addresses of 10.250.0.0/16, which the machine must have been given.
    pub fn new(kubeconfig: impl Into<PathBuf>, directory: impl Into<PathBuf>) -> Self {
        Self {
            kubeconfig: kubeconfig.into(),
            directory: directory.into(),
            addresses: Arc::new(AddressBlock::named(10, 250)),
            namespace: None,
            fake_pods: false,
            registry_auth: None,
            node: |_| {},
        }
    }
}

/// Why a sandbox could not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No free 127.x.0.0/16, or a port or directory that can't be had. A retry helps only once it is free.
    #[error("can't set up {0}")]
    Setup(&'static str, #[source] io::Error),
    /// The kubeconfig can't be read. A retry does not help.
    #[error("kubeconfig {0} can't be used")]
    Kubeconfig(PathBuf, #[source] KubeconfigError),
    /// A client can't be made from the configuration. A retry does not help.
    #[error("client can't be made")]
    Client(#[source] Box<kube::Error>),
    /// The node could not register. A retry helps when the API server was not up yet.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// A running cluster. Dropping it kills its processes; [`Sandbox::stop`] also waits for the end.
pub struct Sandbox {
    api: Option<ApiServer>,
    registry: Registry,
    node: Node,
    proxy: Proxy,
    controllers: Option<AbortOnDropHandle<()>>,
    shutdown: CancellationToken,
    config: Config,
    kubeconfig: PathBuf,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("kubeconfig", &self.kubeconfig)
            .field("registry", &self.registry.address())
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Starts everything in this process: API server, controllers, node, proxy and registry.
    ///
    /// # Errors
    ///
    /// [`SandboxError`]; nothing is left running then.
    pub async fn start(config: SandboxConfig) -> Result<Self, SandboxError> {
        let logs = make(&config.directory)?;
        let block = AddressBlock::claim_loopback().map_err(|error| SandboxError::Setup("addresses", error))?;
        let (service_range, service_prefix) = block.services();
        let api = ApiConfig {
            listen: config.listen,
            service_range,
            service_prefix,
            log_directory: Some(logs.clone()),
            ..config.api
        };
        let api = ApiServer::serve(api).await.map_err(|error| SandboxError::Setup("API server", error))?;
        let kubeconfig = config.directory.join("kubeconfig");
        // JSON is YAML.
        std::fs::write(&kubeconfig, format!("{:#}\n", api.kubeconfig()))
            .map_err(|error| SandboxError::Setup("kubeconfig", error))?;
        let url = api
            .url()
            .parse()
            .map_err(|_| SandboxError::Setup("API server", io::Error::other("its address is no URL")))?;
        let client_config = Config::new(url);
        let shutdown = CancellationToken::new();
        let controllers =
            tokio::spawn(controllers::run(named_client(&client_config, "sandbox-controllers")?, shutdown.clone()));
        let registry = RegistryConfig { auth: config.registry_auth, ..RegistryConfig::default() };
        let registry = Registry::serve(registry).await.map_err(|error| SandboxError::Setup("registry", error))?;
        let mut node = NodeConfig::new(mode(config.fake_pods, logs, &config.directory), Arc::new(block));
        node.access = Some(ApiAccess::Kubeconfig(api.kubeconfig()));
        (config.node)(&mut node);
        Ok(Self {
            node: Node::start(named_client(&client_config, "sandbox-node")?, node).await?,
            proxy: Proxy::start(named_client(&client_config, "sandbox-proxy")?, None),
            controllers: Some(AbortOnDropHandle::new(controllers)),
            api: Some(api),
            registry,
            shutdown,
            config: client_config,
            kubeconfig,
        })
    }

    /// Starts node, proxy and registry for a control plane that runs elsewhere, as a real one on this machine.
    ///
    /// The registry listens on the node's address, so that pull specs work wherever pods do.
    ///
    /// # Errors
    ///
    /// [`SandboxError`]; nothing is left running then.
    pub async fn attach(config: AttachConfig) -> Result<Self, SandboxError> {
        let logs = make(&config.directory)?;
        let unusable = |error| SandboxError::Kubeconfig(config.kubeconfig.clone(), error);
        let file = Kubeconfig::read_from(&config.kubeconfig).map_err(unusable)?;
        let client_config =
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(unusable)?;
        let registry =
            RegistryConfig { listen: SocketAddr::from((config.addresses.node(), 0)), auth: config.registry_auth };
        let registry = Registry::serve(registry).await.map_err(|error| SandboxError::Setup("registry", error))?;
        let mut node = NodeConfig::new(mode(config.fake_pods, logs, &config.directory), config.addresses);
        node.access = access(&client_config);
        node.heartbeat = Some(std::time::Duration::from_secs(10));
        if let Some(namespace) = &config.namespace {
            node.name = format!("{}-{namespace}", node.name);
            node.namespace = Some(namespace.clone());
        }
        (config.node)(&mut node);
        Ok(Self {
            node: Node::start(named_client(&client_config, "sandbox-node")?, node).await?,
            proxy: Proxy::start(named_client(&client_config, "sandbox-proxy")?, config.namespace),
            controllers: None,
            api: None,
            registry,
            shutdown: CancellationToken::new(),
            config: client_config,
            kubeconfig: config.kubeconfig,
        })
    }

    /// A client of the cluster that retries nothing by itself and is counted under this name.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Client`], when the name is no header value or a kubeconfig's certificates are unusable.
    pub fn client_named(&self, name: &str) -> Result<Client, SandboxError> {
        named_client(&self.config, name)
    }

    /// A client of the cluster, counted as `test`.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Client`], when a kubeconfig's certificates are unusable.
    pub fn client(&self) -> Result<Client, SandboxError> {
        self.client_named("test")
    }

    /// The file for `kubectl --kubeconfig` and for programs under test.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The image registry.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The API server with its request log; `None` when attached to another one.
    #[must_use]
    pub fn api(&self) -> Option<&ApiServer> {
        self.api.as_ref()
    }

    /// The node, to script fake pods.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Ends everything and waits for it: no process is left.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.node.stop().await;
        drop(self.proxy);
        if let Some(controllers) = self.controllers {
            // Whether they ended by themselves or not does not matter any more.
            let _ = controllers.await;
        }
        self.registry.stop().await;
        if let Some(api) = self.api {
            api.stop().await;
        }
    }
}

fn make(directory: &Path) -> Result<PathBuf, SandboxError> {
    let logs = directory.join("logs");
    std::fs::create_dir_all(&logs).map_err(|error| SandboxError::Setup("directory", error))?;
    Ok(logs)
}

fn mode(fake: bool, logs: PathBuf, directory: &Path) -> NodeMode {
    if fake { NodeMode::Fake } else { NodeMode::Processes { logs, images: directory.join("images") } }
}

/// Pods find the server where this process does: they share its network.
fn access(config: &Config) -> Option<ApiAccess> {
    let url = &config.cluster_url;
    let port = url.port_u16().unwrap_or(443);
    (url.scheme_str() == Some("https"))
        .then(|| url.host())?
        .map(|host| ApiAccess::ServiceAccount { host: host.to_owned(), port })
}

/// A client that says who it is and never retries behind its user's back.
fn named_client(config: &Config, name: &str) -> Result<Client, SandboxError> {
    let mut config = config.clone();
    config.default_retry = false;
    let value = http::HeaderValue::from_str(name)
        .map_err(|error| SandboxError::Client(Box::new(kube::Error::HttpError(error.into()))))?;
    config.headers.push((USER_AGENT, value));
    Client::try_from(config).map_err(|error| SandboxError::Client(Box::new(error)))
}
