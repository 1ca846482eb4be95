//! What holds of every step, whatever is seen and whatever is stored.

// A test may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use jiff::Timestamp;
use keeper_rollout::*;
use keeper_signal::{Evidence, Verdict, Why};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;

/// Few names, so that they meet.
fn revision() -> impl Strategy<Value = Revision> {
    prop::sample::select(vec!["sha256:aaaaaaaaaaaaaaaa", "sha256:bbbbbbbbbbbbbbbb", "sha256:cccccccccccccccc"])
        .prop_map(Revision::from)
}

fn name<T: From<&'static str> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    prop::sample::select(vec!["1", "2"]).prop_map(T::from)
}

/// Around one day, and now and then at the ends of time.
fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        30 => (0_i64..86_400).prop_map(|second| Timestamp::from_second(1_767_225_600 + second).unwrap()),
        1 => Just(Timestamp::MIN),
        1 => Just(Timestamp::MAX),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        20 => (0_u64..7_200).prop_map(Duration::from_secs),
        1 => Just(Duration::ZERO),
        1 => Just(Duration::MAX),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "wörter, viele"]).prop_map(str::to_owned)
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        3 => Just(Verdict::Healthy(Evidence::new("fine"))),
        1 => Just(Verdict::Unhealthy(Evidence::new("bad"))),
        2 => why().prop_map(Verdict::Unknown),
    ]
}

fn why() -> impl Strategy<Value = Why> {
    prop_oneof![Just(Why::NotMeasured("no".into())), Just(Why::NotEnough(Evidence::new("few")))]
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        text().prop_map(Trouble::ImageNotFound),
        text().prop_map(Trouble::Restarted),
        text().prop_map(Trouble::CannotRun),
        text().prop_map(Trouble::CannotPull),
        text().prop_map(Trouble::NotScheduled),
        text().prop_map(Trouble::LostToNode),
        text().prop_map(Trouble::DeadlineExceeded),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let verb = prop::sample::select(vec![Verb::Promote, Verb::Abort, Verb::Retry]);
    let tail = prop::sample::select(vec!["", "#1", "#2", " note", "#x"]);
    (verb, revision(), tail).prop_map(|(verb, revision, tail)| Command::new(verb, format!("{revision}{tail}")))
}

prop_compose! {
    fn canary()(
        uid in name(), run in option::weighted(0.9, name()), template in option::weighted(0.9, name()),
        ready in prop::bool::weighted(0.8), ready_changed in ready_time(), terminating in prop::bool::weighted(0.1),
        missing in prop::bool::weighted(0.1), trouble in option::weighted(0.1, trouble()),
    ) -> Canary {
        let reachable = if missing { Reach::Missing(vec!["shop".into()]) } else { Reach::Reached };
        Canary { uid, run, template, ready, ready_changed, terminating, reachable, trouble }
    }
}

/// Few moments, so that a canary's readiness is often as it was.
fn ready_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![9 => Just(Timestamp::from_second(1_767_225_600).unwrap()), 1 => time()]
}

prop_compose! {
    fn workload()(
        opted_in in prop::bool::weighted(0.9), paused in prop::bool::weighted(0.1), commands in vec(command(), 0..3),
        generation in prop_oneof![9 => 0_i64..5, 1 => any::<i64>()], version in name(), template in name(),
        production in prop_oneof![
            9 => revision().prop_map(Production::Runs), 1 => text().prop_map(Production::NotPinned),
            1 => Just(Production::Absent),
        ],
        run_label in option::weighted(0.3, name()),
        rollout in prop_oneof![
            4 => Just(Rollout::Complete), 1 => Just(Rollout::Progressing), 1 => text().prop_map(Rollout::Stuck),
        ],
        blocker in option::weighted(0.1, Just(Blocker { kind: BlockerKind::ScaledToZero, text: "at zero".into() })),
        invalid in option::weighted(0.1, text()),
    ) -> Workload {
        Workload {
            opted_in, paused, commands, generation, version, template, production, run_label, rollout, blocker, invalid,
        }
    }
}

prop_compose! {
    fn watch()(
        canary in name(), ready_changed in ready_time(), base in duration(), since in option::weighted(0.9, time()),
        last in time(),
    ) -> Watch {
        Watch { canary, ready_changed, base, since, last }
    }
}

fn refusal() -> impl Strategy<Value = Refusal> {
    let what = prop::sample::select(vec![Refused::Preflight, Refused::Create, Refused::Promote]);
    (what, text()).prop_map(|(what, message)| Refusal { what, message })
}

prop_compose! {
    fn observation()(
        read in prop::sample::select(vec![Read::Cached, Read::Production, Read::Record]), workload in workload(),
        wanted in prop_oneof![9 => revision().prop_map(Wanted::Revision), 1 => text().prop_map(Wanted::Unknown)],
        canary in option::weighted(0.7, canary()),
        signals in vec(verdict().prop_map(|verdict| Looked { signal: "rate".into(), verdict }), 0..3),
        alert_path_live in any::<bool>(), watch in option::of(watch()), refused in option::weighted(0.1, refusal()),
        store_refuses in prop::bool::weighted(0.1),
    ) -> Observation {
        Observation { read, workload, wanted, canary, signals, alert_path_live, watch, refused, store_refuses }
    }
}

prop_compose! {
    fn told()(message in text(), at in time()) -> Told {
        Told { reason: "Rejected".into(), message, at }
    }
}

prop_compose! {
    fn run()(
        id in name(), revision in revision(), template in name(), from in revision(), began in time(),
        recreated in prop_oneof![9 => 0_u8..4, 1 => Just(u8::MAX)], alerted in prop::bool::weighted(0.1),
    ) -> Run {
        let starts_at = Timestamp::UNIX_EPOCH;
        let alert = StoredAlert { fingerprint: "f".into(), starts_at, name: "A".into(), about: "it".into() };
        Run { id, revision, template, from, began, recreated, alerts: if alerted { vec![alert] } else { vec![] } }
    }
}

fn ended() -> impl Strategy<Value = Ended> {
    (revision(), told()).prop_map(|(revision, told)| Ended { revision, told })
}

fn watched() -> impl Strategy<Value = Watched> {
    (name(), ready_time(), time(), duration()).prop_map(|(canary, ready_changed, began, observed)| Watched {
        canary,
        ready_changed,
        began,
        observed,
    })
}

prop_compose! {
    fn sending()(
        canary in name(), ready_changed in ready_time(), generation in 0_i64..5, version in name(),
        proof in prop::sample::select(vec![Proof::Measured, Proof::Silence, Proof::Person, Proof::FirstCreation]),
        since in time(),
    ) -> Sending {
        Sending { canary, ready_changed, generation, version, proof, since }
    }
}

fn state() -> impl Strategy<Value = State> {
    let hold = prop::sample::select(vec![Hold::RolledBack, Hold::NotRolledOut, Hold::Inconclusive]);
    prop_oneof![
        2 => Just(State::Settled),
        3 => run().prop_map(State::Launching),
        5 => (run(), watched()).prop_map(|(run, watched)| State::Incubating(run, watched)),
        4 => (run(), sending()).prop_map(|(run, sending)| State::Promoting(run, sending)),
        1 => ended().prop_map(State::Rejected),
        1 => (ended(), time()).prop_map(|(ended, until)| State::Inconclusive(ended, until)),
        2 => (ended(), hold).prop_map(|(ended, hold)| State::Held(ended, hold)),
    ]
}

prop_compose! {
    fn record()(
        state in state(),
        ledger in btree_map(revision(), (prop::bool::ANY, told()), 0..2),
        promoted in option::weighted(0.3, revision()), floor in prop_oneof![9 => 0_i64..2, 1 => any::<i64>()],
        rolled_back in btree_map(revision(), prop_oneof![9 => 1_u64..3, 1 => Just(u64::MAX)], 0..2),
        tried in option::weighted(0.3, (revision(), prop_oneof![9 => 0_u8..5, 1 => Just(u8::MAX)])),
        used in vec(command(), 0..3), runs in prop_oneof![9 => 0_u64..9, 1 => Just(u64::MAX)],
    ) -> Record {
        let kind = |rejected| if rejected { EntryKind::Rejected } else { EntryKind::RolledBack };
        let entry = |(rejected, told)| Entry { kind: kind(rejected), told };
        let ledger = ledger.into_iter().map(|(revision, known)| (revision, entry(known))).collect();
        Record { state, ledger, promoted, floor, rolled_back, tried, used, runs }
    }
}

fn stored() -> impl Strategy<Value = Stored> {
    prop_oneof![
        1 => Just(Stored::Absent),
        1 => text().prop_map(Stored::Unreadable),
        20 => record().prop_map(|record| Stored::Readable(Box::new(record))),
    ]
}

prop_compose! {
    fn plan()(
        incubation in duration(), launch_deadline in duration(), max_incubation in duration(),
        rollout_deadline in duration(), look_interval in duration(), retry_after in vec(duration(), 0..4),
        reject in any::<bool>(), recreate_limit in 0_u8..3, require_live_alert_path in any::<bool>(),
    ) -> Plan {
        let on_inconclusive = if reject { OnInconclusive::Reject } else { OnInconclusive::Retry };
        Plan {
            incubation, launch_deadline, max_incubation, rollout_deadline, look_interval, retry_after, on_inconclusive,
            recreate_limit, require_live_alert_path,
        }
    }
}

fn state_of(stored: &Stored) -> State {
    match stored {
        Stored::Readable(record) => record.state.clone(),
        Stored::Absent | Stored::Unreadable(_) => State::Settled,
    }
}

fn recorded(step: &Step) -> Option<&Record> {
    step.orders.iter().find_map(|order| match order {
        Order::Record(record) => Some(&**record),
        _ => None,
    })
}

fn promotes(step: &Step) -> bool {
    step.orders.iter().any(|order| matches!(order, Order::Promote { .. }))
}

fn creates(step: &Step) -> bool {
    step.orders.iter().any(|order| matches!(order, Order::CreateCanary { .. }))
}

/// With pauses and deadlines of no length an undecided revision is launched and given up four times at one moment.
const WRITES: usize = 12;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_question_gets_the_same_answer(
        plan in plan(), stored in stored(), see in observation(), now in time(),
    ) {
        let first = step(&plan, &stored, &see, now);
        prop_assert_eq!(&first, &step(&plan, &stored, &see, now));
        prop_assert!(!first.because.reason().contains(' '));
        prop_assert!(!first.because.to_string().contains('\n'));
    }

    #[test]
    fn a_promotion_is_recorded_before_it_is_sent(
        plan in plan(), stored in stored(), see in observation(), now in time(),
    ) {
        let step = step(&plan, &stored, &see, now);
        if promotes(&step) {
            prop_assert_eq!(see.read, Read::Production);
            prop_assert!(see.workload.opted_in && !see.workload.paused);
            let before = state_of(&stored);
            let (run, sending) = match recorded(&step).map_or(&before, |record| &record.state) {
                State::Promoting(run, sending) => (run, sending),
                other => return Err(TestCaseError::fail(format!("promoted in {other:?}"))),
            };
            let sends = Order::Promote {
                revision: run.revision.clone(),
                run: run.id.clone(),
                version: sending.version.clone(),
            };
            let position = step.orders.iter().position(|order| *order == sends);
            let record = step.orders.iter().position(|order| matches!(order, Order::Record(_)));
            prop_assert!(position.is_some() && record < position);
            prop_assert_eq!(&sending.version, &see.workload.version);
            prop_assert!(run.alerts.is_empty());
        }
    }

    #[test]
    fn unknown_never_promotes(plan in plan(), stored in stored(), see in observation(), now in time(), why in why()) {
        if matches!(state_of(&stored), State::Promoting(..)) || see.workload.production == Production::Absent {
            return Ok(());
        }
        let mut see = see;
        see.signals = vec![Looked { signal: "rate".into(), verdict: Verdict::Unknown(why) }];
        see.workload.commands.retain(|command| command.verb != Verb::Promote);
        let step = step(&plan, &stored, &see, now);
        prop_assert!(!promotes(&step), "{:?}", step);
        prop_assert!(recorded(&step).is_none_or(|record| !matches!(record.state, State::Promoting(..))));
    }

    #[test]
    fn production_is_created_only_where_none_was_seen_afresh(
        plan in plan(), stored in stored(), see in observation(), now in time(),
    ) {
        let step = step(&plan, &stored, &see, now);
        let before = state_of(&stored);
        let state = recorded(&step).map_or(&before, |record| &record.state);
        if promotes(&step) && let State::Promoting(_, sending) = state {
            let absent = see.workload.production == Production::Absent;
            prop_assert_eq!(sending.proof == Proof::FirstCreation, absent);
            prop_assert!(!absent || see.read == Read::Production);
            prop_assert!(!absent || !step.orders.iter().any(|order| matches!(order, Order::DeleteCanary(_))));
        }
    }

    #[test]
    fn a_canary_is_made_only_where_one_may_be(
        plan in plan(), stored in stored(), see in observation(), now in time(),
    ) {
        let step = step(&plan, &stored, &see, now);
        if creates(&step) {
            prop_assert!(see.canary.is_none());
            prop_assert!(see.workload.opted_in && !see.workload.paused);
            let before = state_of(&stored);
            let run = recorded(&step).map_or(&before, |record| &record.state);
            prop_assert!(matches!(run, State::Launching(_)));
        }
        if matches!(state_of(&stored), State::Promoting(..)) {
            prop_assert!(!creates(&step));
            prop_assert!(recorded(&step).is_none_or(|record| !matches!(record.state, State::Launching(_))));
        }
    }

    #[test]
    fn a_paused_or_foreign_workload_is_never_written_but_for_the_fence(
        plan in plan(), stored in stored(), see in observation(), now in time(), paused in any::<bool>(),
    ) {
        let mut see = see;
        see.workload.paused = paused;
        see.workload.opted_in &= paused;
        for order in step(&plan, &stored, &see, now).orders {
            prop_assert!(
                matches!(order, Order::Read(_) | Order::Record(_) | Order::DeleteCanary(_) | Order::Fence { .. }),
                "{order:?}"
            );
        }
    }

    #[test]
    fn an_order_list_is_in_order(plan in plan(), stored in stored(), see in observation(), now in time()) {
        let orders = step(&plan, &stored, &see, now).orders;
        prop_assert!(orders.iter().filter(|order| matches!(order, Order::Record(_))).count() <= 1);
        let reads = orders.iter().any(|order| matches!(order, Order::Read(_)));
        prop_assert!(!reads || orders.len() == 1);
        if let Stored::Unreadable(_) = stored {
            prop_assert!(orders.is_empty());
        }
        let rank = |order: &Order| match order {
            Order::Read(_) | Order::Preflight { .. } | Order::Fence { .. } => 0,
            Order::Record(_) => 1,
            Order::CreateCanary { .. } | Order::Promote { .. } => 2,
            Order::DeleteCanary(_) => if see.store_refuses { 1 } else { 3 },
        };
        prop_assert!(orders.is_sorted_by_key(rank), "{orders:?}");
    }

    /// What was written is not written again: with the same seen, a chain of steps comes to rest.
    #[test]
    fn nothing_runs_hot(plan in plan(), stored in stored(), see in observation(), now in time()) {
        let mut see = Observation { refused: None, ..see };
        let mut stored = stored;
        for _ in 0..WRITES {
            let step = step(&plan, &stored, &see, now);
            see.watch = step.watch.clone();
            let Some(record) = recorded(&step) else { return Ok(()) };
            prop_assert!(
                stored != Stored::Readable(Box::new(record.clone())),
                "writes what is stored: {:?}", step.because
            );
            stored = Stored::Readable(Box::new(record.clone()));
        }
        prop_assert!(false, "still writing");
    }

    #[test]
    fn a_step_after_a_resting_one_rests(plan in plan(), stored in stored(), see in observation(), now in time()) {
        let first = step(&plan, &stored, &see, now);
        if !first.orders.is_empty() {
            return Ok(());
        }
        let see = Observation { watch: first.watch.clone(), ..see };
        let second = step(&plan, &stored, &see, now);
        prop_assert_eq!(second.orders, vec![]);
        prop_assert_eq!(second.because, first.because);
    }

    #[test]
    fn a_record_stays_bounded(plan in plan(), stored in stored(), see in observation(), now in time()) {
        if let Some(record) = recorded(&step(&plan, &stored, &see, now)) {
            prop_assert!(record.ledger.len() <= LEDGER_LIMIT && record.used.len() <= USED_LIMIT);
        }
    }
}
