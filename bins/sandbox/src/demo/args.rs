use clap::ValueEnum;
use std::path::PathBuf;

/// What can be chosen.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// One JSON object per release on stdout; words for people go to stderr.
    #[arg(long)]
    pub(crate) json: bool,
    /// Ship only a good release, or only a bad one.
    #[arg(long, value_enum)]
    pub(crate) release: Option<Choice>,
    /// What production is.
    #[arg(long, value_enum, default_value = "deployment")]
    pub(crate) workload: Workload,
    /// The operator to run. Default: the one beside this program. demo-app and demo-client are always taken from there.
    #[arg(long)]
    pub(crate) operator: Option<PathBuf>,
    /// Where logs go. Default: a new folder in the system's folder for temporary files.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Another cluster's admin kubeconfig. It gets a node that runs pods as processes of this machine, which must have the
    /// addresses 10.250.0.0/16 and the cluster's Service addresses (`cargo xtask e2e --demo` sees to both). The namespace
    /// `shop` is made there and removed at the end.
    #[arg(long)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// That cluster's audit log, with the bodies of patches and EndpointSlices. Without it, what only such a log proves is
    /// not checked.
    #[arg(long, requires = "kubeconfig")]
    pub(crate) audit_log: Option<PathBuf>,
    /// Requests per second that the client holds.
    #[arg(long, default_value_t = 1000)]
    pub(crate) rate: u32,
    /// Production's replicas.
    #[arg(long, default_value_t = 10)]
    pub(crate) replicas: u32,
    /// How long the canary must be watched, in seconds.
    #[arg(long, default_value_t = 12)]
    pub(crate) incubation: u32,
}

/// See [`Args::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// It answers 200.
    Good,
    /// Of its answers, half are 500.
    Bad,
}

/// See [`Args::workload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// apps/v1 Deployment.
    Deployment,
    /// OpenShift's DeploymentConfig, behind a Service that selects its pods by it.
    #[value(name = "deploymentconfig")]
    DeploymentConfig,
}
