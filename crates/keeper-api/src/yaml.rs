//! YAML from a stranger, read into a JSON value with small limits.

use crate::invalid::one_line;
use serde_json::Value;
use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

/// Reads one YAML document. Anchors, aliases and merge keys are refused, so nothing grows beyond the text itself.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            // A Job's template in a list of checks has about a dozen levels.
            max_depth: 20,
            flow_nesting_limit: 20,
            max_nodes: 2_000,
            max_events: 8_000,
            max_anchors: 0,
            max_aliases: 0,
            max_documents: 1,
        },
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
        emit_comments: false,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| match error.without_snippet() {
        Error::Budget { breach: BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. }, .. } => {
            "has anchors or aliases, which are not taken".into()
        }
        Error::Budget { .. } => "is nested too deep or has too many parts".into(),
        other => format!("is not YAML that we read: {}", one_line(&other.to_string())),
    })
}

/// What a value is, for a message.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_and_json_are_read() {
        assert_eq!(read("- kind: a # why\n  threshold: 1.5"), Ok(json!([{ "kind": "a", "threshold": 1.5 }])));
        assert_eq!(read(r#"[{"kind": "a"}]"#), Ok(json!([{ "kind": "a" }])));
    }

    #[test]
    fn what_grows_or_nests_is_refused() {
        for bomb in [
            "a: &a [x]\nb: *a".to_owned(),
            "a: &a x".to_owned(),
            "- <<: {a: b}".to_owned(),
            "a: b\na: c".to_owned(),
            "[".repeat(10_000),
            "- ".repeat(10_000),
            format!("{}1{}", "[".repeat(21), "]".repeat(21)),
            format!("[{}]", "1,".repeat(3_000)),
            "---\na\n---\nb".to_owned(),
            "- .nan".to_owned(),
            "{unclosed".to_owned(),
        ] {
            let problem = read(&bomb).unwrap_err();
            assert!(problem.chars().count() < 120 && !problem.contains('\n'), "{problem}");
        }
        assert_eq!(read("a: &a x").unwrap_err(), "has anchors or aliases, which are not taken");
        assert_eq!(read(&"- ".repeat(10_000)).unwrap_err(), "is nested too deep or has too many parts");
    }
}
