use crate::classify::Classifier;
use crate::life::{Life, Side, Wanted};
use crate::{Counts, ErrorRateSettings, Server, SettingsError, judge};
use keeper_signal::{HealthSignal, Look, Looking, Verdict, Why};
use std::fmt;
use std::sync::Arc;

/// The share of a canary's requests that fail, over its whole life, counted from what a Prometheus server scraped.
///
/// It counts as [`ErrorRate`](crate::ErrorRate) does, and judges alike. It reads raw samples, for canary and baseline at the
/// same instant, and counts them itself: `rate()` and `increase()` would drop the first errors of a new series. A canary
/// whose newest sample is older than three scrapes is not measured, whatever the server still shows of it.
///
/// Nothing is stored: after a restart of its program, the server still has the samples.
pub struct HttpErrorRate {
    settings: ErrorRateSettings,
    classifier: Classifier,
    server: Arc<Server>,
    life: Life<Counts>,
}

impl HttpErrorRate {
    /// The signal's name.
    pub const NAME: &'static str = crate::ErrorRate::NAME;

    /// A signal for one rollout.
    ///
    /// # Errors
    ///
    /// When the settings can't work, naming the field.
    pub fn new(settings: ErrorRateSettings, server: Arc<Server>) -> Result<Self, SettingsError> {
        let classifier = Classifier::new(&settings)?;
        Ok(Self { settings, classifier, server, life: Life::default() })
    }

    async fn count(&mut self, look: &Look) -> Result<(), String> {
        let Self { settings, classifier, server, life } = self;
        let metric = settings.metric.as_str();
        let wanted = Wanted { metric, selector: &settings.selector, baseline_pods: settings.baseline_pods };
        let newest = life.look(server, look, wanted, |counts: &mut Counts, side, series, by| match side {
            Side::Canary => counts.canary.add(classifier.tally(series, by)),
            Side::Baseline => counts.baseline.add(classifier.tally(series, by)),
        });
        if newest.await?.iter().all(|series| classifier.is_error(series).is_none()) {
            return Err(classifier.nothing_counts(metric));
        }
        Ok(())
    }
}

impl HealthSignal for HttpErrorRate {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a> {
        Box::pin(async move {
            match self.count(look).await {
                Ok(()) => judge(&self.life.counted, &self.settings),
                Err(why) => Verdict::Unknown(Why::NotMeasured(why)),
            }
        })
    }
}

impl fmt::Debug for HttpErrorRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpErrorRate")
            .field("settings", &self.settings)
            .field("server", &self.server)
            .field("counts", &self.life.counted)
            .finish_non_exhaustive()
    }
}
