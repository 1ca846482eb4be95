//! Random clusters, batches, answers, crashes and lost answers: what the killer promises holds for what the API server
//! accepted, not for what the killer believes (SA10, SA11 and SA13 of the project's list of properties).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use jiff::{SignedDuration, Timestamp};
use keeper_alertmanager::{Alert, Status};
use keeper_kill::{
    Answer, Attempt, Ended, Ledger, Mode, Next, Pod, PodName, Policy, Removal, Role, Shown, Sight, Uid, View, Workload,
    after, decide, next,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

const WORKLOADS: usize = 4;
const PODS: usize = 4;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A webhook: for each alert the pod that it names, how long it fires (s), and whether it is resolved.
    Batch(Vec<(usize, i64, bool)>),
    /// The killer works on what is open; the API server answers so.
    Work(Vec<Reply>),
    /// The killer starts anew.
    Crash,
    /// A pod is replaced by another one of its name.
    Replace(usize),
    /// Time passes (s).
    Pass(i64),
}

#[derive(Clone, Copy, Debug)]
enum Reply {
    Accept,
    AcceptAndLose,
    Budget,
    Lose,
    Forbid,
}

fn event() -> impl Strategy<Value = Event> {
    let alert = (0..WORKLOADS * PODS + 1, 0_i64..2000, prop::bool::weighted(0.1));
    let reply = prop_oneof![
        4 => Just(Reply::Accept),
        1 => Just(Reply::AcceptAndLose),
        2 => Just(Reply::Budget),
        1 => Just(Reply::Lose),
        1 => Just(Reply::Forbid),
    ];
    prop_oneof![
        4 => prop::collection::vec(alert, 1..12).prop_map(Event::Batch),
        4 => prop::collection::vec(reply, 1..6).prop_map(Event::Work),
        1 => Just(Event::Crash),
        1 => (0..WORKLOADS * PODS).prop_map(Event::Replace),
        3 => (1_i64..400).prop_map(Event::Pass),
    ]
}

/// The cluster as it is, the killer's memory, and what the API server accepted.
struct World {
    now: Timestamp,
    policy: Policy,
    pods: BTreeMap<PodName, Pod>,
    generation: usize,
    ledger: Ledger,
    attempts: HashMap<Uid, (Attempt, Timestamp)>,
    accepted: Vec<Accepted>,
    /// The firing alerts that were ever brought.
    brought: Vec<(PodName, Timestamp)>,
}

struct Accepted {
    at: Timestamp,
    pod: PodName,
    uid: Uid,
    workload: Uid,
}

impl View for World {
    fn pod(&self, name: &PodName) -> Sight<'_> {
        self.pods.get(name).map_or(Sight::Gone, Sight::Pod)
    }

    fn size(&self, namespace: &str, workload: &Workload) -> usize {
        let of = |pod: &Pod| pod.workload.as_ref().is_some_and(|owner| owner.uid == workload.uid) && !pod.leaving;
        self.pods.iter().filter(|(name, pod)| name.namespace() == namespace && of(pod)).count()
    }
}

fn name(index: usize) -> PodName {
    let workload = index / PODS;
    PodName::new(if workload < 2 { "shop" } else { "bank" }, &format!("w{workload}-{}", index % PODS)).unwrap()
}

impl World {
    fn new(policy: Policy) -> Self {
        let now: Timestamp = "2026-08-20T12:00:00Z".parse().unwrap();
        let mut world = Self {
            now,
            policy,
            pods: BTreeMap::new(),
            generation: 0,
            ledger: Ledger::default(),
            attempts: HashMap::new(),
            accepted: Vec::new(),
            brought: Vec::new(),
        };
        (0..WORKLOADS * PODS).for_each(|index| world.create(index, now - SignedDuration::from_mins(30)));
        world
    }

    fn create(&mut self, index: usize, created: Timestamp) {
        self.generation += 1;
        let workload = Workload {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: format!("w{}", index / PODS),
            uid: Uid::new(format!("w{}", index / PODS)),
        };
        let role = if index == 3 { Role::Canary } else { Role::Ordinary };
        let uid = Uid::new(format!("pod-{}", self.generation));
        let pod = Pod { uid, created, workload: Some(workload), role, opted_in: true, leaving: false };
        self.pods.insert(name(index), pod);
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Batch(batch) => self.webhook(batch),
            Event::Work(replies) => self.work(replies),
            Event::Crash => self.attempts.clear(),
            Event::Replace(index) => self.create(*index, self.now),
            Event::Pass(seconds) => self.now += SignedDuration::from_secs(*seconds),
        }
    }

    fn webhook(&mut self, batch: &[(usize, i64, bool)]) {
        let alerts: Vec<Alert> =
            batch.iter().map(|(index, age, resolved)| self.alert(*index, *age, *resolved)).collect();
        let decision = decide(&alerts, self, &self.ledger, &self.policy, self.now);
        assert_eq!(decision.rulings.len(), alerts.len());
        decision.enter(&mut self.ledger);
        for order in &decision.orders {
            self.attempts.insert(order.uid.clone(), (Attempt::FRESH, self.now));
        }
        let again = decide(&alerts, self, &self.ledger, &self.policy, self.now);
        assert_eq!(again.orders, [], "the same batch again orders something");
        assert_eq!(again.refused, [], "the same batch again records something");
        self.ledger.trim(&self.policy.budgets, 20, self.now);
    }

    fn alert(&mut self, index: usize, age: i64, resolved: bool) -> Alert {
        let pod = name(index);
        let starts_at = self.now - SignedDuration::from_secs(age / 60 * 60);
        if !resolved {
            self.brought.push((pod.clone(), starts_at));
        }
        let labels = [("namespace", pod.namespace()), ("pod", pod.name())];
        Alert {
            fingerprint: format!("{index:016x}"),
            status: if resolved { Status::Resolved } else { Status::Firing },
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            annotations: BTreeMap::new(),
            starts_at,
            ends_at: None,
            generator_url: String::new(),
        }
    }

    fn work(&mut self, replies: &[Reply]) {
        let mut replies = replies.iter().cycle();
        for intent in self.ledger.open.clone() {
            let (attempt, wake) =
                *self.attempts.get(&intent.uid).unwrap_or(&(Attempt::taken_over(), Timestamp::UNIX_EPOCH));
            if self.now < wake {
                continue;
            }
            let shown = match self.pods.get(&intent.pod) {
                None => Shown::Gone,
                Some(pod) if pod.leaving => Shown::Leaving(pod.uid.clone()),
                Some(pod) => Shown::Staying(pod.uid.clone()),
            };
            let mut what = next(&intent, &shown, attempt, &self.policy, self.now);
            let mut attempt = attempt;
            if let Next::Send(removal) = what {
                let answer = self.serve(&intent.pod, &intent.uid, removal, *replies.next().unwrap());
                (what, attempt) = after(&intent, attempt, removal, &answer, &self.policy, self.now);
            }
            match what {
                Next::Send(_) => unreachable!("an answer never asks for another request at once"),
                Next::Wait(until) => drop(self.attempts.insert(intent.uid, (attempt, until))),
                Next::End(outcome) => {
                    self.attempts.remove(&intent.uid);
                    self.ledger.open.retain(|open| open.uid != intent.uid);
                    self.ledger.ended.push(Ended {
                        pod: intent.pod,
                        uid: intent.uid,
                        workload: intent.workload,
                        alert: intent.alerts.first().cloned().unwrap_or_else(|| keeper_kill::AlertId {
                            fingerprint: String::new(),
                            starts_at: intent.decided,
                        }),
                        alert_name: intent.alert_name,
                        at: self.now,
                        outcome,
                    });
                }
            }
        }
    }

    /// The API server: it holds the request's precondition, and keeps book of what it accepted.
    fn serve(&mut self, name: &PodName, uid: &Uid, removal: Removal, reply: Reply) -> Answer {
        let Some(pod) = self.pods.get_mut(name) else { return Answer::NotFound };
        if pod.uid != *uid {
            return Answer::AnotherPod;
        }
        match reply {
            Reply::Budget if removal == Removal::Evict => return Answer::DisruptionBudget("budget".into()),
            Reply::Lose => return Answer::Lost("timed out".into()),
            Reply::Forbid => return Answer::Refused("forbidden".into()),
            Reply::Accept | Reply::AcceptAndLose | Reply::Budget => {}
        }
        assert!(!pod.leaving, "a pod that is leaving is not asked about");
        pod.leaving = true;
        let workload = pod.workload.as_ref().unwrap().uid.clone();
        let accused = self.brought.iter().any(|(named, since)| named == name && *since >= pod.created);
        assert!(accused, "SA10: {name} went without a firing alert of its own life");
        assert_eq!(pod.role, Role::Ordinary, "SA10: {name} is protected");
        assert!(self.policy.namespaces.allow(name.namespace()), "SA10: {name} is in a forbidden namespace");
        self.accepted.push(Accepted { at: self.now, pod: name.clone(), uid: uid.clone(), workload });
        if matches!(reply, Reply::AcceptAndLose) { Answer::Lost("timed out".into()) } else { Answer::Accepted }
    }

    fn check(&self) {
        let budgets = &self.policy.budgets;
        for last in &self.accepted {
            let within = |other: &&Accepted| other.at <= last.at && last.at.duration_since(other.at) < budgets.window;
            let all: Vec<&Accepted> = self.accepted.iter().filter(within).collect();
            assert!(all.len() <= budgets.overall, "SA11: {} overall", all.len());
            let there = all.iter().filter(|other| other.pod.namespace() == last.pod.namespace()).count();
            assert!(there <= budgets.namespace, "SA11: {there} in {}", last.pod.namespace());
            let theirs = all.iter().filter(|other| other.workload == last.workload).count();
            assert!(theirs <= budgets.workload, "SA11: {theirs} of {}", last.workload);
            assert_eq!(self.accepted.iter().filter(|other| other.uid == last.uid).count(), 1, "SA13: {}", last.uid);
        }
    }
}

fn policy() -> impl Strategy<Value = Policy> {
    let mode = prop_oneof![Just(Mode::Evict), Just(Mode::EvictThenDelete), Just(Mode::Delete)];
    (1_usize..3, 1_usize..4, 1_usize..5, 10_usize..100, mode, any::<bool>()).prop_map(
        |(workload, namespace, overall, share_percent, mode, only_shop)| {
            let mut policy = Policy { mode, ..Policy::default() };
            policy.budgets.workload = workload;
            policy.budgets.namespace = namespace;
            policy.budgets.overall = overall;
            policy.budgets.share_percent = share_percent;
            if only_shop {
                policy.namespaces = keeper_kill::Namespaces::Only(["shop".to_owned()].into());
            }
            policy
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_killed_beyond_what_is_promised(policy in policy(), events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::new(policy);
        for event in &events {
            world.happen(event);
            world.check();
        }
    }

    /// LV4: what is open ends by its deadline and the grace that a deletion has.
    #[test]
    fn every_intent_ends(policy in policy(), events in prop::collection::vec(event(), 1..30), replies in prop::collection::vec(
        prop_oneof![Just(Reply::Budget), Just(Reply::Lose), Just(Reply::Accept)], 1..5)) {
        let mut world = World::new(policy);
        events.iter().for_each(|event| world.happen(event));
        for _ in 0..80 {
            world.now += SignedDuration::from_secs(15);
            world.work(&replies);
        }
        prop_assert_eq!(world.ledger.open, []);
    }
}
