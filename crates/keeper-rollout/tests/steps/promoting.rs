//! One point of no return, and a way forward from every crash (rules 6, 8).

use crate::case::*;
use keeper_rollout::*;

#[test]
fn an_old_view_is_not_believed() {
    let case = promoting().see(|see| see.read = Read::Cached);
    let read = [Order::Read(Afresh::Production)];
    case.gives(case.soon(Phase::Promoting, Because::ReadingAfresh, read));
}

#[test]
fn what_was_not_accepted_is_sent_again() {
    let case = promoting();
    let because = Because::Promoting(new(), Proof::Measured);
    case.gives(case.soon(Phase::Promoting, because, [promote(), delete()]));
}

#[test]
fn pods_that_disagree_for_a_moment_do_not_stop_it() {
    let case = promoting().see(|see| see.workload.production = Production::NotPinned("2 digests in 3 pods".into()));
    case.gives(promoting().step());
}

#[test]
fn a_workload_that_moved_is_noted_again_before_it_is_patched() {
    for generation in [3, 4] {
        let case = promoting().see(|see| {
            see.workload.version = "101".into();
            see.workload.generation = generation;
        });
        let noted = Sending { version: "101".into(), generation, ..sending() };
        let record = case.store(|record| record.state = State::Promoting(run(), noted));
        case.gives(case.soon(Phase::Promoting, Because::PromotionNotedAgain, [record]));
    }
}

type Happens = fn(Case) -> Case;
type Expected = fn(&Case) -> Step;

/// What speaks against a promotion that was not accepted, and what becomes of it.
fn against() -> Vec<(Happens, Expected)> {
    vec![
        (Case::alerted, |case| case.rejected(Fault::Alert(alert()))),
        (
            |case| case.see(|see| see.canary.as_mut().unwrap().trouble = Some(Trouble::Restarted("exit 1".into()))),
            |case| case.rejected(Fault::Trouble(Trouble::Restarted("exit 1".into()))),
        ),
        (
            |case| case.see(|see| see.signals = vec![unhealthy()]),
            |case| case.rejected(Fault::Unhealthy { signal: "httpErrorRate".into(), evidence: evidence() }),
        ),
        (|case| case.see(|see| see.workload.opted_in = false), |case| case.settled(Because::OptedOut)),
        (|case| case.see(|see| see.workload.paused = true), |case| case.settled(Because::Paused(new()))),
        (
            |case| case.see(|see| see.workload.invalid = Some("unknown container".into())),
            |case| case.settled(Because::InvalidPlan("unknown container".into())),
        ),
        (
            |case| case.see(|see| see.wanted = Wanted::Revision(next())),
            |case| case.settled(Because::Superseded { judged: new(), by: next() }),
        ),
        (|case| case.see(|see| see.canary.as_mut().unwrap().ready = false), |case| case.settled(Because::NotReady)),
        (
            |case| case.see(|see| see.canary.as_mut().unwrap().ready_changed = at(999)),
            |case| case.settled(Because::NotReady),
        ),
        (|case| case.see(|see| see.canary = None), |case| case.settled(Because::NotReady)),
        (|case| case.see(|see| see.canary.as_mut().unwrap().uid = "c2".into()), |case| case.settled(Because::NotReady)),
        (
            |case| case.see(|see| see.canary.as_mut().unwrap().trouble = Some(Trouble::LostToNode("drained".into()))),
            |case| case.settled(Because::NotReady),
        ),
        (|case| case.now(1030), |case| case.inconclusive(Obstacle::NotSentInTime)),
    ]
}

#[test]
fn it_is_left_unsent_behind_a_fence() {
    for (happens, expected) in against() {
        let case = happens(promoting());
        case.gives(first(fence(), expected(&case)));
    }
}

#[test]
fn a_workload_that_moved_needs_no_fence() {
    for (happens, expected) in against() {
        for generation in [3, 4] {
            let case = happens(promoting()).see(|see| {
                see.workload.version = "101".into();
                see.workload.generation = generation;
            });
            case.gives(expected(&case));
        }
    }
}

#[test]
fn its_deadline_is_kept_to_the_second() {
    let case = promoting().now(1029);
    assert_eq!(case.step().because, Because::Promoting(new(), Proof::Measured));
}

#[test]
fn what_others_did_to_production_stands() {
    let template = promoting().see(|see| {
        see.workload.version = "101".into();
        see.workload.generation = 4;
        see.workload.template = "t2".into();
    });
    template.gives(template.settled(Because::TemplateChanged));
    for production in [Production::Runs(next()), Production::NotPinned("2 digests in 3 pods".into())] {
        let image = promoting().see(|see| {
            see.workload.version = "101".into();
            see.workload.generation = 4;
            see.workload.production = production;
        });
        image.gives(image.settled(Because::ProductionChanged));
    }
}

#[test]
fn an_alert_is_not_forgotten_for_an_edit() {
    let case = promoting().alerted().see(|see| {
        see.workload.version = "101".into();
        see.workload.generation = 4;
        see.workload.template = "t2".into();
    });
    case.gives(case.rejected(Fault::Alert(alert())));
}

#[test]
fn a_refused_patch_is_inconclusive() {
    let refusal = Refusal { what: Refused::Promote, message: "forbidden".into() };
    let case = promoting().see(|see| see.refused = Some(refusal.clone()));
    case.gives(first(fence(), case.inconclusive(Obstacle::Refused("forbidden".into()))));
    let moved = case.see(|see| see.workload.version = "101".into());
    assert_eq!(moved.step().because, Because::PromotionNotedAgain, "its test failed, and that is all");
}

#[test]
fn an_abort_reaches_it() {
    let case = promoting().command(Verb::Abort, new().as_str());
    let mut expected = case.rejected(Fault::AbortedByPerson);
    let Order::Record(record) = &mut expected.orders[0] else { panic!() };
    record.used = vec![Command::new(Verb::Abort, new().as_str())];
    case.gives(first(fence(), expected));
}

#[test]
fn a_person_promotes_a_canary_whatever_it_did_before() {
    let by_person = |record: &mut Record| {
        record.state = State::Promoting(run(), Sending { proof: Proof::Person, ..sending() });
    };
    let case = promoting().record(by_person).see(|see| see.canary.as_mut().unwrap().ready_changed = at(999));
    let because = Because::Promoting(new(), Proof::Person);
    case.gives(case.soon(Phase::Promoting, because, [promote(), delete()]));
}

#[test]
fn a_store_that_keeps_refusing_does_not_keep_the_canary_alive() {
    let case = promoting().alerted();
    let mut expected = case.rejected(Fault::Alert(alert()));
    expected.orders.reverse();
    let case = case.see(|see| see.store_refuses = true);
    case.gives(first(fence(), expected));
}

#[test]
fn the_label_tells_that_it_was_accepted_wherever_it_was_read() {
    for read in [Read::Cached, Read::Production, Read::Record] {
        for proof in [Proof::Measured, Proof::Silence, Proof::Person] {
            let case = accepted().see(|see| see.read = read);
            let case = case.record(|record| {
                record.state = State::Promoting(run(), Sending { proof, ..sending() });
                record.tried = Some((new(), 1));
            });
            let record = case.store(|record| {
                record.state = State::Settled;
                record.promoted = Some(new());
                record.floor = 3;
                record.tried = None;
            });
            let because = Because::Promoted { revision: new(), proof, late: vec![] };
            case.gives(Step { wake_at: None, ..case.soon(Phase::Settled, because, [record]) });
        }
    }
}

#[test]
fn the_canary_makes_room_first() {
    let case = accepted().see(|see| see.canary = Some(canary()));
    case.gives(case.soon(Phase::Promoting, Because::RollingOut(new()), [delete()]));
    let case = case.see(|see| see.canary = Some(Canary { uid: "c2".into(), ..canary() }));
    case.gives(case.soon(Phase::Promoting, Because::CanaryInTheWay, [Order::Read(Afresh::Record)]));
    let case = case.see(|see| see.read = Read::Record);
    let delete = Order::DeleteCanary("c2".into());
    case.gives(case.soon(Phase::Promoting, Because::CanaryInTheWay, [delete]));
}

#[test]
fn after_acceptance_nothing_but_bookkeeping_is_left() {
    let case = accepted().see(|see| {
        see.workload.rollout = Rollout::Progressing;
        see.workload.opted_in = false;
        see.workload.paused = true;
        see.wanted = Wanted::Revision(next());
    });
    let case = case.alerted().command(Verb::Abort, new().as_str()).now(1500);
    case.gives(case.soon(Phase::Promoting, Because::RollingOut(new()), []));
}

#[test]
fn a_late_alert_is_told() {
    let case = accepted().alerted();
    let record = case.store(|record| {
        record.state = State::Settled;
        record.promoted = Some(new());
        record.floor = 3;
    });
    let because = Because::Promoted { revision: new(), proof: Proof::Measured, late: vec![alert()] };
    assert!(because.is_warning());
    case.gives(Step { wake_at: None, ..case.soon(Phase::Settled, because, [record]) });
}

fn not_rolled_out(case: &Case, why: &str) -> Step {
    let because = Because::PromotedNotRolledOut(new(), why.into());
    let now = case.now.as_second() - at(0).as_second();
    let record = case.store(|record| {
        record.state = State::Held(ended(&because, now), Hold::NotRolledOut);
        record.promoted = Some(new());
        record.floor = 3;
    });
    case.soon(Phase::Held, because.clone(), [record])
}

#[test]
fn a_rollout_that_does_not_complete_is_held() {
    let case = accepted().see(|see| see.workload.rollout = Rollout::Stuck("past its deadline".into()));
    case.gives(not_rolled_out(&case, "past its deadline"));
    let case = accepted().see(|see| see.workload.rollout = Rollout::Progressing).now(1899);
    case.gives(case.soon(Phase::Promoting, Because::RollingOut(new()), []));
    let case = case.now(1900);
    case.gives(not_rolled_out(&case, "still under way after 15m"));
    let case = case.alerted();
    let late = "still under way after 15m; after the patch came alert HighErrors names pod shop-canary-0a1b2c, \
                firing since 2026-01-01T00:00:20Z";
    case.gives(not_rolled_out(&case, late));
}

#[test]
fn a_promotion_taken_back_is_rolled_back() {
    for (wanted, state) in [(true, None), (false, Some(State::Settled))] {
        let case = accepted().see(|see| {
            see.workload.generation = 5;
            see.workload.production = Production::Runs(old());
            see.wanted = Wanted::Revision(if wanted { new() } else { next() });
        });
        let because = Because::RolledBack { revision: new(), number: 1, wanted };
        let record = case.store(|record| {
            record.floor = 3;
            record.rolled_back.insert(new(), 1);
            record.ledger.extend([entry(EntryKind::RolledBack, told(&because, 1000))]);
            record.state = state.unwrap_or_else(|| State::Held(ended(&because, 1000), Hold::RolledBack));
        });
        let phase = if wanted { Phase::Held } else { Phase::Settled };
        case.gives(case.soon(phase, because, [record]));
    }
}
