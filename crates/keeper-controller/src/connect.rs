use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::Path;
use std::time::Duration;

/// How long the API server may be silent: it says a word on every watch each minute, so one that is silent for longer is
/// dead, and begun again.
const SILENCE: Duration = Duration::from_secs(100);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig can't be used.
    #[error("the kubeconfig can't be used")]
    Kubeconfig(#[source] Box<kube::config::KubeconfigError>),
    /// No kubeconfig was named, and neither the pod's ServiceAccount nor the usual places hold one.
    #[error("no cluster to talk to: give --kubeconfig, or run in a pod")]
    Nowhere(#[source] Box<kube::config::InferConfigError>),
    /// The client can't be built from what is configured.
    #[error("the API server's client can't be built")]
    Client(#[source] Box<kube::Error>),
}

/// A client as our programs need it: none of kube's own silent retries, and a limit to the server's silence.
///
/// # Errors
///
/// When the configuration can't be used. No request is made.
pub async fn connect(kubeconfig: Option<&Path>, user_agent: &'static str) -> Result<Client, ConnectError> {
    let mut config = match kubeconfig {
        Some(path) => {
            let read = async {
                Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await
            };
            read.await.map_err(|error| ConnectError::Kubeconfig(Box::new(error)))?
        }
        None => Config::infer().await.map_err(|error| ConnectError::Nowhere(Box::new(error)))?,
    };
    config.default_retry = false;
    config.read_timeout = Some(SILENCE);
    config.headers.push((USER_AGENT, HeaderValue::from_static(user_agent)));
    Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))
}
