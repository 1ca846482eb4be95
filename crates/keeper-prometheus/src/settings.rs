use crate::matchers;
use crate::{Matchers, MatchersError, TemplateError};
use regex_lite::Regex;

/// What [`ErrorRate`](crate::ErrorRate) and [`HttpErrorRate`](crate::HttpErrorRate) count and allow.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorRateSettings {
    /// The counter of requests: `http_requests_total`.
    pub metric: String,
    /// Which of its series count at all; empty, all of them.
    pub selector: Matchers,
    /// Which of these series are errors. `None`: those whose code is one of
    /// [`error_codes`](Self::error_codes), and then a series without a code counts as nothing.
    pub error_selector: Option<Matchers>,
    /// The labels that may hold the status code, the first one present counts: `code`, `status`.
    pub code_labels: Vec<String>,
    /// A pattern for the codes that are errors, matched against the whole value: `5..`.
    pub error_codes: String,
    /// The error rate that is too high, in percent; 1. A rate must be below it.
    pub threshold_percent: f64,
    /// How many requests of the canary it takes to judge; 100.
    pub min_request_count: u64,
    /// How many baseline pods are read beside the canary, for the figures of the evidence; 10. They decide nothing, and
    /// one that can't be read is left out.
    pub baseline_pods: usize,
}

/// Why settings can't be used. The texts name the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not the name of a metric.
    #[error("metric is no name of a metric: letters, digits, `_` and `:` only, no digit first")]
    Metric,
    /// Not a selector.
    #[error("selector: {0}")]
    Selector(MatchersError),
    /// Not a selector of errors.
    #[error("errorSelector: {0}")]
    ErrorSelector(MatchersError),
    /// Everything is an error.
    #[error("errorSelector is empty: name at least one label, such as code=~\"5..\"")]
    EmptyErrorSelector,
    /// No label for the code.
    #[error("code_labels is empty: name at least one label, such as `code`")]
    CodeLabels,
    /// Not a pattern.
    #[error("error_codes is no regular expression, or too large: {0}")]
    ErrorCodes(String),
    /// Not a threshold.
    #[error("threshold must be above 0 and at most 100 percent")]
    Threshold,
    /// Not a port.
    #[error("port must be 1 to 65535")]
    Port,
    /// Not a path.
    #[error("path must be an absolute path, such as `/metrics`")]
    Path,
    /// No time.
    #[error("timeout must be longer than zero")]
    Timeout,
    /// No span of time to look back over.
    #[error("window must be 1s to 24h")]
    Window,
    /// Not a query.
    #[error("query: {0}")]
    Query(TemplateError),
    /// Nothing to compare a query's value with.
    #[error("min or max must be given, as numbers, and min not above max")]
    Range,
    /// Not a bound.
    #[error("bound must be a number of seconds above 0")]
    Bound,
}

impl Default for ErrorRateSettings {
    fn default() -> Self {
        Self {
            metric: "http_requests_total".into(),
            selector: Matchers::default(),
            error_selector: None,
            code_labels: vec!["code".into(), "status".into()],
            error_codes: "5..".into(),
            threshold_percent: 1.0,
            min_request_count: 100,
            baseline_pods: 10,
        }
    }
}

impl ErrorRateSettings {
    /// Whether they can be used at all.
    ///
    /// # Errors
    ///
    /// Naming the first field that can't.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.error_pattern().map(drop)?;
        check_metric(&self.metric)?;
        if self.error_selector.as_ref().is_some_and(Matchers::is_empty) {
            return Err(SettingsError::EmptyErrorSelector);
        }
        if self.code_labels.is_empty() {
            return Err(SettingsError::CodeLabels);
        }
        check_threshold(self.threshold_percent)
    }

    pub(crate) fn error_pattern(&self) -> Result<Regex, SettingsError> {
        matchers::pattern(&self.error_codes).map_err(SettingsError::ErrorCodes)
    }
}

pub(crate) fn check_metric(name: &str) -> Result<(), SettingsError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let begins = |c: char| is_name(c) && !c.is_ascii_digit();
    if name.starts_with(begins) && name.chars().all(is_name) { Ok(()) } else { Err(SettingsError::Metric) }
}

pub(crate) fn check_threshold(percent: f64) -> Result<(), SettingsError> {
    if percent > 0.0 && percent <= 100.0 { Ok(()) } else { Err(SettingsError::Threshold) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_field() {
        let default = ErrorRateSettings::default;
        assert_eq!(default().check(), Ok(()));
        for metric in ["", "1a", "a b", "a{b=\"c\"}"] {
            assert_eq!(ErrorRateSettings { metric: metric.into(), ..default() }.check(), Err(SettingsError::Metric));
        }
        for threshold_percent in [0.0, -1.0, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(ErrorRateSettings { threshold_percent, ..default() }.check(), Err(SettingsError::Threshold));
        }
        assert_eq!(ErrorRateSettings { code_labels: vec![], ..default() }.check(), Err(SettingsError::CodeLabels));
        for error_codes in ["(", "5)(4", "(x{1000}){1000}"] {
            let settings = ErrorRateSettings { error_codes: error_codes.into(), ..default() };
            assert!(matches!(settings.check(), Err(SettingsError::ErrorCodes(_))), "{error_codes}");
        }
    }
}
