//! Printer columns: the paths by which they find a value, and the cells that they show.

use jiff::Timestamp;
use serde_json::{Value, json};

/// A path in kubectl's notation: `.spec.size`, `.a['b.c']`, `.list[0].x`, `.conditions[?(@.type=="Ready")].status`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    /// Counted from the end when negative.
    Index(i64),
    Each,
    /// The items whose value at the path equals this one.
    Where(Vec<String>, Value),
}

impl Path {
    /// None when it is not in this notation.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (inside, after) = bracket(after)?;
                steps.push(step(inside)?);
                rest = after;
            } else {
                let (key, after) = key(rest.strip_prefix('.')?);
                if key == "*" {
                    steps.push(Step::Each);
                } else if !key.is_empty() {
                    steps.push(Step::Key(key));
                } else if !after.is_empty() && !after.starts_with('[') {
                    return None;
                }
                rest = after;
            }
        }
        Some(Self(steps))
    }

    /// The first value that the path leads to.
    pub(crate) fn find<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        let mut found = vec![object];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.follow(value)).collect();
        }
        found.into_iter().next()
    }
}

impl Step {
    fn follow<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let items = || value.as_array().map_or(&[][..], Vec::as_slice);
        match self {
            Self::Key(key) => value.get(key).into_iter().collect(),
            Self::Index(index) => {
                let at = if *index < 0 { index + i64::try_from(items().len()).unwrap_or_default() } else { *index };
                usize::try_from(at).ok().and_then(|at| items().get(at)).into_iter().collect()
            }
            Self::Each => match value {
                Value::Object(map) => map.values().collect(),
                _ => items().iter().collect(),
            },
            Self::Where(path, wanted) => {
                let at = |item: &'a Value| path.iter().try_fold(item, |at, key| at.get(key));
                items().iter().filter(|item| at(item) == Some(wanted)).collect()
            }
        }
    }
}

/// A key up to the next dot or bracket; a backslash takes the next character as it is.
fn key(text: &str) -> (String, &str) {
    let mut key = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => key.extend(characters.next().map(|(_, c)| c)),
            '.' | '[' => return (key, text.split_at(at).1),
            c => key.push(c),
        }
    }
    (key, "")
}

/// What is inside of a bracket, and what is behind it. Quoted brackets don't close it.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let (mut quote, mut depth) = (None, 0_u32);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth > 0 => depth -= 1,
            (None, ']') => {
                let (inside, rest) = text.split_at(at);
                return Some((inside, rest.strip_prefix(']')?));
            }
            (None, _) => {}
        }
    }
    None
}

fn step(inside: &str) -> Option<Step> {
    let inside = inside.trim();
    if inside == "*" {
        return Some(Step::Each);
    }
    if let Some(condition) = inside.strip_prefix("?(") {
        let (path, value) = condition.strip_suffix(')')?.split_once("==")?;
        let path = path.trim().strip_prefix("@.")?;
        return Some(Step::Where(path.split('.').map(str::to_owned).collect(), literal(value.trim())?));
    }
    match literal(inside)? {
        Value::String(key) => Some(Step::Key(key)),
        other => other.as_i64().map(Step::Index),
    }
}

/// `'text'`, `"text"`, a number, true or false.
fn literal(text: &str) -> Option<Value> {
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    match quoted('\'').or_else(|| quoted('"')) {
        Some(inside) => Some(json!(inside)),
        None => serde_json::from_str(text).ok(),
    }
}

/// The cell that shows a value in a column of a type; null when it has another type.
pub(crate) fn cell(kind: &str, value: Option<&Value>, age: impl Fn(Timestamp) -> String) -> Value {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Value::Null };
    match kind {
        "string" => match value {
            Value::String(_) => value.clone(),
            other => json!(other.to_string()),
        },
        "integer" if value.is_f64() => value.as_f64().map_or(Value::Null, |number| json!(number.trunc())),
        "integer" | "number" if value.is_number() => value.clone(),
        "boolean" if value.is_boolean() => value.clone(),
        "date" => match value.as_str() {
            Some(text) => json!(text.parse::<Timestamp>().map_or_else(|_| "<invalid>".to_owned(), age)),
            None => Value::Null,
        },
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_kubectls_notation_are_followed() {
        let object = json!({
            "spec": { "size": 3, "a.b": { "c": true }, "list": [{ "x": 1 }, { "x": 2 }] },
            "status": { "conditions": [
                { "type": "Ready", "status": "False" }, { "type": "Promoted", "status": "True" },
            ] },
        });
        for (path, found) in [
            (".spec.size", json!(3)),
            (".spec['a.b'].c", json!(true)),
            (r".spec.a\.b.c", json!(true)),
            (".spec.list[1].x", json!(2)),
            (".spec.list[-1].x", json!(2)),
            (".spec.list[*].x", json!(1)),
            (r#".status.conditions[?(@.type=="Promoted")].status"#, json!("True")),
            (".status.conditions[?(@.type=='Ready')].status", json!("False")),
            (".spec.none.deeper", Value::Null),
        ] {
            let path = Path::read(path).unwrap();
            assert_eq!(path.find(&object).cloned().unwrap_or_default(), found, "{path:?}");
        }
        for wrong in ["spec", ".a[", ".a[?(@.b>1)]", ".a[x]", ".."] {
            assert_eq!(Path::read(wrong), None, "{wrong}");
        }
    }
}
