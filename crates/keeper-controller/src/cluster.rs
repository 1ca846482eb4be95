//! Every request we make of the API server beside our watches, on one screen. No decision is made here.

use crate::error::ClusterError;
use crate::kind::{self, Subject};
use crate::view::Key;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use keeper_clone::WorkloadKind;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use kube::core::ApiResource;
use kube::{Client, ResourceExt};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The field manager of all our writes.
pub const FIELD_MANAGER: &str = "canary-keeper";
const REPORTING_CONTROLLER: &str = "canary-keeper.dev/operator";
/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// The API server refuses longer notes.
const LONGEST_NOTE: usize = 1000;

/// The API server as this crate uses it.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    instance: String,
}

impl Cluster {
    pub(crate) fn new(client: Client, instance: String) -> Self {
        Self { client, instance }
    }

    fn api(&self, namespace: &str, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, kind)
    }

    /// The workload or Canary.
    pub(crate) async fn subject(&self, key: &Key) -> Result<Option<DynamicObject>, ClusterError> {
        let (namespace, name, subject) = key;
        within("read the workload", self.api(namespace, &subject.resource()).get_opt(name)).await
    }

    /// Asks for one DeploymentConfig, and one ReplicationController: whether the kind is there, and whether we may see both.
    pub(crate) async fn probe_configs(&self, namespace: Option<&str>) -> Result<(), ClusterError> {
        for kind in [kind::workload(WorkloadKind::DeploymentConfig), kind::replication_controller()] {
            let api: Api<DynamicObject> = match namespace {
                Some(namespace) => self.api(namespace, &kind),
                None => Api::all_with(self.client.clone(), &kind),
            };
            within("look for DeploymentConfigs", api.list_metadata(&ListParams::default().limit(1))).await?;
        }
        Ok(())
    }

    /// The canary: a pod, or a Deployment.
    pub(crate) async fn canary(
        &self,
        namespace: &str,
        name: &str,
        kind: &ApiResource,
    ) -> Result<Option<DynamicObject>, ClusterError> {
        within("read the canary", self.api(namespace, kind).get_opt(name)).await
    }

    /// The pods of one run for one Deployment: runs for two of them may have the same id.
    pub(crate) async fn pods_of_run(
        &self,
        namespace: &str,
        deployment: &str,
        run: &str,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let (of, deployment) = (keeper_api::keys::CANARY_OF, keeper_clone::label_value(deployment));
        let params = ListParams::default().labels(&format!("{of}={deployment},{}={run}", keeper_api::keys::RUN_LABEL));
        within("list the canary's pods", self.api(namespace, &kind::pod()).list(&params)).await.map(|list| list.items)
    }

    /// Whether an autoscaler counts the replicas of that Deployment.
    pub(crate) async fn is_autoscaled(&self, namespace: &str, deployment: &str) -> Result<bool, ClusterError> {
        let api = self.api(namespace, &kind::autoscaler());
        let all = within("look for autoscalers", api.list(&ListParams::default())).await?;
        let target = |scaler: &DynamicObject, field: &str| {
            crate::json::text(&scaler.data, &format!("/spec/scaleTargetRef/{field}")).map(str::to_owned)
        };
        let of_it = |scaler: &DynamicObject| {
            target(scaler, "kind").as_deref() == Some(WorkloadKind::Deployment.name())
                && target(scaler, "name").as_deref() == Some(deployment)
        };
        Ok(all.items.iter().any(of_it))
    }

    /// A check's Job.
    pub(crate) async fn job(&self, namespace: &str, name: &str) -> Result<Option<DynamicObject>, ClusterError> {
        within("read a check's Job", self.api(namespace, &kind::job()).get_opt(name)).await
    }

    /// The pods of that very Job.
    pub(crate) async fn pods_of_job(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let params = ListParams::default().labels(&format!("job-name={name}"));
        let list = within("list the pods of a check's Job", self.api(namespace, &kind::pod()).list(&params)).await?;
        let is_its = |pod: &DynamicObject| pod.owner_references().iter().any(|owner| owner.uid == uid);
        Ok(list.items.into_iter().filter(is_its).collect())
    }

    pub(crate) async fn start_job(&self, job: &DynamicObject) -> Result<DynamicObject, ClusterError> {
        let api = self.api(&job.namespace().unwrap_or_default(), &kind::job());
        within("start a check's Job", api.create(&post(false), job)).await
    }

    /// Deletes the Job of that uid, and its pods after it.
    pub(crate) async fn delete_job(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ClusterError> {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        within("delete a check's Job", self.api(namespace, &kind::job()).delete(name, &params)).await.map(drop)
    }

    pub(crate) async fn record(&self, namespace: &str, name: &str) -> Result<Option<DynamicObject>, ClusterError> {
        within("read the record", self.api(namespace, &kind::config_map()).get_opt(name)).await
    }

    pub(crate) async fn volume_claim(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>, ClusterError> {
        within("read a volume claim", self.api(namespace, &kind::volume_claim()).get_opt(name)).await
    }

    /// The records of all rollouts, in one request.
    pub(crate) async fn records(&self, namespace: Option<&str>) -> Result<Vec<DynamicObject>, ClusterError> {
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => self.api(namespace, &kind::config_map()),
            None => Api::all_with(self.client.clone(), &kind::config_map()),
        };
        let params = ListParams::default().labels(kind::RECORDS);
        within("list the records", api.list(&params)).await.map(|list| list.items)
    }

    /// All Canaries, in one request; none where the kind is not served or may not be seen.
    pub(crate) async fn canaries(&self, namespace: Option<&str>) -> Result<Vec<DynamicObject>, ClusterError> {
        let kind = Subject::Canary.resource();
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => self.api(namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        };
        match within("list the Canaries", api.list(&ListParams::default())).await {
            Ok(list) => Ok(list.items),
            Err(ClusterError::NotFound { .. } | ClusterError::Refused { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Creates the record, or replaces the very version that `record` carries: a ConfigMap, or the status of a Canary.
    pub(crate) async fn write_record(&self, record: &DynamicObject) -> Result<DynamicObject, ClusterError> {
        if Subject::of(record) == Subject::Canary {
            let api = self.api(&record.namespace().unwrap_or_default(), &Subject::Canary.resource());
            return within("write the record", api.replace_status(&record.name_any(), &post(false), record)).await;
        }
        let api = self.api(&record.namespace().unwrap_or_default(), &kind::config_map());
        match record.resource_version() {
            None => within("write the record", api.create(&post(false), record)).await,
            Some(_) => within("write the record", api.replace(&record.name_any(), &post(false), record)).await,
        }
    }

    pub(crate) async fn create_canary(
        &self,
        canary: &DynamicObject,
        kind: &ApiResource,
        dry_run: bool,
    ) -> Result<DynamicObject, ClusterError> {
        let api = self.api(&canary.namespace().unwrap_or_default(), kind);
        let what = if dry_run { "create the canary (dry-run)" } else { "create the canary" };
        within(what, api.create(&post(dry_run), canary)).await
    }

    /// Deletes the canary of that uid. A Deployment stays to be seen until its pods are gone.
    pub(crate) async fn delete_canary(
        &self,
        namespace: &str,
        name: &str,
        kind: &ApiResource,
        uid: &str,
    ) -> Result<(), ClusterError> {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let propagation_policy = (kind.kind != "Pod").then_some(PropagationPolicy::Foreground);
        let params = DeleteParams { preconditions: Some(preconditions), propagation_policy, ..DeleteParams::default() };
        within("delete the canary", self.api(namespace, kind).delete(name, &params)).await.map(drop)
    }

    /// Production as it is created where there was none. The server refuses a second one of the name.
    pub(crate) async fn create_workload(
        &self,
        workload: &DynamicObject,
        dry_run: bool,
    ) -> Result<DynamicObject, ClusterError> {
        let api = self.api(&workload.namespace().unwrap_or_default(), &Subject::DEPLOYMENT.resource());
        let what = if dry_run { "create production (dry-run)" } else { "create production" };
        within(what, api.create(&post(dry_run), workload)).await
    }

    /// The one patch of production, or its fence: a JSON patch whose first operations test uid and resourceVersion.
    pub(crate) async fn patch_workload(
        &self,
        key: &Key,
        operations: &Value,
        dry_run: bool,
    ) -> Result<DynamicObject, ClusterError> {
        let (namespace, name, subject) = key;
        let what = if dry_run { "patch production (dry-run)" } else { "patch production" };
        let patch: json_patch::Patch = serde_json::from_value(operations.clone()).map_err(ClusterError::patch)?;
        let params = PatchParams { dry_run, field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patch = Patch::Json::<()>(patch);
        within(what, self.api(namespace, &subject.resource()).patch(name, &params, &patch)).await
    }

    /// Rolls out the template of a DeploymentConfig, as `oc rollout latest` does.
    pub(crate) async fn instantiate(&self, key: &Key, request: &Value) -> Result<DynamicObject, ClusterError> {
        let (namespace, name, subject) = key;
        let api = self.api(namespace, &subject.resource());
        within("roll production out", api.create_subresource("instantiate", name, &post(false), request)).await
    }

    /// Shows phase and reason on the workload. On the condition that it still is the same workload.
    pub(crate) async fn show(
        &self,
        workload: &DynamicObject,
        annotations: &Value,
    ) -> Result<DynamicObject, ClusterError> {
        let (namespace, name) = (workload.namespace().unwrap_or_default(), workload.name_any());
        let patch = serde_json::json!({ "metadata": { "uid": workload.uid(), "annotations": annotations } });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patch = Patch::Merge(&patch);
        let api = self.api(&namespace, &kind::workload(kind::of(workload)));
        within("show the phase", api.patch(&name, &params, &patch)).await
    }

    /// Shows what needs no record in a Canary's status: a merge of these fields alone, on the condition that it still is
    /// the same Canary.
    pub(crate) async fn show_status(
        &self,
        canary: &DynamicObject,
        status: &Value,
    ) -> Result<DynamicObject, ClusterError> {
        let (namespace, name) = (canary.namespace().unwrap_or_default(), canary.name_any());
        let patch = serde_json::json!({ "metadata": { "uid": canary.uid() }, "status": status });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let api = self.api(&namespace, &Subject::Canary.resource());
        within("show the phase", api.patch_status(&name, &params, &Patch::Merge(&patch))).await
    }

    /// Tells an Event of the workload or Canary. Its name is made of what it says, so that telling it twice changes nothing.
    pub(crate) async fn tell(&self, workload: &DynamicObject, event: &Told<'_>) -> Result<(), ClusterError> {
        let (namespace, name) = (workload.namespace().unwrap_or_default(), workload.name_any());
        let (uid, regarding) = (workload.uid().unwrap_or_default(), Subject::of(workload).resource());
        let mut hash = Sha256::new();
        for part in [uid.as_str(), event.run, event.reason, event.note] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digest = hex::encode(hash.finalize());
        let short: String = name.chars().take(200).collect();
        let object = Event {
            metadata: ObjectMeta {
                name: Some(format!("{short}.{}", digest.get(..16).unwrap_or_default())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            action: Some("Rollout".into()),
            event_time: Some(MicroTime(Timestamp::now())),
            note: Some(event.note.chars().take(LONGEST_NOTE).collect()),
            reason: Some(event.reason.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(regarding.api_version),
                kind: Some(regarding.kind),
                name: Some(name),
                namespace: Some(namespace.clone()),
                uid: Some(uid),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(REPORTING_CONTROLLER.into()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(if event.warning { "Warning" } else { "Normal" }.into()),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        match within("tell an event", api.create(&post(false), &object)).await {
            Err(error) if !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }
}

/// An Event to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    pub(crate) run: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) note: &'a str,
    pub(crate) warning: bool,
}

/// One request, with a deadline of our own: a server that doesn't answer must not hold up a workload for longer. What a
/// write without an answer did, the next observation tells.
pub(crate) async fn within<T>(
    what: &'static str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(answer) => answer.map_err(ClusterError::of(what)),
        Err(_) => Err(ClusterError::TimedOut { what, after: DEADLINE }),
    }
}

pub(crate) fn post(dry_run: bool) -> PostParams {
    PostParams { dry_run, field_manager: Some(FIELD_MANAGER.into()) }
}
