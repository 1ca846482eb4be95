//! From a request's body to an object that can be stored.

use k8s_openapi::api::{apps, core};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::custom;
use super::object;
use super::resources::ResourceType;
use super::status::{FieldError, Status};
use super::{prune, quantity};

/// The object in the body of a create or replace, without the fields that its kind does not have; `strict` refuses them.
pub(crate) fn object(resource: &ResourceType, mut body: Value, strict: bool) -> Result<Value, Status> {
    let kind = object::text(&body, "/kind").unwrap_or_default().to_owned();
    let version = object::text(&body, "/apiVersion").unwrap_or_default().to_owned();
    let wrong_kind = !kind.is_empty() && kind != resource.kind;
    let wrong_version = !version.is_empty() && version != resource.api_version();
    if resource.custom && wrong_version {
        let expected = resource.api_version();
        let message =
            format!("the API version in the data ({version}) does not match the expected API version ({expected})");
        return Err(Status::bad_request(message));
    }
    if resource.custom && wrong_kind {
        let fault = FieldError::invalid("kind", json!(kind), format!("must be {}", resource.kind));
        let other = ResourceType { kind, ..resource.clone() };
        return Err(Status::invalid(&other, object::name(&body), &[fault]));
    }
    if wrong_kind || wrong_version {
        let version = version.rsplit('/').next().unwrap_or_default();
        return Err(Status::bad_request(format!(
            "{} in version {version:?} cannot be handled as a {}: expected {}, {}",
            if kind.is_empty() { &resource.kind } else { &kind },
            resource.kind,
            resource.api_version(),
            resource.kind,
        )));
    }
    let metadata = body.get("metadata").is_none_or(|metadata| metadata.is_object() || metadata.is_null());
    finish(resource, &mut body);
    let checked = if metadata { typed(resource, &mut body) } else { Err("metadata is no object".into()) };
    let checked = checked.and_then(|unknown| quantity::canonical(resource, &mut body).map(|()| unknown));
    checked.and_then(|unknown| refuse_if(strict, &unknown)).map_err(|fault| {
        let (kind, version) = (&resource.kind, &resource.version);
        Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {fault}"))
    })?;
    Ok(body)
}

/// The object that a patch made, without the fields that its kind does not have; `strict` refuses them.
pub(crate) fn patched(resource: &ResourceType, mut body: Value, strict: bool) -> Result<Value, Status> {
    let invalid = |fault: String| {
        let mut status = Status::invalid(resource, "", &[FieldError::invalid("patch", Value::Null, fault)]);
        status.message = status.message.trim_start_matches(&resource.kind).to_owned();
        status
    };
    if !body.is_object() {
        return Err(invalid("the patched object is not a JSON object".into()));
    }
    let kind = object::text(&body, "/kind").unwrap_or(&resource.kind);
    let version = object::text(&body, "/apiVersion").unwrap_or_default();
    if kind != resource.kind || version != resource.api_version() {
        let why = format!("no kind {kind:?} is registered for version {version:?} in scheme");
        return Err(invalid(why));
    }
    finish(resource, &mut body);
    let unknown = typed(resource, &mut body).map_err(invalid)?;
    quantity::canonical(resource, &mut body).map_err(invalid)?;
    refuse_if(strict, &unknown).map_err(invalid)?;
    Ok(body)
}

fn refuse_if(strict: bool, unknown: &[String]) -> Result<(), String> {
    if !strict || unknown.is_empty() {
        return Ok(());
    }
    let each: Vec<String> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    Err(format!("strict decoding error: {}", each.join(", ")))
}

fn finish(resource: &ResourceType, body: &mut Value) {
    object::set(body, "apiVersion", json!(resource.api_version()));
    object::set(body, "kind", json!(resource.kind));
    object::child(body, "metadata");
    null_texts(object::child(body, "metadata"), &["labels", "annotations"]);
    if !resource.custom {
        null_texts(body, &["data", "binaryData", "stringData"]);
        drop_nulls(body);
        for field in ["data", "binaryData", "stringData"] {
            if object::map(body, &format!("/{field}")).is_some_and(serde_json::Map::is_empty) {
                object::remove(body, field);
            }
        }
    }
    let metadata = object::child(body, "metadata");
    for field in ["labels", "annotations", "ownerReferences", "finalizers"] {
        let is_list = matches!(field, "ownerReferences" | "finalizers");
        let empty = match metadata.get(field) {
            Some(Value::Object(map)) => map.is_empty() && !is_list,
            Some(Value::Array(list)) => list.is_empty() && is_list,
            Some(Value::Null) => true,
            _ => false,
        };
        if empty {
            object::remove(metadata, field);
        }
    }
}

/// In a map of texts a null is an empty one.
fn null_texts(of: &mut Value, maps: &[&str]) {
    for map in maps {
        let texts = of.get_mut(*map).and_then(Value::as_object_mut).into_iter().flat_map(serde_json::Map::values_mut);
        texts.filter(|text| text.is_null()).for_each(|text| *text = json!(""));
    }
}

/// The typed server never stores a null.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Checks the types of known fields and drops the unknown ones, which it names.
fn typed(resource: &ResourceType, body: &mut Value) -> Result<Vec<String>, String> {
    fn check<T: DeserializeOwned + Serialize>(body: &mut Value) -> Result<Vec<String>, String> {
        let read = T::deserialize(&*body).map_err(|e| e.to_string())?;
        microseconds(body)?;
        let known = serde_json::to_value(read).map_err(|e| e.to_string())?;
        Ok(prune::to(body, &known))
    }
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => check::<core::v1::Pod>(body),
        ("", "services") => check::<core::v1::Service>(body),
        ("", "configmaps") => check::<core::v1::ConfigMap>(body),
        ("", "secrets") => check::<core::v1::Secret>(body),
        ("", "serviceaccounts") => check::<core::v1::ServiceAccount>(body),
        ("", "endpoints") => check::<core::v1::Endpoints>(body),
        ("", "persistentvolumeclaims") => check::<core::v1::PersistentVolumeClaim>(body),
        ("", "namespaces") => check::<core::v1::Namespace>(body),
        ("", "nodes") => check::<core::v1::Node>(body),
        ("", "events") => check::<core::v1::Event>(body),
        ("", "replicationcontrollers") => check::<core::v1::ReplicationController>(body),
        ("apps", "deployments") => check::<apps::v1::Deployment>(body),
        ("apps", "replicasets") => check::<apps::v1::ReplicaSet>(body),
        ("apps", "statefulsets") => check::<apps::v1::StatefulSet>(body),
        ("batch", "jobs") => check::<k8s_openapi::api::batch::v1::Job>(body),
        ("policy", "poddisruptionbudgets") => check::<k8s_openapi::api::policy::v1::PodDisruptionBudget>(body),
        ("discovery.k8s.io", "endpointslices") => check::<k8s_openapi::api::discovery::v1::EndpointSlice>(body),
        ("coordination.k8s.io", "leases") => check::<k8s_openapi::api::coordination::v1::Lease>(body),
        ("events.k8s.io", "events") => check::<k8s_openapi::api::events::v1::Event>(body),
        ("autoscaling", "horizontalpodautoscalers") => {
            check::<k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler>(body)
        }
        ("rbac.authorization.k8s.io", "roles") => check::<k8s_openapi::api::rbac::v1::Role>(body),
        ("rbac.authorization.k8s.io", "rolebindings") => check::<k8s_openapi::api::rbac::v1::RoleBinding>(body),
        ("apiextensions.k8s.io", "customresourcedefinitions") => check::<CustomResourceDefinition>(body),
        // The others are kept as sent but for their metadata and what their definitions say.
        _ => {
            let known = Metadata::deserialize(&*body).and_then(serde_json::to_value).map_err(|e| e.to_string())?;
            let metadata = known.get("metadata").unwrap_or(&Value::Null);
            let unknown = prune::to(object::child(body, "metadata"), metadata);
            let mut unknown: Vec<String> = unknown.into_iter().map(|field| format!("metadata.{field}")).collect();
            unknown.extend(custom::conform(resource, body));
            Ok(unknown)
        }
    }
}

/// Some times have microseconds, and then all six digits of them, or they can't be read.
fn microseconds(body: &Value) -> Result<(), String> {
    let fields = match object::text(body, "/kind") {
        Some("Lease") => ["/spec/renewTime", "/spec/acquireTime"],
        Some("Event") => ["/eventTime", "/series/lastObservedTime"],
        _ => return Ok(()),
    };
    let digits =
        |time: &str| time.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    match fields.iter().filter_map(|field| object::text(body, field)).find(|time| digits(time) != 6) {
        Some(time) => Err(format!("parsing time {time:?}: a second has six decimal places here")),
        None => Ok(()),
    }
}

/// What every object has, also a custom one.
#[derive(Deserialize, Serialize)]
struct Metadata {
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
}

/// `Guaranteed`, `Burstable` or `BestEffort`, by the containers' requests and limits of cpu and memory.
pub(crate) fn quality_of_service(pod: &Value) -> &'static str {
    let containers = || object::list(pod, "/spec/containers").iter().chain(object::list(pod, "/spec/initContainers"));
    let amount = |container: &Value, kind: &str, what: &str| {
        object::text(container, &format!("/resources/{kind}/{what}")).map(str::to_owned)
    };
    let none = |container: &Value| {
        ["requests", "limits"].iter().all(|k| ["cpu", "memory"].iter().all(|w| amount(container, k, w).is_none()))
    };
    let equal = |container: &Value| {
        ["cpu", "memory"].iter().all(|w| {
            let limit = amount(container, "limits", w);
            limit.is_some() && limit == amount(container, "requests", w)
        })
    };
    if containers().all(none) {
        "BestEffort"
    } else if containers().all(equal) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}
