use clap::ValueEnum;
use miette::miette;
use std::path::PathBuf;

/// What can be chosen.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// What is shown.
    #[arg(long, value_enum, default_value = "annotation")]
    pub(crate) mode: Mode,
    /// One JSON object per release, or of the kill, on stdout; words for people go to stderr.
    #[arg(long)]
    pub(crate) json: bool,
    /// Ship only a good release, or only a bad one.
    #[arg(long, value_enum)]
    pub(crate) release: Option<Choice>,
    /// What production is.
    #[arg(long, value_enum, default_value = "deployment")]
    pub(crate) workload: Workload,
    /// Take every number from a real Prometheus that scrapes the application's processes, and tell the operator of a bad
    /// release by a rule of it and a real Alertmanager; both found on PATH. Without it the operator reads the processes'
    /// counters itself.
    #[arg(long)]
    pub(crate) prometheus: bool,
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

impl Args {
    /// Refuses what the mode would pass over.
    pub(crate) fn checked(self) -> miette::Result<Self> {
        let a_config = self.workload == Workload::DeploymentConfig;
        if self.mode == Mode::Resource && a_config {
            return Err(miette!("--mode resource knows no --workload deploymentconfig: a Canary is for a Deployment"));
        }
        let without = [
            ("--release", self.release.is_some()),
            ("--operator", self.operator.is_some()),
            ("--kubeconfig", self.kubeconfig.is_some()),
            ("--workload deploymentconfig", a_config),
            // It takes one that it finds, together with an Alertmanager.
            ("--prometheus", self.prometheus),
            ("--replicas below 2", self.replicas < 2),
        ];
        match without.iter().find(|(_, given)| self.mode == Mode::Kill && *given) {
            Some((flag, _)) => Err(miette!("--mode kill knows no {flag}")),
            None => Ok(self),
        }
    }
}

/// See [`Args::mode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// The operator ships releases of an annotated workload.
    Annotation,
    /// The operator ships what a Canary asks for, which is edited for each release.
    Resource,
    /// One pod hangs while it is Ready, an alert names it, and the killer removes it.
    Kill,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(words: &[&str]) -> miette::Result<Args> {
        Cli::try_parse_from([&["demo"], words].concat()).map_err(|error| miette!("{error}"))?.args.checked()
    }

    #[test]
    fn a_mode_takes_what_it_knows() {
        assert_eq!(parsed(&[]).unwrap().mode, Mode::Annotation);
        assert_eq!(parsed(&["--mode", "annotation", "--release", "bad"]).unwrap().release, Some(Choice::Bad));
        let kill = parsed(&["--mode", "kill", "--json", "--replicas", "4"]).unwrap();
        assert_eq!((kill.mode, kill.json, kill.replicas), (Mode::Kill, true, 4));
        for wrong in
            [["--release", "bad"], ["--kubeconfig", "k"], ["--workload", "deploymentconfig"], ["--replicas", "1"]]
        {
            assert!(parsed(&[&["--mode", "kill"], &wrong[..]].concat()).is_err(), "{wrong:?}");
        }
        assert!(parsed(&["--mode", "kill", "--prometheus"]).is_err());
        assert_eq!(parsed(&["--mode", "resource", "--release", "good"]).unwrap().mode, Mode::Resource);
        assert!(parsed(&["--mode", "resource", "--workload", "deploymentconfig"]).is_err());
    }
}
