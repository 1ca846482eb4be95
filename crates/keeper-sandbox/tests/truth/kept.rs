//! The exchanges with the real server, in `testdata/truth`: one file for each script, one line for each exchange.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::exceptions;
use super::script::{Script, Step};

/// A longer body is kept as its length.
const MAX_KEPT: usize = 4096;

fn file(script: &Script) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/truth").join(format!("{}.json", script.name))
}

/// The request as it is kept beside its answer.
fn request(step: &Step) -> Value {
    let mut kept = json!({ "method": step.method, "path": step.path });
    for (key, value) in [("accept", step.accept), ("media", step.media)] {
        if !value.is_empty() && value != "application/json" {
            kept[key] = json!(value);
        }
    }
    if step.body.len() > MAX_KEPT {
        kept["body"] = json!(format!("{} bytes", step.body.len()));
    } else if !step.body.is_empty() {
        kept["body"] = serde_json::from_str(&step.body).unwrap_or_else(|_| json!(step.body));
    }
    kept
}

/// Writes the answers of the real server down.
pub(crate) fn write(script: &Script, answers: &[Value]) {
    let lines: Vec<String> = script
        .steps
        .iter()
        .zip(answers)
        .map(|(step, answer)| json!({ "request": request(step), "answer": answer }).to_string())
        .collect();
    std::fs::write(file(script), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
}

/// The answers that were written down, when they were given to these very requests.
pub(crate) fn read(script: &Script) -> Result<Vec<Value>, String> {
    let path = file(script);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}; record it", path.display()))?;
    let kept: Vec<Value> = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let asked: Vec<Value> = script.steps.iter().map(request).collect();
    let known: Vec<&Value> = kept.iter().map(|exchange| &exchange["request"]).collect();
    if !asked.iter().eq(known.iter().copied()) {
        return Err(format!("{}: the script has changed since; record it again", path.display()));
    }
    Ok(script.steps.iter().zip(kept).map(|(step, mut exchange)| excepted(step, exchange["answer"].take())).collect())
}

/// An exception may be younger than the answer.
fn excepted(step: &Step, mut answer: Value) -> Value {
    let mut code = answer["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap();
    let mut body = answer["body"].take();
    exceptions::apply(step, &mut code, &mut body);
    if code == 0 {
        answer["headers"] = json!({});
    }
    answer["code"] = json!(code);
    answer["body"] = body;
    answer
}
