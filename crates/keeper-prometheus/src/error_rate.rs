use crate::classify::Classifier;
use crate::exposition::Series;
use crate::increments::{Counters, Increments, Origin, problem_of};
use crate::judge::{Counts, Tally, judge};
use crate::stored::Stored;
use crate::{ErrorRateSettings, Reading, Scrape, ScrapeError, SettingsError};
use futures::future::{join, join_all};
use keeper_signal::{HealthSignal, Look, Looking, Verdict, Why};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// The share of a canary's requests that fail, over its whole life, judged at each look.
///
/// - It can't be read, the answer is no exposition, the counter isn't there, carries no status code or reads NaN: not
///   measured.
/// - Fewer requests than [`min_request_count`](ErrorRateSettings::min_request_count): not enough.
/// - A rate at [`threshold_percent`](ErrorRateSettings::threshold_percent) or above: unhealthy.
///
/// It stores sums, so that a restart of its program costs no count.
pub struct ErrorRate {
    settings: ErrorRateSettings,
    classifier: Classifier,
    source: Arc<dyn Scrape>,
    counters: Counters,
    counts: Counts,
    last: Option<Stored>,
    /// Read from a record, until the first reading continues from it.
    restored: Option<Stored>,
}

impl ErrorRate {
    /// The signal's name.
    pub const NAME: &'static str = "httpErrorRate";

    /// A signal for one rollout.
    ///
    /// # Errors
    ///
    /// When the settings can't work, naming the field.
    pub fn new(settings: ErrorRateSettings, source: Arc<dyn Scrape>) -> Result<Self, SettingsError> {
        let classifier = Classifier::new(&settings)?;
        let (counters, counts) = (Counters::default(), Counts::default());
        Ok(Self { settings, classifier, source, counters, counts, last: None, restored: None })
    }

    /// Nothing is kept of a look that was dropped: what is read is used only when all of it is there.
    async fn read(&self, look: &Look) -> (Result<Reading, ScrapeError>, Vec<(String, Reading)>) {
        let (metric, at) = (self.settings.metric.as_str(), look.window.to);
        let baseline = look.baseline.iter().take(self.settings.baseline_pods);
        let baseline = join_all(baseline.map(async |pod| {
            let reading = self.source.scrape(pod, metric, at).await.ok()?;
            Some((pod.uid.clone(), reading))
        }));
        let (canary, baseline) = join(self.source.scrape(&look.canary, metric, at), baseline).await;
        (canary, baseline.into_iter().flatten().collect())
    }

    fn count_canary(&mut self, uid: &str, reading: &Reading) -> Result<(), String> {
        self.start_over_for(uid);
        self.check(reading)?;
        let now = self.sums(reading);
        let restored = self.restored.take();
        let origin = if restored.is_some() { Origin::FirstReading } else { Origin::Zero };
        let added = match self.counters.take(uid, origin, reading) {
            Increments::Counted { increments, .. } => {
                self.tally(increments.iter().map(|increment| (increment.series, increment.by)))
            }
            Increments::Stale => return Err("the clock went back".into()),
        };
        match &restored {
            // The counters only learnt where to go on; what was missed meanwhile is told from the stored sums.
            Some(stored) => self.counts.canary.add(stored.since(reading, now)),
            None => self.counts.canary.add(added),
        }
        let (total, process_start) = (self.counts.canary, reading.process_start);
        self.last = Some(Stored { uid: uid.to_owned(), at: reading.at, process_start, total, last: now });
        Ok(())
    }

    /// Whether all of a reading can be counted. A part alone would be: a series of errors that reads NaN is no series
    /// without errors.
    fn check(&self, reading: &Reading) -> Result<(), String> {
        let metric = &self.settings.metric;
        if !reading.exposed {
            return Err(format!("the pod does not expose {metric}"));
        }
        let counting = || reading.samples.iter().filter(|sample| self.classifier.is_error(&sample.series).is_some());
        if !reading.samples.is_empty() && counting().next().is_none() {
            return Err(self.classifier.nothing_counts(metric));
        }
        if let Some(why) = counting().find_map(|sample| problem_of(sample.value)) {
            return Err(format!("a value of {metric} {why}"));
        }
        let distinct: BTreeSet<_> = counting().map(|sample| &sample.series).collect();
        if distinct.len() < counting().count() {
            return Err(format!("a series of {metric} stands there twice"));
        }
        Ok(())
    }

    /// Another canary is another count.
    fn start_over_for(&mut self, uid: &str) {
        self.restored = self.restored.take().filter(|stored| stored.uid == uid);
        if self.last.as_ref().is_some_and(|last| last.uid != uid) {
            self.counters = Counters::default();
            self.counts = Counts::default();
            self.last = None;
        }
        if let (None, Some(stored)) = (&self.last, &self.restored) {
            self.counts.canary = stored.total;
        }
    }

    fn count_baseline(&mut self, readings: &[(String, Reading)], look: &Look) {
        for (uid, reading) in readings {
            if let Increments::Counted { increments, .. } = self.counters.take(uid, Origin::FirstReading, reading) {
                let added = self.tally(increments.iter().map(|increment| (increment.series, increment.by)));
                self.counts.baseline.add(added);
            }
        }
        let lives = |uid: &str| uid == look.canary.uid || look.baseline.iter().any(|pod| pod.uid == uid);
        self.counters.retain(lives);
    }

    fn sums(&self, reading: &Reading) -> Tally {
        self.tally(reading.samples.iter().map(|sample| (&sample.series, sample.value)))
    }

    fn tally<'a>(&self, parts: impl Iterator<Item = (&'a Series, f64)>) -> Tally {
        parts.fold(Tally::default(), |mut tally, (series, by)| {
            tally.add(self.classifier.tally(series, by));
            tally
        })
    }
}

impl HealthSignal for ErrorRate {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a> {
        Box::pin(async move {
            let (canary, baseline) = self.read(look).await;
            let counted = match &canary {
                Ok(reading) => self.count_canary(&look.canary.uid, reading),
                Err(error) => Err(error.to_string()),
            };
            self.count_baseline(&baseline, look);
            match counted {
                Ok(()) => judge(&self.counts, &self.settings),
                Err(why) => Verdict::Unknown(Why::NotMeasured(why)),
            }
        })
    }

    fn store(&self) -> Option<String> {
        // Before the first reading, what was restored is still all there is.
        self.last.as_ref().or(self.restored.as_ref()).map(Stored::write)
    }

    fn restore(&mut self, stored: &str) {
        if let Some(stored) = Stored::read(stored) {
            (self.counters, self.counts, self.last) = (Counters::default(), Counts::default(), None);
            self.restored = Some(stored);
        }
    }
}

impl fmt::Debug for ErrorRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorRate")
            .field("settings", &self.settings)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
