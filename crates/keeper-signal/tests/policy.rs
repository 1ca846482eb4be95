//! What a policy changes of a signal's verdicts, look by look.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail as tests do")]

use jiff::Timestamp;
use keeper_signal::{Evidence, HealthSignal, Look, Pod, Policy, UnderPolicy, Verdict, Why, Window, from_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A signal that says what it is told to, and a count of how often it was asked.
struct Bench {
    says: Arc<Mutex<(Verdict, u32)>>,
    signal: UnderPolicy,
    uid: &'static str,
}

impl Bench {
    fn new(policy: Policy) -> Self {
        let says = Arc::new(Mutex::new((healthy(), 0)));
        let heard = says.clone();
        let inner = from_fn("inner", move |_| {
            let mut says = heard.lock().unwrap();
            says.1 += 1;
            says.0.clone()
        });
        Self { says, signal: policy.on("check", Box::new(inner)), uid: "one" }
    }

    /// The verdict of a look this many seconds after the canary's start, in words.
    fn at(&mut self, second: i64, says: Verdict) -> String {
        self.says.lock().unwrap().0 = says;
        let at = |second| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let (namespace, name, uid) = ("shop".into(), "web-canary".into(), self.uid.into());
        let canary = Pod { namespace, name, uid, address: None, created: at(0) };
        let window = Window { from: at(0), to: at(second) };
        let look = Look { workload: "web".into(), canary, baseline: vec![], window };
        match pin!(self.signal.look(&look)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(verdict) => verdict.to_string(),
            Poll::Pending => panic!("a signal without IO waits"),
        }
    }

    fn asked(&self) -> u32 {
        self.says.lock().unwrap().1
    }
}

fn healthy() -> Verdict {
    Verdict::Healthy(Evidence::new("fine"))
}

fn unhealthy() -> Verdict {
    Verdict::Unhealthy(Evidence::new("bad"))
}

fn blind() -> Verdict {
    Verdict::Unknown(Why::NotMeasured("no answer".into()))
}

#[test]
fn the_default_changes_nothing_but_the_name() {
    let mut bench = Bench::new(Policy::default());
    assert_eq!(bench.signal.name(), "check");
    assert!(!bench.signal.observes_only());
    assert_eq!(bench.at(0, blind()), "unknown: not measured: no answer");
    assert_eq!(bench.at(0, healthy()), "healthy: fine");
    assert_eq!(bench.at(5, blind()), "unknown: not measured: no answer");
    assert_eq!(bench.at(10, unhealthy()), "unhealthy: bad");
    assert_eq!(bench.asked(), 4);
}

#[test]
fn between_two_askings_the_last_verdict_stands_unless_it_was_blind() {
    let mut bench = Bench::new(Policy { interval: Duration::from_secs(30), ..Policy::default() });
    assert_eq!(bench.at(0, blind()), "unknown: not measured: no answer");
    assert_eq!(bench.at(5, healthy()), "healthy: fine");
    for second in [10, 20, 30] {
        assert_eq!(bench.at(second, unhealthy()), "healthy: fine");
    }
    assert_eq!(bench.asked(), 2);
    assert_eq!(bench.at(34, unhealthy()), "unhealthy: bad", "a look comes a little early");
}

#[test]
fn it_is_not_asked_before_its_time() {
    let mut bench = Bench::new(Policy { initial_delay: Duration::from_secs(20), ..Policy::default() });
    assert_eq!(bench.at(5, unhealthy()), "unknown: not enough: not asked for the first 20s, 15 s to go");
    assert_eq!(bench.at(19, unhealthy()), "unknown: not enough: not asked for the first 20s, 1 s to go");
    assert_eq!(bench.asked(), 0);
    assert_eq!(bench.at(20, healthy()), "healthy: fine");
}

#[test]
fn one_failure_more_than_is_borne_ends_it() {
    let mut bench = Bench::new(Policy { failure_limit: 2, ..Policy::default() });
    assert_eq!(bench.at(0, unhealthy()), "unknown: not enough: bad (failure 1 of 2 that are borne)");
    assert_eq!(bench.at(5, healthy()), "healthy: fine");
    assert_eq!(bench.at(10, unhealthy()), "unknown: not enough: bad (failure 2 of 2 that are borne)");
    let ended = "unhealthy: bad (3 failures, 2 are borne)";
    assert_eq!(bench.at(15, unhealthy()), ended);
    assert_eq!(bench.at(20, healthy()), ended, "it stays so");
}

#[test]
fn a_failure_is_counted_once_however_often_it_is_looked_at() {
    let interval = Duration::from_secs(30);
    let mut bench = Bench::new(Policy { failure_limit: 1, interval, ..Policy::default() });
    for second in [0, 5, 10, 25] {
        assert!(bench.at(second, unhealthy()).starts_with("unknown: not enough: bad (failure 1 of 1"));
    }
    assert!(bench.at(30, unhealthy()).starts_with("unhealthy"));
}

#[test]
fn errors_have_a_budget_of_their_own_in_a_row() {
    let mut bench = Bench::new(Policy { error_budget: 2, ..Policy::default() });
    let blind_says = "unknown: not measured: no answer";
    assert_eq!(bench.at(0, blind()), blind_says, "nothing was measured yet: the clock has not started");
    assert_eq!(bench.at(5, healthy()), "healthy: fine");
    for _ in 0..2 {
        let borne = |n| format!("unknown: not enough: no answer (error {n} of 2 that are borne in a row)");
        assert_eq!(bench.at(10, blind()), borne(1));
        assert_eq!(bench.at(15, blind()), borne(2));
        assert_eq!(bench.at(20, blind()), blind_says);
        assert_eq!(bench.at(25, healthy()), "healthy: fine", "not one failure was counted");
    }
}

#[test]
fn failures_survive_a_restart_and_another_canary_has_none() {
    let policy = Policy { failure_limit: 1, ..Policy::default() };
    let mut bench = Bench::new(policy.clone());
    assert_eq!(bench.signal.store(), None);
    bench.at(0, unhealthy());
    let stored = bench.signal.store().unwrap();
    let mut next = Bench::new(policy.clone());
    next.signal.restore(&stored);
    assert_eq!(next.at(5, unhealthy()), "unhealthy: bad (2 failures, 1 are borne)");
    let stored = next.signal.store().unwrap();
    let mut third = Bench::new(policy.clone());
    third.signal.restore(&stored);
    assert_eq!(third.at(10, healthy()), "unhealthy: 2 failures, 1 are borne");
    let mut other = Bench { uid: "two", ..Bench::new(policy) };
    for odd in [stored.as_str(), "", "1 one", "2 one 0 ", "1 one many "] {
        other.signal.restore(odd);
        assert_eq!(other.at(10, healthy()), "healthy: fine", "{odd:?}");
    }
}

#[test]
fn what_only_observes_says_so() {
    let bench = Bench::new(Policy { observe_only: true, ..Policy::default() });
    assert!(bench.signal.observes_only());
}
