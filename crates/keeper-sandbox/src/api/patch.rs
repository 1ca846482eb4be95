//! The three kinds of patch, applied to one object.

use serde_json::{Value, json};

use super::resources::ResourceType;
use super::status::Status;
use super::{go, strategic};

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
                 application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            "application/apply-patch+yaml" | "application/apply-patch+cbor" => Err(Status::unsupported_media_type(
                "server-side apply is not part of the sandbox: use a JSON, merge or strategic merge patch, \
                     or `kubectl apply` without --server-side",
            )),
            _ => Err(Status { details: json!({}), ..Status::unsupported_media_type("415: Unsupported Media Type") }),
        }
    }

    /// Reads the patch.
    ///
    /// # Errors
    /// 400, in the words of the kind of patch.
    pub(crate) fn read(self, body: &[u8]) -> Result<Value, Status> {
        let decoding = |fault: String| {
            Status::bad_request(match self {
                Self::Strategic => fault,
                Self::Json | Self::Merge => format!("error decoding patch: {fault}"),
            })
        };
        let patch: Value = serde_json::from_slice(body).map_err(|e| decoding(go::json_fault(&e)))?;
        match (self, &patch) {
            (Self::Merge, Value::Null) => Err(Status::bad_request("Invalid JSON Patch")),
            (Self::Json, Value::Array(operations)) if operations.iter().all(Value::is_object) => Ok(patch),
            (Self::Json, Value::Null)
            | (Self::Strategic, Value::Null)
            | (Self::Merge | Self::Strategic, Value::Object(_)) => Ok(patch),
            (Self::Json, _) => Err(decoding("a JSON patch is a list of operations".into())),
            (Self::Merge | Self::Strategic, _) => Err(decoding(go::no_map(&patch))),
        }
    }

    /// The patched object. `object` is a built-in or custom resource as served, `patch` one that was [read](Self::read).
    pub(crate) fn apply(self, resource: &ResourceType, object: &Value, patch: &Value) -> Result<Value, Status> {
        if patch.is_null() {
            return Ok(object.clone());
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
                let mut patched =
                    strategic::merge(&resource.kind, object, patch).map_err(|fault| Status::new(500, "", fault))?;
                // Unlike the others, this kind of patch can't say that an object is of another kind.
                for field in ["apiVersion", "kind"] {
                    super::object::take_over(&mut patched, object, field);
                }
                Ok(patched)
            }
        }
    }
}

fn apply_json(object: &Value, patch: &Value) -> Result<Value, Status> {
    let operations = patch.as_array().map_or(&[][..], Vec::as_slice);
    if operations.len() > MAX_OPERATIONS {
        let message = format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        );
        return Err(Status::new(413, "RequestEntityTooLarge", message));
    }
    // It says no more than this, whichever operation failed.
    let refused = || Status {
        details: json!({}),
        ..Status::new(422, "Invalid", "the server rejected our request due to an error in our request")
    };
    let mut patched = object.clone();
    for operation in operations {
        if let Some(operation) = as_the_standard_says(&patched, operation) {
            let operation: json_patch::PatchOperation = serde_json::from_value(operation).map_err(|_| refused())?;
            json_patch::patch(&mut patched, &[operation]).map_err(|_| refused())?;
        }
    }
    Ok(patched)
}

/// An operation in the terms of RFC 6902, to which the real server's patch adds: it finds null where nothing is, takes a
/// missing value for null, replaces what is not there, and counts a negative index from the end. None when there is
/// nothing to do.
fn as_the_standard_says(document: &Value, operation: &Value) -> Option<Value> {
    let of = |key: &str| operation.get(key).and_then(Value::as_str);
    let mut standard = operation.clone();
    for (key, adds) in [("from", false), ("path", matches!(of("op"), Some("add" | "copy" | "move")))] {
        if let Some(pointer) = of(key) {
            super::object::set(&mut standard, key, json!(counted_from_the_start(document, pointer, adds)));
        }
    }
    let pointer = super::object::text(&standard, "/path").unwrap_or_default().to_owned();
    let absent = document.pointer(&pointer).is_none();
    match of("op") {
        Some("test") if absent && operation.get("value").is_none_or(Value::is_null) => return None,
        Some("replace") => {
            super::object::default(&mut standard, "value", || Value::Null);
            let parent = pointer.rsplit_once('/').and_then(|(parent, _)| document.pointer(parent));
            if absent && parent.is_some_and(Value::is_object) {
                super::object::set(&mut standard, "op", json!("add"));
            }
        }
        _ => {}
    }
    Some(standard)
}

/// A JSON pointer without negative indices. One that adds counts the place behind the last element as well.
fn counted_from_the_start(document: &Value, pointer: &str, adds: bool) -> String {
    let tokens: Vec<&str> = pointer.split('/').skip(1).collect();
    let mut counted = String::new();
    for (i, token) in tokens.iter().enumerate() {
        let back = token.strip_prefix('-').and_then(|digits| digits.parse::<usize>().ok());
        let index = match (document.pointer(&counted), back) {
            (Some(Value::Array(items)), Some(back)) => {
                (items.len() + usize::from(adds && i + 1 == tokens.len())).checked_sub(back)
            }
            _ => None,
        };
        counted.push('/');
        counted.push_str(&index.map_or_else(|| (*token).to_owned(), |index| index.to_string()));
    }
    if pointer.starts_with('/') { counted } else { pointer.to_owned() }
}
