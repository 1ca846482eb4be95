//! [`RegistryConfig`]: what the operator's owner decides about talking to registries.

use std::time::Duration;

use crate::repository::split_port;

/// How a [`RegistryClient`](super::RegistryClient) talks to registries. Start from [`Default`] and change fields.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Hosts spoken to over plain HTTP, as `host` (any port) or `host:port`. Only these may be on loopback or
    /// link-local addresses. Empty by default.
    pub insecure_hosts: Vec<String>,
    /// Pairs of registry host and token service host, both without port: the token service may receive the registry's
    /// credentials. Not needed where one host is the other's subdomain, nor for Docker Hub. Empty by default.
    pub token_hosts: Vec<(String, String)>,
    /// Certificates in PEM form, trusted beside the system's. Empty by default.
    pub extra_roots_pem: Vec<u8>,
    /// The time one request may take, body included. 10 s by default.
    pub request_timeout: Duration,
    /// The time one answer may take, with the token it needs and after waiting for its turn. 30 s by default.
    pub total_timeout: Duration,
    /// How many answers may be awaited from one host at once. 4 by default.
    pub in_flight_per_host: usize,
    /// What we call ourselves. `canary-keeper/<version>` by default.
    pub user_agent: String,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            insecure_hosts: Vec::new(),
            token_hosts: Vec::new(),
            extra_roots_pem: Vec::new(),
            request_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
            in_flight_per_host: 4,
            user_agent: concat!("canary-keeper/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl RegistryConfig {
    /// Whether this `host[:port]` is spoken to over plain HTTP.
    pub(crate) fn is_insecure(&self, host: &str) -> bool {
        let (name, _) = split_port(host);
        self.insecure_hosts.iter().any(|listed| listed.eq_ignore_ascii_case(host) || listed.eq_ignore_ascii_case(name))
    }

    /// Whether the token service at `realm` may receive the credentials of `registry`; both without port.
    ///
    /// A registry names its token service itself, so one that was taken over could name any host. Hosts that differ in
    /// more than a subdomain are the owner's to pair.
    pub(crate) fn may_receive(&self, registry: &str, realm: &str) -> bool {
        let docker_hub = |host: &str| host == "docker.io" || host.ends_with(".docker.io");
        registry.eq_ignore_ascii_case(realm)
            || is_subdomain(registry, realm)
            || is_subdomain(realm, registry)
            || (docker_hub(registry) && docker_hub(realm))
            || self
                .token_hosts
                .iter()
                .any(|(from, to)| from.eq_ignore_ascii_case(registry) && to.eq_ignore_ascii_case(realm))
    }
}

/// Whether `host` lies under `parent`, where the parent is a name of at least two parts and not an address.
fn is_subdomain(host: &str, parent: &str) -> bool {
    let names = parent.contains('.') && !parent.ends_with(|c: char| c.is_ascii_digit() || c == ']');
    names && host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

/// Why a [`RegistryClient`](super::RegistryClient) can't be made. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The extra certificates can't be read, or there are none in what was given.
    #[error("the extra root certificates are not PEM")]
    Roots(#[source] Option<reqwest::Error>),
    /// TLS or the HTTP client can't be set up: most often the system has no root certificates.
    #[error(
        "the HTTP client cannot be set up: install the system's root certificates (ca-certificates) or name others"
    )]
    Client(#[source] reqwest::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insecure_hosts_match_with_or_without_port() {
        let config = RegistryConfig {
            insecure_hosts: vec!["127.0.0.1".into(), "registry.local:5000".into(), "[::1]".into()],
            ..RegistryConfig::default()
        };
        assert!(config.is_insecure("127.0.0.1:1234") && config.is_insecure("127.0.0.1"));
        assert!(config.is_insecure("[::1]:5000") && config.is_insecure("[::1]"));
        assert!(config.is_insecure("Registry.Local:5000"));
        assert!(!config.is_insecure("registry.local") && !config.is_insecure("registry.local:5001"));
    }

    #[test]
    fn credentials_stay_in_the_family() {
        let config = RegistryConfig {
            token_hosts: vec![("registry.example".into(), "sso.other.example".into())],
            ..RegistryConfig::default()
        };
        assert!(config.may_receive("quay.io", "quay.io"));
        assert!(config.may_receive("quay.io", "auth.quay.io"));
        assert!(config.may_receive("registry.gitlab.com", "gitlab.com"));
        assert!(config.may_receive("registry-1.docker.io", "auth.docker.io"));
        assert!(config.may_receive("registry.example", "sso.other.example"));
        assert!(!config.may_receive("quay.io", "evil.io"));
        assert!(!config.may_receive("quay.io", "notquay.io"));
        assert!(!config.may_receive("quay.io", "io"));
        assert!(!config.may_receive("1.10.0.0.1", "10.0.0.1"));
        assert!(!config.may_receive("a.example.com", "b.example.com"));
        assert!(!config.may_receive("evil-docker.io", "auth.docker.io"));
    }
}
