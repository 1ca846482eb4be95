//! Whether a selector matches labels.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::workload::texts;

pub(crate) type Labels = BTreeMap<String, String>;

/// A Service's selector: a plain map. Absent and empty ones select nothing (such Services have other endpoints).
pub(crate) fn service_selector(service: &Value) -> Option<Labels> {
    let external = service.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName");
    texts(service.pointer("/spec/selector")).filter(|selector| !selector.is_empty() && !external)
}

/// The first pair of a plain selector that the labels don't have.
pub(crate) fn first_missing<'a>(selector: &'a Labels, labels: &Labels) -> Option<(&'a str, &'a str)> {
    selector
        .iter()
        .find(|(key, value)| labels.get(*key) != Some(value))
        .map(|(key, value)| (key.as_str(), value.as_str()))
}

/// Whether a controller's, budget's or policy's selector matches: a label selector, or the plain map that
/// ReplicationControllers have. `None` for what can't be read.
pub(crate) fn matches(selector: &Value, labels: &Labels) -> Option<bool> {
    let selector = selector.as_object()?;
    let structured = selector.contains_key("matchLabels") || selector.contains_key("matchExpressions");
    if !structured {
        let plain = texts(Some(&Value::Object(selector.clone())))?;
        return Some(first_missing(&plain, labels).is_none());
    }
    let pairs = texts(selector.get("matchLabels"))?;
    if first_missing(&pairs, labels).is_some() {
        return Some(false);
    }
    match selector.get("matchExpressions") {
        None | Some(Value::Null) => Some(true),
        Some(expressions) => expressions
            .as_array()?
            .iter()
            .try_fold(true, |so_far, expression| Some(so_far && holds(expression, labels)?)),
    }
}

fn holds(expression: &Value, labels: &Labels) -> Option<bool> {
    let key = expression.get("key")?.as_str()?;
    let value = labels.get(key).map(String::as_str);
    let listed = || {
        let values = expression.get("values").and_then(Value::as_array);
        values.is_some_and(|values| values.iter().any(|listed| value.is_some() && listed.as_str() == value))
    };
    match expression.get("operator")?.as_str()? {
        "In" => Some(listed()),
        "NotIn" => Some(!listed()),
        "Exists" => Some(value.is_some()),
        "DoesNotExist" => Some(value.is_none()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operator() {
        let labels: Labels = [("app".to_owned(), "shop".to_owned())].into();
        let is = |selector: Value| matches(&selector, &labels);
        let expression = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        assert_eq!(is(json!({"matchLabels": {"app": "shop"}})), Some(true));
        assert_eq!(is(json!({"matchLabels": {"app": "shop", "x": "y"}})), Some(false));
        assert_eq!(is(json!({"app": "shop"})), Some(true));
        assert_eq!(is(json!({})), Some(true));
        assert_eq!(is(expression("app", "In", json!(["a", "shop"]))), Some(true));
        assert_eq!(is(expression("app", "In", json!([]))), Some(false));
        assert_eq!(is(expression("app", "NotIn", json!(["shop"]))), Some(false));
        assert_eq!(is(expression("none", "NotIn", json!(["shop"]))), Some(true));
        assert_eq!(is(expression("app", "Exists", json!(null))), Some(true));
        assert_eq!(is(expression("app", "DoesNotExist", json!(null))), Some(false));
        assert_eq!(is(expression("app", "Newer", json!(null))), None);
        assert_eq!(is(json!("app=shop")), None);
    }

    #[test]
    fn services_without_selector_select_nothing() {
        assert_eq!(service_selector(&json!({"spec": {}})), None);
        assert_eq!(service_selector(&json!({"spec": {"selector": {}}})), None);
        assert_eq!(service_selector(&json!({"spec": {"type": "ExternalName", "selector": {"a": "b"}}})), None);
        assert!(service_selector(&json!({"spec": {"selector": {"a": "b"}}})).is_some());
    }
}
