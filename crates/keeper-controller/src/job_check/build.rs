//! The Job as it is created. Pure.

use keeper_api::keys;
use keeper_signal::Look;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The annotation that tells people which check a Job is of.
const CHECK: &str = "canary-keeper.dev/check";
/// A Job's name becomes a label of its pods, which takes 63 characters.
const LONGEST_PREFIX: usize = 30;

/// What a template becomes a Job by.
pub(super) struct Made<'a> {
    pub(super) look: &'a Look,
    pub(super) check: &'a str,
    pub(super) run: &'a str,
    pub(super) name: &'a str,
}

/// The name of the Job: the same for the same canary (a uid), check and attempt, and for nothing else.
pub(super) fn name(workload: &str, canary: &str, check: &str, attempt: u32) -> String {
    let mut hash = Sha256::new();
    for part in [workload, canary, check] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hex::encode(hash.finalize());
    let prefix: String = workload.replace('.', "-").chars().take(LONGEST_PREFIX).collect();
    format!("{}-check-{}-{attempt}", prefix.trim_end_matches('-'), digest.get(..12).unwrap_or_default())
}

impl Made<'_> {
    /// The Job of this template, which `keeper-api` has validated and filled.
    pub(super) fn of(&self, template: &Value) -> Result<DynamicObject, serde_json::Error> {
        let mut job = template.clone();
        strip(job.pointer_mut("/metadata"));
        strip(job.pointer_mut("/spec/template/metadata"));
        for list in ["containers", "initContainers"] {
            let containers = job.pointer_mut(&format!("/spec/template/spec/{list}")).and_then(Value::as_array_mut);
            containers.into_iter().flatten().for_each(|container| self.tell(container));
        }
        let canary = &self.look.canary;
        let owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": canary.name, "uid": canary.uid });
        let ours = json!({
            "name": self.name,
            "namespace": canary.namespace,
            "labels": { keys::MANAGED_BY: keys::MANAGED_BY_VALUE, keys::RUN_LABEL: self.run },
            "annotations": { CHECK: self.check },
            "ownerReferences": [owner],
        });
        if let Some(job) = job.as_object_mut() {
            merge(job.entry("metadata").or_insert_with(|| json!({})), ours);
        }
        serde_json::from_value(job)
    }

    /// Says in a container's environment what the canary is. First, so that what the author writes may refer to it.
    fn tell(&self, container: &mut Value) {
        let canary = &self.look.canary;
        let address = canary.address.map(|address| address.to_string()).unwrap_or_default();
        let Some(container) = container.as_object_mut() else { return };
        let env = container.entry("env").or_insert_with(|| json!([]));
        if env.is_null() {
            *env = json!([]);
        }
        let Some(env) = env.as_array_mut() else { return };
        let told = [
            ("CANARY_POD", canary.name.as_str()),
            ("CANARY_ADDRESS", address.as_str()),
            ("CANARY_NAMESPACE", canary.namespace.as_str()),
            ("CANARY_WORKLOAD", self.look.workload.as_str()),
        ];
        let is_written = |name: &str| env.iter().any(|one| crate::json::text(one, "/name") == Some(name));
        let told = told.iter().filter(|(name, _)| !is_written(name));
        let told: Vec<Value> = told.map(|(name, value)| json!({ "name": name, "value": value })).collect();
        env.splice(0..0, told);
    }
}

/// Takes labels and annotations of ours off: a Job's pod must not look like a canary.
fn strip(metadata: Option<&mut Value>) {
    let Some(metadata) = metadata.and_then(Value::as_object_mut) else { return };
    for key in ["labels", "annotations"] {
        if let Some(map) = metadata.get_mut(key).and_then(Value::as_object_mut) {
            map.retain(|name, _| !name.starts_with(keys::PREFIX) && name != keys::MANAGED_BY);
        }
    }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use keeper_signal::{Pod, Window};

    fn look() -> Look {
        let canary = Pod {
            namespace: "shop".into(),
            name: "web-canary".into(),
            uid: "u1".into(),
            address: Some("10.0.0.7".parse().unwrap()),
            created: Timestamp::UNIX_EPOCH,
        };
        let window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH };
        Look { workload: "web".into(), canary, baseline: vec![], window }
    }

    fn made(template: &Value) -> Value {
        let look = look();
        crate::json::as_json(
            &Made { look: &look, check: "smoke", run: "r1", name: "web-check-0" }.of(template).unwrap(),
        )
    }

    fn template(metadata: &Value, pod: &Value) -> Value {
        let spec = json!({"backoffLimit": 0, "template": {"metadata": metadata, "spec": pod}});
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
    }

    #[test]
    fn it_belongs_to_the_canary_and_says_of_which_run_it_is() {
        let job = made(&template(&json!({"labels": {"team": "a"}}), &json!({"containers": [{"name": "a"}]})));
        let metadata = json!({
            "name": "web-check-0", "namespace": "shop",
            "labels": {"team": "a", "app.kubernetes.io/managed-by": "canary-keeper", "canary-keeper.dev/run": "r1"},
            "annotations": {"canary-keeper.dev/check": "smoke"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "web-canary", "uid": "u1"}],
        });
        assert_eq!(job["metadata"], metadata);
        assert_eq!((&job["kind"], &job["spec"]["backoffLimit"]), (&json!("Job"), &json!(0)));
    }

    #[test]
    fn its_pod_is_no_canary_whatever_the_author_writes() {
        let labels = json!({"labels": {"canary-keeper.dev/canary": "web", "canary-keeper.dev/run": "r1", "app": "x"}});
        let job = made(&template(&labels, &json!({"containers": [{"name": "a"}]})));
        assert_eq!(job["spec"]["template"]["metadata"]["labels"], json!({"app": "x"}));
    }

    #[test]
    fn every_container_is_told_what_the_canary_is_before_what_it_wrote() {
        let written =
            json!([{"name": "URL", "value": "http://$(CANARY_ADDRESS)/"}, {"name": "CANARY_POD", "value": "x"}]);
        let pod =
            json!({"initContainers": [{"name": "i", "env": null}], "containers": [{"name": "a", "env": written}]});
        let job = made(&template(&json!({}), &pod));
        let env = |list: &str| {
            let env = &job["spec"]["template"]["spec"][list][0]["env"];
            let of = |one: &Value| format!("{}={}", one["name"].as_str().unwrap(), one["value"].as_str().unwrap());
            env.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
        };
        let told = ["CANARY_ADDRESS=10.0.0.7", "CANARY_NAMESPACE=shop", "CANARY_WORKLOAD=web"];
        let after = ["URL=http://$(CANARY_ADDRESS)/", "CANARY_POD=x"];
        assert_eq!(env("containers"), [&told[..], &after[..]].concat());
        assert_eq!(env("initContainers"), [&["CANARY_POD=web-canary"][..], &told[..]].concat());
    }

    #[test]
    fn a_name_is_of_one_canary_check_and_attempt() {
        let first = name("web", "u1", "smoke", 0);
        assert_eq!(first, name("web", "u1", "smoke", 0));
        let others = [name("web", "u2", "smoke", 0), name("web", "u1", "load", 0), name("web", "u1", "smoke", 1)];
        assert!(others.iter().all(|other| *other != first), "{others:?}");
        let long = name(&format!("{}.web", "a".repeat(240)), "u1", "smoke", u32::MAX);
        assert!(long.len() <= 63, "{long}");
        assert!(name("v1.web", "u1", "smoke", 0).starts_with("v1-web-check-"));
    }
}
