//! The kinds of objects we read and write, as JSON: typed pod specs would lose fields newer than this build.

use keeper_api::canary;
use keeper_clone::WorkloadKind;
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::runtime::reflector::ObjectRef;

/// What a rollout is of: a workload in annotation mode, or a Canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    Workload(WorkloadKind),
    Canary,
}

impl Subject {
    /// Deployments as production, whoever asks for their releases.
    pub(crate) const DEPLOYMENT: Self = Self::Workload(WorkloadKind::Deployment);

    /// What an object as it was read is.
    pub(crate) fn of(object: &DynamicObject) -> Self {
        let named = object.types.as_ref().is_some_and(|types| types.kind == canary::KIND);
        if named { Self::Canary } else { Self::Workload(of(object)) }
    }

    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::Workload(kind) => workload(kind),
            Self::Canary => resource(canary::GROUP, canary::VERSION, canary::KIND, canary::PLURAL),
        }
    }

    pub(crate) fn reference(self, namespace: &str, name: &str) -> ObjectRef<DynamicObject> {
        ObjectRef::new_with(name, self.resource()).within(namespace)
    }

    /// The kind of an owner reference, if it is one of these.
    fn owning(kind: &str, api_version: &str) -> Option<Self> {
        let group = |version: &str| version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned());
        let subject = if kind == canary::KIND { Self::Canary } else { Self::Workload(named(kind)?) };
        (group(&subject.resource().api_version) == group(api_version)).then_some(subject)
    }
}

/// Selects the ConfigMaps that hold our records.
pub(crate) const RECORDS: &str = "app.kubernetes.io/managed-by=canary-keeper";

pub(crate) fn workload(kind: WorkloadKind) -> ApiResource {
    match kind {
        WorkloadKind::Deployment => resource("apps", "v1", kind.name(), "deployments"),
        WorkloadKind::DeploymentConfig => resource("apps.openshift.io", "v1", kind.name(), "deploymentconfigs"),
    }
}

/// The kind of a workload as it was read; without one, as lists give built-in objects, it is a Deployment.
pub(crate) fn of(workload: &DynamicObject) -> WorkloadKind {
    named(workload.types.as_ref().map_or("", |types| types.kind.as_str())).unwrap_or_default()
}

fn named(name: &str) -> Option<WorkloadKind> {
    [WorkloadKind::Deployment, WorkloadKind::DeploymentConfig].into_iter().find(|kind| kind.name() == name)
}

/// Notes the kind on an object that came without one.
pub(crate) fn note(object: &mut DynamicObject, resource: &ApiResource) {
    object.types = Some(TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
}

/// The workload or Canary that owns an object, whichever of its references names it.
pub(crate) fn owning_subject(object: &DynamicObject) -> Option<(Subject, ObjectRef<DynamicObject>)> {
    object.owner_references().iter().find_map(|owner| {
        let subject = Subject::owning(&owner.kind, &owner.api_version)?;
        Some((subject, subject.reference(&object.namespace()?, &owner.name)))
    })
}

/// The Canary that owns an object: its name and uid.
pub(crate) fn owning_canary(object: &DynamicObject) -> Option<(String, String)> {
    let owners = object.owner_references().iter();
    let mut canaries = owners.filter(|owner| Subject::owning(&owner.kind, &owner.api_version) == Some(Subject::Canary));
    canaries.next().map(|owner| (owner.name.clone(), owner.uid.clone()))
}

pub(crate) fn autoscaler() -> ApiResource {
    resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
}

pub(crate) fn replica_set() -> ApiResource {
    resource("apps", "v1", "ReplicaSet", "replicasets")
}

pub(crate) fn replication_controller() -> ApiResource {
    resource("", "v1", "ReplicationController", "replicationcontrollers")
}

pub(crate) fn job() -> ApiResource {
    resource("batch", "v1", "Job", "jobs")
}

pub(crate) fn pod() -> ApiResource {
    resource("", "v1", "Pod", "pods")
}

pub(crate) fn service() -> ApiResource {
    resource("", "v1", "Service", "services")
}

pub(crate) fn config_map() -> ApiResource {
    resource("", "v1", "ConfigMap", "configmaps")
}

pub(crate) fn endpoint_slice() -> ApiResource {
    resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
}

pub(crate) fn volume_claim() -> ApiResource {
    resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}
