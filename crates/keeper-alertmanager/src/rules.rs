use crate::LabelMatcher;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Which labels of an alert say whom it is about. One set of rules per program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchRules {
    /// Labels that name a pod: `pod`, `pod_name`, `kubernetes_pod_name`, `exported_pod`.
    pub pod_labels: Vec<String>,
    /// Labels that name a namespace: `namespace`, `kubernetes_namespace`, `exported_namespace`. An alert that has any of
    /// them is the namespace's if one of them says so: with kube-state-metrics `namespace` may be its own and
    /// `exported_namespace` the one meant, and with an application's own label it may be the other way round. Where
    /// tenants don't trust one another, `namespace` alone leaves an application nothing to choose.
    pub namespace_labels: Vec<String>,
    /// Labels that name a service: `service`, `app`, `job`, `deployment`, `deploymentconfig`, `sloth_service`.
    pub service_labels: Vec<String>,
    /// Lets no alert without a namespace label count. Off: the alerts of service level objectives often carry none. On
    /// for an Alertmanager that strangers share.
    pub require_namespace: bool,
}

/// A canary as alerts see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its namespace, which is the workload's.
    pub namespace: String,
    /// The workload's name.
    pub workload: String,
    /// The names of the Services that select the production pods.
    pub services: Vec<String>,
    /// The canary pod's name.
    pub canary_pod: String,
    /// When the canary was created: its life begins.
    pub canary_created: Timestamp,
    /// The names of the production pods.
    pub production_pods: BTreeSet<String>,
    /// The workload's own matchers: an alert that all of them match is about the service. Empty: none.
    pub own_matchers: Vec<LabelMatcher>,
}

impl Default for MatchRules {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            pod_labels: owned(&["pod", "pod_name", "kubernetes_pod_name", "exported_pod"]),
            namespace_labels: owned(&["namespace", "kubernetes_namespace", "exported_namespace"]),
            service_labels: owned(&["service", "app", "job", "deployment", "deploymentconfig", "sloth_service"]),
            require_namespace: false,
        }
    }
}
