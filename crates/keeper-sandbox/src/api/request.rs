//! What a request asks: path, query and the form of the wanted answer.

use std::collections::BTreeMap;

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::go;
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
    /// One of the old paths below `watch/`, which say what a query says today.
    pub(crate) watches: bool,
}

impl ResourcePath {
    /// None when the path is not that of a resource. The path is as sent, with its escapes.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (watches, rest) = match rest {
            ["watch", rest @ ..] => (true, rest),
            _ => (false, rest),
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
            watches,
        })
    }
}

/// The query of a request: every value of every key, in the order sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(BTreeMap<String, Vec<String>>);

/// A `fieldManager` may have this many bytes.
const MAX_MANAGER: usize = 128;

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let mut values = BTreeMap::<String, Vec<String>>::new();
        for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned() {
            values.entry(key).or_default().push(value);
        }
        Self(values)
    }

    /// The first value.
    fn first(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.first().map(String::as_str)
    }

    /// The first value, unless it is empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.first(key).filter(|v| !v.is_empty())
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.first(key).is_some_and(|v| !matches!(v, "false" | "0"))
    }

    /// The number under a key.
    ///
    /// # Errors
    /// 400 for what is none, an empty value included.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>, Status> {
        self.first(key).map(|value| go::integer(value).map_err(Status::bad_request)).transpose()
    }

    /// The number under a key, when it is above 0.
    ///
    /// # Errors
    /// As [`Self::integer`].
    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, Status> {
        Ok(self.integer(key)?.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0))
    }

    /// Whether the write is to be made in thought only.
    ///
    /// # Errors
    /// 422, when an option of the write has a value that it can't have.
    pub(crate) fn dry_run(&self, method: &Method) -> Result<bool, Status> {
        let options = match method.as_str() {
            "PUT" => "UpdateOptions",
            "PATCH" => "PatchOptions",
            "DELETE" => "DeleteOptions",
            _ => "CreateOptions",
        };
        let dry_run = self.0.get("dryRun").map_or(&[][..], Vec::as_slice);
        let mut errors = Vec::new();
        if options != "DeleteOptions" {
            errors.extend(self.manager_faults());
        }
        if dry_run.iter().any(|value| value != "All") {
            errors.push(FieldError::not_supported("dryRun", json!(dry_run), &["All"]));
        }
        if options != "DeleteOptions" {
            let validation = self.get("fieldValidation").unwrap_or_default();
            let supported = ["", "Ignore", "Strict", "Warn"];
            if !supported.contains(&validation) {
                errors.push(FieldError::not_supported("fieldValidation", json!(validation), &supported));
            }
        }
        if errors.is_empty() { Ok(!dry_run.is_empty()) } else { Err(Status::invalid_options(options, &errors)) }
    }

    fn manager_faults(&self) -> Vec<FieldError> {
        let manager = self.get("fieldManager").unwrap_or_default();
        let mut faults = Vec::new();
        if manager.len() > MAX_MANAGER {
            faults.push(FieldError::too_long("fieldManager", MAX_MANAGER));
        }
        faults.extend(manager.char_indices().filter(|(_, c)| c.is_control()).map(|(at, c)| {
            let why = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
            FieldError::invalid("fieldManager", json!(manager), why)
        }));
        faults
    }

    /// How long the client is willing to wait; nothing here takes so long that it mattered.
    ///
    /// # Errors
    /// 400 for what is no duration.
    pub(crate) fn check_timeout(&self) -> Result<(), Status> {
        match self.get("timeout").and_then(go::duration_fault) {
            None => Ok(()),
            Some(fault) => Err(Status::bad_request(format!("invalid timeout specified in the request URL - {fault}"))),
        }
    }

    /// The version that is asked for; 0 without one.
    ///
    /// # Errors
    /// It is no version. The words are the real server's.
    pub(crate) fn version(&self) -> Result<u64, String> {
        let wanted = self.get("resourceVersion").unwrap_or("0");
        wanted.parse().map_err(|_| {
            let wanted = go::quoted(wanted);
            format!("resourceVersion: Invalid value: {wanted}: strconv.ParseUint: parsing {wanted}: invalid syntax")
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
    ///
    /// # Errors
    /// 400 for a grace period that is no number.
    pub(crate) fn delete_options(&self) -> Result<Value, Status> {
        let mut body = json!({});
        if let Some(policy) = self.get("propagationPolicy") {
            super::object::set(&mut body, "propagationPolicy", json!(policy));
        }
        if let Some(seconds) = self.integer("gracePeriodSeconds")? {
            super::object::set(&mut body, "gracePeriodSeconds", json!(seconds));
        }
        if self.first("orphanDependents").is_some() {
            super::object::set(&mut body, "orphanDependents", json!(self.flag("orphanDependents")));
        }
        Ok(body)
    }
}

/// The audit verb of a request for a resource.
pub(crate) fn verb(method: &Method, named: bool, watch: bool) -> &'static str {
    match (method.as_str(), named) {
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) if watch => "watch",
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
    Table(Include),
    /// Only the metadata.
    Metadata,
    /// Only the metadata, of a list; as good as [`Self::Metadata`] in a watch.
    MetadataList,
}

/// What a table's rows have beside their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    /// Nothing.
    None,
    /// The metadata.
    Metadata,
    /// The whole object.
    Object,
}

impl Include {
    fn asked(query: &Query) -> Result<Self, Status> {
        match query.get("includeObject") {
            None | Some("Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', \
                 'Object', 'None', or empty",
                go::quoted(other)
            ))),
        }
    }
}

impl Form {
    /// The form in the `Accept` header that is known here and wanted most.
    ///
    /// # Errors
    /// 406, when there is none. Clients that also take protobuf are given JSON.
    pub(crate) fn accepted(headers: &HeaderMap, query: &Query) -> Result<Self, Status> {
        let accept = headers.get(http::header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if accept.trim().is_empty() {
            return Ok(Self::Full);
        }
        let mut refused = Status::not_acceptable();
        let mut wanted: Vec<&str> = accept.split(',').map(str::trim).collect();
        let named = |media: &&str| matches!(essence(media), "application/json" | "*/*");
        if !wanted.iter().any(named) {
            return Err(refused);
        }
        wanted.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        for media in wanted {
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
                Some("Table") if meta => return Include::asked(query).map(Self::Table),
                Some("PartialObjectMetadata") if meta => return Ok(Self::Metadata),
                Some("PartialObjectMetadataList") if meta => return Ok(Self::MetadataList),
                Some(_) => refused = Status::unknown_form(),
            }
        }
        Err(refused)
    }
}

fn essence(media: &str) -> &str {
    media.split(';').next().unwrap_or_default().trim()
}

/// The `q` of a media type in `Accept`, 1 without one.
fn weight(media: &str) -> f32 {
    media.split(';').find_map(|p| p.trim().strip_prefix("q=")?.parse().ok()).unwrap_or(1.0)
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// The media type of a body without its parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    essence(content_type(headers)).to_ascii_lowercase()
}

/// As [`media_type`], but none when the parameters can't be read.
pub(crate) fn readable_media_type(headers: &HeaderMap) -> Option<String> {
    let whole = content_type(headers).trim_end();
    let parameters = whole.strip_suffix(';').unwrap_or(whole).split(';').skip(1);
    let named = |parameter: &str| parameter.split_once('=').is_some_and(|(key, _)| !key.trim().is_empty());
    parameters.map(str::trim).all(named).then(|| media_type(headers))
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
        assert_eq!(path("/api/v1/watch/namespaces/a/pods"), "|v1|a|pods||");
        assert_eq!(path("/api/v1/namespaces/a/pods/%2E%2E"), "|v1|a|pods|..|");
        assert_eq!(path("/api/v1/namespaces/a/pods/b%2Flog"), "|v1|a|pods|b|log");
        assert_eq!(ResourcePath::parse("/api/v1"), None);
        assert_eq!(ResourcePath::parse("/apis/apps/v1"), None);
        assert_eq!(ResourcePath::parse("/healthz"), None);
    }

    #[test]
    fn the_first_known_form_is_taken() {
        let form = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("accept", accept.parse().unwrap());
            Form::accepted(&headers, &Query::default()).ok()
        };
        assert_eq!(
            form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
            Some(Form::Table(Include::Metadata))
        );
        assert_eq!(form("application/vnd.kubernetes.protobuf,application/json"), Some(Form::Full));
        let list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(form(list), Some(Form::MetadataList));
        let unwanted = "application/json;q=0.5,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        assert_eq!(form(unwanted), Some(Form::Metadata));
        assert_eq!(form("application/json;as=Other,*/*"), Some(Form::Full));
        assert_eq!(form("text/html"), None);
        assert_eq!(form("application/*"), None);
    }
}
