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
    let operations = patch.as_array().map_or(&[][..], Vec::as_slice);
    if !(patch.is_array() || patch.is_null()) || !operations.iter().all(Value::is_object) {
        return Err(Status::bad_request("error decoding patch: a JSON patch is a list of operations"));
    }
    if operations.len() > MAX_OPERATIONS {
        let message = format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        );
        return Err(Status::new(413, "RequestEntityTooLarge", message));
    }
    let mut patched = object.clone();
    for operation in operations {
        // The real server's patch finds null where nothing is, and takes a missing value for null.
        let of = |key: &str| operation.get(key);
        let absent = of("path").and_then(Value::as_str).is_some_and(|path| patched.pointer(path).is_none());
        if of("op") == Some(&json!("test")) && of("value").is_none_or(Value::is_null) && absent {
            continue;
        }
        let mut operation = operation.clone();
        if of("op") == Some(&json!("replace")) {
            super::object::default(&mut operation, "value", || Value::Null);
        }
        // It says no more than this, whichever operation failed.
        let refused = || Status {
            details: json!({}),
            ..Status::new(422, "Invalid", "the server rejected our request due to an error in our request")
        };
        let operation: json_patch::PatchOperation = serde_json::from_value(operation).map_err(|_| refused())?;
        json_patch::patch(&mut patched, &[operation]).map_err(|_| refused())?;
    }
    Ok(patched)
}
