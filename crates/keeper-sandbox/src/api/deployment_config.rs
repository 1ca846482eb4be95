//! How OpenShift's server lets a DeploymentConfig's latest version be raised: by one, in an ordinary write, or through the
//! `instantiate` subresource.

use serde_json::{Value, json};

use super::cluster::{Cluster, Target, Write};
use super::object::{self, child, set_meta};
use super::resources::ResourceType;
use super::status::{FieldError, Status};

const LATEST: &str = "/status/latestVersion";

fn latest(of: &Value) -> i64 {
    object::number(of, LATEST).unwrap_or_default()
}

/// The version that an ordinary write raises, when it raises it by one; any other status in it is passed over.
pub(super) fn raised(resource: &ResourceType, old: &Value, new: &Value) -> Option<i64> {
    let next = latest(old) + 1;
    (resource.raises_version && latest(new) == next).then_some(next)
}

/// Notes the raised version. It moves the generation, once with whatever else the write changed.
pub(super) fn raise(old: &Value, new: &mut Value, version: i64) {
    object::set(child(new, "status"), "latestVersion", json!(version));
    let generation = object::number(old, "/metadata/generation").unwrap_or_default() + 1;
    set_meta(new, "generation", json!(generation));
}

impl Cluster {
    /// Rolls out the present template: the door of `oc rollout latest`.
    pub(crate) fn instantiate(&mut self, target: &Target, request: &Value, write: Write) -> Result<Value, Status> {
        let resource = &target.resource;
        let whole = Target { subresource: String::new(), ..target.clone() };
        let mut config = self.get(&whole)?;
        let given = object::text(request, "/name").unwrap_or_default();
        if given != target.name {
            let message =
                format!("the name in the request ({given}) does not match the name on the URL ({})", target.name);
            return Err(Status::bad_request(message));
        }
        if config.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
            let fault = FieldError::invalid("spec.paused", json!(true), "cannot deploy a paused deployment config");
            return Err(Status::invalid(resource, &target.name, &[fault]));
        }
        if request.get("force").and_then(Value::as_bool) != Some(true) {
            // Without force OpenShift asks its triggers, which are not here.
            return Err(Status::new(501, "NotImplemented", "the sandbox instantiates with force: true only"));
        }
        let next = latest(&config) + 1;
        let old = config.clone();
        raise(&old, &mut config, next);
        if write.dry_run {
            return Ok(config);
        }
        let kept = self.keep(resource, config);
        Ok(super::convert::served(resource, &kept))
    }
}
