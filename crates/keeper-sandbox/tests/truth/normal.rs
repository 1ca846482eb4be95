//! What a server invents (identifiers, versions, times, random names, addresses) becomes a symbol, the same one wherever it
//! occurs in a script: so what must be equal, or must differ, still shows.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::exceptions;
use super::script::Step;
use super::server::Answer;

/// The symbols of one script.
pub(crate) struct Symbols {
    namespace: String,
    uids: BTreeMap<String, String>,
    versions: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
}

impl Symbols {
    pub(crate) fn new(namespace: &str) -> Self {
        let namespace = namespace.to_owned();
        Self { namespace, uids: BTreeMap::new(), versions: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// The answer as it is kept and compared.
    pub(crate) fn normalise(&mut self, step: &Step, answer: &Answer) -> Value {
        let mut body = answer.body.clone();
        let mut code = answer.code;
        exceptions::apply(step, &mut code, &mut body);
        self.object(&mut body);
        let mut headers = answer.headers.clone();
        exceptions::headers(&mut headers);
        if code == 0 {
            headers.clear();
        }
        json!({ "code": code, "headers": headers, "body": body })
    }

    fn object(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.object(item)),
            Value::Object(map) => {
                let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default();
                let many = map.contains_key("items") || kind.ends_with("List") || kind == "Table";
                let mark = map.get("type").and_then(Value::as_str) == Some("BOOKMARK");
                if many {
                    hide_version(map.get_mut("metadata"));
                }
                if mark {
                    hide_version(map.get_mut("object").and_then(|object| object.get_mut("metadata")));
                }
                if map.get("annotations").is_some_and(|all| all.get("k8s.io/initial-events-end").is_some()) {
                    hide_version_in(map);
                }
                self.generated(map);
                let is_cells = map.contains_key("cells");
                for (key, value) in map.iter_mut() {
                    self.field(key, value, is_cells);
                }
            }
            Value::String(text) => *text = self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Takes note of a name that a server completed.
    fn generated(&mut self, metadata: &serde_json::Map<String, Value>) {
        let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
        let (prefix, name) = (text("generateName"), text("name"));
        if !prefix.is_empty() && name.len() > 5 {
            let known = self.names.len() + 1;
            let (stem, _) = name.split_at(name.len() - 5);
            self.names.entry(name.to_owned()).or_insert_with(|| format!("{stem}<five {known}>"));
        }
    }

    fn field(&mut self, key: &str, value: &mut Value, is_cells: bool) {
        let text = value.as_str().map(str::to_owned);
        match (key, text) {
            ("resourceVersion", Some(text)) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                let next = self.versions.len() + 1;
                let symbol = self.versions.entry(text).or_insert_with(|| format!("<version {next}>"));
                *value = json!(symbol);
            }
            ("continue", Some(text)) if !text.is_empty() => *value = json!("<continue>"),
            ("clusterIP" | "clusterIPs", _) => self.address(value),
            ("cells", _) if is_cells => {
                for cell in value.as_array_mut().into_iter().flatten() {
                    if cell.as_str().is_some_and(is_age) {
                        *cell = json!("<age>");
                    }
                }
                self.object(value);
            }
            _ => self.object(value),
        }
    }

    fn address(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.address(item)),
            Value::String(text) if text.parse::<std::net::Ipv4Addr>().is_ok() => {
                self.names.insert(text.clone(), "<address>".into());
                *text = "<address>".into();
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) -> String {
        if is_time(text) {
            return if text.contains('.') { "<time with microseconds>" } else { "<time>" }.into();
        }
        let mut text = text.replace(&self.namespace, "{ns}");
        for (name, symbol) in &self.names {
            text = text.replace(name, symbol);
        }
        text = versions_in(&text);
        let mut done = String::new();
        let mut rest = text.as_str();
        while let Some((at, uid)) = find_uid(rest) {
            let next = self.uids.len() + 1;
            let symbol = self.uids.entry(uid.to_owned()).or_insert_with(|| format!("<uid {next}>"));
            done.push_str(&rest[..at]);
            done.push_str(symbol);
            rest = &rest[at + uid.len()..];
        }
        done.push_str(rest);
        done
    }
}

fn hide_version(metadata: Option<&mut Value>) {
    if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
        hide_version_in(metadata);
    }
}

fn hide_version_in(metadata: &mut serde_json::Map<String, Value>) {
    if let Some(version) = metadata.get_mut("resourceVersion")
        && version.as_str().is_some_and(|v| !v.is_empty())
    {
        *version = json!("<version>");
    }
}

/// The server's own version in a message about one that it can't serve, and how large its range of addresses is.
fn versions_in(text: &str) -> String {
    let mut text = text.to_owned();
    for before in ["current: ", "too old resource version: 1 (", "does not match the ResourceVersion in record ("] {
        if let Some(at) = text.find(before).map(|at| at + before.len()) {
            let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
            text.replace_range(at..at + digits, "<version>");
        }
    }
    if let Some((before, after)) = text.split_once("The range of valid IPs is <address>/") {
        let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        text = format!("{before}The range of valid IPs is <address>/<prefix>{rest}");
    }
    text
}

/// Times of this century's twenties are a server's; those that scripts send are older.
fn is_time(text: &str) -> bool {
    text.len() >= 20 && text.starts_with("202") && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T')
}

fn is_age(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && matches!(&text[digits..], "s" | "m")
}

fn find_uid(text: &str) -> Option<(usize, &str)> {
    let is_uid = |part: &[u8]| {
        part.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(b),
        })
    };
    // One that scripts send on purpose is the same everywhere.
    let at = text.as_bytes().windows(36).position(|part| is_uid(part) && !part.starts_with(b"00000000"))?;
    Some((at, &text[at..at + 36]))
}
