use regex_lite::{Regex, RegexBuilder};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The longest text of matchers, in bytes.
const TEXT_LIMIT: usize = 4096;
/// The most matchers in one text.
const MATCHERS_LIMIT: usize = 32;
/// The memory that one compiled pattern may take, in bytes.
const PATTERN_LIMIT: usize = 256 << 10;

/// One matcher in Alertmanager's own syntax: `name="value"`, `name!="value"`, `name=~"pattern"`, `name!~"pattern"`.
///
/// A pattern must match the whole value. A label that an alert doesn't have counts as the empty value.
///
/// ```
/// # use keeper_alertmanager::LabelMatcher;
/// let matcher: LabelMatcher = r#"team=~"cart|basket""#.parse()?;
/// assert!(matcher.matches(&[("team".into(), "cart".into())].into()));
/// assert!(!matcher.matches(&[("team".into(), "carts".into())].into()));
/// # Ok::<(), keeper_alertmanager::MatcherError>(())
/// ```
#[derive(Clone)]
pub struct LabelMatcher {
    name: String,
    value: String,
    test: Test,
}

#[derive(Clone)]
enum Test {
    Equal,
    NotEqual,
    Like(Regex),
    NotLike(Regex),
}

/// Why a text holds no matchers. The same text never will.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatcherError {
    /// Too long.
    #[error("matchers are longer than {TEXT_LIMIT} bytes")]
    TooLong,
    /// Too many.
    #[error("more than {MATCHERS_LIMIT} matchers")]
    TooMany,
    /// Not of the form.
    #[error(
        r#"expected a matcher such as name="value", name!="value", name=~"pattern" or name!~"pattern" at byte {at}"#
    )]
    Form {
        /// Where, from 0.
        at: usize,
    },
    /// A pattern that can't be compiled.
    #[error("the pattern for label {name} is no regular expression or too large: {why}")]
    Pattern {
        /// The label's name.
        name: String,
        /// Why.
        why: String,
    },
}

impl LabelMatcher {
    /// Reads a list as Alertmanager does: matchers separated by commas or line ends, braces around them or not. An empty
    /// text is an empty list.
    ///
    /// # Errors
    ///
    /// Naming the byte where something else was expected.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, MatcherError> {
        if text.len() > TEXT_LIMIT {
            return Err(MatcherError::TooLong);
        }
        let inner = text.trim();
        let inner = match (inner.strip_prefix('{'), inner.strip_suffix('}')) {
            (Some(_), Some(_)) => inner.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or_default(),
            (None, None) => inner,
            (Some(_), None) | (None, Some(_)) => return Err(MatcherError::Form { at: 0 }),
        };
        let mut reader = Reader { text: inner, rest: inner };
        let mut matchers = Vec::new();
        reader.skip_separators();
        while !reader.rest.is_empty() {
            if matchers.len() == MATCHERS_LIMIT {
                return Err(MatcherError::TooMany);
            }
            matchers.push(reader.matcher()?);
            reader.end()?;
        }
        Ok(matchers)
    }

    /// Whether these labels match.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        match &self.test {
            Test::Equal => value == self.value,
            Test::NotEqual => value != self.value,
            Test::Like(pattern) => pattern.is_match(value),
            Test::NotLike(pattern) => !pattern.is_match(value),
        }
    }

    fn new(name: &str, operator: &str, value: String) -> Result<Self, MatcherError> {
        let test = match operator {
            "=~" => Test::Like(whole(name, &value)?),
            "!~" => Test::NotLike(whole(name, &value)?),
            "!=" => Test::NotEqual,
            _ => Test::Equal,
        };
        Ok(Self { name: name.to_owned(), value, test })
    }

    fn operator(&self) -> &'static str {
        match self.test {
            Test::Equal => "=",
            Test::NotEqual => "!=",
            Test::Like(_) => "=~",
            Test::NotLike(_) => "!~",
        }
    }
}

fn whole(name: &str, pattern: &str) -> Result<Regex, MatcherError> {
    let anchored = format!("^(?:{pattern})$");
    // Compiled alone first: `a)(b` is a pattern only inside our own parentheses.
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_LIMIT)
        .build()
        .and_then(|_| RegexBuilder::new(&anchored).size_limit(PATTERN_LIMIT).build())
        .map_err(|error| MatcherError::Pattern { name: name.to_owned(), why: error.to_string() })
}

impl FromStr for LabelMatcher {
    type Err = MatcherError;

    /// Reads exactly one matcher.
    fn from_str(text: &str) -> Result<Self, MatcherError> {
        if text.len() > TEXT_LIMIT {
            return Err(MatcherError::TooLong);
        }
        let text = text.trim();
        let mut reader = Reader { text, rest: text };
        let matcher = reader.matcher()?;
        if reader.rest.trim().is_empty() { Ok(matcher) } else { Err(reader.form()) }
    }
}

impl fmt::Display for LabelMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
        write!(f, r#"{}{}"{value}""#, self.name, self.operator())
    }
}

impl fmt::Debug for LabelMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LabelMatcher({self})")
    }
}

impl PartialEq for LabelMatcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.value, self.operator()) == (&other.name, &other.value, other.operator())
    }
}

impl Eq for LabelMatcher {}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    fn matcher(&mut self) -> Result<LabelMatcher, MatcherError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let name = self.take(is_name);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.form());
        }
        self.take(char::is_whitespace);
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| self.rest.starts_with(operator));
        let operator = operator.ok_or_else(|| self.form())?;
        self.rest = self.rest.strip_prefix(operator).unwrap_or_default();
        self.take(|c| c == ' ' || c == '\t');
        let value = match self.rest.strip_prefix('"') {
            Some(rest) => {
                self.rest = rest;
                self.quoted()?
            }
            None => self.take(|c| !matches!(c, ',' | '\n' | '"' | '{' | '}')).trim_end().to_owned(),
        };
        LabelMatcher::new(&name, operator, value)
    }

    /// The rest of a quoted value; `\"`, `\\` and `\n` are escapes, another backslash stays what it is.
    fn quoted(&mut self) -> Result<String, MatcherError> {
        let mut value = String::new();
        let mut chars = self.rest.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => {
                    self.rest = chars.as_str();
                    return Ok(value);
                }
                '\\' => {
                    let escaped = chars.clone().next();
                    match escaped {
                        Some('n') => value.push('\n'),
                        Some(c @ ('"' | '\\')) => value.push(c),
                        _ => {
                            value.push('\\');
                            continue;
                        }
                    }
                    chars.next();
                }
                c => value.push(c),
            }
        }
        Err(self.form())
    }

    /// After a matcher: the end, or a separator and whatever of them follows.
    fn end(&mut self) -> Result<(), MatcherError> {
        self.take(|c| c == ' ' || c == '\t' || c == '\r');
        if self.rest.is_empty() {
            return Ok(());
        }
        if !self.rest.starts_with([',', '\n']) {
            return Err(self.form());
        }
        self.skip_separators();
        Ok(())
    }

    fn skip_separators(&mut self) {
        self.take(|c| c == ',' || c.is_whitespace());
    }

    fn take(&mut self, which: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !which(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken.to_owned()
    }

    fn form(&self) -> MatcherError {
        MatcherError::Form { at: self.text.len().saturating_sub(self.rest.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_four_operators_and_missing_labels() {
        let cart = labels(&[("team", "cart")]);
        let none = labels(&[]);
        let table = [
            (r#"team="cart""#, true, false),
            (r#"team!="cart""#, false, true),
            (r#"team=~"c.*""#, true, false),
            (r#"team=~"c""#, false, false),
            (r#"team!~"c.*""#, false, true),
            (r#"team=~".*""#, true, true),
            (r#"team="""#, false, true),
            ("team=cart", true, false),
            ("  team  =  cart  ", true, false),
            (r#"team=~"a|cart|b""#, true, false),
        ];
        for (text, of_cart, of_none) in table {
            let matcher: LabelMatcher = text.parse().unwrap();
            assert_eq!((matcher.matches(&cart), matcher.matches(&none)), (of_cart, of_none), "{text}");
        }
    }

    #[test]
    fn lists_are_read_as_alertmanager_reads_them() {
        let shown = |text| LabelMatcher::parse_list(text).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(r#"{a="b", c=~"d,e"}"#), [r#"a="b""#, r#"c=~"d,e""#]);
        assert_eq!(shown("a=b,\n c!=d\n"), [r#"a="b""#, r#"c!="d""#]);
        assert_eq!(shown(r#"a="say \"hi\"\n\d""#), [r#"a="say \"hi\"\n\\d""#]);
        assert!(shown("").is_empty());
        assert!(shown(" {} ").is_empty());
    }

    #[test]
    fn what_is_no_matcher_is_told_where() {
        let at = |text: &str| match LabelMatcher::parse_list(text) {
            Err(MatcherError::Form { at }) => at,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(at("team"), 4);
        assert_eq!(at(r#"a="b" c="d""#), 6);
        assert_eq!(at("1a=b"), 2);
        assert_eq!(at(r#"a="b"#), 3);
        assert_eq!(at("{a=b"), 0);
        assert!(r#"a="b",c="d""#.parse::<LabelMatcher>().is_err());
        assert!(matches!(LabelMatcher::parse_list(r#"a=~"(""#), Err(MatcherError::Pattern { .. })));
        assert!(matches!(LabelMatcher::parse_list(r#"a=~"x)|(y""#), Err(MatcherError::Pattern { .. })));
        assert!(matches!(LabelMatcher::parse_list(r#"a=~"(x{1000}){1000}""#), Err(MatcherError::Pattern { .. })));
        assert_eq!(LabelMatcher::parse_list(&"x".repeat(4097)), Err(MatcherError::TooLong));
        assert_eq!(LabelMatcher::parse_list(&"a=b,".repeat(33)), Err(MatcherError::TooMany));
    }
}
