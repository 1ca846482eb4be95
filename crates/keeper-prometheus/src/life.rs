//! A canary's life as a server kept it: raw samples of counters, for canary and baseline at the same instant, each counted
//! once.

use crate::answer::{Data, Row};
use crate::exposition::{Sample, Series};
use crate::increments::{Counters, Increments, Origin, problem_of};
use crate::provider::PodLabels;
use crate::template::{as_pattern, checked};
use crate::{Matchers, Reading, Server};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use keeper_signal::{Look, Pod, Window};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;

/// How far back the first question goes. Of a canary that is older, and whose operator restarted, all that is lost are the
/// resets of its counters before that.
const FIRST_WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// How far a question reaches back behind the one before: a scrape that was under way then arrives late.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);
/// The shortest and the longest time for which a sample stands for its pod. The longest is the server's own look-back, by
/// which a pod that is gone still has its last value.
const FRESH: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(10), SignedDuration::from_mins(5));
/// How far back it reaches behind the canary's own beginning, so that an older pod of its name is known when it is seen: such
/// a pod may be scraped to its end, and a creation time is told in whole seconds. Longer than targets are scraped apart.
const BEFORE_BIRTH: SignedDuration = SignedDuration::from_mins(5);
/// For how long after the canary's beginning an older pod of its name may still be seen: it was gone before, but for the part
/// of a second and for clocks that don't agree.
const OLDER_UNTIL: SignedDuration = SignedDuration::from_mins(1);
/// The gauge by which programs say when they started.
const PROCESS_START: &str = "process_start_time_seconds";

/// What was counted of one canary and its baseline, in the caller's own way.
#[derive(Debug, Default)]
pub(crate) struct Life<T> {
    pub(crate) counted: T,
    uid: Option<String>,
    counters: Counters,
    /// What older pods of the canary's name showed last, by the target that they were scraped as.
    older: Counters,
    /// When the last answer was asked for.
    asked: Option<Timestamp>,
    /// The time between two samples of the canary.
    spacing: Option<SignedDuration>,
    /// Which of the provider's labels name the pods.
    labels: Option<PodLabels>,
}

/// Which counter is to be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The name of its samples.
    pub(crate) metric: &'a str,
    /// Which of its series.
    pub(crate) selector: &'a Matchers,
    /// Of how many baseline pods.
    pub(crate) baseline_pods: usize,
}

/// Whose counter went up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Canary,
    Baseline,
}

/// The readings of one scraped address of a pod, in the order of time.
type Target = BTreeMap<Timestamp, Scraped>;

#[derive(Debug, Default)]
struct Scraped {
    samples: Vec<Sample>,
    starts: Vec<f64>,
}

/// Pod's uid, job, instance: series of two addresses have their samples at different times.
type Key = (String, String, String);

impl<T: Default> Life<T> {
    /// Asks the server and counts what is new. The canary's newest series are the answer; all of them are known to count
    /// for this moment.
    pub(crate) async fn look(
        &mut self,
        server: &Server,
        look: &Look,
        wanted: Wanted<'_>,
        add: impl FnMut(&mut T, Side, &Series, f64),
    ) -> Result<Vec<Series>, String> {
        self.start_over_for(&look.canary.uid);
        let pods: Vec<&Pod> = once(&look.canary).chain(look.baseline.iter().take(wanted.baseline_pods)).collect();
        let all = server.provider().pod_labels.as_slice();
        let candidates = self.labels.as_ref().map_or_else(|| all.to_vec(), |known| vec![known.clone()]);
        let from = self.from(look.window);
        // All at once: a slow server would not come to the last of them in one look.
        let asked = candidates.iter().map(|labels| ask(server, look, from, &pods, labels, wanted));
        let mut failed = None;
        for (labels, rows) in candidates.iter().zip(join_all(asked).await) {
            match rows {
                Ok(rows) if rows.iter().any(|row| is_of(row, &look.canary, labels)) => {
                    return self.take(look, &pods, labels, wanted.metric, &rows, add);
                }
                Ok(_) => {}
                Err(why) => failed = failed.or(Some(why)),
            }
        }
        if let Some(why) = failed {
            return Err(why);
        }
        // Its labels may be others by now.
        self.labels = None;
        let names = candidates.iter().map(|labels| labels.pod.as_str()).collect::<Vec<_>>().join(" or ");
        let (pod, metric) = (&look.canary.name, wanted.metric);
        Err(format!("Prometheus {} has no samples of {metric} whose {names} is {pod}", server.provider().name))
    }

    /// Counts what is new in an answer.
    fn take(
        &mut self,
        look: &Look,
        pods: &[&Pod],
        labels: &PodLabels,
        metric: &str,
        rows: &[Row],
        mut add: impl FnMut(&mut T, Side, &Series, f64),
    ) -> Result<Vec<Series>, String> {
        let mut targets = targets(rows, pods, labels, look.window);
        let mine = |key: &Key| key.0 == look.canary.uid;
        for (key, target) in targets.iter_mut().filter(|(key, _)| mine(key)) {
            let name = name(key);
            target.retain(|at, scraped| !self.is_older(&name, look.canary.created, &scraped.reading(*at)));
        }
        check(targets.iter().filter(|(key, _)| mine(key)), metric, rows)?;
        for (key, target) in &targets {
            let side = if mine(key) { Side::Canary } else { Side::Baseline };
            let origin = if side == Side::Canary { Origin::Zero } else { Origin::FirstReading };
            let name = name(key);
            for (at, scraped) in target {
                let reading = scraped.reading(*at);
                let taken = self.counters.take(&name, origin, &reading);
                // What is left out as odd may be right in the next sample, and then nothing was lost.
                if let Increments::Counted { increments, .. } = taken {
                    increments.iter().for_each(|one| add(&mut self.counted, side, one.series, one.by));
                }
            }
        }
        let lives = |key: &str| pods.iter().any(|pod| key.split(' ').next() == Some(pod.uid.as_str()));
        self.counters.retain(lives);
        (self.asked, self.labels) = (Some(look.window.to), Some(labels.clone()));
        self.newest(targets.iter().filter(|(key, _)| mine(key)), look.window.to, metric)
    }

    /// Whether what a target shows is of an older pod of the canary's name: it showed something before the canary was
    /// created, no counter has begun anew since, and it is not long ago.
    fn is_older(&mut self, target: &str, born: Timestamp, reading: &Reading) -> bool {
        if self.counters.knows(target) {
            return reading.at < born;
        }
        let late = reading.at.duration_since(born) >= OLDER_UNTIL;
        if reading.at >= born && (late || self.older.began_anew(target, reading)) {
            self.older.retain(|known| known != target);
        }
        if reading.at >= born && !self.older.knows(target) {
            return false;
        }
        // Only its last values matter, not what they add.
        let _ = self.older.take(target, Origin::FirstReading, reading);
        true
    }

    /// The canary's newest series, if they are fresh.
    fn newest<'a>(
        &mut self,
        targets: impl Iterator<Item = (&'a Key, &'a Target)>,
        now: Timestamp,
        metric: &str,
    ) -> Result<Vec<Series>, String> {
        let counting: Vec<Vec<(Timestamp, &Scraped)>> = targets
            .map(|(_, target)| target.iter().filter(|(_, s)| !s.samples.is_empty()).map(|(at, s)| (*at, s)).collect())
            .filter(|readings: &Vec<_>| !readings.is_empty())
            .collect();
        self.spacing = counting.iter().filter_map(|readings| spacing(readings)).max().or(self.spacing);
        let fresh = self.spacing.map_or(FRESH.1, |spacing| (spacing * 3).clamp(FRESH.0, FRESH.1));
        let last = counting.iter().filter_map(|readings| readings.last());
        let Some(newest) = last.clone().map(|(at, _)| *at).max() else {
            return Err(format!("the canary shows no {metric} yet"));
        };
        let age = now.duration_since(newest);
        if age > fresh {
            return Err(format!("the newest sample of {metric} is {} s old: the canary is not scraped", age.as_secs()));
        }
        let alive = last.filter(|(at, _)| now.duration_since(*at) <= fresh);
        let samples: Vec<&Sample> = alive.flat_map(|(_, scraped)| &scraped.samples).collect();
        match samples.iter().find_map(|sample| problem_of(sample.value)) {
            Some(why) => Err(format!("a value of {metric} {why}")),
            None => Ok(samples.into_iter().map(|sample| sample.series.clone()).collect()),
        }
    }

    /// From when on samples are asked for.
    fn from(&self, window: Window) -> Timestamp {
        let overlap = self.spacing.map_or(FRESH.1, |spacing| (spacing * 4).clamp(OVERLAP, FRESH.1));
        let from = self.asked.map_or_else(|| before(window.to, FIRST_WINDOW), |asked| before(asked, overlap));
        from.clamp(before(window.from, BEFORE_BIRTH).min(window.to), window.to)
    }

    /// Another canary is another life.
    fn start_over_for(&mut self, uid: &str) {
        if self.uid.as_deref() != Some(uid) {
            *self = Self { uid: Some(uid.to_owned()), ..Self::default() };
        }
    }
}

impl Scraped {
    fn reading(&self, at: Timestamp) -> Reading {
        // Several starts are those of several processes behind one address: none of them is the counter's.
        let process_start = match self.starts.as_slice() {
            [start] if start.is_finite() => Some(*start),
            _ => None,
        };
        Reading { at, samples: self.samples.clone(), exposed: true, process_start }
    }
}

async fn ask(
    server: &Server,
    look: &Look,
    from: Timestamp,
    pods: &[&Pod],
    labels: &PodLabels,
    wanted: Wanted<'_>,
) -> Result<Vec<Row>, String> {
    let query = query(pods, labels, wanted, Window { from, to: look.window.to })?;
    let answer = server.query(&query, look.window.to).await.map_err(|error| error.to_string())?;
    match answer.into_complete().map_err(|error| server.says(&error))? {
        Data::Matrix(rows) => Ok(rows),
        Data::Vector(_) | Data::Scalar(_) | Data::Text => Err("the server gave no raw samples".into()),
    }
}

/// Raw samples, in one question, so that canary and baseline are seen at one instant.
fn query(pods: &[&Pod], labels: &PodLabels, wanted: Wanted<'_>, window: Window) -> Result<String, String> {
    let names: Result<Vec<_>, _> = pods.iter().map(|pod| checked(&pod.name).map(|n| as_pattern(n, false))).collect();
    let namespace = pods.first().map_or(Ok(""), |pod| checked(&pod.namespace))?;
    let comma = if wanted.selector.is_empty() { "" } else { "," };
    // Some servers leave out the sample at the very beginning of a range.
    let millis = window.to.duration_since(window.from).as_millis().saturating_add(1).max(1);
    Ok(format!(
        "{{__name__=~\"{}|{PROCESS_START}\",{}=~\"{}\",{}=\"{namespace}\"{comma}{}}}[{millis}ms]",
        wanted.metric,
        labels.pod,
        names?.join("|"),
        labels.namespace,
        wanted.selector,
    ))
}

fn is_of(row: &Row, pod: &Pod, labels: &PodLabels) -> bool {
    let is = |label: &str, value: &str| row.labels.get(label).is_some_and(|has| has == value);
    is(&labels.pod, &pod.name) && is(&labels.namespace, &pod.namespace)
}

/// How a target is remembered.
fn name((uid, job, instance): &Key) -> String {
    format!("{uid} {job} {instance}")
}

/// The samples by who was scraped and when; of the canary (the first of the pods) also those that are older than it.
fn targets(rows: &[Row], pods: &[&Pod], labels: &PodLabels, life: Window) -> BTreeMap<Key, Target> {
    let mut targets: BTreeMap<Key, Target> = BTreeMap::new();
    for row in rows {
        let Some(pod) = pods.iter().find(|pod| is_of(row, pod, labels)) else { continue };
        let label = |name: &str| row.labels.get(name).cloned().unwrap_or_default();
        let target = targets.entry((pod.uid.clone(), label("job"), label("instance"))).or_default();
        let name = label("__name__");
        let mut series = row.labels.clone();
        series.remove("__name__");
        let series = Series { name, labels: series };
        let canary = pods.first().is_some_and(|canary| canary.uid == pod.uid);
        let from = life.from.max(pod.created);
        let asked = |at: &Timestamp| (from..=life.to).contains(at) || (canary && *at < pod.created);
        for (at, value) in row.samples.iter().filter(|(at, _)| asked(at)) {
            let scraped = target.entry(*at).or_default();
            if series.name == PROCESS_START {
                scraped.starts.push(*value);
            } else {
                scraped.samples.push(Sample { series: series.clone(), value: *value });
            }
        }
    }
    targets
}

/// Whether the canary's samples can be counted at all: once each, and in the order in which they were taken.
fn check<'a>(
    targets: impl Iterator<Item = (&'a Key, &'a Target)> + Clone,
    metric: &str,
    rows: &[Row],
) -> Result<(), String> {
    if rows.iter().all(|row| row.has_histograms && row.samples.is_empty()) {
        return Err(format!("{metric} is a native histogram: only buckets with a label le can be counted"));
    }
    let shows = |target: &Target| target.values().any(|scraped| !scraped.samples.is_empty());
    let mut jobs: BTreeMap<&str, &str> = BTreeMap::new();
    for ((_, job, instance), target) in targets {
        if !shows(target) {
            continue;
        }
        if is_mixed(target) {
            return Err(format!("{metric} comes from two scrapers at once: ask a Prometheus that deduplicates"));
        }
        if let Some(other) = jobs.insert(instance, job) {
            return Err(format!("the canary is scraped twice, as job {other} and {job}: choose one by selector"));
        }
    }
    Ok(())
}

/// Two replicas of a scraper whose series were not made one: series that come and go by turns.
fn is_mixed(target: &Target) -> bool {
    let sets: Vec<BTreeSet<&Series>> = target
        .values()
        .map(|scraped| scraped.samples.iter().map(|sample| &sample.series).collect::<BTreeSet<_>>())
        .filter(|set| !set.is_empty())
        .collect();
    sets.windows(3).any(|three| match three {
        [a, b, c] => a.is_disjoint(b) && b.is_disjoint(c) && !a.is_disjoint(c),
        _ => false,
    })
}

/// The usual time between two readings.
fn spacing(readings: &[(Timestamp, &Scraped)]) -> Option<SignedDuration> {
    let mut between: Vec<_> = readings
        .windows(2)
        .filter_map(|two| match two {
            [(a, _), (b, _)] => Some(b.duration_since(*a)),
            _ => None,
        })
        .collect();
    between.sort_unstable();
    between.get(between.len() / 2).copied()
}

fn before(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
