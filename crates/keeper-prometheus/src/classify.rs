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

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(settings: &ErrorRateSettings) -> Vec<Option<bool>> {
        let classifier = Classifier::new(settings).unwrap();
        let of = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            classifier.is_error(&Series { name: "http_requests_total".into(), labels })
        };
        vec![
            of(&[("code", "200"), ("handler", "/buy")]),
            of(&[("code", "429"), ("handler", "/buy")]),
            of(&[("code", "503"), ("handler", "/buy")]),
            of(&[("code", "503"), ("handler", "/healthz")]),
            of(&[("handler", "/buy")]),
        ]
    }

    #[test]
    fn errors_are_5xx_unless_the_selector_says_otherwise() {
        let default = ErrorRateSettings::default;
        assert_eq!(classes(&default()), [Some(false), Some(false), Some(true), Some(true), None]);
        let selector = || r#"handler!="/healthz""#.parse().unwrap();
        let buying = ErrorRateSettings { selector: selector(), ..default() };
        assert_eq!(classes(&buying), [Some(false), Some(false), Some(true), None, None]);
        let error_selector = Some(r#"code=~"5..|429""#.parse().unwrap());
        let busy = ErrorRateSettings { selector: selector(), error_selector, ..default() };
        assert_eq!(classes(&busy), [Some(false), Some(true), Some(true), None, Some(false)]);
        let nothing = ErrorRateSettings { error_selector: Some(Matchers::default()), ..default() };
        assert_eq!(Classifier::new(&nothing).err(), Some(SettingsError::EmptyErrorSelector));
    }
}
