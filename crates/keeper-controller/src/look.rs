//! Asking the signals of the run under way.

use crate::context::Context;
use crate::memory::{Memory, RunSignals};
use jiff::Timestamp;
use keeper_api::Check;
use keeper_rollout::{Canary, Looked, Plan, Run, State, Stored};
use keeper_signal::{Look, Pod, Verdict, Why, Window};
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

/// Asks every signal of the run under way, at most once a look interval.
#[expect(clippy::too_many_arguments, reason = "what a look is made of")]
pub(crate) async fn look(
    context: &Context,
    workload: &str,
    (checks, plan): (&[Check], &Plan),
    stored: &Stored,
    pod: &DynamicObject,
    canary: &Canary,
    baseline: &[Arc<DynamicObject>],
    memory: &mut Memory,
    now: Timestamp,
) -> Vec<Looked> {
    let Stored::Readable(record) = stored else { return Vec::new() };
    let Some(run) = record.state.run() else {
        memory.signals = None;
        return Vec::new();
    };
    if memory.signals.as_ref().is_none_or(|signals| signals.run != run.id) {
        memory.signals = Some(begin(context, checks, run));
    }
    let Some(signals) = memory.signals.as_mut() else { return Vec::new() };
    let interval = plan.look_interval;
    let due = signals.at.is_none_or(|at| elapsed(at, now) + interval / 10 >= interval);
    if matches!(record.state, State::Incubating(..)) && canary.ready && !canary.terminating && due {
        let at = Look {
            workload: workload.to_owned(),
            canary: signal_pod(pod),
            baseline: baseline.iter().map(|pod| signal_pod(pod)).collect(),
            window: Window { from: signal_pod(pod).created, to: now },
        };
        signals.look(&at, interval).await;
    }
    signals.looked.clone()
}

fn begin(context: &Context, checks: &[Check], run: &Run) -> RunSignals {
    let mut begun = RunSignals {
        run: run.id.clone(),
        signals: Vec::new(),
        impossible: Vec::new(),
        looked: Vec::new(),
        observed: Vec::new(),
        at: None,
    };
    for check in checks {
        match context.shared.signals.make(check) {
            Ok(signal) => begun.signals.push(signal),
            Err(why) => begun
                .impossible
                .push(Looked { signal: check.name.clone(), verdict: Verdict::Unknown(Why::NotMeasured(why)) }),
        }
    }
    let unseen = || Verdict::Unknown(Why::NotMeasured("not looked at yet".into()));
    let counting = begun.signals.iter().filter(|signal| !signal.observes_only());
    let first = counting.map(|s| Looked { signal: s.name().to_owned(), verdict: unseen() });
    begun.looked = first.chain(begun.impossible.iter().cloned()).collect();
    begun
}

impl RunSignals {
    async fn look(&mut self, at: &Look, within: Duration) {
        let mut looked = Vec::with_capacity(self.looked.len());
        let mut observed = Vec::new();
        for signal in &mut self.signals {
            let name = signal.name().to_owned();
            let late = || Verdict::Unknown(Why::NotMeasured(format!("no answer within {} s", within.as_secs_f64())));
            let verdict = tokio::time::timeout(within, signal.look(at)).await.unwrap_or_else(|_| late());
            let said = Looked { signal: name, verdict };
            if signal.observes_only() { observed.push(said) } else { looked.push(said) }
        }
        looked.extend(self.impossible.iter().cloned());
        self.looked = looked;
        self.observe(observed);
        self.at = Some(at.window.to);
    }

    /// What only observes is told whenever it turns, and nothing else comes of it.
    fn observe(&mut self, observed: Vec<Looked>) {
        for now in &observed {
            let before = self.observed.iter().find(|before| before.signal == now.signal);
            if before.is_none_or(|before| discriminant(&before.verdict) != discriminant(&now.verdict)) {
                tracing::info!(run = %self.run, signal = now.signal, verdict = %now.verdict, "only observed");
            }
        }
        self.observed = observed;
    }
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn signal_pod(pod: &DynamicObject) -> Pod {
    Pod {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        address: crate::json::text(&pod.data, "/status/podIP").and_then(|ip| ip.parse().ok()),
        created: pod.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
    }
}
