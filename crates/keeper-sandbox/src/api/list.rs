//! Lists, page by page, and the forms in which objects are answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::{Cluster, Target};
use super::request::{Form, Query};
use super::resources::ResourceType;
use super::selector::Selection;
use super::status::{FieldError, Status};
use super::store::Key;
use super::{convert, object, table};

/// Where the next page starts, and of which moment it is.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    version: u64,
    after: Key,
}

/// Answers a list request.
pub(crate) fn list(
    cluster: &Cluster,
    target: &Target,
    query: &Query,
    form: Form,
    now: Timestamp,
) -> Result<Value, Status> {
    let resource = &target.resource;
    if form == Form::Metadata {
        return Err(Status::wrong_form(resource, "PartialObjectMetadata", true));
    }
    let selection = query.selection(&target.namespace, "")?;
    check_fields(resource, &selection)?;
    check_versions(query)?;
    let limit = query.number("limit")?.unwrap_or_default();
    let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
    let (objects, version, after) = snapshot(cluster, resource, query)?;
    let mut selected = objects
        .iter()
        .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
        .map(|(key, object)| (key, convert::served(resource, object)))
        .filter(|(_, object)| selection.matches(object))
        .peekable();
    let mut items = Vec::new();
    let mut last = None;
    while limit.is_none_or(|limit| items.len() < limit)
        && let Some((key, object)) = selected.next()
    {
        last = Some(key.clone());
        items.push(object);
    }
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if selected.peek().is_some()
        && let Some(after) = last
    {
        let token = serde_json::to_vec(&Continue { version, after }).unwrap_or_default();
        object::set(&mut metadata, "continue", json!(BASE64_URL_SAFE_NO_PAD.encode(token)));
        if query.get("labelSelector").is_none() && query.get("fieldSelector").is_none() {
            object::set(&mut metadata, "remainingItemCount", json!(selected.count()));
        }
    }
    Ok(wrap(resource, items, &metadata, form, now))
}

type Snapshot = (BTreeMap<Key, Arc<Value>>, u64, Option<Key>);

/// The objects to choose from, the moment they are of, and after which key to start.
fn snapshot(cluster: &Cluster, resource: &ResourceType, query: &Query) -> Result<Snapshot, Status> {
    let current = cluster.store.version();
    let at = |version: u64, too_old: &str| {
        cluster.store.list_at(&resource.storage, version).map_err(|_| Status::expired(too_old))
    };
    if let Some(token) = query.get("continue") {
        let token: Continue = BASE64_URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|e| e.to_string())
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string()))
            .map_err(|e| Status::bad_request(format!("invalid continue token: continue key is not valid: {e}")))?;
        let too_old = "The provided continue parameter is too old to display a consistent list result. You can start a \
            new list without the continue parameter.";
        return Ok((at(token.version, too_old)?, token.version, Some(token.after)));
    }
    let wanted = query.version().map_err(Status::bad_request)?;
    if wanted > current {
        return Err(too_large(wanted, current));
    }
    if query.get("resourceVersionMatch") == Some("Exact") && wanted > 0 {
        return Ok((at(wanted, "The resourceVersion for the provided list is too old.")?, wanted, None));
    }
    Ok((at(current, "unreachable: the present is never too old")?, current, None))
}

/// Which versions may be asked for in which way.
fn check_versions(query: &Query) -> Result<(), Status> {
    let (version, rule) = (query.get("resourceVersion"), query.get("resourceVersionMatch"));
    let forbidden = |why: &str| FieldError::forbidden("resourceVersionMatch", why);
    let mut errors = Vec::new();
    if let Some(rule) = rule {
        if version.is_none() {
            errors.push(forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if query.get("continue").is_some() {
            errors.push(forbidden("resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(rule, "Exact" | "NotOlderThan") {
            let supported = ["Exact", "NotOlderThan", ""];
            errors.push(FieldError::not_supported("resourceVersionMatch", json!(rule), &supported));
        }
        if (rule, version) == ("Exact", Some("0")) {
            errors.push(forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
        }
    }
    if query.get("sendInitialEvents").is_some() {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if !errors.is_empty() {
        return Err(Status::invalid_options("ListOptions", &errors));
    }
    if query.get("continue").is_some() && version.is_some_and(|version| version != "0") {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    query.version().map_err(|fault| Status::bad_request(format!("invalid resource version: {fault}")))?;
    Ok(())
}

/// The answer to a resourceVersion that this server has not reached.
pub(crate) fn too_large(wanted: u64, current: u64) -> Status {
    let cause = json!({ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" });
    Status {
        details: json!({ "causes": [cause], "retryAfterSeconds": 1 }),
        ..Status::new(504, "Timeout", format!("Timeout: Too large resource version: {wanted}, current: {current}"))
    }
}

/// Refuses a field selector that names a field the resource can't be selected by.
pub(crate) fn check_fields(resource: &ResourceType, selection: &Selection) -> Result<(), Status> {
    let Some(field) = selection.fields.unsupported(|field| field_is_selectable(resource, field)) else { return Ok(()) };
    let has_more = matches!(
        (resource.group.as_str(), resource.plural.as_str()),
        ("", "pods" | "events" | "nodes" | "namespaces" | "services" | "secrets" | "replicationcontrollers")
            | ("batch", "jobs")
            | ("events.k8s.io", "events")
    );
    Err(Status::bad_request(if has_more {
        format!("field label not supported: {field}")
    } else {
        format!("\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    }))
}

fn field_is_selectable(resource: &ResourceType, field: &str) -> bool {
    if matches!(field, "metadata.name" | "metadata.namespace") {
        return true;
    }
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => matches!(
            field,
            "spec.nodeName"
                | "spec.restartPolicy"
                | "spec.schedulerName"
                | "spec.serviceAccountName"
                | "spec.hostNetwork"
                | "status.phase"
                | "status.podIP"
                | "status.podIPs"
                | "status.nominatedNodeName"
        ),
        ("", "events") => {
            field.starts_with("involvedObject.") || matches!(field, "reason" | "reportingComponent" | "source" | "type")
        }
        ("events.k8s.io", "events") => {
            field.starts_with("regarding.") || matches!(field, "reason" | "reportingController" | "type")
        }
        ("", "nodes") => field == "spec.unschedulable",
        ("", "namespaces") => field == "status.phase",
        ("", "services") => matches!(field, "spec.clusterIP" | "spec.type"),
        ("", "secrets") => field == "type",
        ("", "replicationcontrollers") | ("apps", "replicasets") => field == "status.replicas",
        ("batch", "jobs") => field == "status.successful",
        _ => false,
    }
}

/// A list in the wanted form.
fn wrap(resource: &ResourceType, items: Vec<Value>, metadata: &Value, form: Form, now: Timestamp) -> Value {
    match form {
        Form::Table(include) => table::table(resource, &items, metadata, true, include, now),
        Form::Metadata | Form::MetadataList => json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            // Like the real server's: nothing, not an empty list.
            "items": (!items.is_empty()).then(|| items.iter().map(partial).collect::<Vec<_>>()),
        }),
        Form::Full => {
            // Like the real server's, the items of a built-in list don't repeat what the list says, and a custom one
            // says that nothing follows.
            let (mut items, mut metadata) = (items, metadata.clone());
            if resource.custom {
                object::default(&mut metadata, "continue", || json!(""));
            } else {
                for item in &mut items {
                    object::remove(item, "apiVersion");
                    object::remove(item, "kind");
                }
            }
            json!({
                "kind": resource.list_kind, "apiVersion": resource.api_version(), "metadata": metadata, "items": items,
            })
        }
    }
}

/// One object in the wanted form.
pub(crate) fn shape(resource: &ResourceType, object: Value, form: Form, headers: bool, now: Timestamp) -> Value {
    match form {
        Form::Full => object,
        Form::Metadata | Form::MetadataList => partial(&object),
        Form::Table(include) => {
            let metadata = match object::resource_version(&object) {
                "" => json!({}),
                version => json!({ "resourceVersion": version }),
            };
            table::table(resource, std::slice::from_ref(&object), &metadata, headers, include, now)
        }
    }
}

/// The metadata of an object alone.
pub(crate) fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}
