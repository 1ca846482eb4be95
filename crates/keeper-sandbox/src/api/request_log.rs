//! Every request that was answered: who asked for what, and how it ended. Tests and the demo read their proofs here.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::header;
use http::request::Parts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::object;
use super::protobuf;
use super::request::{Query, ResourcePath, media_type, verb};

/// One answered request. A watch is entered when it starts, everything else when it has been answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Counts from 1, without gaps, over all requests of this server.
    pub sequence: u64,
    /// When the request had been read.
    pub time: Timestamp,
    /// When the answer was known.
    pub answered: Timestamp,
    /// The `User-Agent`, whole; empty when there is none.
    pub user_agent: String,
    /// The `fieldManager` of the query.
    pub field_manager: Option<String>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or `other` for a path that is
    /// not a resource's.
    pub verb: String,
    /// The path without the query.
    pub path: String,
    /// The query as sent; empty when there is none.
    pub query: String,
    /// API group; empty for the core group.
    pub group: String,
    /// The resource's plural name, such as `pods`.
    pub resource: String,
    /// Namespace; empty for cluster-scoped resources and lists over all namespaces.
    pub namespace: String,
    /// Name of the object; empty for collections. A create has the name in its body here.
    pub name: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// Sent with `dryRun=All`.
    pub dry_run: bool,
    /// Media type of the body; tells the kinds of patch apart.
    pub content_type: String,
    /// HTTP status code of the answer; 0 where a fault proxy dropped it.
    pub code: u16,
    /// The body of a write: JSON as sent, or text when it wasn't JSON. Dropped for bodies over 256 KiB.
    pub body: Option<Value>,
}

impl RequestRecord {
    /// What can be told before the answer; `code` is still 0.
    pub(crate) fn of(parts: &Parts, body: &[u8], now: Timestamp) -> Self {
        let query = Query::parse(parts.uri.query());
        let path = ResourcePath::parse(parts.uri.path());
        let verb = match &path {
            Some(path) => verb(&parts.method, !path.name.is_empty(), query.flag("watch")),
            None => "other",
        };
        let path = path.unwrap_or_default();
        let is_read = matches!(verb, "get" | "list" | "watch" | "other");
        let body = if is_read { None } else { kept_body(body) };
        let created = || body.as_ref().and_then(|b| object::text(b, "/metadata/name")).unwrap_or_default().to_owned();
        let in_body = body.as_ref().is_some_and(|b| dry_run_in(b) || b.get("deleteOptions").is_some_and(dry_run_in));
        let agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        Self {
            sequence: 0,
            time: now,
            answered: now,
            user_agent: agent.to_owned(),
            field_manager: query.get("fieldManager").map(str::to_owned),
            verb: verb.to_owned(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            name: if path.name.is_empty() && verb == "create" { created() } else { path.name },
            group: path.group,
            resource: path.plural,
            namespace: path.namespace,
            subresource: path.subresource,
            dry_run: in_body || (query.get("dryRun") == Some("All") && !(body.is_some() && verb.starts_with("delete"))),
            content_type: media_type(&parts.headers),
            code: 0,
            body,
        }
    }

    /// The client's short name: its `User-Agent` up to the first slash or space.
    #[must_use]
    pub fn client(&self) -> &str {
        client_name(&self.user_agent)
    }

    /// Whether the request could have changed something: a write that was no dry-run.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !self.dry_run && matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

fn client_name(user_agent: &str) -> &str {
    user_agent.split(['/', ' ']).next().unwrap_or_default()
}

/// Number of requests by client and verb.
pub type RequestCounts = BTreeMap<String, BTreeMap<String, u64>>;

/// The log: the newest records in a ring, and counters that forget nothing.
#[derive(Debug)]
pub struct RequestLog {
    inner: Mutex<Inner>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// Each with the size of its body.
    records: VecDeque<(RequestRecord, usize)>,
    bytes: usize,
    counts: RequestCounts,
    watches: BTreeMap<String, u64>,
    file: Option<File>,
}

/// The kept bodies of writes take at most this much together.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// A longer body is not kept.
const MAX_ONE_BODY: usize = 256 * 1024;

impl RequestLog {
    pub(crate) fn new(limit: usize, file: Option<File>) -> Self {
        Self { inner: Mutex::new(Inner { file, ..Inner::default() }), limit }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // The log is only appended to: after a panic elsewhere it is still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, mut record: RequestRecord) {
        let mut inner = self.inner();
        inner.next += 1;
        record.sequence = inner.next;
        record.answered = Timestamp::now();
        let client = record.client().to_owned();
        if record.verb == "watch" {
            *inner.watches.entry(client).or_default() += 1;
        } else {
            *inner.counts.entry(client).or_default().entry(record.verb.clone()).or_default() += 1;
        }
        if let Some(file) = &mut inner.file
            && let Ok(mut line) = serde_json::to_vec(&record)
        {
            line.push(b'\n');
            if let Err(error) = file.write_all(&line) {
                tracing::warn!(%error, "the request log file can't be written; it ends here");
                inner.file = None;
            }
        }
        let size = record.body.as_ref().map_or(0, |body| body.to_string().len());
        inner.bytes += size;
        inner.records.push_back((record, size));
        while inner.records.len() > self.limit || inner.bytes > MAX_BODY_BYTES {
            let Some((_, size)) = inner.records.pop_front() else { break };
            inner.bytes = inner.bytes.saturating_sub(size);
        }
    }

    /// The newest records that are still kept, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<RequestRecord> {
        self.after(0)
    }

    /// The kept records with a higher sequence number.
    #[must_use]
    pub fn after(&self, sequence: u64) -> Vec<RequestRecord> {
        self.inner().records.iter().map(|(r, _)| r).filter(|r| r.sequence > sequence).cloned().collect()
    }

    /// The number of requests so far, which is the newest record's sequence number.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.inner().next
    }

    /// All requests since the start by client and verb, without watches.
    #[must_use]
    pub fn counts(&self) -> RequestCounts {
        self.inner().counts.clone()
    }

    /// All watches since the start by client.
    #[must_use]
    pub fn watches(&self) -> BTreeMap<String, u64> {
        self.inner().watches.clone()
    }
}

/// Whether `DeleteOptions` ask for a dry-run.
pub(crate) fn dry_run_in(options: &Value) -> bool {
    object::list(options, "/dryRun").iter().any(|v| v.as_str() == Some("All"))
}

/// The body as it is kept in the log.
fn kept_body(bytes: &[u8]) -> Option<Value> {
    if bytes.is_empty() || bytes.len() > MAX_ONE_BODY {
        return None;
    }
    if let Ok(object) = protobuf::read(bytes) {
        return Some(object);
    }
    Some(serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into()))
}
