//! Watches: one task per watcher between the store's changes and the connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, Target};
use super::list::{check_fields, shape};
use super::request::{Form, Query};
use super::resources::ResourceType;
use super::selector::Selection;
use super::status::{FieldError, Status};
use super::store::{Change, TooOld, WATCH_BACKLOG};
use super::{convert, object};

/// A watch as asked for, with what it has to tell first.
pub(crate) struct Watch {
    resource: Arc<ResourceType>,
    selection: Selection,
    form: Form,
    bookmarks: bool,
    /// The first answer with columns is out.
    headed: bool,
    /// Changes up to this version are known to the client.
    seen: u64,
    first: VecDeque<Value>,
    changes: broadcast::Receiver<Arc<Change>>,
    deadline: Instant,
    broken: bool,
}

/// How long a watch without a timeout of its own lasts.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How often it is looked whether a client that takes nothing is too far behind.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Watch {
    /// Opens a watch. Must happen under the same lock as the reads it continues.
    pub(crate) fn open(
        cluster: &mut Cluster,
        target: &Target,
        query: &Query,
        form: Form,
        now: Timestamp,
    ) -> Result<Self, Status> {
        let selection = query.selection(&target.namespace, &target.name)?;
        check_fields(&target.resource, &selection)?;
        let streaming = streaming_list(query)?;
        let from = query.version().map_err(|fault| Status::new(500, "", fault))?;
        let timeout = query.number("timeoutSeconds")?.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        let storage = &target.resource.storage;
        let mut watch = Self {
            resource: Arc::clone(&target.resource),
            selection,
            form,
            bookmarks: query.flag("allowWatchBookmarks"),
            headed: false,
            seen: from,
            first: VecDeque::new(),
            changes: cluster.store.subscribe(storage),
            deadline: Instant::now() + timeout.min(Duration::from_secs(24 * 3600)),
            broken: false,
        };
        if streaming == Some(true) || (from == 0 && streaming.is_none()) {
            watch.all_as_added(cluster, now);
            if streaming == Some(true) && watch.bookmarks {
                let mark = watch.bookmark(true, now);
                watch.first.push_back(mark);
            }
        } else if from == 0 {
            watch.seen = cluster.store.version();
        } else {
            match cluster.store.watch(storage, from) {
                Ok((newer, changes)) => {
                    watch.changes = changes;
                    for change in newer {
                        let event = watch.event(&change, now);
                        watch.first.extend(event);
                    }
                }
                Err(TooOld { oldest }) => watch.expire(from, oldest),
            }
        }
        Ok(watch)
    }

    fn all_as_added(&mut self, cluster: &Cluster, now: Timestamp) {
        let objects: Vec<Value> =
            cluster.store.list(&self.resource.storage).map(|(_, o)| convert::served(&self.resource, o)).collect();
        for object in objects {
            if self.selection.matches(&object) {
                let event = self.wrap("ADDED", object, now);
                self.first.push_back(event);
            }
        }
        self.seen = cluster.store.version();
    }

    /// Like the real server: the stream opens with 200 and the 410 is its only event.
    fn expire(&mut self, from: u64, oldest: u64) {
        let status = Status::expired(format!("too old resource version: {from} ({oldest})"));
        self.first.push_back(json!({ "type": "ERROR", "object": status.body() }));
        self.broken = true;
    }

    /// What the watcher is told of a change, if anything.
    fn event(&mut self, change: &Change, now: Timestamp) -> Option<Value> {
        if change.version <= self.seen {
            return None;
        }
        self.seen = change.version;
        let after = convert::served(&self.resource, &change.object);
        let before = change.before.as_ref().map(|before| convert::served(&self.resource, before));
        let was_selected = before.as_ref().is_some_and(|before| self.selection.matches(before));
        let is_selected = !change.deleted && self.selection.matches(&after);
        match (was_selected, is_selected) {
            (false, false) => None,
            (false, true) => Some(self.wrap("ADDED", after, now)),
            (true, true) => Some(self.wrap("MODIFIED", after, now)),
            (true, false) => {
                let mut last = before.filter(|_| !change.deleted).unwrap_or(after);
                object::set_meta(&mut last, "resourceVersion", json!(change.version.to_string()));
                Some(self.wrap("DELETED", last, now))
            }
        }
    }

    fn wrap(&mut self, kind: &str, object: Value, now: Timestamp) -> Value {
        let headers = !self.headed;
        self.headed = true;
        json!({ "type": kind, "object": shape(&self.resource, object, self.form, headers, now) })
    }

    fn bookmark(&mut self, ends_initial: bool, now: Timestamp) -> Value {
        let mut metadata = json!({ "resourceVersion": self.seen.to_string() });
        if ends_initial {
            object::set(&mut metadata, "annotations", json!({ "k8s.io/initial-events-end": "true" }));
        }
        let object = json!({
            "kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata,
        });
        json!({ "type": "BOOKMARK", "object": shape(&self.resource, object, self.form, !self.headed, now) })
    }

    /// Tells the client everything until it goes, falls too far behind, the time is up or the server stops.
    pub(crate) async fn run(
        mut self,
        to: mpsc::Sender<Bytes>,
        stop: CancellationToken,
        bookmark_every: Duration,
        version: impl Fn() -> u64 + Send,
    ) {
        for event in std::mem::take(&mut self.first) {
            if !self.hand_on(&event, &to, &stop).await {
                return;
            }
        }
        if self.broken {
            return;
        }
        let mut ticks = tokio::time::interval_at(Instant::now() + bookmark_every, bookmark_every);
        loop {
            let change = tokio::select! {
                () = to.closed() => return,
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(self.deadline) => return,
                _ = ticks.tick(), if self.bookmarks => {
                    // Every change up to this version is already in the channel: it is sent before the mark.
                    let version = version();
                    if !self.catch_up(&to, &stop).await {
                        return;
                    }
                    self.seen = self.seen.max(version);
                    let mark = self.bookmark(false, Timestamp::now());
                    if !self.hand_on(&mark, &to, &stop).await {
                        return;
                    }
                    continue;
                }
                change = self.changes.recv() => change,
            };
            match change {
                Ok(change) => {
                    if !self.tell(&change, &to, &stop).await {
                        return;
                    }
                }
                // A slow watcher is cut off; it comes back with its last version or lists anew.
                Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            }
        }
    }

    async fn catch_up(&mut self, to: &mpsc::Sender<Bytes>, stop: &CancellationToken) -> bool {
        loop {
            match self.changes.try_recv() {
                Ok(change) => {
                    if !self.tell(&change, to, stop).await {
                        return false;
                    }
                }
                Err(broadcast::error::TryRecvError::Empty) => return true,
                Err(broadcast::error::TryRecvError::Lagged(_) | broadcast::error::TryRecvError::Closed) => {
                    return false;
                }
            }
        }
    }

    async fn tell(&mut self, change: &Change, to: &mpsc::Sender<Bytes>, stop: &CancellationToken) -> bool {
        match self.event(change, Timestamp::now()) {
            Some(event) => self.hand_on(&event, to, stop).await,
            None => true,
        }
    }

    /// Gives the client an event when it takes one. One that takes none while the changes pile up is given up: what it has
    /// not read is then the little that is on its way, and the connection ends behind it.
    async fn hand_on(&self, event: &Value, to: &mpsc::Sender<Bytes>, stop: &CancellationToken) -> bool {
        loop {
            tokio::select! {
                place = to.reserve() => return place.map(|place| place.send(line(event))).is_ok(),
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if self.changes.len() > WATCH_BACKLOG || Instant::now() > self.deadline {
                        return false;
                    }
                }
            }
        }
    }
}

fn line(event: &Value) -> Bytes {
    let mut text = event.to_string();
    text.push('\n');
    Bytes::from(text)
}

/// Whether the client wants the list as the first events of the watch.
fn streaming_list(query: &Query) -> Result<Option<bool>, Status> {
    const NEEDED: &str = "NotOlderThan";
    let (wanted, rule) = (query.get("sendInitialEvents"), query.get("resourceVersionMatch"));
    let forbidden = |why: &str| FieldError::forbidden("resourceVersionMatch", why);
    let mut errors = Vec::new();
    if wanted.is_some() && rule != Some(NEEDED) {
        errors.push(forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
    }
    if let Some(rule) = rule {
        if wanted.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(forbidden(why));
        }
        if rule != NEEDED {
            errors.push(FieldError::not_supported("resourceVersionMatch", json!(rule), &[NEEDED]));
        }
        if query.get("continue").is_some() {
            errors.push(forbidden("resourceVersionMatch is forbidden when continue is provided"));
        }
    }
    if !errors.is_empty() {
        return Err(Status::invalid_options("ListOptions", &errors));
    }
    Ok(wanted.map(|wanted| !matches!(wanted, "false" | "0")))
}
