//! Nothing is under way (rules 5, 6, 9, 10, 13, 14).

use crate::case::*;
use keeper_rollout::*;

#[test]
fn a_new_revision_starts_a_canary() {
    let case = idle();
    let record = case.store(|record| {
        record.runs = 1;
        record.state = State::Launching(run());
    });
    let run = run().id;
    let orders =
        [Order::Preflight { revision: new(), run: run.clone() }, record, Order::CreateCanary { revision: new(), run }];
    case.gives(case.soon(Phase::Launching, Because::CanaryLaunching(new()), orders));
}

#[test]
fn the_first_record_is_made_with_the_first_canary() {
    assert_eq!(idle().stored(Stored::Absent).step(), idle().step());
}

#[test]
fn production_runs_what_the_tag_names() {
    let case = idle().see(|see| see.wanted = Wanted::Revision(old()));
    case.gives(case.rest(Phase::Settled, Because::UpToDate(old())));
}

#[test]
fn an_ended_state_is_left_when_the_tag_names_production() {
    let case = idle()
        .see(|see| see.wanted = Wanted::Revision(old()))
        .record(|record| record.state = State::Rejected(ended_as("Rejected")));
    let record = case.store(|record| record.state = State::Settled);
    let step = case.soon(Phase::Settled, Because::UpToDate(old()), [record]);
    case.gives(Step { wake_at: None, ..step });
}

#[test]
fn what_is_not_known_starts_nothing() {
    let case = idle().see(|see| see.wanted = Wanted::Unknown("the registry did not answer".into()));
    case.gives(case.rest(Phase::Settled, Because::WantedUnknown("the registry did not answer".into())));
    let case = idle().see(|see| see.workload.production = Production::NotPinned("2 digests in 3 pods".into()));
    case.gives(case.rest(Phase::Held, Because::ProductionNotPinned("2 digests in 3 pods".into())));
    let case = idle().see(|see| see.workload.invalid = Some("canary-duration: must be positive".into()));
    case.gives(case.rest(Phase::Held, Because::InvalidPlan("canary-duration: must be positive".into())));
}

#[test]
fn a_workload_taken_back_is_left_alone() {
    let case = idle().see(|see| see.workload.opted_in = false);
    case.gives(case.rest(Phase::Settled, Because::OptedOut));
    let case = case.record(|record| record.state = State::Inconclusive(ended_as("Inconclusive"), at(600)));
    let record = case.store(|record| record.state = State::Settled);
    case.gives(Step { wake_at: None, ..case.soon(Phase::Settled, Because::OptedOut, [record]) });
}

#[test]
fn pause_holds_what_would_start() {
    let case = idle().see(|see| see.workload.paused = true);
    case.gives(case.rest(Phase::Held, Because::Paused(new())));
}

#[test]
fn each_blocker_is_named_and_looked_at_again() {
    use BlockerKind::*;
    let kinds = [
        WorkloadPaused,
        ScaledToZero,
        MidRollout,
        AutoscalerBusy,
        NotTwoCopies,
        TooManyCanaries,
        ForeignOwner,
        CloneRefused,
        OtherRepository,
    ];
    for kind in kinds {
        let blocker = Blocker { kind, text: "so it is".into() };
        let case = idle().see(|see| see.workload.blocker = Some(blocker.clone()));
        case.gives(case.soon(Phase::Settled, Because::Blocked(blocker), []));
        assert_eq!(case.step().because.reason(), kind.reason());
    }
}

#[test]
fn a_rollout_under_way_is_waited_for_and_a_stuck_one_is_not() {
    let case = idle().see(|see| see.workload.rollout = Rollout::Progressing);
    let blocker = Blocker { kind: BlockerKind::MidRollout, text: "the workload's own rollout is under way".into() };
    case.gives(case.soon(Phase::Settled, Because::Blocked(blocker), []));
    let case = idle().see(|see| see.workload.rollout = Rollout::Stuck("past its deadline".into()));
    assert_eq!(case.step(), idle().step());
}

#[test]
fn a_record_that_cannot_be_read_is_left_as_it_is() {
    let case = idle().stored(Stored::Unreadable("version 9 is newer than this operator".into()));
    let why = "version 9 is newer than this operator".to_owned();
    case.gives(case.rest(Phase::Held, Because::RecordUnreadable(why.clone())));
    let case = incubating(0).stored(Stored::Unreadable(why.clone()));
    case.gives(case.rest(Phase::Held, Because::RecordUnreadable(why)));
}

#[test]
fn a_lost_ledger_is_told_once() {
    let case = idle().stored(Stored::Absent).see(|see| see.workload.run_label = Some("7-1".into()));
    case.gives(case.soon(Phase::Settled, Because::LedgerLost, [case.store(|_| {})]));
    let case = case.record(|_| {});
    assert_eq!(case.step().phase, Phase::Launching);
}

#[test]
fn a_view_not_above_the_last_promotion_decides_nothing() {
    for case in [idle(), launching(), incubating(0), promoting()] {
        let case = case.record(|record| record.floor = 3);
        let phase = case.known().state.phase();
        case.gives(case.soon(phase, Because::ViewStale, []));
    }
    let case = idle().record(|record| record.floor = 2);
    assert_eq!(case.step().phase, Phase::Launching);
}

#[test]
fn a_bad_revision_stays_bad() {
    let told = ended_as("Rejected").told;
    let known = idle().record(|record| record.ledger.extend([entry(EntryKind::Rejected, told.clone())]));
    let record = known.store(|record| record.state = State::Rejected(ended_as("Rejected")));
    let step = known.soon(Phase::Rejected, Because::Still(told.clone()), [record]);
    known.gives(Step { wake_at: None, ..step });
    let shown = known.record(|record| record.state = State::Rejected(ended_as("Rejected")));
    shown.gives(shown.rest(Phase::Rejected, Because::Still(told)));
}

/// The record must stay small enough for the object that holds it.
#[test]
fn the_oldest_leave_a_full_ledger_and_full_commands() {
    let name = |n: usize| Revision::new(format!("sha256:{n:016}"));
    let entry = |n: usize| {
        let told = Told { at: at(n as i64 - 1000), ..ended_as("Rejected").told };
        (name(n), Entry { kind: EntryKind::Rejected, told })
    };
    let case = incubating(0).alerted().record(|record| {
        record.ledger = (0..LEDGER_LIMIT).map(entry).collect();
        record.rolled_back.insert(name(0), 1);
    });
    let step = case.step();
    let Order::Record(after) = &step.orders[0] else { panic!("{step:?}") };
    assert_eq!(after.ledger.len(), LEDGER_LIMIT);
    assert!(after.ledger.contains_key(&new()) && !after.ledger.contains_key(&name(0)));
    assert!(after.rolled_back.is_empty());

    let command = |n: usize| Command::new(Verb::Retry, name(n).as_str());
    let case = idle().record(|record| {
        record.ledger = [entry(99)].into();
        record.used = (0..USED_LIMIT).map(command).collect();
    });
    let case = case.command(Verb::Retry, name(99).as_str());
    let step = case.step();
    let Order::Record(after) = &step.orders[0] else { panic!("{step:?}") };
    assert_eq!(after.used.len(), USED_LIMIT);
    assert_eq!((after.used.first(), after.used.last()), (Some(&command(1)), Some(&command(99))));
}

#[test]
fn a_revision_that_was_rolled_back_is_held() {
    let told = ended_as("RolledBack").told;
    let case = idle().record(|record| {
        record.ledger.extend([entry(EntryKind::RolledBack, told.clone())]);
        record.rolled_back.insert(new(), 1);
    });
    let held = State::Held(ended_as("RolledBack"), Hold::RolledBack);
    let record = case.store(|record| record.state = held.clone());
    let step = case.soon(Phase::Held, Because::Still(told.clone()), [record]);
    case.gives(Step { wake_at: None, ..step });
    let case = case.record(|record| record.state = held);
    case.gives(case.rest(Phase::Held, Because::Still(told)));
}

#[test]
fn another_revision_leaves_every_resting_state() {
    let told = ended_as("Rejected").told;
    let states = [
        State::Rejected(ended_as("Rejected")),
        State::Inconclusive(ended_as("Inconclusive"), at(600)),
        State::Held(ended_as("RolledBack"), Hold::RolledBack),
        State::Held(ended_as("Inconclusive"), Hold::Inconclusive),
        State::Held(ended_as("PromotedNotRolledOut"), Hold::NotRolledOut),
    ];
    for state in states {
        let case = idle().see(|see| see.wanted = Wanted::Revision(next())).record(|record| {
            record.state = state.clone();
            record.ledger.extend([entry(EntryKind::Rejected, told.clone())]);
        });
        assert_eq!(case.step().because, Because::CanaryLaunching(next()), "from {state:?}");
    }
}

#[test]
fn a_canary_of_no_run_is_removed_once_the_record_was_read() {
    for case in [idle(), idle().stored(Stored::Absent)] {
        let case = case.see(|see| see.canary = Some(canary()));
        let read = [Order::Read(Afresh::Record)];
        case.gives(case.soon(Phase::Settled, Because::CanaryInTheWay, read));
        let case = case.see(|see| see.read = Read::Record);
        case.gives(case.soon(Phase::Settled, Because::CanaryInTheWay, [delete()]));
        let case = case.see(|see| see.canary = Some(Canary { terminating: true, ..canary() }));
        case.gives(case.soon(Phase::Settled, Because::CanaryInTheWay, []));
    }
}

#[test]
fn a_refused_dry_run_is_tried_again_later_and_in_the_end_held() {
    let refusal = Refusal { what: Refused::Preflight, message: "exceeded quota: pods".into() };
    let obstacle = || Obstacle::Refused("exceeded quota: pods".into());
    let case = idle().see(|see| see.refused = Some(refusal.clone()));
    case.gives(case.inconclusive(obstacle()));
    let told_of = |again| Because::Inconclusive { revision: new(), obstacle: obstacle(), again };
    for (tried, pause) in [(1, 30 * 60), (2, 120 * 60)] {
        let case = idle().see(|see| see.refused = Some(refusal.clone()));
        let case = case.record(|record| record.tried = Some((new(), tried)));
        let because = told_of(Some(at(pause)));
        let record = case.store(|record| {
            record.tried = Some((new(), tried + 1));
            record.state = State::Inconclusive(ended(&because, 0), at(pause));
        });
        case.gives(case.soon(Phase::Inconclusive, because, [record]));
    }
    let case = case.record(|record| record.tried = Some((new(), 3)));
    let because = told_of(None);
    let record = case.store(|record| {
        record.tried = Some((new(), 4));
        record.state = State::Held(ended(&because, 0), Hold::Inconclusive);
    });
    case.gives(case.soon(Phase::Held, because, [record]));
}

#[test]
fn a_refusal_of_something_else_says_nothing() {
    let refused = |what| move |see: &mut Observation| see.refused = Some(Refusal { what, message: "no".into() });
    for what in [Refused::Create, Refused::Promote] {
        idle().see(refused(what)).gives(idle().step());
    }
    for what in [Refused::Preflight, Refused::Promote] {
        launching().see(refused(what)).gives(launching().step());
    }
    for what in [Refused::Preflight, Refused::Create] {
        promoting().see(refused(what)).gives(promoting().step());
    }
}

#[test]
fn on_inconclusive_reject_needs_a_canary_to_reject() {
    let refusal = Refusal { what: Refused::Preflight, message: "denied".into() };
    let case = idle().see(|see| see.refused = Some(refusal)).plan(|p| p.on_inconclusive = OnInconclusive::Reject);
    case.gives(case.inconclusive(Obstacle::Refused("denied".into())));
}

#[test]
fn the_pause_of_an_inconclusive_revision_ends_to_the_second() {
    let case = idle().record(|record| {
        record.state = State::Inconclusive(ended_as("Inconclusive"), at(600));
        record.tried = Some((new(), 1));
    });
    let before = case.now(599);
    let still = before.rest(Phase::Inconclusive, Because::Still(ended_as("Inconclusive").told));
    before.gives(Step { wake_at: Some(at(600)), ..still });
    let due = before.now(600);
    assert_eq!(due.step().because, Because::CanaryLaunching(new()));
}

#[test]
fn a_revision_tried_often_enough_waits_for_a_person() {
    let case = idle().record(|record| {
        record.state = State::Held(ended_as("Inconclusive"), Hold::Inconclusive);
        record.tried = Some((new(), 4));
    });
    let case = case.now(1_000_000);
    case.gives(case.rest(Phase::Held, Because::Still(ended_as("Inconclusive").told)));
}

#[test]
fn a_promotion_that_production_left_is_rolled_back() {
    let left = idle().record(|record| {
        record.promoted = Some(new());
        record.floor = 2;
    });
    let because = Because::RolledBack { revision: new(), number: 1, wanted: true };
    let record = left.store(|record| {
        record.promoted = None;
        record.rolled_back.insert(new(), 1);
        record.ledger.extend([entry(EntryKind::RolledBack, told(&because, 0))]);
        record.state = State::Held(ended(&because, 0), Hold::RolledBack);
    });
    left.gives(left.soon(Phase::Held, because, [record]));
}

#[test]
fn it_is_rolled_back_whatever_the_tag_names_and_counted() {
    let left = idle().see(|see| see.wanted = Wanted::Revision(next())).record(|record| {
        record.promoted = Some(new());
        record.rolled_back.insert(new(), 1);
        record.floor = 2;
    });
    let because = Because::RolledBack { revision: new(), number: 2, wanted: false };
    let record = left.store(|record| {
        record.promoted = None;
        record.rolled_back.insert(new(), 2);
        record.ledger.extend([entry(EntryKind::RolledBack, told(&because, 0))]);
        record.state = State::Settled;
    });
    left.gives(left.soon(Phase::Settled, because, [record]));
}

#[test]
fn a_promotion_not_rolled_out_settles_by_itself() {
    let held = idle().record(|record| {
        record.state = State::Held(ended_as("PromotedNotRolledOut"), Hold::NotRolledOut);
        record.promoted = Some(new());
    });
    let stuck = held.see(|see| {
        see.workload.production = Production::Runs(new());
        see.workload.rollout = Rollout::Stuck("past its deadline".into());
    });
    stuck.gives(stuck.rest(Phase::Held, Because::Still(ended_as("PromotedNotRolledOut").told)));
    let complete = stuck.see(|see| see.workload.rollout = Rollout::Complete);
    let record = complete.store(|record| record.state = State::Settled);
    let step = complete.soon(Phase::Settled, Because::UpToDate(new()), [record]);
    complete.gives(Step { wake_at: None, ..step });
}
