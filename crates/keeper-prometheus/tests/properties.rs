//! What holds for every life of a process and every text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::at;
use keeper_prometheus::Reading;
use keeper_prometheus::exposition::{Sample, Series, parse};
use keeper_prometheus::increments::{Counters, Increments, Origin};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What happens to a pod and to who reads it.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// Some requests of one series.
    Requests { series: usize, count: u8 },
    /// The container restarts: its counters begin at zero.
    Restart,
    /// It is read.
    Read,
    /// It is read, and the same reading comes once more.
    ReadTwice,
    /// A reading is lost.
    Lost,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0..3_usize, 1..20_u8).prop_map(|(series, count)| Happening::Requests { series, count }),
        1 => Just(Happening::Restart),
        3 => Just(Happening::Read),
        1 => Just(Happening::ReadTwice),
        1 => Just(Happening::Lost),
    ]
}

fn series(number: usize) -> Series {
    let labels = BTreeMap::from([("code".to_owned(), (200 + number).to_string())]);
    Series { name: "http_requests_total".into(), labels }
}

/// A process, as it would expose itself: a series appears with its first request.
#[derive(Default)]
struct Process {
    started: u32,
    counters: BTreeMap<usize, u64>,
}

impl Process {
    fn reading(&self, second: i64, tells_start: bool) -> Reading {
        let sample = |(number, count): (&usize, &u64)| Sample { series: series(*number), value: *count as f64 };
        Reading {
            at: at(second),
            samples: self.counters.iter().map(sample).collect(),
            exposed: true,
            process_start: tells_start.then(|| f64::from(self.started) * 10.0),
        }
    }
}

/// Lives the life, and answers what was counted beside what there was: the sum over its processes of what each had
/// counted when it was last read.
fn live(happenings: &[Happening], tells_start: bool) -> (f64, f64) {
    let (mut process, mut counters) = (Process::default(), Counters::default());
    let (mut counted, mut of_former, mut of_this) = (0.0, 0_u64, 0_u64);
    for (second, happening) in (1..).zip(happenings) {
        let mut read = |times: usize| {
            let reading = process.reading(second, tells_start);
            for _ in 0..times {
                match counters.take("pod", Origin::Zero, &reading) {
                    Increments::Counted { increments, ignored } => {
                        assert!(ignored.is_empty());
                        counted += increments.iter().map(|increment| increment.by).sum::<f64>();
                    }
                    Increments::Stale => panic!("time goes forward"),
                }
            }
            of_this = process.counters.values().sum();
        };
        match happening {
            Happening::Read => read(1),
            Happening::ReadTwice => read(2),
            Happening::Lost => {}
            Happening::Requests { series, count } => {
                *process.counters.entry(*series).or_default() += u64::from(*count);
            }
            Happening::Restart => {
                process = Process { started: process.started + 1, ..Process::default() };
                of_former += of_this;
                of_this = 0;
            }
        }
    }
    (counted, (of_former + of_this) as f64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// SA18: each event once, under every schedule of readings and restarts, where the process tells its start.
    #[test]
    fn what_is_counted_is_what_happened(happenings in proptest::collection::vec(happening(), 0..60)) {
        let (counted, happened) = live(&happenings, true);
        prop_assert_eq!(counted, happened);
    }

    /// Where it does not, nothing is counted that didn't happen.
    #[test]
    fn nothing_is_counted_twice(happenings in proptest::collection::vec(happening(), 0..60)) {
        let (counted, happened) = live(&happenings, false);
        prop_assert!(counted <= happened, "{} of {}", counted, happened);
        if !happenings.iter().any(|happening| matches!(happening, Happening::Restart)) {
            prop_assert_eq!(counted, happened);
        }
    }

}

proptest! {
    /// Any values at all: what is counted is never negative, never without end.
    #[test]
    fn odd_values_count_for_nothing(values in proptest::collection::vec(proptest::num::f64::ANY, 1..20)) {
        let mut counters = Counters::default();
        for (second, value) in (1..).zip(&values) {
            let samples = vec![Sample { series: series(0), value: *value }];
            let reading = Reading { at: at(second), samples, exposed: true, process_start: None };
            if let Increments::Counted { increments, .. } = counters.take("pod", Origin::Zero, &reading) {
                prop_assert!(increments.iter().all(|increment| increment.by >= 0.0 && increment.by.is_finite()));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&text, |_| true);
    }

    #[test]
    fn texts_that_look_right_are_read_without_a_panic(text in r#"([a-z_0-9:{}="\\,# .+\-é]|NaN|TYPE|EOF|\n){0,80}"#) {
        let _ = parse(text.as_bytes(), |_| true);
    }

    /// What is written as the format says is read back as it was.
    #[test]
    fn what_is_written_is_read_back(
        samples in proptest::collection::vec(
            ("[a-z_:][a-z0-9_:]{0,8}", proptest::collection::btree_map("[a-z_][a-z0-9_]{0,8}", any::<String>(), 0..4), -1e9..1e9),
            0..10,
        ),
        time in proptest::option::of(any::<i64>()),
    ) {
        let mut text = String::new();
        for (name, labels, value) in &samples {
            let quoted = |value: &str| value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
            let time = time.map_or_else(String::new, |time| format!(" {time}"));
            text += &format!("# TYPE {name} gauge\n{name}{{{}}} {value}{time}\n", labels.join(","));
        }
        let read = parse(text.as_bytes(), |_| true).unwrap().samples;
        let read: Vec<_> = read.into_iter().map(|sample| (sample.series.name, sample.series.labels, sample.value)).collect();
        prop_assert_eq!(read, samples);
    }
}
