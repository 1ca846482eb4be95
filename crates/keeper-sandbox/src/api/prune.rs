//! Fields that a kind does not have: a server drops them.

use serde_json::Value;

/// Drops from `value` what `known`, the same value read by its type and written again, does not have, and says where that
/// was, such as `spec.containers[0].imagePulPolicy`.
pub(crate) fn to(value: &mut Value, known: &Value) -> Vec<String> {
    let mut dropped = Vec::new();
    walk(value, known, "", &mut dropped);
    dropped
}

fn walk(value: &mut Value, known: &Value, at: &str, dropped: &mut Vec<String>) {
    match (value, known) {
        (Value::Object(map), Value::Object(known)) => {
            map.retain(|key, value| {
                let place = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                match known.get(key) {
                    Some(known) => walk(value, known, &place, dropped),
                    None => dropped.push(place),
                }
                known.contains_key(key)
            });
        }
        (Value::Array(items), Value::Array(known)) => {
            for (i, (item, known)) in items.iter_mut().zip(known).enumerate() {
                walk(item, known, &format!("{at}[{i}]"), dropped);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    #[test]
    fn unknown_fields_go_and_everything_else_stays_as_it_was_sent() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "labels": { "any": "label" }, "odd": 1 },
            "spec": { "containers": [{ "name": "c", "ports": [], "livenessProbe": { "httpGet": { "port": "web" } } }] },
        });
        let mut sent = pod.clone();
        sent["spec"]["containers"][0]["imagePulPolicy"] = json!("Never");
        let known = serde_json::to_value(serde_json::from_value::<Pod>(sent.clone()).unwrap()).unwrap();
        assert_eq!(to(&mut sent, &known), ["metadata.odd", "spec.containers[0].imagePulPolicy"]);
        let mut expected = pod;
        expected["metadata"].as_object_mut().unwrap().remove("odd");
        assert_eq!(sent, expected);
    }
}
