//! The two patches that production ever gets from us.

use keeper_image::Reference;
use serde_json::{Value, json};

use crate::clone::{CloneError, pinned};
use crate::config;
use crate::images::container_at;
use crate::labels::RUN_LABEL;
use crate::names::is_label_value;
use crate::targets::Targets;
use crate::workload::Workload;

/// What a fence changes.
pub const FENCE_ANNOTATION: &str = "canary-keeper.dev/fence";

/// The promotion: one JSON patch that sets the targets' image and stamps the run as a label.
///
/// It tests uid and resourceVersion as the workload was read, so that anything anyone changed since refuses it (422),
/// and each container's name at its place. The run is a label and no annotation because `kubectl rollout undo` puts
/// annotations back and leaves labels.
///
/// A DeploymentConfig that does not roll out by itself gets its latest version raised in the same patch; see
/// [`not_rolled_out`](crate::not_rolled_out) for servers that pass over that.
///
/// # Errors
///
/// When the image has no digest, the run id can't be a label value, or the targets are not this workload's.
pub fn promotion_patch(
    workload: &Workload<'_>,
    targets: &Targets,
    image: &Reference,
    run: &str,
) -> Result<Vec<Value>, CloneError> {
    let image = pinned(image)?;
    check_run(run)?;
    let mut patch = preconditions(workload);
    for target in targets.iter() {
        let container = container_at(workload, target)
            .ok_or_else(|| CloneError::OtherTargets { container: target.name.clone() })?;
        let at = format!("/spec/template/spec/{}/{}", target.list(), target.index);
        // A template without image is possible where a trigger fills it in: replace would fail there.
        let op = if container.get("image").is_some() { "replace" } else { "add" };
        patch.push(json!({"op": "test", "path": format!("{at}/name"), "value": target.name}));
        patch.push(json!({"op": op, "path": format!("{at}/image"), "value": image}));
    }
    patch.push(set_entry(workload, "labels", RUN_LABEL, run));
    patch.extend(config::raise(workload));
    Ok(patch)
}

/// The fence: a JSON patch of the metadata that really changes the workload, so that a promotion still on its way finds
/// another resourceVersion and is refused. Tests uid and resourceVersion as the workload was read.
///
/// # Errors
///
/// When the run id can't be a label value.
pub fn fence_patch(workload: &Workload<'_>, run: &str) -> Result<Vec<Value>, CloneError> {
    check_run(run)?;
    let now = workload
        .json()
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations"))
        .and_then(|annotations| annotations.get(FENCE_ANNOTATION))
        .and_then(Value::as_str);
    let mut patch = preconditions(workload);
    patch.push(set_entry(workload, "annotations", FENCE_ANNOTATION, &next_fence(now, run)));
    Ok(patch)
}

/// A value other than the present one: a patch that changes nothing leaves the resourceVersion as it is.
fn next_fence(now: Option<&str>, run: &str) -> String {
    let number = match now.and_then(|now| now.strip_prefix(run)) {
        None => return run.to_owned(),
        Some(rest) => rest.strip_prefix('.').and_then(|number| number.parse::<u32>().ok()),
    };
    format!("{run}.{}", number.unwrap_or(1).wrapping_add(1))
}

pub(crate) fn check_run(run: &str) -> Result<(), CloneError> {
    if run.is_empty() || !is_label_value(run) {
        return Err(CloneError::NotALabelValue { what: "run" });
    }
    Ok(())
}

pub(crate) fn preconditions(workload: &Workload<'_>) -> Vec<Value> {
    vec![
        json!({"op": "test", "path": "/metadata/uid", "value": workload.uid()}),
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": workload.resource_version()}),
    ]
}

/// Sets one entry of a map in the metadata; the map is made where there is none (servers leave empty ones out).
pub(crate) fn set_entry(workload: &Workload<'_>, map: &str, key: &str, value: &str) -> Value {
    let present = workload
        .json()
        .get("metadata")
        .and_then(|metadata| metadata.get(map))
        .and_then(Value::as_object)
        .is_some_and(|entries| !entries.is_empty());
    if present {
        let key = key.replace('~', "~0").replace('/', "~1");
        json!({"op": "add", "path": format!("/metadata/{map}/{key}"), "value": value})
    } else {
        json!({"op": "add", "path": format!("/metadata/{map}"), "value": {key: value}})
    }
}

#[cfg(test)]
mod tests {
    use super::next_fence;

    #[test]
    fn a_fence_always_changes_something() {
        assert_eq!(next_fence(None, "run"), "run");
        assert_eq!(next_fence(Some("older"), "run"), "run");
        assert_eq!(next_fence(Some("run"), "run"), "run.2");
        assert_eq!(next_fence(Some("run.2"), "run"), "run.3");
        assert_eq!(next_fence(Some("run.4294967295"), "run"), "run.0");
        assert_eq!(next_fence(Some("run.x"), "run"), "run.2");
        assert_eq!(next_fence(Some("runner"), "run"), "run.2");
    }
}
