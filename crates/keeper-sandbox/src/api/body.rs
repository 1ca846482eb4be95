//! From a request's bytes to the JSON object in them, with the real server's words for what can't be read.

use serde_json::{Value, json};

use super::status::Status;
use super::{go, protobuf};

/// Reads a JSON, YAML or protobuf body that should hold an object of a `kind`. Nothing at all in YAML, and `null`, is an
/// empty object.
///
/// # Errors
/// 400 for what can't be read, 415 for another media type and for protobuf beyond what `kubectl` sends.
pub(crate) fn object(media: Option<&str>, body: &[u8], kind: &str) -> Result<Value, Status> {
    let refused = |fault: String| {
        Status::bad_request(if kind == "DeleteOptions" {
            fault
        } else {
            format!("the object provided is unrecognized (must be of type {kind}): {fault} ({})", go::summary(body))
        })
    };
    let read = match media {
        Some("application/json" | "") => serde_json::from_slice(body).map_err(|e| unreadable(&go::json_fault(&e))),
        Some("application/yaml") => yaml(body),
        Some("application/vnd.kubernetes.protobuf") => match protobuf_fault(body) {
            Some(fault) => Err(fault),
            None => match protobuf::read(body) {
                Err(fault) if fault != protobuf::CUT => return Err(Status::unsupported_media_type(fault)),
                read => read,
            },
        },
        _ => {
            return Err(Status::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf",
            ));
        }
    };
    read.and_then(named).map_err(refused)
}

/// The object, whose kind and version must at least be texts.
fn named(read: Value) -> Result<Value, String> {
    let text_or_nothing = |key: &str| read.get(key).is_none_or(|v| v.is_string() || v.is_null());
    match &read {
        Value::Null => Ok(json!({})),
        Value::Object(_) if text_or_nothing("kind") && text_or_nothing("apiVersion") => Ok(read),
        Value::Object(_) => Err(unreadable("kind and apiVersion must be strings")),
        _ => Err(unreadable("the body is no object")),
    }
}

fn unreadable(why: &str) -> String {
    format!("couldn't get version/kind; json parse error: {why}")
}

/// The first document.
fn yaml(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|e| format!("yaml: {e}"))?;
    if text.trim_start_matches([' ', '\n', '\r']).starts_with('\t') {
        return Err("yaml: found character that cannot start any token".into());
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|e| format!("yaml: {e}"))?;
    Ok(documents.into_iter().next().unwrap_or_default())
}

/// Why a body can't be protobuf at all.
fn protobuf_fault(body: &[u8]) -> Option<String> {
    match body.strip_prefix(protobuf::PREFIX) {
        None if body.is_empty() => Some("empty data".into()),
        None => Some(format!(
            "provided data does not appear to be a protobuf message, expected prefix [{}]",
            protobuf::PREFIX.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")
        )),
        Some([]) => Some("empty body".into()),
        Some(_) => None,
    }
}
