//! Counting what came back.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

/// What came back in a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Second {
    /// Answers by status code.
    codes: BTreeMap<u16, u64>,
    /// Requests without an answer, by what went wrong.
    failures: BTreeMap<&'static str, u64>,
    /// Requests sent anew because the server had closed the connection between two requests.
    reconnects: u64,
}

/// One line of the output with `--json`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    summary: bool,
    requests: u64,
    /// Answers of 500 and above, and requests without an answer.
    errors: u64,
    #[serde(flatten)]
    counts: &'a Second,
}

impl Second {
    pub(crate) fn requests(&self) -> u64 {
        self.codes.values().sum::<u64>() + self.failures.values().sum::<u64>()
    }

    fn errors(&self) -> u64 {
        let bad = self.codes.iter().filter(|(code, _)| **code >= 500).map(|(_, count)| count);
        bad.sum::<u64>() + self.failures.values().sum::<u64>()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_insert(0) += count;
        }
        for (failure, count) in &other.failures {
            *self.failures.entry(failure).or_insert(0) += count;
        }
        self.reconnects += other.reconnects;
    }

    pub(crate) fn line(&self, number: u64, json: bool) -> String {
        if json { self.json(Some(number)) } else { format!("{number:>5} s  {}", self.text()) }
    }

    pub(crate) fn summary(&self, json: bool) -> String {
        if json { self.json(None) } else { format!("  total  {}", self.text()) }
    }

    fn json(&self, second: Option<u64>) -> String {
        let line =
            Line { second, summary: second.is_none(), requests: self.requests(), errors: self.errors(), counts: self };
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn text(&self) -> String {
        let mut text = format!("{} requests, {} errors", self.requests(), self.errors());
        for (code, count) in &self.codes {
            let _ = write!(text, "  {code}: {count}");
        }
        for (failure, count) in &self.failures {
            let _ = write!(text, "  {failure}: {count}");
        }
        text
    }
}

/// The counts since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    second: Mutex<Second>,
}

impl Tally {
    pub(crate) fn answer(&self, code: u16) {
        self.with(|second| *second.codes.entry(code).or_insert(0) += 1);
    }

    pub(crate) fn failure(&self, what: &'static str) {
        self.with(|second| *second.failures.entry(what).or_insert(0) += 1);
    }

    pub(crate) fn reconnect(&self) {
        self.with(|second| second.reconnects += 1);
    }

    pub(crate) fn take(&self) -> Second {
        self.with(std::mem::take)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Second) -> T) -> T {
        change(&mut self.second.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_bad_answers_and_no_answers() {
        let tally = Tally::default();
        for code in [200, 200, 404, 500, 503] {
            tally.answer(code);
        }
        tally.failure("refused");
        tally.reconnect();
        let second = tally.take();
        assert_eq!(second.line(3, false), "    3 s  6 requests, 3 errors  200: 2  404: 1  500: 1  503: 1  refused: 1");
        let line = second.line(3, true);
        assert_eq!(
            line,
            r#"{"second":3,"requests":6,"errors":3,"codes":{"200":2,"404":1,"500":1,"503":1},"failures":{"refused":1},"reconnects":1}"#
        );
        assert_eq!(tally.take(), Second::default());
    }
}
