//! Strategic merge patch: merge patch that knows which lists are maps in disguise.
//!
//! The merge keys are those of the built-in kinds' Go types; a list without one is replaced whole.

use serde_json::{Map, Value, json};

use super::go;

/// How a patch of a list changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListRule {
    /// The patch's list replaces it.
    Replace,
    /// Elements are matched by the value of this field.
    Key(&'static str),
    /// Elements are plain values; the patch's are added.
    Set,
}

/// The rule for the list in `field` of the object that hangs in `parent` (none for the root) of a `kind`.
fn rule(kind: &str, parent: &str, field: &str) -> ListRule {
    const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
    let in_container = CONTAINERS.contains(&parent);
    match (parent, field) {
        ("metadata", "ownerReferences") => ListRule::Key("uid"),
        ("metadata", "finalizers") => ListRule::Set,
        ("spec", "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "imagePullSecrets") => {
            ListRule::Key("name")
        }
        ("spec", "schedulingGates" | "resourceClaims") => ListRule::Key("name"),
        ("spec", "hostAliases") => ListRule::Key("ip"),
        ("spec", "topologySpreadConstraints") => ListRule::Key("topologyKey"),
        ("spec", "podCIDRs") => ListRule::Set,
        ("spec", "ports") if kind == "Service" => ListRule::Key("port"),
        (_, "ports") if in_container => ListRule::Key("containerPort"),
        (_, "env") if in_container => ListRule::Key("name"),
        (_, "volumeMounts") if in_container => ListRule::Key("mountPath"),
        (_, "volumeDevices") if in_container => ListRule::Key("devicePath"),
        ("status", "conditions") => ListRule::Key("type"),
        ("status", "addresses") if kind == "Node" => ListRule::Key("type"),
        ("status", "podIPs" | "hostIPs") => ListRule::Key("ip"),
        ("", "secrets") if kind == "ServiceAccount" => ListRule::Key("name"),
        _ => ListRule::Replace,
    }
}

/// Applies `patch` to `original`.
///
/// # Errors
/// A directive or list element that can't be understood, in words for the client.
pub(crate) fn merge(kind: &str, original: &Value, patch: &Value) -> Result<Value, String> {
    let empty = Map::new();
    let (Some(original), Some(patch)) = (original.as_object().or(Some(&empty)), patch.as_object()) else {
        return Err("a strategic merge patch must be a JSON object".into());
    };
    merge_map(kind, "", original.clone(), patch).map(Value::Object)
}

const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER_OF: &str = "$setElementOrder/";

fn merge_map(
    kind: &str,
    at: &str,
    mut original: Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    match patch.get("$patch").map(|d| d.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => return merge_map(kind, at, Map::new(), &without_directive(patch)),
        Some("delete") => return Ok(Map::new()),
        Some(other) => return Err(unknown_directive(other, patch)),
    }
    if let Some(keep) = patch.get("$retainKeys").and_then(Value::as_array) {
        original.retain(|key, _| keep.iter().any(|k| k.as_str() == Some(key)));
    }
    for (key, value) in patch {
        if key == "$patch" || key == "$retainKeys" {
            continue;
        } else if let Some(list) = key.strip_prefix(DELETE_FROM) {
            let gone = value.as_array().ok_or_else(|| format!("{key} must be a list"))?;
            if let Some(Value::Array(items)) = original.get_mut(list) {
                items.retain(|item| !gone.contains(item));
            }
        } else if let Some(list) = key.strip_prefix(ORDER_OF) {
            if !patch.contains_key(list)
                && let Some(Value::Array(items)) = original.get(list)
            {
                let order = value.as_array().ok_or_else(|| format!("{key} must be a list"))?;
                let sorted = in_order(items.clone(), order, items, rule(kind, at, list));
                original.insert(list.to_owned(), Value::Array(sorted));
            }
        } else if value.is_null() {
            original.remove(key);
        } else {
            let order = patch.get(&format!("{ORDER_OF}{key}")).and_then(Value::as_array);
            let merged = merge_value(kind, at, key, original.remove(key), value, order)?;
            original.insert(key.clone(), merged);
        }
    }
    Ok(original)
}

fn merge_value(
    kind: &str,
    at: &str,
    key: &str,
    original: Option<Value>,
    patch: &Value,
    order: Option<&Vec<Value>>,
) -> Result<Value, String> {
    match patch {
        Value::Object(patch) => {
            let original = match original {
                Some(Value::Object(map)) => map,
                _ => Map::new(),
            };
            merge_map(kind, key, original, patch).map(Value::Object)
        }
        Value::Array(patch) => {
            let original = match original {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            };
            let rule = rule(kind, at, key);
            match rule {
                ListRule::Replace => Ok(Value::Array(patch.clone())),
                ListRule::Set => {
                    let mut merged = original.clone();
                    merged.extend(patch.iter().filter(|item| !original.contains(item)).cloned());
                    Ok(Value::Array(in_order(merged, order.unwrap_or(patch), &original, rule)))
                }
                ListRule::Key(field) => {
                    let merged = merge_list(kind, key, field, &original, patch)?;
                    Ok(Value::Array(in_order(merged, order.unwrap_or(patch), &original, rule)))
                }
            }
        }
        plain => Ok(plain.clone()),
    }
}

fn merge_list(kind: &str, list: &str, field: &str, original: &[Value], patch: &[Value]) -> Result<Vec<Value>, String> {
    let directive = |item: &Value| item.get("$patch").and_then(Value::as_str).unwrap_or_default().to_owned();
    if patch.iter().any(|item| directive(item) == "replace") {
        return Ok(patch.iter().filter(|item| directive(item) != "replace").cloned().collect());
    }
    let mut merged = original.to_vec();
    for item in patch {
        let map = item.as_object().ok_or_else(|| format!("{list}: expected a list of objects"))?;
        let key = item
            .get(field)
            .ok_or_else(|| format!("map: {} does not contain declared merge key: {field}", go::printed(map)))?;
        let same = |other: &Value| other.get(field) == Some(key);
        match directive(item).as_str() {
            "delete" => merged.retain(|other| !same(other)),
            "" | "merge" => {
                let at = merged.iter().position(same);
                let known = at.map(|at| merged.remove(at)).unwrap_or_else(|| json!({}));
                let result = match known {
                    Value::Object(known) => Value::Object(merge_map(kind, list, known, map)?),
                    _ => item.clone(),
                };
                merged.insert(at.unwrap_or(merged.len()), result);
            }
            other => return Err(unknown_directive(other, map)),
        }
    }
    Ok(merged)
}

fn unknown_directive(directive: &str, patch: &Map<String, Value>) -> String {
    format!("unknown patch type: {directive} in map: {}", go::printed(patch))
}

fn without_directive(patch: &Map<String, Value>) -> Map<String, Value> {
    patch.iter().filter(|(key, _)| *key != "$patch").map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Puts the elements that the patch names in the patch's order and leaves those that only the server knows where
/// they were between them, as far as both orders allow.
fn in_order(items: Vec<Value>, order: &[Value], live: &[Value], rule: ListRule) -> Vec<Value> {
    let same = |a: &Value, b: &Value| match rule {
        ListRule::Key(field) => a.get(field).is_some() && a.get(field) == b.get(field),
        ListRule::Set | ListRule::Replace => a == b,
    };
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, server_only): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    let mut merged = Vec::with_capacity(named.len() + server_only.len());
    let mut named = named.into_iter().peekable();
    for item in server_only {
        let here = place(live, &item);
        while let Some(next) = named.peek() {
            let there = place(live, next);
            if matches!((here, there), (Some(here), Some(there)) if here < there) {
                break;
            }
            merged.extend(named.next());
        }
        merged.push(item);
    }
    merged.extend(named);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(kind: &str, original: &Value, patch: &Value) -> Value {
        merge(kind, original, patch).unwrap()
    }

    #[test]
    fn containers_merge_by_name_and_env_within_them() {
        let original = json!({ "spec": { "template": { "spec": { "containers": [
            { "name": "a", "image": "a:1", "env": [{ "name": "X", "value": "1" }, { "name": "Y", "value": "1" }] },
            { "name": "b", "image": "b:1" },
        ] } } } });
        let patch = json!({ "spec": { "template": { "spec": { "containers": [
            { "name": "a", "image": "a:2", "env": [{ "name": "Y", "value": "2" }, { "name": "X", "$patch": "delete" }] },
        ] } } } });
        let expected = json!({ "spec": { "template": { "spec": { "containers": [
            { "name": "a", "image": "a:2", "env": [{ "name": "Y", "value": "2" }] },
            { "name": "b", "image": "b:1" },
        ] } } } });
        assert_eq!(merged("Deployment", &original, &patch), expected);
    }

    #[test]
    fn directives_replace_delete_retain_and_order() {
        let pod = json!({ "spec": {
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } },
            "containers": [{ "name": "a" }, { "name": "b" }, { "name": "c" }],
            "tolerations": [{ "key": "x" }],
        }, "metadata": { "finalizers": ["p/a", "p/b"] } });
        let patch = json!({
            "metadata": { "$deleteFromPrimitiveList/finalizers": ["p/a"], "finalizers": ["p/c"] },
            "spec": {
                "strategy": { "$retainKeys": ["type"], "type": "Recreate" },
                "$setElementOrder/containers": [{ "name": "c" }, { "name": "a" }],
                "tolerations": [{ "key": "y" }],
            },
        });
        let result = merged("Pod", &pod, &patch);
        assert_eq!(result["spec"]["strategy"], json!({ "type": "Recreate" }));
        assert_eq!(result["spec"]["containers"], json!([{ "name": "b" }, { "name": "c" }, { "name": "a" }]));
        assert_eq!(result["spec"]["tolerations"], json!([{ "key": "y" }]));
        assert_eq!(result["metadata"]["finalizers"], json!(["p/c", "p/b"]));
        let replaced =
            merged("Pod", &pod, &json!({ "spec": { "containers": [{ "$patch": "replace" }, { "name": "z" }] } }));
        assert_eq!(replaced["spec"]["containers"], json!([{ "name": "z" }]));
        let emptied = merged("Pod", &pod, &json!({ "spec": { "strategy": { "$patch": "delete" } } }));
        assert_eq!(emptied["spec"]["strategy"], json!({}));
        assert!(merge("Pod", &pod, &json!({ "spec": { "containers": [{ "image": "x" }] } })).is_err());
        assert!(merge("Pod", &pod, &json!({ "spec": { "$patch": "explode" } })).is_err());
    }

    #[test]
    fn ports_have_the_key_of_their_place() {
        let service = json!({ "spec": { "ports": [{ "port": 80, "targetPort": 1 }, { "port": 81 }] } });
        let result = merged("Service", &service, &json!({ "spec": { "ports": [{ "port": 80, "targetPort": 2 }] } }));
        assert_eq!(result["spec"]["ports"], json!([{ "port": 80, "targetPort": 2 }, { "port": 81 }]));
        let slice = json!({ "ports": [{ "port": 80 }] });
        let result = merged("EndpointSlice", &slice, &json!({ "ports": [{ "port": 81 }] }));
        assert_eq!(result["ports"], json!([{ "port": 81 }]));
    }
}
