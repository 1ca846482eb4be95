//! Label selectors: `matchLabels` and `matchExpressions` of a workload, or the plain map of a Service.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::objects::Fields;

/// What a selector asks of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    /// An operator this build does not know: nothing may be taken by a rule that is not understood.
    Never,
}

/// A parsed selector. One without any requirement matches everything; use [`Selector::is_empty`] where that must not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    requirements: Vec<Requirement>,
}

impl Selector {
    /// From a `LabelSelector` (`spec.selector` of a workload).
    pub(crate) fn of_workload(selector: Option<&Value>) -> Self {
        let Some(selector) = selector else { return Self { requirements: vec![Requirement::Never] } };
        let mut parsed = Self::of_map(selector.at("/matchLabels"));
        parsed.requirements.extend(selector.items("/matchExpressions").iter().map(Requirement::parse));
        parsed
    }

    /// From a plain map (`spec.selector` of a Service).
    pub(crate) fn of_map(labels: Option<&Value>) -> Self {
        let labels = labels.and_then(Value::as_object);
        let requirement = |(name, value): (&String, &Value)| match value.as_str() {
            Some(value) => Requirement::In(name.clone(), vec![value.to_owned()]),
            None => Requirement::Never,
        };
        Self { requirements: labels.into_iter().flatten().map(requirement).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    pub(crate) fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        let value = |name: &String| labels.and_then(|labels| labels.get(name));
        self.requirements.iter().all(|requirement| match requirement {
            Requirement::In(name, values) => value(name).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(name, values) => value(name).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(name) => value(name).is_some(),
            Requirement::Absent(name) => value(name).is_none(),
            Requirement::Never => false,
        })
    }
}

impl Requirement {
    fn parse(expression: &Value) -> Self {
        let Some(name) = expression.text("/key").map(str::to_owned) else { return Self::Never };
        let values = || expression.items("/values").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        match expression.text("/operator") {
            Some("In") => Self::In(name, values()),
            Some("NotIn") => Self::NotIn(name, values()),
            Some("Exists") => Self::Exists(name),
            Some("DoesNotExist") => Self::Absent(name),
            _ => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_requirement_must_hold() {
        let selector = Selector::of_workload(Some(&json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["a", "b"]},
                {"key": "old", "operator": "DoesNotExist"},
                {"key": "zone", "operator": "NotIn", "values": ["x"]},
                {"key": "hash", "operator": "Exists"},
            ],
        })));
        assert!(selector.matches(Some(&labels(&[("app", "web"), ("tier", "b"), ("hash", "1")]))));
        assert!(!selector.matches(Some(&labels(&[("app", "web"), ("tier", "b")]))));
        assert!(!selector.matches(Some(&labels(&[("app", "web"), ("tier", "b"), ("hash", "1"), ("old", "")]))));
        assert!(!selector.matches(Some(&labels(&[("app", "web"), ("tier", "b"), ("hash", "1"), ("zone", "x")]))));
        assert!(!selector.matches(None));
    }

    #[test]
    fn what_is_not_understood_selects_nothing() {
        assert!(!Selector::of_workload(None).matches(Some(&labels(&[("app", "web")]))));
        let unknown = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]});
        assert!(!Selector::of_workload(Some(&unknown)).matches(Some(&labels(&[("a", "1")]))));
    }

    #[test]
    fn an_empty_selector_says_so() {
        assert!(Selector::of_map(Some(&json!({}))).is_empty());
        assert!(Selector::of_map(None).is_empty());
    }
}
