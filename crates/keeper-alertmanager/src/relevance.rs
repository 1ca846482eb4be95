use crate::{Alert, LabelMatcher, MatchRules, Target};
use jiff::Timestamp;
use std::fmt;

/// What an alert means for a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relevance {
    /// It counts against the canary: the canary is to go.
    CountsAgainstCanary {
        /// How it names the canary or its service.
        names: Names,
        /// It carries no namespace label: it counts, and the reason says so.
        no_namespace: bool,
    },
    /// It would count, but was firing before the canary was: to be reported; it neither blames nor blocks.
    BeforeCanary {
        /// Since when it fires.
        since: Timestamp,
    },
    /// It names a production pod and not the canary.
    ProductionPod {
        /// Which one.
        name: String,
    },
    /// It speaks of such a pod or service in another namespace.
    OtherNamespace {
        /// Which one.
        namespace: String,
    },
    /// It would count, but has no namespace label, and [`MatchRules::require_namespace`] asks for one.
    WithoutNamespace,
    /// It is about something else.
    NotOurs,
}

/// How an alert names a canary or its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// A pod label names the canary pod.
    Pod,
    /// A service label names the workload or its Service.
    Service {
        /// The label.
        label: String,
        /// Its value.
        name: String,
    },
    /// All of the workload's own matchers match.
    OwnMatcher,
}

/// What an alert means for a canary.
///
/// First, whom it is about: the canary pod if any pod label names it; else a production pod if any pod label names one;
/// else the service. A pod label that names neither (the exporter's own pod, in kube-state-metrics' style) excludes
/// nothing. Then the namespace, then the time.
#[must_use]
pub fn judge(alert: &Alert, target: &Target, rules: &MatchRules) -> Relevance {
    let Some(about) = about(alert, target, rules) else { return Relevance::NotOurs };
    let place = place(alert, target, rules);
    if let Place::Elsewhere(namespace) = place {
        return Relevance::OtherNamespace { namespace: namespace.to_owned() };
    }
    let names = match about {
        About::Production(name) => return Relevance::ProductionPod { name: name.to_owned() },
        About::Canary(names) => names,
    };
    let no_namespace = matches!(place, Place::Unsaid);
    if no_namespace && rules.require_namespace {
        return Relevance::WithoutNamespace;
    }
    if alert.starts_at < target.canary_created {
        return Relevance::BeforeCanary { since: alert.starts_at };
    }
    Relevance::CountsAgainstCanary { names, no_namespace }
}

enum About<'a> {
    Canary(Names),
    Production(&'a str),
}

enum Place<'a> {
    Here,
    Elsewhere(&'a str),
    Unsaid,
}

fn about<'a>(alert: &'a Alert, target: &Target, rules: &MatchRules) -> Option<About<'a>> {
    let pods = || rules.pod_labels.iter().filter_map(|label| alert.label(label));
    if pods().any(|pod| pod == target.canary_pod) {
        return Some(About::Canary(Names::Pod));
    }
    if let Some(pod) = pods().find(|pod| target.production_pods.contains(*pod)) {
        return Some(About::Production(pod));
    }
    service(alert, target, rules).map(About::Canary)
}

fn service(alert: &Alert, target: &Target, rules: &MatchRules) -> Option<Names> {
    let is_ours = |name: &str| name == target.workload || target.services.iter().any(|service| service == name);
    let mut named = rules.service_labels.iter().filter_map(|label| Some((label, alert.label(label)?)));
    if let Some((label, name)) = named.find(|(_, name)| is_ours(name)) {
        return Some(Names::Service { label: label.clone(), name: name.to_owned() });
    }
    let own = |matcher: &LabelMatcher| matcher.matches(&alert.labels);
    // An alert without labels is about nothing, even where a matcher such as `team!="x"` would take it.
    let own_match = !target.own_matchers.is_empty() && !alert.labels.is_empty() && target.own_matchers.iter().all(own);
    own_match.then_some(Names::OwnMatcher)
}

fn place<'a>(alert: &'a Alert, target: &Target, rules: &MatchRules) -> Place<'a> {
    let namespaces = || rules.namespace_labels.iter().filter_map(|label| alert.label(label));
    match namespaces().next() {
        None => Place::Unsaid,
        Some(_) if namespaces().any(|namespace| namespace == target.namespace) => Place::Here,
        Some(other) => Place::Elsewhere(other),
    }
}

impl Relevance {
    /// Whether it counts against the canary.
    #[must_use]
    pub fn counts(&self) -> bool {
        matches!(self, Self::CountsAgainstCanary { .. })
    }
}

impl fmt::Display for Relevance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountsAgainstCanary { names, no_namespace: false } => names.fmt(f),
            Self::CountsAgainstCanary { names, no_namespace: true } => write!(f, "{names} (no namespace label)"),
            Self::BeforeCanary { since } => write!(f, "firing since {since}, before the canary"),
            Self::ProductionPod { name } => write!(f, "names the production pod {name}"),
            Self::OtherNamespace { namespace } => write!(f, "of the namespace {namespace}"),
            Self::WithoutNamespace => f.write_str("carries no namespace label, and one is required"),
            Self::NotOurs => f.write_str("about something else"),
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => f.write_str("names the canary pod"),
            Self::Service { label, name } => write!(f, "is about the service: {label}={name}"),
            Self::OwnMatcher => f.write_str("matches the workload's own matchers"),
        }
    }
}
