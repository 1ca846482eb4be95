//! The answers that are not objects: Kubernetes `Status` bodies, worded as the real API server words them.

use serde_json::{Value, json};

use super::go;
use super::resources::ResourceType;

/// A refused request, as the client sees it: HTTP code and `Status` body.
///
/// A retry helps for 409 (after a fresh read), 410 (after a fresh list), 429 and 5xx; never for the others.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Status {
    /// HTTP status code, also in the body.
    pub(crate) code: u16,
    /// Machine-readable reason, such as `NotFound`; empty where the real server has none either.
    pub(crate) reason: &'static str,
    /// What a person reads.
    pub(crate) message: String,
    /// The `details` object; `null` when there are none.
    pub(crate) details: Value,
}

impl Status {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    fn about(mut self, resource: &ResourceType, name: &str) -> Self {
        self.details = details(resource, &resource.plural, name);
        self
    }

    pub(crate) fn not_found(resource: &ResourceType, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {} not found", resource.qualified(), go::quoted(name)))
            .about(resource, name)
    }

    /// The answer to a path that no resource is served under.
    pub(crate) fn no_such_path() -> Self {
        Self { details: json!({}), ..Self::new(404, "NotFound", "the server could not find the requested resource") }
    }

    pub(crate) fn already_exists(resource: &ResourceType, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.qualified()))
            .about(resource, name)
    }

    pub(crate) fn conflict(resource: &ResourceType, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// The conflict of a write that was prepared from an older read.
    pub(crate) fn modified(resource: &ResourceType, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub(crate) fn forbidden(resource: &ResourceType, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{} \"{name}\" is forbidden: {why}", resource.qualified()))
            .about(resource, name)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self { details: json!({}), ..Self::new(405, "MethodNotAllowed", message) }
    }

    /// A resourceVersion or continue token that is no longer in the history.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// All field errors of one object in one answer.
    pub(crate) fn invalid(resource: &ResourceType, name: &str, errors: &[FieldError]) -> Self {
        let kind = resource.qualified_kind();
        let mut status = Self::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {}", listed(errors)));
        let mut about = json!({ "kind": resource.kind, "causes": causes(errors) });
        for (field, value) in [("name", name), ("group", resource.object_group())] {
            if !value.is_empty() {
                super::object::set(&mut about, field, json!(value));
            }
        }
        status.details = about;
        status
    }

    /// Options of a request, such as `ListOptions`, with what is wrong with their fields.
    pub(crate) fn invalid_options(kind: &str, errors: &[FieldError]) -> Self {
        Self {
            details: json!({ "group": "meta.k8s.io", "kind": kind, "causes": causes(errors) }),
            ..Self::new(422, "Invalid", format!("{kind}.meta.k8s.io \"\" is invalid: {}", listed(errors)))
        }
    }

    /// The refusal of a list's form for an object, or of an object's form for a list.
    pub(crate) fn wrong_form(resource: &ResourceType, form: &str, is_list: bool) -> Self {
        let package = match resource.group.split('.').next() {
            _ if resource.custom => "unstructured",
            Some("" | "events") | None => "core",
            Some(group) => group,
        };
        let kind = match (resource.custom, is_list) {
            (true, true) => "UnstructuredList",
            (true, false) => "Unstructured",
            (false, true) => &resource.list_kind,
            (false, false) => &resource.kind,
        };
        let but = if is_list { "a list" } else { "not a list" };
        let message = format!("you requested {form}, but the requested object is {but} (*{package}.{kind})");
        Self::new(406, "NotAcceptable", message)
    }

    /// An answer in a form that nothing here can be put into.
    pub(crate) fn not_acceptable() -> Self {
        let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
                       application/vnd.kubernetes.protobuf";
        Self { details: json!({}), ..Self::new(406, "NotAcceptable", message) }
    }

    /// A form of an object that is none.
    pub(crate) fn unknown_form() -> Self {
        let message = "only the following media types are accepted: application/json, application/yaml, \
                       application/vnd.kubernetes.protobuf";
        Self::new(406, "NotAcceptable", message)
    }

    /// Seconds the client is asked to wait, when the details name them.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details.get("retryAfterSeconds").and_then(Value::as_u64)
    }

    /// The `Status` object as sent.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            super::object::set(&mut body, "reason", json!(self.reason));
        }
        if !self.details.is_null() {
            super::object::set(&mut body, "details", self.details.clone());
        }
        body
    }
}

/// The faults of an object in one line. The same one found twice is two causes and said once, as on the real server.
fn listed(errors: &[FieldError]) -> String {
    let mut listed: Vec<String> = Vec::new();
    for text in errors.iter().map(FieldError::to_string) {
        if !listed.contains(&text) {
            listed.push(text);
        }
    }
    match listed.as_slice() {
        [only] => only.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

fn causes(errors: &[FieldError]) -> Vec<Value> {
    errors
        .iter()
        .map(|e| json!({ "reason": e.kind.reason(), "message": e.without_field(), "field": e.field }))
        .collect()
}

/// What an answer is about; without a name where there is none.
fn details(resource: &ResourceType, kind: &str, name: &str) -> Value {
    let mut details = json!({ "kind": kind });
    for (field, value) in [("name", name), ("group", resource.group.as_str())] {
        if !value.is_empty() {
            super::object::set(&mut details, field, json!(value));
        }
    }
    details
}

/// The body that answers a delete which left nothing to show.
pub(crate) fn success(resource: &ResourceType, name: &str, uid: &str) -> Value {
    let mut details = json!({ "name": name, "kind": resource.plural, "uid": uid });
    if !resource.group.is_empty() {
        super::object::set(&mut details, "group", json!(resource.group));
    }
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
}

/// What is wrong with one field.
#[derive(Debug, Clone)]
pub(crate) struct FieldError {
    field: String,
    kind: FieldErrorKind,
    value: Option<Value>,
    /// In place of the value.
    shown: Option<String>,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldErrorKind {
    Required,
    Invalid,
    Forbidden,
    NotSupported,
    Duplicate,
    TooLong,
    TooMany,
    TypeInvalid,
    NotFound,
}

impl FieldErrorKind {
    fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::Forbidden => "FieldValueForbidden",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotFound => "FieldValueNotFound",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::Forbidden => "Forbidden",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
        }
    }
}

impl FieldError {
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        Self { field: field.into(), kind: FieldErrorKind::Required, value: None, shown: None, detail: detail.into() }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: Value, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            kind: FieldErrorKind::Invalid,
            value: Some(value),
            shown: None,
            detail: detail.into(),
        }
    }

    pub(crate) fn immutable(field: impl Into<String>, value: Value) -> Self {
        Self::invalid(field, value, "field is immutable")
    }

    pub(crate) fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), kind: FieldErrorKind::Forbidden, value: None, shown: None, detail: detail.into() }
    }

    pub(crate) fn not_supported(field: impl Into<String>, value: Value, supported: &[&str]) -> Self {
        let listed: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = format!("supported values: {}", listed.join(", "));
        Self { field: field.into(), kind: FieldErrorKind::NotSupported, value: Some(value), shown: None, detail }
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: Value) -> Self {
        Self {
            field: field.into(),
            kind: FieldErrorKind::Duplicate,
            value: Some(value),
            shown: None,
            detail: String::new(),
        }
    }

    pub(crate) fn too_long(field: impl Into<String>, bytes: usize) -> Self {
        let detail = format!("may not be more than {bytes} bytes");
        Self { field: field.into(), kind: FieldErrorKind::TooLong, value: None, shown: None, detail }
    }

    pub(crate) fn not_found(field: impl Into<String>, name: &str) -> Self {
        Self { kind: FieldErrorKind::NotFound, ..Self::invalid(field, name.into(), "") }
    }

    /// With another form of the value: the real server shows some in the order or under the names of its own types.
    pub(crate) fn showing(self, value: impl Into<String>) -> Self {
        Self { shown: Some(value.into()), ..self }
    }

    /// How a fault of no field at all is named.
    pub(crate) const ROOT: &str = "<nil>";

    pub(crate) fn mistyped(field: impl Into<String>, value: Value, detail: impl Into<String>) -> Self {
        Self { kind: FieldErrorKind::TypeInvalid, ..Self::invalid(field, value, detail) }
    }

    pub(crate) fn too_many(field: impl Into<String>, count: u64, most: u64) -> Self {
        let detail = format!("must have at most {most} item{}", if most == 1 { "" } else { "s" });
        Self { field: field.into(), kind: FieldErrorKind::TooMany, value: Some(count.into()), shown: None, detail }
    }

    /// Whether the real server looks no further after such a fault.
    pub(crate) fn hides_more(&self) -> bool {
        use FieldErrorKind::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
        matches!(self.kind, NotSupported | Required | TooLong | TooMany | TypeInvalid)
    }

    /// The same fault, of a field below another.
    pub(crate) fn below(mut self, at: &str) -> Self {
        self.field = match self.field.as_str() {
            Self::ROOT => at.to_owned(),
            field => format!("{at}.{field}"),
        };
        self
    }

    fn without_field(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if let Some(shown) = self.shown.clone().or_else(|| self.value.as_ref().map(Value::to_string)) {
            text.push_str(&format!(": {shown}"));
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.without_field())
    }
}
