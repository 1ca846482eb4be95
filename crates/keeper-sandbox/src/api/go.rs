//! How the real server's language reads and prints what clients send: its answers quote both.

use serde_json::{Map, Value};

/// A text in double quotes, as Go's `%q` prints it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Reads a number as Go does.
///
/// # Errors
/// It is none, or doesn't fit, in Go's words.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let why = if is_number { "value out of range" } else { "invalid syntax" };
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {}: {why}", quoted(text)))
}

/// What is wrong with a duration such as `1m30s`, in Go's words.
pub(crate) fn duration_fault(text: &str) -> Option<String> {
    let invalid = || Some(format!("time: invalid duration {}", quoted(text)));
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return None;
    }
    if rest.is_empty() {
        return invalid();
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(unit_at)?;
        if !number.bytes().any(|b| b.is_ascii_digit()) || number.matches('.').count() > 1 {
            return invalid();
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        match unit {
            "" => return Some(format!("time: missing unit in duration {}", quoted(text))),
            "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h" => rest = after,
            _ => return Some(format!("time: unknown unit {} in duration {}", quoted(unit), quoted(text))),
        }
    }
    None
}

/// A JSON object as Go's `%v` prints it.
pub(crate) fn printed(map: &Map<String, Value>) -> String {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| key.as_str());
    let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}:{}", printed_value(value))).collect();
    format!("map[{}]", entries.join(" "))
}

fn printed_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::Object(map) => printed(map),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(printed_value).collect::<Vec<_>>().join(" "))
        }
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// What JSON of the wrong type is called when a map was wanted.
pub(crate) fn no_map(value: &Value) -> String {
    let kind = match value {
        Value::Null | Value::Object(_) => "object",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
    };
    format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
}

/// Why a text is no JSON; what ends too early is told in Go's words.
pub(crate) fn json_fault(error: &serde_json::Error) -> String {
    if error.is_eof() { "unexpected end of JSON input".into() } else { error.to_string() }
}

/// The beginning of a body, for a message about it.
pub(crate) fn summary(body: &[u8]) -> String {
    const MAX: usize = 30;
    let start = body.get(..MAX).unwrap_or(body);
    let more = if body.len() > MAX { " ..." } else { "" };
    match body.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => format!("{}{more}", hex::encode(start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_numbers_and_maps_are_printed_as_go_does() {
        assert_eq!(quoted("a\"\\\n\u{0}\u{85}ü"), "\"a\\\"\\\\\\n\\x00\\u0085ü\"");
        let map = json!({ "b": [1, "x", null], "a": { "c": true } });
        assert_eq!(printed(map.as_object().unwrap()), "map[a:map[c:true] b:[1 x <nil>]]");
        assert_eq!(integer("-5"), Ok(-5));
        assert_eq!(integer("x").unwrap_err(), "strconv.ParseInt: parsing \"x\": invalid syntax");
        assert!(integer("9999999999999999999999").unwrap_err().ends_with("value out of range"));
    }

    #[test]
    fn durations_are_read_as_go_does() {
        for good in ["0", "1s", "1m30s", "-1.5h", ".5s", "100ms"] {
            assert_eq!(duration_fault(good), None, "{good}");
        }
        for (bad, why) in
            [("", "invalid"), ("nonsense", "invalid"), ("1", "missing unit"), ("1x", "unknown unit \"x\"")]
        {
            assert!(duration_fault(bad).unwrap().contains(why), "{bad}");
        }
    }
}
