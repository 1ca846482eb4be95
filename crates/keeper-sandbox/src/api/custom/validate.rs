//! A value held against a schema: which faults are named, in which words and in which order, is the real server's.
//!
//! Among alternatives (`anyOf`, `oneOf`) the faults of the one that fits best are named: that with the most checks made, so
//! checks are counted as the real validator counts them.

use serde_json::{Value, json};

use super::super::status::FieldError;
use super::format;
use super::schema::{Additional, Schema};

/// Everything wrong with `new`. Faults of values that `old` had too are passed over, as the real server does since 1.33.
pub(super) fn faults(schema: &Schema, new: &Value, old: Option<&Value>, at: &str) -> Vec<FieldError> {
    // Only below the root are paths joined by dots alone, so the status is walked from its own root.
    let outcome = Node { schema, path: "", old }.check(new);
    outcome.faults.into_iter().map(|fault| fault.below(at)).collect()
}

/// One place of a schema, its path, and the value that was there before.
struct Node<'a> {
    schema: &'a Schema,
    path: &'a str,
    old: Option<&'a Value>,
}

/// What checking one place came to.
#[derive(Default)]
struct Outcome {
    faults: Vec<Fault>,
    checks: usize,
}

/// A fault, and the sentence by which the real server tells whether it has said so already.
struct Fault {
    sentence: String,
    error: FieldError,
}

impl Fault {
    fn below(self, at: &str) -> FieldError {
        if at.is_empty() { self.error } else { self.error.below(at) }
    }
}

impl Outcome {
    fn add(&mut self, sentence: String, error: FieldError) {
        if self.faults.iter().all(|known| known.sentence != sentence) {
            self.faults.push(Fault { sentence, error });
        }
    }

    fn merge(&mut self, other: Self) {
        self.checks += other.checks;
        for fault in other.faults {
            self.add(fault.sentence, fault.error);
        }
    }

    fn is_valid(&self) -> bool {
        self.faults.is_empty()
    }
}

/// `spec.size` from the walked path, or what the real server calls the root.
fn field(path: &str) -> String {
    match path.trim_start_matches('.') {
        "" => FieldError::ROOT.into(),
        path => path.into(),
    }
}

impl Node<'_> {
    fn check(&self, value: &Value) -> Outcome {
        let mut outcome = Outcome::default();
        if value.is_null() {
            outcome.checks += 1;
            self.null(&mut outcome);
            self.listed(value, &mut outcome);
        } else {
            self.all(value, &mut outcome);
        }
        if !outcome.is_valid() && self.old == Some(value) {
            outcome.faults.clear();
        }
        outcome
    }

    /// The checks in the real validator's order.
    fn all(&self, value: &Value, outcome: &mut Outcome) {
        let schema = self.schema;
        if !schema.kinds().is_empty() || !format::known(schema).is_empty() {
            self.kind(value, outcome);
            outcome.checks += 1;
        }
        self.combined(value, outcome);
        outcome.checks += 1;
        if let Some(text) = value.as_str() {
            self.text(text, outcome);
            outcome.checks += 1;
            if format::is_checked(schema) {
                self.format(text, outcome);
                outcome.checks += 1;
            }
        }
        if value.is_number() {
            self.number(value, outcome);
            outcome.checks += 2;
        }
        if let Some(items) = value.as_array() {
            self.items(items, outcome);
            outcome.checks += 2;
        }
        self.listed(value, outcome);
        outcome.checks += 1;
        if let Some(map) = value.as_object() {
            self.properties(map, outcome);
            outcome.checks += 1;
        }
        outcome.checks += 1;
    }

    fn invalid(&self, outcome: &mut Outcome, value: Value, what: &str) {
        let sentence = format!("{} in body {what}", self.path);
        outcome.add(sentence.clone(), FieldError::invalid(field(self.path), value, sentence));
    }

    fn mistyped(&self, outcome: &mut Outcome, wanted: &str, found: &str) {
        let sentence = format!("{} in body must be of type {wanted}: {found:?}", self.path);
        outcome.add(sentence.clone(), FieldError::mistyped(field(self.path), json!(found), sentence));
    }

    fn null(&self, outcome: &mut Outcome) {
        let kinds = self.schema.kinds();
        if !kinds.is_empty() && !self.schema.nullable {
            self.mistyped(outcome, &kinds.join(","), "null");
        }
    }

    fn kind(&self, value: &Value, outcome: &mut Outcome) {
        outcome.checks += 1;
        let kinds = self.schema.kinds();
        let (kind, format) = kind_of(value);
        let has = |wanted: &str| kinds.contains(&wanted);
        let whole = kind == "number" && value.as_f64().is_some_and(is_whole) && has("integer");
        let fits = has(kind) || whole || (kind == "integer" && has("number"));
        let formatted = format::known(self.schema);
        let text_or_list = value.is_string() || value.is_array();
        if !text_or_list && !formatted.is_empty() && !fits && format != formatted {
            outcome.checks -= 1;
            return self.mistyped(outcome, formatted, format);
        }
        if text_or_list && !(has("number") || has("integer") || formatted.is_empty()) {
            return;
        }
        if !fits {
            outcome.checks -= 1;
            self.mistyped(outcome, &kinds.join(","), kind);
        }
    }

    fn listed(&self, value: &Value, outcome: &mut Outcome) {
        let Some(values) = self.schema.values.as_ref().filter(|values| !values.is_empty()) else { return };
        if values.iter().any(|allowed| same(allowed, value)) {
            return;
        }
        let shown = |allowed: &Value| allowed.as_str().map_or_else(|| allowed.to_string(), str::to_owned);
        let shown: Vec<String> = values.iter().map(shown).collect();
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        let sentence = format!("{} in body should be one of [{}]", self.path, shown.join(" "));
        outcome.add(sentence, FieldError::not_supported(field(self.path), value.clone(), &shown));
    }

    fn text(&self, text: &str, outcome: &mut Outcome) {
        let length = text.chars().count() as u64;
        if let Some(max) = self.schema.max_length.filter(|max| length > *max) {
            let sentence = format!("{} in body should be at most {max} chars long", self.path);
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            return outcome.add(sentence, FieldError::too_long(field(self.path), max));
        }
        if let Some(min) = self.schema.min_length.filter(|min| length < *min) {
            return self.invalid(outcome, json!(text), &format!("should be at least {min} chars long"));
        }
        if let Some(pattern) = &self.schema.pattern
            && !pattern.text.is_empty()
            && !pattern.regex.as_ref().is_some_and(|regex| regex.is_match(text))
        {
            self.invalid(outcome, json!(text), &format!("should match '{}'", pattern.text));
        }
    }

    fn format(&self, text: &str, outcome: &mut Outcome) {
        if !format::fits(&self.schema.format, text) {
            self.mistyped(outcome, &self.schema.format, text);
        }
    }

    fn number(&self, value: &Value, outcome: &mut Outcome) {
        let schema = self.schema;
        let Some(number) = value.as_f64() else { return };
        let range = match (schema.kinds().as_slice(), schema.format.as_str()) {
            (["integer"], "int32") if value.as_i64().is_none_or(|n| i32::try_from(n).is_err()) => "with format int32",
            (["integer"], "int64") if !is_whole(number) => "with format int64",
            (["integer"], other) if other != "int32" && other != "int64" && !is_whole(number) => "(default format)",
            _ => "",
        };
        if !range.is_empty() {
            let sentence = format!("Checked value must be of type integer {range} in {}", self.path);
            outcome.add(sentence.clone(), FieldError::invalid(FieldError::ROOT, json!(""), sentence));
        }
        if let Some(factor) = schema.multiple_of.filter(|factor| *factor > 0.0 && !is_whole(number / factor)) {
            self.invalid(outcome, value.clone(), &format!("should be a multiple of {factor}"));
        }
        // Where whole numbers are compared, the bound is taken whole too.
        let bound = |bound: f64| if value.is_f64() { bound } else { bound.trunc() };
        if let Some(min) = schema.minimum.map(bound)
            && (number < min || schema.exclusive_minimum && number <= min)
        {
            let or = if schema.exclusive_minimum { "" } else { " or equal to" };
            self.invalid(outcome, value.clone(), &format!("should be greater than{or} {min}"));
        }
        if let Some(max) = schema.maximum.map(bound)
            && (number > max || schema.exclusive_maximum && number >= max)
        {
            let or = if schema.exclusive_maximum { "" } else { " or equal to" };
            self.invalid(outcome, value.clone(), &format!("should be less than{or} {max}"));
        }
    }

    fn items(&self, items: &[Value], outcome: &mut Outcome) {
        let schema = self.schema;
        if let Some(like) = &schema.items {
            for (i, item) in items.iter().enumerate() {
                let path = format!("{}[{i}]", self.path);
                // Items have no identity: none is the successor of another.
                outcome.merge(Node { schema: like, path: &path, old: None }.check(item));
            }
        }
        let count = items.len() as u64;
        if let Some(min) = schema.min_items.filter(|min| count < *min) {
            self.invalid(outcome, json!(count), &format!("should have at least {min} items"));
        }
        if let Some(max) = schema.max_items.filter(|max| count > *max) {
            let sentence = format!("{} in body should have at most {max} items", self.path);
            outcome.add(sentence, FieldError::too_many(field(self.path), count, max));
        }
    }

    fn properties(&self, map: &serde_json::Map<String, Value>, outcome: &mut Outcome) {
        let schema = self.schema;
        let count = map.len() as u64;
        if let Some(min) = schema.min_properties.filter(|min| count < *min) {
            self.invalid(outcome, json!(count), &format!("should have at least {min} properties"));
        }
        if let Some(max) = schema.max_properties.filter(|max| count > *max) {
            let sentence = format!("{} in body should have at most {max} properties", self.path);
            outcome.add(sentence, FieldError::too_many(field(self.path), count, max));
        }
        let old = |key: &str| {
            // The root's type and version never come from an earlier state.
            let told = self.path.is_empty() && matches!(key, "kind" | "apiVersion");
            self.old.filter(|_| !told).and_then(|old| old.get(key))
        };
        for (key, value) in map.iter().filter(|(key, _)| !schema.properties.contains_key(*key)) {
            let path = format!("{}.{key}", self.path);
            match &schema.additional_properties {
                Some(Additional::Like(like)) => {
                    outcome.merge(Node { schema: like, path: &path, old: old(key) }.check(value));
                }
                Some(Additional::Allowed(false)) => {
                    let sentence = format!("{path} in body is a forbidden property");
                    let fault = FieldError::invalid(field(self.path), json!(key), sentence.clone());
                    outcome.add(sentence, fault);
                }
                Some(Additional::Allowed(true)) | None => {}
            }
        }
        for (key, property) in &schema.properties {
            if let Some(value) = map.get(key) {
                let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
                outcome.merge(Node { schema: property, path: &path, old: old(key) }.check(value));
            }
        }
        for key in schema.required.iter().filter(|key| !map.contains_key(*key)) {
            let path = format!("{}.{key}", self.path);
            outcome.add(format!("{path} in body is required"), FieldError::required(field(&path), ""));
        }
    }

    fn combined(&self, value: &Value, outcome: &mut Outcome) {
        let schema = self.schema;
        let of = |schema| Node { schema, path: self.path, old: self.old }.check_alone(value);
        if !schema.any_of.is_empty() {
            let (valid, best) = best(schema.any_of.iter().map(of), true);
            if valid == 0 {
                self.unmatched(outcome, "must validate at least one schema (anyOf)");
            }
            outcome.merge(best);
        }
        if !schema.one_of.is_empty() {
            let (valid, best) = best(schema.one_of.iter().map(of), false);
            match valid {
                1 => outcome.merge(best),
                0 => {
                    self.unmatched(outcome, "must validate one and only one schema (oneOf). Found none valid");
                    outcome.merge(best);
                }
                many => {
                    let which = format!("Found {many} valid alternatives");
                    self.unmatched(outcome, &format!("must validate one and only one schema (oneOf). {which}"));
                }
            }
        }
        if !schema.all_of.is_empty() {
            let all: Vec<Outcome> = schema.all_of.iter().map(of).collect();
            let valid = all.iter().filter(|part| part.is_valid()).count();
            all.into_iter().for_each(|part| outcome.merge(part));
            if valid != schema.all_of.len() {
                let none = if valid == 0 { ". None validated" } else { "" };
                self.unmatched(outcome, &format!("must validate all the schemas (allOf){none}"));
            }
        }
        if let Some(not) = &schema.not
            && of(not).is_valid()
        {
            self.unmatched(outcome, "must not validate the schema (not)");
        }
        outcome.checks += 1;
    }

    /// As [`Self::check`], for an alternative of the same place: only the place as a whole is excused by its past.
    fn check_alone(&self, value: &Value) -> Outcome {
        let mut outcome = Outcome::default();
        if value.is_null() {
            outcome.checks += 1;
            self.null(&mut outcome);
            self.listed(value, &mut outcome);
        } else {
            self.all(value, &mut outcome);
        }
        outcome
    }

    fn unmatched(&self, outcome: &mut Outcome, what: &str) {
        let sentence = format!("{:?} {what}", self.path);
        outcome.add(sentence.clone(), FieldError::invalid(FieldError::ROOT, json!(""), sentence));
    }
}

/// How many of some alternatives are valid, and the outcome to show: the first valid one, else the one with most checks.
fn best(outcomes: impl Iterator<Item = Outcome>, first_is_enough: bool) -> (usize, Outcome) {
    let mut valid = 0;
    let mut shown: Option<Outcome> = None;
    for outcome in outcomes {
        let better = shown.as_ref().is_none_or(|shown| outcome.checks > shown.checks);
        if outcome.is_valid() {
            valid += 1;
            if valid == 1 {
                shown = Some(outcome);
            }
            if first_is_enough {
                break;
            }
        } else if valid == 0 && better {
            shown = Some(outcome);
        }
    }
    (valid, shown.unwrap_or_default())
}

/// The type of a value and, for numbers, the format that Go has it in.
fn kind_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(number) if number.is_f64() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

/// Equal as JSON has it: 1 is 1.0.
fn same(a: &Value, b: &Value) -> bool {
    a == b || a.is_number() && b.is_number() && a.as_f64() == b.as_f64()
}

fn is_whole(number: f64) -> bool {
    number.is_finite() && number.fract() == 0.0
}
