//! Asking a Prometheus server, within bounds.

use crate::answer::{Answer, AnswerError, shortened};
use crate::provider::{Provider, ProviderError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use jiff::Timestamp;
use prometheus_http_query::Client as Api;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The most bytes of one answer: 8 MiB.
pub const ANSWER_LIMIT: usize = 8 << 20;
/// The most bytes of a file with credentials or certificates.
const FILE_LIMIT: u64 = 1 << 20;
/// How many queries one server is asked at once.
const AT_ONCE: usize = 8;

/// A Prometheus server that can be asked: a [`Provider`] with its connections.
///
/// Files are read anew for every query. Redirects are not followed, and a proxy is used only where the environment names
/// one. The program must have installed rustls' provider of cryptography before.
pub struct Server {
    provider: Provider,
    headers: HeaderMap,
    client: Mutex<Option<(Pem, Client)>>,
    turns: Semaphore,
}

/// The servers that checks may name.
#[derive(Clone, Debug, Default)]
pub struct Servers(BTreeMap<String, Arc<Server>>);

/// Why a server gave no answer to judge by. All of it may be different at the next look. The texts hold no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A file with credentials or certificates can't be used.
    #[error("Prometheus {name}: {}: {problem}", file.display())]
    File {
        /// The provider.
        name: String,
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing came back.
    #[error("Prometheus {name} can't be asked: {problem}")]
    Send {
        /// The provider.
        name: String,
        /// Why.
        problem: String,
    },
    /// No whole answer in time.
    #[error("Prometheus {name} did not answer within {timeout:?}")]
    TimedOut {
        /// The provider.
        name: String,
        /// The time it was given.
        timeout: Duration,
    },
    /// Too much.
    #[error("Prometheus {name}'s answer is longer than {ANSWER_LIMIT} bytes")]
    TooLarge {
        /// The provider.
        name: String,
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

/// What the client was made of.
#[derive(Clone, PartialEq, Eq, Default)]
struct Pem {
    ca: Option<Vec<u8>>,
    identity: Option<Vec<u8>>,
}

impl Server {
    /// A server, not asked yet.
    ///
    /// # Errors
    ///
    /// When the provider can't work, naming the field.
    pub fn new(provider: Provider) -> Result<Self, ProviderError> {
        provider.check()?;
        let headers = provider.header_map()?;
        Ok(Self { provider, headers, client: Mutex::default(), turns: Semaphore::new(AT_ONCE) })
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
        self.client()?;
        self.credentials().map(drop)
    }

    /// The value of an expression at this instant.
    ///
    /// # Errors
    ///
    /// When there is no whole answer in time. An answer with warnings is none of these: see [`Answer::into_complete`].
    pub async fn query(&self, promql: &str, at: Timestamp) -> Result<Answer, QueryError> {
        let timeout = self.provider.timeout;
        match tokio::time::timeout(timeout, self.ask(promql, at)).await {
            Ok(answered) => answered,
            Err(_) => Err(QueryError::TimedOut { name: self.name(), timeout }),
        }
    }

    async fn ask(&self, promql: &str, at: Timestamp) -> Result<Answer, QueryError> {
        // It is never closed.
        let _turn = self.turns.acquire().await;
        let millis = i64::try_from(self.provider.timeout.as_millis()).unwrap_or(i64::MAX);
        let api = Api::from(self.client()?, &self.provider.url).map_err(|error| self.not_sent(&error))?;
        let mut query = api.query(promql).query("time", seconds(at)).timeout(millis);
        for (name, value) in
            self.headers.iter().chain(self.credentials()?.as_ref().map(|value| (&AUTHORIZATION, value)))
        {
            query = query.header(name, value.clone());
        }
        // Raw, since the parsed form knows no warnings; by POST, since an address has a limit.
        let mut response = query.post_raw().await.map_err(|error| self.not_sent(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.not_sent(&error))? {
            if body.len().saturating_add(chunk.len()) > ANSWER_LIMIT {
                return Err(QueryError::TooLarge { name: self.name() });
            }
            body.extend_from_slice(&chunk);
        }
        Answer::read(response.status().as_u16(), &body).map_err(|source| self.answered(source))
    }

    /// In the words of [`QueryError`].
    pub(crate) fn says(&self, error: &AnswerError) -> String {
        self.answered(error.clone()).to_string()
    }

    fn answered(&self, source: AnswerError) -> QueryError {
        QueryError::Answer { name: self.name(), source }
    }

    /// A client that trusts and shows what the files say now.
    fn client(&self) -> Result<Client, QueryError> {
        let pem = self.pem()?;
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = kept.as_ref().filter(|(of, _)| *of == pem) {
            return Ok(client.clone());
        }
        let client = self.build(&pem)?;
        *kept = Some((pem, client.clone()));
        Ok(client)
    }

    fn build(&self, pem: &Pem) -> Result<Client, QueryError> {
        let tls = &self.provider.tls;
        let mut builder =
            Client::builder().user_agent(concat!("canary-keeper/", env!("CARGO_PKG_VERSION"))).redirect(Policy::none());
        if let (Some(file), Some(ca)) = (&tls.ca_file, &pem.ca) {
            let found = Certificate::from_pem_bundle(ca).map_err(|error| self.unusable(file, &causes(&error)))?;
            if found.is_empty() {
                return Err(self.unusable(file, "no certificate in it"));
            }
            builder = builder.tls_certs_only(found);
        } else if self.provider.url.starts_with("http:") {
            // The system's certificates need not be there for this.
            builder = builder.tls_certs_only([]);
        }
        if let (Some(file), Some(identity)) = (&tls.cert_file, &pem.identity) {
            let identity = Identity::from_pem(identity).map_err(|error| self.unusable(file, &causes(&error)))?;
            builder = builder.identity(identity);
        }
        builder.build().map_err(|error| self.not_sent(&error))
    }

    fn pem(&self) -> Result<Pem, QueryError> {
        let tls = &self.provider.tls;
        let ca = tls.ca_file.as_deref().map(|file| self.read(file)).transpose()?;
        let identity = match (&tls.cert_file, &tls.key_file) {
            (Some(cert), Some(key)) => {
                let mut both = self.read(cert)?;
                both.push(b'\n');
                both.extend(self.read(key)?);
                Some(both)
            }
            _ => None,
        };
        Ok(Pem { ca, identity })
    }

    fn credentials(&self) -> Result<Option<HeaderValue>, QueryError> {
        let (file, header) = if let Some(file) = &self.provider.bearer_token_file {
            (file, format!("Bearer {}", self.secret(file)?))
        } else if let Some(basic) = &self.provider.basic_auth {
            let pair = format!("{}:{}", basic.username, self.secret(&basic.password_file)?);
            (&basic.password_file, format!("Basic {}", STANDARD.encode(pair)))
        } else {
            return Ok(None);
        };
        let mut value = HeaderValue::try_from(header).map_err(|_| self.unusable(file, "not one line of text"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn secret(&self, file: &Path) -> Result<String, QueryError> {
        let text = String::from_utf8(self.read(file)?).map_err(|_| self.unusable(file, "not UTF-8"))?;
        let secret = text.trim();
        if secret.is_empty() { Err(self.unusable(file, "empty")) } else { Ok(secret.to_owned()) }
    }

    fn read(&self, file: &Path) -> Result<Vec<u8>, QueryError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            std::fs::File::open(file)?.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| self.unusable(file, &error.to_string()))?;
        if bytes.len() as u64 > FILE_LIMIT { Err(self.unusable(file, "larger than 1 MiB")) } else { Ok(bytes) }
    }

    fn unusable(&self, file: &Path, problem: &str) -> QueryError {
        QueryError::File { name: self.name(), file: file.to_owned(), problem: shortened(problem) }
    }

    fn not_sent(&self, error: &dyn std::error::Error) -> QueryError {
        QueryError::Send { name: self.name(), problem: shortened(&causes(error)) }
    }

    fn name(&self) -> String {
        self.provider.name.clone()
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

/// An error and what it came from: the outermost of reqwest's alone says next to nothing.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        let word = error.to_string();
        if words.last() != Some(&word) {
            words.push(word);
        }
        source = error.source();
    }
    words.join(": ")
}
