//! As much OpenAPI as `kubectl` needs: `apply` and `create` to leave validation to the server, `explain` to explain custom
//! kinds.
//!
//! Schemas of the built-in kinds are not described: `kubectl explain` knows nothing of them here, and `apply` uses the
//! merge keys that it carries itself.

mod kinds;
mod objects;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::resources::{ResourceType, Resources};

/// What clients of the older form ask for: the media type has a dot or an `@`, by their age.
pub(super) const V2_MEDIA: &str = "application/com.github.proto-openapi.spec.v2";

/// What is answered then.
pub(super) const V2_ANSWER_MEDIA: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The older form without any definitions, as protobuf: `swagger: "2.0"`, `info: {title: "Kubernetes", version: "v1.36.3"}`.
///
/// `kubectl apply` of a `List` looks there, and leaves kinds that it does not find to the server.
pub(super) const V2: &[u8] = b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.36.3";

/// The answer under `/openapi`, if the path is one of its.
pub(crate) fn answer(resources: &Resources, path: &str) -> Option<Value> {
    let info = json!({ "title": "Kubernetes", "version": "v1.36.3" });
    if path == "/openapi/v2" {
        return Some(json!({ "swagger": "2.0", "info": info, "paths": {}, "definitions": {} }));
    }
    let rest = path.strip_prefix("/openapi/v3")?.trim_matches('/');
    if rest.is_empty() {
        return Some(index(resources));
    }
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in resources.iter().filter(|r| group_version_path(r) == rest) {
        let (path, operations) = operations(resource);
        paths.insert(path, operations);
        if resource.custom {
            schemas.extend(kinds::schemas(resource));
        }
    }
    if paths.is_empty() {
        return None;
    }
    if !schemas.is_empty() {
        schemas.extend(objects::schemas());
    }
    Some(json!({ "openapi": "3.0.0", "info": info, "paths": paths, "components": { "schemas": schemas } }))
}

/// Where the document of each group and version is. Clients keep a document as long as its hash stays.
fn index(resources: &Resources) -> Value {
    let mut paths = BTreeMap::new();
    for resource in resources.iter() {
        let path = group_version_path(resource);
        let hash = paths.entry(path).or_insert(0_u64);
        *hash = hash.wrapping_mul(31).wrapping_add(kinds::hash(resource));
    }
    let url = |(path, hash): (String, u64)| {
        let url = format!("/openapi/v3/{path}?hash={hash:016X}");
        (path, json!({ "serverRelativeURL": url }))
    };
    json!({ "paths": paths.into_iter().map(url).collect::<Map<_, _>>() })
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
