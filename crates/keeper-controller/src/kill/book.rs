//! The ledger in the cluster: one ConfigMap, watched, and written on the condition that nobody wrote it meanwhile.

use super::figures::Figures;
use super::requests::Requests;
use super::stored::Page;
use super::{KillSettings, said};
use crate::error::ClusterError;
use crate::kind;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use keeper_api::kills::{self, LEDGER_KEY, LEDGER_NAME, LedgerError};
use keeper_kill::Budgets;
use kube::api::{Api, DynamicObject};
use kube::core::TypeMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many entries are kept for people, beside those that budgets count.
const KEPT: usize = 500;
/// How often a change is tried again when another process wrote in between.
const ATTEMPTS: usize = 8;
/// The label of the ledger's ConfigMap; not the one of the operator's records.
const MANAGED_BY_KILLER: &str = "canary-keeper-killer";

/// Reads and changes the ledger.
pub(super) struct Book {
    requests: Requests,
    namespace: String,
    budgets: Budgets,
    figures: Figures,
    /// The latest version that was seen; `None`: never read.
    latest: Mutex<Option<Seen>>,
    /// One change at a time: two of one process would only meet in a conflict.
    writing: tokio::sync::Mutex<()>,
}

/// A version of the ledger.
#[derive(Clone)]
struct Seen {
    /// The ConfigMap; `None` when there is none.
    object: Option<Arc<DynamicObject>>,
    /// What it holds; else why it can't be read.
    page: Result<Arc<Page>, Arc<str>>,
}

impl Seen {
    fn nothing() -> Self {
        Self { object: None, page: Ok(Arc::default()) }
    }
}

/// Why the ledger can't be changed.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// A request failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// What is stored can't be read, and so nothing is decided.
    #[error("the ledger {namespace}/{LEDGER_NAME} can't be used: {why}")]
    Unreadable {
        /// Its namespace.
        namespace: String,
        /// Why.
        why: Arc<str>,
    },
    /// Others wrote again and again in between.
    #[error("the ledger changed {ATTEMPTS} times in between")]
    Contended,
    /// It would be longer than what is read.
    #[error("the ledger would be {length} bytes long, at most {} are written", kills::LIMIT)]
    TooLong {
        /// Its length.
        length: usize,
    },
}

impl Book {
    pub(super) fn new(requests: Requests, settings: &KillSettings, figures: Figures) -> Self {
        Self {
            requests,
            namespace: settings.ledger_namespace.clone(),
            budgets: settings.policy.budgets.clone(),
            figures,
            latest: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Watches the one ConfigMap; the stream must be driven, and gives a word at every change.
    pub(super) fn watch(self: &Arc<Self>, client: &Client) -> BoxStream<'static, ()> {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &self.namespace, &kind::config_map());
        let config = watcher::Config::default().fields(&format!("metadata.name={LEDGER_NAME}"));
        let book = Arc::clone(self);
        watcher::watcher(api, config)
            .default_backoff()
            .map(move |event| match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => book.shown(object),
                Ok(Event::Delete(_)) => book.shown_gone(),
                Ok(Event::InitDone) => book.listed(),
                Ok(Event::Init) => {}
                Err(error) => tracing::debug!(%error, "the watch of the ledger failed and is tried again"),
            })
            .boxed()
    }

    /// Whether the ledger was read, and can be.
    pub(super) fn ready(&self) -> Result<(), String> {
        match self.lock().as_ref() {
            None => Err("the ledger was not read yet".into()),
            Some(Seen { page: Err(why), .. }) => Err(format!("the ledger can't be used: {why}")),
            Some(_) => Ok(()),
        }
    }

    /// The ledger as it was seen last.
    pub(super) fn page(&self) -> Option<Arc<Page>> {
        self.lock().as_ref().and_then(|seen| seen.page.clone().ok())
    }

    /// Changes the ledger: `change` gets it as it is, as often as it takes, and says whether there is anything to store.
    /// The first time it may get what was seen last; a write on that is refused if it is not the newest.
    pub(super) async fn change<T>(&self, mut change: impl FnMut(&mut Page) -> (bool, T)) -> Result<T, BookError> {
        let _one = self.writing.lock().await;
        let seen = self.lock().clone();
        let mut seen = match seen {
            Some(seen) => seen,
            None => self.read().await?,
        };
        for _ in 0..ATTEMPTS {
            let page = seen.page.clone().map_err(|why| self.unreadable(why))?;
            let mut page = Page::clone(&page);
            let (store, told) = change(&mut page);
            if !store {
                return Ok(told);
            }
            page.ledger.trim(&self.budgets, KEPT, Timestamp::now());
            match self.write(&page, seen.object.as_deref()).await {
                Ok(()) => return Ok(told),
                Err(BookError::Cluster(error)) if error.is_conflict() => {
                    self.figures.conflict();
                    seen = self.read().await?;
                }
                // It was there and is gone: somebody deleted it. What it held is lost, and said so by its absence.
                Err(BookError::Cluster(ClusterError::NotFound { .. })) => seen = self.read().await?,
                Err(error) => return Err(error),
            }
        }
        Err(BookError::Contended)
    }

    async fn read(&self) -> Result<Seen, BookError> {
        let object = self.requests.ledger(&self.namespace, LEDGER_NAME).await?;
        let seen = Seen { page: page(object.as_ref()), object: object.map(Arc::new) };
        *self.lock() = Some(seen.clone());
        Ok(seen)
    }

    async fn write(&self, page: &Page, before: Option<&DynamicObject>) -> Result<(), BookError> {
        let text = kills::to_json(&page.write());
        if text.len() > kills::LIMIT {
            return Err(BookError::TooLong { length: text.len() });
        }
        let mut object = before.cloned().unwrap_or_else(|| self.empty());
        if let Some(fields) = object.data.as_object_mut() {
            fields.insert("data".to_owned(), json!({ (LEDGER_KEY): text }));
        }
        let written = self.requests.write_ledger(&object).await?;
        self.figures.ledger_written(text_length(&written), page.ledger.open.len());
        *self.lock() = Some(Seen { object: Some(Arc::new(written)), page: Ok(Arc::new(page.clone())) });
        Ok(())
    }

    fn empty(&self) -> DynamicObject {
        let mut object = DynamicObject::new(LEDGER_NAME, &kind::config_map()).within(&self.namespace);
        object.types = Some(TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() });
        object.labels_mut().insert(keeper_api::keys::MANAGED_BY.to_owned(), MANAGED_BY_KILLER.to_owned());
        object.data = json!({});
        object
    }

    /// What a watch shows. An older version than what was written here changes nothing.
    fn shown(&self, object: DynamicObject) {
        let mut latest = self.lock();
        let version =
            |object: &DynamicObject| object.resource_version().and_then(|version| version.parse::<u64>().ok());
        let known = latest.as_ref().and_then(|seen| seen.object.as_deref()).and_then(version);
        let older = matches!((version(&object), known), (Some(shown), Some(known)) if shown <= known);
        if !older {
            *latest = Some(Seen { page: page(Some(&object)), object: Some(Arc::new(object)) });
        }
    }

    /// Should it be there again already, the next write is refused, and reads it.
    fn shown_gone(&self) {
        *self.lock() = Some(Seen::nothing());
    }

    /// A list has ended: where nothing was shown, there is no ledger yet.
    fn listed(&self) {
        self.lock().get_or_insert_with(Seen::nothing);
    }

    fn unreadable(&self, why: Arc<str>) -> BookError {
        BookError::Unreadable { namespace: self.namespace.clone(), why }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Seen>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn page(object: Option<&DynamicObject>) -> Result<Arc<Page>, Arc<str>> {
    let Some(object) = object else { return Ok(Arc::default()) };
    read_page(object).map(Arc::new).map_err(|error| Arc::from(error.to_string().as_str()))
}

/// The ledger that a ConfigMap holds.
pub(super) fn read_page(object: &DynamicObject) -> Result<Page, LedgerError> {
    let text = object.data.get("data").and_then(|data| data.get(LEDGER_KEY)).and_then(serde_json::Value::as_str);
    kills::from_json(text.unwrap_or_default()).map(Page::read)
}

fn text_length(object: &DynamicObject) -> usize {
    object.data.get("data").and_then(|data| data.get(LEDGER_KEY)).and_then(|text| text.as_str()).map_or(0, str::len)
}

impl BookError {
    /// The whole of it as one line.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Cluster(error) => said(error),
            other => other.to_string(),
        }
    }
}
