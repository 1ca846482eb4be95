//! Which resources are served, and what the server must know of each: names, scope, subresources, generation.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::custom::{Path, Schema};
use super::object;

/// One served resource in one version.
#[derive(Debug, Clone)]
pub(crate) struct ResourceType {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) status: bool,
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) extra_subresources: &'static [&'static str],
    pub(crate) generation: Generation,
    /// Under which key the objects are kept: versions and groups that show the same objects share it.
    pub(crate) storage: String,
    /// Defined by a CustomResourceDefinition.
    pub(crate) custom: bool,
    /// An ordinary write may raise `status.latestVersion` by one.
    pub(crate) raises_version: bool,
    /// What a custom resource's objects look like; none for what is built in.
    pub(crate) schema: Option<Arc<Schema>>,
    /// What they look like when stored, when that is in another version.
    pub(crate) storage_schema: Option<Arc<Schema>>,
    /// The schema as it was written, for clients that ask for it.
    pub(crate) open_api: Arc<Value>,
    /// `additionalPrinterColumns` of a custom resource, each with its path.
    pub(crate) columns: Vec<(Value, Path)>,
}

/// Where a resource keeps the numbers that the scale subresource shows, as JSON pointers.
#[derive(Debug, Clone)]
pub(crate) struct ScalePaths {
    pub(crate) spec_replicas: String,
    pub(crate) status_replicas: String,
    /// A pointer to a LabelSelector, a plain map or (custom resources) a selector in text form.
    pub(crate) selector: Option<String>,
}

/// What moves `metadata.generation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// The resource has none.
    Unused,
    /// Changes of `spec`.
    Spec,
    /// Changes of `spec` or of the annotations (Deployments).
    SpecAndAnnotations,
    /// Changes of anything but `metadata` and `status`.
    AllButStatus,
}

impl ResourceType {
    /// `deployments.apps`, or `pods` in the core group: how messages name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The kind as messages about single objects name it: `Deployment.apps`. Events are the core group's whichever way
    /// they are asked for.
    pub(crate) fn qualified_kind(&self) -> String {
        match self.object_group() {
            "" => self.kind.clone(),
            group => format!("{}.{group}", self.kind),
        }
    }

    /// The group that messages about single objects name.
    pub(crate) fn object_group(&self) -> &str {
        if self.plural == "events" { "" } else { &self.group }
    }

    /// Where etcd has an object, as conflicts say it.
    pub(crate) fn registry_key(&self, namespace: &str, name: &str) -> String {
        let kind = match self.plural.as_str() {
            "services" => "services/specs",
            "replicationcontrollers" => "controllers",
            "nodes" => "minions",
            other => other,
        };
        let group = if self.custom { format!("{}/", self.group) } else { String::new() };
        let namespace = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        format!("/registry/{group}{kind}/{namespace}{name}")
    }

    /// `apps/v1`, or `v1` in the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    pub(crate) fn subresources(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.status {
            names.push("status");
        }
        if self.scale.is_some() {
            names.push("scale");
        }
        names.extend_from_slice(self.extra_subresources);
        names
    }
}

/// All served resources, built-in and custom.
#[derive(Debug)]
pub(crate) struct Resources {
    by_path: BTreeMap<(String, String, String), Arc<ResourceType>>,
}

impl Resources {
    pub(crate) fn builtin() -> Self {
        let mut all = Self { by_path: BTreeMap::new() };
        for row in TABLE {
            all.insert(row.resource());
        }
        all
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<ResourceType>> {
        self.by_path.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<ResourceType>> {
        self.by_path.values()
    }

    fn insert(&mut self, resource: ResourceType) {
        let path = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
        self.by_path.insert(path, Arc::new(resource));
    }

    /// Serves what a CustomResourceDefinition defines, in place of what it defined before.
    pub(crate) fn define(&mut self, crd: &Value) {
        self.forget(crd);
        for version in object::list(crd, "/spec/versions") {
            if version.get("served").and_then(Value::as_bool) == Some(true)
                && let Some(resource) = custom(crd, version)
            {
                self.insert(resource);
            }
        }
    }

    /// Stops serving what a CustomResourceDefinition defines.
    pub(crate) fn forget(&mut self, crd: &Value) {
        let group = object::text(crd, "/spec/group").unwrap_or_default();
        let plural = object::text(crd, "/spec/names/plural").unwrap_or_default();
        self.by_path.retain(|(g, _, p), resource| !(resource.custom && g == group && p == plural));
    }
}

fn custom(crd: &Value, version: &Value) -> Option<ResourceType> {
    let group = object::text(crd, "/spec/group")?.to_owned();
    let plural = object::text(crd, "/spec/names/plural")?.to_owned();
    let kind = object::text(crd, "/spec/names/kind")?.to_owned();
    let texts = |pointer: &str| -> Vec<String> {
        object::list(crd, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let pointer = |path: &str| version.pointer(path).and_then(Value::as_str).map(|p| p.replace('.', "/"));
    let scale = pointer("/subresources/scale/specReplicasPath").map(|spec_replicas| ScalePaths {
        spec_replicas,
        status_replicas: pointer("/subresources/scale/statusReplicasPath").unwrap_or_default(),
        selector: pointer("/subresources/scale/labelSelectorPath"),
    });
    let written = version.pointer(SCHEMA).unwrap_or(&Value::Null);
    Some(ResourceType {
        version: object::text(version, "/name")?.to_owned(),
        singular: object::text(crd, "/spec/names/singular").map_or_else(|| kind.to_lowercase(), str::to_owned),
        list_kind: object::text(crd, "/spec/names/listKind").map_or_else(|| format!("{kind}List"), str::to_owned),
        short_names: texts("/spec/names/shortNames"),
        categories: texts("/spec/names/categories"),
        namespaced: object::text(crd, "/spec/scope") == Some("Namespaced"),
        status: version.pointer("/subresources/status").is_some(),
        scale,
        extra_subresources: if is_deployment_config(&group, &plural) { &["instantiate"] } else { &[] },
        generation: Generation::AllButStatus,
        storage: format!("{group}/{plural}"),
        custom: true,
        raises_version: is_deployment_config(&group, &plural) && crd.pointer(INSTANTIATE_ONLY).is_none(),
        schema: Schema::read(written).map(Arc::new),
        storage_schema: storage_schema(crd, version),
        open_api: Arc::new(written.clone()),
        columns: columns(version),
        group,
        plural,
        kind,
    })
}

/// Where a version has its schema.
const SCHEMA: &str = "/schema/openAPIV3Schema";

fn storage_schema(crd: &Value, version: &Value) -> Option<Arc<Schema>> {
    let stored = |v: &&Value| v.get("storage").and_then(Value::as_bool) == Some(true);
    let stored = object::list(crd, "/spec/versions").iter().find(stored)?;
    if stored.get("name") == version.get("name") {
        return None;
    }
    Schema::read(stored.pointer(SCHEMA)?).map(Arc::new)
}

fn columns(version: &Value) -> Vec<(Value, Path)> {
    let column = |column: &Value| Some((column.clone(), Path::read(object::text(column, "/jsonPath")?)?));
    object::list(version, "/additionalPrinterColumns").iter().filter_map(column).collect()
}

/// An annotation of the definition of DeploymentConfigs, with any value: their latest version can only be raised by
/// `instantiate`.
const INSTANTIATE_ONLY: &str = "/metadata/annotations/sandbox.canary-keeper.dev~1instantiate-only";

/// OpenShift's kind, which here is defined like any custom one, and still has the doors that OpenShift's has.
fn is_deployment_config(group: &str, plural: &str) -> bool {
    group == "apps.openshift.io" && plural == "deploymentconfigs"
}

/// One line of the table below.
struct Row {
    api: (&'static str, &'static str),
    plural: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
    traits: &'static [Trait],
}

/// What sets a resource apart from a namespaced one without subresources.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trait {
    Cluster,
    Status,
    Scale,
    All,
    Generation(Generation),
    Subresources(&'static [&'static str]),
    StoredAs(&'static str),
}

use Trait::{All, Cluster, Scale, Status, StoredAs, Subresources};
const SPEC: Trait = Trait::Generation(Generation::Spec);
const CORE: (&str, &str) = ("", "v1");
const APPS: (&str, &str) = ("apps", "v1");
const RBAC: (&str, &str) = ("rbac.authorization.k8s.io", "v1");

const fn row(
    api: (&'static str, &'static str),
    plural: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
    traits: &'static [Trait],
) -> Row {
    Row { api, plural, kind, short, traits }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row(CORE, "namespaces", "Namespace", &["ns"], &[Cluster, Status, Subresources(&["finalize"])]),
    row(CORE, "nodes", "Node", &["no"], &[Cluster, Status]),
    row(CORE, "pods", "Pod", &["po"], &[Status, All, SPEC, Subresources(&["attach", "binding", "eviction", "exec", "log", "portforward"])]),
    row(CORE, "services", "Service", &["svc"], &[Status, All]),
    row(CORE, "configmaps", "ConfigMap", &["cm"], &[]),
    row(CORE, "secrets", "Secret", &[], &[]),
    row(CORE, "serviceaccounts", "ServiceAccount", &["sa"], &[]),
    row(CORE, "events", "Event", &["ev"], &[]),
    row(CORE, "endpoints", "Endpoints", &["ep"], &[]),
    row(CORE, "replicationcontrollers", "ReplicationController", &["rc"], &[Status, Scale, All, SPEC]),
    row(CORE, "persistentvolumeclaims", "PersistentVolumeClaim", &["pvc"], &[Status]),
    row(APPS, "deployments", "Deployment", &["deploy"], &[Status, Scale, All, Trait::Generation(Generation::SpecAndAnnotations)]),
    row(APPS, "replicasets", "ReplicaSet", &["rs"], &[Status, Scale, All, SPEC]),
    row(APPS, "statefulsets", "StatefulSet", &["sts"], &[Status, Scale, All, SPEC]),
    row(("batch", "v1"), "jobs", "Job", &[], &[Status, All, SPEC]),
    row(("autoscaling", "v2"), "horizontalpodautoscalers", "HorizontalPodAutoscaler", &["hpa"], &[Status, All]),
    row(("policy", "v1"), "poddisruptionbudgets", "PodDisruptionBudget", &["pdb"], &[Status, SPEC]),
    row(("discovery.k8s.io", "v1"), "endpointslices", "EndpointSlice", &[], &[Trait::Generation(Generation::AllButStatus)]),
    row(("coordination.k8s.io", "v1"), "leases", "Lease", &[], &[]),
    row(("events.k8s.io", "v1"), "events", "Event", &["ev"], &[StoredAs("/events")]),
    row(RBAC, "roles", "Role", &[], &[]),
    row(RBAC, "rolebindings", "RoleBinding", &[], &[]),
    row(("apiextensions.k8s.io", "v1"), "customresourcedefinitions", "CustomResourceDefinition", &["crd", "crds"], &[Cluster, Status, SPEC]),
];

impl Row {
    fn resource(&self) -> ResourceType {
        let (group, version) = self.api;
        let mut resource = ResourceType {
            group: group.into(),
            version: version.into(),
            plural: self.plural.into(),
            singular: self.kind.to_lowercase(),
            kind: self.kind.into(),
            list_kind: format!("{}List", self.kind),
            short_names: self.short.iter().map(|s| (*s).to_owned()).collect(),
            categories: Vec::new(),
            namespaced: true,
            status: false,
            scale: None,
            extra_subresources: &[],
            generation: Generation::Unused,
            storage: format!("{group}/{}", self.plural),
            custom: false,
            raises_version: false,
            schema: None,
            storage_schema: None,
            open_api: Arc::new(Value::Null),
            columns: Vec::new(),
        };
        for t in self.traits {
            match *t {
                Cluster => resource.namespaced = false,
                Status => resource.status = true,
                Scale => resource.scale = Some(workload_scale()),
                All => resource.categories.push("all".into()),
                Trait::Generation(generation) => resource.generation = generation,
                Subresources(names) => resource.extra_subresources = names,
                StoredAs(key) => resource.storage = key.into(),
            }
        }
        resource
    }
}

fn workload_scale() -> ScalePaths {
    ScalePaths {
        spec_replicas: "/spec/replicas".into(),
        status_replicas: "/status/replicas".into(),
        selector: Some("/spec/selector".into()),
    }
}
