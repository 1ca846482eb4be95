//! The scale subresource: the replicas of any scalable object in one form.

use serde_json::{Value, json};

use super::cluster::{By, Cluster, Target, Write, named_as};
use super::object;
use super::resources::ScalePaths;
use super::selector::LabelSelector;
use super::status::Status;

impl Cluster {
    /// The `Scale` of an object.
    pub(crate) fn scale(&self, target: &Target) -> Result<Value, Status> {
        let paths = target.resource.scale.as_ref().ok_or_else(Status::no_such_path)?;
        let object = self.stored(target)?;
        if target.resource.custom && object.pointer(&paths.spec_replicas).is_none() {
            let field = paths.spec_replicas.replace('/', ".");
            let why = format!("the spec replicas field {field:?} does not exist");
            let details = json!({ "causes": [{ "message": why }] });
            let message = format!("Internal error occurred: {why}");
            return Err(Status { details, ..Status::new(500, "InternalError", message) });
        }
        Ok(scale_of(paths, &object))
    }

    /// Takes the replicas of a changed `Scale` over into the object.
    pub(crate) fn set_scale(&mut self, target: &Target, scale: &Value, by: By, write: Write) -> Result<Value, Status> {
        let paths = target.resource.scale.clone().ok_or_else(Status::no_such_path)?;
        let replicas = object::number(scale, "/spec/replicas").unwrap_or_default();
        let whole = Target { subresource: String::new(), ..target.clone() };
        is_scale(scale)?;
        named_as(target, object::name(scale))?;
        // Of a custom object its own checks say it.
        if replicas < 0 && !target.resource.custom {
            let fault = "Invalid value: ".to_owned() + &replicas.to_string() + ": must be greater than or equal to 0";
            let message = format!("Scale.autoscaling \"{}\" is invalid: spec.replicas: {fault}", target.name);
            let cause = json!({ "reason": "FieldValueInvalid", "message": fault, "field": "spec.replicas" });
            let details = json!({ "name": target.name, "group": "autoscaling", "kind": "Scale", "causes": [cause] });
            return Err(Status { details, ..Status::new(422, "Invalid", message) });
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

/// Whether the body is a Scale, as far as it is read.
fn is_scale(body: &Value) -> Result<(), Status> {
    let kind = object::text(body, "/kind").unwrap_or("Scale");
    let version = object::text(body, "/apiVersion").unwrap_or("autoscaling/v1");
    let replicas = body.pointer("/spec/replicas").unwrap_or(&Value::Null);
    if kind == "Scale" && version == "autoscaling/v1" && (replicas.is_null() || replicas.is_i64()) {
        return Ok(());
    }
    let version = version.rsplit('/').next().unwrap_or_default();
    Err(Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a Scale: {body}")))
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
    // No replicas are not mentioned.
    let spec = match replicas(&paths.spec_replicas) {
        0 => json!({}),
        some => json!({ "replicas": some }),
    };
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status,
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
