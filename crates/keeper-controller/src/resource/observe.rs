//! From the objects of a Canary to what the core observes. Pure: no request, no clock.

use super::images::{self, IsOf};
use crate::json::{condition, cut, text};
use crate::memory::HeadError;
use crate::observe;
use crate::view::{deployment_name, whole_template_hash};
use jiff::Timestamp;
use keeper_api::keys;
use keeper_clone::PROMOTED_ANNOTATION;
use keeper_rollout::{Canary, Production, Reach, Record, Revision, RunId, State, Stored, Trouble, Uid};
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What production runs: the revision that was promoted, for as long as it carries its mark and runs its images; else
/// something that is named by its template. `expected` is what containers run under the revision that is wanted.
pub(super) fn production(
    production: Option<&DynamicObject>,
    expected: Option<(&Revision, &BTreeMap<String, String>)>,
) -> Production {
    let Some(production) = production else { return Production::Absent };
    let template = production.data.pointer("/spec/template").cloned().unwrap_or_default();
    let runs = keeper_clone::template_images(&template);
    let promoted = production.annotations().get(PROMOTED_ANNOTATION).map(|promoted| Revision::new(promoted.as_str()));
    let untouched = |revision: &Revision| match expected {
        Some((wanted, images)) if wanted == revision => {
            images.iter().all(|(container, image)| runs.get(container).is_some_and(|now| images::is_same(now, image)))
        }
        _ => true,
    };
    match promoted.filter(untouched) {
        Some(revision) => Production::Runs(revision),
        None => Production::Runs(Revision::new(format!("template:{}", whole_template_hash(production)))),
    }
}

/// What is remembered about this uid and generation, so that no registry need be asked: that it was promoted, that it is
/// bad, or that it waits.
pub(super) fn remembered(record: &Record, base: &Revision, now: Timestamp) -> Option<Revision> {
    let ended = match &record.state {
        State::Inconclusive(_, until) if now >= *until => None,
        state => state.ended().map(|ended| &ended.revision),
    };
    let all = ended.into_iter().chain(&record.promoted).chain(record.ledger.keys());
    all.into_iter().find(|revision| revision.is_of(base)).cloned()
}

/// The record without what speaks of another production than the one that is wanted now.
pub(super) fn of_this_production(stored: Stored, is_other: bool, is_younger: bool) -> Stored {
    let Stored::Readable(mut record) = stored else { return stored };
    if is_other {
        record.promoted = None;
    }
    if is_other || is_younger {
        record.floor = 0;
    }
    Stored::Readable(record)
}

/// The pod of the canary that lives: the youngest that is neither leaving nor over.
pub(super) fn live(pods: &[Arc<DynamicObject>]) -> Option<&Arc<DynamicObject>> {
    let over = |pod: &Arc<DynamicObject>| matches!(text(&pod.data, "/status/phase"), Some("Failed" | "Succeeded"));
    let alive = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && !over(pod));
    alive.max_by_key(|pod| pod.creation_timestamp())
}

/// The canary Deployment and its pod as the core sees them. A pod that its ReplicaSet makes anew is Ready since another
/// moment, which sets observed time to zero.
pub(super) fn canary(
    deployment: &DynamicObject,
    pod: Option<&DynamicObject>,
    containers: &[String],
    reachable: Reach,
    head: Option<&Result<(), HeadError>>,
) -> Canary {
    let created = deployment.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let seen = pod.map(|pod| observe::canary(pod, containers, reachable.clone(), head));
    let refused = || {
        let failure = condition(&deployment.data, "ReplicaFailure").filter(|c| text(c, "/status") == Some("True"))?;
        Some(Trouble::NotScheduled(cut(text(failure, "/message").unwrap_or("no pod could be made"), 200)))
    };
    Canary {
        uid: Uid::new(deployment.uid().unwrap_or_default()),
        run: deployment.labels().get(keys::RUN_LABEL).map(|run| RunId::new(run.as_str())),
        template: deployment.annotations().get(keys::TEMPLATE).map(|hash| hash.as_str().into()),
        ready: seen.as_ref().is_some_and(|seen| seen.ready),
        ready_changed: seen.as_ref().map_or(created, |seen| seen.ready_changed),
        terminating: deployment.metadata.deletion_timestamp.is_some(),
        reachable,
        trouble: seen.map_or_else(refused, |seen| seen.trouble),
    }
}

/// The Canary that acts in place of this one: the oldest for the same Deployment.
pub(super) fn elder(canary: &DynamicObject, all: &[Arc<DynamicObject>]) -> Option<String> {
    let age = |canary: &DynamicObject| (canary.creation_timestamp(), canary.uid());
    let same = |other: &&Arc<DynamicObject>| {
        other.uid() != canary.uid()
            && other.metadata.deletion_timestamp.is_none()
            && deployment_name(other).is_some()
            && deployment_name(other) == deployment_name(canary)
    };
    let elders = all.iter().filter(same).filter(|other| age(other) < age(canary));
    elders.min_by_key(|other| age(other)).map(|other| other.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keeper_rollout::{Ended, Entry, EntryKind, Told};
    use serde_json::{Value, json};

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn deployment(promoted: Option<&str>, image: &str) -> DynamicObject {
        let mut annotations = json!({});
        if let Some(promoted) = promoted {
            annotations["canary-keeper.dev/promoted"] = json!(promoted);
        }
        object(json!({
            "metadata": {"name": "shop", "namespace": "team", "uid": "u", "annotations": annotations},
            "spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}, {"name": "injected", "image": "x"}]}}},
        }))
    }

    #[test]
    fn production_is_what_its_mark_and_its_images_say() {
        let wanted = Revision::from("u1/2");
        let images = BTreeMap::from([("web".to_owned(), "app:good".to_owned())]);
        let runs = |promoted, image| match production(Some(&deployment(promoted, image)), Some((&wanted, &images))) {
            Production::Runs(revision) => revision.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(runs(Some("u1/2"), "app:good"), "u1/2");
        // Another generation's images aren't known any more.
        assert_eq!(runs(Some("u1/1"), "app:old"), "u1/1");
        assert!(runs(Some("u1/2"), "app:by-hand").starts_with("template:"));
        assert!(runs(None, "app:good").starts_with("template:"));
        assert_ne!(runs(None, "app:good"), runs(None, "app:other"));
        assert_eq!(production(None, None), Production::Absent);
    }

    #[test]
    fn what_is_remembered_asks_no_registry() {
        let now = Timestamp::from_second(100).unwrap();
        let base = Revision::from("u1/2");
        let told = || Told { reason: "r".into(), message: "m".into(), at: now };
        let ended = |revision: &str| Ended { revision: revision.into(), told: told() };
        let of = |record: &Record| remembered(record, &base, now).map(|revision| revision.to_string());
        assert_eq!(of(&Record::default()), None);
        let rejected = Record { state: State::Rejected(ended("u1/2@aa")), ..Record::default() };
        assert_eq!(of(&rejected).as_deref(), Some("u1/2@aa"));
        let earlier = Record { state: State::Rejected(ended("u1/1@aa")), ..Record::default() };
        assert_eq!(of(&earlier), None);
        let waits = |until: i64| Record {
            state: State::Inconclusive(ended("u1/2"), Timestamp::from_second(until).unwrap()),
            ..Record::default()
        };
        assert_eq!((of(&waits(101)).as_deref(), of(&waits(100))), (Some("u1/2"), None));
        let promoted = Record { promoted: Some("u1/2@bb".into()), ..Record::default() };
        assert_eq!(of(&promoted).as_deref(), Some("u1/2@bb"));
        let entry = Entry { kind: EntryKind::Rejected, told: told() };
        let ledger = Record { ledger: [("u1/2".into(), entry)].into(), ..Record::default() };
        assert_eq!(of(&ledger).as_deref(), Some("u1/2"));
    }

    #[test]
    fn the_youngest_living_pod_is_the_canarys() {
        let pod = |name: &str, created: &str, phase: &str, leaving: bool| {
            let mut pod = json!({
                "metadata": {"name": name, "creationTimestamp": created}, "status": {"phase": phase},
            });
            if leaving {
                pod["metadata"]["deletionTimestamp"] = json!(created);
            }
            Arc::new(object(pod))
        };
        let pods = [
            pod("evicted", "2026-01-01T00:00:03Z", "Failed", false),
            pod("leaving", "2026-01-01T00:00:04Z", "Running", true),
            pod("older", "2026-01-01T00:00:01Z", "Running", false),
            pod("younger", "2026-01-01T00:00:02Z", "Pending", false),
        ];
        assert_eq!(live(&pods).map(|pod| pod.name_any()).as_deref(), Some("younger"));
        assert!(live(pods.get(..2).unwrap()).is_none());
    }

    #[test]
    fn the_older_of_two_acts() {
        let canary = |name: &str, uid: &str, created: &str, of: &str| {
            Arc::new(object(json!({
                "metadata": {"name": name, "uid": uid, "creationTimestamp": created},
                "spec": {"deploymentTemplate": {"metadata": {"name": of}}},
            })))
        };
        let all = [
            canary("a", "1", "2026-01-01T00:00:02Z", "shop"),
            canary("b", "2", "2026-01-01T00:00:01Z", "shop"),
            canary("c", "3", "2026-01-01T00:00:00Z", "other"),
            canary("d", "0", "2026-01-01T00:00:02Z", "shop"),
        ];
        let elder_of = |at: usize| elder(all.get(at).unwrap(), &all);
        assert_eq!(elder_of(0).as_deref(), Some("b"));
        assert_eq!(elder_of(1), None);
        assert_eq!(elder_of(2), None);
        assert_eq!(elder_of(3).as_deref(), Some("b"));
    }
}
