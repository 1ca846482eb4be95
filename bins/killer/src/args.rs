//! What the killer's owner types.

use clap::{Parser, Subcommand, ValueEnum};
use keeper_kill::{Budgets, Mode, Namespaces, Policy, TargetLabels};
use keeper_serve::DoorArgs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Removes pods that alerts say are stuck.
///
/// Takes Alertmanager's webhook at POST /kill. For every firing alert it finds the pod that the alert's labels name and
/// evicts it, within budgets; what it decided is stored in the cluster before the webhook is answered.
#[derive(Debug, Parser)]
#[command(name = "killer", version, args_conflicts_with_subcommands = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The kubeconfig to use; without it, the pod's own ServiceAccount or the usual places.
    #[arg(long, env = "KUBECONFIG_PATH", global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The namespace of the ledger, which is the killer's own.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default", global = true, value_name = "NAMESPACE")]
    pub(crate) ledger_namespace: String,

    /// A namespace in which pods may be killed; may be repeated. None: all but the spared (needs a ClusterRole).
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    pub(crate) namespaces: Vec<String>,

    /// Namespaces in which no pod is killed.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "kube-system,kube-public,kube-node-lease",
        value_name = "NAMESPACES"
    )]
    pub(crate) spare_namespaces: Vec<String>,

    /// Where Alertmanager posts its webhook (path /kill).
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,

    /// Where health and metrics are served: /healthz, /readyz, /metrics.
    #[arg(long, default_value = "0.0.0.0:9090", value_name = "ADDRESS")]
    pub(crate) admin_listen: SocketAddr,

    #[command(flatten)]
    pub(crate) door: DoorArgs,

    /// The largest body of a webhook: 4MiB, 512KiB.
    #[arg(long, default_value = "4MiB", value_parser = size, value_name = "SIZE")]
    pub(crate) max_body: usize,

    /// How a pod is removed.
    #[arg(long, default_value = "evict", value_enum)]
    pub(crate) mode: Removal,

    /// Take the pod out of its Services and its workload by relabelling it, and keep it for debugging. Disruption budgets
    /// hold.
    #[arg(long, conflicts_with = "mode")]
    pub(crate) quarantine: bool,

    /// Only say what would be done. Nothing is stored or removed.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Kill only pods with the label canary-keeper.dev/kill: allowed.
    #[arg(long)]
    pub(crate) opt_in: bool,

    /// Kill pods without a controller, too: nothing brings another one in their place.
    #[arg(long)]
    pub(crate) allow_unmanaged: bool,

    /// The alert labels that name the pod. Where they are given, the first one that an alert carries counts; without,
    /// pod, pod_name, kubernetes_pod_name and exported_pod must agree.
    #[arg(long, value_delimiter = ',', value_name = "LABELS")]
    pub(crate) pod_labels: Vec<String>,

    /// The alert labels that name the namespace; like --pod-labels. Without: namespace, kubernetes_namespace,
    /// exported_namespace.
    #[arg(long, value_delimiter = ',', value_name = "LABELS")]
    pub(crate) namespace_labels: Vec<String>,

    /// How many pods of one workload may go in a window.
    #[arg(long, default_value = "1", value_parser = count, value_name = "PODS")]
    pub(crate) workload_budget: usize,

    /// How many pods of one namespace may go in a window.
    #[arg(long, default_value = "3", value_parser = count, value_name = "PODS")]
    pub(crate) namespace_budget: usize,

    /// How many pods may go in a window in all.
    #[arg(long, default_value = "10", value_parser = count, value_name = "PODS")]
    pub(crate) overall_budget: usize,

    /// How long a kill counts in the budgets.
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) window: Duration,

    /// Which share of a workload's pods may stand accused at once, in percent; above it only the first of a window goes.
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u8).range(0..=100), value_name = "PERCENT")]
    pub(crate) share: u8,

    /// How old a pod must be; 0s: any age.
    #[arg(long, default_value = "60s", value_parser = age, value_name = "DURATION")]
    pub(crate) min_age: Duration,

    /// How long an eviction that is refused for now is tried again.
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) eviction_deadline: Duration,

    /// The form of the log.
    #[arg(long, default_value = "text", value_enum)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prints what was killed and refused, and why, from the ledger in the cluster.
    History(HistoryArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// Only pods of this namespace.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
}

/// How a pod is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Removal {
    /// By the eviction API: disruption budgets hold.
    Evict,
    /// By the eviction API; by a deletion when that is still refused at the deadline.
    EvictThenDelete,
    /// By a deletion, whatever disruption budgets say.
    Delete,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// An object for machines.
    Json,
}

impl Args {
    /// What may be killed, and how.
    pub(crate) fn policy(&self) -> Policy {
        let defaults = TargetLabels::default();
        let or = |given: &[String], default: Vec<String>| if given.is_empty() { default } else { given.to_vec() };
        let spared = || self.spare_namespaces.iter().cloned();
        Policy {
            labels: TargetLabels {
                first_wins: !(self.pod_labels.is_empty() && self.namespace_labels.is_empty()),
                pods: or(&self.pod_labels, defaults.pods),
                namespaces: or(&self.namespace_labels, defaults.namespaces),
            },
            namespaces: if self.namespaces.is_empty() {
                Namespaces::AllBut(spared().collect())
            } else {
                Namespaces::Only(self.namespaces.iter().cloned().collect())
            },
            opt_in: self.opt_in,
            unmanaged: self.allow_unmanaged,
            budgets: Budgets {
                workload: self.workload_budget,
                namespace: self.namespace_budget,
                overall: self.overall_budget,
                window: signed(self.window),
                share_percent: usize::from(self.share),
            },
            min_age: signed(self.min_age),
            deadline: signed(self.eviction_deadline),
            mode: match (self.quarantine, self.mode) {
                (true, _) => Mode::Quarantine,
                (false, Removal::Evict) => Mode::Evict,
                (false, Removal::EvictThenDelete) => Mode::EvictThenDelete,
                (false, Removal::Delete) => Mode::Delete,
            },
        }
    }
}

fn signed(duration: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX)
}

fn duration(text: &str) -> Result<Duration, String> {
    keeper_api::duration(text).map_err(|problem| format!("{problem}; write 30s, 15m or 1h30m"))
}

fn age(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { duration(text) }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "write a whole number of pods, at least 1".to_owned())
}

/// The largest body that may be asked for.
const LARGEST_BODY: usize = 256 << 20;

fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
        .ok_or("write a size like 4MiB or 512KiB")?;
    let number: usize = number.trim().parse().map_err(|_| "write a size like 4MiB or 512KiB")?;
    let bytes = number.checked_mul(unit).filter(|bytes| (1..=LARGEST_BODY).contains(bytes));
    bytes.ok_or_else(|| "write a size from 1KiB to 256MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn flags_hold_together() {
        Args::command().debug_assert();
        let args = Args::parse_from(["killer", "--max-body", "32MiB", "--pod-labels", "exported_pod,pod"]);
        let policy = args.policy();
        assert_eq!((args.max_body, policy.labels.first_wins), (32 << 20, true));
        assert_eq!(policy.labels.pods, ["exported_pod", "pod"]);
        assert_eq!(policy.labels.namespaces, TargetLabels::default().namespaces);
        for wrong in [["--max-body", "4"], ["--max-body", "0MiB"], ["--workload-budget", "0"], ["--share", "101"]] {
            assert!(Args::try_parse_from(["killer", wrong[0], wrong[1]]).is_err(), "{wrong:?}");
        }
        assert!(Args::try_parse_from(["killer", "--quarantine", "--mode", "delete"]).is_err());
        let history = Args::parse_from(["killer", "history", "-n", "shop", "--ledger-namespace", "keeper"]);
        assert!(matches!(history.command, Some(Command::History(HistoryArgs { namespace: Some(_) }))));
        assert_eq!(history.ledger_namespace, "keeper");
    }

    #[test]
    fn what_is_said_nowhere_is_the_documented_default() {
        let policy = Args::parse_from(["killer"]).policy();
        let spared = ["kube-system", "kube-public", "kube-node-lease"].map(str::to_owned);
        let expected = Policy { namespaces: Namespaces::AllBut(spared.into()), ..Policy::default() };
        assert_eq!(policy, expected);
    }
}
