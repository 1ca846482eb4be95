//! What the operator's owner types.

use clap::{Parser, ValueEnum};
use keeper_serve::DoorArgs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Ships every new image through a canary.
///
/// Watches Deployments, and where OpenShift's DeploymentConfigs are served when it starts those too, with the label
/// canary=true, starts one canary of each new image beside the untouched production
/// pods, listens to alerts and metrics, and then moves production to exactly that image or removes the canary.
#[derive(Debug, Parser)]
#[command(name = "operator", version)]
pub(crate) struct Args {
    /// The kubeconfig to use; without it, the pod's own ServiceAccount or the usual places.
    #[arg(long, env = "KUBECONFIG_PATH", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// A namespace to serve; may be repeated. None: all of them (needs a ClusterRole).
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    pub(crate) namespaces: Vec<String>,

    /// Where Alertmanager posts its webhook (path /alerts).
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub(crate) alerts_listen: SocketAddr,

    /// Where health and metrics are served: /healthz, /readyz, /metrics.
    #[arg(long, default_value = "0.0.0.0:9090", value_name = "ADDRESS")]
    pub(crate) admin_listen: SocketAddr,

    #[command(flatten)]
    pub(crate) door: DoorArgs,

    /// How often each watched tag is asked for.
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "DURATION")]
    pub(crate) registry_interval: Duration,

    /// A registry (host or host:port) to be spoken to over plain HTTP. May be repeated.
    #[arg(long = "insecure-registry", value_name = "HOST")]
    pub(crate) insecure_registries: Vec<String>,

    /// A registry and the host of its token service, which may then receive its credentials, as REGISTRY=HOST. Needed
    /// only where neither is the other's subdomain. May be repeated.
    #[arg(long = "registry-token-host", value_parser = pair, value_name = "REGISTRY=HOST")]
    pub(crate) registry_token_hosts: Vec<(String, String)>,

    /// Registry credentials, in the form of a pull secret's .dockerconfigjson.
    #[arg(long, value_name = "FILE")]
    pub(crate) registry_credentials: Option<PathBuf>,

    /// A repository (host/path, or host/path/*) that a workload may move to although it runs another. May be repeated.
    #[arg(long = "allow-repository", value_name = "REPOSITORY")]
    pub(crate) allowed_repositories: Vec<String>,

    /// A file that names the servers which checks may ask, with their credentials: YAML with the lists prometheus and http.
    #[arg(long, value_name = "FILE")]
    pub(crate) providers: Option<PathBuf>,

    /// A Prometheus server that checks may name, where it takes no credentials. May be repeated.
    #[arg(long, value_parser = pair, value_name = "NAME=URL")]
    pub(crate) prometheus: Vec<(String, String)>,

    /// A folder of checks that workloads may name, a file each (a mounted ConfigMap, say); read when the operator starts.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) check_templates: Option<PathBuf>,

    /// How many canaries may run at once in one namespace; further ones wait for their turn.
    #[arg(long, default_value = "5", value_parser = count, value_name = "CANARIES")]
    pub(crate) canaries_per_namespace: usize,

    /// How many canaries may run at once in all.
    #[arg(long, default_value = "20", value_parser = count, value_name = "CANARIES")]
    pub(crate) canaries_at_once: usize,

    /// How often a running canary is looked at.
    #[arg(long, default_value = "5s", value_parser = duration, value_name = "DURATION")]
    pub(crate) look_interval: Duration,

    /// How long a canary may take to become Ready, where the workload says nothing.
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) launch_deadline: Duration,

    /// How long production's own rollout may take after a promotion.
    #[arg(long, default_value = "15m", value_parser = duration, value_name = "DURATION")]
    pub(crate) rollout_deadline: Duration,

    /// How much longer than its rollout may take a canary lives that no operator watches any more.
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) canary_grace: Duration,

    /// The pauses before a revision that could not be judged is tried again; then a person is waited for.
    #[arg(long, default_value = "10m,30m,2h", value_delimiter = ',', value_parser = duration, value_name = "DURATIONS")]
    pub(crate) retry_after: Vec<Duration>,

    /// Don't take the silence of alerts for proof: with no other signal, promotion then waits for a person.
    #[arg(long)]
    pub(crate) require_live_alert_path: bool,

    /// Heed only alerts with a namespace label: for Alertmanagers shared by strangers.
    #[arg(long)]
    pub(crate) require_alert_namespace: bool,

    /// The form of the log.
    #[arg(long, default_value = "text", value_enum)]
    pub(crate) log_format: LogFormat,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// An object for machines.
    Json,
}

fn duration(text: &str) -> Result<Duration, String> {
    keeper_api::duration(text).map_err(|problem| format!("{problem}; write 30s, 15m or 1h30m"))
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "write a whole number of canaries, at least 1".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write the two with = between them")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn flags_hold_together() {
        Args::command().debug_assert();
        let args = Args::parse_from(["operator", "--look-interval", "1s", "--retry-after", "1m,2m"]);
        assert_eq!(args.look_interval, Duration::from_secs(1));
        assert_eq!(args.retry_after, [Duration::from_secs(60), Duration::from_secs(120)]);
        assert_eq!((args.canaries_per_namespace, args.canaries_at_once), (5, 20));
        assert!(Args::try_parse_from(["operator", "--canaries-at-once", "0"]).is_err());
        assert!(Args::try_parse_from(["operator", "--look-interval", "5"]).is_err());
        assert!(Args::try_parse_from(["operator", "--look-interval=-5s"]).is_err());
    }
}
