//! As much OpenAPI as `kubectl apply` and `create` need to leave validation to the server.
//!
//! Schemas of the built-in kinds are not described: kubectl carries the merge keys of those it knows.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::resources::{ResourceType, Resources};

/// The answer under `/openapi/v3`, if the path is one of its.
pub(crate) fn answer(resources: &Resources, path: &str) -> Option<Value> {
    let rest = path.strip_prefix("/openapi/v3")?.trim_matches('/');
    if rest.is_empty() {
        let paths: BTreeMap<String, Value> = resources
            .iter()
            .map(|r| group_version_path(r))
            .map(|path| {
                let url = format!("/openapi/v3/{path}?hash=sandbox");
                (path, json!({ "serverRelativeURL": url }))
            })
            .collect();
        return Some(json!({ "paths": paths }));
    }
    let mut paths = Map::new();
    for resource in resources.iter().filter(|r| group_version_path(r) == rest) {
        let (path, operations) = operations(resource);
        paths.insert(path, operations);
    }
    if paths.is_empty() {
        return None;
    }
    Some(json!({
        "openapi": "3.0.0", "info": { "title": "Kubernetes", "version": "v1.36.3" },
        "paths": paths, "components": { "schemas": {} },
    }))
}

fn group_version_path(r: &ResourceType) -> String {
    if r.group.is_empty() { format!("api/{}", r.version) } else { format!("apis/{}/{}", r.group, r.version) }
}

/// The patch operation tells kubectl that the server takes `fieldValidation` and `dryRun`. Strategic merge is left
/// out on purpose: named here, kubectl would want a schema with the merge keys; without it, it uses its own.
fn operations(r: &ResourceType) -> (String, Value) {
    let parameter = |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
    let kind = json!({ "group": r.group, "version": r.version, "kind": r.kind });
    let scope = if r.namespaced { "/namespaces/{namespace}" } else { "" };
    let path = format!("/{}{scope}/{}/{{name}}", group_version_path(r), r.plural);
    let patch = json!({
        "operationId": format!("patch{}{}{}", r.group.replace('.', ""), r.version, r.kind),
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": kind,
        "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")],
        "requestBody": { "required": true, "content": {
            "application/json-patch+json": { "schema": { "type": "object" } },
            "application/merge-patch+json": { "schema": { "type": "object" } },
        } },
        "responses": { "200": { "description": "OK" } },
    });
    (path, json!({ "patch": patch }))
}
