//! Single exchanges in which the sandbox differs, by script and number, each under the name of what it leaves out.
//!
//! They are in `testdata/truth/left-out.json`. One that no longer differs must be taken out of it.

use std::collections::BTreeMap;

use serde_json::Value;

/// Name and reason, to the numbers of the exchanges by script.
pub(crate) type LeftOut = BTreeMap<String, BTreeMap<String, Vec<usize>>>;

pub(crate) fn read() -> LeftOut {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/truth/left-out.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| "{}".into());
    let read: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(read).unwrap()
}

/// The name under which an exchange is left out.
pub(crate) fn name<'a>(left_out: &'a LeftOut, script: &str, number: usize) -> Option<&'a str> {
    let listed = |scripts: &BTreeMap<String, Vec<usize>>| scripts.get(script).is_some_and(|n| n.contains(&number));
    left_out.iter().find(|(_, scripts)| listed(scripts)).map(|(name, _)| name.as_str())
}
