//! A deliberately minimal implementation, so that provided methods are tested rather than overridden.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail as tests do")]

use keeper_signal::{Evidence, HealthSignal, Look, Looking, Pod, Verdict, Why, Window, all_of, from_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

struct Minimal;

impl HealthSignal for Minimal {
    fn name(&self) -> &str {
        "minimal"
    }

    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a> {
        Box::pin(async move { Verdict::Healthy(Evidence::new(look.canary.name.clone()).with("pods", 1.0)) })
    }
}

fn look() -> Look {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let pod = Pod { namespace: "shop".into(), name: "web-canary".into(), uid: "1".into(), address: None, created: at };
    Look { workload: "web".into(), canary: pod, baseline: Vec::new(), window: Window { from: at, to: at } }
}

/// None of the signals here ever waits.
fn ask(signal: &mut dyn HealthSignal) -> Verdict {
    let look = look();
    let answer = pin!(signal.look(&look)).poll(&mut Context::from_waker(Waker::noop()));
    match answer {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => panic!("a signal without IO waits"),
    }
}

#[test]
fn a_minimal_signal_is_complete() {
    let mut signal = Minimal;
    assert_eq!(ask(&mut signal), Verdict::Healthy(Evidence::new("web-canary").with("pods", 1.0)));
    assert_eq!(signal.store(), None);
    signal.restore("whatever an older version wrote");
}

#[test]
fn all_of_is_as_good_as_its_worst() {
    let bad = from_fn("bad", |_| Verdict::Unhealthy(Evidence::new("broken")));
    let mut both = all_of("both", vec![Box::new(Minimal), Box::new(bad)]);
    assert_eq!(both.name(), "both");
    assert_eq!(ask(&mut both), Verdict::Unhealthy(Evidence::new("broken")));
}

#[test]
fn all_of_nothing_proves_nothing() {
    assert_eq!(ask(&mut all_of("none", vec![])), Verdict::Unknown(Why::NotMeasured("no signals".into())));
}
