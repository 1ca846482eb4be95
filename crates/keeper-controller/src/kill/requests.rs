//! Every request the killer makes beside its watches, on one screen. No decision is made here.

use crate::cluster::{post, within};
use crate::error::ClusterError;
use crate::kind;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use keeper_api::kills::{LABELS_BEFORE, QUARANTINED};
use keeper_kill::{Answer, PodName, Uid};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const REPORTING_CONTROLLER: &str = "canary-keeper.dev/killer";
/// How the API server words a JSON patch whose test failed.
const FAILED_TEST: &str = "rejected our request due to an error in our request";
/// The API server refuses longer notes.
const LONGEST_NOTE: usize = 1000;

/// The API server as the killer uses it.
#[derive(Clone)]
pub(super) struct Requests {
    client: Client,
    instance: String,
}

/// An Event to be told.
pub(super) struct Told<'a> {
    pub(super) regarding: ObjectReference,
    /// What makes two of them different, beside reason and note.
    pub(super) about: &'a str,
    pub(super) action: &'a str,
    pub(super) reason: &'a str,
    pub(super) note: &'a str,
    pub(super) warning: bool,
}

impl Requests {
    pub(super) fn new(client: Client, instance: String) -> Self {
        Self { client, instance }
    }

    fn pods(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind::pod())
    }

    pub(super) async fn ledger(&self, namespace: &str, name: &str) -> Result<Option<DynamicObject>, ClusterError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind::config_map());
        within("read the ledger", api.get_opt(name)).await
    }

    /// Creates the ledger, or replaces the very version that it carries.
    pub(super) async fn write_ledger(&self, ledger: &DynamicObject) -> Result<DynamicObject, ClusterError> {
        let namespace = ledger.namespace().unwrap_or_default();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &kind::config_map());
        match ledger.resource_version() {
            None => within("write the ledger", api.create(&post(false), ledger)).await,
            Some(_) => within("write the ledger", api.replace(&ledger.name_any(), &post(false), ledger)).await,
        }
    }

    pub(super) async fn pod(&self, pod: &PodName) -> Result<Option<DynamicObject>, ClusterError> {
        within("read the pod", self.pods(pod.namespace()).get_opt(pod.name())).await
    }

    /// Asks for the pod's eviction, by its uid. Written out by hand: kube's own `evict` spells `deleteOptions` in a way
    /// that the API server passes over, and the uid with it.
    pub(super) async fn evict(&self, pod: &PodName, uid: &Uid, dry_run: bool) -> Answer {
        let options = if dry_run {
            json!({ "preconditions": { "uid": uid.as_str() }, "dryRun": ["All"] })
        } else {
            json!({ "preconditions": { "uid": uid.as_str() } })
        };
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": pod.name(), "namespace": pod.namespace() },
            "deleteOptions": options,
        });
        let path = format!("/api/v1/namespaces/{}/pods/{}/eviction", pod.namespace(), pod.name());
        let request = http::Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
        let body = serde_json::to_vec(&eviction).unwrap_or_default();
        let request = match request.body(body) {
            Ok(request) => request,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        answer(within("evict the pod", self.client.request::<Value>(request)).await.map(drop))
    }

    pub(super) async fn delete(&self, pod: &PodName, uid: &Uid) -> Answer {
        let preconditions = Preconditions { uid: Some(uid.as_str().to_owned()), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let pods = self.pods(pod.namespace());
        answer(within("delete the pod", pods.delete(pod.name(), &params)).await.map(drop))
    }

    /// Takes the pod out of everything that selects it, and keeps what labels it had.
    pub(super) async fn quarantine(&self, pod: &DynamicObject, uid: &Uid) -> Answer {
        let Some(name) = pod.namespace().and_then(|namespace| PodName::new(&namespace, &pod.name_any())) else {
            return Answer::NotFound;
        };
        let before = serde_json::to_string(pod.labels()).unwrap_or_default();
        let mut annotations = pod.annotations().clone();
        annotations.insert(LABELS_BEFORE.to_owned(), before);
        let operations = json!([
            { "op": "test", "path": "/metadata/uid", "value": uid.as_str() },
            { "op": "test", "path": "/metadata/resourceVersion", "value": pod.resource_version() },
            { "op": "add", "path": "/metadata/labels", "value": { (QUARANTINED): "true" } },
            { "op": "add", "path": "/metadata/annotations", "value": annotations },
        ]);
        let patch: json_patch::Patch = match serde_json::from_value(operations) {
            Ok(patch) => patch,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        let params =
            PatchParams { field_manager: Some(crate::cluster::FIELD_MANAGER.into()), ..PatchParams::default() };
        let (pods, patch) = (self.pods(name.namespace()), Patch::Json::<()>(patch));
        match within("quarantine the pod", pods.patch(name.name(), &params, &patch)).await {
            // A failed test, of which the server does not say which: the kubelet writes the status all the time, or another pod
            // bears the name. Look again: the uid is compared there.
            Err(ClusterError::Refused { message, .. }) if message.contains(FAILED_TEST) => Answer::NotNow(message),
            other => answer(other.map(drop)),
        }
    }

    /// Tells an Event. Its name is made of what it says, so that telling it twice changes nothing.
    pub(super) async fn tell(&self, told: &Told<'_>) -> Result<(), ClusterError> {
        let namespace = told.regarding.namespace.clone().unwrap_or_default();
        let name = told.regarding.name.clone().unwrap_or_default();
        let mut hash = Sha256::new();
        for part in [told.regarding.uid.as_deref().unwrap_or_default(), told.about, told.reason, told.note] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digest = hex::encode(hash.finalize());
        let short: String = name.chars().take(200).collect();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{short}.{}", digest.get(..16).unwrap_or_default())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            action: Some(told.action.to_owned()),
            event_time: Some(MicroTime(Timestamp::now())),
            note: Some(told.note.chars().take(LONGEST_NOTE).collect()),
            reason: Some(told.reason.to_owned()),
            regarding: Some(told.regarding.clone()),
            reporting_controller: Some(REPORTING_CONTROLLER.into()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(if told.warning { "Warning" } else { "Normal" }.into()),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        match within("tell an event", api.create(&post(false), &event)).await {
            Err(error) if !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }
}

/// What the API server's answer means for a removal.
fn answer(result: Result<(), ClusterError>) -> Answer {
    match result {
        Ok(()) => Answer::Accepted,
        Err(ClusterError::NotFound { .. }) => Answer::NotFound,
        Err(ClusterError::Conflict { message, .. }) if message.contains("UID in precondition") => Answer::AnotherPod,
        Err(ClusterError::Refused { message, .. }) => Answer::Refused(message),
        Err(error) => unavailable(&error),
    }
}

/// 429 is a disruption budget's; 500 with these words is the answer to a pod that several budgets hold.
fn unavailable(error: &ClusterError) -> Answer {
    if let ClusterError::Unavailable { source, .. } = error
        && let kube::Error::Api(status) = source.as_ref()
    {
        let several = status.code == 500 && status.message.contains("more than one PodDisruptionBudget");
        if status.code == 429 || several {
            return Answer::DisruptionBudget(status.message.clone());
        }
    }
    Answer::Lost(super::said(error))
}

/// A reference to an object that an Event is about.
pub(super) fn regarding(pod: &PodName, uid: &Uid, workload: Option<&keeper_kill::Workload>) -> ObjectReference {
    let (api_version, kind, name, uid) = match workload {
        Some(workload) => {
            (workload.api_version.as_str(), workload.kind.as_str(), workload.name.as_str(), &workload.uid)
        }
        None => ("v1", "Pod", pod.name(), uid),
    };
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        namespace: Some(pod.namespace().to_owned()),
        uid: Some(uid.as_str().to_owned()),
        ..ObjectReference::default()
    }
}

/// What the API server shows of a pod.
pub(super) fn shown(pod: Option<&DynamicObject>) -> keeper_kill::Shown {
    let Some(pod) = pod else { return keeper_kill::Shown::Gone };
    let uid = Uid::new(pod.uid().unwrap_or_default());
    let phase = crate::json::text(&pod.data, "/status/phase");
    let leaving = pod.meta().deletion_timestamp.is_some()
        || matches!(phase, Some("Succeeded" | "Failed"))
        || pod.labels().contains_key(QUARANTINED);
    if leaving { keeper_kill::Shown::Leaving(uid) } else { keeper_kill::Shown::Staying(uid) }
}
