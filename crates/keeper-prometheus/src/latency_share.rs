use crate::exposition::Series;
use crate::judge::{hundredths, is_over};
use crate::life::{Life, Side, Wanted};
use crate::settings::{check_metric, check_threshold};
use crate::{Matchers, Server, SettingsError};
use keeper_signal::{Evidence, HealthSignal, Look, Looking, Verdict, Why};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// What [`LatencyShare`] counts and allows.
///
/// ```
/// use keeper_prometheus::LatencyShareSettings;
/// let settings = LatencyShareSettings { bound_seconds: 0.5, threshold_percent: 2.0, ..LatencyShareSettings::default() };
/// assert_eq!(settings.check(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyShareSettings {
    /// The histogram, without `_bucket`: `http_request_duration_seconds`.
    pub metric: String,
    /// Which of its series count; empty, all of them.
    pub selector: Matchers,
    /// What is slow: a request that took longer than this, in the histogram's unit, seconds by custom; 1. It must be the
    /// bound of one of the histogram's buckets, since nothing is known of what lies between two.
    pub bound_seconds: f64,
    /// The share of slow requests that is too high, in percent; 1. A share must be below it.
    pub threshold_percent: f64,
    /// How many requests of the canary it takes to judge; 100.
    pub min_request_count: u64,
    /// How many baseline pods are read beside the canary, for the figures of the evidence; 10. They decide nothing.
    pub baseline_pods: usize,
}

impl Default for LatencyShareSettings {
    fn default() -> Self {
        Self {
            metric: "http_request_duration_seconds".into(),
            selector: Matchers::default(),
            bound_seconds: 1.0,
            threshold_percent: 1.0,
            min_request_count: 100,
            baseline_pods: 10,
        }
    }
}

impl LatencyShareSettings {
    /// Whether they can be used at all.
    ///
    /// # Errors
    ///
    /// Naming the first field that can't.
    pub fn check(&self) -> Result<(), SettingsError> {
        check_metric(&self.metric)?;
        if !(self.bound_seconds > 0.0 && self.bound_seconds.is_finite()) {
            return Err(SettingsError::Bound);
        }
        check_threshold(self.threshold_percent)
    }

    fn judge(&self, counts: &Spread) -> Result<Verdict, String> {
        let Share { all, fast } = counts.canary;
        let (slow, bound, threshold) = (all - fast, self.bound_seconds, self.threshold_percent);
        if slow < 0.0 {
            return Err(format!("{}: the bucket {bound} counts more than +Inf does", self.metric));
        }
        #[expect(clippy::cast_precision_loss, reason = "counters are floats themselves")]
        let enough = (self.min_request_count as f64).max(1.0);
        if all < enough {
            let text = format!("{all:.0} of the {enough:.0} requests needed to judge, {slow:.0} over {bound} s");
            return Ok(Verdict::Unknown(Why::NotEnough(counts.evidence(text))));
        }
        let percent = hundredths(slow / all * 100.0);
        let text = format!(
            "{slow:.0} of {all:.0} requests took longer than {bound} s ({percent:.2} %), allowed below {threshold} %"
        );
        let evidence = counts.evidence(text);
        Ok(if is_over(slow, all, threshold) { Verdict::Unhealthy(evidence) } else { Verdict::Healthy(evidence) })
    }

    /// Whether each series of the histogram has a bucket with this bound.
    fn check_buckets(&self, series: &[Series]) -> Result<(), String> {
        let mut bounds: BTreeMap<BTreeMap<&str, &str>, Vec<f64>> = BTreeMap::new();
        for series in series {
            let Some(bound) = bound_of(series) else {
                return Err(format!("a series of {}_bucket has no bound in its label le", self.metric));
            };
            let others = series.labels.iter().filter(|(name, _)| *name != "le");
            bounds
                .entry(others.map(|(name, value)| (name.as_str(), value.as_str())).collect())
                .or_default()
                .push(bound);
        }
        let lacks = |bounds: &Vec<f64>, wanted: f64| !bounds.iter().any(|bound| is_same(*bound, wanted));
        match bounds.values().find(|bounds| lacks(bounds, self.bound_seconds)) {
            Some(bounds) => Err(self.neighbours(bounds)),
            None if bounds.values().any(|bounds| lacks(bounds, f64::INFINITY)) => {
                Err(format!("{}_bucket has no bucket +Inf, which counts all requests", self.metric))
            }
            None => Ok(()),
        }
    }

    fn neighbours(&self, bounds: &[f64]) -> String {
        let wanted = self.bound_seconds;
        let below = bounds.iter().copied().filter(|bound| *bound < wanted).reduce(f64::max);
        let above = bounds.iter().copied().filter(|bound| *bound > wanted).reduce(f64::min);
        let nearest: BTreeSet<String> = below.into_iter().chain(above).map(|bound| bound.to_string()).collect();
        let nearest: Vec<_> = nearest.into_iter().collect();
        format!("bound: {} has no bucket {wanted}: the nearest are {}", self.metric, nearest.join(" and "))
    }
}

/// The share of a canary's requests that are slow, over its whole life, counted from a histogram's buckets.
///
/// It counts as [`HttpErrorRate`](crate::HttpErrorRate) does: raw samples, each once, from the canary's first. A share is
/// compared and not a quantile, since a share of counts is exact and can be judged when few are there.
pub struct LatencyShare {
    settings: LatencyShareSettings,
    bucket: String,
    server: Arc<Server>,
    life: Life<Spread>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    canary: Share,
    baseline: Share,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    all: f64,
    fast: f64,
}

impl LatencyShare {
    /// The signal's name.
    pub const NAME: &'static str = "latencyShare";

    /// A signal for one rollout.
    ///
    /// # Errors
    ///
    /// When the settings can't work, naming the field.
    pub fn new(settings: LatencyShareSettings, server: Arc<Server>) -> Result<Self, SettingsError> {
        settings.check()?;
        let bucket = format!("{}_bucket", settings.metric);
        Ok(Self { settings, bucket, server, life: Life::default() })
    }

    async fn count(&mut self, look: &Look) -> Result<Verdict, String> {
        let Self { settings, bucket, server, life } = self;
        let wanted = Wanted { metric: bucket, selector: &settings.selector, baseline_pods: settings.baseline_pods };
        let bound = settings.bound_seconds;
        let newest = life.look(server, look, wanted, |counts: &mut Spread, side, series, by| {
            let side = match side {
                Side::Canary => &mut counts.canary,
                Side::Baseline => &mut counts.baseline,
            };
            match bound_of(series) {
                Some(le) if le == f64::INFINITY => side.all += by,
                Some(le) if is_same(le, bound) => side.fast += by,
                Some(_) | None => {}
            }
        });
        settings.check_buckets(&newest.await?)?;
        settings.judge(&life.counted)
    }
}

impl Spread {
    fn evidence(&self, text: String) -> Evidence {
        let (canary, baseline) = (self.canary, self.baseline);
        let evidence = Evidence::new(text).with("requests", canary.all).with("slow", canary.all - canary.fast);
        if baseline.all <= 0.0 {
            return evidence;
        }
        evidence.with("baseline_requests", baseline.all).with("baseline_slow", baseline.all - baseline.fast)
    }
}

impl HealthSignal for LatencyShare {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a> {
        Box::pin(async move { self.count(look).await.unwrap_or_else(|why| Verdict::Unknown(Why::NotMeasured(why))) })
    }
}

impl fmt::Debug for LatencyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatencyShare").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn bound_of(series: &Series) -> Option<f64> {
    series.labels.get("le")?.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

/// `0.25`, `2.5e-1` and `0.250` are one bound.
fn is_same(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * a.abs().min(b.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(all: f64, slow: f64) -> String {
        let settings = LatencyShareSettings { bound_seconds: 0.25, ..LatencyShareSettings::default() };
        let counts = Spread { canary: Share { all, fast: all - slow }, ..Spread::default() };
        settings.judge(&counts).map_or_else(|why| why, |verdict| verdict.to_string())
    }

    fn buckets(bounds: &[&str]) -> Vec<Series> {
        let labels = |le: &str| [("le".to_owned(), le.to_owned()), ("pod".to_owned(), "a".to_owned())].into();
        bounds.iter().map(|le| Series { name: "x_bucket".into(), labels: labels(le) }).collect()
    }

    #[test]
    fn the_share_must_be_below_the_threshold() {
        assert_eq!(
            says(1000.0, 9.0),
            "healthy: 9 of 1000 requests took longer than 0.25 s (0.90 %), allowed below 1 %"
        );
        assert!(says(1000.0, 10.0).starts_with("unhealthy: 10 of 1000"));
        assert_eq!(says(99.0, 99.0), "unknown: not enough: 99 of the 100 requests needed to judge, 99 over 0.25 s");
        assert!(says(100.0, -1.0).contains("more than +Inf"));
    }

    #[test]
    fn the_bound_must_be_a_bucket() {
        let checked = |bound_seconds, bounds: &[&str]| {
            let settings =
                LatencyShareSettings { metric: "x".into(), bound_seconds, ..LatencyShareSettings::default() };
            settings.check_buckets(&buckets(bounds)).map_err(|why| why.to_string())
        };
        for same in ["0.25", "2.5e-1", "0.250"] {
            assert_eq!(checked(0.25, &["0.1", same, "+Inf"]), Ok(()));
        }
        assert_eq!(
            checked(0.3, &["0.1", "0.25", "0.5", "+Inf"]),
            Err("bound: x has no bucket 0.3: the nearest are 0.25 and 0.5".into())
        );
        assert_eq!(checked(9.0, &["0.1", "+Inf"]), Err("bound: x has no bucket 9: the nearest are 0.1 and inf".into()));
        assert!(checked(0.1, &["0.1"]).unwrap_err().contains("no bucket +Inf"));
        assert!(checked(0.1, &["small"]).unwrap_err().contains("label le"));
    }

    #[test]
    fn what_cannot_work_is_refused_by_field() {
        let good = LatencyShareSettings::default;
        assert_eq!(good().check(), Ok(()));
        for bound_seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(LatencyShareSettings { bound_seconds, ..good() }.check(), Err(SettingsError::Bound));
        }
        assert_eq!(LatencyShareSettings { metric: "a b".into(), ..good() }.check(), Err(SettingsError::Metric));
        let none = LatencyShareSettings { threshold_percent: 0.0, ..good() };
        assert_eq!(none.check(), Err(SettingsError::Threshold));
    }
}
