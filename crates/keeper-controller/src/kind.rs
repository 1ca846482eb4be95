//! The kinds of objects we read and write, as JSON: typed pod specs would lose fields newer than this build.

use keeper_clone::WorkloadKind;
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::runtime::reflector::ObjectRef;

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

/// The workload that owns an object, whichever of its references names it.
pub(crate) fn owning_workload(object: &DynamicObject) -> Option<(WorkloadKind, ObjectRef<DynamicObject>)> {
    let group = |version: &str| version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned());
    object.owner_references().iter().find_map(|owner| {
        let kind = named(&owner.kind).filter(|kind| group(kind.api_version()) == group(&owner.api_version))?;
        Some((kind, ObjectRef::new_with(&owner.name, workload(kind)).within(&object.namespace()?)))
    })
}

pub(crate) fn replica_set() -> ApiResource {
    resource("apps", "v1", "ReplicaSet", "replicasets")
}

pub(crate) fn replication_controller() -> ApiResource {
    resource("", "v1", "ReplicationController", "replicationcontrollers")
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
