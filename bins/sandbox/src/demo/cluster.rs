//! What the demo asks of the cluster: the API server through a client of its own, and the production processes themselves.

use super::args::{Mode, Workload};
use super::manifests::{APP, NAMESPACE, PORT, SERVICE_PORT};
use super::resource;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Pod, ReplicationController, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use keeper_sandbox::controllers;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Client, ResourceExt};
use miette::{IntoDiagnostic, WrapErr, miette};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long a server may take to serve a kind that was just defined.
const SERVED_WITHIN: Duration = Duration::from_secs(30);
/// How long a namespace may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(90);

/// The cluster as its users see it.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
    http: reqwest::Client,
    workload: ApiResource,
    mode: Mode,
}

/// Production as its workload shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Production {
    /// The image in the template.
    pub(super) image: String,
    /// The whole spec.
    pub(super) spec: Value,
    /// Whether every replica runs it and is available.
    pub(super) complete: bool,
    /// The phase that the operator shows.
    pub(super) phase: String,
    /// The reason that it shows, in CamelCase.
    pub(super) reason: String,
    /// The reason in words.
    pub(super) message: String,
    /// What names the digests that these words are about.
    pub(super) about: String,
}

impl Cluster {
    pub(super) fn new(client: Client, workload: Workload, mode: Mode) -> Self {
        let kind = match workload {
            Workload::Deployment => GroupVersionKind::gvk("apps", "v1", "Deployment"),
            Workload::DeploymentConfig => GroupVersionKind::gvk("apps.openshift.io", "v1", "DeploymentConfig"),
        };
        Self { client, http: reqwest::Client::new(), workload: ApiResource::from_gvk(&kind), mode }
    }

    /// Makes the cluster serve DeploymentConfigs, if it does not.
    pub(super) async fn define_configs(&self) -> miette::Result<()> {
        self.define(&self.workload, controllers::deployment_config_definition()).await
    }

    /// Makes the cluster serve Canaries, if it does not.
    pub(super) async fn define_canaries(&self) -> miette::Result<()> {
        let definition = resource::definition().into_diagnostic().wrap_err("the definition of a Canary")?;
        self.define(&resource::kind(), definition).await
    }

    async fn define(&self, kind: &ApiResource, definition: Value) -> miette::Result<()> {
        let definitions = Api::<CustomResourceDefinition>::all(self.client.clone());
        let name = format!("{}.{}", kind.plural, kind.group);
        if definitions.get_opt(&name).await.into_diagnostic().wrap_err("asking for the kind's definition")?.is_none() {
            create(&definitions, definition).await?;
        }
        let objects = Api::<DynamicObject>::namespaced_with(self.client.clone(), NAMESPACE, kind);
        let start = Instant::now();
        while objects.list(&ListParams::default().limit(1)).await.is_err() {
            if start.elapsed() > SERVED_WITHIN {
                return Err(miette!("the API server does not serve {name} within {SERVED_WITHIN:?} of its definition"));
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Removes the namespace with everything in it, and waits until it is gone.
    pub(super) async fn remove_all(&self) -> miette::Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let deleted = namespaces.delete(NAMESPACE, &DeleteParams::default()).await;
        deleted.into_diagnostic().wrap_err("deleting the demo's namespace")?;
        let start = Instant::now();
        while namespaces.get_opt(NAMESPACE).await.into_diagnostic()?.is_some() {
            if start.elapsed() > GONE_WITHIN {
                return Err(miette!("the namespace {NAMESPACE} is still there {GONE_WITHIN:?} after it was deleted"));
            }
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Creates what a team would have applied.
    pub(super) async fn create(&self, [namespace, service, workload]: [Value; 3]) -> miette::Result<()> {
        create::<Namespace>(&Api::all(self.client.clone()), namespace).await?;
        create::<Service>(&self.api(), service).await?;
        create(&self.workloads(), workload).await
    }

    /// Makes the one Canary, or edits it.
    pub(super) async fn ask(&self, canary: Value) -> miette::Result<()> {
        let canaries = self.canary_objects();
        if canaries.get_opt(APP).await.into_diagnostic().wrap_err("reading the Canary")?.is_none() {
            return create(&canaries, canary).await;
        }
        let edit = Patch::Merge(json!({"spec": canary.get("spec")}));
        canaries.patch(APP, &PatchParams::default(), &edit).await.into_diagnostic().wrap_err("editing the Canary")?;
        Ok(())
    }

    fn canary_objects(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource::kind())
    }

    /// The objects of a kind in the demo's namespace.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    fn workloads(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &self.workload)
    }

    /// Production now.
    pub(super) async fn production(&self) -> miette::Result<Production> {
        let workload = self.workloads().get(APP).await.into_diagnostic().wrap_err("reading the workload")?;
        let Told { phase, reason, message, about } = match self.mode {
            Mode::Annotation | Mode::Kill => Told::by_annotations(&workload),
            Mode::Resource => {
                let canary =
                    self.canary_objects().get_opt(APP).await.into_diagnostic().wrap_err("reading the Canary")?;
                canary.map(|canary| Told::by_status(&canary)).unwrap_or_default()
            }
        };
        let count = |pointer: &str| workload.data.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
        let wanted = count("/spec/replicas");
        let all = ["replicas", "updatedReplicas", "availableReplicas"];
        let containers = workload.data.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        let image = containers.into_iter().flatten().find(|container| container.get("name") == Some(&APP.into()));
        let image = image.and_then(|container| container.get("image")?.as_str());
        Ok(Production {
            image: image.unwrap_or_default().to_owned(),
            spec: workload.data.get("spec").cloned().unwrap_or_default(),
            complete: count("/status/observedGeneration") >= workload.metadata.generation.unwrap_or_default()
                && all.iter().all(|field| count(&format!("/status/{field}")) == wanted),
            phase,
            reason,
            message,
            about,
        })
    }

    /// The address of the Service.
    pub(super) async fn service_url(&self) -> miette::Result<String> {
        let service = self.api::<Service>().get(APP).await.into_diagnostic().wrap_err("reading the Service")?;
        let address =
            service.spec.and_then(|spec| spec.cluster_ip).ok_or_else(|| miette!("the Service has no address"))?;
        Ok(format!("http://{address}:{SERVICE_PORT}/"))
    }

    /// How many canary pods there are, or canary Deployments, whichever are more.
    pub(super) async fn canaries(&self) -> miette::Result<usize> {
        let labelled = ListParams::default().labels(&format!("canary-keeper.dev/canary={APP}"));
        let pods = self.api::<Pod>().list(&labelled).await.into_diagnostic().wrap_err("listing the canaries")?;
        let deployments = self.api::<Deployment>().list(&labelled).await;
        let deployments = deployments.into_diagnostic().wrap_err("listing the canary Deployments")?;
        Ok(pods.items.len().max(deployments.items.len()))
    }

    /// Every process as a target of Prometheus, with the labels that one would have given it that can ask Kubernetes.
    pub(super) async fn scraped(&self) -> miette::Result<Value> {
        let target = |pod: &Pod| {
            let address = pod.status.as_ref()?.pod_ip.as_ref()?;
            let labels = json!({"pod": pod.name_any(), "namespace": NAMESPACE});
            Some(json!({"targets": [format!("{address}:{PORT}")], "labels": labels}))
        };
        Ok(self.pods().await?.iter().filter_map(target).collect())
    }

    /// Every pod, those on their way out too.
    pub(super) async fn pods(&self) -> miette::Result<Vec<Pod>> {
        let pods = self.api::<Pod>().list(&ListParams::default()).await;
        Ok(pods.into_diagnostic().wrap_err("listing the pods")?.items)
    }

    /// Asks every production process over its own port which digest it runs; says what is wrong.
    pub(super) async fn against_processes(&self, digest: &str, replicas: u32) -> miette::Result<Vec<String>> {
        let production: Vec<_> = self.pods().await?.into_iter().filter(is_production).collect();
        let mut complaints = Vec::new();
        if u32::try_from(production.len()).ok() != Some(replicas) {
            complaints.push(format!("production has {} pods, and {replicas} are wanted", production.len()));
        }
        for pod in production {
            let name = pod.name_any();
            let address = pod.status.and_then(|status| status.pod_ip).unwrap_or_default();
            match self.version(&address).await {
                Ok(version) if version.contains(digest) => {}
                Ok(version) => complaints.push(format!("{name} says that it runs {version:?}, not {digest}")),
                Err(error) => complaints.push(format!("{name} does not say what it runs: {error}")),
            }
        }
        Ok(complaints)
    }

    async fn version(&self, address: &str) -> reqwest::Result<String> {
        let asked = self.http.get(format!("http://{address}:{PORT}/version")).send().await?;
        Ok(asked.error_for_status()?.text().await?.trim().to_owned())
    }
}

/// What the operator tells of a release.
#[derive(Default)]
struct Told {
    phase: String,
    reason: String,
    message: String,
    about: String,
}

impl Told {
    fn by_annotations(workload: &DynamicObject) -> Self {
        let shown =
            |name| workload.annotations().get(&format!("canary-keeper.dev/{name}")).cloned().unwrap_or_default();
        let message = shown("message");
        Self { phase: shown("phase"), reason: shown("reason"), about: message.clone(), message }
    }

    fn by_status(canary: &DynamicObject) -> Self {
        let status = canary.data.get("status").unwrap_or(&Value::Null);
        let text = |field| status.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let about = resource::about(canary.metadata.generation, status);
        Self { phase: text("phase"), reason: text("reason"), message: text("message"), about }
    }
}

/// Pods that a controller of the workload's made and that are not on their way out.
pub(super) fn is_production(pod: &Pod) -> bool {
    let kinds = [<ReplicaSet as kube::Resource>::kind(&()), <ReplicationController as kube::Resource>::kind(&())];
    let made = |kind: &str| kinds.iter().any(|maker| *maker == kind);
    let is_canary = pod.labels().contains_key("canary-keeper.dev/canary");
    !is_canary
        && pod.metadata.deletion_timestamp.is_none()
        && pod.owner_references().iter().any(|owner| made(&owner.kind))
}

async fn create<K>(api: &Api<K>, object: Value) -> miette::Result<()>
where
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    let object: K = serde_json::from_value(object).into_diagnostic().wrap_err("a manifest of the demo")?;
    api.create(&PostParams::default(), &object).await.into_diagnostic().wrap_err("creating an object of the demo")?;
    Ok(())
}
