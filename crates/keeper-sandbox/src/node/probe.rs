//! Probes: asking a container whether it is ready or alive.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde_json::Value;

use crate::{
    fetch::{Get, connects},
    objects::Fields,
};

/// The longest answer to a probe that is read, in bytes.
const LIMIT: usize = 10 << 10;

/// One probe of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    check: Check,
    pub(crate) initial_delay: Duration,
    pub(crate) period: Duration,
    timeout: Duration,
    pub(crate) success_threshold: u32,
    pub(crate) failure_threshold: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Check {
    Http {
        authority: String,
        path: String,
        headers: Vec<(String, String)>,
    },
    Tcp(SocketAddr),
    /// A kind that this node does not know (exec, gRPC): it fails, and says why.
    Unknown(&'static str),
}

impl Probe {
    /// From `readinessProbe`, `livenessProbe` or `startupProbe` of a container.
    pub(crate) fn of(container: &Value, field: &str, pod_ip: Ipv4Addr) -> Option<Self> {
        let probe = container.at(&format!("/{field}"))?;
        let seconds = |name: &str, default: u64| {
            let seconds = probe.int(&format!("/{name}")).and_then(|seconds| u64::try_from(seconds).ok());
            Duration::from_secs(seconds.unwrap_or(default))
        };
        let count = |name: &str, default: u32| {
            probe
                .int(&format!("/{name}"))
                .and_then(|count| u32::try_from(count).ok())
                .filter(|count| *count > 0)
                .unwrap_or(default)
        };
        Some(Self {
            check: Check::of(probe, container, pod_ip),
            initial_delay: seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 10).max(Duration::from_secs(1)),
            timeout: seconds("timeoutSeconds", 1).max(Duration::from_secs(1)),
            success_threshold: count("successThreshold", 1),
            failure_threshold: count("failureThreshold", 3),
        })
    }

    /// Asks once; the error says what was wrong.
    pub(crate) async fn ask(&self) -> Result<(), String> {
        match &self.check {
            Check::Tcp(address) if connects(*address, self.timeout).await => Ok(()),
            Check::Tcp(address) => Err(format!("no connection to {address}")),
            Check::Unknown(why) => Err((*why).to_owned()),
            Check::Http { authority, path, headers } => {
                let get = Get { authority, path, headers: headers.clone(), timeout: self.timeout, limit: LIMIT };
                match get.send().await {
                    Ok(answer) if answer.status.is_success() || answer.status.is_redirection() => Ok(()),
                    Ok(answer) => Err(format!("HTTP probe failed with statuscode: {}", answer.status.as_u16())),
                    Err(error) => Err(error.to_string()),
                }
            }
        }
    }
}

impl Check {
    fn of(probe: &Value, container: &Value, pod_ip: Ipv4Addr) -> Self {
        if let Some(http) = probe.at("/httpGet") {
            let Some(port) = port(http, container) else { return Self::Unknown("the probe's port is not declared") };
            if http.text("/scheme") == Some("HTTPS") {
                return Self::Unknown("this node probes over plain HTTP only");
            }
            let host = http.text("/host").map_or_else(|| pod_ip.to_string(), str::to_owned);
            let header = |header: &Value| Some((header.text("/name")?.to_owned(), header.text("/value")?.to_owned()));
            let path = http.text("/path").unwrap_or("/");
            return Self::Http {
                authority: format!("{host}:{port}"),
                path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
                headers: http.items("/httpHeaders").iter().filter_map(header).collect(),
            };
        }
        match probe.at("/tcpSocket").map(|tcp| port(tcp, container)) {
            Some(Some(port)) => Self::Tcp(SocketAddr::from((pod_ip, port))),
            Some(None) => Self::Unknown("the probe's port is not declared"),
            None => Self::Unknown("this node knows httpGet and tcpSocket probes only"),
        }
    }
}

fn port(probe: &Value, container: &Value) -> Option<u16> {
    let port = probe.at("/port")?;
    let number = match port.as_str() {
        None => port.as_i64(),
        Some(name) => {
            let mut ports = container.items("/ports").iter();
            ports
                .find(|port| port.text("/name") == Some(name))
                .map_or_else(|| name.parse().ok(), |port| port.int("/containerPort"))
        }
    };
    number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0)
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literal JSON reads better without borrows")]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(probe: Value) -> Probe {
        let container = json!({"ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": probe});
        Probe::of(&container, "readinessProbe", Ipv4Addr::new(127, 2, 1, 1)).unwrap()
    }

    #[test]
    fn the_defaults_are_the_apis() {
        let probe = of(json!({"httpGet": {"port": "http", "path": "healthz"}}));
        assert_eq!(
            probe.check,
            Check::Http { authority: "127.2.1.1:8080".into(), path: "/healthz".into(), headers: vec![] }
        );
        assert_eq!((probe.period, probe.failure_threshold, probe.success_threshold), (Duration::from_secs(10), 3, 1));
    }

    #[tokio::test]
    async fn what_the_node_does_not_know_fails_with_a_reason() {
        assert!(of(json!({"exec": {"command": ["true"]}})).ask().await.is_err());
        assert_eq!(
            of(json!({"tcpSocket": {"port": "nope"}})).check,
            Check::Unknown("the probe's port is not declared")
        );
    }
}
