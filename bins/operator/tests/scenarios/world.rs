//! A cluster, a registry and the operator binary, for one scenario.
//!
//! On the sandbox by default; on a real control plane when `KEEPER_E2E_KUBECONFIG` names its admin kubeconfig (that is
//! what `cargo xtask e2e` does). The operator always talks to the API server through the fault proxy, which counts its
//! requests. Each scenario has a namespace, a registry and a node of its own.

use jiff::Timestamp;
use keeper_sandbox::api::RequestRecord;
use keeper_sandbox::faults::{FaultHandle, FaultProxy, ProxyConfig, Upstream};
use keeper_sandbox::node::FakeScript;
use keeper_sandbox::registry::{ImageConfig, Registry};
use keeper_sandbox::{AddressBlock, AttachConfig, Rights, Sandbox, SandboxConfig};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

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
        std::fs::write(directory.path().join("operator.kubeconfig"), kubeconfig(&proxy.url())).unwrap();
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

    // The operator.

    /// Starts the operator binary; its log goes to a file that a failing scenario prints.
    pub fn start_operator(&self) {
        *self.operator.lock().unwrap() = Some(self.spawn(self.alerts, self.admin));
    }

    /// Starts another operator on the same namespace, beside the first.
    pub fn start_second_operator(&self) {
        *self.second.lock().unwrap() = Some(self.spawn(free(), free()));
    }

    fn spawn(&self, alerts: SocketAddr, admin: SocketAddr) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
        command
            .arg("--kubeconfig")
            .arg(self.directory.path().join("operator.kubeconfig"))
            .args(["--namespace", &self.namespace])
            .args(["--alerts-listen", &alerts.to_string(), "--admin-listen", &admin.to_string()])
            .args(["--registry-interval", "1s", "--look-interval", "1s"])
            .args(["--insecure-registry", &self.registry().address().ip().to_string()]);
        match &self.bearer_token {
            None => command.arg("--insecure"),
            Some(token) => {
                std::fs::write(self.token_path(), token).unwrap();
                command.arg("--bearer-token-file").arg(self.token_path())
            }
        };
        command.args(&self.flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().unwrap()
    }

    /// The file with the token that opens the webhook door.
    pub fn token_path(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    /// A directory of this scenario's own, gone with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// SIGKILL: no goodbye.
    pub fn kill_operator(&self) {
        kill(&self.operator);
    }

    /// A handle that a hook of the fault proxy can kill the operator by.
    pub fn operator(&self) -> Arc<Mutex<Option<Child>>> {
        Arc::clone(&self.operator)
    }

    pub async fn operator_ready(&self) {
        let url = format!("http://{}/readyz", self.admin);
        self.until("the operator is ready", async || {
            assert!(self.operator_lives(), "the operator has ended\n{}", self.log());
            reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    /// Whether the operator's process that was started last still runs.
    pub fn operator_lives(&self) -> bool {
        self.operator.lock().unwrap().as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// The process id of the operator that was started last.
    pub fn operator_pid(&self) -> u32 {
        self.operator.lock().unwrap().as_ref().map_or(0, Child::id)
    }

    /// Waits until the operator has asked the registry for the tag.
    pub async fn until_asked(&self) {
        self.until("the registry was asked", async || self.registry().heads("shop", "stable") > 0).await;
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("operator.log")
    }

    /// Every request of the operator since the scenario began, watches included.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.proxy.requests().records()
    }

    /// Requests of the operator by verb, watches and dry-runs told apart.
    pub fn counts(&self, since: u64) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for record in self.proxy.requests().after(since) {
            *counts.entry(describe(&record)).or_default() += 1;
        }
        counts
    }

    pub fn faults(&self) -> FaultHandle {
        self.proxy.faults()
    }

    // The registry.

    pub fn registry(&self) -> &Registry {
        self.sandbox.registry()
    }

    /// Pushes an image under `shop:stable` that does as scripted (fake pods), and answers its digest. `salt` makes
    /// digests differ.
    pub fn push(&self, salt: &str, script: &[(&str, &str)]) -> String {
        self.push_to("stable", salt, script)
    }

    fn push_to(&self, tag: &str, salt: &str, script: &[(&str, &str)]) -> String {
        let mut image = ImageConfig::new(["fake"]).env("VERSION", salt);
        for (name, value) in script {
            image = image.label(format!("{}{name}", keeper_sandbox::node::SCRIPT_PREFIX), *value);
        }
        self.registry().push("shop", tag, &image)
    }

    /// Pushes an image as [`World::push`] does, under a tag that nobody watches.
    pub fn push_aside(&self, salt: &str, script: &[(&str, &str)]) -> String {
        let watched = self.registry().digest("shop", "stable");
        let digest = self.push_to("aside", salt, script);
        assert_eq!(self.registry().digest("shop", "stable"), watched);
        digest
    }

    /// Pushes the demo app with these settings under `shop:stable`.
    pub fn push_app(&self, version: &str, env: &[(&str, &str)]) -> String {
        let mut image = ImageConfig::new([demo_app().to_str().unwrap()]).env("VERSION", version);
        for (name, value) in env {
            image = image.env(*name, *value);
        }
        self.registry().push("shop", "stable", &image)
    }

    pub fn image(&self, digest: &str) -> String {
        self.registry().pinned_spec("shop", digest)
    }

    /// The watched pull spec.
    pub fn tag(&self) -> String {
        self.registry().pull_spec("shop", "stable")
    }

    // The cluster.

    pub fn api(&self, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, kind)
    }

    pub async fn create(&self, kind: &ApiResource, object: Value) -> DynamicObject {
        self.api(kind).create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    /// A Service `shop` and a Deployment `shop` of `replicas` pods that run `digest`, managed, ready to be shipped.
    /// `annotations` go beside `canary-image`.
    pub async fn deploy(&self, digest: &str, replicas: usize, annotations: &[(&str, &str)]) {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"},
            "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]},
        });
        self.create(&resource("", "v1", "Service", "services"), service).await;
        self.create(&deployments(), self.deployment("shop", digest, replicas, annotations)).await;
        self.until("the workload is rolled out", async || {
            self.deployment_now().await.data.pointer("/status/availableReplicas") == Some(&json!(replicas))
        })
        .await;
    }

    /// The same, with the template naming the watched tag instead of a digest.
    pub async fn deploy_tagged(&self, replicas: usize) {
        let mut deployment = self.deployment("shop", "", replicas, &[]);
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(self.tag());
        self.create(&deployments(), deployment).await;
        self.until("the workload is rolled out", async || {
            self.deployment_now().await.data.pointer("/status/availableReplicas") == Some(&json!(replicas))
        })
        .await;
    }

    pub fn deployment(&self, name: &str, digest: &str, replicas: usize, annotations: &[(&str, &str)]) -> Value {
        let mut all = json!({"canary-image": self.tag(), "canary-duration": "2s"});
        for (key, value) in annotations {
            all[*key] = json!(value);
        }
        let ip = json!({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}});
        let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1});
        let mut container =
            json!({"name": "shop", "image": self.image(digest), "env": [ip], "ports": [{"containerPort": 8080}]});
        if self.processes {
            container["readinessProbe"] = probe;
        }
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "labels": {"app": name, "canary": "true"}, "annotations": all},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [container], "terminationGracePeriodSeconds": 2},
                },
            },
        })
    }

    pub async fn deployment_now(&self) -> DynamicObject {
        self.api(&self.kind).get("shop").await.unwrap()
    }

    /// The image of the production template.
    pub async fn production(&self) -> String {
        let deployment = self.deployment_now().await;
        deployment.data.pointer("/spec/template/spec/containers/0/image").unwrap().as_str().unwrap().to_owned()
    }

    /// The canary pods there are, terminating ones too.
    pub async fn canaries(&self) -> Vec<DynamicObject> {
        let params = ListParams::default().labels("canary-keeper.dev/canary");
        self.api(&pods()).list(&params).await.unwrap().items
    }

    /// Sets annotations of the workload; `null` removes one.
    pub async fn annotate(&self, annotations: Value) {
        let patch = json!({"metadata": {"annotations": annotations}});
        self.api(&self.kind).patch("shop", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub async fn patch_named(&self, name: &str, patch: Value) {
        self.api(&deployments()).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub async fn patch(&self, patch: Value) {
        self.api(&self.kind).patch("shop", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub async fn delete(&self, kind: &ApiResource, name: &str) {
        let _ = self.api(kind).delete(name, &DeleteParams::default()).await;
    }

    /// Phase and reason as shown on the workload.
    pub async fn shown(&self) -> (String, String) {
        let deployment = self.deployment_now().await;
        let shown = |key: &str| deployment.annotations().get(key).cloned().unwrap_or_default();
        (shown("canary-keeper.dev/phase"), shown("canary-keeper.dev/reason"))
    }

    /// The record as stored.
    pub async fn record(&self) -> Option<Value> {
        let params = ListParams::default().labels("app.kubernetes.io/managed-by=canary-keeper");
        let list = self.api(&config_maps()).list(&params).await.unwrap();
        let text = list.items.first()?.data.pointer("/data/record.json")?.as_str()?.to_owned();
        serde_json::from_str(&text).ok()
    }

    /// Where the record says the rollout stands: phase, and the revision it is about.
    pub async fn state(&self) -> (String, String) {
        let record = self.record().await.unwrap_or_default();
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let revision = text("/state/run/revision").or_else(|| text("/state/revision"));
        (text("/state/phase").unwrap_or_default(), revision.unwrap_or_default())
    }

    /// Any workload by its name.
    pub async fn workload(&self, name: &str) -> DynamicObject {
        self.api(&deployments()).get(name).await.unwrap()
    }

    /// Phase and reason as shown on any workload.
    pub async fn shown_of(&self, name: &str) -> (String, String) {
        let workload = self.workload(name).await;
        let shown = |key: &str| workload.annotations().get(key).cloned().unwrap_or_default();
        (shown("canary-keeper.dev/phase"), shown("canary-keeper.dev/reason"))
    }

    /// The Events of any workload: reason and note.
    pub async fn events_of(&self, name: &str) -> Vec<(String, String)> {
        let mut ours = self.our_events().await;
        ours.retain(|event| event.data["regarding"]["name"] == name);
        ours.iter().map(words).collect()
    }

    /// The Events that we told: reason and note.
    pub async fn events(&self) -> Vec<(String, String)> {
        self.our_events().await.iter().map(words).collect()
    }

    /// A real cluster's controllers tell Events of the same workloads.
    async fn our_events(&self) -> Vec<DynamicObject> {
        let kind = resource("events.k8s.io", "v1", "Event", "events");
        let mut all = self.api(&kind).list(&ListParams::default()).await.unwrap().items;
        all.retain(|event| event.data["reportingController"] == "canary-keeper.dev/operator");
        all
    }

    // Waiting.

    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await {
            assert!(Instant::now() < deadline, "gave up waiting until {what}\n{}", self.report().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the workload shows that phase and reason.
    pub async fn until_shown(&self, phase: &str, reason: &str) {
        let what = format!("the workload shows {phase} {reason}");
        self.until(&what, async || self.shown().await == (phase.to_owned(), reason.to_owned())).await;
    }

    /// Waits until the record says that the rollout of that digest stands there.
    pub async fn until_state(&self, phase: &str, digest: &str) {
        let wanted = (phase.to_owned(), digest.to_owned());
        self.until(&format!("{digest} is {phase}"), async || self.state().await == wanted).await;
    }

    /// Waits until the registry was asked for the tag so many times more.
    pub async fn registry_intervals(&self, intervals: u64) {
        let asked = self.registry().heads("shop", "stable");
        self.until("the registry was asked again", async || {
            self.registry().heads("shop", "stable") >= asked + intervals
        })
        .await;
    }

    /// Waits until production runs that digest, by digest, everywhere, and no canary is left.
    pub async fn until_promoted(&self, digest: &str) {
        let image = self.image(digest);
        self.until(&format!("production runs {digest}"), async || self.production().await == image).await;
        self.until("the record says it is settled", async || {
            self.shown().await.0 == "Settled" && self.canaries().await.is_empty()
        })
        .await;
    }

    /// Waits until that digest is in the ledger as rejected and no canary is left; production must not have changed.
    pub async fn until_rejected(&self, digest: &str, production: &str) {
        self.until_shown("Rejected", "Rejected").await;
        self.until("the canary is gone", async || self.canaries().await.is_empty()).await;
        assert_eq!(self.production().await, self.image(production), "production was touched");
        let record = self.record().await.unwrap();
        assert!(record.to_string().contains(digest), "{record}");
    }

    /// Stays with something for a while: it must hold all the time.
    pub async fn always(&self, what: &str, time: Duration, mut holds: impl AsyncFnMut() -> bool) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            assert!(holds().await, "it must hold that {what}\n{}", self.report().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Posts a webhook body as Alertmanager does, and answers the status code.
    pub async fn post_alerts(&self, body: impl Into<reqwest::Body>) -> u16 {
        self.door().post(body).await
    }

    /// The webhook door, for whoever outlives this borrow.
    pub fn door(&self) -> Door {
        Door { url: format!("http://{}/alerts", self.alerts), token: self.bearer_token.clone() }
    }

    /// The number of production's template, as the workload's controller counts them: one more with each other template.
    pub async fn revision(&self) -> i64 {
        let annotations = self.deployment_now().await.metadata.annotations.unwrap_or_default();
        annotations["deployment.kubernetes.io/revision"].parse().unwrap()
    }

    /// Everything that helps to understand a scenario that failed.
    pub async fn report(&self) -> String {
        let deployment = self.deployment_now().await;
        let canaries: Vec<String> = self.canaries().await.iter().map(|pod| pod.data["status"].to_string()).collect();
        let requests: Vec<String> = self
            .requests()
            .iter()
            .filter(|request| request.verb != "watch" && request.verb != "list")
            .map(|request| format!("{} {} {}", describe(request), request.name, request.code))
            .collect();
        format!(
            "{}\nshown: {:?}\nproduction: {}\ncanaries: {canaries:?}\nrecord: {:?}\nstatus: {}\nrequests:\n{}\nlog:\n{}",
            self.label,
            self.shown().await,
            self.production().await,
            self.record().await,
            deployment.data["status"],
            requests.join("\n"),
            self.log()
        )
    }
}

/// An Event's reason and note.
fn words(event: &DynamicObject) -> (String, String) {
    let text = |key: &str| event.data[key].as_str().unwrap_or_default().to_owned();
    (text("reason"), text("note"))
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

/// What the operator may, by its manifest's Role.
pub fn rights() -> Rights {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/base/operator.yaml");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
    Rights::of(&objects)
}

/// Where alerts are posted to, and with which credentials.
#[derive(Clone)]
pub struct Door {
    pub url: String,
    pub token: Option<String>,
}

impl Door {
    /// Posts a body as Alertmanager does, and answers the status code.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> u16 {
        let mut request = reqwest::Client::new().post(&self.url).header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.body(body).send().await.unwrap().status().as_u16()
    }
}

/// Notes, for people and for `cargo xtask test`, what this machine can't show.
pub fn not_run(why: &str) {
    println!("NOT RUN: {why}");
    if let Some(path) = std::env::var_os("KEEPER_NOT_RUN") {
        let mut notes = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(notes, "NOT RUN: {why}").unwrap();
    }
}

/// Where a program is found.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

pub fn kill(operator: &Mutex<Option<Child>>) {
    if let Some(mut child) = operator.lock().unwrap().take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// `verb resource[/subresource][ dry-run]`.
pub fn describe(request: &RequestRecord) -> String {
    let subresource = if request.subresource.is_empty() { String::new() } else { format!("/{}", request.subresource) };
    let dry = if request.dry_run { " dry-run" } else { "" };
    format!("{} {}{subresource}{dry}", request.verb, request.resource)
}

/// The patches of production's template, as the API server got them; without those that it refused because somebody
/// else had written the workload meanwhile, as its controller does.
pub fn promotions(requests: &[RequestRecord]) -> Vec<&RequestRecord> {
    let touches_template = |request: &&RequestRecord| {
        let body = request.body.as_ref().map(ToString::to_string).unwrap_or_default();
        let refused = matches!(request.code, 409 | 422);
        ["deployments", "deploymentconfigs"].contains(&request.resource.as_str())
            && request.is_write()
            && !refused
            && body.contains("/spec/template")
    };
    requests.iter().filter(touches_template).collect()
}

/// The canaries that were created for real.
pub fn creations(requests: &[RequestRecord]) -> Vec<&RequestRecord> {
    requests.iter().filter(|r| r.resource == "pods" && r.verb == "create" && r.is_write() && r.code == 201).collect()
}

/// An alert that names the canary, firing since now.
pub fn accusation(world: &World, canary: &str) -> String {
    let labels = json!({"alertname": "CanaryErrors", "namespace": world.namespace, "pod": canary});
    webhook("firing", &labels, Timestamp::now())
}

/// An alert as Alertmanager 0.25 sends it.
pub fn webhook(status: &str, labels: &Value, starts_at: Timestamp) -> String {
    let ends_at = if status == "firing" { "0001-01-01T00:00:00Z".to_owned() } else { Timestamp::now().to_string() };
    json!({
        "receiver": "canary-keeper", "status": status,
        "alerts": [{
            "status": status, "labels": labels,
            "annotations": {"summary": "the canary burns its error budget"},
            "startsAt": starts_at.to_string(), "endsAt": ends_at,
            "generatorURL": "http://prometheus:9090/graph?g0.expr=up", "fingerprint": format!("{:016x}", labels_hash(labels)),
        }],
        "groupLabels": {"alertname": "HighErrorRate"}, "commonLabels": labels, "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093", "version": "4", "groupKey": "{}:{alertname=\"HighErrorRate\"}",
        "truncatedAlerts": 0,
    })
    .to_string()
}

fn labels_hash(labels: &Value) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    labels.to_string().hash(&mut hasher);
    hasher.finish()
}

async fn cluster(directory: &tempfile::TempDir, namespace: &str, processes: bool) -> (Sandbox, Upstream) {
    let path = directory.path().join("sandbox");
    if let Some(kubeconfig) = std::env::var_os("KEEPER_E2E_KUBECONFIG") {
        // One block of addresses for all nodes that this process attaches.
        static ADDRESSES: LazyLock<Arc<AddressBlock>> = LazyLock::new(|| Arc::new(AddressBlock::named(10, 250)));
        let config = AttachConfig {
            fake_pods: !processes,
            namespace: Some(namespace.to_owned()),
            addresses: Arc::clone(&ADDRESSES),
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

/// A kubeconfig without credentials: the fault proxy has them.
fn kubeconfig(url: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": url}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    })
    .to_string()
}

/// A free port that stays free while nobody listens on it: none of those that outgoing connections take.
pub fn free() -> SocketAddr {
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(97)));
    let candidates = std::iter::repeat_with(|| 12_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 20_000);
    let mut addresses = candidates.map(|port| SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap())));
    addresses.find(|address| std::net::TcpListener::bind(address).is_ok()).unwrap()
}

/// The demo app's binary beside the operator's, built if it isn't there.
pub fn demo_app() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let build = || {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "--quiet", "-p", "demo-app", "-p", "demo-client"]).status();
        assert!(built.unwrap().success(), "the demo app can't be built");
        PathBuf::from(env!("CARGO_BIN_EXE_operator")).with_file_name("demo-app")
    };
    BUILT.get_or_init(build).clone()
}

/// What a fake pod of that image does from now on.
pub fn script(world: &World, digest: &str, script: FakeScript) {
    world.sandbox.node().script_image(&world.image(digest), script);
}
