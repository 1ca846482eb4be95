//! The ReplicationControllers of a DeploymentConfig: one for each version, with what OpenShift writes on it.

use serde_json::{Value, json};

use crate::objects::{
    DEPLOYMENT_CONFIGS, Fields, Meta, Object, REPLICATION_CONTROLLERS, controller_reference, object, set,
};

const DEPLOYMENT: &str = "deployment";
const CONFIG: &str = "deploymentconfig";
const PHASE: &str = "openshift.io/deployment.phase";
const ENCODED: &str = "openshift.io/encoded-deployment-config";
const VERSION: &str = "openshift.io/deployment-config.latest-version";
const DESIRED: &str = "kubectl.kubernetes.io/desired-replicas";

/// How far the rollout of one version is, as its ReplicationController says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    New,
    Running,
    Complete,
    Failed,
}

impl Phase {
    pub(super) fn of(replication: &Object) -> Self {
        match replication.annotation(PHASE) {
            Some("Complete") => Self::Complete,
            Some("Failed") => Self::Failed,
            Some("Running") => Self::Running,
            _ => Self::New,
        }
    }

    pub(super) fn write(self, replication: &mut Object) {
        let text = match self {
            Self::New => "New",
            Self::Running => "Running",
            Self::Complete => "Complete",
            Self::Failed => "Failed",
        };
        replication.annotate(PHASE, text);
    }

    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Complete | Self::Failed)
    }
}

/// `<config>-<version>`.
pub(super) fn name(config: &Object, version: i64) -> String {
    format!("{}-{version}", config.name())
}

/// The version that a ReplicationController is for.
pub(super) fn version(replication: &Object) -> i64 {
    replication.annotation(VERSION).and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// The template that it was made from, as the DeploymentConfig had it.
pub(super) fn template(replication: &Object) -> Option<Value> {
    let config: Value = serde_json::from_str(replication.annotation(ENCODED)?).ok()?;
    config.at("/spec/template").cloned()
}

/// The ReplicationController of that version, still without pods.
pub(super) fn new(config: &Object, version: i64, replicas: i64) -> serde_json::Result<Object> {
    let name = name(config, version);
    let ties = [(DEPLOYMENT, name.as_str()), (CONFIG, config.name())];
    let facts = [
        ("openshift.io/deployment.name", name.clone()),
        ("openshift.io/deployment-config.name", config.name().to_owned()),
        (VERSION, version.to_string()),
    ];
    let mut template = config.at("/spec/template").cloned().unwrap_or_else(|| json!({}));
    let mut selector = config.at("/spec/selector").cloned().unwrap_or_else(|| json!({}));
    for (label, value) in ties {
        set(&mut template, &["metadata", "labels", label], json!(value));
        set(&mut selector, &[label], json!(value));
    }
    for (annotation, value) in &facts {
        set(&mut template, &["metadata", "annotations", annotation], json!(value));
    }
    let mut labels = json!(config.metadata.labels);
    set(&mut labels, &["openshift.io/deployment-config.name"], json!(config.name()));
    let mut spec = json!({"replicas": 0, "selector": selector, "template": template});
    if let Some(wait) = config.int("/spec/minReadySeconds").filter(|wait| *wait > 0) {
        set(&mut spec, &["minReadySeconds"], json!(wait));
    }
    let body = json!({
        "metadata": {
            "name": name, "namespace": config.namespace(), "labels": labels,
            "ownerReferences": [controller_reference(&DEPLOYMENT_CONFIGS, config)],
        },
        "spec": spec,
    });
    let mut new = object(&REPLICATION_CONTROLLERS, body)?;
    for (annotation, value) in &facts {
        new.annotate(annotation, value);
    }
    new.annotate(DESIRED, &replicas.to_string());
    new.annotate(ENCODED, &serde_json::to_string(config)?);
    Phase::New.write(&mut new);
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_carries_what_openshift_writes() {
        let config = json!({
            "metadata": {"name": "shop", "namespace": "n", "uid": "u", "labels": {"team": "a"}},
            "spec": {"selector": {"app": "shop"}, "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {}}},
        });
        let config = object(&DEPLOYMENT_CONFIGS, config).unwrap();
        let made = new(&config, 3, 2).unwrap();
        let labels = json!({"app": "shop", "deployment": "shop-3", "deploymentconfig": "shop"});
        assert_eq!(made.name(), "shop-3");
        assert_eq!(made.at("/spec/selector"), Some(&labels));
        assert_eq!(made.at("/spec/template/metadata/labels"), Some(&labels));
        let facts = json!({
            "openshift.io/deployment.name": "shop-3",
            "openshift.io/deployment-config.name": "shop",
            "openshift.io/deployment-config.latest-version": "3",
        });
        assert_eq!(made.at("/spec/template/metadata/annotations"), Some(&facts));
        assert_eq!((version(&made), Phase::of(&made), made.annotation(DESIRED)), (3, Phase::New, Some("2")));
        assert_eq!(template(&made), config.at("/spec/template").cloned());
        assert!(made.controller().is_some_and(|owner| owner.uid == "u"));
        assert_eq!(made.label("team"), Some("a"));
    }
}
