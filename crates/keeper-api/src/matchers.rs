//! The list of alert matchers, taken apart and not yet understood.

use crate::invalid::{Invalid, quote};
use crate::keys;

const MOST: usize = 32;
const EXAMPLE: &str = r#"write it like {service="basket", severity=~"page|ticket"}"#;

/// Reads the annotation's list of matchers.
pub(crate) fn read(text: &str) -> Result<Vec<String>, Invalid> {
    split_list(text).map_err(|problem| Invalid::annotation(keys::ALERT_MATCHERS, problem, EXAMPLE))
}

/// Splits what Alertmanager writes as `{a="b", c=~"d"}` into its matchers: at commas and at ends of lines that stand
/// outside double quotes. The braces may be left out, and each line may have its own.
pub(crate) fn split_list(text: &str) -> Result<Vec<String>, String> {
    let mut found = vec![];
    for line in split(text, '\n').ok_or("has a double quote that is not closed")? {
        let line = without_braces(line.trim()).ok_or_else(|| format!("{} has one brace only", quote(line)))?;
        let parts = split(line, ',').unwrap_or_default();
        found.extend(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
    }
    if found.len() > MOST {
        return Err(format!("has {} matchers, at most {MOST} are taken", found.len()));
    }
    Ok(found)
}

fn without_braces(line: &str) -> Option<&str> {
    match (line.strip_prefix('{'), line.ends_with('}')) {
        (Some(rest), true) => rest.strip_suffix('}'),
        (None, false) => Some(line),
        _ => None,
    }
}

/// The parts between separators outside double quotes; `None` when a quote isn't closed.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let mut quoted = false;
    let mut escaped = false;
    let parts = text.split(|c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    });
    let parts = parts.collect();
    (!quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[&str], &str>) {
        let read = read(text).map_err(|invalid| invalid.problem);
        let expected = expected.map(|parts| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
        assert_eq!(read, expected.map_err(str::to_owned), "{text:?}");
    }

    #[test]
    fn matchers_as_alertmanager_writes_them() {
        check(r#"{a="b", c=~"d"}"#, Ok(&[r#"a="b""#, r#"c=~"d""#]));
        check("a=b\nc!=d\n", Ok(&["a=b", "c!=d"]));
        check("{a=b}\n{c!~d}", Ok(&["a=b", "c!~d"]));
        check(r#"a="x,\"y\n",b="}""#, Ok(&[r#"a="x,\"y\n""#, r#"b="}""#]));
        check("a=\"two\nlines\"", Ok(&["a=\"two\nlines\""]));
        check("{}", Ok(&[]));
        check(" , \n", Ok(&[]));
    }

    #[test]
    fn unbalanced_ones_are_refused() {
        check(r#"{a="b}"#, Err("has a double quote that is not closed"));
        check(r#"a="b\""#, Err("has a double quote that is not closed"));
        check("{a=b", Err("\"{a=b\" has one brace only"));
        check("a=b}", Err("\"a=b}\" has one brace only"));
        check(&"a=b,".repeat(33), Err("has 33 matchers, at most 32 are taken"));
    }
}
