//! A cluster with a few workloads, and the killer binary, for one scenario.
//!
//! On the sandbox by default; on a real control plane when `KEEPER_E2E_KUBECONFIG` names its admin kubeconfig. The killer
//! talks to the API server through the fault proxy, which counts its requests.

use jiff::{SignedDuration, Timestamp};
use keeper_sandbox::api::RequestRecord;
use keeper_sandbox::faults::{FaultHandle, FaultProxy, ProxyConfig, Upstream};
use keeper_sandbox::registry::ImageConfig;
use keeper_sandbox::{AddressBlock, AttachConfig, Rights, Sandbox, SandboxConfig};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take before a scenario gives up. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct World {
    pub sandbox: Sandbox,
    pub client: Client,
    pub namespace: String,
    pub listen: SocketAddr,
    admin: SocketAddr,
    proxy: FaultProxy,
    killer: Arc<Mutex<Option<Child>>>,
    flags: Vec<String>,
    directory: tempfile::TempDir,
}

pub fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

pub fn pods() -> ApiResource {
    resource("", "v1", "Pod", "pods")
}

pub fn config_maps() -> ApiResource {
    resource("", "v1", "ConfigMap", "configmaps")
}

impl World {
    /// A cluster, and a killer on it with these flags beside the ones that every scenario has.
    pub async fn start(flags: &[&str]) -> Self {
        let world = Self::without_killer(flags).await;
        world.start_killer();
        world.killer_ready().await;
        world
    }

    pub async fn without_killer(flags: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().file_name().unwrap().to_str().unwrap().to_lowercase();
        let namespace = format!("k{name}").replace(['.', '_'], "");
        let (sandbox, upstream) = cluster(&directory, &namespace).await;
        let proxy = FaultProxy::serve(ProxyConfig::new(upstream)).await.unwrap();
        std::fs::write(directory.path().join("killer.kubeconfig"), proxy.kubeconfig().to_string()).unwrap();
        let world = Self {
            client: sandbox.client().unwrap(),
            sandbox,
            namespace,
            listen: free(),
            admin: free(),
            proxy,
            killer: Arc::default(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            directory,
        };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace}});
        let api: Api<DynamicObject> =
            Api::all_with(world.client.clone(), &resource("", "v1", "Namespace", "namespaces"));
        api.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
        world
    }

    // The killer.

    pub fn start_killer(&self) {
        *self.killer.lock().unwrap() = Some(self.spawn("killer-0", self.listen, self.admin));
    }

    /// Another replica, with another name.
    pub fn start_second(&self) -> (SocketAddr, Arc<Mutex<Option<Child>>>) {
        let listen = free();
        (listen, Arc::new(Mutex::new(Some(self.spawn("killer-1", listen, free())))))
    }

    fn spawn(&self, instance: &str, listen: SocketAddr, admin: SocketAddr) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = self.command();
        command.env("HOSTNAME", instance);
        command.args(["--namespace", &self.namespace, "--min-age", "0s"]);
        command.args(["--listen", &listen.to_string(), "--admin-listen", &admin.to_string()]);
        let guarded = self.flags.iter().any(|flag| flag.ends_with("-file") || flag == "--client-ca");
        if !guarded {
            command.arg("--insecure");
        }
        command.args(&self.flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// The binary, with this cluster's kubeconfig and ledger.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_killer"));
        command.arg("--kubeconfig").arg(self.directory.path().join("killer.kubeconfig"));
        command.args(["--ledger-namespace", &self.namespace]);
        command
    }

    /// SIGKILL: no goodbye.
    pub fn kill_killer(&self) {
        kill(&self.killer);
    }

    /// A handle that a hook of the fault proxy can kill the killer by.
    pub fn killer(&self) -> Arc<Mutex<Option<Child>>> {
        Arc::clone(&self.killer)
    }

    pub async fn killer_ready(&self) {
        let url = format!("http://{}/readyz", self.admin);
        self.until("the killer is ready", async || {
            let lives = self.killer.lock().unwrap().as_mut().is_some_and(|child| child.try_wait().unwrap().is_none());
            assert!(lives, "the killer has ended\n{}", self.log());
            reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    pub async fn metric(&self, start: &str) -> u64 {
        let text = reqwest::get(format!("http://{}/metrics", self.admin)).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn faults(&self) -> FaultHandle {
        self.proxy.faults()
    }

    /// Every request of the killer, watches too.
    pub fn all_requests(&self) -> Vec<RequestRecord> {
        self.proxy.requests().records()
    }

    /// The killer's requests, watches not counted.
    pub fn requests(&self) -> Vec<RequestRecord> {
        let mut records = self.all_requests();
        records.retain(|request| request.verb != "watch" && request.verb != "list");
        records
    }

    /// The evictions that the API server accepted.
    pub fn evictions(&self) -> Vec<RequestRecord> {
        let mut records = self.requests();
        records.retain(|request| request.subresource == "eviction" && request.code == 201);
        records
    }

    /// The writes of the ledger that the API server accepted.
    pub fn ledger_writes(&self) -> usize {
        let written =
            |request: &&RequestRecord| request.resource == "configmaps" && request.is_write() && request.code < 300;
        self.requests().iter().filter(written).count()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("killer.log")
    }

    // The cluster.

    pub fn api(&self, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, kind)
    }

    pub async fn create(&self, kind: &ApiResource, object: Value) -> DynamicObject {
        let object = serde_json::from_value(object).unwrap();
        self.api(kind).create(&PostParams::default(), &object).await.unwrap()
    }

    fn template(&self, app: &str) -> Value {
        self.sandbox.registry().push("app", "1", &ImageConfig::new(["/app"]));
        json!({
            "metadata": {"labels": {"app": app}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "app", "image": self.sandbox.registry().pull_spec("app", "1")}],
            },
        })
    }

    /// A Deployment whose pods are Ready.
    pub async fn deploy(&self, app: &str, replicas: usize) -> Vec<DynamicObject> {
        let spec = json!({
            "replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": self.template(app),
        });
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app}, "spec": spec});
        self.create(&resource("apps", "v1", "Deployment", "deployments"), object).await;
        self.ready_pods(app, replicas).await
    }

    /// A pod without a controller, Ready.
    pub async fn bare_pod(&self, app: &str, labels: Value) -> DynamicObject {
        let mut pod = self.template(app);
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!(app);
        for (key, value) in labels.as_object().unwrap() {
            pod["metadata"]["labels"][key] = value.clone();
        }
        self.create(&pods(), pod).await;
        self.ready_pods(app, 1).await.remove(0)
    }

    /// A disruption budget for the pods of an app.
    pub async fn disruption_budget(&self, app: &str, name: &str, max_unavailable: u32) {
        let spec = json!({"maxUnavailable": max_unavailable, "selector": {"matchLabels": {"app": app}}});
        let object =
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec});
        let kind = resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");
        self.create(&kind, object).await;
        self.until("the disruption budget is observed", async || {
            self.api(&kind).get(name).await.unwrap().data.pointer("/status/observedGeneration").is_some()
        })
        .await;
    }

    pub async fn pods_of(&self, app: &str) -> Vec<DynamicObject> {
        let params = ListParams::default().labels(&format!("app={app}"));
        let mut all = self.api(&pods()).list(&params).await.unwrap().items;
        all.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        all.sort_by_key(ResourceExt::name_any);
        all
    }

    /// The pods of an app, once exactly so many are Ready.
    pub async fn ready_pods(&self, app: &str, count: usize) -> Vec<DynamicObject> {
        let mut found = Vec::new();
        self.until(&format!("{count} pods of {app} are Ready"), async || {
            found = self.pods_of(app).await;
            found.len() == count && found.iter().all(is_ready)
        })
        .await;
        found
    }

    pub async fn ledger(&self) -> Value {
        let Some(object) = self.api(&config_maps()).get_opt("canary-keeper-kills").await.unwrap() else {
            return json!({"open": [], "ended": []});
        };
        serde_json::from_str(object.data["data"]["ledger.json"].as_str().unwrap()).unwrap()
    }

    /// How the kills of the ledger ended: the outcome's word, or a refusal's reason.
    pub async fn endings(&self) -> Vec<String> {
        let ledger = self.ledger().await;
        let word = |ended: &Value| {
            let outcome = &ended["outcome"];
            outcome["reason"].as_str().or_else(|| outcome["how"].as_str()).unwrap().to_owned()
        };
        ledger["ended"].as_array().unwrap().iter().map(word).collect()
    }

    pub async fn until_endings(&self, expected: &[&str]) {
        self.until(&format!("the ledger tells {expected:?}"), async || self.endings().await == expected).await;
    }

    /// The killer's Events: what they are about, reason and note.
    pub async fn events(&self) -> Vec<(String, String, String)> {
        let kind = resource("events.k8s.io", "v1", "Event", "events");
        let all = self.api(&kind).list(&ListParams::default()).await.unwrap().items;
        let text = |event: &DynamicObject, pointer: &str| {
            event.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        all.iter()
            .filter(|event| event.data["reportingController"] == "canary-keeper.dev/killer")
            .map(|event| {
                let about = format!("{}/{}", text(event, "/regarding/kind"), text(event, "/regarding/name"));
                (about, text(event, "/reason"), text(event, "/note"))
            })
            .collect()
    }

    // Alerts.

    /// An alert that fires about this pod since a second.
    pub fn accusation(&self, pod: &str) -> Value {
        self.alert(pod, Timestamp::now() - SignedDuration::from_millis(10))
    }

    pub fn alert(&self, pod: &str, starts_at: Timestamp) -> Value {
        json!({
            "status": "firing", "startsAt": starts_at.to_string(), "endsAt": "0001-01-01T00:00:00Z",
            "labels": {"alertname": "NoProgress", "namespace": self.namespace, "pod": pod},
            "annotations": {"summary": "no item was worked on for five minutes"},
        })
    }

    /// Posts alerts as Alertmanager does, and answers the status code.
    pub async fn post(&self, alerts: &[Value]) -> u16 {
        post(self.listen, webhook(alerts)).await
    }

    // Waiting.

    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await {
            assert!(Instant::now() < deadline, "gave up waiting until {what}\n{}\n{}", self.ledger().await, self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_killer();
        if std::thread::panicking() {
            println!("{}", self.log());
            return;
        }
        let rights = rights(&self.flags);
        assert_eq!(rights.forbidden(&self.all_requests()), Vec::<String>::new(), "the manifest's Role");
    }
}

/// What the killer may with these flags: by its manifest's Role, with the lines that this tells to add for other modes.
pub fn rights(flags: &[String]) -> Rights {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/base/killer.yaml");
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
    let more =
        |verb: &str| json!({"kind": "Role", "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]});
    let has = |wanted: &[&str]| flags.iter().any(|flag| wanted.contains(&flag.as_str()));
    objects.extend(has(&["delete", "evict-then-delete"]).then(|| more("delete")));
    objects.extend(has(&["--quarantine"]).then(|| more("patch")));
    Rights::of(&objects)
}

pub fn webhook(alerts: &[Value]) -> String {
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"NoProgress\"}", "truncatedAlerts": 0, "status": "firing",
        "receiver": "killer", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093", "alerts": alerts,
    })
    .to_string()
}

pub async fn post(listen: SocketAddr, body: impl Into<reqwest::Body>) -> u16 {
    let request =
        reqwest::Client::new().post(format!("http://{listen}/kill")).header("content-type", "application/json");
    request.body(body).send().await.unwrap().status().as_u16()
}

pub fn is_ready(pod: &DynamicObject) -> bool {
    let conditions = pod.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

pub fn kill(process: &Mutex<Option<Child>>) {
    if let Some(mut child) = process.lock().unwrap().take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

async fn cluster(directory: &tempfile::TempDir, namespace: &str) -> (Sandbox, Upstream) {
    let path = directory.path().join("sandbox");
    if let Some(kubeconfig) = std::env::var_os("KEEPER_E2E_KUBECONFIG") {
        static ADDRESSES: LazyLock<Arc<AddressBlock>> = LazyLock::new(|| Arc::new(AddressBlock::named(10, 250)));
        let config = AttachConfig {
            fake_pods: true,
            namespace: Some(namespace.to_owned()),
            addresses: Arc::clone(&ADDRESSES),
            ..AttachConfig::new(&kubeconfig, path)
        };
        return (Sandbox::attach(config).await.unwrap(), Upstream::Kubeconfig(kubeconfig.into()));
    }
    let sandbox = Sandbox::start(SandboxConfig::new(path).with_fake_pods()).await.unwrap();
    let url = sandbox.api().unwrap().url();
    (sandbox, Upstream::Url(url))
}

/// A port that was free a moment ago.
pub fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
