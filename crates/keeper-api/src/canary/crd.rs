//! The CustomResourceDefinition.

use super::{GROUP, KIND, PLURAL, VERSION, schema};
use serde_json::{Value, json};

/// The CustomResourceDefinition of a Canary, as it is applied to a cluster.
///
/// `deploy/crd/` holds it as YAML; `cargo xtask crds` writes that.
#[must_use]
pub fn crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{PLURAL}.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": KIND.to_lowercase(),
                "shortNames": ["cny"],
                "categories": ["canary-keeper"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": schema::canary() },
                "subresources": { "status": {} },
                "additionalPrinterColumns": [
                    column("Deployment", ".spec.deploymentTemplate.metadata.name", "The production Deployment.", 0),
                    column("Phase", ".status.phase", "Where the release stands.", 0),
                    column("Reason", ".status.reason", "Why.", 0),
                    column("Promoted", r#".status.conditions[?(@.type=="Promoted")].status"#, "Whether production runs it.", 0),
                    column("Message", ".status.message", "Why, in words.", 1),
                    column("Revision", ".status.revision", "What promote, abort and retry name.", 1),
                    age(),
                ],
            }],
        },
    })
}

fn column(name: &str, path: &str, description: &str, priority: u8) -> Value {
    json!({ "name": name, "type": "string", "jsonPath": path, "description": description, "priority": priority })
}

fn age() -> Value {
    json!({ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" })
}
