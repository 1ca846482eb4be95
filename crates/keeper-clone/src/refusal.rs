//! [`Refusal`]: why no canary is started for a workload.

/// Why no canary is started. Each says what someone would have to change; asking again before that gives the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A controller would take the canary for one of its own, and delete one of its pods.
    #[error(
        "{by} would adopt the canary: its selector matches the canary's labels and nothing else controls the canary"
    )]
    WouldBeAdopted {
        /// Kind and name of the controller.
        by: String,
    },
    /// A Service that selects the production pods would not select the canary.
    #[error("Service {service} would not reach the canary: it selects by {label}, which the canary cannot have")]
    Unreachable {
        /// The Service's name.
        service: String,
        /// The pair it selects by, as `key=value`.
        label: String,
    },
    /// The template has no container of the name given.
    #[error("there is no container {wanted} in the template; it has {}", have.join(", "))]
    UnknownContainer {
        /// The name given, shortened.
        wanted: String,
        /// The names there are.
        have: Vec<String>,
    },
    /// No container was named, and there are several.
    #[error("the template has several containers ({}): name the one to change in canary-name", have.join(", "))]
    ContainerNameMissing {
        /// The names there are.
        have: Vec<String>,
    },
    /// The workload's strategy says that two copies must not run at once.
    #[error("the workload's strategy is Recreate: its owner wants no two copies at once")]
    Recreate,
    /// A volume can be used by one node at a time.
    #[error("volume {volume} uses claim {claim}, which is ReadWriteOnce: two copies at once could block each other")]
    ReadWriteOnce {
        /// The volume's name in the template.
        volume: String,
        /// The claim's name.
        claim: String,
    },
    /// A port of the node is claimed.
    #[error("container {container} claims port {port} of its node: two copies at once could block each other")]
    HostPort {
        /// The container's name.
        container: String,
        /// The port.
        port: u64,
    },
    /// OpenShift would put another image back.
    #[error("{trigger} sets the image of container {container} from {from}, and would take the promotion back: {fix}")]
    ImageTrigger {
        /// Where the trigger is written.
        trigger: &'static str,
        /// The container.
        container: String,
        /// What it follows, as `kind name`.
        from: String,
        /// What to change.
        fix: &'static str,
    },
    /// It can't be told which image a trigger would put back.
    #[error("annotation {annotation} {problem}: it must be a JSON list of triggers, or go")]
    TriggersUnreadable {
        /// The annotation's key.
        annotation: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}
