//! `kind: job`: a Kubernetes Job whose exit decides.

use super::fields::{Field, Fields, Form, field};
use super::pace;
use crate::invalid::{Invalid, quote};
use crate::yaml;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A Job that is made for a measurement: complete is healthy, failed is unhealthy, and anything that kept it from
/// running (an image that can't be pulled, no room) or from ending in time is an error. Without `interval` there is one
/// measurement, whose outcome stands; with it, a Job is started that long after the one before was, when that has ended.
///
/// Each container is told what the canary is by the environment variables `CANARY_POD` (its name), `CANARY_ADDRESS`,
/// `CANARY_NAMESPACE` and `CANARY_WORKLOAD`, which stand first, so that `$(CANARY_ADDRESS)` may be written in others. The
/// Job belongs to the canary and is removed with it.
///
/// It runs as the workload's own ServiceAccount, so that a check can do nothing that the workload couldn't.
///
/// ```yaml
/// - kind: job
///   name: smoke
///   timeout: 2m
///   jobTemplate:
///     spec:
///       template:
///         spec:
///           containers:
///           - name: smoke
///             image: quay.io/shop/smoke@sha256:...
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// `jobTemplate`: the Job as JSON, to be given a name, a namespace and an owner and then created. What was left out
    /// is filled in: `restartPolicy: Never`, `backoffLimit: 0`, the ServiceAccount, `activeDeadlineSeconds` (the
    /// time-out) and `ttlSecondsAfterFinished` (10 min), by which the cluster removes what we couldn't. Required.
    pub template: Value,
    /// `timeout`: a Job that runs longer has measured nothing; it is deleted, and another one started. 1 s to 1 h, default
    /// 5 min.
    pub timeout: Duration,
}

/// For how long the cluster keeps a Job that ended, in seconds.
const KEPT: u64 = 600;

impl Job {
    pub(crate) const KIND: &str = "job";
    pub(crate) const FIELDS: &[Field] = &[
        field(
            "jobTemplate",
            Form::Job,
            "metadata (labels and annotations) and spec of a batch/v1 Job. It runs as the workload's own ServiceAccount. Required.",
        ),
        field(
            "timeout",
            Form::Span,
            "A Job that runs longer has measured nothing and is deleted, 1s to 1h. Default 5m.",
        ),
    ];

    pub(super) fn read(fields: &Fields<'_>, workload: &Value) -> Result<Self, Invalid> {
        fields.refuse_unknown(&[&[pace::KIND], pace::COMMON, Self::FIELDS])?;
        let range = Duration::from_secs(1)..=Duration::from_secs(3_600);
        let timeout = fields.span("timeout", range, "2m")?.unwrap_or(Duration::from_secs(300));
        let written = fields.get("jobTemplate").ok_or_else(|| missing(fields, "jobTemplate"))?;
        let account = service_account(workload.pointer("/spec/template/spec")).unwrap_or("default");
        Ok(Self { template: template(fields, written, account, timeout)?, timeout })
    }
}

fn missing(fields: &Fields<'_>, path: &str) -> Invalid {
    fields.invalid(path, "is missing", "write spec.template.spec.containers of the Job under jobTemplate")
}

fn template(fields: &Fields<'_>, written: &Value, account: &str, timeout: Duration) -> Result<Value, Invalid> {
    let spec = mapping(fields, written, "/spec", "jobTemplate.spec")?;
    let pod = mapping(fields, written, "/spec/template/spec", "jobTemplate.spec.template.spec")?;
    let containers = pod.get("containers").and_then(Value::as_array);
    if containers.is_none_or(|containers| containers.is_empty() || !containers.iter().all(Value::is_object)) {
        return Err(missing(fields, "jobTemplate.spec.template.spec.containers"));
    }
    refuse_account(fields, pod, account)?;
    let mut spec = spec.clone();
    for made in ["selector", "manualSelector", "suspend"] {
        if spec.get(made).is_some_and(|value| !value.is_null()) {
            let problem = "is for the cluster and us to set";
            return Err(fields.invalid(&format!("jobTemplate.spec.{made}"), problem, "remove it"));
        }
    }
    let fill = |map: &mut Map<String, Value>, key: &str, value: Value| {
        if map.get(key).is_none_or(Value::is_null) {
            map.insert(key.into(), value);
        }
    };
    fill(&mut spec, "backoffLimit", 0.into());
    spec.insert("activeDeadlineSeconds".into(), timeout.as_secs().max(1).into());
    spec.insert("ttlSecondsAfterFinished".into(), KEPT.into());
    let mut made = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(written), "spec": spec });
    if let Some(pod) = made.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut) {
        fill(pod, "restartPolicy", "Never".into());
        pod.insert("serviceAccountName".into(), account.into());
        pod.remove("serviceAccount");
    }
    Ok(made)
}

fn mapping<'a>(
    fields: &Fields<'_>,
    value: &'a Value,
    pointer: &str,
    path: &str,
) -> Result<&'a Map<String, Value>, Invalid> {
    match value.pointer(pointer) {
        Some(Value::Object(map)) => Ok(map),
        None | Some(Value::Null) => Err(missing(fields, path)),
        Some(other) => {
            let problem = format!("is {} and not a mapping", yaml::kind_of(other));
            Err(fields.invalid(path, problem, "write it as in a batch/v1 Job"))
        }
    }
}

/// Labels and annotations alone: name, namespace and owner are ours.
fn metadata(written: &Value) -> Value {
    let mut kept = Map::new();
    for key in ["labels", "annotations"] {
        if let Some(map @ Value::Object(_)) = written.pointer(&format!("/metadata/{key}")) {
            kept.insert(key.into(), map.clone());
        }
    }
    Value::Object(kept)
}

fn service_account(pod: Option<&Value>) -> Option<&str> {
    let name = |key| pod?.get(key)?.as_str().filter(|name| !name.is_empty());
    name("serviceAccountName").or_else(|| name("serviceAccount"))
}

fn refuse_account(fields: &Fields<'_>, pod: &Map<String, Value>, account: &str) -> Result<(), Invalid> {
    for key in ["serviceAccountName", "serviceAccount"] {
        match pod.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::String(name)) if name == account || name.is_empty() => {}
            Some(other) => {
                let name = other.as_str().map_or_else(|| yaml::kind_of(other).to_owned(), quote);
                let problem = format!("is {name}, and the workload runs as {}", quote(account));
                let fix = "remove it: the Job runs as the workload's own ServiceAccount";
                return Err(fields.invalid(&format!("jobTemplate.spec.template.spec.{key}"), problem, fix));
            }
        }
    }
    Ok(())
}
