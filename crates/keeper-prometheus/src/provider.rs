use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// A Prometheus server, or what speaks its HTTP API (Thanos, Mimir, VictoriaMetrics), under a name.
///
/// The operator's owner defines it; whoever writes a check can only name it, so that no check sends a credential to an
/// address of its author's choice. As YAML:
///
/// ```
/// # let yaml = r#"
/// name: main
/// url: https://prometheus.monitoring.svc:9090/prefix
/// bearerTokenFile: /var/run/secrets/prometheus/token
/// tls:
///   caFile: /etc/prometheus-ca/ca.crt
/// headers:
///   X-Scope-OrgID: shop
/// # "#;
/// # let provider: keeper_prometheus::Provider = serde_saphyr::from_str(yaml)?;
/// # assert_eq!(provider.check(), Ok(()));
/// # Ok::<(), serde_saphyr::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// The name by which checks ask for it: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Where its API is, without `/api/v1`: `http` or `https`, with a path prefix if it has one, without user, query and
    /// fragment.
    pub url: String,
    /// A file that holds a bearer token.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// Basic authentication; not beside a bearer token.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// Certificates, for `https` alone.
    #[serde(default)]
    pub tls: TlsFiles,
    /// More headers to send, such as a tenant's `X-Scope-OrgID`. No secrets: they are not kept out of logs.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How long a whole answer may take; 4 s, which is below the 5 s between two looks.
    #[serde(default = "timeout", with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub timeout: Duration,
    /// The labels by which series name their pod, tried in this order until one is found.
    #[serde(default = "pod_labels")]
    pub pod_labels: Vec<PodLabels>,
}

/// A user and the file of its password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// The user, without a colon.
    pub username: String,
    /// The file that holds the password.
    pub password_file: PathBuf,
}

/// Files in PEM. All are read again whenever they are needed, so that a rotated certificate counts at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate authorities to trust, instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The client certificate, with its chain.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// The client certificate's key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

/// The labels that name a pod together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodLabels {
    /// The label with the pod's name.
    pub pod: String,
    /// The label with its namespace. Pods of the same name in two namespaces are told apart by it alone.
    pub namespace: String,
}

/// Why a provider can't be used. The texts name the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// Not a name.
    #[error("name must be 1 to 63 letters, digits, `-`, `_` or `.`")]
    Name,
    /// Not an address.
    #[error("url must be http:// or https:// with a host, without user, query and fragment")]
    Url,
    /// Two ways to authenticate.
    #[error("bearerTokenFile and basicAuth exclude each other: keep one")]
    TwoCredentials,
    /// Not a user.
    #[error("basicAuth.username must be neither empty nor contain a colon")]
    Username,
    /// A certificate without its key, or the other way round.
    #[error("tls.certFile and tls.keyFile belong together: give both or none")]
    HalfCertificate,
    /// Certificates for plain HTTP.
    #[error("tls needs an https:// url")]
    TlsWithoutHttps,
    /// Not a header.
    #[error("headers.{0} is no header that can be sent, or one that is set from elsewhere")]
    Header(String),
    /// No time.
    #[error("timeout must be longer than zero and at most 1m")]
    Timeout,
    /// No label.
    #[error("podLabels must be 1 to 8 pairs of names of labels, such as pod: pod, namespace: namespace")]
    PodLabels,
}

impl Provider {
    /// A provider without credentials, everything else at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            bearer_token_file: None,
            basic_auth: None,
            tls: TlsFiles::default(),
            headers: BTreeMap::new(),
            timeout: timeout(),
            pod_labels: pod_labels(),
        }
    }

    /// Whether it can be used at all. Files are not read.
    ///
    /// # Errors
    ///
    /// Naming the first field that can't.
    pub fn check(&self) -> Result<(), ProviderError> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=63).contains(&self.name.len()) || !self.name.chars().all(is_word) {
            return Err(ProviderError::Name);
        }
        let url = self.parsed_url()?;
        if self.bearer_token_file.is_some() && self.basic_auth.is_some() {
            return Err(ProviderError::TwoCredentials);
        }
        if self.basic_auth.as_ref().is_some_and(|basic| basic.username.is_empty() || basic.username.contains(':')) {
            return Err(ProviderError::Username);
        }
        let TlsFiles { ca_file, cert_file, key_file } = &self.tls;
        if cert_file.is_some() != key_file.is_some() {
            return Err(ProviderError::HalfCertificate);
        }
        if url.scheme() != "https" && (ca_file.is_some() || cert_file.is_some()) {
            return Err(ProviderError::TlsWithoutHttps);
        }
        self.header_map()?;
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(60) {
            return Err(ProviderError::Timeout);
        }
        let labels = || self.pod_labels.iter().flat_map(|labels| [&labels.pod, &labels.namespace]);
        if !(1..=8).contains(&self.pod_labels.len()) || !labels().all(|label| is_label_name(label)) {
            return Err(ProviderError::PodLabels);
        }
        Ok(())
    }

    pub(crate) fn parsed_url(&self) -> Result<Url, ProviderError> {
        let url = Url::parse(&self.url).map_err(|_| ProviderError::Url)?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && matches!(url.scheme(), "http" | "https");
        if plain && url.has_host() { Ok(url) } else { Err(ProviderError::Url) }
    }

    pub(crate) fn header_map(&self) -> Result<http::HeaderMap, ProviderError> {
        let ours = [http::header::AUTHORIZATION, http::header::HOST, http::header::CONTENT_TYPE];
        self.headers
            .iter()
            .map(|(name, value)| {
                let wrong = || ProviderError::Header(name.clone());
                let header = http::HeaderName::try_from(name).map_err(|_| wrong())?;
                let value = http::HeaderValue::try_from(value).map_err(|_| wrong())?;
                if ours.contains(&header) { Err(wrong()) } else { Ok((header, value)) }
            })
            .collect()
    }
}

impl PodLabels {
    fn new(pod: &str, namespace: &str) -> Self {
        Self { pod: pod.into(), namespace: namespace.into() }
    }
}

/// Without the values of headers.
impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("url", &self.url)
            .field("bearer_token_file", &self.bearer_token_file)
            .field("basic_auth", &self.basic_auth)
            .field("tls", &self.tls)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("pod_labels", &self.pod_labels)
            .finish()
    }
}

fn timeout() -> Duration {
    Duration::from_secs(4)
}

fn pod_labels() -> Vec<PodLabels> {
    vec![
        PodLabels::new("pod", "namespace"),
        PodLabels::new("pod_name", "namespace"),
        PodLabels::new("kubernetes_pod_name", "kubernetes_namespace"),
        PodLabels::new("exported_pod", "exported_namespace"),
    ]
}

pub(crate) fn is_label_name(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Provider)) -> Result<(), ProviderError> {
        let mut provider = Provider::new("main", "https://prometheus:9090");
        change(&mut provider);
        provider.check()
    }

    #[test]
    fn what_cannot_work_is_refused_by_field() {
        assert_eq!(with(|_| ()), Ok(()));
        for name in ["", "a b", "a/b", &"a".repeat(64)] {
            assert_eq!(with(|p| p.name = name.into()), Err(ProviderError::Name), "{name}");
        }
        for url in ["", "prometheus:9090", "ftp://a", "http://u:p@a", "http://a?b=c", "http://a#b", "http://"] {
            assert_eq!(with(|p| p.url = url.into()), Err(ProviderError::Url), "{url}");
        }
        let basic = |username: &str| Some(BasicAuth { username: username.into(), password_file: "p".into() });
        let two = with(|p| (p.bearer_token_file, p.basic_auth) = (Some("t".into()), basic("me")));
        assert_eq!(two, Err(ProviderError::TwoCredentials));
        assert_eq!(with(|p| p.basic_auth = basic("m:e")), Err(ProviderError::Username));
        assert_eq!(with(|p| p.tls.cert_file = Some("c".into())), Err(ProviderError::HalfCertificate));
        let plain = with(|p| (p.url, p.tls.ca_file) = ("http://a".into(), Some("c".into())));
        assert_eq!(plain, Err(ProviderError::TlsWithoutHttps));
        for (name, value) in [("Authorization", "x"), ("a b", "x"), ("x-a", "line\nbreak")] {
            let refused = with(|p| drop(p.headers.insert(name.into(), value.into())));
            assert_eq!(refused, Err(ProviderError::Header(name.into())));
        }
        assert_eq!(with(|p| p.timeout = Duration::ZERO), Err(ProviderError::Timeout));
        assert_eq!(with(|p| p.pod_labels.clear()), Err(ProviderError::PodLabels));
        assert_eq!(with(|p| p.pod_labels = vec![PodLabels::new("a-b", "n")]), Err(ProviderError::PodLabels));
    }
}
