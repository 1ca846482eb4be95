//! Faults in front of an API server, the sandbox's or a real one: a reverse proxy that delays, loses, refuses and
//! forges on demand.
//!
//! Which requests are hit is said by client, verb and resource, and by number or by a seeded chance; rules come and go
//! while it runs. Hooks run at a chosen request, such as one that kills the client right after its fifth write was
//! committed. Every request is counted and logged, with the answer the client got.
//!
//! ```no_run
//! # async fn example() -> Result<(), keeper_sandbox::faults::FaultError> {
//! use keeper_sandbox::faults::{Fault, FaultProxy, Matcher, ProxyConfig, Upstream, When};
//!
//! let proxy = FaultProxy::serve(ProxyConfig::new(Upstream::Url("http://127.0.0.1:8080".into()))).await?;
//! let faults = proxy.faults();
//! let patches = Matcher::any().client("operator").verb("patch").resource("deployments");
//! faults.add(patches, When::Nth(2), Fault::DropReply);
//! println!("the operator talks to {}", proxy.url());
//! # proxy.stop().await;
//! # Ok(())
//! # }
//! ```

mod proxy;
mod rules;
mod upstream;
mod watches;

pub use proxy::{FaultProxy, ProxyConfig};
pub use rules::{Fault, FaultHandle, HookPoint, Matcher, RequestInfo, RuleId, When};
pub use upstream::Upstream;

/// Why a fault proxy can't be started. A retry helps when a file or a port is there only later.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The upstream's address or kubeconfig can't be used.
    #[error("the upstream {upstream} can't be used")]
    Upstream {
        /// The URL or the path of the kubeconfig.
        upstream: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
