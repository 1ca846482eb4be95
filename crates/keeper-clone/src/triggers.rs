//! [`image_triggers`]: would OpenShift put another image back?

use serde_json::Value;

use crate::refusal::Refusal;
use crate::targets::{Target, Targets};
use crate::workload::Workload;

/// Where any workload may name images that OpenShift fills in.
const ANNOTATION: &str = "image.openshift.io/triggers";
/// How many characters of foreign text a message shows.
const MAX_SHOWN: usize = 200;

/// Every trigger that would overwrite a target's image after the promotion: ImageChange triggers of a DeploymentConfig
/// that are automatic, and those of the triggers annotation, on any workload, that aren't paused.
///
/// Empty for a workload whose promotion would stand. An annotation that can't be understood is refused as well: what it
/// does can't be told.
pub fn image_triggers(workload: &Workload<'_>, targets: &Targets) -> Vec<Refusal> {
    let own = workload.json().pointer("/spec/triggers").and_then(Value::as_array);
    let mut refusals: Vec<Refusal> = own.into_iter().flatten().flat_map(|one| of_config(one, targets)).collect();
    match annotated(workload) {
        Ok(triggers) => refusals.extend(triggers.iter().flat_map(|one| of_annotation(one, targets))),
        Err(refusal) => refusals.push(refusal),
    }
    refusals
}

fn of_config(trigger: &Value, targets: &Targets) -> Vec<Refusal> {
    let params = trigger.get("imageChangeParams");
    let automatic = params.and_then(|params| params.get("automatic")).and_then(Value::as_bool) == Some(true);
    if text(trigger, "/type") != Some("ImageChange") || !automatic {
        return Vec::new();
    }
    let names = trigger.pointer("/imageChangeParams/containerNames").and_then(Value::as_array);
    let named = |target: &&Target| {
        names.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(target.name.as_str())))
    };
    let refusal = |target: &Target| Refusal::ImageTrigger {
        trigger: "its ImageChange trigger",
        container: target.name.clone(),
        from: from(trigger.pointer("/imageChangeParams/from")),
        fix: "set the trigger's imageChangeParams.automatic to false, or remove it",
    };
    targets.iter().filter(named).map(refusal).collect()
}

fn annotated(workload: &Workload<'_>) -> Result<Vec<Value>, Refusal> {
    let unreadable = |problem: String| Refusal::TriggersUnreadable { annotation: ANNOTATION, problem: cut(&problem) };
    let annotations = workload.json().pointer("/metadata/annotations");
    let Some(written) = annotations.and_then(|all| all.get(ANNOTATION)) else { return Ok(Vec::new()) };
    let json = written.as_str().map(str::trim).unwrap_or_default();
    if json.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(json).map_err(|error| unreadable(format!("can't be read ({error})")))
}

fn of_annotation(trigger: &Value, targets: &Targets) -> Vec<Refusal> {
    // Older consoles wrote the flag as a text.
    let paused = matches!(trigger.get("paused"), Some(Value::Bool(true)))
        || text(trigger, "/paused").is_some_and(|paused| paused.eq_ignore_ascii_case("true"));
    if paused {
        return Vec::new();
    }
    let path = text(trigger, "/fieldPath").unwrap_or_default();
    let refusal = |target: &Target| Refusal::ImageTrigger {
        trigger: "its annotation image.openshift.io/triggers",
        container: target.name.clone(),
        from: from(trigger.get("from")),
        fix: "write \"paused\": true into the trigger, or remove it",
    };
    targets.iter().filter(|target| may_mean(path, target)).map(refusal).collect()
}

/// Whether a field path names the target's image. One in a form that isn't known may.
fn may_mean(path: &str, target: &Target) -> bool {
    let path = path.trim_start_matches('.');
    let Some(rest) = path.strip_prefix("spec.template.spec.") else { return true };
    let Some((list, rest)) = rest.split_once('[') else { return true };
    if !["containers", "initContainers"].contains(&list) {
        return true;
    }
    let Some((element, field)) = rest.rsplit_once(']') else { return true };
    if list != target.list() || field != ".image" {
        return false;
    }
    if let Ok(index) = element.parse::<usize>() {
        return index == target.index;
    }
    let name = element.strip_prefix("?(@").and_then(|inner| inner.strip_suffix(')'));
    let name = name.and_then(|inner| inner.trim_start_matches('.').strip_prefix("name")?.trim().strip_prefix("=="));
    name.is_none_or(|name| name.trim().trim_matches(['"', '\'']) == target.name)
}

fn from(reference: Option<&Value>) -> String {
    let part = |field: &str| reference.and_then(|from| from.get(field)).and_then(Value::as_str).unwrap_or("?");
    cut(&format!("{} {}", part("kind"), part("name")))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_paths_in_every_form_that_occurs() {
        let target = Target { name: "web".into(), init: false, index: 1 };
        let means = |path: &str| may_mean(&format!("spec.template.spec.{path}"), &target);
        for same in [
            "containers[1].image",
            "containers[?(@.name==\"web\")].image",
            "containers[?(@name=='web')].image",
            "containers[?(@.name == \"web\")].image",
        ] {
            assert!(means(same), "{same}");
        }
        for other in [
            "containers[0].image",
            "containers[?(@.name==\"web2\")].image",
            "initContainers[1].image",
            "containers[1].command",
        ] {
            assert!(!means(other), "{other}");
        }
        for unknown in ["containers", "containers[?(@.image)].image", "containers[*].image", "containers[1"] {
            assert!(means(unknown), "{unknown} may be it");
        }
        assert!(may_mean("", &target) && may_mean("x", &target));
    }
}
