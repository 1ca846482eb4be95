//! A cluster, a registry and the operator binary, for one scenario.
//!
//! On the sandbox by default; on a real control plane when `KEEPER_E2E_KUBECONFIG` names its admin kubeconfig (that is
//! what `cargo xtask e2e` does). The operator always talks to the API server through the fault proxy, which counts its
//! requests. Each scenario has a namespace, a registry and a node of its own.

mod alerts;
mod images;
mod machine;
mod objects;
mod operator;
mod requests;
mod waiting;

pub use alerts::{accusation, webhook};
pub use machine::{demo_app, free, kill, not_run, on_path};
pub use requests::{creations, describe, promotions, rights};

use keeper_sandbox::faults::{FaultProxy, ProxyConfig, Upstream};
use keeper_sandbox::node::FakeScript;
use keeper_sandbox::{AddressBlock, AttachConfig, Sandbox, SandboxConfig};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use serde_json::json;
use std::net::SocketAddr;
use std::process::Child;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// How long anything may take before a scenario gives up. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What a scenario starts with.
#[derive(Default)]
pub struct Start {
    /// Pods as processes of the demo app instead of fakes.
    pub processes: bool,
    /// Flags of the operator, beside the ones every scenario has.
    pub flags: Vec<String>,
    /// What opens the webhook door; without it the door is open to loopback.
    pub bearer_token: Option<String>,
    /// Which of many like it this is, for the report.
    pub label: String,
    /// The workload is a DeploymentConfig.
    pub config: bool,
}

impl Start {
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    pub fn processes(mut self) -> Self {
        self.processes = true;
        self
    }

    pub fn bearer_token(mut self, token: &str) -> Self {
        self.bearer_token = Some(token.to_owned());
        self
    }

    pub fn config(mut self) -> Self {
        self.config = true;
        self
    }

    pub fn label(mut self, label: &str) -> Self {
        self.label = label.to_owned();
        self
    }

    pub async fn world(self) -> World {
        World::start(self).await
    }
}

pub struct World {
    pub sandbox: Sandbox,
    pub proxy: FaultProxy,
    pub client: Client,
    pub namespace: String,
    pub alerts: SocketAddr,
    pub admin: SocketAddr,
    operator: Arc<Mutex<Option<Child>>>,
    second: Arc<Mutex<Option<Child>>>,
    bearer_token: Option<String>,
    label: String,
    flags: Vec<String>,
    directory: tempfile::TempDir,
    processes: bool,
    /// The kind of the workload.
    kind: ApiResource,
}

pub fn deployments() -> ApiResource {
    resource("apps", "v1", "Deployment", "deployments")
}

pub fn deployment_configs() -> ApiResource {
    resource("apps.openshift.io", "v1", "DeploymentConfig", "deploymentconfigs")
}

pub fn pods() -> ApiResource {
    resource("", "v1", "Pod", "pods")
}

pub fn config_maps() -> ApiResource {
    resource("", "v1", "ConfigMap", "configmaps")
}

pub fn services() -> ApiResource {
    resource("", "v1", "Service", "services")
}

pub fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

impl World {
    async fn start(start: Start) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let namespace = format!("s{}", directory.path().file_name().unwrap().to_str().unwrap().to_lowercase())
            .replace(['.', '_'], "");
        let (sandbox, upstream) = cluster(&directory, &namespace, start.processes).await;
        let proxy = FaultProxy::serve(ProxyConfig::new(upstream)).await.unwrap();
        std::fs::write(directory.path().join("operator.kubeconfig"), proxy.kubeconfig().to_string()).unwrap();
        let client = sandbox.client().unwrap();
        let world = Self {
            sandbox,
            proxy,
            client,
            namespace,
            alerts: free(),
            admin: free(),
            operator: Arc::default(),
            second: Arc::default(),
            bearer_token: start.bearer_token,
            label: start.label,
            flags: start.flags,
            directory,
            processes: start.processes,
            kind: if start.config { deployment_configs() } else { deployments() },
        };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace}});
        let api: Api<DynamicObject> =
            Api::all_with(world.client.clone(), &resource("", "v1", "Namespace", "namespaces"));
        api.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
        world
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_operator();
        kill(&self.second);
        if !std::thread::panicking() {
            assert_eq!(rights().forbidden(&self.requests()), Vec::<String>::new(), "the manifest's Role");
        }
    }
}

/// One block of addresses for all nodes that this process attaches to a real control plane.
pub fn addresses() -> Arc<AddressBlock> {
    static ADDRESSES: LazyLock<Arc<AddressBlock>> = LazyLock::new(|| Arc::new(AddressBlock::named(10, 250)));
    Arc::clone(&ADDRESSES)
}

async fn cluster(directory: &tempfile::TempDir, namespace: &str, processes: bool) -> (Sandbox, Upstream) {
    let path = directory.path().join("sandbox");
    if let Some(kubeconfig) = std::env::var_os("KEEPER_E2E_KUBECONFIG") {
        let config = AttachConfig {
            fake_pods: !processes,
            namespace: Some(namespace.to_owned()),
            addresses: addresses(),
            ..AttachConfig::new(&kubeconfig, path)
        };
        let sandbox = Sandbox::attach(config).await.unwrap();
        return (sandbox, Upstream::Kubeconfig(kubeconfig.into()));
    }
    let config = SandboxConfig::new(path);
    let config = if processes { config } else { config.with_fake_pods() };
    let sandbox = Sandbox::start(config).await.unwrap();
    let url = sandbox.api().unwrap().url();
    (sandbox, Upstream::Url(url))
}

/// What a fake pod of that image does from now on.
pub fn script(world: &World, digest: &str, script: FakeScript) {
    world.sandbox.node().script_image(&world.image(digest), script);
}
