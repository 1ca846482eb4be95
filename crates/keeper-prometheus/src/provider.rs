use keeper_http::{BasicAuth, EndpointSettings, EndpointSettingsError, TlsFiles};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
    /// What it shares with every endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointSettingsError),
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
        self.endpoint().check()?;
        let labels = || self.pod_labels.iter().flat_map(|labels| [&labels.pod, &labels.namespace]);
        if !(1..=8).contains(&self.pod_labels.len()) || !labels().all(|label| is_label_name(label)) {
            return Err(ProviderError::PodLabels);
        }
        Ok(())
    }

    /// What it shares with every endpoint.
    pub(crate) fn endpoint(&self) -> EndpointSettings {
        let Self { name, url, bearer_token_file, basic_auth, tls, headers, timeout, pod_labels: _ } = self.clone();
        EndpointSettings { name, url, bearer_token_file, basic_auth, tls, headers, timeout }
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
        f.debug_struct("Provider").field("endpoint", &self.endpoint()).field("pod_labels", &self.pod_labels).finish()
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
        assert_eq!(with(|p| p.name = "a b".into()), Err(ProviderError::Endpoint(EndpointSettingsError::Name)));
        let says = with(|p| p.url = "http://u:p@a".into()).unwrap_err().to_string();
        assert!(says.starts_with("url must be http:// or https://"), "{says}");
        assert_eq!(with(|p| p.pod_labels.clear()), Err(ProviderError::PodLabels));
        assert_eq!(with(|p| p.pod_labels = vec![PodLabels::new("a-b", "n")]), Err(ProviderError::PodLabels));
    }
}
