use jiff::Timestamp;
use std::fmt;
use std::sync::Arc;

/// The longest namespace, in bytes (an RFC 1123 label).
const NAMESPACE_LIMIT: usize = 63;
/// The longest name of a pod, in bytes (an RFC 1123 subdomain).
const NAME_LIMIT: usize = 253;

/// The uid the API server gave an object: another object of the same name has another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(Arc<str>);

impl Uid {
    /// Takes the text as it is.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pod by name: whichever pod bears it at the moment. Both parts are names that Kubernetes allows, so that neither can
/// lead out of the path of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl PodName {
    /// `None` when one of the two is no name that a namespace or a pod can have.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Option<Self> {
        (is_namespace(namespace) && is_name(name)).then(|| Self { namespace: namespace.into(), name: name.into() })
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The pod's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Whether a namespace can be called so.
pub(crate) fn is_namespace(text: &str) -> bool {
    text.len() <= NAMESPACE_LIMIT && is_label(text)
}

/// Whether a pod can be called so.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_LIMIT && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// What a pod belongs to: the top of its chain of controllers (a Deployment, a StatefulSet, a Job, ...).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    /// `apps/v1`; what Events are told about needs it.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its name; the namespace is the pod's.
    pub name: String,
    /// Its uid: budgets are kept by it.
    pub uid: Uid,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// One alert's life: the same pair comes again with every repeat and from every member of a high-availability pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId {
    /// Alertmanager's hash of the labels.
    pub fingerprint: String,
    /// Since when it fires.
    pub starts_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_kubernetes_allows_are_names() {
        for (namespace, name) in [("shop", "cart-0"), ("shop", "cart.7d9f.x1"), ("1", "a")] {
            assert!(PodName::new(namespace, name).is_some(), "{namespace}/{name}");
        }
        let long = "a".repeat(254);
        let bad = [("shop", "../secrets"), ("shop", "a%2fb"), ("shop", ""), ("", "cart"), ("Shop", "cart")];
        let more = [("shop", "-a"), ("shop", "a-"), ("shop", "a..b"), ("a.b", "cart"), ("shop", long.as_str())];
        for (namespace, name) in bad.into_iter().chain(more) {
            assert_eq!(PodName::new(namespace, name), None, "{namespace}/{name}");
        }
    }
}
