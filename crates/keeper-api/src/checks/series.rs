//! Label matchers of Prometheus series, taken apart so that they can be put into a query without harm.

use super::fields::{Fields, is_name};
use crate::invalid::{Invalid, quote};
use crate::matchers;
use std::fmt;

/// One condition on a label of a series: `code=~"5.."`. Its display form is PromQL, with the value escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesMatcher {
    /// The label's name.
    pub label: String,
    /// How its value is compared.
    pub matching: Matching,
    /// With what: a text, or a regular expression of RE2 that has to fit the whole value.
    pub value: String,
}

/// See [`SeriesMatcher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// `=`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `=~`.
    Regex,
    /// `!~`.
    NotRegex,
}

impl fmt::Display for SeriesMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match self.matching {
            Matching::Equal => "=",
            Matching::NotEqual => "!=",
            Matching::Regex => "=~",
            Matching::NotRegex => "!~",
        };
        write!(f, "{}{operator}\"", self.label)?;
        for c in self.value.chars() {
            match c {
                '\\' | '"' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// The longest list of matchers, in bytes.
pub(super) const LONGEST: usize = 1_024;

/// The most matchers of one list.
const MOST: usize = 16;

/// Reads matchers such as `{code=~"5..|429", handler!="/health"}`; the braces may be left out.
pub(super) fn read(fields: &Fields<'_>, name: &str) -> Result<Option<Vec<SeriesMatcher>>, Invalid> {
    const EXAMPLE: &str = r#"'{code=~"5..|429"}'"#;
    let Some(text) = fields.text(name, LONGEST, EXAMPLE, |_| true)? else { return Ok(None) };
    let fix = format!("write it like {name}: {EXAMPLE}");
    let parts = matchers::split_list(&text).map_err(|problem| fields.invalid(name, problem, &fix))?;
    let one = |part: &String| {
        matcher(part).ok_or_else(|| fields.invalid(name, format!("{} is no label matcher", quote(part)), &fix))
    };
    let all = parts.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    if all.len() > MOST {
        let problem = format!("has {} label matchers, at most {MOST} are taken", all.len());
        return Err(fields.invalid(name, problem, fix));
    }
    if all.is_empty() {
        return Err(fields.invalid(name, "has no label matcher", fix));
    }
    Ok(Some(all))
}

fn matcher(text: &str) -> Option<SeriesMatcher> {
    let end = text.find(['=', '!'])?;
    let (label, rest) = text.split_at_checked(end)?;
    let operators =
        [("=~", Matching::Regex), ("!~", Matching::NotRegex), ("!=", Matching::NotEqual), ("=", Matching::Equal)];
    let (value, matching) = operators.into_iter().find_map(|(op, m)| Some((rest.strip_prefix(op)?, m)))?;
    let label = label.trim();
    is_name(label, false).then_some(SeriesMatcher { label: label.to_owned(), matching, value: unquote(value.trim())? })
}

/// A text in double quotes with the escapes that people use; any other escape is none of ours to guess.
fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(text: &str, expected: Result<&str, &str>) {
        let item = json!({ "selector": text });
        let read = read(&Fields::of("x", &item).unwrap(), "selector").map_err(|invalid| invalid.problem);
        let shown = read.map(|all| all.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
        assert_eq!(shown, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn matchers_come_out_as_promql() {
        check(r#"{code=~"5..|429"}"#, Ok(r#"code=~"5..|429""#));
        check(r#"a = "b", c!~"d,e""#, Ok(r#"a="b",c!~"d,e""#));
        check(r#"a!="b\"\\d\n""#, Ok(r#"a!="b\"\\d\n""#));
    }

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        check(r#"a="b"}) or vector(0"#, Err(r#""a=\"b\"}) or vector(0" is no label matcher"#));
        check(r#"a="b" or c="d""#, Err(r#""a=\"b\" or c=\"d\"" is no label matcher"#));
        check(r#"a="\x""#, Err(r#""a=\"\\x\"" is no label matcher"#));
        check("a=b", Err(r#""a=b" is no label matcher"#));
        check(r#"1a="b""#, Err(r#""1a=\"b\"" is no label matcher"#));
        check(r#"a="b"#, Err("has a double quote that is not closed"));
        check("{}", Err("has no label matcher"));
    }
}
