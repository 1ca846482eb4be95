//! Uploads of blobs: in one request, or begun, continued and finished.

use axum::{http::StatusCode, response::Response};
use bytes::Bytes;

use super::{
    http::{Asked, created, error, respond, set},
    store::Store,
};
use crate::node::image::digest_of;

/// The most that one upload may hold, in bytes.
const LIMIT: usize = 64 << 20;

/// POST: begins an upload; with `digest` the body is all of it, with `mount` the blob is there already.
pub(super) fn begin(store: &mut Store, asked: &Asked, name: &str) -> Response {
    if let Some(digest) = asked.parameter("mount").filter(|digest| store.blob(digest).is_some()) {
        return created(&format!("/v2/{name}/blobs/{digest}"), digest);
    }
    if let Some(digest) = asked.parameter("digest") {
        return keep(store, name, asked.body.clone(), digest);
    }
    let id = store.begin_upload();
    progress(name, &id, 0)
}

/// PATCH: continues an upload.
pub(super) fn append(store: &mut Store, asked: &Asked, name: &str, id: &str) -> Response {
    match store.append_upload(id, &asked.body, LIMIT) {
        Some(length) => progress(name, id, length),
        None => unknown(),
    }
}

/// PUT: the rest of an upload, and the digest of all of it.
pub(super) fn finish(store: &mut Store, asked: &Asked, name: &str, id: &str) -> Response {
    let Some(digest) = asked.parameter("digest") else {
        return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the parameter digest is missing");
    };
    if store.append_upload(id, &asked.body, LIMIT).is_none() {
        return unknown();
    }
    let bytes = store.end_upload(id).unwrap_or_default();
    keep(store, name, bytes, digest)
}

fn keep(store: &mut Store, name: &str, bytes: Bytes, digest: &str) -> Response {
    if digest_of(&bytes) != digest {
        return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    store.put_blob(bytes);
    created(&format!("/v2/{name}/blobs/{digest}"), digest)
}

fn progress(name: &str, id: &str, length: usize) -> Response {
    let mut response = respond(StatusCode::ACCEPTED, "", Bytes::new());
    set(&mut response, "location", &format!("/v2/{name}/blobs/uploads/{id}"));
    set(&mut response, "docker-upload-uuid", id);
    set(&mut response, "range", &format!("0-{}", length.saturating_sub(1)));
    response
}

fn unknown() -> Response {
    error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry, or too long")
}
