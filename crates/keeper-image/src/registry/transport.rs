//! One bounded HTTP exchange, with a guard on where it may go.

use std::collections::HashMap;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve as ResolveName, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, StatusCode};
use tokio::sync::Semaphore;
use url::{Host, Url};

use super::config::{ConfigError, RegistryConfig};
use super::error::ResolveError;
use super::retry_after::retry_after;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 3;
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many hosts' limits are remembered before unused ones are dropped.
const MAX_HOSTS: usize = 1024;

/// The HTTP clients: one for the hosts listed as insecure, one for the rest of the world.
pub(crate) struct Transport {
    listed: Client,
    /// Without the system's root certificates there is none; insecure hosts still work then.
    guarded: Result<Client, String>,
    config: Arc<RegistryConfig>,
    turns: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// An answer with its body read.
pub(crate) struct Exchange {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// `host[:port]` that answered in the end.
    pub(crate) answered_by: String,
}

impl Transport {
    pub(crate) fn new(config: Arc<RegistryConfig>) -> Result<Self, ConfigError> {
        // Listed hosts get plain HTTP: no certificates, and no proxy between us and the cluster's own network.
        let listed = builder(&config).tls_certs_only([]).no_proxy().build().map_err(ConfigError::Client)?;
        let extra = extra_roots(&config.extra_roots_pem)?;
        let guarded = builder(&config).tls_certs_merge(extra).dns_resolver(OutsideNames).build();
        let guarded = match guarded {
            Ok(client) => Ok(client),
            Err(error) if config.insecure_hosts.is_empty() => return Err(ConfigError::Client(error)),
            Err(error) => Err(reasons(&error)),
        };
        Ok(Self { listed, guarded, config, turns: Mutex::default() })
    }

    /// The scheme this `host[:port]` is spoken to with.
    pub(crate) fn scheme(&self, host: &str) -> &'static str {
        if self.config.is_insecure(host) { "http" } else { "https" }
    }

    /// The turnstile of this host.
    pub(crate) fn turns(&self, host: &str) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= MAX_HOSTS {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        let limit = self.config.in_flight_per_host.clamp(1, 1024);
        Arc::clone(turns.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(limit))))
    }

    /// Sends a request and reads at most `limit` bytes of its answer. Bodies of error answers are not read.
    pub(crate) async fn exchange(
        &self,
        url: &Url,
        limit: usize,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<Exchange, ResolveError> {
        let host = authority(url);
        let client = self.client(url, &host)?;
        let mut response = request(client).send().await.map_err(|error| failed(&host, error))?;
        let mut body = Vec::new();
        while response.status().is_success() {
            let Some(chunk) = response.chunk().await.map_err(|error| failed(&host, error))? else {
                break;
            };
            if body.len() + chunk.len() > limit {
                return Err(ResolveError::garbage(&host, format!("the answer is longer than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Exchange {
            status: response.status(),
            answered_by: authority(response.url()),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }

    fn client(&self, url: &Url, host: &str) -> Result<&Client, ResolveError> {
        check_destination(url, &self.config).map_err(|what| ResolveError::garbage(host, what))?;
        if self.config.is_insecure(host) {
            return Ok(&self.listed);
        }
        self.guarded.as_ref().map_err(|why| ResolveError::unavailable(host, format!("TLS is not set up: {why}")))
    }
}

impl Exchange {
    pub(crate) fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The error that an answer stands for whose status means the same at every kind of service: 429 and 5xx.
    pub(crate) fn check_pressure(&self) -> Result<(), ResolveError> {
        let host = self.answered_by.clone();
        let retry_after = self.header(RETRY_AFTER).and_then(|value| retry_after(value, Timestamp::now()));
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(ResolveError::RateLimited { host, retry_after });
        }
        if self.status.is_server_error() || self.status == StatusCode::REQUEST_TIMEOUT {
            return Err(ResolveError::Unavailable {
                host,
                what: format!("it answered {}", self.status.as_u16()),
                retry_after,
                source: None,
            });
        }
        Ok(())
    }
}

fn extra_roots(pem: &[u8]) -> Result<Vec<Certificate>, ConfigError> {
    let found = Certificate::from_pem_bundle(pem).map_err(|error| ConfigError::Roots(Some(error)))?;
    // Text without any certificate in it reads as an empty bundle.
    if found.is_empty() && !pem.iter().all(u8::is_ascii_whitespace) {
        return Err(ConfigError::Roots(None));
    }
    Ok(found)
}

fn builder(config: &Arc<RegistryConfig>) -> ClientBuilder {
    let for_redirects = Arc::clone(config);
    Client::builder()
        .user_agent(config.user_agent.as_str())
        .connect_timeout(CONNECT_TIMEOUT.min(config.request_timeout))
        .timeout(config.request_timeout)
        .redirect(Policy::custom(move |attempt| redirect(attempt, &for_redirects)))
}

/// Follows few redirects, and only to where we would have gone by ourselves. reqwest itself leaves `Authorization`
/// behind when host, port or scheme change.
fn redirect(attempt: Attempt<'_>, config: &RegistryConfig) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("it redirects too often");
    }
    // The client was chosen for the first host: one without guard must not be led outside, nor the other way round.
    let first_listed = attempt.previous().first().is_some_and(|url| config.is_insecure(&authority(url)));
    if first_listed != config.is_insecure(&authority(attempt.url())) {
        return attempt.error("it redirects between a host listed as insecure and one that is not");
    }
    match check_destination(attempt.url(), config) {
        Ok(()) => attempt.follow(),
        Err(what) => attempt.error(what),
    }
}

/// Plain HTTP only to hosts listed as insecure, and addresses of the machine itself only to those.
fn check_destination(url: &Url, config: &RegistryConfig) -> Result<(), String> {
    let host = authority(url);
    if config.is_insecure(&host) {
        return Ok(());
    }
    if url.scheme() != "https" {
        return Err(format!("{host} would be asked over plain {}, and is not listed as insecure", url.scheme()));
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) | None => None,
    };
    match address {
        Some(address) if is_inside(address) => Err(format!("{host} is an address of this machine or of its link")),
        _ => Ok(()),
    }
}

/// `host[:port]` of a URL, brackets kept.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Loopback, link-local (where clouds serve metadata) and unspecified addresses.
fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            // The one metadata address of a cloud that is not link-local.
            let metadata = std::net::Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6 == metadata
        }
    }
}

/// The system's name lookup without the addresses that a name given by a stranger must not lead to.
struct OutsideNames;

impl ResolveName for OutsideNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let outside: Vec<SocketAddr> = found.into_iter().filter(|at| !is_inside(at.ip())).collect();
            if outside.is_empty() {
                return Err(format!("{} leads to this machine or to its link only", name.as_str()).into());
            }
            Ok(Box::new(outside.into_iter()) as Addrs)
        })
    }
}

/// What went wrong below HTTP. The URL is left out: token requests carry account names in it.
fn failed(host: &str, error: reqwest::Error) -> ResolveError {
    let error = error.without_url();
    if error.is_redirect() {
        return ResolveError::garbage(host, format!("it redirects where we don't follow: {}", reasons(&error)));
    }
    let what = if error.is_timeout() {
        "it did not answer in time".to_owned()
    } else if error.is_connect() {
        format!("connecting failed: {}", reasons(&error))
    } else {
        format!("the exchange broke off: {}", reasons(&error))
    };
    ResolveError::Unavailable { host: host.to_owned(), what, retry_after: None, source: Some(Box::new(error)) }
}

/// The innermost cause, which is the one that tells.
fn reasons(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_machine_are_told_apart() {
        for inside in ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1", "::ffff:127.0.0.1", "fd00:ec2::254"]
        {
            assert!(is_inside(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd00::1"] {
            assert!(!is_inside(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn roots_that_are_none_are_an_error() {
        assert!(extra_roots(b" \n").unwrap().is_empty());
        assert!(matches!(extra_roots(b"not PEM"), Err(ConfigError::Roots(_))));
    }

    #[test]
    fn only_listed_hosts_get_plain_http() {
        let config = RegistryConfig { insecure_hosts: vec!["127.0.0.1:5000".into()], ..RegistryConfig::default() };
        let may = |url: &str| check_destination(&url.parse().unwrap(), &config).is_ok();
        assert!(may("http://127.0.0.1:5000/v2/") && may("https://quay.io/v2/") && may("https://10.0.0.1/v2/"));
        assert!(!may("http://quay.io/v2/") && !may("https://127.0.0.1/v2/") && !may("https://[::1]/v2/"));
        assert!(!may("https://169.254.169.254/latest") && !may("ftp://quay.io/") && !may("https://2130706433/"));
    }
}
