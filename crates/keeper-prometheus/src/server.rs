//! Asking a Prometheus server, within bounds.

use crate::answer::{Answer, AnswerError};
use crate::provider::{Provider, ProviderError};
use jiff::Timestamp;
use keeper_http::{Endpoint, EndpointError, shortened};
use prometheus_http_query::Client as Api;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The most bytes of one answer: 8 MiB.
pub const ANSWER_LIMIT: usize = 8 << 20;

/// A Prometheus server that can be asked: a [`Provider`] with its connections, bounded as an [`Endpoint`] is.
pub struct Server {
    provider: Provider,
    endpoint: Endpoint,
}

/// The servers that checks may name.
#[derive(Clone, Debug, Default)]
pub struct Servers(BTreeMap<String, Arc<Server>>);

/// Why a server gave no answer to judge by. All of it may be different at the next look. The texts hold no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// No whole answer in time.
    #[error("Prometheus {name} {source}")]
    Endpoint {
        /// The provider.
        name: String,
        /// Why.
        source: EndpointError,
    },
    /// An answer that is none to judge by.
    #[error("Prometheus {name} {source}")]
    Answer {
        /// The provider.
        name: String,
        /// What is wrong with it.
        source: AnswerError,
    },
}

/// Why servers can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServersError {
    /// What a provider says can't work.
    #[error("Prometheus provider {name}: {source}")]
    Provider {
        /// Its name.
        name: String,
        /// The field and what is wrong with it.
        source: ProviderError,
    },
    /// One of its files can't be used now.
    #[error(transparent)]
    File(#[from] QueryError),
    /// The same name twice.
    #[error("there are two Prometheus providers with the name {0}")]
    Twice(String),
}

impl Server {
    /// A server, not asked yet.
    ///
    /// # Errors
    ///
    /// When the provider can't work, naming the field.
    pub fn new(provider: Provider) -> Result<Self, ProviderError> {
        provider.check()?;
        let endpoint = Endpoint::new(provider.endpoint())?;
        Ok(Self { provider, endpoint })
    }

    /// How it was defined.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Whether its files can be read and used now: to be asked when a program starts.
    ///
    /// # Errors
    ///
    /// Naming the file.
    pub fn check_files(&self) -> Result<(), QueryError> {
        self.endpoint.check_files().map_err(|source| self.unanswered(source))
    }

    /// The value of an expression at this instant.
    ///
    /// # Errors
    ///
    /// When there is no whole answer in time. An answer with warnings is none of these: see [`Answer::into_complete`].
    pub async fn query(&self, promql: &str, at: Timestamp) -> Result<Answer, QueryError> {
        let answered = self.endpoint.in_time(self.ask(promql, at)).await;
        let (status, body) = answered.map_err(|source| self.unanswered(source))?;
        Answer::read(status, &body).map_err(|source| self.answered(source))
    }

    async fn ask(&self, promql: &str, at: Timestamp) -> Result<(u16, Vec<u8>), EndpointError> {
        let millis = i64::try_from(self.provider.timeout.as_millis()).unwrap_or(i64::MAX);
        let not_sent = |error| Endpoint::not_sent(&error);
        let api = Api::from(self.endpoint.client()?, &self.provider.url).map_err(not_sent)?;
        let mut query = api.query(promql).query("time", seconds(at)).timeout(millis);
        for (name, value) in &self.endpoint.headers()? {
            query = query.header(name, value.clone());
        }
        // Raw, since the parsed form knows no warnings; by POST, since an address has a limit.
        let response = query.post_raw().await.map_err(not_sent)?;
        let status = response.status().as_u16();
        Ok((status, Endpoint::body(response, ANSWER_LIMIT).await?))
    }

    /// In the words of [`QueryError`].
    pub(crate) fn says(&self, error: &AnswerError) -> String {
        self.answered(error.clone()).to_string()
    }

    fn answered(&self, source: AnswerError) -> QueryError {
        QueryError::Answer { name: self.provider.name.clone(), source }
    }

    fn unanswered(&self, source: EndpointError) -> QueryError {
        QueryError::Endpoint { name: self.provider.name.clone(), source }
    }
}

impl Servers {
    /// Servers under their providers' names.
    ///
    /// # Errors
    ///
    /// When a provider can't work, one of its files can't be used now, or two have the same name.
    pub fn new(providers: impl IntoIterator<Item = Provider>) -> Result<Self, ServersError> {
        let mut servers = BTreeMap::new();
        for provider in providers {
            let name = provider.name.clone();
            let server =
                Server::new(provider).map_err(|source| ServersError::Provider { name: name.clone(), source })?;
            server.check_files()?;
            if servers.insert(name.clone(), Arc::new(server)).is_some() {
                return Err(ServersError::Twice(name));
            }
        }
        Ok(Self(servers))
    }

    /// The server of this name; without a name, the only one there is or the one named `default`.
    ///
    /// # Errors
    ///
    /// In words for whoever wrote the check.
    pub fn get(&self, name: Option<&str>) -> Result<Arc<Server>, String> {
        let names = || self.names().collect::<Vec<_>>().join(", ");
        let only = self.0.values().next().filter(|_| self.0.len() == 1);
        match name {
            _ if self.0.is_empty() => Err("provider: this operator was given no Prometheus to ask".into()),
            Some(name) => self.0.get(name).cloned().ok_or_else(|| {
                format!("provider: there is no Prometheus {}: write one of {}", shortened(name), names())
            }),
            None => only
                .or_else(|| self.0.get("default"))
                .cloned()
                .ok_or_else(|| format!("provider: there are several: write one of {}", names())),
        }
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// Seconds since 1970, to the millisecond, as the API takes them.
fn seconds(at: Timestamp) -> String {
    let millis = at.as_millisecond();
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}
