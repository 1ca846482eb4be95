//! The API server behind the proxy.

use std::path::PathBuf;

use kube::client::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use super::FaultError;

/// The API server that the proxy stands in front of.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// A URL without credentials, such as the sandbox's.
    Url(String),
    /// The current context of a kubeconfig file, with its certificates and credentials. Clients of the proxy need none:
    /// keep it on loopback.
    Kubeconfig(PathBuf),
}

impl Upstream {
    /// A client that never retries by itself: what a request meets, the proxy's client must see.
    pub(crate) async fn client(&self) -> Result<Client, FaultError> {
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| {
            let upstream = match self {
                Self::Url(url) => url.clone(),
                Self::Kubeconfig(path) => path.display().to_string(),
            };
            FaultError::Upstream { upstream, source }
        };
        let mut config = match self {
            Self::Url(url) => Config::new(url.parse().map_err(|e: http::uri::InvalidUri| unusable(e.into()))?),
            Self::Kubeconfig(path) => {
                let read = Kubeconfig::read_from(path).map_err(|e| unusable(e.into()))?;
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(read, &options).await.map_err(|e| unusable(e.into()))?
            }
        };
        config.default_retry = false;
        config.read_timeout = None;
        Client::try_from(config).map_err(|e| unusable(e.into()))
    }
}
