//! Requests to the registry and their answers.

use std::{sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    RegistryRequest, Shared,
    auth::SERVICE,
    fault::{self, FaultKind},
    image::{INDEX, MANIFEST},
    store::{Manifest, Store},
    upload,
};
use crate::{
    node::image::{digest_of, is_digest},
    objects::Fields,
};

/// The longest body that is taken, in bytes.
const LIMIT: usize = 16 << 20;
const DIGEST: &str = "docker-content-digest";

/// A request with its body read.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is asked for.
pub(super) enum Target<'a> {
    Base,
    Token,
    Manifest { name: &'a str, reference: &'a str },
    Blob { name: &'a str, digest: &'a str },
    Uploads { name: &'a str },
    Upload { name: &'a str, id: &'a str },
    Tags { name: &'a str },
}

impl<'a> Target<'a> {
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/token" => return Some(Self::Token),
            "/v2" | "/v2/" => return Some(Self::Base),
            _ => {}
        }
        let rest = path.strip_prefix("/v2/")?;
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Some(Self::Tags { name });
        }
        if let Some((name, id)) = rest.rsplit_once("/blobs/uploads/") {
            return Some(if id.is_empty() { Self::Uploads { name } } else { Self::Upload { name, id } });
        }
        if let Some((name, digest)) = rest.rsplit_once("/blobs/") {
            return Some(Self::Blob { name, digest });
        }
        let (name, reference) = rest.rsplit_once("/manifests/")?;
        Some(Self::Manifest { name, reference })
    }

    /// The repository, empty where there is none.
    fn name(&self) -> &'a str {
        match self {
            Self::Base | Self::Token => "",
            Self::Manifest { name, .. } | Self::Blob { name, .. } | Self::Upload { name, .. } => name,
            Self::Uploads { name } | Self::Tags { name } => name,
        }
    }
}

pub(super) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let time = Timestamp::now();
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers,
        body: match axum::body::to_bytes(body, LIMIT).await {
            Ok(body) => body,
            Err(_) => return error(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", "body is too long or broke off"),
        },
    };
    let fault = fault::take(&mut shared.state().faults, asked.method.as_str(), &asked.path);
    if let Some(FaultKind::Slow(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    let response = match fault.as_ref().and_then(instead) {
        Some(response) => response,
        None => spoil(answer(&shared, &asked), fault.as_ref()),
    };
    let accept: Vec<&str> =
        asked.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    shared.state().note(RegistryRequest {
        time,
        method: asked.method.to_string(),
        path: asked.path.clone(),
        query: query.to_owned(),
        accept: accept.join(", "),
        authorization: asked.header("authorization").and_then(|value| value.split(' ').next()).map(str::to_owned),
        code: response.status().as_u16(),
    });
    response
}

/// The answer that a fault puts in the place of the right one.
fn instead(fault: &FaultKind) -> Option<Response> {
    match fault {
        FaultKind::TooManyRequests { retry_after } => {
            let mut response = error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "too many requests");
            if let Some(wait) = retry_after {
                set(&mut response, "retry-after", &wait.as_secs().to_string());
            }
            Some(response)
        }
        FaultKind::Status(code) => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(error(status, "UNKNOWN", "the registry was told to fail"))
        }
        FaultKind::Html => {
            let page = Bytes::from_static(b"<!doctype html><title>Sign in</title><p>Please sign in.</p>");
            Some(respond(StatusCode::OK, "text/html", page))
        }
        FaultKind::NoDigest | FaultKind::WrongDigest | FaultKind::Slow(_) => None,
    }
}

fn spoil(response: Response, fault: Option<&FaultKind>) -> Response {
    let mut response = response;
    match fault {
        Some(FaultKind::NoDigest) => {
            response.headers_mut().remove(DIGEST);
        }
        Some(FaultKind::WrongDigest) => set(&mut response, DIGEST, &digest_of(b"something else")),
        _ => {}
    }
    response
}

fn answer(shared: &Shared, asked: &Asked) -> Response {
    let Some(target) = Target::of(&asked.path) else {
        return error(StatusCode::NOT_FOUND, "NOT_FOUND", "no such endpoint");
    };
    if let Target::Token = target {
        return token(shared, asked);
    }
    if let Some(refused) = refuse(shared, asked, target.name()) {
        return refused;
    }
    let store = &mut shared.state().store;
    match (asked.method.as_str(), target) {
        ("GET" | "HEAD", Target::Base) => respond(StatusCode::OK, "application/json", Bytes::from_static(b"{}")),
        ("GET" | "HEAD", Target::Manifest { name, reference }) => manifest(store, asked, name, reference),
        ("PUT", Target::Manifest { name, reference }) => put_manifest(store, asked, name, reference),
        ("DELETE", Target::Manifest { name, reference }) => delete_manifest(store, name, reference),
        ("GET" | "HEAD", Target::Blob { digest, .. }) => blob(store, digest),
        ("GET", Target::Tags { name }) => tags(store, name),
        ("POST", Target::Uploads { name }) => upload::begin(store, asked, name),
        ("PATCH", Target::Upload { name, id }) => upload::append(store, asked, name, id),
        ("PUT", Target::Upload { name, id }) => upload::finish(store, asked, name, id),
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry does not do that"),
    }
}

fn token(shared: &Shared, asked: &Asked) -> Response {
    let Some(auth) = &shared.auth else {
        return error(StatusCode::NOT_FOUND, "NOT_FOUND", "this registry needs no tokens");
    };
    let scopes: Vec<String> =
        asked.query.iter().filter(|(name, _)| name == "scope").map(|(_, scope)| scope.clone()).collect();
    match shared.state().tokens.give(auth, asked.header("authorization"), &scopes, Instant::now()) {
        Some(body) => json_response(StatusCode::OK, &body),
        None => error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "incorrect username or password"),
    }
}

/// The challenge, when the request may not be served.
fn refuse(shared: &Shared, asked: &Asked, name: &str) -> Option<Response> {
    shared.auth.as_ref()?;
    let action = if matches!(asked.method, Method::GET | Method::HEAD) { "pull" } else { "push" };
    let why = shared.state().tokens.refuse(asked.header("authorization"), name, action, Instant::now())?;
    let mut challenge = format!("Bearer realm=\"http://{}/token\",service=\"{SERVICE}\"", shared.address);
    if !name.is_empty() {
        let actions = if action == "push" { "pull,push" } else { "pull" };
        challenge.push_str(&format!(",scope=\"repository:{name}:{actions}\""));
    }
    if let Some(why) = why {
        challenge.push_str(&format!(",error=\"{why}\""));
    }
    let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    set(&mut response, "www-authenticate", &challenge);
    Some(response)
}

fn manifest(store: &Store, asked: &Asked, name: &str, reference: &str) -> Response {
    let Some(found) = store.manifest(name, reference) else {
        let (code, message) = if store.has_repository(name) {
            ("MANIFEST_UNKNOWN", "manifest unknown")
        } else {
            ("NAME_UNKNOWN", "repository name not known to registry")
        };
        return error(StatusCode::NOT_FOUND, code, message);
    };
    let served = convert(store, asked, name, reference, found);
    let mut response = respond(StatusCode::OK, &served.media_type, served.bytes);
    set(&mut response, DIGEST, &served.digest);
    response
}

/// A tag that names an index is answered with one of its manifests when the client does not take an index: another digest.
/// That is what registries do, and why `Accept` must list all types.
fn convert(store: &Store, asked: &Asked, name: &str, reference: &str, found: Manifest) -> Manifest {
    let mut accepted = asked.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    let takes_anything = accepted.peek().is_none();
    if takes_anything || found.media_type != INDEX || is_digest(reference) {
        return found;
    }
    let takes_index = accepted.any(|list| list.contains(INDEX) || list.contains("*/*"));
    if takes_index {
        return found;
    }
    let index: Value = serde_json::from_slice(&found.bytes).unwrap_or_default();
    let first = index.text("/manifests/0/digest").and_then(|digest| store.manifest(name, digest));
    first.unwrap_or(found)
}

fn put_manifest(store: &mut Store, asked: &Asked, name: &str, reference: &str) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&asked.body) else {
        return error(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "manifest is not JSON");
    };
    if let Some(missing) = store.missing(name, &body) {
        return error(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", &format!("{missing} is unknown to registry"));
    }
    let digest = digest_of(&asked.body);
    if is_digest(reference) && reference != digest {
        return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    let media_type = asked.header("content-type").or_else(|| body.text("/mediaType")).unwrap_or(MANIFEST);
    store.put_manifest(name, media_type, asked.body.clone());
    if !is_digest(reference) {
        store.tag(name, reference, &digest);
    }
    created(&format!("/v2/{name}/manifests/{digest}"), &digest)
}

fn delete_manifest(store: &mut Store, name: &str, reference: &str) -> Response {
    let deleted =
        if is_digest(reference) { store.delete_manifest(name, reference) } else { store.untag(name, reference) };
    if deleted {
        respond(StatusCode::ACCEPTED, "", Bytes::new())
    } else {
        error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown")
    }
}

fn blob(store: &Store, digest: &str) -> Response {
    match store.blob(digest) {
        Some(bytes) => {
            let mut response = respond(StatusCode::OK, "application/octet-stream", bytes);
            set(&mut response, DIGEST, digest);
            response
        }
        None => error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry"),
    }
}

fn tags(store: &Store, name: &str) -> Response {
    if !store.has_repository(name) {
        return error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry");
    }
    json_response(StatusCode::OK, &json!({"name": name, "tags": store.tags(name)}))
}

pub(super) fn created(location: &str, digest: &str) -> Response {
    let mut response = respond(StatusCode::CREATED, "", Bytes::new());
    set(&mut response, "location", location);
    set(&mut response, DIGEST, digest);
    response
}

/// An error as the distribution API writes it.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    json_response(status, &json!({"errors": [{"code": code, "message": message}]}))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    respond(status, "application/json", Bytes::from(body.to_string()))
}

pub(super) fn respond(status: StatusCode, media_type: &str, body: Bytes) -> Response {
    let length = body.len().to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    set(&mut response, "content-length", &length);
    set(&mut response, "docker-distribution-api-version", "registry/2.0");
    if !media_type.is_empty() {
        set(&mut response, "content-type", media_type);
    }
    response
}

pub(super) fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
