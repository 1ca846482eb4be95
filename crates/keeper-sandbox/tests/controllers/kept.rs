//! What the real controllers did, in `testdata/controllers`: one file for each script, one line for each step.

use std::path::PathBuf;

use serde_json::Value;

fn file(script: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/controllers").join(format!("{script}.json"))
}

/// Writes the steps of a script down.
pub(crate) fn write(script: &str, steps: &[Value]) {
    let lines: Vec<String> = steps.iter().map(Value::to_string).collect();
    std::fs::write(file(script), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
}

/// The steps that were written down.
pub(crate) fn read(script: &str) -> Vec<Value> {
    let path = file(script);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; record it", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A state without what is chance on a real cluster: which condition came first, and which of the two looks at a new
/// ReplicaSet was the last one to tell of progress.
pub(crate) fn without_races(state: &Value) -> Value {
    match state {
        Value::Object(map) => {
            let part = |(key, value): (&String, &Value)| {
                let mut value = without_races(value);
                if let (true, Some(conditions)) = (key == "conditions", value.as_array_mut()) {
                    conditions.iter_mut().for_each(same_progress);
                    conditions.sort_by_key(|condition| condition["type"].to_string());
                }
                (key.clone(), value)
            };
            Value::Object(map.iter().map(part).collect())
        }
        Value::Array(items) => items.iter().map(without_races).collect(),
        other => other.clone(),
    }
}

fn same_progress(condition: &mut Value) {
    if ["NewReplicaSetCreated", "ReplicaSetUpdated"].iter().any(|reason| condition["reason"] == *reason) {
        condition["reason"] = "<under way>".into();
        condition["message"] = "<under way>".into();
    }
}

/// Every place where two values differ: a JSON pointer and what each has there.
pub(crate) fn differences(at: &str, real: &Value, ours: &Value, found: &mut Vec<String>) {
    match (real, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let of =
                    |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_else(|| "nothing".into());
                differences(&format!("{at}/{key}"), &of(a), &of(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{at}/{i}"), a, b, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{at}\n        real: {a}\n        here: {b}")),
    }
}
