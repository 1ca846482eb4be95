//! What a batch comes to, by cases.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use jiff::{SignedDuration, Timestamp};
use keeper_alertmanager::{Alert, Status};
use keeper_kill::{
    Again, Answer, Attempt, Decision, Ledger, Mode, Namespaces, Next, Outcome, Pod, PodName, Policy, Refusal, Removal,
    Role, Ruled, Shown, Sight, Uid, View, Workload, after, decide, next,
};
use std::collections::{BTreeMap, BTreeSet};

const NOW: &str = "2026-08-20T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[derive(Default)]
struct Cluster {
    pods: BTreeMap<PodName, Pod>,
    /// Names that nothing is known about.
    hidden: BTreeSet<PodName>,
}

impl View for Cluster {
    fn pod(&self, name: &PodName) -> Sight<'_> {
        if self.hidden.contains(name) {
            return Sight::Unknown;
        }
        self.pods.get(name).map_or(Sight::Gone, Sight::Pod)
    }

    fn size(&self, namespace: &str, workload: &Workload) -> usize {
        let theirs = |pod: &Pod| pod.workload.as_ref() == Some(workload) && !pod.leaving;
        self.pods.iter().filter(|(name, pod)| name.namespace() == namespace && theirs(pod)).count()
    }
}

fn name(pod: &str) -> PodName {
    PodName::new("shop", pod).unwrap()
}

impl Cluster {
    /// A workload with so many pods, `<workload>-0` and on, an hour old.
    fn with(mut self, workload: &str, pods: usize) -> Self {
        for index in 0..pods {
            let pod = format!("{workload}-{index}");
            let owner = Workload {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: workload.into(),
                uid: Uid::new(workload),
            };
            let made = Pod {
                uid: Uid::new(format!("{pod}/1")),
                created: at("2026-08-20T11:00:00Z"),
                workload: Some(owner),
                role: Role::Ordinary,
                opted_in: false,
                leaving: false,
            };
            self.pods.insert(name(&pod), made);
        }
        self
    }

    fn change(mut self, pod: &str, change: impl FnOnce(&mut Pod)) -> Self {
        change(self.pods.get_mut(&name(pod)).unwrap());
        self
    }
}

/// An alert that fires about a pod since then.
fn alert(pod: &str, since: &str) -> Alert {
    let labels = [("alertname", "NoProgress"), ("namespace", "shop"), ("pod", pod)];
    Alert {
        fingerprint: format!("fp{}", pod.replace('-', "")),
        status: Status::Firing,
        labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        annotations: BTreeMap::new(),
        starts_at: at(since),
        ends_at: None,
        generator_url: String::new(),
    }
}

fn firing(pods: &[&str]) -> Vec<Alert> {
    pods.iter().map(|pod| alert(pod, "2026-08-20T11:50:00Z")).collect()
}

fn told(decision: &Decision) -> Vec<&'static str> {
    let word = |ruled: &Ruled| match ruled {
        Ruled::Kill(_) => "kill",
        Ruled::Open(_) => "open",
        Ruled::Gone => "gone",
        Ruled::Refused(refusal) => refusal.reason(),
    };
    decision.rulings.iter().map(|ruling| word(&ruling.ruled)).collect()
}

fn ask(cluster: &Cluster, ledger: &mut Ledger, policy: &Policy, alerts: &[Alert], now: &str) -> Vec<&'static str> {
    let decision = decide(alerts, cluster, ledger, policy, at(now));
    decision.enter(ledger);
    told(&decision)
}

fn fresh(cluster: &Cluster, alerts: &[Alert]) -> Vec<&'static str> {
    ask(cluster, &mut Ledger::default(), &Policy::default(), alerts, NOW)
}

#[test]
fn one_hung_pod_of_a_single_replica_goes() {
    assert_eq!(fresh(&Cluster::default().with("cart", 1), &firing(&["cart-0"])), ["kill"]);
}

#[test]
fn a_name_that_was_reused_is_spared_and_costs_no_budget() {
    let cluster =
        Cluster::default().with("db", 1).with("cart", 1).change("db-0", |pod| pod.created = at("2026-08-20T11:55:00Z"));
    let mut policy = Policy::default();
    policy.budgets.overall = 1;
    let mut ledger = Ledger::default();
    let told = ask(&cluster, &mut ledger, &policy, &firing(&["db-0", "cart-0"]), NOW);
    assert_eq!(told, ["AlertOlderThanPod", "kill"]);
    assert_eq!(
        ledger.ended[0].outcome,
        Outcome::refused(&Refusal::AlertOlderThanPod { created: at("2026-08-20T11:55:00Z") })
    );
}

#[test]
fn who_is_protected_is_spared() {
    let cases: [(Role, &str); 4] =
        [(Role::Canary, "Canary"), (Role::Killer, "Killer"), (Role::Static, "StaticPod"), (Role::Ordinary, "kill")];
    for (role, expected) in cases {
        let cluster = Cluster::default().with("cart", 1).change("cart-0", |pod| pod.role = role);
        assert_eq!(fresh(&cluster, &firing(&["cart-0"])), [expected]);
    }
    let alone = Cluster::default().with("cart", 1).change("cart-0", |pod| pod.workload = None);
    assert_eq!(fresh(&alone, &firing(&["cart-0"])), ["Unmanaged"]);
    let policy = Policy { unmanaged: true, ..Policy::default() };
    assert_eq!(ask(&alone, &mut Ledger::default(), &policy, &firing(&["cart-0"]), NOW), ["kill"]);
    let stateful = Cluster::default()
        .with("db", 1)
        .change("db-0", |pod| pod.workload.as_mut().unwrap().kind = "StatefulSet".into());
    let policy = Policy { mode: Mode::Quarantine, ..Policy::default() };
    assert_eq!(ask(&stateful, &mut Ledger::default(), &policy, &firing(&["db-0"]), NOW), ["NameIsNeeded"]);
    let policy = Policy { opt_in: true, ..Policy::default() };
    let cluster = Cluster::default().with("cart", 1);
    assert_eq!(ask(&cluster, &mut Ledger::default(), &policy, &firing(&["cart-0"]), NOW), ["NotOptedIn"]);
    let policy = Policy { namespaces: Namespaces::Only(["bank".to_owned()].into()), ..Policy::default() };
    assert_eq!(ask(&cluster, &mut Ledger::default(), &policy, &firing(&["cart-0"]), NOW), ["NamespaceNotAllowed"]);
}

#[test]
fn what_may_be_otherwise_later_has_to_come_again() {
    let young = Cluster::default().with("cart", 1).change("cart-0", |pod| pod.created = at("2026-08-20T11:59:30Z"));
    let alerts = [alert("cart-0", "2026-08-20T11:59:40Z")];
    let decision = decide(&alerts, &young, &Ledger::default(), &Policy::default(), at(NOW));
    assert_eq!((told(&decision), decision.comes_again().is_some()), (vec!["TooYoung"], true));
    let mut hidden = Cluster::default().with("cart", 1);
    hidden.hidden.insert(name("cart-0"));
    let decision = decide(&firing(&["cart-0"]), &hidden, &Ledger::default(), &Policy::default(), at(NOW));
    assert_eq!((told(&decision), decision.comes_again().is_some(), decision.changes()), (vec!["Unseen"], true, false));
}

#[test]
fn a_pod_that_is_gone_or_going_is_a_success() {
    let going = Cluster::default().with("cart", 1).change("cart-0", |pod| pod.leaving = true);
    let decision = decide(&firing(&["cart-0", "cart-7"]), &going, &Ledger::default(), &Policy::default(), at(NOW));
    assert_eq!(
        (told(&decision), decision.comes_again().is_some(), decision.changes()),
        (vec!["gone", "gone"], false, false)
    );
}

#[test]
fn the_one_accused_for_longest_goes_first_and_the_rest_comes_again() {
    let cluster = Cluster::default().with("cart", 1).with("desk", 1);
    let mut policy = Policy::default();
    policy.budgets.overall = 1;
    let alerts = [alert("cart-0", "2026-08-20T11:50:00Z"), alert("desk-0", "2026-08-20T11:40:00Z")];
    let decision = decide(&alerts, &cluster, &Ledger::default(), &policy, at(NOW));
    assert_eq!((told(&decision), decision.comes_again().is_some()), (vec!["OverallBudget", "kill"], true));
}

#[test]
fn a_shared_cause_costs_one_pod_a_window() {
    let cluster = Cluster::default().with("cart", 10);
    let all: Vec<String> = (0..10).map(|index| format!("cart-{index}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut policy = Policy::default();
    policy.budgets.workload = 5;
    let mut ledger = Ledger::default();
    let told = ask(&cluster, &mut ledger, &policy, &firing(&all), NOW);
    assert_eq!((told[0], told.iter().filter(|told| **told == "TooManyAccused").count()), ("kill", 9));
    // Three of ten are within the share.
    let told = ask(&cluster, &mut Ledger::default(), &policy, &firing(&all[..3]), NOW);
    assert_eq!(told, ["kill", "kill", "kill"]);
    // They count as accused still when a fourth comes, in another webhook.
    let mut ledger = Ledger::default();
    for (index, expected) in ["kill", "kill", "kill", "TooManyAccused"].into_iter().enumerate() {
        assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&all[index..=index]), NOW), [expected]);
    }
    // Of two pods one is always half: there the budget alone decides.
    let two = Cluster::default().with("cart", 2);
    assert_eq!(ask(&two, &mut Ledger::default(), &policy, &firing(&["cart-0", "cart-1"]), NOW), ["kill", "kill"]);
}

#[test]
fn a_budget_comes_back_a_window_after_the_end_and_not_after_the_order() {
    let cluster = Cluster::default().with("cart", 2);
    let (policy, mut ledger) = (Policy::default(), Ledger::default());
    assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&["cart-0"]), NOW), ["kill"]);
    // Half an hour later it is still open: a disruption budget holds it up.
    assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&["cart-1"]), "2026-08-20T12:30:00Z"), ["WorkloadBudget"]);
    end(&mut ledger, Outcome::Evicted, "2026-08-20T12:30:00Z");
    assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&["cart-1"]), "2026-08-20T12:39:59Z"), ["WorkloadBudget"]);
    assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&["cart-1"]), "2026-08-20T12:40:00Z"), ["kill"]);
    // What was not spent comes back at once.
    end(&mut ledger, Outcome::GoneBefore, "2026-08-20T12:40:01Z");
    let cluster = cluster.with("cart", 3);
    assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&["cart-2"]), "2026-08-20T12:40:02Z"), ["kill"]);
}

/// Ends the one intent that is open.
fn end(ledger: &mut Ledger, outcome: Outcome, now: &str) {
    let intent = ledger.open.pop().unwrap();
    assert_eq!(ledger.open, []);
    ledger.ended.push(keeper_kill::Ended {
        pod: intent.pod,
        uid: intent.uid,
        workload: intent.workload,
        alert: intent.alerts[0].clone(),
        alert_name: intent.alert_name,
        at: at(now),
        outcome,
    });
}

#[test]
fn a_view_that_is_behind_orders_nothing_twice() {
    let cluster = Cluster::default().with("cart", 1);
    let (policy, mut ledger) = (Policy::default(), Ledger::default());
    assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&["cart-0"]), NOW), ["kill"]);
    assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&["cart-0"]), NOW), ["open"]);
    end(&mut ledger, Outcome::Evicted, NOW);
    assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&["cart-0"]), "2026-08-20T13:00:00Z"), ["gone"]);
}

#[test]
fn alerts_that_resolve_take_back_what_is_not_under_way() {
    let cluster = Cluster::default().with("cart", 1);
    let (policy, mut ledger) = (Policy::default(), Ledger::default());
    let mut other = alert("cart-0", "2026-08-20T11:51:00Z");
    other.fingerprint = "second".into();
    assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&["cart-0"]), NOW), ["kill"]);
    assert_eq!(ask(&cluster, &mut ledger, &policy, &[other.clone()], NOW), ["open"]);
    let resolve = |alert: Alert| [Alert { status: Status::Resolved, ..alert }];
    assert_eq!(ask(&cluster, &mut ledger, &policy, &resolve(firing(&["cart-0"]).remove(0)), NOW), ["Resolved"]);
    assert!(!ledger.open[0].withdrawn, "the other alert still fires");
    assert_eq!(ask(&cluster, &mut ledger, &policy, &resolve(other), NOW), ["Resolved"]);
    let intent = &ledger.open[0];
    let staying = Shown::Staying(intent.uid.clone());
    assert_eq!(next(intent, &staying, Attempt::FRESH, &policy, at(NOW)), Next::End(Outcome::Withdrawn));
    let sent = Attempt { maybe_accepted: true, tries: 1 };
    assert_eq!(next(intent, &staying, sent, &policy, at(NOW)), Next::Send(Removal::Evict));
}

#[test]
fn a_disruption_budget_is_obeyed_until_the_deadline() {
    let cluster = Cluster::default().with("cart", 1);
    for (mode, last) in [(Mode::Evict, Removal::Evict), (Mode::EvictThenDelete, Removal::Delete)] {
        let (policy, mut ledger) = (Policy { mode, ..Policy::default() }, Ledger::default());
        assert_eq!(ask(&cluster, &mut ledger, &policy, &firing(&["cart-0"]), NOW), ["kill"]);
        let intent = ledger.open[0].clone();
        let staying = Shown::Staying(intent.uid.clone());
        let (mut now, mut attempt, mut evictions) = (at(NOW), Attempt::FRESH, 0);
        let ended = loop {
            let Next::Send(removal) = next(&intent, &staying, attempt, &policy, now) else { panic!("the pod stays") };
            let answer = match removal {
                Removal::Evict => Answer::DisruptionBudget("Cannot evict pod".into()),
                Removal::Delete | Removal::Quarantine => Answer::Accepted,
            };
            evictions += usize::from(removal == Removal::Evict);
            let told = after(&intent, attempt, removal, &answer, &policy, now);
            attempt = told.1;
            match told.0 {
                Next::Wait(until) => now = until,
                Next::End(outcome) => break (removal, outcome),
                Next::Send(_) => panic!("a pause comes first"),
            }
        };
        assert_eq!(now, intent.deadline);
        assert_eq!(ended.0, last);
        // 1, 2, 4, 8 and 16 s, and every 30 s from then on.
        assert!((20..=26).contains(&evictions), "{evictions}");
        match mode {
            Mode::EvictThenDelete => assert_eq!(ended.1, Outcome::Deleted),
            _ => assert!(
                matches!(&ended.1, Outcome::Refused { reason, tried: true, .. } if reason == "DisruptionBudget")
            ),
        }
        end(&mut ledger, ended.1, "2026-08-20T12:10:00Z");
        if mode == Mode::Evict {
            let again = ask(&cluster, &mut ledger, &policy, &firing(&["cart-0"]), "2026-08-20T12:11:00Z");
            assert_eq!(again, ["TriedLately"]);
            let later = ask(&cluster, &mut ledger, &policy, &firing(&["cart-0"]), "2026-08-20T12:20:00Z");
            assert_eq!(later, ["kill"]);
        }
    }
}

#[test]
fn what_may_have_been_our_doing_is_spent() {
    let cluster = Cluster::default().with("cart", 1);
    let (policy, mut ledger) = (Policy::default(), Ledger::default());
    ask(&cluster, &mut ledger, &policy, &firing(&["cart-0"]), NOW);
    let intent = ledger.open[0].clone();
    let cases = [
        (Shown::Gone, "GoneBefore"),
        (Shown::Leaving(intent.uid.clone()), "GoneBefore"),
        (Shown::Leaving(Uid::new("cart-0/2")), "Replaced"),
        (Shown::Staying(Uid::new("cart-0/2")), "Replaced"),
    ];
    for (shown, expected) in cases {
        let told = next(&intent, &shown, Attempt::FRESH, &policy, at(NOW));
        let word = match told {
            Next::End(Outcome::GoneBefore) => "GoneBefore".to_owned(),
            Next::End(Outcome::Refused { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(word, expected, "{shown:?}");
        let after_a_crash = next(&intent, &shown, Attempt::taken_over(), &policy, at(NOW));
        assert_eq!(after_a_crash, Next::End(Outcome::GoneAfterRequest), "{shown:?}");
    }
    assert!(Outcome::GoneAfterRequest.spends() && !Outcome::GoneBefore.spends());
}

#[test]
fn what_was_only_asked_or_refused_for_now_is_not_our_doing() {
    let cluster = Cluster::default().with("cart", 1);
    let (policy, mut ledger) = (Policy { mode: Mode::Quarantine, ..Policy::default() }, Ledger::default());
    ask(&cluster, &mut ledger, &policy, &firing(&["cart-0"]), NOW);
    let intent = ledger.open[0].clone();
    let answered = |answer: Answer, now| after(&intent, Attempt::FRESH, Removal::Quarantine, &answer, &policy, now);
    let (told, attempt) = answered(Answer::NotNow("the status was written".into()), at(NOW));
    assert_eq!(told, Next::Wait(at(NOW) + SignedDuration::from_secs(1)));
    assert_eq!(next(&intent, &Shown::Gone, attempt, &policy, at(NOW)), Next::End(Outcome::GoneBefore));
    let (_, attempt) = answered(Answer::Lost("timed out".into()), at(NOW));
    assert_eq!(next(&intent, &Shown::Gone, attempt, &policy, at(NOW)), Next::End(Outcome::GoneAfterRequest));
    // Past the deadline and its grace: the reason is the server's, not a disruption budget's.
    let late = intent.deadline + SignedDuration::from_mins(2);
    let (told, _) = answered(Answer::NotNow("timed out".into()), late);
    assert!(matches!(told, Next::End(Outcome::Refused { reason, tried: true, .. }) if reason == "ApiServer"));
}

#[test]
fn many_alerts_about_one_pod_are_one_order_and_a_bounded_one() {
    let cluster = Cluster::default().with("cart", 1);
    let alerts: Vec<Alert> = (0..20_000)
        .map(|index| Alert { fingerprint: format!("{index}"), ..alert("cart-0", "2026-08-20T11:50:00Z") })
        .collect();
    let mut ledger = Ledger::default();
    let told = ask(&cluster, &mut ledger, &Policy::default(), &alerts, NOW);
    assert_eq!(told.iter().filter(|told| **told == "kill").count(), 20_000);
    assert_eq!((ledger.open.len(), ledger.open[0].alerts.len()), (1, keeper_kill::Intent::ALERTS_LIMIT));
    let again = decide(&alerts, &cluster, &ledger, &Policy::default(), at(NOW));
    assert!(!again.changes());
}

#[test]
fn a_flood_of_refusals_is_counted_and_only_the_first_recorded() {
    let cluster = Cluster::default().with("cart", 500);
    let alerts: Vec<Alert> = (0..500).map(|index| alert(&format!("cart-{index}"), "2026-08-20T10:00:00Z")).collect();
    let mut ledger = Ledger::default();
    let decision = decide(&alerts, &cluster, &ledger, &Policy::default(), at(NOW));
    assert_eq!((decision.refused.len(), decision.comes_again().is_some()), (keeper_kill::RECORDED_LIMIT, false));
    decision.enter(&mut ledger);
    ledger.trim(&Policy::default().budgets, 20, at(NOW));
    assert_eq!(ledger.ended.len(), 20);
}

#[test]
fn the_ledger_forgets_nothing_that_a_budget_counts() {
    let cluster = Cluster::default().with("cart", 1).with("desk", 1);
    let mut ledger = Ledger::default();
    for pod in ["cart-0", "desk-0"] {
        ask(&cluster, &mut ledger, &Policy::default(), &firing(&[pod]), NOW);
        end(&mut ledger, Outcome::Evicted, NOW);
    }
    let budgets = Policy::default().budgets;
    ledger.trim(&budgets, 1, at(NOW) + SignedDuration::from_mins(9));
    assert_eq!(ledger.ended.len(), 2);
    ledger.trim(&budgets, 1, at(NOW) + SignedDuration::from_mins(10));
    assert_eq!(ledger.ended.len(), 1);
}

#[test]
fn every_refusal_says_what_it_asks_of_the_sender() {
    assert_eq!(Refusal::Resolved.again(), Again::Same);
    assert_eq!(Refusal::NotOptedIn.again(), Again::Recorded);
    assert_eq!(Refusal::Unseen.again(), Again::ComeAgain);
    let said = Refusal::TooManyAccused { accused: 4, of: 10 }.to_string();
    assert_eq!(said, "4 of 10 pods of the workload stand accused: they are not the problem");
}
