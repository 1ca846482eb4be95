//! Records as ConfigMaps.

use crate::kind;
use crate::view::CANARY_OF;
use keeper_api::{keys, record};
use keeper_rollout::{Record, Stored};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::json;

/// What a ConfigMap says of its workload's rollouts.
pub(crate) fn read(config_map: Option<&DynamicObject>) -> Stored {
    let Some(config_map) = config_map else { return Stored::Absent };
    let Some(text) = config_map.data.get("data").and_then(|data| data.get(keys::RECORD_KEY)?.as_str()) else {
        return Stored::Unreadable(format!("ConfigMap {} has no key {}", config_map.name_any(), keys::RECORD_KEY));
    };
    match record::from_json(text) {
        Ok(record) => Stored::Readable(Box::new(record)),
        Err(error) => Stored::Unreadable(format!("ConfigMap {}: {error}", config_map.name_any())),
    }
}

/// The ConfigMap with this record in it: as it was, with its resourceVersion, or a new one owned by the workload.
pub(crate) fn write(
    config_map: Option<&DynamicObject>,
    workload: &DynamicObject,
    name: &str,
    new: &Record,
) -> DynamicObject {
    let mut object = config_map.cloned().unwrap_or_else(|| create(workload, name));
    object.data = json!({ "data": { keys::RECORD_KEY: record::to_json(new) } });
    object
}

fn create(workload: &DynamicObject, name: &str) -> DynamicObject {
    let mut object = DynamicObject::new(name, &kind::config_map());
    object.metadata.namespace = workload.namespace();
    let labels = object.labels_mut();
    labels.insert(CANARY_OF.to_owned(), keeper_clone::label_value(&workload.name_any()));
    labels.insert(keys::MANAGED_BY.to_owned(), keys::MANAGED_BY_VALUE.to_owned());
    object.owner_references_mut().push(k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: workload.name_any(),
        uid: workload.uid().unwrap_or_default(),
        ..Default::default()
    });
    object
}
