//! The three kinds of patch, applied to one object.

use serde_json::{Value, json};

use super::resources::ResourceType;
use super::status::Status;
use super::strategic;

/// How a patch's body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
}

/// More operations than this in one JSON patch are refused, as the real server does.
const MAX_OPERATIONS: usize = 10_000;

impl PatchKind {
    /// Chooses by the request's media type.
    pub(crate) fn from_media_type(media_type: &str, custom: bool) -> Result<Self, Status> {
        match media_type {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !custom => Ok(Self::Strategic),
            "application/strategic-merge-patch+json" => Err(Status::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json",
            )),
            "application/apply-patch+yaml" | "application/apply-patch+cbor" => Err(Status::unsupported_media_type(
                "server-side apply is not part of the sandbox: use a JSON, merge or strategic merge patch, \
                     or `kubectl apply` without --server-side",
            )),
            _ => Err(Status { details: json!({}), ..Status::unsupported_media_type("415: Unsupported Media Type") }),
        }
    }

    /// The patched object. `object` is a built-in or custom resource as served.
    pub(crate) fn apply(self, resource: &ResourceType, object: &Value, patch: &Value) -> Result<Value, Status> {
        if self != Self::Json && !patch.is_object() {
            return Err(Status::bad_request("error decoding patch: this kind of patch must be a JSON object"));
        }
        match self {
            Self::Json => apply_json(object, patch),
            Self::Merge => {
                let mut patched = object.clone();
                json_patch::merge(&mut patched, patch);
                Ok(patched)
            }
            Self::Strategic => {
                // The real server answers these with a plain 500.
                strategic::merge(&resource.kind, object, patch).map_err(|fault| Status::new(500, "", fault))
            }
        }
    }
}

fn apply_json(object: &Value, patch: &Value) -> Result<Value, Status> {
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?;
    if operations.0.len() > MAX_OPERATIONS {
        let message = format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.0.len()
        );
        return Err(Status { details: json!({}), ..Status::new(413, "RequestEntityTooLarge", message) });
    }
    let mut patched = object.clone();
    // The real server says no more than this, whichever operation failed.
    json_patch::patch(&mut patched, &operations).map_err(|_| Status {
        details: json!({}),
        ..Status::new(422, "Invalid", "the server rejected our request due to an error in our request")
    })?;
    Ok(patched)
}
