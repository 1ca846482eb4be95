//! The scale subresource: the replicas of any scalable object in one form.

use serde_json::{Value, json};

use super::cluster::{By, Cluster, Target, Write};
use super::object;
use super::resources::ScalePaths;
use super::selector::LabelSelector;
use super::status::Status;

impl Cluster {
    /// The `Scale` of an object.
    pub(crate) fn scale(&self, target: &Target) -> Result<Value, Status> {
        let paths = target.resource.scale.as_ref().ok_or_else(Status::no_such_path)?;
        Ok(scale_of(paths, &*self.stored(target)?))
    }

    /// Takes the replicas of a changed `Scale` over into the object.
    pub(crate) fn set_scale(&mut self, target: &Target, scale: &Value, by: By, write: Write) -> Result<Value, Status> {
        let paths = target.resource.scale.clone().ok_or_else(Status::no_such_path)?;
        let replicas = object::number(scale, "/spec/replicas").unwrap_or_default();
        let whole = Target { subresource: String::new(), ..target.clone() };
        if replicas < 0 {
            let fault = super::status::FieldError::invalid(
                "spec.replicas",
                json!(replicas),
                "must be greater than or equal to 0",
            );
            return Err(Status::invalid(&target.resource, &target.name, &[fault]));
        }
        let mut new = self.get(&whole)?;
        let version = object::resource_version(scale);
        if !version.is_empty() {
            object::set_meta(&mut new, "resourceVersion", json!(version));
        }
        set_pointer(&mut new, &paths.spec_replicas, json!(replicas));
        self.update(&whole, new, by, write).map(|updated| scale_of(&paths, &updated))
    }
}

fn set_pointer(object: &mut Value, pointer: &str, value: Value) {
    let mut parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let Some(last) = parts.pop() else { return };
    let parent = parts.into_iter().fold(object, |at, part| object::child(at, part));
    object::set(parent, last, value);
}

fn scale_of(paths: &ScalePaths, of: &Value) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = of.pointer(&format!("/metadata/{field}")) {
            object::set(&mut metadata, field, value.clone());
        }
    }
    let replicas = |pointer: &str| object::number(of, pointer).unwrap_or_default();
    let mut status = json!({ "replicas": replicas(&paths.status_replicas) });
    if let Some(selector) = paths.selector.as_deref().and_then(|p| of.pointer(p)).map(selector_text) {
        object::set(&mut status, "selector", json!(selector));
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": { "replicas": replicas(&paths.spec_replicas) }, "status": status,
    })
}

fn selector_text(selector: &Value) -> String {
    match selector {
        Value::String(text) => text.clone(),
        Value::Object(map) if !map.contains_key("matchLabels") && !map.contains_key("matchExpressions") => {
            LabelSelector::from_map(map).to_string()
        }
        other => LabelSelector::from_object(other).map(|s| s.to_string()).unwrap_or_default(),
    }
}
