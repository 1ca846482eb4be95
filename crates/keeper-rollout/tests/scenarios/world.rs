//! A tiny world of one workload and one operator, with a time of its own.

use jiff::Timestamp;
use keeper_rollout::*;
use keeper_signal::{Evidence, Verdict, Why};
use std::fmt::Write as _;
use std::time::Duration;

pub(crate) const OLD: &str = "sha256:01d01d01d01d5555";
pub(crate) const GOOD: &str = "sha256:600d600d600d5555";
pub(crate) const BAD: &str = "sha256:badbadbadbad5555";

type Change = Box<dyn FnOnce(&mut World)>;

/// When the operator dies.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Crash {
    /// Before the patch of production is sent.
    BeforePatch,
    /// After the patch took effect, before its reply came.
    AfterPatch,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) workload: Workload,
    pub(crate) wanted: Wanted,
    pub(crate) canary: Option<Canary>,
    /// What the one signal says; `None`: there is no signal.
    pub(crate) says: Option<Verdict>,
    /// How long a canary takes to become Ready; `None`: it never does.
    pub(crate) ready_after: Option<u64>,
    /// What hinders a canary that isn't Ready.
    pub(crate) trouble: Option<Trouble>,
    /// How long production's own rollout takes; `None`: it doesn't complete.
    pub(crate) rollout_takes: Option<u64>,
    pub(crate) crash: Option<Crash>,
    stored: Stored,
    watch: Option<Watch>,
    now: Timestamp,
    ready_at: Option<Timestamp>,
    complete_at: Option<Timestamp>,
    canaries: u32,
    events: Vec<(Timestamp, String, Change)>,
    transcript: String,
    last: String,
}

/// A workload that runs the old image while the tag names it too, with a signal that says Healthy.
pub(crate) fn world() -> World {
    World {
        plan: Plan::default(),
        workload: Workload {
            opted_in: true,
            paused: false,
            commands: vec![],
            generation: 1,
            version: "1".into(),
            template: "t1".into(),
            production: Production::Runs(OLD.into()),
            run_label: None,
            rollout: Rollout::Complete,
            blocker: None,
            invalid: None,
        },
        wanted: Wanted::Revision(OLD.into()),
        canary: None,
        says: Some(healthy()),
        ready_after: Some(20),
        trouble: None,
        rollout_takes: Some(60),
        crash: None,
        stored: Stored::Absent,
        watch: None,
        now: start(),
        ready_at: None,
        complete_at: None,
        canaries: 0,
        events: vec![],
        transcript: String::new(),
        last: String::new(),
    }
}

fn start() -> Timestamp {
    "2026-01-01T03:00:00Z".parse().unwrap()
}

pub(crate) fn healthy() -> Verdict {
    Verdict::Healthy(Evidence::new("2 of 9000 requests failed (0.02 %), allowed below 1 %"))
}

pub(crate) fn unhealthy() -> Verdict {
    Verdict::Unhealthy(Evidence::new("31 of 1000 requests failed (3.10 %), allowed below 1 %"))
}

pub(crate) fn dead() -> Verdict {
    Verdict::Unknown(Why::NotMeasured("GET http://10.0.0.7:8080/metrics: connection refused".into()))
}

impl World {
    /// Something happens at that second, told in these words.
    pub(crate) fn at(mut self, second: i64, words: &str, change: impl FnOnce(&mut Self) + 'static) -> Self {
        self.events.push((start() + Duration::from_secs(second as u64), words.to_owned(), Box::new(change)));
        self
    }

    pub(crate) fn tag(self, second: i64, to: &'static str) -> Self {
        self.at(second, &format!("the tag moves to {to}"), move |world| world.wanted = Wanted::Revision(to.into()))
    }

    pub(crate) fn command(self, second: i64, verb: Verb, value: &'static str) -> Self {
        self.at(second, &format!("a person says {verb}={value}"), move |world| {
            world.workload.commands.retain(|command| command.verb != verb);
            world.workload.commands.push(Command::new(verb, value));
            world.touch();
        })
    }

    /// The webhook stores an alert about the canary.
    pub(crate) fn alert(self, second: i64) -> Self {
        self.at(second, "an alert comes", |world| {
            let starts_at = world.now;
            let Stored::Readable(record) = &mut world.stored else { return };
            record.store_alert(StoredAlert {
                fingerprint: "f1".into(),
                starts_at,
                name: "HighErrorRate".into(),
                about: "names service shop".into(),
            });
        })
    }

    /// A person puts production on that image.
    pub(crate) fn set_image(&mut self, image: &str) {
        self.workload.production = Production::Runs(image.into());
        self.roll_out();
    }

    /// Somebody changed production's template: it rolls out.
    pub(crate) fn roll_out(&mut self) {
        self.workload.generation += 1;
        self.touch();
        self.workload.rollout = Rollout::Progressing;
        self.complete_at = self.rollout_takes.map(|takes| self.now + Duration::from_secs(takes));
    }

    /// The operator stops and another one starts: what it remembered is gone.
    pub(crate) fn restart(&mut self) {
        self.watch = None;
    }

    fn touch(&mut self) {
        let version: u64 = self.workload.version.as_str().parse().unwrap();
        self.workload.version = Version::new((version + 1).to_string());
    }

    /// Tells everything from the first event until that second.
    pub(crate) fn tell(mut self, until: i64) -> String {
        let end = start() + Duration::from_secs(until as u64);
        self.events.sort_by_key(|(at, ..)| *at);
        while self.now <= end {
            self.happen();
            let wake = self.reconcile();
            let next = [wake, self.events.first().map(|(at, ..)| *at), self.ready_at, self.complete_at];
            match next.into_iter().flatten().filter(|at| *at > self.now).min() {
                Some(at) => self.now = at,
                None => break,
            }
        }
        self.transcript
    }

    /// What is due happens.
    fn happen(&mut self) {
        if self.ready_at.is_some_and(|at| at <= self.now) {
            self.ready_at = None;
            if let Some(canary) = &mut self.canary {
                canary.ready = true;
                canary.ready_changed = self.now;
                canary.trouble = None;
            }
        }
        if self.complete_at.is_some_and(|at| at <= self.now) {
            self.complete_at = None;
            self.workload.rollout = Rollout::Complete;
            self.touch();
        }
        while self.events.first().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, words, change) = self.events.remove(0);
            self.line(&format!("* {words}"));
            change(self);
        }
        if self.canary.as_ref().is_some_and(|canary| canary.terminating) {
            self.canary = None;
            self.ready_at = None;
        }
    }

    fn reconcile(&mut self) -> Option<Timestamp> {
        let mut read = Read::Cached;
        for _ in 0..8 {
            let step = step(&self.plan, &self.stored, &self.observe(read), self.now);
            self.watch = step.watch.clone();
            self.say(&step);
            match step.orders.first() {
                Some(Order::Read(Afresh::Production)) => read = Read::Production,
                Some(Order::Read(Afresh::Record)) => read = Read::Record,
                Some(_) => {
                    self.carry_out(&step.orders);
                    // What was written is seen at once.
                    return Some(self.now + Duration::from_secs(1));
                }
                None => return step.wake_at,
            }
        }
        panic!("runs hot:\n{}", self.transcript);
    }

    fn observe(&self, read: Read) -> Observation {
        let signals = self.says.iter().filter(|_| self.canary.is_some());
        Observation {
            read,
            workload: self.workload.clone(),
            wanted: self.wanted.clone(),
            canary: self.canary.clone(),
            signals: signals.map(|says| Looked { signal: "httpErrorRate".into(), verdict: says.clone() }).collect(),
            alert_path_live: false,
            watch: self.watch.clone(),
            refused: None,
            store_refuses: false,
        }
    }

    fn carry_out(&mut self, orders: &[Order]) {
        for order in orders {
            if matches!(order, Order::Promote { .. }) && self.crash == Some(Crash::BeforePatch) {
                return self.die("the operator is killed before it sends the patch");
            }
            self.line(&format!("    {}", words(order)));
            match order {
                Order::Read(_) | Order::Preflight { .. } => {}
                Order::Record(record) => self.stored = Stored::Readable(record.clone()),
                Order::CreateCanary { run, .. } => self.create(run),
                Order::DeleteCanary(uid) => {
                    if let Some(canary) = self.canary.as_mut().filter(|canary| canary.uid == *uid) {
                        canary.terminating = true;
                        canary.ready = false;
                    }
                }
                Order::Promote { revision, run, version } => {
                    assert_eq!(*version, self.workload.version, "the patch tests the version");
                    self.workload.run_label = Some(run.clone());
                    self.workload.production = Production::Runs(revision.clone());
                    self.roll_out();
                    if self.crash == Some(Crash::AfterPatch) {
                        return self.die("the operator is killed before the reply comes");
                    }
                }
                Order::Fence { .. } => self.touch(),
            }
        }
    }

    fn die(&mut self, words: &str) {
        self.crash = None;
        self.restart();
        self.line(&format!("* {words}; another one starts"));
    }

    fn create(&mut self, run: &RunId) {
        self.canaries += 1;
        self.canary = Some(Canary {
            uid: Uid::new(format!("canary-{}", self.canaries)),
            run: Some(run.clone()),
            template: Some(self.workload.template.clone()),
            ready: false,
            ready_changed: self.now,
            terminating: false,
            reachable: Reach::Reached,
            trouble: self.trouble.clone(),
        });
        self.ready_at = self.ready_after.map(|after| self.now + Duration::from_secs(after));
    }

    /// Tells a step where it is news: a look that sees what the last one saw is not.
    fn say(&mut self, step: &Step) {
        let writes = step.orders.iter().any(|order| !matches!(order, Order::Read(_)));
        let news = format!("{} {}", step.phase, step.because.reason());
        if writes || (news != self.last && step.orders.is_empty()) {
            let far = |at: &Timestamp| at.duration_since(self.now).as_secs() > 60;
            let wake = step.wake_at.filter(|at| !writes && far(at));
            let wake = wake.map_or_else(String::new, |at| format!(" (again at {})", at.strftime("%T")));
            self.line(&format!("{}: {}{wake}", step.phase, step.because));
        }
        if !matches!(step.orders.first(), Some(Order::Read(_))) {
            self.last = news;
        }
    }

    fn line(&mut self, text: &str) {
        writeln!(self.transcript, "{} {text}", self.now.strftime("%T")).unwrap();
    }
}

fn words(order: &Order) -> String {
    match order {
        Order::Read(Afresh::Production) => "read the workload and the canary".into(),
        Order::Read(Afresh::Record) => "read the record".into(),
        Order::Preflight { .. } => "dry-run of the promotion and the canary".into(),
        Order::Record(record) => format!("record {}", told(record)),
        Order::CreateCanary { revision, run } => format!("create the canary of {}, run {run}", revision.short()),
        Order::DeleteCanary(uid) => format!("delete {uid}"),
        Order::Promote { revision, version, .. } => {
            format!("patch production to {}, testing version {version}", revision.short())
        }
        Order::Fence { version, .. } => format!("fence off version {version}"),
    }
}

fn told(record: &Record) -> String {
    match &record.state {
        State::Incubating(_, watched) => format!("Incubating, {} s observed", watched.observed.as_secs()),
        state => state.phase().to_string(),
    }
}
