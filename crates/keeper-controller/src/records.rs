//! Records as ConfigMaps, and in the status of Canaries.

use crate::json::as_json;
use crate::kind::{self, Subject};
use crate::view::CANARY_OF;
use keeper_api::record::Signals;
use keeper_api::{canary, keys, record};
use keeper_rollout::{Record, Stored};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// What a ConfigMap says of its workload's rollouts, or a Canary of its own.
pub(crate) fn read(object: Option<&DynamicObject>) -> Stored {
    let Some(config_map) = object else { return Stored::Absent };
    if Subject::of(config_map) == Subject::Canary {
        return match canary::record(&as_json(config_map)) {
            Ok(None) => Stored::Absent,
            Ok(Some(record)) => Stored::Readable(Box::new(record)),
            Err(error) => Stored::Unreadable(format!("status of Canary {}: {error}", config_map.name_any())),
        };
    }
    let Some(text) = config_map.data.get("data").and_then(|data| data.get(keys::RECORD_KEY)?.as_str()) else {
        return Stored::Unreadable(format!("ConfigMap {} has no key {}", config_map.name_any(), keys::RECORD_KEY));
    };
    match record::from_json(text) {
        Ok(record) => Stored::Readable(Box::new(record)),
        Err(error) => Stored::Unreadable(format!("ConfigMap {}: {error}", config_map.name_any())),
    }
}

/// The states of signals that are stored with the record.
pub(crate) fn signals(object: &DynamicObject) -> Signals {
    if Subject::of(object) == Subject::Canary {
        let value = object.data.pointer("/status/record");
        return value.map(|value| record::signals(&value.to_string())).unwrap_or_default();
    }
    let text = object.data.get("data").and_then(|data| data.get(keys::RECORD_KEY)?.as_str());
    text.map(record::signals).unwrap_or_default()
}

/// The object that holds a record with another one in it, and nothing else changed: on the condition of its version.
pub(crate) fn replace(object: &DynamicObject, new: &Record) -> DynamicObject {
    let signals = signals(object);
    if Subject::of(object) != Subject::Canary {
        return write(Some(object), object, &object.name_any(), new, &signals);
    }
    let mut object = object.clone();
    if let Some(status) = object.data.get_mut("status").and_then(Value::as_object_mut) {
        status.insert("record".to_owned(), record::to_value_with(new, &signals));
    }
    object
}

/// The ConfigMap with this record in it: as it was, with its resourceVersion, or a new one owned by the workload.
pub(crate) fn write(
    config_map: Option<&DynamicObject>,
    workload: &DynamicObject,
    name: &str,
    new: &Record,
    signals: &Signals,
) -> DynamicObject {
    let mut object = config_map.cloned().unwrap_or_else(|| create(workload, name));
    object.data = json!({ "data": { keys::RECORD_KEY: record::to_json_with(new, signals) } });
    object
}

fn create(workload: &DynamicObject, name: &str) -> DynamicObject {
    let mut object = DynamicObject::new(name, &kind::config_map());
    object.metadata.namespace = workload.namespace();
    let labels = object.labels_mut();
    labels.insert(CANARY_OF.to_owned(), keeper_clone::label_value(&workload.name_any()));
    labels.insert(keys::MANAGED_BY.to_owned(), keys::MANAGED_BY_VALUE.to_owned());
    object.owner_references_mut().push(k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
        api_version: kind::of(workload).api_version().into(),
        kind: kind::of(workload).name().into(),
        name: workload.name_any(),
        uid: workload.uid().unwrap_or_default(),
        ..Default::default()
    });
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(data: &Value) -> DynamicObject {
        let object = json!({"metadata": {"name": "shop-canary-012345", "resourceVersion": "7"}, "data": data});
        serde_json::from_value(object).unwrap()
    }

    fn workload() -> DynamicObject {
        let name = "shop".repeat(30);
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "team", "uid": "u1"}})).unwrap()
    }

    #[test]
    fn what_is_no_record_of_ours_is_held_and_says_where() {
        assert_eq!(read(None), Stored::Absent);
        let odd = [
            json!({}),
            Value::Null,
            json!("text"),
            json!({"record.json": 7}),
            json!({"other.json": "{}"}),
            json!({"record.json": ""}),
            json!({"record.json": "not JSON"}),
            json!({"record.json": "{\"version\": 99}"}),
            json!({"record.json": "x".repeat(1 << 20)}),
        ];
        for data in odd {
            let Stored::Unreadable(why) = read(Some(&config_map(&data))) else { panic!("{data}") };
            assert!(why.starts_with("ConfigMap shop-canary-012345"), "{why}");
            assert!(why.len() < 300, "{why}");
        }
    }

    #[test]
    fn a_record_goes_with_its_workload_of_either_kind() {
        let mut config = workload();
        let api_version = "apps.openshift.io/v1".to_owned();
        config.types = Some(kube::core::TypeMeta { api_version: api_version.clone(), kind: "DeploymentConfig".into() });
        for (workload, expected) in
            [(workload(), ("apps/v1", "Deployment")), (config, (api_version.as_str(), "DeploymentConfig"))]
        {
            let new = write(None, &workload, "shop-canary-012345", &Record::default(), &Signals::new());
            let [owner] = new.owner_references() else { panic!("it goes with the workload") };
            assert_eq!((owner.api_version.as_str(), owner.kind.as_str()), expected);
            let owned = kind::owning_subject(&new).map(|(subject, of)| (subject, of.name));
            assert_eq!(owned, Some((Subject::of(&workload), "shop".repeat(30))));
        }
    }

    #[test]
    fn the_record_of_a_canary_is_in_its_status_and_nothing_else_of_it_changes() {
        let canary = |status: Value| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "canary-keeper.dev/v1alpha1", "kind": "Canary",
                "metadata": {"name": "shop", "resourceVersion": "7"}, "spec": {"a": 1}, "status": status,
            }))
            .unwrap()
        };
        assert_eq!(read(Some(&canary(json!({})))), Stored::Absent);
        assert!(matches!(read(Some(&canary(json!({"record": {"version": 2}})))), Stored::Unreadable(_)));
        let record = Record { runs: 7, ..Record::default() };
        let before = canary(json!({"phase": "Incubating", "record": record::to_value(&Record::default())}));
        let after = replace(&before, &record);
        assert_eq!(read(Some(&after)), Stored::Readable(Box::new(record)));
        assert_eq!((&after.data["spec"], &after.data["status"]["phase"]), (&json!({"a": 1}), &json!("Incubating")));
        assert_eq!(after.resource_version().as_deref(), Some("7"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let record = Record { runs: 7, floor: 3, ..Record::default() };
        let new = write(None, &workload(), "shop-canary-012345", &record, &Signals::new());
        assert_eq!(read(Some(&new)), Stored::Readable(Box::new(record.clone())));
        assert_eq!(new.resource_version(), None, "only a create makes it");
        assert_eq!(new.namespace().as_deref(), Some("team"));
        assert_eq!(new.labels().get(keys::MANAGED_BY).map(String::as_str), Some(keys::MANAGED_BY_VALUE));
        assert!(new.labels().get(CANARY_OF).is_some_and(|name| name.len() <= 63), "a label's value is short");
        let [owner] = new.owner_references() else { panic!("it goes with the workload") };
        assert_eq!((owner.uid.as_str(), owner.name.as_str()), ("u1", "shop".repeat(30).as_str()));
        assert_eq!((owner.controller, owner.block_owner_deletion), (None, None));

        let old = config_map(&json!({"record.json": "what was there"}));
        let replaced = write(Some(&old), &workload(), "ignored", &record, &Signals::new());
        assert_eq!(replaced.resource_version().as_deref(), Some("7"), "the version that was read is the condition");
        assert_eq!(replaced.name_any(), "shop-canary-012345");
        assert_eq!(read(Some(&replaced)), Stored::Readable(Box::new(record)));
    }
}
