use crate::provider::is_label_name;
use regex_lite::{Regex, RegexBuilder};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The most matchers in one list, and the most bytes of its text.
const MOST: usize = 16;
const LENGTH: usize = 1024;

/// A list of label matchers as PromQL writes it, with or without braces: `code=~"5..",handler!="/healthz"`.
///
/// It is sent to the server as part of a selector, and applied to samples here as the server would: an absent label
/// counts as empty, and a pattern must match the whole value.
///
/// ```
/// # use keeper_prometheus::Matchers;
/// let errors: Matchers = r#"{code=~"5..|429"}"#.parse()?;
/// assert!(errors.match_labels(&[("code".to_owned(), "503".to_owned())].into()));
/// assert_eq!(errors.to_string(), r#"code=~"5..|429""#);
/// # Ok::<(), keeper_prometheus::MatchersError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Matchers(Vec<Matcher>);

#[derive(Clone, Debug)]
struct Matcher {
    label: String,
    negated: bool,
    value: String,
    /// With a pattern, that is what counts.
    pattern: Option<Regex>,
}

/// Why a text is no list of matchers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatchersError {
    /// Too much of it.
    #[error("more than {MOST} matchers or {LENGTH} bytes")]
    TooLong,
    /// Not a matcher.
    #[error("expected {0}; write matchers like code=~\"5..\", separated by commas")]
    Syntax(&'static str),
    /// A pattern that can't be used.
    #[error("the pattern of {label} is no regular expression, or too large: {problem}")]
    Pattern {
        /// Of which label.
        label: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Matchers {
    /// Whether these labels match all of it; an empty list matches everything.
    #[must_use]
    pub fn match_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|matcher| matcher.matches(labels.get(&matcher.label).map_or("", String::as_str)))
    }

    /// Whether there is no matcher in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Matcher {
    fn new(label: &str, operator: &str, value: String) -> Result<Self, MatchersError> {
        let wrong = |problem: String| MatchersError::Pattern { label: label.to_owned(), problem };
        let pattern = operator.ends_with('~').then(|| pattern(&value).map_err(wrong)).transpose()?;
        Ok(Self { label: label.to_owned(), negated: operator.starts_with('!'), value, pattern })
    }

    fn matches(&self, value: &str) -> bool {
        let same = self.pattern.as_ref().map_or_else(|| value == self.value, |pattern| pattern.is_match(value));
        same != self.negated
    }

    fn operator(&self) -> &'static str {
        match (self.negated, self.pattern.is_some()) {
            (false, false) => "=",
            (true, false) => "!=",
            (false, true) => "=~",
            (true, true) => "!~",
        }
    }
}

/// A pattern over a whole value, in bounds.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    let compile = |text: &str| RegexBuilder::new(text).size_limit(64 << 10).build().map_err(|error| error.to_string());
    // By itself first: `a)|(b` would be one only inside our group.
    compile(text)?;
    compile(&format!("^(?s:{text})$"))
}

impl FromStr for Matchers {
    type Err = MatchersError;

    fn from_str(text: &str) -> Result<Self, MatchersError> {
        if text.len() > LENGTH {
            return Err(MatchersError::TooLong);
        }
        let text = text.trim();
        let mut rest = match text.strip_prefix('{') {
            Some(inner) => inner.strip_suffix('}').ok_or(MatchersError::Syntax("a closing brace"))?.trim(),
            None => text,
        };
        let mut matchers = Vec::new();
        while !rest.is_empty() {
            let (matcher, after) = one(rest)?;
            matchers.push(matcher);
            rest = match after.trim_start() {
                "" => "",
                after => after.strip_prefix(',').ok_or(MatchersError::Syntax("a comma"))?.trim_start(),
            };
        }
        if matchers.len() > MOST { Err(MatchersError::TooLong) } else { Ok(Self(matchers)) }
    }
}

fn one(text: &str) -> Result<(Matcher, &str), MatchersError> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (label, rest) = text.split_at(end);
    if !is_label_name(label) {
        return Err(MatchersError::Syntax("the name of a label"));
    }
    let rest = rest.trim_start();
    let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| rest.starts_with(operator));
    let operator = operator.ok_or(MatchersError::Syntax("=, !=, =~ or !~"))?;
    let (value, rest) = quoted(rest.strip_prefix(operator).unwrap_or_default().trim_start())?;
    Ok((Matcher::new(label, operator, value)?, rest))
}

/// A value in quotes, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), MatchersError> {
    let mut chars = text.char_indices();
    let Some((_, quote @ ('"' | '\'' | '`'))) = chars.next() else {
        return Err(MatchersError::Syntax("a value in quotes"));
    };
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' if quote != '`' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, 't')) => '\t',
                Some((_, c @ ('\\' | '"' | '\''))) => c,
                _ => return Err(MatchersError::Syntax("one of n, t, \\ and quotes after a backslash")),
            }),
            c => value.push(c),
        }
    }
    Err(MatchersError::Syntax("a closing quote"))
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, matcher) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}{}\"{}\"", matcher.label, matcher.operator(), escaped(&matcher.value))?;
        }
        Ok(())
    }
}

impl PartialEq for Matchers {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// A text as it stands between double quotes in PromQL.
pub(crate) fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn read(text: &str) -> Matchers {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn it_matches_as_the_server_would() {
        let ok = labels(&[("code", "200"), ("handler", "/buy")]);
        for (text, expected) in [
            ("", true),
            ("{}", true),
            (r#"code="200""#, true),
            (r#" { code = "200" , handler='/buy', } "#, true),
            (r#"code!="200""#, false),
            (r#"code=~"2..""#, true),
            (r#"code=~"2.""#, false),
            (r#"code=~"5..|2..""#, true),
            (r#"code!~"5..""#, true),
            (r#"absent="""#, true),
            (r#"absent!="""#, false),
            (r#"absent=~".*""#, true),
            ("handler=~`/b\\w+`", true),
        ] {
            assert_eq!(read(text).match_labels(&ok), expected, "{text}");
        }
    }

    #[test]
    fn it_is_written_so_that_it_reads_the_same() {
        for text in [r#"a="b\"c\\d\ne",b!~"x|y""#, r#"a=~"\\d+""#, ""] {
            assert_eq!(read(text).to_string(), text);
            assert_eq!(read(&read(text).to_string()), read(text));
        }
        assert_eq!(read("a=~`\\d+`").to_string(), r#"a=~"\\d+""#);
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["a", "a=", "a=b", "1=\"b\"", "a=\"b", "{a=\"b\"", "a=\"b\" b=\"c\"", "a==\"b\"", r#"a="\x""#, ","]
        {
            assert!(matches!(text.parse::<Matchers>(), Err(MatchersError::Syntax(_))), "{text}");
        }
        for text in [r#"a=~"(""#, r#"a=~"5)(4""#, r#"a=~"(x{1000}){1000}""#] {
            assert!(matches!(text.parse::<Matchers>(), Err(MatchersError::Pattern { .. })), "{text}");
        }
        assert_eq!("a=\"b\",".repeat(17).parse::<Matchers>(), Err(MatchersError::TooLong));
        assert_eq!(format!("a=\"{}\"", "b".repeat(2000)).parse::<Matchers>(), Err(MatchersError::TooLong));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_is_written_the_same(text in r#"([a-c{},=!~"'`\\ (.*)]|a="|=~"b|")*"#) {
            if let Ok(matchers) = text.parse::<Matchers>() {
                prop_assert_eq!(read(&matchers.to_string()), matchers);
            }
        }
    }
}
