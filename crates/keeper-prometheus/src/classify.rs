//! Which counter counts what: requests, and errors among them.

use crate::exposition::Series;
use crate::{ErrorRateSettings, Matchers, SettingsError, Tally};
use regex_lite::Regex;

/// The settings of an error rate, ready to be applied.
#[derive(Clone, Debug)]
pub(crate) struct Classifier {
    selector: Matchers,
    errors: Errors,
}

#[derive(Clone, Debug)]
enum Errors {
    /// The first of these labels that is there holds the code.
    Codes {
        labels: Vec<String>,
        pattern: Regex,
    },
    Selected(Matchers),
}

impl Classifier {
    pub(crate) fn new(settings: &ErrorRateSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let errors = match &settings.error_selector {
            Some(errors) => Errors::Selected(errors.clone()),
            None => Errors::Codes { labels: settings.code_labels.clone(), pattern: settings.error_pattern()? },
        };
        Ok(Self { selector: settings.selector.clone(), errors })
    }

    /// Whether a series counts errors; `None` if it counts as nothing. One without a status code is most likely the sum
    /// of those with one.
    pub(crate) fn is_error(&self, series: &Series) -> Option<bool> {
        if !self.selector.match_labels(&series.labels) {
            return None;
        }
        match &self.errors {
            Errors::Codes { labels, pattern } => {
                let code = labels.iter().find_map(|label| series.labels.get(label))?;
                Some(pattern.is_match(code))
            }
            Errors::Selected(errors) => Some(errors.match_labels(&series.labels)),
        }
    }

    /// What this many of a series are.
    pub(crate) fn tally(&self, series: &Series, by: f64) -> Tally {
        match self.is_error(series) {
            None => Tally::default(),
            Some(is_error) => Tally { requests: by, errors: if is_error { by } else { 0.0 } },
        }
    }

    /// Why none of a counter's series count.
    pub(crate) fn nothing_counts(&self, metric: &str) -> String {
        match &self.errors {
            Errors::Codes { labels, .. } => {
                let which = if self.selector.is_empty() { "" } else { " that the selector leaves" };
                format!("no series of {metric}{which} has a label {}", labels.join(" or "))
            }
            Errors::Selected(_) => format!("no series of {metric} matches the selector"),
        }
    }
}
