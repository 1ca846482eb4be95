//! What a request asks: path, query and the form of the wanted answer.

use std::collections::BTreeMap;

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::selector::{FieldSelector, LabelSelector, Selection};
use super::status::{FieldError, Status};

/// A path under `/api` or `/apis`, taken apart. Empty where the path names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) plural: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

impl ResourcePath {
    /// None when the path is not that of a resource.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            _ => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return None,
        };
        Some(Self {
            group: group.into(),
            version: version.into(),
            namespace: namespace.into(),
            plural: plural.into(),
            name: name.into(),
            subresource: subresource.into(),
        })
    }
}

/// The query of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self(url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|v| !v.is_empty())
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|v| !matches!(v.as_str(), "false" | "0"))
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, Status> {
        self.get(key)
            .map(|v| {
                v.parse().map_err(|_| Status::bad_request(format!("invalid value {v:?} for {key}: expected a number")))
            })
            .transpose()
    }

    /// Whether the write is to be made in thought only.
    pub(crate) fn dry_run(&self, method: &Method) -> Result<bool, Status> {
        let options = match method.as_str() {
            "PUT" => "UpdateOptions",
            "PATCH" => "PatchOptions",
            "DELETE" => "DeleteOptions",
            _ => "CreateOptions",
        };
        match self.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => {
                let error = FieldError::not_supported("dryRun", json!([other]), &["All"]);
                Err(Status::invalid_options(options, &error))
            }
        }
    }

    /// The version that is asked for; 0 without one.
    ///
    /// # Errors
    /// It is no version. The words are the real server's.
    pub(crate) fn version(&self) -> Result<u64, String> {
        let wanted = self.get("resourceVersion").unwrap_or("0");
        wanted.parse().map_err(|_| {
            format!("resourceVersion: Invalid value: {wanted:?}: strconv.ParseUint: parsing {wanted:?}: invalid syntax")
        })
    }

    pub(crate) fn selection(&self, namespace: &str, name: &str) -> Result<Selection, Status> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let labels =
            LabelSelector::parse(self.get("labelSelector").unwrap_or_default()).map_err(Status::bad_request)?;
        let fields =
            FieldSelector::parse(self.get("fieldSelector").unwrap_or_default()).map_err(Status::bad_request)?;
        Ok(Selection { namespace: some(namespace), name: some(name), labels, fields })
    }

    /// `DeleteOptions` from the query, for a delete without a body.
    pub(crate) fn delete_options(&self) -> Value {
        let mut body = json!({});
        if let Some(policy) = self.get("propagationPolicy") {
            super::object::set(&mut body, "propagationPolicy", json!(policy));
        }
        if let Some(seconds) = self.get("gracePeriodSeconds").and_then(|s| s.parse::<i64>().ok()) {
            super::object::set(&mut body, "gracePeriodSeconds", json!(seconds));
        }
        body
    }
}

/// The audit verb of a request for a resource.
pub(crate) fn verb(method: &Method, named: bool, watch: bool) -> &'static str {
    match (method.as_str(), named) {
        ("GET" | "HEAD", _) if watch => "watch",
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "other",
    }
}

/// The form in which objects are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Whole objects.
    Full,
    /// Rows for a person to read.
    Table,
    /// Only the metadata.
    Metadata,
}

impl Form {
    /// The first form in the `Accept` header that is known here.
    ///
    /// # Errors
    /// 406, when there is none. Clients that also take protobuf are given JSON.
    pub(crate) fn accepted(headers: &HeaderMap) -> Result<Self, Status> {
        let accept = headers.get(http::header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if accept.trim().is_empty() {
            return Ok(Self::Full);
        }
        let mut refused = Status::not_acceptable();
        for media in accept.split(',').map(str::trim) {
            let mut parts = media.split(';').map(str::trim);
            let known = matches!(parts.next(), Some("application/json" | "application/*" | "*/*"));
            let parameters: Vec<&str> = parts.collect();
            let of = |key: &str| parameters.iter().find_map(|p| p.strip_prefix(key)?.strip_prefix('='));
            if !known {
                continue;
            }
            let meta = of("g") == Some("meta.k8s.io") && of("v") == Some("v1");
            match of("as") {
                None => return Ok(Self::Full),
                Some("Table") if meta => return Ok(Self::Table),
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") if meta => return Ok(Self::Metadata),
                Some(_) => refused = Status::unknown_form(),
            }
        }
        Err(refused)
    }
}

/// The media type of a body without its parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let whole = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let path = |p: &str| {
            let r = ResourcePath::parse(p).unwrap();
            [r.group, r.version, r.namespace, r.plural, r.name, r.subresource].join("|")
        };
        assert_eq!(path("/api/v1/pods"), "|v1||pods||");
        assert_eq!(path("/api/v1/namespaces"), "|v1||namespaces||");
        assert_eq!(path("/api/v1/namespaces/a"), "|v1||namespaces|a|");
        assert_eq!(path("/api/v1/namespaces/a/status"), "|v1||namespaces|a|status");
        assert_eq!(path("/api/v1/namespaces/a/pods/b/log"), "|v1|a|pods|b|log");
        assert_eq!(path("/apis/apps/v1/namespaces/a/deployments/b/scale"), "apps|v1|a|deployments|b|scale");
        assert_eq!(ResourcePath::parse("/api/v1"), None);
        assert_eq!(ResourcePath::parse("/apis/apps/v1"), None);
        assert_eq!(ResourcePath::parse("/healthz"), None);
    }

    #[test]
    fn the_first_known_form_is_taken() {
        let form = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("accept", accept.parse().unwrap());
            Form::accepted(&headers).ok()
        };
        assert_eq!(form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Some(Form::Table));
        assert_eq!(form("application/vnd.kubernetes.protobuf,application/json"), Some(Form::Full));
        assert_eq!(form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"), Some(Form::Metadata));
        assert_eq!(form("application/json;as=Other,*/*"), Some(Form::Full));
        assert_eq!(form("text/html"), None);
    }
}
