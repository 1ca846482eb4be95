use std::fmt;

/// How many characters of foreign text a message shows.
const SHOWN: usize = 80;

/// What is wrong with what the owner of a workload wrote, and what to write instead.
///
/// Trying again doesn't help: the annotation has to change. The three texts are each one line; of what the owner wrote
/// they show at most 80 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where: `annotation canary-image`, or a path below it or in the workload.
    pub field: String,
    /// What is wrong there.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
}

impl Invalid {
    pub(crate) fn annotation(key: &str, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { field: format!("annotation {key}"), problem: problem.into(), fix: fix.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.field, self.problem, self.fix)
    }
}

impl std::error::Error for Invalid {}

/// Foreign text in quotes, control characters escaped, cut to 80 characters.
pub(crate) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// Another library's message as one line of at most 80 characters, since it may repeat the text it is about.
pub(crate) fn one_line(message: &str) -> String {
    let mut shown = String::new();
    for word in message.split_whitespace() {
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.extend(word.chars().filter(|c| !c.is_control()).take(SHOWN));
        if shown.chars().count() > SHOWN {
            return shown.chars().take(SHOWN).chain(['…']).collect();
        }
    }
    shown
}

/// Names for a message: all of a few, the first of many, each cut and on one line.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 10;
    let mut names = names.into_iter();
    let cut = |name: &str| name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(63).collect();
    let mut shown: Vec<String> = names.by_ref().take(MOST).map(cut).collect();
    let more = names.count();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_short_and_visible() {
        assert_eq!(quote("a\nb\u{1b}"), "\"a\\nb\\u{1b}\"");
        assert_eq!(quote(&"ä".repeat(200_000)).chars().count(), 83);
        assert_eq!(one_line("two\n  lines\u{0}"), "two lines");
        assert_eq!(one_line(&"word ".repeat(10_000)).chars().count(), 81);
        assert_eq!(one_line(&"x".repeat(10_000)).chars().count(), 80);
    }

    #[test]
    fn of_many_names_the_first_are_listed() {
        assert_eq!(list(["a", "b"]), "a, b");
        assert_eq!(list(["a\nb"]), "a\u{fffd}b");
        assert_eq!(list(["n"; 12]), "n, n, n, n, n, n, n, n, n, n, 2 more");
    }
}
