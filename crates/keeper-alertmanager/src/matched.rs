use crate::{Alert, Relevance, Status};
use jiff::Timestamp;
use std::fmt;
use std::iter;

/// The longest text taken over from an alert, in characters.
const TEXT_LIMIT: usize = 200;

/// What is worth storing of an alert that counts: its identity, and one line for people. Everything in it is bounded
/// and printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Alertmanager's fingerprint; with [`starts_at`](Self::starts_at) the identity of the alert.
    pub fingerprint: String,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// Its `alertname`.
    pub name: String,
    /// How it names the canary or its service: `names the canary pod`.
    pub about: String,
    /// Its annotation `summary`, else `description`, else `message`; may be empty.
    pub summary: String,
    /// Whether it is resolved by now. It counts all the same.
    pub resolved: bool,
}

impl Matched {
    /// What to store of the alert, or `None` when it does not count.
    #[must_use]
    pub fn new(alert: &Alert, relevance: &Relevance) -> Option<Self> {
        let summary = ["summary", "description", "message"].into_iter().find_map(|name| alert.annotations.get(name));
        relevance.counts().then(|| Self {
            fingerprint: alert.fingerprint.clone(),
            starts_at: alert.starts_at,
            name: one_line(alert.name()),
            about: one_line(&relevance.to_string()),
            summary: summary.map_or_else(String::new, |summary| one_line(summary)),
            resolved: alert.status == Status::Resolved,
        })
    }
}

impl fmt::Display for Matched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.about)?;
        if !self.summary.is_empty() {
            write!(f, ": {}", self.summary)?;
        }
        if self.resolved { f.write_str(" (resolved since)") } else { Ok(()) }
    }
}

/// Foreign text as one bounded line: white space becomes single spaces, other control characters go. No more of it is
/// read than is kept.
fn one_line(text: &str) -> String {
    let spaced = text.split_whitespace().flat_map(|word| iter::once(' ').chain(word.chars()));
    let mut printable = spaced.filter(|c| !c.is_control()).skip(1);
    let mut line: String = printable.by_ref().take(TEXT_LIMIT).collect();
    if printable.next().is_some() {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_becomes_one_bounded_line() {
        assert_eq!(one_line(" two\nlines\t and\u{1b}[31m colour "), "two lines and[31m colour");
        assert_eq!(one_line(&"é".repeat(200)), "é".repeat(200));
        let cut = one_line(&"é".repeat(201));
        assert_eq!((cut.chars().count(), cut.ends_with("é…")), (200, true));
        assert_eq!(one_line(&"a ".repeat(1_000_000)).chars().count(), 200);
    }
}
