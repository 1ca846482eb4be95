//! From an HTTP request to a transaction and back.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::request::Parts;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::cluster::{By, Cluster, Target, Write};
use super::deletion::DeleteOptions;
use super::patch::PatchKind;
use super::pod_log::LogRequest;
use super::request::{Form, Query, ResourcePath, media_type, readable_media_type};
use super::request_log::{RequestRecord, dry_run_in};
use super::status::Status;
use super::watch::Watch;
use super::{Server, body, discovery, list, openapi, pod_streams};

/// A request body may have this many bytes; the real server's limit.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// Events of a watch that wait for its connection. Beside them a client that does not read costs what the connection's own
/// buffers hold.
const UNREAD_EVENTS: usize = 16;

/// What a request ends in.
enum Answer {
    Json(u16, Value),
    Text(u16, &'static str),
    /// A media type and bytes of it.
    Bytes(&'static str, &'static [u8]),
    Watch(Box<Watch>),
    Log(LogRequest, Target),
    /// 204.
    Nothing,
}

/// Answers every request of the server.
pub(crate) async fn handle(State(server): State<Arc<Server>>, request: Request) -> Response {
    let now = Timestamp::now();
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map(http_body_util::Collected::to_bytes);
    let query = Query::parse(parts.uri.query());
    let record = RequestRecord::of(&parts, body.as_deref().unwrap_or_default(), now);
    let answer = match body.map(|body| query.check_timeout().map(|()| body)) {
        Ok(Err(status)) => Err(status),
        Ok(Ok(body)) => answer(&server, &parts, &query, &body, now),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {MAX_BODY}")))
        }
        Err(error) => Err(Status::bad_request(format!("the body can't be read: {error}"))),
    };
    let code = match &answer {
        Ok(Answer::Json(code, _) | Answer::Text(code, _)) => *code,
        Ok(Answer::Nothing) => 204,
        Ok(_) => 200,
        Err(status) => status.code,
    };
    if !parts.uri.path().starts_with(OWN_PREFIX) {
        server.log.enter(RequestRecord { code, ..record });
    }
    match answer {
        Ok(answer) => respond(&server, &parts, answer),
        Err(status) => refuse(&status),
    }
}

/// The sandbox's own pages, which no Kubernetes server has.
const OWN_PREFIX: &str = "/sandbox/";

fn answer(server: &Arc<Server>, parts: &Parts, query: &Query, body: &Bytes, now: Timestamp) -> Result<Answer, Status> {
    let path = parts.uri.path();
    match ResourcePath::parse(path) {
        Some(resource) => answer_resource(server, parts, resource, query, body, now),
        None => answer_other(server, parts, query, path),
    }
}

fn answer_other(server: &Server, parts: &Parts, query: &Query, path: &str) -> Result<Answer, Status> {
    match path {
        "/healthz" | "/livez" | "/readyz" => return Ok(Answer::Text(200, "ok")),
        "/openapi/v2" if accepts(parts, openapi::V2_MEDIA) => {
            return Ok(Answer::Bytes(openapi::V2_ANSWER_MEDIA, openapi::V2));
        }
        "/version" | "/version/" => return Ok(Answer::Json(200, discovery::version())),
        "/sandbox/requests" => {
            let after = query.number("after")?.unwrap_or_default();
            let log = &server.log;
            let page = json!({
                "total": log.total(), "counts": log.counts(), "watches": log.watches(), "requests": log.after(after),
            });
            return Ok(Answer::Json(200, page));
        }
        "/sandbox/compact" if parts.method == Method::POST => {
            server.cluster().store.compact();
            return Ok(Answer::Json(200, json!({ "resourceVersion": server.cluster().store.version().to_string() })));
        }
        _ => {}
    }
    let accept = parts.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let aggregated = accept.contains("as=APIGroupDiscoveryList") && accept.contains("v=v2");
    let cluster = server.cluster();
    let address = server.address.to_string();
    discovery::answer(&cluster.resources, path, aggregated, &address)
        .or_else(|| openapi::answer(&cluster.resources, path))
        .map_or_else(|| no_such_page(path), |found| Ok(Answer::Json(200, found)))
}

fn accepts(parts: &Parts, media: &str) -> bool {
    parts.headers.get_all(header::ACCEPT).iter().any(|v| v.to_str().is_ok_and(|text| text.contains(media)))
}

/// Only below what is served is the answer an object.
fn no_such_page(path: &str) -> Result<Answer, Status> {
    if path.starts_with("/api/") || path.starts_with("/apis/") && path.trim_matches('/').split('/').count() > 3 {
        return Err(Status::no_such_path());
    }
    Ok(Answer::Text(404, NO_PAGE))
}

const NO_PAGE: &str = "404 page not found\n";

/// The refusal of what a real server has and this one leaves out on purpose.
fn left_out(group: &str, plural: &str) -> Option<Status> {
    let why = match (group, plural) {
        // Kept, so that manifests can be applied whole; nobody is asked for rights.
        ("rbac.authorization.k8s.io", "roles" | "rolebindings") => return None,
        ("authorization.k8s.io" | "rbac.authorization.k8s.io", _) => {
            "access control is not part of the sandbox: everyone may do everything"
        }
        ("admissionregistration.k8s.io", _) => {
            "admission is not part of the sandbox: no webhook and no policy is asked about a write"
        }
        _ => return None,
    };
    Some(Status::new(501, "", why))
}

fn answer_resource(
    server: &Arc<Server>,
    parts: &Parts,
    path: ResourcePath,
    query: &Query,
    body: &Bytes,
    now: Timestamp,
) -> Result<Answer, Status> {
    if let Some(refused) = left_out(&path.group, &path.plural) {
        return Err(refused);
    }
    let mut cluster = server.cluster();
    let Some(resource) = cluster.resources.find(&path.group, &path.version, &path.plural) else {
        // Of groups that nobody knows even less is said.
        let known = cluster.resources.iter().any(|r| r.group == path.group && (!r.custom || r.version == path.version));
        return if known { Err(Status::no_such_path()) } else { Ok(Answer::Text(404, NO_PAGE)) };
    };
    let misplaced = resource.namespaced == path.namespace.is_empty() && !(path.name.is_empty() && resource.namespaced);
    let known = path.subresource.is_empty() || resource.subresources().contains(&path.subresource.as_str());
    if misplaced || !known {
        return Err(match resource.custom && !misplaced {
            true => Status::not_found(&resource, &path.name),
            false => Status::no_such_path(),
        });
    }
    let target = Target { resource, namespace: path.namespace, name: path.name, subresource: path.subresource };
    let form = Form::accepted(&parts.headers, query)?;
    if parts.method == Method::GET {
        let watches = path.watches || query.flag("watch") && target.name.is_empty();
        return match watches && target.subresource.is_empty() {
            true => Watch::open(&mut cluster, &target, query, form, now).map(|watch| Answer::Watch(Box::new(watch))),
            false => read(server, &mut cluster, target, query, form, now),
        };
    }
    // A delete with a body is told by the body alone, as on the real server.
    let by_body = parts.method == Method::DELETE && !body.is_empty();
    if of_nowhere(&parts.method, &target) || path.watches || parts.method == Method::HEAD {
        return Err(Status::method_not_allowed());
    }
    let strict = query.get("fieldValidation") == Some("Strict");
    let write = Write { dry_run: !by_body && query.dry_run(&parts.method)?, strict, now };
    let (code, object) = change(&mut cluster, parts, &target, query, body, write)?;
    drop(cluster);
    let shaped = if object.get("kind").and_then(Value::as_str) == Some(&target.resource.kind) {
        list::shape(&target.resource, object, form, true, now)
    } else {
        object
    };
    Ok(Answer::Json(code, shaped))
}

/// A namespaced object can't be created without saying where, nor can all be deleted everywhere, nor all namespaces.
fn of_nowhere(method: &Method, target: &Target) -> bool {
    let everywhere = target.resource.namespaced && target.namespace.is_empty();
    let namespaces = target.resource.is("", "namespaces") && target.name.is_empty();
    match *method {
        Method::POST => everywhere,
        Method::DELETE => everywhere || namespaces,
        _ => false,
    }
}

fn read(
    server: &Server,
    cluster: &mut Cluster,
    target: Target,
    query: &Query,
    form: Form,
    now: Timestamp,
) -> Result<Answer, Status> {
    if target.name.is_empty() {
        return list::list(cluster, &target, query, form, now).map(|list| Answer::Json(200, list));
    }
    match target.subresource.as_str() {
        "" | "status" => {
            let wanted = query.version().map_err(|fault| Status::new(500, "", fault))?;
            if wanted > cluster.store.version() {
                return Err(list::too_large(wanted, cluster.store.version()));
            }
            let object = cluster.get(&target)?;
            if form == Form::MetadataList {
                return Err(Status::wrong_form(&target.resource, "PartialObjectMetadataList", false));
            }
            Ok(Answer::Json(200, list::shape(&target.resource, object, form, true, now)))
        }
        "scale" => cluster.scale(&target).map(|scale| Answer::Json(200, scale)),
        "log" => {
            let pod = cluster.stored(&target)?;
            let wanted = LogRequest::read(&pod, query, server.log_directory.as_deref())?;
            Ok(wanted.map_or(Answer::Nothing, |wanted| Answer::Log(wanted, target)))
        }
        door @ ("exec" | "attach" | "portforward") => {
            Err(pod_streams::refusal(door, &*cluster.stored(&target)?, query))
        }
        _ => Err(Status::method_not_allowed()),
    }
}

/// Carries out a write and says with which code to answer.
fn change(
    cluster: &mut Cluster,
    parts: &Parts,
    target: &Target,
    query: &Query,
    body: &Bytes,
    write: Write,
) -> Result<(u16, Value), Status> {
    let media = readable_media_type(&parts.headers);
    let media = media.as_deref();
    let named = !target.name.is_empty();
    match (parts.method.as_str(), target.subresource.as_str(), named) {
        ("POST", "", false) => {
            let body = body::object(media, body, &target.resource.kind)?;
            cluster.create(target, body, write).map(|created| (201, created))
        }
        ("POST", "eviction", true) => {
            let body = body::object(media, body, "Eviction")?;
            let write = Write { dry_run: write.dry_run || body.get("deleteOptions").is_some_and(dry_run_in), ..write };
            cluster.evict(target, &body, write).map(|done| (201, done))
        }
        ("POST", "binding", true) => {
            let body = body::object(media, body, "Binding")?;
            cluster.bind(target, &body, write).map(|done| (201, done))
        }
        ("POST", door @ ("exec" | "attach" | "portforward"), true) => {
            Err(pod_streams::refusal(door, &*cluster.stored(target)?, query))
        }
        ("POST", "instantiate", true) => {
            let body = body::object(media, body, "DeploymentRequest")?;
            cluster.instantiate(target, &body, write).map(|done| (201, done))
        }
        ("PUT", "" | "status", true) => {
            let body = body::object(media, body, &target.resource.kind)?;
            if target.subresource.is_empty() && created_by_update(&target.resource) && cluster.stored(target).is_err() {
                return cluster.create_named(target, body, write).map(|created| (201, created));
            }
            cluster.update(target, body, By::Put, write).map(|updated| (200, updated))
        }
        ("PUT", "finalize", true) => {
            let body = body::object(media, body, "Namespace")?;
            cluster.finalize(target, &body, write).map(|updated| (200, updated))
        }
        ("PUT", "scale", true) => {
            let body = body::object(media, body, "Scale")?;
            cluster.set_scale(target, &body, By::Put, write).map(|updated| (200, updated))
        }
        ("PATCH", "" | "status" | "scale", true) => {
            let kind = PatchKind::from_media_type(&media_type(&parts.headers), target.resource.custom)?;
            let patch = kind.read(body)?;
            if target.subresource == "scale" {
                let scale = kind.apply(&target.resource, &cluster.scale(target)?, &patch)?;
                return cluster.set_scale(target, &scale, By::Patch, write).map(|updated| (200, updated));
            }
            let patched = kind.apply(&target.resource, &cluster.get(target)?, &patch)?;
            cluster.update(target, patched, By::Patch, write).map(|updated| (200, updated))
        }
        ("DELETE", "", named) => {
            let sent = match body.is_empty() {
                true => query.delete_options()?,
                false => body::object(media, body, "DeleteOptions")?,
            };
            let write = Write { dry_run: write.dry_run || dry_run_in(&sent), ..write };
            let options = DeleteOptions::read(&sent)?;
            if named {
                return cluster.delete(target, &options, write).map(|last| (200, last));
            }
            let selection = query.selection(&target.namespace, "")?;
            cluster.delete_collection(target, &selection, &options, write).map(|gone| (200, gone))
        }
        _ => Err(Status::method_not_allowed()),
    }
}

/// Kinds whose objects a replace makes when they are not there.
fn created_by_update(resource: &super::resources::ResourceType) -> bool {
    matches!(
        (resource.group.as_str(), resource.plural.as_str()),
        ("", "services" | "endpoints" | "events")
            | ("events.k8s.io", "events")
            | ("coordination.k8s.io", "leases")
            | ("rbac.authorization.k8s.io", _)
    )
}

fn respond(server: &Arc<Server>, parts: &Parts, answer: Answer) -> Response {
    match answer {
        Answer::Json(code, value) => json_response(code, parts, &value),
        Answer::Text(code, text) => build(code, "text/plain; charset=utf-8", Body::from(text)),
        Answer::Nothing => {
            let mut response = build(204, "", Body::empty());
            response.headers_mut().remove(header::CONTENT_TYPE);
            response
        }
        Answer::Bytes(media, bytes) => build(200, media, Body::from(bytes)),
        Answer::Watch(watch) => {
            let (to, from) = mpsc::channel(UNREAD_EVENTS);
            let versions = Arc::clone(server);
            let version = move || versions.cluster().store.version();
            let stop = server.stop.child_token();
            tokio::spawn(watch.run(to, stop, server.bookmark_every, version));
            build(200, "application/json", streamed(from))
        }
        Answer::Log(wanted, target) => {
            let (to, from) = mpsc::channel(16);
            let server = Arc::clone(server);
            let alive = move || !server.stop.is_cancelled() && server.cluster().stored(&target).is_ok();
            tokio::spawn(wanted.run(to, alive));
            build(200, "text/plain", streamed(from))
        }
    }
}

fn streamed(from: mpsc::Receiver<Bytes>) -> Body {
    let next = |mut from: mpsc::Receiver<Bytes>| async move {
        from.recv().await.map(|bytes| (Ok::<_, std::convert::Infallible>(bytes), from))
    };
    Body::from_stream(stream::unfold(from, next))
}

fn json_response(code: u16, parts: &Parts, value: &Value) -> Response {
    let media = if value.get("kind").and_then(Value::as_str) == Some("APIGroupDiscoveryList") {
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    } else {
        "application/json"
    };
    let body = if parts.method == Method::HEAD { Body::empty() } else { Body::from(format!("{value}\n")) };
    build(code, media, body)
}

fn refuse(status: &Status) -> Response {
    let mut response = build(status.code, "application/json", Body::from(format!("{}\n", status.body())));
    if let Some(seconds) = status.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn build(code: u16, media: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media));
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache, private"));
    response
}
