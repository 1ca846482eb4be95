//! From raw samples of counters to increments. Pure: it is told when a sample was taken and reads no clock.
//!
//! - Each sample is used once, whatever is read twice.
//! - A counter that went down was reset: all of its new value is increment.
//! - In another process ([`Reading::process_start`]) every counter began at zero, also one that is higher than before.
//! - A series that appears while its pod is watched began at zero, and so does one that was gone and comes back.
//! - Values that no counter has (NaN, infinite, negative, beyond what a float counts exactly) are left out with the
//!   reason, and what the series had before stands.
//!
//! What happens between the last reading of a process and its end is lost. So is, where the process does not say when it
//! started, the part of a restarted counter that is hidden below its old value.

use crate::Reading;
use crate::exposition::{Sample, Series};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Beyond this a float no longer counts one by one.
const COUNTABLE: f64 = 9_007_199_254_740_992.0;

/// Seconds by which the start of one process may seem to move. A container that restarts faster has counted next to
/// nothing.
const SAME_START: f64 = 2.0;

/// The last values of the counters of some pods.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pods: BTreeMap<String, Last>,
}

/// What a pod's counters hold when it is first read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Only what belongs to the time that counts: the pod is as young as the watch. All of it is increment.
    Zero,
    /// What was counted long before: the first values are where counting begins.
    FirstReading,
}

/// What one reading added.
#[derive(Clone, Debug, PartialEq)]
pub enum Increments<'a> {
    /// What was counted since the reading before.
    Counted {
        /// Per series, zero included.
        increments: Vec<Increment<'a>>,
        /// What was left out.
        ignored: Vec<Ignored<'a>>,
    },
    /// The reading is older than one that was used: it says nothing.
    Stale,
}

/// How much one counter went up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Increment<'a> {
    /// Which counter.
    pub series: &'a Series,
    /// How much.
    pub by: f64,
}

/// A sample that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored<'a> {
    /// Of which counter.
    pub series: &'a Series,
    /// Why.
    pub why: &'static str,
}

#[derive(Clone, Debug)]
struct Last {
    at: Timestamp,
    process_start: Option<f64>,
    values: BTreeMap<Series, f64>,
}

impl Counters {
    /// Uses a reading of the pod with this uid.
    pub fn take<'a>(&mut self, uid: &str, origin: Origin, reading: &'a Reading) -> Increments<'a> {
        let before = self.pods.remove(uid);
        if let Some(last) = before.as_ref().filter(|last| reading.at <= last.at) {
            let (stale, last) = (reading.at < last.at, last.clone());
            self.pods.insert(uid.to_owned(), last);
            return if stale { Increments::Stale } else { Increments::Counted { increments: vec![], ignored: vec![] } };
        }
        let first = before.is_none();
        let old = before.map(|last| last.values_for(reading)).unwrap_or_default();
        let mut values = BTreeMap::new();
        let (mut increments, mut ignored) = (Vec::new(), Vec::new());
        for Sample { series, value } in &reading.samples {
            let had = old.get(series).copied();
            if let Some(why) =
                problem_of(*value).or_else(|| values.contains_key(series).then_some("stands there twice"))
            {
                ignored.push(Ignored { series, why });
                // What it had stands, so that its next good value is compared with that.
                if let Some(had) = had {
                    values.entry(series.clone()).or_insert(had);
                }
                continue;
            }
            values.insert(series.clone(), *value);
            let by = match had {
                Some(had) if *value >= had => *value - had,
                None if first && origin == Origin::FirstReading => 0.0,
                Some(_) | None => *value,
            };
            increments.push(Increment { series, by });
        }
        self.pods.insert(uid.to_owned(), Last { at: reading.at, process_start: reading.process_start, values });
        Increments::Counted { increments, ignored }
    }

    /// Whether a reading of this pod was used.
    pub(crate) fn knows(&self, uid: &str) -> bool {
        self.pods.contains_key(uid)
    }

    /// Whether a later reading is known to be of another process than the pod's last: it started at another time, or one of
    /// its counters is lower.
    pub(crate) fn began_anew(&self, uid: &str, reading: &Reading) -> bool {
        let Some(last) = self.pods.get(uid).filter(|last| last.at < reading.at) else { return false };
        let is_lower = |sample: &Sample| last.values.get(&sample.series).is_some_and(|had| sample.value < *had);
        restarted(last.process_start, reading.process_start) || reading.samples.iter().any(is_lower)
    }

    /// Forgets the pods for which this is false, by uid.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.pods.retain(|uid, _| is_kept(uid));
    }
}

impl Last {
    /// The values to compare a reading with: none, if it is of another process.
    fn values_for(self, reading: &Reading) -> BTreeMap<Series, f64> {
        if restarted(self.process_start, reading.process_start) { BTreeMap::new() } else { self.values }
    }
}

/// Whether two readings are known to be of two processes. A start that moved a little is the same one: some clients
/// work it out from the node's boot time at each reading, and that follows the node's clock.
#[must_use]
pub(crate) fn restarted(before: Option<f64>, now: Option<f64>) -> bool {
    matches!((before, now), (Some(before), Some(now)) if (now - before).abs() > SAME_START)
}

/// Why a value is none that a counter has.
pub(crate) fn problem_of(value: f64) -> Option<&'static str> {
    if !value.is_finite() {
        Some("is not a number")
    } else if value < 0.0 {
        Some("is negative")
    } else if value > COUNTABLE {
        Some("is too large to count")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn reading(second: i64, start: Option<f64>, values: &[(&str, f64)]) -> Reading {
        let sample = |(name, value): &(&str, f64)| Sample {
            series: Series { name: (*name).to_owned(), labels: BTreeMap::new() },
            value: *value,
        };
        Reading { at: at(second), samples: values.iter().map(sample).collect(), exposed: true, process_start: start }
    }

    fn counted(increments: &Increments<'_>) -> Vec<(String, f64)> {
        match increments {
            Increments::Counted { increments, .. } => {
                increments.iter().map(|increment| (increment.series.name.clone(), increment.by)).collect()
            }
            Increments::Stale => panic!("stale"),
        }
    }

    /// Readings one after the other, and what each added to `a`.
    fn of_a(origin: Origin, readings: &[Reading]) -> Vec<f64> {
        let mut counters = Counters::default();
        let sum = |reading| counted(&counters.take("pod", origin, reading)).iter().map(|(_, by)| by).sum();
        readings.iter().map(sum).collect()
    }

    #[test]
    fn the_first_value_of_a_young_pod_counts_and_of_an_old_one_does_not() {
        let readings = [reading(1, None, &[("a", 7.0)]), reading(2, None, &[("a", 9.0)])];
        assert_eq!(of_a(Origin::Zero, &readings), [7.0, 2.0]);
        assert_eq!(of_a(Origin::FirstReading, &readings), [0.0, 2.0]);
    }

    #[test]
    fn a_series_that_appears_later_began_at_zero() {
        let mut counters = Counters::default();
        let _ = counters.take("pod", Origin::FirstReading, &reading(1, None, &[("a", 7.0)]));
        let later = reading(2, None, &[("a", 8.0), ("b", 3.0)]);
        let later = counted(&counters.take("pod", Origin::FirstReading, &later));
        assert_eq!(later, [("a".to_owned(), 1.0), ("b".to_owned(), 3.0)]);
    }

    #[test]
    fn a_reset_counts_what_came_after_it() {
        let values = [5.0, 9.0, 2.0, 2.0, 4.0];
        let readings: Vec<_> = (1..).zip(values).map(|(second, a)| reading(second, None, &[("a", a)])).collect();
        assert_eq!(of_a(Origin::Zero, &readings), [5.0, 4.0, 2.0, 0.0, 2.0]);
    }

    #[test]
    fn another_process_counts_from_zero_even_above_the_old_value() {
        let readings = [
            reading(1, Some(100.0), &[("a", 5.0)]),
            reading(2, Some(105.0), &[("a", 8.0)]),
            reading(3, Some(106.0), &[("a", 9.0)]),
        ];
        assert_eq!(of_a(Origin::Zero, &readings), [5.0, 8.0, 1.0], "a second is the clock's, five are a restart");
    }

    #[test]
    fn a_series_that_was_gone_comes_back_from_zero() {
        let readings = [reading(1, None, &[("a", 5.0)]), reading(2, None, &[]), reading(3, None, &[("a", 6.0)])];
        assert_eq!(of_a(Origin::Zero, &readings), [5.0, 0.0, 6.0]);
    }

    #[test]
    fn each_sample_is_used_once() {
        let mut counters = Counters::default();
        let first = reading(5, None, &[("a", 5.0)]);
        assert_eq!(counted(&counters.take("pod", Origin::Zero, &first)), [("a".to_owned(), 5.0)]);
        assert_eq!(counted(&counters.take("pod", Origin::Zero, &first)), []);
        assert_eq!(counters.take("pod", Origin::Zero, &reading(4, None, &[("a", 3.0)])), Increments::Stale);
        let next = reading(6, None, &[("a", 6.0), ("a", 60.0)]);
        assert_eq!(counted(&counters.take("pod", Origin::Zero, &next)), [("a".to_owned(), 1.0)]);
    }

    #[test]
    fn what_no_counter_has_is_left_out() {
        for (value, why) in [
            (f64::NAN, "is not a number"),
            (f64::INFINITY, "is not a number"),
            (-1.0, "is negative"),
            (1e300, "is too large to count"),
        ] {
            let mut counters = Counters::default();
            let _ = counters.take("pod", Origin::Zero, &reading(1, None, &[("a", 5.0)]));
            let odd = reading(2, None, &[("a", value)]);
            let Increments::Counted { increments, ignored } = counters.take("pod", Origin::Zero, &odd) else {
                panic!("stale")
            };
            assert_eq!((increments.len(), ignored[0].why), (0, why));
            let good = reading(3, None, &[("a", 6.0)]);
            assert_eq!(counted(&counters.take("pod", Origin::Zero, &good)), [("a".to_owned(), 1.0)], "{why}");
        }
    }

    #[test]
    fn pods_are_told_apart_and_forgotten() {
        let mut counters = Counters::default();
        let _ = counters.take("one", Origin::Zero, &reading(1, None, &[("a", 5.0)]));
        let two = reading(2, None, &[("a", 6.0)]);
        assert_eq!(counted(&counters.take("two", Origin::Zero, &two)), [("a".to_owned(), 6.0)]);
        counters.retain(|uid| uid == "two");
        assert_eq!(counted(&counters.take("one", Origin::Zero, &two)), [("a".to_owned(), 6.0)]);
    }
}
