//! StatefulSet: pods with names of their own, one after the other; who goes comes back under the same name.
//!
//! Left out: claims (a set with `volumeClaimTemplates` is not run), ControllerRevisions (a pod is always made from the
//! newest template), `maxUnavailable`, adoption.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Controller, Error,
    deployment::revision::{hash_of, template_of},
    replicaset::{available_at, new_pod},
};
use crate::objects::{Fields, Key, Meta, Object, PODS, STATEFUL_SETS, is_finished, is_ready};
use crate::view::{Change, View};

const REVISION: &str = "controller-revision-hash";

pub(super) struct StatefulSets {
    view: View,
}

impl StatefulSets {
    pub(super) fn new(view: View) -> Self {
        Self { view }
    }
}

impl Controller for StatefulSets {
    const NAME: &'static str = "statefulset";

    fn concerns(&self, change: &Change<'_>) -> Vec<Key> {
        if *change.kind == *STATEFUL_SETS {
            return change.latest().map(Meta::key).into_iter().collect();
        }
        if *change.kind != *PODS {
            return Vec::new();
        }
        let owner = change.latest().and_then(|pod| Some((pod.namespace(), pod.controller()?)));
        let owner = owner.filter(|(_, owner)| STATEFUL_SETS.is_meant_by(owner));
        owner.map(|(namespace, owner)| Key::new(namespace, owner.name.clone())).into_iter().collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Error> {
        let Some(set) = self.view.get(&STATEFUL_SETS, key) else { return Ok(None) };
        if !set.items("/spec/volumeClaimTemplates").is_empty() {
            tracing::warn!(set = %key, "volumeClaimTemplates are left out");
            return Ok(None);
        }
        let look = Look::of(&set, &self.owned(&set), Timestamp::now());
        let orders = if set.deleting() { Vec::new() } else { look.orders() };
        for order in orders {
            match order {
                Order::Make(ordinal) => drop(self.view.create(&PODS, &look.new_pod(ordinal)?).await?),
                Order::Delete(pod) => self.view.delete(&PODS, &pod, None).await?,
            }
        }
        let now = Timestamp::now();
        let look = Look::of(&set, &self.owned(&set), now);
        let status = look.status();
        if set.data.get("status") != Some(&status) {
            let mut changed = (*set).clone();
            changed.set(&["status"], status);
            self.view.replace_status(&STATEFUL_SETS, &changed).await?;
        }
        let next = look.pods.iter().filter_map(|pod| available_at(&set, pod)).filter(|at| *at > now).min();
        Ok(next.map(|at| at.duration_since(now).unsigned_abs() + Duration::from_millis(20)))
    }
}

impl StatefulSets {
    fn owned(&self, set: &Object) -> Vec<Arc<Object>> {
        let pods = self.view.all(&PODS, Some(set.namespace()));
        pods.into_iter().filter(|pod| pod.controller().is_some_and(|owner| owner.uid == set.uid())).collect()
    }
}

/// What is to be done.
#[derive(Debug, PartialEq)]
enum Order {
    Make(i64),
    Delete(Arc<Object>),
}

/// One set and its pods at one moment.
struct Look<'a> {
    set: &'a Object,
    pods: Vec<Arc<Object>>,
    revision: String,
    now: Timestamp,
}

impl<'a> Look<'a> {
    fn of(set: &'a Object, pods: &[Arc<Object>], now: Timestamp) -> Self {
        let revision = format!("{}-{}", set.name(), hash_of(&template_of(set), 0));
        Self { set, pods: pods.to_vec(), revision, now }
    }

    fn replicas(&self) -> i64 {
        self.set.int("/spec/replicas").unwrap_or(1).max(0)
    }

    fn first(&self) -> i64 {
        self.set.int("/spec/ordinals/start").unwrap_or(0)
    }

    fn ordinal(&self, pod: &Object) -> Option<i64> {
        pod.name().strip_prefix(self.set.name())?.strip_prefix('-')?.parse().ok()
    }

    fn pod(&self, ordinal: i64) -> Option<&Arc<Object>> {
        self.pods.iter().find(|pod| self.ordinal(pod) == Some(ordinal))
    }

    fn is_available(&self, pod: &Object) -> bool {
        let running = pod.text("/status/phase") == Some("Running") && is_ready(pod);
        running && available_at(self.set, pod).is_some_and(|at| at <= self.now)
    }

    fn is_newest(&self, pod: &Object) -> bool {
        pod.label(REVISION) == Some(self.revision.as_str())
    }

    /// In order, the next step waits until every pod before is available; else everything is done at once.
    fn orders(&self) -> Vec<Order> {
        let in_order = self.set.text("/spec/podManagementPolicy") != Some("Parallel");
        let mut orders = Vec::new();
        for ordinal in self.first()..self.first() + self.replicas() {
            let waits = match self.pod(ordinal) {
                None => {
                    orders.push(Order::Make(ordinal));
                    true
                }
                Some(pod) if is_finished(pod) => {
                    orders.extend((!pod.deleting()).then(|| Order::Delete(Arc::clone(pod))));
                    true
                }
                Some(pod) => pod.deleting() || !self.is_available(pod),
            };
            if in_order && waits {
                return orders;
            }
        }
        let mut condemned: Vec<&Arc<Object>> = self.pods.iter().filter(|pod| !self.is_wanted(pod)).collect();
        condemned.sort_by_key(|pod| std::cmp::Reverse(self.ordinal(pod)));
        for pod in condemned {
            let leaving = pod.deleting();
            orders.extend((!leaving).then(|| Order::Delete(Arc::clone(pod))));
            if in_order {
                return orders;
            }
        }
        orders.extend(self.outdated().map(Order::Delete));
        orders
    }

    fn is_wanted(&self, pod: &Object) -> bool {
        let range = self.first()..self.first() + self.replicas();
        self.ordinal(pod).is_none_or(|ordinal| range.contains(&ordinal))
    }

    /// The last pod of an older template, if all behind it are available.
    fn outdated(&self) -> Option<Arc<Object>> {
        if self.set.text("/spec/updateStrategy/type") == Some("OnDelete") {
            return None;
        }
        let lowest = self.set.int("/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0).max(self.first());
        for ordinal in (lowest..self.first() + self.replicas()).rev() {
            let pod = self.pod(ordinal)?;
            if !self.is_newest(pod) && !pod.deleting() {
                return Some(Arc::clone(pod));
            }
            if pod.deleting() || !self.is_available(pod) {
                return None;
            }
        }
        None
    }

    fn new_pod(&self, ordinal: i64) -> serde_json::Result<Object> {
        let mut pod = new_pod(&STATEFUL_SETS, self.set)?;
        let name = format!("{}-{ordinal}", self.set.name());
        let labels = pod.metadata.labels.get_or_insert_default();
        labels.insert("statefulset.kubernetes.io/pod-name".into(), name.clone());
        labels.insert("apps.kubernetes.io/pod-index".into(), ordinal.to_string());
        labels.insert(REVISION.into(), self.revision.clone());
        pod.set(&["spec", "hostname"], json!(name));
        if let Some(service) = self.set.text("/spec/serviceName").filter(|service| !service.is_empty()) {
            pod.set(&["spec", "subdomain"], json!(service));
        }
        pod.metadata.name = Some(name);
        Ok(pod)
    }

    fn status(&self) -> Value {
        let count = |wanted: &dyn Fn(&Object) -> bool| self.pods.iter().filter(|pod| wanted(pod)).count();
        let replicas = count(&|pod| pod.text("/status/phase").is_some());
        let ready = count(&|pod| pod.text("/status/phase") == Some("Running") && is_ready(pod));
        let updated = count(&|pod| !pod.deleting() && self.is_newest(pod));
        let before = self.set.text("/status/currentRevision").unwrap_or(&self.revision);
        let wanted = usize::try_from(self.replicas()).unwrap_or(0);
        let rolls = self.set.text("/spec/updateStrategy/type") != Some("OnDelete");
        let complete = rolls && [updated, replicas, ready] == [wanted; 3];
        let current = if complete { self.revision.as_str() } else { before };
        let mut status = json!({
            "replicas": replicas,
            "availableReplicas": count(&|pod| self.is_available(pod)),
            "currentRevision": current,
            "updateRevision": self.revision,
            "collisionCount": 0,
            "observedGeneration": self.set.metadata.generation,
        });
        let is_current = |pod: &Object| !pod.deleting() && pod.label(REVISION) == Some(current);
        // Zero is left out, as the API does for these fields.
        let counts = [("readyReplicas", ready), ("updatedReplicas", updated), ("currentReplicas", count(&is_current))];
        for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            crate::objects::set(&mut status, &[field], json!(count));
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::object;

    fn set(replicas: i64, policy: &str) -> Object {
        let spec = json!({"replicas": replicas, "podManagementPolicy": policy, "template": {"spec": {}}});
        object(&STATEFUL_SETS, json!({"metadata": {"name": "db", "namespace": "n", "uid": "s"}, "spec": spec})).unwrap()
    }

    fn pod(set: &Object, ordinal: i64, ready: bool) -> Arc<Object> {
        let mut pod = Look::of(set, &[], Timestamp::UNIX_EPOCH).new_pod(ordinal).unwrap();
        let ready = if ready { "True" } else { "False" };
        pod.set(&["status"], json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}));
        Arc::new(pod)
    }

    fn orders(set: &Object, pods: &[Arc<Object>]) -> Vec<String> {
        let look = Look::of(set, pods, Timestamp::UNIX_EPOCH);
        let name = |order: &Order| match order {
            Order::Make(ordinal) => format!("make {ordinal}"),
            Order::Delete(pod) => format!("delete {}", pod.name()),
        };
        look.orders().iter().map(name).collect()
    }

    #[test]
    fn one_after_the_other_or_all_at_once() {
        let ordered = set(3, "OrderedReady");
        assert_eq!(orders(&ordered, &[]), ["make 0"]);
        assert_eq!(orders(&ordered, &[pod(&ordered, 0, false)]), [""; 0]);
        assert_eq!(orders(&ordered, &[pod(&ordered, 0, true)]), ["make 1"]);
        assert_eq!(orders(&set(3, "Parallel"), &[]), ["make 0", "make 1", "make 2"]);
    }

    #[test]
    fn the_last_goes_first() {
        let one = set(1, "OrderedReady");
        let pods = [pod(&one, 0, true), pod(&one, 1, true), pod(&one, 2, true)];
        assert_eq!(orders(&one, &pods), ["delete db-2"]);
    }
}
