use crate::settings::{EndpointSettings, EndpointSettingsError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, Response};
use std::fmt;
use std::future::Future;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The most bytes of a file with credentials or certificates.
const FILE_LIMIT: u64 = 1 << 20;
/// How many requests are under way to one endpoint at once.
const AT_ONCE: usize = 8;
/// The most characters of a stranger's words that are repeated.
const WORDS: usize = 240;

/// An endpoint that can be asked.
///
/// Files are read anew for every request. Redirects are not followed, and a proxy is used only where the environment names
/// one. The program must have installed rustls' provider of cryptography before.
pub struct Endpoint {
    settings: EndpointSettings,
    headers: HeaderMap,
    client: Mutex<Option<(Pem, Client)>>,
    turns: Semaphore,
}

/// Why an endpoint gave no answer. All of it may be different at the next look. The texts follow the endpoint's name, and
/// hold no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// A file with credentials or certificates can't be used.
    #[error("has a file that can't be used: {}: {problem}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing came back.
    #[error("can't be asked: {problem}")]
    Send {
        /// Why.
        problem: String,
    },
    /// No whole answer in time.
    #[error("did not answer within {timeout:?}")]
    TimedOut {
        /// The time it was given.
        timeout: Duration,
    },
    /// Too much.
    #[error("answered more than {limit} bytes")]
    TooLarge {
        /// What would have been taken.
        limit: usize,
    },
}

/// What the client was made of.
#[derive(Clone, PartialEq, Eq, Default)]
struct Pem {
    ca: Option<Vec<u8>>,
    identity: Option<Vec<u8>>,
}

impl Endpoint {
    /// An endpoint, not asked yet.
    ///
    /// # Errors
    ///
    /// When the settings can't work, naming the field.
    pub fn new(settings: EndpointSettings) -> Result<Self, EndpointSettingsError> {
        settings.check()?;
        let headers = settings.header_map()?;
        Ok(Self { settings, headers, client: Mutex::default(), turns: Semaphore::new(AT_ONCE) })
    }

    /// How it was defined.
    #[must_use]
    pub fn settings(&self) -> &EndpointSettings {
        &self.settings
    }

    /// Whether its files can be read and used now: to be asked when a program starts.
    ///
    /// # Errors
    ///
    /// Naming the file.
    pub fn check_files(&self) -> Result<(), EndpointError> {
        self.client()?;
        self.credentials().map(drop)
    }

    /// What this comes to, when it is this endpoint's turn and if it is done within the endpoint's time-out.
    ///
    /// # Errors
    ///
    /// Its own, or that it took too long.
    pub async fn in_time<T, E: From<EndpointError>>(&self, asking: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let timeout = self.settings.timeout;
        let turn = async {
            // It is never closed.
            let _turn = self.turns.acquire().await;
            asking.await
        };
        let late = |_| E::from(EndpointError::TimedOut { timeout });
        tokio::time::timeout(timeout, turn).await.map_err(late)?
    }

    /// The headers of a request: those of the settings, and the credentials as they are now.
    ///
    /// # Errors
    ///
    /// Naming the file that can't be used.
    pub fn headers(&self) -> Result<HeaderMap, EndpointError> {
        let mut headers = self.headers.clone();
        headers.extend(self.credentials()?.map(|value| (AUTHORIZATION, value)));
        Ok(headers)
    }

    /// An answer's body, of at most this many bytes.
    ///
    /// # Errors
    ///
    /// When it is longer, or ends early.
    pub async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, EndpointError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Self::not_sent(&error))? {
            if body.len().saturating_add(chunk.len()) > limit {
                return Err(EndpointError::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// In the words of [`EndpointError`].
    pub fn not_sent(error: &dyn std::error::Error) -> EndpointError {
        EndpointError::Send { problem: shortened(&causes(error)) }
    }

    /// A client that trusts and shows what the files say now. Redirects are not followed; deadlines are the caller's.
    ///
    /// # Errors
    ///
    /// Naming the file that can't be used.
    pub fn client(&self) -> Result<Client, EndpointError> {
        let pem = self.pem()?;
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = kept.as_ref().filter(|(of, _)| *of == pem) {
            return Ok(client.clone());
        }
        let client = self.build(&pem)?;
        *kept = Some((pem, client.clone()));
        Ok(client)
    }

    fn build(&self, pem: &Pem) -> Result<Client, EndpointError> {
        let tls = &self.settings.tls;
        let mut builder =
            Client::builder().user_agent(concat!("canary-keeper/", env!("CARGO_PKG_VERSION"))).redirect(Policy::none());
        if let (Some(file), Some(ca)) = (&tls.ca_file, &pem.ca) {
            let found = Certificate::from_pem_bundle(ca).map_err(|error| Self::unusable(file, &causes(&error)))?;
            if found.is_empty() {
                return Err(Self::unusable(file, "no certificate in it"));
            }
            builder = builder.tls_certs_only(found);
        } else if self.settings.url.starts_with("http:") {
            // The system's certificates need not be there for this.
            builder = builder.tls_certs_only([]);
        }
        if let (Some(file), Some(identity)) = (&tls.cert_file, &pem.identity) {
            let identity = Identity::from_pem(identity).map_err(|error| Self::unusable(file, &causes(&error)))?;
            builder = builder.identity(identity);
        }
        builder.build().map_err(|error| Self::not_sent(&error))
    }

    fn pem(&self) -> Result<Pem, EndpointError> {
        let tls = &self.settings.tls;
        let ca = tls.ca_file.as_deref().map(Self::read).transpose()?;
        let identity = match (&tls.cert_file, &tls.key_file) {
            (Some(cert), Some(key)) => {
                let mut both = Self::read(cert)?;
                both.push(b'\n');
                both.extend(Self::read(key)?);
                Some(both)
            }
            _ => None,
        };
        Ok(Pem { ca, identity })
    }

    fn credentials(&self) -> Result<Option<HeaderValue>, EndpointError> {
        let (file, header) = if let Some(file) = &self.settings.bearer_token_file {
            (file, format!("Bearer {}", Self::secret(file)?))
        } else if let Some(basic) = &self.settings.basic_auth {
            let pair = format!("{}:{}", basic.username, Self::secret(&basic.password_file)?);
            (&basic.password_file, format!("Basic {}", STANDARD.encode(pair)))
        } else {
            return Ok(None);
        };
        let mut value = HeaderValue::try_from(header).map_err(|_| Self::unusable(file, "not one line of text"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn secret(file: &Path) -> Result<String, EndpointError> {
        let text = String::from_utf8(Self::read(file)?).map_err(|_| Self::unusable(file, "not UTF-8"))?;
        let secret = text.trim();
        if secret.is_empty() { Err(Self::unusable(file, "empty")) } else { Ok(secret.to_owned()) }
    }

    fn read(file: &Path) -> Result<Vec<u8>, EndpointError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            std::fs::File::open(file)?.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| Self::unusable(file, &error.to_string()))?;
        if bytes.len() as u64 > FILE_LIMIT { Err(Self::unusable(file, "larger than 1 MiB")) } else { Ok(bytes) }
    }

    fn unusable(file: &Path, problem: &str) -> EndpointError {
        EndpointError::File { file: file.to_owned(), problem: shortened(problem) }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A stranger's words, on one line and bounded.
#[must_use]
pub fn shortened(text: &str) -> String {
    let mut words: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect();
    if text.chars().nth(WORDS).is_some() {
        words.push_str("...");
    }
    words.trim().to_owned()
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
