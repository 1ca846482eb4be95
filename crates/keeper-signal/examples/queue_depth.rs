//! A signal of one's own: a sidecar writes how many orders wait in the canary, and too many of them end it.
//!
//! `cargo run -p keeper-signal --example queue_depth -- /var/run/canary/depth`

use jiff::Timestamp;
use keeper_signal::{Evidence, HealthSignal, Look, Looking, Pod, Verdict, Why, Window};
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Reads a number from a file; healthy up to the limit.
#[derive(Debug)]
pub(crate) struct QueueDepth {
    /// The file; another process keeps it up to date.
    pub(crate) file: PathBuf,
    /// The most that may wait.
    pub(crate) limit: u64,
}

impl HealthSignal for QueueDepth {
    fn name(&self) -> &str {
        "queue-depth"
    }

    fn look<'a>(&'a mut self, _look: &'a Look) -> Looking<'a> {
        let read = std::fs::read_to_string(&self.file).map_err(|error| error.to_string());
        let depth = read.and_then(|text| text.trim().parse::<u64>().map_err(|error| error.to_string()));
        let verdict = match depth {
            Err(why) => Verdict::Unknown(Why::NotMeasured(format!("{}: {why}", self.file.display()))),
            Ok(waiting) if waiting > self.limit => Verdict::Unhealthy(Evidence::new(format!("{waiting} orders wait"))),
            Ok(waiting) => Verdict::Healthy(Evidence::new(format!("{waiting} orders wait"))),
        };
        Box::pin(std::future::ready(verdict))
    }
}

/// Asks it once, as a rollout does at every look; it answers without waiting.
#[allow(clippy::panic, reason = "an example")]
pub(crate) fn ask(signal: &mut dyn HealthSignal) -> Verdict {
    let now = Timestamp::from_second(1_800_000_000).unwrap_or_default();
    let (namespace, name, uid) = ("shop".into(), "web-canary".into(), "1".into());
    let canary = Pod { namespace, name, uid, address: None, created: now };
    let look = Look { workload: "web".into(), canary, baseline: vec![], window: Window { from: now, to: now } };
    match pin!(signal.look(&look)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => panic!("it does not wait"),
    }
}

#[allow(dead_code, clippy::print_stdout, reason = "an example, whose signal the tests use alone")]
fn main() {
    let file = std::env::args_os().nth(1).unwrap_or_else(|| "depth".into());
    // A rollout gets it from what implements `MakeSignals` of keeper-controller.
    println!("{}", ask(&mut QueueDepth { file: file.into(), limit: 100 }));
}
