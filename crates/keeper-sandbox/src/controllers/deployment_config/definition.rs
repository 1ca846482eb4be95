use serde_json::{Value, json};

/// DeploymentConfig as a CustomResourceDefinition, for API servers that are not OpenShift's.
///
/// On the sandbox's API server the kind also has OpenShift's two ways of raising its latest version: an ordinary write
/// that raises it by one, and `instantiate`. With the annotation `sandbox.canary-keeper.dev/instantiate-only` on the
/// definition only the second is there.
///
/// The schema takes everything: OpenShift's own is typed, and has fields newer than any copy of it.
#[must_use]
pub fn definition() -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "deploymentconfigs.apps.openshift.io"},
        "spec": {
            "group": "apps.openshift.io", "scope": "Namespaced",
            "names": {
                "plural": "deploymentconfigs", "singular": "deploymentconfig", "kind": "DeploymentConfig",
                "listKind": "DeploymentConfigList", "shortNames": ["dc"], "categories": ["all"],
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open, "status": open}}},
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
                "additionalPrinterColumns": [
                    {"name": "Revision", "type": "integer", "jsonPath": ".status.latestVersion"},
                    {"name": "Desired", "type": "integer", "jsonPath": ".spec.replicas"},
                    {"name": "Current", "type": "integer", "jsonPath": ".status.updatedReplicas"},
                ],
            }],
        },
    })
}
