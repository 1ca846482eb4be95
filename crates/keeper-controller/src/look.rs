//! Asking the signals of the run under way.

use crate::context::Context;
use crate::memory::{Memory, RunSignals};
use crate::records;
use crate::signals::MakeSignals;
use futures::future::join_all;
use jiff::Timestamp;
use keeper_api::Check;
use keeper_api::record::Signals;
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
    (stored, holder): (&Stored, Option<&DynamicObject>),
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
        let kept = holder.map(records::signals).unwrap_or_default();
        memory.signals = Some(begin(&*context.shared.signals, checks, run, &kept));
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

/// The signals of a run, where they were when they were last stored with its record.
fn begin(signals: &dyn MakeSignals, checks: &[Check], run: &Run, kept: &Signals) -> RunSignals {
    let mut begun = RunSignals {
        run: run.id.clone(),
        signals: Vec::new(),
        impossible: Vec::new(),
        looked: Vec::new(),
        observed: Vec::new(),
        at: None,
    };
    for check in checks {
        match signals.make(check) {
            Ok(mut signal) => {
                if let Some(state) = kept.get(signal.name()) {
                    signal.restore(state);
                }
                begun.signals.push(signal);
            }
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
    /// What they need to go on after a restart.
    pub(crate) fn stored(&self) -> Signals {
        self.signals.iter().filter_map(|signal| Some((signal.name().to_owned(), signal.store()?))).collect()
    }

    async fn look(&mut self, at: &Look, within: Duration) {
        let late = || Verdict::Unknown(Why::NotMeasured(format!("no answer within {} s", within.as_secs_f64())));
        // All at once: a slow one keeps none of the others waiting.
        let asked = self.signals.iter_mut().map(async |signal| {
            let name = signal.name().to_owned();
            let verdict = tokio::time::timeout(within, signal.look(at)).await.unwrap_or_else(|_| late());
            (signal.observes_only(), Looked { signal: name, verdict })
        });
        let (mut looked, mut observed) = (Vec::with_capacity(self.looked.len()), Vec::new());
        for (only_observes, said) in join_all(asked).await {
            if only_observes { observed.push(said) } else { looked.push(said) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use keeper_rollout::{Record, Revision, RunId, TemplateHash};
    use keeper_signal::{HealthSignal, Looking};
    use serde_json::json;

    /// Answers after a while.
    struct Slow(&'static str, Duration);

    impl HealthSignal for Slow {
        fn name(&self) -> &str {
            self.0
        }

        fn look<'a>(&'a mut self, _look: &'a Look) -> Looking<'a> {
            Box::pin(async {
                tokio::time::sleep(self.1).await;
                Verdict::Unknown(Why::NotMeasured("slow".into()))
            })
        }
    }

    /// Counts its looks, also over a restart.
    struct Counting(u32);

    impl HealthSignal for Counting {
        fn name(&self) -> &str {
            "counting"
        }

        fn look<'a>(&'a mut self, _look: &'a Look) -> Looking<'a> {
            Box::pin(async {
                self.0 += 1;
                Verdict::Unknown(Why::NotMeasured(self.0.to_string()))
            })
        }

        fn store(&self) -> Option<String> {
            Some(self.0.to_string())
        }

        fn restore(&mut self, stored: &str) {
            self.0 = stored.parse().unwrap_or_default();
        }
    }

    fn at() -> Look {
        let pod = Pod {
            namespace: "shop".into(),
            name: "canary".into(),
            uid: "u".into(),
            address: None,
            created: Timestamp::UNIX_EPOCH,
        };
        let window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH };
        Look { workload: "shop".into(), canary: pod, baseline: Vec::new(), window }
    }

    #[tokio::test]
    async fn a_signal_goes_on_after_a_restart_from_what_was_stored_with_the_record() {
        let make = |_: &Check| Ok(Box::new(Counting(0)) as Box<dyn HealthSignal>);
        let workload = json!({"metadata": {"name": "shop", "namespace": "shop", "uid": "w"}});
        let workload: DynamicObject = serde_json::from_value(workload).unwrap();
        let run = Run {
            id: RunId::new("1-a"),
            revision: Revision::new("new"),
            template: TemplateHash::new("t"),
            from: Revision::new("old"),
            began: Timestamp::UNIX_EPOCH,
            recreated: 0,
            alerts: Vec::new(),
        };
        let container = json!({"name": "shop", "image": "shop:1"});
        let asked = json!({
            "metadata": {
                "name": "shop", "labels": {"canary": "true"},
                "annotations": {"canary-image": "shop:1", "canary-keeper.dev/checks": "[{kind: query, query: '1', min: 0}]"},
            },
            "spec": {"template": {"spec": {"containers": [container]}}},
        });
        let checks = keeper_api::read(&asked, &keeper_api::Defaults::default()).unwrap().checks;
        let mut before = begin(&make, &checks, &run, &Signals::new());
        before.look(&at(), Duration::from_secs(1)).await;
        before.look(&at(), Duration::from_secs(1)).await;
        let record = Record { state: State::Launching(run.clone()), ..Record::default() };
        let stored = records::write(None, &workload, "shop-canary", &record, &before.stored());
        // An alert that comes in between changes the record alone.
        let stored = records::replace(&stored, &record);
        let mut after = begin(&make, &checks, &run, &records::signals(&stored));
        after.look(&at(), Duration::from_secs(1)).await;
        assert!(after.looked[0].verdict.to_string().ends_with('3'), "{}", after.looked[0].verdict);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_signal_keeps_no_other_waiting_and_none_is_waited_for_beyond_the_interval() {
        let slow = |name, seconds| Box::new(Slow(name, Duration::from_secs(seconds))) as Box<dyn HealthSignal>;
        let mut signals = RunSignals {
            run: "r".into(),
            signals: vec![slow("a", 4), slow("b", 4), slow("never", 3600)],
            impossible: Vec::new(),
            looked: Vec::new(),
            observed: Vec::new(),
            at: None,
        };
        let start = tokio::time::Instant::now();
        signals.look(&at(), Duration::from_secs(5)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        let said: Vec<String> = signals.looked.iter().map(|one| format!("{} {}", one.signal, one.verdict)).collect();
        assert_eq!(said.len(), 3);
        assert!(said[0].ends_with("slow") && said[2].contains("no answer within 5 s"), "{said:?}");
    }
}
