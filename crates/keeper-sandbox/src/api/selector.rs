//! Label and field selectors, in the text form of list requests and in the object form of specs.

use serde_json::{Map, Value};

use super::object;

/// One requirement on a label or field value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
    Greater(String, i64),
    Less(String, i64),
}

/// Requirements that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

/// Fields that must have (or not have) a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<(String, bool, String)>);

impl LabelSelector {
    /// Reads the text form, such as `app=shop,tier in (a,b),!canary`.
    ///
    /// # Errors
    /// What can't be read, in the words a client sees; a retry does not help.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        split_outside_parentheses(text)
            .into_iter()
            .map(|part| requirement(part.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Reads the object form (`matchLabels`, `matchExpressions`). An empty selector selects everything.
    ///
    /// # Errors
    /// Names the operator that is unknown; a retry does not help.
    pub(crate) fn from_object(selector: &Value) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for (key, value) in object::map(selector, "/matchLabels").into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            requirements.push(Requirement::In(key.clone(), vec![value]));
        }
        for expression in object::list(selector, "/matchExpressions") {
            let key = object::text(expression, "/key").unwrap_or_default().to_owned();
            let values =
                object::list(expression, "/values").iter().filter_map(Value::as_str).map(str::to_owned).collect();
            requirements.push(match object::text(expression, "/operator").unwrap_or_default() {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::DoesNotExist(key),
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            });
        }
        Ok(Self(requirements))
    }

    /// A selector that is a plain map of labels, as Services and ReplicationControllers carry it.
    pub(crate) fn from_map(labels: &Map<String, Value>) -> Self {
        let each = |(key, value): (&String, &Value)| {
            Requirement::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()])
        };
        Self(labels.iter().map(each).collect())
    }

    /// Selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the labels meet every requirement. No labels at all meet only negative ones.
    pub(crate) fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = |key: &String| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => value(key).is_some_and(|v| values.iter().any(|x| x == v)),
            Requirement::NotIn(key, values) => value(key).is_none_or(|v| values.iter().all(|x| x != v)),
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::DoesNotExist(key) => value(key).is_none(),
            Requirement::Greater(key, n) => value(key).and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| v > *n),
            Requirement::Less(key, n) => value(key).and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| v < *n),
        })
    }
}

/// The text form, as the scale subresource shows it.
impl std::fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, requirement) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match requirement {
                Requirement::In(key, values) => match values.as_slice() {
                    [only] => write!(f, "{key}={only}")?,
                    many => write!(f, "{key} in ({})", many.join(","))?,
                },
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(","))?,
                Requirement::Exists(key) => f.write_str(key)?,
                Requirement::DoesNotExist(key) => write!(f, "!{key}")?,
                Requirement::Greater(key, n) => write!(f, "{key}>{n}")?,
                Requirement::Less(key, n) => write!(f, "{key}<{n}")?,
            }
        }
        Ok(())
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let unreadable = || format!("unable to parse requirement: {part:?}");
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::DoesNotExist(label_key(key)?));
    }
    if let Some(rest) = part.strip_suffix(')') {
        let (head, values) = rest.split_once('(').ok_or_else(unreadable)?;
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => Ok(Requirement::In(label_key(key)?, values)),
            (Some(key), Some("notin"), None) => Ok(Requirement::NotIn(label_key(key)?, values)),
            _ => Err(unreadable()),
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(label_key(key)?, vec![label_value(value)?]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::In(label_key(key)?, vec![label_value(value)?]));
    }
    if let Some((key, value)) = part.split_once('>') {
        return Ok(Requirement::Greater(label_key(key)?, value.trim().parse().map_err(|_| unreadable())?));
    }
    if let Some((key, value)) = part.split_once('<') {
        return Ok(Requirement::Less(label_key(key)?, value.trim().parse().map_err(|_| unreadable())?));
    }
    Ok(Requirement::Exists(label_key(part)?))
}

fn label_key(key: &str) -> Result<String, String> {
    let key = key.trim();
    match super::names::label_key_faults(key).first() {
        None => Ok(key.to_owned()),
        Some(fault) => Err(format!("unable to parse requirement: key: Invalid value: {key:?}: {fault}")),
    }
}

fn label_value(value: &str) -> Result<String, String> {
    let value = value.trim();
    match super::names::label_value_faults(value).first() {
        None => Ok(value.to_owned()),
        Some(fault) => Err(format!("unable to parse requirement: values: Invalid value: {value:?}: {fault}")),
    }
}

impl FieldSelector {
    /// Reads `metadata.name=x,status.phase!=Failed`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for part in split_unescaped(text).into_iter().filter(|part| !part.is_empty()) {
            let (field, value) =
                part.split_once('=').ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
            let (field, equal, value) = match field.strip_suffix('!') {
                Some(field) => (field, false, value),
                None => (field, true, value.strip_prefix('=').unwrap_or(value)),
            };
            let value = unescaped(value)?;
            if !(field.is_empty() && value.is_empty() && equal) {
                terms.push((field.to_owned(), equal, value));
            }
        }
        Ok(Self(terms))
    }

    /// The first field that `supported` does not take.
    pub(crate) fn unsupported(&self, supported: impl Fn(&str) -> bool) -> Option<&str> {
        self.0.iter().map(|(field, _, _)| field.as_str()).find(|field| !supported(field))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, of: &Value) -> bool {
        self.0.iter().all(|(field, equal, wanted)| {
            let pointer = format!("/{}", field.replace('.', "/"));
            let actual = match of.pointer(&pointer) {
                Some(Value::String(s)) => s.clone(),
                None | Some(Value::Null) => String::new(),
                Some(other) => other.to_string(),
            };
            (actual == *wanted) == *equal
        })
    }
}

/// The terms of a field selector, which commas part that no backslash stands before.
fn split_unescaped(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.extend(text.get(start..));
    terms
}

/// A field selector's value, in which a backslash stands before `\`, `,` and `=`.
fn unescaped(value: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match (c, c == '\\') {
            (_, true) => match rest.next() {
                Some(c @ ('\\' | ',' | '=')) => plain.push(c),
                other => {
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: \\{}",
                        other.map_or_else(String::new, String::from)
                    ));
                }
            },
            (',' | '=', false) => return Err(format!("invalid field selector: unescaped character in value: {c}")),
            (c, false) => plain.push(c),
        }
    }
    Ok(plain)
}

/// What a list or watch request selects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Selection {
    pub(crate) fn matches(&self, of: &Value) -> bool {
        self.namespace.as_deref().is_none_or(|ns| object::namespace(of) == ns)
            && self.name.as_deref().is_none_or(|name| object::name(of) == name)
            && (self.labels.is_empty() || self.labels.matches(object::map(of, "/metadata/labels")))
            && (self.fields.is_empty() || self.fields.matches(of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_selectors_select_what_they_say() {
        let labels = json!({ "app": "shop", "tier": "b", "n": "5" });
        let labels = labels.as_object();
        for (text, expected) in [
            ("app=shop", true),
            ("app==shop,tier=b", true),
            ("app!=shop", false),
            ("other!=x", true),
            ("tier in (a, b)", true),
            ("tier notin (a,b)", false),
            ("app", true),
            ("!app", false),
            ("!canary", true),
            ("n>4", true),
            ("n<5", false),
            ("", true),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap().matches(labels), expected, "{text}");
        }
        for bad in ["a b", "tier maybe (a)", "=x", "a=b c", ",a", "a,", "a,,b"] {
            assert!(LabelSelector::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn field_selectors_compare_text_and_absence() {
        let pod = json!({ "metadata": { "name": "a" }, "status": { "phase": "Running" }, "spec": {} });
        for (text, expected) in [("metadata.name=a", true), ("status.phase!=Running", false), ("spec.nodeName=", true)]
        {
            assert_eq!(FieldSelector::parse(text).unwrap().matches(&pod), expected, "{text}");
        }
        assert!(FieldSelector::parse("=").unwrap().is_empty());
        let odd = json!({ "a": "x,y=z" });
        assert!(FieldSelector::parse("a=x\\,y\\=z").unwrap().matches(&odd));
        for bad in ["a", "a=b=c", "a=\\", "a=\\b"] {
            assert!(FieldSelector::parse(bad).is_err(), "{bad}");
        }
    }
}
