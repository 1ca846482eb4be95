//! From counts to a verdict. Pure: the same counts and settings, the same verdict.

use crate::ErrorRateSettings;
use keeper_signal::{Evidence, Verdict, Why};

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// The canary's, over its whole life.
    pub canary: Tally,
    /// The baseline pods', all together, since each was first read. Part of the evidence; the threshold is absolute.
    pub baseline: Tally,
}

/// Requests, and the errors among them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// All requests.
    pub requests: f64,
    /// Those that were answered with an error.
    pub errors: f64,
}

/// Judges the canary's whole life so far: not enough below the minimum of requests, else unhealthy at the threshold and
/// above.
#[must_use]
pub fn judge(counts: &Counts, settings: &ErrorRateSettings) -> Verdict {
    let Tally { requests, errors } = counts.canary;
    let threshold = settings.threshold_percent;
    #[expect(clippy::cast_precision_loss, reason = "counters are floats themselves")]
    let enough = settings.min_request_count as f64;
    // Zero requests are never enough: nothing divides by them below.
    if requests < enough || requests <= 0.0 {
        let needed = enough.max(1.0);
        let text = format!("{requests:.0} of the {needed:.0} requests needed to judge, {errors:.0} failed");
        return Verdict::Unknown(Why::NotEnough(counts.evidence(text)));
    }
    let percent = hundredths(errors / requests * 100.0);
    let text = format!("{errors:.0} of {requests:.0} requests failed ({percent:.2} %), allowed below {threshold} %");
    if is_over(errors, requests, threshold) {
        Verdict::Unhealthy(counts.evidence(text))
    } else {
        Verdict::Healthy(counts.evidence(text))
    }
}

impl Tally {
    /// Adds what was counted.
    pub fn add(&mut self, more: Self) {
        self.requests += more.requests;
        self.errors += more.errors;
    }
}

impl Counts {
    fn evidence(&self, text: String) -> Evidence {
        let evidence = Evidence::new(text).with("requests", self.canary.requests).with("errors", self.canary.errors);
        if self.baseline.requests <= 0.0 {
            return evidence;
        }
        evidence.with("baseline_requests", self.baseline.requests).with("baseline_errors", self.baseline.errors)
    }
}

/// Whether a share is at the threshold or above: a share must be below it.
pub(crate) fn is_over(part: f64, all: f64, threshold_percent: f64) -> bool {
    // Of a decimal threshold's nearest float: exactly 0.07 % must not pass because 0.07 isn't quite 0.07.
    let slack = 1.0 - 1e-9;
    part * 100.0 >= threshold_percent * all * slack
}

/// Cut, not rounded: 0.999 % is allowed below 1 %, and `1.00 %` would read as if it weren't.
pub(crate) fn hundredths(percent: f64) -> f64 {
    (percent * 100.0 + 1e-6).floor() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(errors: f64, requests: f64, threshold_percent: f64) -> String {
        let settings = ErrorRateSettings { threshold_percent, ..ErrorRateSettings::default() };
        judge(&Counts { canary: Tally { requests, errors }, ..Counts::default() }, &settings).to_string()
    }

    #[test]
    fn the_rate_must_be_below_the_threshold() {
        assert_eq!(says(12.0, 1000.0, 1.0), "unhealthy: 12 of 1000 requests failed (1.20 %), allowed below 1 %");
        assert_eq!(says(10.0, 1000.0, 1.0), "unhealthy: 10 of 1000 requests failed (1.00 %), allowed below 1 %");
        assert_eq!(says(9.0, 1000.0, 1.0), "healthy: 9 of 1000 requests failed (0.90 %), allowed below 1 %");
        assert_eq!(says(0.0, 100.0, 1.0), "healthy: 0 of 100 requests failed (0.00 %), allowed below 1 %");
        assert_eq!(
            says(9999.0, 1_000_000.0, 1.0),
            "healthy: 9999 of 1000000 requests failed (0.99 %), allowed below 1 %"
        );
        assert_eq!(says(100.0, 100.0, 100.0), "unhealthy: 100 of 100 requests failed (100.00 %), allowed below 100 %");
    }

    #[test]
    fn the_edge_is_unhealthy_for_every_decimal_threshold() {
        for hundredth in 1..=1000_u32 {
            let threshold = f64::from(hundredth) / 100.0;
            let at = f64::from(hundredth);
            assert!(says(at, 10_000.0, threshold).starts_with("unhealthy"), "{threshold}");
            assert!(says(at - 1.0, 10_000.0, threshold).starts_with("healthy"), "{threshold}");
        }
    }

    #[test]
    fn too_few_requests_prove_nothing_either_way() {
        let few = "unknown: not enough: 99 of the 100 requests needed to judge, 99 failed";
        assert_eq!(says(99.0, 99.0, 1.0), few);
        let settings = ErrorRateSettings { min_request_count: 0, ..ErrorRateSettings::default() };
        let none = judge(&Counts::default(), &settings);
        assert_eq!(none.to_string(), "unknown: not enough: 0 of the 1 requests needed to judge, 0 failed");
    }

    #[test]
    fn the_figures_are_the_counts() {
        let counts = Counts {
            canary: Tally { requests: 200.0, errors: 1.0 },
            baseline: Tally { requests: 3000.0, errors: 2.0 },
        };
        let Verdict::Healthy(evidence) = judge(&counts, &ErrorRateSettings::default()) else { panic!("0.5 %") };
        let figures: Vec<_> = evidence.figures.iter().map(|figure| (figure.name, figure.value)).collect();
        let expected = [("requests", 200.0), ("errors", 1.0), ("baseline_requests", 3000.0), ("baseline_errors", 2.0)];
        assert_eq!(figures, expected);
    }
}
