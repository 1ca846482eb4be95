//! Checks that the operator's owner writes once, and that workloads name.

use super::fields::{Field, Form, WORD, field};
use super::{is_word, pace};
use crate::invalid::{Invalid, list, quote};
use crate::yaml;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most templates, and the most variables of one.
const MOST: usize = 64;
const VARIABLES: usize = 16;
/// The most bytes of a template's text, and of a variable's value.
const LENGTH: usize = 16 * 1024;
const VALUE: usize = 256;

/// Checks with names and variables, as the operator's owner wrote them.
///
/// A template is a check as a workload would write it, under `check`, and the `variables` that stand in its texts as
/// `${name}`. One that has a `default` may be left out; one of `type: number` or `type: flag` has to stand alone in its
/// text, which then becomes a number or a boolean. The fields that say how a check is asked may be written beside
/// `template` too, where they win.
///
/// ```
/// use keeper_api::checks::Templates;
/// use keeper_api::{Defaults, canary, checks::Rule};
/// use serde_json::json;
///
/// let mut templates = Templates::default();
/// templates.add("errors-at-the-edge", r#"
/// variables:
///   service: {}
///   percent: { type: number, default: 1 }
/// check:
///   kind: query
///   query: sum(edge:errors:percent{service="${service}"})
///   max: ${percent}
///   interval: 30s
/// "#).unwrap();
/// let defaults = Defaults { templates, ..Defaults::default() };
///
/// let annotations = json!({
///     "canary-image": "quay.io/shop/basket:stable",
///     "canary-keeper.dev/checks": "- {template: errors-at-the-edge, with: {service: basket}, failureLimit: 1}",
/// });
/// let containers = json!([{ "name": "basket" }]);
/// let workload = json!({
///     "metadata": { "annotations": annotations }, "spec": { "template": { "spec": { "containers": containers } } },
/// });
/// let check = &keeper_api::read(&workload, &defaults).unwrap().checks[0];
/// assert_eq!((check.name.as_str(), check.policy.failure_limit), ("errors-at-the-edge", 1));
/// let Rule::Query(query) = &check.rule else { panic!() };
/// assert_eq!(query.query, r#"sum(edge:errors:percent{service="basket"})"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates(BTreeMap<String, Template>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    variables: BTreeMap<String, Variable>,
    check: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    kind: Kind,
    default: Option<String>,
}

/// What a variable becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Flag,
}

/// Why a template can't be used, in words for the operator's owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("check template {name}: {problem}")]
pub struct TemplateError {
    /// Its name, shortened.
    pub name: String,
    /// What is wrong with it, and where.
    pub problem: String,
}

/// What may stand in place of `kind`.
pub(crate) const FIELDS: &[Field] = &[
    field(
        "template",
        Form::Pattern(63, WORD),
        "Name of a check that the operator's owner wrote. In place of kind and of the fields of a kind.",
    ),
    field("with", Form::Map, "What the template's variables are, by name."),
];

/// A check made of a template.
pub(super) struct Resolved {
    /// How its place is called.
    pub(super) path: String,
    /// The template's name, which the check has too if it has none.
    pub(super) name: String,
    pub(super) check: Value,
}

impl Templates {
    /// Adds a template, written in YAML.
    ///
    /// # Errors
    ///
    /// A name that can't be one or is there already, text that isn't such a template, or a variable that isn't declared.
    /// What the check itself may hold is told when a workload names it.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), TemplateError> {
        let wrong = |problem: String| TemplateError { name: list([name]), problem };
        if !is_word(name) || name.len() > super::NAME_LENGTH {
            return Err(wrong("its name must be letters and digits, with - _ . between them".into()));
        }
        if self.0.contains_key(name) || self.0.len() >= MOST {
            return Err(wrong(format!("it is there already, or there are more than {MOST}")));
        }
        if text.len() > LENGTH {
            return Err(wrong(format!("it is {} bytes long, at most {LENGTH} are read", text.len())));
        }
        let template = yaml::read(text).and_then(|value| Template::read(&value)).map_err(wrong)?;
        self.0.insert(name.to_owned(), template);
        Ok(())
    }

    /// The names of all templates.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The check that this item means; `None` where it names no template.
    pub(super) fn resolve(&self, path: &str, item: &Value) -> Result<Option<Resolved>, Invalid> {
        let Some(written) = item.as_object() else { return Ok(None) };
        let Some(named) = written.get("template").filter(|value| !value.is_null()) else {
            return match written.get("with").filter(|value| !value.is_null()) {
                None => Ok(None),
                Some(_) => {
                    Err(invalid(path, ".with", "stands there without template", "remove it, or write template:"))
                }
            };
        };
        let known = || match self.0.is_empty() {
            true => "write kind: in its place; the operator's owner wrote no templates".to_owned(),
            false => format!("write one of {}", list(self.names())),
        };
        let Some(name) = named.as_str() else {
            return Err(invalid(path, ".template", format!("is {}", yaml::kind_of(named)), known()));
        };
        let template = self
            .0
            .get(name)
            .ok_or_else(|| invalid(path, ".template", format!("there is no template {}", quote(name)), known()))?;
        let mut check = template.fill(path, name, written.get("with"))?;
        beside(path, written, &mut check)?;
        let path = format!("{path} (template {name})");
        Ok(Some(Resolved { path, name: name.to_owned(), check: Value::Object(check) }))
    }
}

fn invalid(path: &str, field: &str, problem: impl Into<String>, fix: impl Into<String>) -> Invalid {
    Invalid { field: format!("{path}{field}"), problem: problem.into(), fix: fix.into() }
}

/// Takes over what is written beside `template`.
fn beside(path: &str, written: &Map<String, Value>, check: &mut Map<String, Value>) -> Result<(), Invalid> {
    for (key, value) in written.iter().filter(|(key, _)| !FIELDS.iter().any(|field| field.name == key.as_str())) {
        if !pace::COMMON.iter().any(|field| field.name == key) {
            let may: Vec<&str> = pace::COMMON.iter().map(|field| field.name).collect();
            let problem = format!("the field {} can't stand beside template", quote(key));
            return Err(invalid(
                path,
                "",
                problem,
                format!("write variables under with, or one of {}", may.join(", ")),
            ));
        }
        check.insert(key.clone(), value.clone());
    }
    Ok(())
}

impl Template {
    fn read(value: &Value) -> Result<Self, String> {
        let map = value.as_object().ok_or("it must have variables (if any) and check")?;
        if let Some(unknown) = map.keys().find(|key| !matches!(key.as_str(), "variables" | "check")) {
            return Err(format!("the field {} is not known; there are variables and check", quote(unknown)));
        }
        let check = map.get("check").and_then(Value::as_object).ok_or("check: is missing, or no mapping")?.clone();
        if check.contains_key("template") || !check.contains_key("kind") {
            return Err("check: must have a kind, and can't name a template itself".into());
        }
        let mut variables = BTreeMap::new();
        match map.get("variables") {
            None | Some(Value::Null) => {}
            Some(Value::Object(declared)) if declared.len() <= VARIABLES => {
                for (name, variable) in declared {
                    variables.insert(name.clone(), Variable::read(name, variable)?);
                }
            }
            Some(_) => return Err(format!("variables: must be a mapping of at most {VARIABLES}")),
        }
        let template = Self { variables, check };
        template.check_variables()?;
        Ok(template)
    }

    /// Every variable that is used is declared, and stands where it can.
    fn check_variables(&self) -> Result<(), String> {
        let mut wrong = None;
        let mut check = self.check.clone();
        check.values_mut().for_each(|value| {
            each_text(value, &mut |text| {
                for name in names_in(text) {
                    match self.variables.get(name) {
                        None => wrong = Some(format!("variables: ${{{}}} is not declared", list([name]))),
                        Some(variable) if variable.kind != Kind::Text && *text != format!("${{{name}}}") => {
                            wrong = Some(format!("check: ${{{name}}} is no text, and has to stand alone"));
                        }
                        Some(_) => {}
                    }
                }
                None
            });
        });
        wrong.map_or(Ok(()), Err)
    }

    fn fill(&self, path: &str, name: &str, with: Option<&Value>) -> Result<Map<String, Value>, Invalid> {
        let values = self.values(path, name, with)?;
        let mut check = self.check.clone();
        for value in check.values_mut() {
            each_text(value, &mut |text| {
                let whole = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).and_then(|n| values.get(n));
                whole.cloned().or_else(|| replaced(text, &values).map(Value::String))
            });
        }
        Ok(check)
    }

    /// The value of each variable.
    fn values(&self, path: &str, name: &str, with: Option<&Value>) -> Result<BTreeMap<&str, Value>, Invalid> {
        let none = Map::new();
        let with = match with {
            None | Some(Value::Null) => &none,
            Some(Value::Object(map)) => map,
            Some(other) => {
                let problem = format!("is {} and not a mapping", yaml::kind_of(other));
                return Err(invalid(path, ".with", problem, "write variable: value"));
            }
        };
        if let Some(unknown) = with.keys().find(|key| !self.variables.contains_key(*key)) {
            let known = list(self.variables.keys().map(String::as_str));
            let fix = if known.is_empty() { "remove it".into() } else { format!("write one of {known}") };
            let problem = format!("the template {name} has no variable {}", quote(unknown));
            return Err(invalid(path, ".with", problem, fix));
        }
        let value = |(key, variable): (&'_ String, &Variable)| {
            let written = with.get(key).filter(|value| !value.is_null()).map(as_text);
            let written = written.or_else(|| variable.default.clone().map(Some));
            let field = format!(".with.{}", list([key.as_str()]));
            match written {
                None => {
                    let problem = format!("is missing: the template {name} needs it");
                    Err(invalid(path, &field, problem, "write its value"))
                }
                Some(text) => text.and_then(|text| variable.kind.value(&text)).ok_or_else(|| {
                    let fix = format!("write {}", variable.kind.told());
                    invalid(path, &field, "has a value that can't be put in", fix)
                }),
            }
        };
        self.variables.iter().map(|entry| Ok((entry.0.as_str(), value(entry)?))).collect()
    }
}

impl Variable {
    fn read(name: &str, value: &Value) -> Result<Self, String> {
        let place = format!("variables.{}", list([name]));
        let identifier = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !identifier || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.len() > 63 {
            return Err(format!("{place}: must begin with a letter and have only letters, digits and _"));
        }
        let none = Map::new();
        let map = match value {
            Value::Null => &none,
            Value::Object(map) => map,
            _ => return Err(format!("{place}: must be {{}}, or have type and default")),
        };
        if let Some(unknown) = map.keys().find(|key| !matches!(key.as_str(), "type" | "default")) {
            return Err(format!("{place}: the field {} is not known; there are type and default", quote(unknown)));
        }
        let kind = match map.get("type").map(Value::as_str) {
            None | Some(Some("text")) => Kind::Text,
            Some(Some("number")) => Kind::Number,
            Some(Some("flag")) => Kind::Flag,
            Some(_) => return Err(format!("{place}.type: must be text, number or flag")),
        };
        let default = map.get("default").filter(|value| !value.is_null()).map(as_text);
        match default {
            Some(text) if text.as_deref().and_then(|text| kind.value(text)).is_none() => {
                Err(format!("{place}.default: must be {}", kind.told()))
            }
            default => Ok(Self { kind, default: default.flatten() }),
        }
    }
}

impl Kind {
    /// What this text becomes. A text can't leave the quotes that it is put into, nor make further variables.
    fn value(self, text: &str) -> Option<Value> {
        let harmless = |c: char| !c.is_control() && !matches!(c, '"' | '\'' | '`' | '\\' | '{' | '}' | '$');
        match self {
            Self::Text => (text.len() <= VALUE && text.chars().all(harmless)).then(|| text.into()),
            Self::Number => serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number),
            Self::Flag => text.parse().ok().map(Value::Bool),
        }
    }

    fn told(self) -> String {
        match self {
            Self::Text => format!("a text of at most {VALUE} bytes without quotes, backslashes, braces and $"),
            Self::Number => "a number, like 0.5".into(),
            Self::Flag => "true or false".into(),
        }
    }
}

/// A scalar as text.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Calls for every text in this value, and puts in its place what comes back.
fn each_text(value: &mut Value, change: &mut dyn FnMut(&str) -> Option<Value>) {
    match value {
        Value::String(text) => {
            if let Some(changed) = change(text) {
                *value = changed;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(map) => map.values_mut().for_each(|item| each_text(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The variables in a text. `${1}` is none: PromQL's `label_replace` has such.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let name = |rest: &'_ str| -> Option<usize> {
        rest.starts_with(|c: char| c.is_ascii_alphabetic()).then(|| rest.find('}'))?
    };
    text.split("${").skip(1).filter_map(move |rest| rest.get(..name(rest)?))
}

/// The text with its variables replaced, if it has any.
fn replaced(text: &str, values: &BTreeMap<&str, Value>) -> Option<String> {
    let mut made = text.to_owned();
    for name in names_in(text) {
        if let Some(value) = values.get(name).and_then(as_text) {
            made = made.replace(&format!("${{{name}}}"), &value);
        }
    }
    (made != text).then_some(made)
}
