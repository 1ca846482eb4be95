//! Two answers side by side.

use std::collections::BTreeMap;

use serde_json::Value;

/// Which symbol of one server stands for which of the other's, so far in a script. A refused request uses up symbols on
/// one side only, so their numbers need not agree, but what stands for what must.
#[derive(Default)]
pub(crate) struct Pairing {
    there: BTreeMap<String, String>,
    back: BTreeMap<String, String>,
}

impl Pairing {
    /// Every place where two answers differ: a JSON pointer and what each has there.
    pub(crate) fn differences(&mut self, real: &Value, ours: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.walk("", Some(real), Some(ours), &mut found);
        found
    }

    fn walk(&mut self, at: &str, real: Option<&Value>, ours: Option<&Value>, found: &mut Vec<String>) {
        match (real, ours) {
            (Some(Value::Object(a)), Some(Value::Object(b))) => {
                let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
                keys.sort();
                keys.dedup();
                for key in keys {
                    self.walk(&format!("{at}/{key}"), a.get(key), b.get(key), found);
                }
            }
            (Some(Value::Array(a)), Some(Value::Array(b))) => {
                for i in 0..a.len().max(b.len()) {
                    self.walk(&format!("{at}/{i}"), a.get(i), b.get(i), found);
                }
            }
            (Some(Value::String(a)), Some(Value::String(b))) if self.same(a, b) => {}
            (real, ours) if real == ours && !real.is_some_and(Value::is_string) => {}
            (real, ours) => {
                let show = |value: Option<&Value>| value.map_or_else(|| "nothing".into(), short);
                found.push(format!("{at}\n        real:    {}\n        sandbox: {}", show(real), show(ours)));
            }
        }
    }

    /// Whether two texts are the same but for symbols that stand for each other.
    fn same(&mut self, a: &str, b: &str) -> bool {
        let (mut a, mut b) = (a.split('<'), b.split('<'));
        loop {
            match (a.next(), b.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a == b && symbol(a).is_none() => {}
                (Some(a), Some(b)) => {
                    let (Some((kind, a, behind)), Some((other, b, after))) = (symbol(a), symbol(b)) else {
                        return false;
                    };
                    let (a, b) = (format!("{kind} {a}"), format!("{other} {b}"));
                    let known = self.there.entry(a.clone()).or_insert_with(|| b.clone()) == &b;
                    let known = known & (self.back.entry(b).or_insert_with(|| a.clone()) == &a);
                    if kind != other || behind != after || !known {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }
}

/// `uid 3>rest` taken apart.
fn symbol(text: &str) -> Option<(&str, &str, &str)> {
    let (inside, rest) = text.split_once('>')?;
    let (kind, number) = inside.split_once(' ')?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some((kind, number, rest))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(700) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
