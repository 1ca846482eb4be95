//! The builder: a situation as it usually is, with what a test changes.

use jiff::Timestamp;
use keeper_rollout::*;
use keeper_signal::{Evidence, Verdict, Why};
use std::time::Duration;

/// Seconds after the start of every test, the moment a rollout begins.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn old() -> Revision {
    "sha256:aaaaaaaaaaaa0000".into()
}

pub fn new() -> Revision {
    "sha256:bbbbbbbbbbbb0000".into()
}

pub fn next() -> Revision {
    "sha256:cccccccccccc0000".into()
}

pub struct Case {
    pub plan: Plan,
    pub stored: Stored,
    pub see: Observation,
    pub now: Timestamp,
}

/// Nothing is under way; the tag names what production runs not yet.
pub fn idle() -> Case {
    let see = Observation {
        read: Read::Cached,
        workload: Workload {
            opted_in: true,
            paused: false,
            commands: vec![],
            generation: 3,
            version: "100".into(),
            template: "t1".into(),
            production: Production::Runs(old()),
            run_label: None,
            rollout: Rollout::Complete,
            blocker: None,
            invalid: None,
        },
        wanted: Wanted::Revision(new()),
        canary: None,
        signals: vec![],
        alert_path_live: false,
        watch: None,
        refused: None,
        store_refuses: false,
    };
    Case { plan: Plan::default(), stored: Stored::Readable(Box::default()), see, now: at(0) }
}

/// A canary was launched at 0 s and isn't there yet.
pub fn launching() -> Case {
    idle().record(|record| {
        record.runs = 1;
        record.state = State::Launching(run());
    })
}

/// The canary got Ready at 10 s, that much was recorded, and a signal says Healthy.
pub fn incubating(observed: u64) -> Case {
    let case = launching().record(|record| record.state = State::Incubating(run(), watched(observed)));
    case.see(|see| {
        see.canary = Some(canary());
        see.signals = vec![healthy()];
    })
}

/// The promotion was recorded at 1000 s and is not accepted; everything was read afresh.
pub fn promoting() -> Case {
    let case = incubating(0).record(|record| record.state = State::Promoting(run(), sending()));
    case.see(|see| see.read = Read::Production).now(1000)
}

/// The promotion was accepted, the canary is gone, and production's rollout is complete.
pub fn accepted() -> Case {
    promoting().see(|see| {
        see.canary = None;
        see.signals = vec![];
        see.workload.generation = 4;
        see.workload.version = "101".into();
        see.workload.production = Production::Runs(new());
        see.workload.run_label = Some(run().id);
    })
}

pub fn run() -> Run {
    Run {
        id: "1-1767225600".into(),
        revision: new(),
        template: "t1".into(),
        from: old(),
        began: at(0),
        recreated: 0,
        alerts: vec![],
    }
}

pub fn watched(observed: u64) -> Watched {
    Watched { canary: "c1".into(), ready_changed: at(10), began: at(10), observed: seconds(observed) }
}

pub fn sending() -> Sending {
    Sending {
        canary: "c1".into(),
        ready_changed: at(10),
        generation: 3,
        version: "100".into(),
        proof: Proof::Measured,
        since: at(1000),
    }
}

pub fn canary() -> Canary {
    Canary {
        uid: "c1".into(),
        run: Some(run().id),
        template: Some("t1".into()),
        ready: true,
        ready_changed: at(10),
        terminating: false,
        reachable: Reach::Reached,
        trouble: None,
    }
}

pub fn starting(trouble: Option<Trouble>) -> Canary {
    Canary { ready: false, ready_changed: at(0), trouble, ..canary() }
}

pub fn alert() -> StoredAlert {
    StoredAlert {
        fingerprint: "f1".into(),
        starts_at: at(20),
        name: "HighErrors".into(),
        about: "names pod shop-canary-0a1b2c".into(),
    }
}

pub fn looked(verdict: Verdict) -> Looked {
    Looked { signal: "httpErrorRate".into(), verdict }
}

pub fn healthy() -> Looked {
    looked(Verdict::Healthy(Evidence::new("0 of 1000 requests failed")))
}

pub fn evidence() -> Evidence {
    Evidence::new("30 of 1000 requests failed (3.00 %), allowed below 1 %")
}

pub fn unhealthy() -> Looked {
    looked(Verdict::Unhealthy(evidence()))
}

pub fn not_measured() -> Why {
    Why::NotMeasured("connection refused".into())
}

pub fn not_enough() -> Why {
    Why::NotEnough(Evidence::new("3 of 100 requests"))
}

pub fn unknown(why: Why) -> Looked {
    looked(Verdict::Unknown(why))
}

/// A watch of the canary from then until then, on top of what was recorded.
pub fn watch(base: u64, since: i64, last: i64) -> Watch {
    Watch { canary: "c1".into(), ready_changed: at(10), base: seconds(base), since: Some(at(since)), last: at(last) }
}

pub fn told(because: &Because, seconds: i64) -> Told {
    Told { reason: because.reason().to_owned(), message: because.to_string(), at: at(seconds) }
}

pub fn ended(because: &Because, seconds: i64) -> Ended {
    Ended { revision: new(), told: told(because, seconds) }
}

pub fn ended_as(reason: &str) -> Ended {
    Ended { revision: new(), told: Told { reason: reason.into(), message: "as told before".into(), at: at(-100) } }
}

pub fn entry(kind: EntryKind, told: Told) -> (Revision, Entry) {
    (new(), Entry { kind, told })
}

pub fn delete() -> Order {
    Order::DeleteCanary("c1".into())
}

pub fn fence() -> Order {
    Order::Fence { run: run().id, version: "100".into() }
}

pub fn promote() -> Order {
    Order::Promote { revision: new(), run: run().id, version: "100".into() }
}

impl Case {
    pub fn see(mut self, change: impl FnOnce(&mut Observation)) -> Self {
        change(&mut self.see);
        self
    }

    pub fn plan(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.plan);
        self
    }

    pub fn record(mut self, change: impl FnOnce(&mut Record)) -> Self {
        let mut record = self.known();
        change(&mut record);
        self.stored = Stored::Readable(Box::new(record));
        self
    }

    pub fn stored(self, stored: Stored) -> Self {
        Self { stored, ..self }
    }

    pub fn now(self, seconds: i64) -> Self {
        Self { now: at(seconds), ..self }
    }

    pub fn command(self, verb: Verb, value: &str) -> Self {
        self.see(|see| see.workload.commands.push(Command::new(verb, value)))
    }

    pub fn alerted(self) -> Self {
        self.run(|run| run.alerts = vec![alert()])
    }

    pub fn run(self, change: impl FnOnce(&mut Run)) -> Self {
        self.record(|record| match &mut record.state {
            State::Launching(run) | State::Incubating(run, _) | State::Promoting(run, _) => change(run),
            other => panic!("no run in {other:?}"),
        })
    }

    pub fn known(&self) -> Record {
        match &self.stored {
            Stored::Readable(record) => (**record).clone(),
            Stored::Absent | Stored::Unreadable(_) => Record::default(),
        }
    }

    pub fn step(&self) -> Step {
        step(&self.plan, &self.stored, &self.see, self.now)
    }

    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "every caller has just made it")]
    pub fn gives(&self, expected: Step) {
        assert_eq!(self.step(), expected);
    }

    /// The record, changed like that, is stored.
    pub fn store(&self, change: impl FnOnce(&mut Record)) -> Order {
        let mut record = self.known();
        change(&mut record);
        Order::Record(Box::new(record))
    }

    /// Nothing to do until something changes.
    pub fn rest(&self, phase: Phase, because: Because) -> Step {
        Step { phase, orders: vec![], wake_at: None, because, watch: None }
    }

    /// These orders, and another look soon.
    pub fn soon(&self, phase: Phase, because: Because, orders: impl IntoIterator<Item = Order>) -> Step {
        let wake_at = Some(self.now + self.plan.look_interval);
        Step { phase, orders: orders.into_iter().collect(), wake_at, because, watch: None }
    }

    /// Rejected for that, the canary removed if there is one.
    pub fn rejected(&self, fault: Fault) -> Step {
        let because = Because::Rejected(new(), fault);
        let told = Told { reason: because.reason().into(), message: because.to_string(), at: self.now };
        let record = self.store(|record| {
            record.state = State::Rejected(Ended { revision: new(), told: told.clone() });
            record.ledger.extend([entry(EntryKind::Rejected, told)]);
        });
        self.soon(Phase::Rejected, because, std::iter::once(record).chain(self.removal()))
    }

    /// Inconclusive for the first time, the canary removed if there is one.
    pub fn inconclusive(&self, obstacle: Obstacle) -> Step {
        let again = self.now + self.plan.retry_after[0];
        let because = Because::Inconclusive { revision: new(), obstacle, again: Some(again) };
        let told = Told { reason: because.reason().into(), message: because.to_string(), at: self.now };
        let record = self.store(|record| {
            record.state = State::Inconclusive(Ended { revision: new(), told }, again);
            record.tried = Some((new(), 1));
        });
        self.soon(Phase::Inconclusive, because, std::iter::once(record).chain(self.removal()))
    }

    /// Ended without an outcome, the canary removed if there is one.
    pub fn settled(&self, because: Because) -> Step {
        let record = self.store(|record| record.state = State::Settled);
        self.soon(Phase::Settled, because, std::iter::once(record).chain(self.removal()))
    }

    pub fn removal(&self) -> Option<Order> {
        self.see.canary.as_ref().filter(|canary| !canary.terminating).map(|c| Order::DeleteCanary(c.uid.clone()))
    }
}

/// A step that hands back this watch.
pub fn watching(step: Step, watch: Watch) -> Step {
    Step { watch: Some(watch), ..step }
}

/// A step with this order before all others.
pub fn first(order: Order, step: Step) -> Step {
    let mut step = step;
    step.orders.insert(0, order);
    step
}
