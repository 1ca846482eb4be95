//! [`RegistryClient`]: asks registries, one bounded question at a time.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use super::auth::Authority;
use super::challenge::challenges;
use super::config::{ConfigError, RegistryConfig};
use super::credentials::{Credential, Credentials};
use super::error::ResolveError;
use super::resolve::{BoxFuture, MediaType, Resolve, Resolved};
use super::transport::{Exchange, Transport};
use crate::digest::Digest;
use crate::reference::Reference;

/// The header that says what a manifest's digest is.
const CONTENT_DIGEST: &str = "docker-content-digest";
/// The largest manifest read, as registries limit it.
const MAX_MANIFEST: usize = 4 * 1024 * 1024;
/// How many accounts are tried for one image.
const MAX_ACCOUNTS: usize = 4;
/// How many digests' equivalents are remembered.
const MAX_EQUIVALENTS: usize = 4096;

/// Resolves references at their registries over HTTP.
///
/// The digest comes from a HEAD request, which is free of pull quotas. Where a registry leaves the digest out, the
/// manifest is fetched and hashed. Tokens are fetched and kept as needed, accounts come from [`Credentials`], and every
/// answer is bounded in size and time. Nothing is tried twice here except for a token that turned out to be stale:
/// when to ask again is the caller's decision ([`TagWatcher`](super::TagWatcher)).
///
/// Clones share connections, tokens and limits. A rustls provider must be installed before the first one is made.
///
/// ```no_run
/// use keeper_image::{RegistryClient, RegistryConfig, Resolve};
///
/// # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
/// let client = RegistryClient::new(RegistryConfig {
///     insecure_hosts: vec!["127.0.0.1:5000".into()],
///     ..RegistryConfig::default()
/// })?;
/// let resolved = client.resolve(&"127.0.0.1:5000/team/app:stable".parse()?).await?;
/// println!("{}", resolved.digest);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RegistryClient {
    shared: Arc<Shared>,
    credentials: Arc<Credentials>,
}

struct Shared {
    config: Arc<RegistryConfig>,
    transport: Transport,
    authority: Authority,
    equivalents: Mutex<HashMap<Digest, BTreeSet<Digest>>>,
}

impl RegistryClient {
    /// A client without accounts.
    ///
    /// # Errors
    ///
    /// When extra certificates can't be read or TLS can't be set up. Trying again does not help.
    pub fn new(config: RegistryConfig) -> Result<Self, ConfigError> {
        let config = Arc::new(config);
        Ok(Self {
            shared: Arc::new(Shared {
                transport: Transport::new(Arc::clone(&config))?,
                authority: Authority::new(Arc::clone(&config)),
                config,
                equivalents: Mutex::default(),
            }),
            credentials: Arc::default(),
        })
    }

    /// The same client with these accounts in place of its own; connections, tokens and limits stay shared.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        Self { shared: Arc::clone(&self.shared), credentials: Arc::new(credentials) }
    }

    async fn look(&self, image: &Reference) -> Result<Resolved, ResolveError> {
        let manifest = image.manifest();
        let head = self.ask(Method::HEAD, image, &manifest).await?;
        let resolved = match head.status {
            // Some registries know no HEAD.
            StatusCode::METHOD_NOT_ALLOWED => None,
            _ => {
                check_found(image, &head)?;
                read_head(&head, image.digest())?
            }
        };
        match resolved {
            Some(resolved) => Ok(resolved),
            None => Ok(self.fetch(image, &manifest).await?.resolved),
        }
    }

    async fn family(&self, image: &Reference, digest: &Digest) -> Result<BTreeSet<Digest>, ResolveError> {
        if let Some(known) = self.known(digest) {
            return Ok(known);
        }
        let fetched = self.fetch(&image.with_digest(digest.clone()), &digest.to_string()).await?;
        let mut family = BTreeSet::from([digest.clone()]);
        family.extend(fetched.children);
        let mut known = self.shared.equivalents.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_EQUIVALENTS {
            known.clear();
        }
        known.insert(digest.clone(), family.clone());
        Ok(family)
    }

    fn known(&self, digest: &Digest) -> Option<BTreeSet<Digest>> {
        let known = self.shared.equivalents.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).cloned()
    }

    /// GETs a manifest and checks its bytes against every digest that was claimed for them.
    async fn fetch(&self, image: &Reference, manifest: &str) -> Result<Fetched, ResolveError> {
        let answer = self.ask(Method::GET, image, manifest).await?;
        check_found(image, &answer)?;
        read_manifest(&answer, image.digest())
    }

    /// One question, with each account that may know the answer in turn.
    async fn ask(&self, method: Method, image: &Reference, manifest: &str) -> Result<Exchange, ResolveError> {
        let accounts: Vec<&Credential> = self.credentials.matching(image.repository()).take(MAX_ACCOUNTS).collect();
        let Some((last, others)) = accounts.split_last() else {
            return self.ask_as(method, image, manifest, None).await;
        };
        for account in others {
            match self.ask_as(method.clone(), image, manifest, Some(account)).await {
                Err(ResolveError::Denied { .. }) => {}
                answer => return answer,
            }
        }
        self.ask_as(method, image, manifest, Some(last)).await
    }

    /// One question as one account: at once, and once more with what the registry then asks for.
    async fn ask_as(
        &self,
        method: Method,
        image: &Reference,
        manifest: &str,
        account: Option<&Credential>,
    ) -> Result<Exchange, ResolveError> {
        let Shared { authority, transport, .. } = &*self.shared;
        let host = image.repository().api_host();
        let header = authority.at_hand(image, account);
        let first = self.send(method.clone(), image, manifest, header).await?;
        if first.status != StatusCode::UNAUTHORIZED {
            return checked(image, first);
        }
        if first.answered_by != host {
            let why = format!("it redirects to {}, which asks for credentials of its own", first.answered_by);
            return Err(ResolveError::denied(image, host, why));
        }
        let lines = first.headers.get_all(WWW_AUTHENTICATE).iter();
        let asked = challenges(lines.filter_map(|line| line.to_str().ok()));
        let header = authority.answer(transport, image, asked, account).await?;
        let second = self.send(method, image, manifest, Some(header)).await?;
        checked(image, second)
    }

    async fn send(
        &self,
        method: Method,
        image: &Reference,
        manifest: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Exchange, ResolveError> {
        let Shared { transport, .. } = &*self.shared;
        let (host, path) = (image.repository().api_host(), image.repository().path());
        let address = format!("{}://{host}/v2/{path}/manifests/{manifest}", transport.scheme(host));
        let url: Url = address.parse().map_err(|_| ResolveError::garbage(host, "its name does not make a URL"))?;
        let accept = MediaType::ALL.map(MediaType::as_str).join(", ");
        tracing::debug!(%method, image = %image, authorized = authorization.is_some(), "asking the registry");
        transport
            .exchange(&url, MAX_MANIFEST, |client| {
                let request = client.request(method, url.clone()).header(ACCEPT, accept);
                match authorization {
                    Some(header) => request.header(AUTHORIZATION, header),
                    None => request,
                }
            })
            .await
    }

    /// Waits for a turn at the image's host, then gives the work its time.
    async fn in_turn<T>(
        &self,
        image: &Reference,
        work: impl Future<Output = Result<T, ResolveError>>,
    ) -> Result<T, ResolveError> {
        let host = image.repository().api_host();
        let turns = self.shared.transport.turns(host);
        let _turn = turns.acquire().await.map_err(|_| ResolveError::unavailable(host, "its turnstile is closed"))?;
        tokio::time::timeout(self.shared.config.total_timeout, work)
            .await
            .unwrap_or_else(|_| Err(ResolveError::unavailable(host, "it did not answer in time, tokens included")))
    }
}

impl Resolve for RegistryClient {
    fn resolve<'a>(&'a self, image: &'a Reference) -> BoxFuture<'a, Result<Resolved, ResolveError>> {
        Box::pin(self.in_turn(image, self.look(image)))
    }

    fn equivalents<'a>(
        &'a self,
        image: &'a Reference,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<BTreeSet<Digest>, ResolveError>> {
        Box::pin(async move {
            match self.known(digest) {
                Some(known) => Ok(known),
                None => self.in_turn(image, self.family(image, digest)).await,
            }
        })
    }
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryClient").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// A manifest as fetched: what it is, and the digests it lists.
struct Fetched {
    resolved: Resolved,
    children: Vec<Digest>,
}

/// Refusals and pressure as errors; everything else is for the reader of the answer.
fn checked(image: &Reference, answer: Exchange) -> Result<Exchange, ResolveError> {
    answer.check_pressure()?;
    if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        let why = format!("it answered {}", answer.status.as_u16());
        return Err(ResolveError::denied(image, &answer.answered_by, why));
    }
    Ok(answer)
}

/// 404 as an error, but only a registry's own: a gateway's page says nothing about the image.
fn check_found(image: &Reference, answer: &Exchange) -> Result<(), ResolveError> {
    let host = &answer.answered_by;
    match answer.status {
        StatusCode::OK => Ok(()),
        StatusCode::NOT_FOUND if !is_html(answer) => Err(ResolveError::not_found(image, host)),
        StatusCode::NOT_FOUND => Err(ResolveError::garbage(host, "it answered 404 with a web page")),
        status => Err(ResolveError::garbage(host, format!("it answered {}", status.as_u16()))),
    }
}

fn is_html(answer: &Exchange) -> bool {
    answer.header(CONTENT_TYPE).is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// The digest from a HEAD's headers; `None` when they don't say and the manifest has to be fetched.
fn read_head(head: &Exchange, asked: Option<&Digest>) -> Result<Option<Resolved>, ResolveError> {
    let media_type = content_type(head)?;
    let digest = content_digest(head)?;
    if let (Some(asked), Some(digest)) = (asked, &digest)
        && asked.algorithm() == digest.algorithm()
        && asked != digest
    {
        return Err(ResolveError::garbage(&head.answered_by, format!("asked for {asked} it names {digest}")));
    }
    Ok(media_type
        .zip(digest)
        .map(|(media_type, digest)| Resolved { digest: asked.cloned().unwrap_or(digest), media_type }))
}

/// The kind of manifest, if the answer says; anything that is none is an error.
fn content_type(answer: &Exchange) -> Result<Option<MediaType>, ResolveError> {
    let Some(value) = answer.header(CONTENT_TYPE) else {
        return Ok(None);
    };
    match MediaType::from_content_type(value) {
        Some(kind) => Ok(Some(kind)),
        None => Err(ResolveError::garbage(
            &answer.answered_by,
            format!("it answers with {} in place of a manifest", crate::quote::quote(value)),
        )),
    }
}

fn content_digest(answer: &Exchange) -> Result<Option<Digest>, ResolveError> {
    let Some(value) = answer.headers.get(CONTENT_DIGEST) else {
        return Ok(None);
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    value.parse().map(Some).map_err(|error| {
        ResolveError::garbage(&answer.answered_by, format!("its Docker-Content-Digest is wrong: {error}"))
    })
}

/// Reads a fetched manifest: its bytes must have the digest asked for and the digest claimed.
fn read_manifest(answer: &Exchange, asked: Option<&Digest>) -> Result<Fetched, ResolveError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest {
        schema_version: u32,
        media_type: Option<String>,
        #[serde(default)]
        manifests: Vec<Child>,
    }
    #[derive(Deserialize)]
    struct Child {
        digest: String,
    }
    let garbage = |what: String| ResolveError::garbage(&answer.answered_by, what);
    let claimed = content_digest(answer)?;
    for digest in [asked, claimed.as_ref()].into_iter().flatten() {
        if !digest.verifies(&answer.body) {
            return Err(garbage(format!("the manifest's content is not {digest}")));
        }
    }
    let manifest: Manifest = serde_json::from_slice(&answer.body).map_err(|error| {
        garbage(format!("the manifest is not one (line {}, column {})", error.line(), error.column()))
    })?;
    if manifest.schema_version != 2 {
        return Err(garbage(format!("the manifest has schema version {} and not 2", manifest.schema_version)));
    }
    let media_type = match content_type(answer)? {
        Some(media_type) => media_type,
        None => manifest
            .media_type
            .as_deref()
            .and_then(MediaType::from_content_type)
            .ok_or_else(|| garbage("neither header nor manifest says what kind it is".to_owned()))?,
    };
    let children = manifest.manifests.iter().filter_map(|child| child.digest.parse().ok()).collect();
    let digest = asked.cloned().or(claimed).unwrap_or_else(|| Digest::sha256_of(&answer.body));
    Ok(Fetched { resolved: Resolved { digest, media_type }, children })
}
