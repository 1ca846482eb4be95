//! The kinds of objects we read and write, as JSON: typed pod specs would lose fields newer than this build.

use kube::core::{ApiResource, GroupVersionKind};

/// Selects the ConfigMaps that hold our records.
pub(crate) const RECORDS: &str = "app.kubernetes.io/managed-by=canary-keeper";

pub(crate) fn deployment() -> ApiResource {
    resource("apps", "v1", "Deployment", "deployments")
}

pub(crate) fn replica_set() -> ApiResource {
    resource("apps", "v1", "ReplicaSet", "replicasets")
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
