//! [`Note`]: what a person should know about a canary that is started all the same.

use std::fmt;

/// What a person should know about a canary that is started all the same. `Display` is the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// How large the canary's share of the traffic is.
    Share {
        /// Production pods that are ready.
        production: u32,
    },
    /// No Service selects the production pods: traffic can't be checked.
    NoService,
    /// A Service that selects no production pod selects the canary.
    ForeignService {
        /// The Service's name.
        service: String,
    },
    /// A label that we set on canaries has the template's value because a Service selects by it.
    KeptLabel {
        /// The label's key.
        label: String,
        /// The Service's name.
        service: String,
    },
    /// A controller's selector matches the canary, which its controller reference keeps away.
    NotAdopted {
        /// Kind and name of the controller.
        by: String,
    },
    /// A disruption budget counts the canary.
    DisruptionBudget {
        /// The budget's name.
        name: String,
    },
    /// The canary's load counts for the workload's autoscaler.
    Autoscaler {
        /// The autoscaler's name.
        name: String,
    },
    /// A network policy is for the production pods and not for the canary.
    NetworkPolicyLost {
        /// The policy's name.
        name: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share { production: 0 } => {
                f.write_str("without a ready production pod the canary takes all of the traffic")
            }
            Self::Share { production: 1 } => {
                f.write_str("with one production pod the canary takes half of the traffic")
            }
            Self::Share { production } => {
                let copies = u64::from(*production) + 1;
                let percent = 100 / copies;
                write!(f, "the canary takes about 1/{copies} of the connections")?;
                if percent > 0 { write!(f, " ({percent} %)") } else { f.write_str(" (under 1 %)") }
            }
            Self::NoService => f.write_str(
                "no Service selects the production pods, so whether the canary gets traffic cannot be checked",
            ),
            Self::ForeignService { service } => write!(f, "Service {service} selects the canary and no production pod"),
            Self::KeptLabel { label, service } => {
                write!(f, "label {label} keeps the template's value because Service {service} selects by it")
            }
            Self::NotAdopted { by } => write!(
                f,
                "the selector of {by} matches the canary, whose controller reference keeps it from being adopted"
            ),
            Self::DisruptionBudget { name } => {
                write!(
                    f,
                    "PodDisruptionBudget {name} counts the canary: while it is ready, one production pod more may be disrupted"
                )
            }
            Self::Autoscaler { name } => {
                write!(f, "HorizontalPodAutoscaler {name} counts the canary's load: it may scale to one replica more")
            }
            Self::NetworkPolicyLost { name } => {
                write!(
                    f,
                    "NetworkPolicy {name} selects the production pods and not the canary: their traffic may differ"
                )
            }
        }
    }
}
