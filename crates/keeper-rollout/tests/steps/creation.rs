//! The first creation of a production that does not exist yet, and what becomes of one that somebody deleted.

use crate::case::*;
use keeper_rollout::*;

/// Nothing is there under production's name.
fn absent() -> Case {
    idle().see(|see| {
        see.workload.production = Production::Absent;
        see.workload.generation = 0;
        see.workload.version = "".into();
        see.workload.template = "".into();
    })
}

fn afresh(case: Case) -> Case {
    case.see(|see| see.read = Read::Production)
}

/// The creation was recorded, and nothing is there yet.
fn creating() -> Case {
    let first = afresh(absent()).step();
    let record = first.orders.iter().find_map(|order| match order {
        Order::Record(record) => Some(record.clone()),
        _ => None,
    });
    Case { stored: Stored::Readable(record.unwrap()), ..afresh(absent()) }
}

#[test]
fn nothing_is_created_on_what_a_watch_shows() {
    assert_eq!(absent().step().orders, [Order::Read(Afresh::Production)]);
}

#[test]
fn production_that_does_not_exist_yet_is_created_and_recorded_as_such() {
    let step = afresh(absent()).step();
    assert_eq!(step.phase, Phase::Promoting);
    assert_eq!(step.because, Because::Promoting(new(), Proof::FirstCreation));
    let [Order::Preflight { .. }, Order::Record(record), Order::Promote { revision, run, .. }] = &step.orders[..]
    else {
        panic!("{:?}", step.orders)
    };
    let State::Promoting(recorded, sending) = &record.state else { panic!("{:?}", record.state) };
    assert_eq!((&recorded.revision, &recorded.id, sending.proof), (revision, run, Proof::FirstCreation));
}

#[test]
fn a_crash_before_the_creation_sends_it_again() {
    let step = creating().now(5).step();
    assert!(matches!(step.orders[..], [Order::Promote { .. }]), "{:?}", step.orders);
}

#[test]
fn a_creation_that_arrived_ends_when_its_rollout_does() {
    let arrived = |rollout| {
        let case = creating();
        let Stored::Readable(record) = &case.stored else { panic!("recorded") };
        let run = record.state.run().unwrap().id.clone();
        case.see(|see| {
            see.workload.production = Production::Runs(new());
            see.workload.run_label = Some(run);
            see.workload.generation = 1;
            see.workload.template = "t1".into();
            see.workload.rollout = rollout;
        })
    };
    assert_eq!(arrived(Rollout::Progressing).step().because, Because::RollingOut(new()));
    let done = arrived(Rollout::Complete).step();
    assert_eq!((done.phase, done.because.reason()), (Phase::Settled, "FirstCreated"));
}

#[test]
fn a_production_that_somebody_else_created_meanwhile_stands() {
    let step = creating().see(|see| see.workload.production = Production::Runs(old())).step();
    assert_eq!((step.phase, &step.because), (Phase::Settled, &Because::ProductionChanged));
    assert!(!step.orders.iter().any(|order| matches!(order, Order::Promote { .. })));
}

#[test]
fn what_is_refused_is_not_created() {
    let refused = |what| Some(Refusal { what, message: "invalid".into() });
    let step = afresh(absent()).see(|see| see.refused = refused(Refused::Preflight)).step();
    assert_eq!(step.phase, Phase::Inconclusive);
    let step = creating().see(|see| see.refused = refused(Refused::Promote)).step();
    assert_eq!(step.phase, Phase::Inconclusive);
    assert!(matches!(step.orders[..], [Order::Record(_)]), "what isn't there can't be fenced: {:?}", step.orders);
    for case in [
        afresh(absent()).see(|see| see.workload.paused = true),
        afresh(absent()).see(|see| see.workload.opted_in = false),
        afresh(absent()).see(|see| see.workload.invalid = Some("no".into())),
        creating().see(|see| see.workload.paused = true),
        creating().see(|see| see.wanted = Wanted::Revision(next())),
    ] {
        let step = case.step();
        assert!(!step.orders.iter().any(|order| matches!(order, Order::Promote { .. })), "{:?}", step.because);
    }
}

#[test]
fn production_that_somebody_deleted_is_not_created_again() {
    let promoted = |case: Case| {
        case.record(|record| {
            record.promoted = Some(new());
            record.floor = 7;
        })
    };
    assert_eq!(promoted(absent()).step().orders, [Order::Read(Afresh::Production)]);
    let step = afresh(promoted(absent())).step();
    assert_eq!((step.phase, step.because.reason()), (Phase::Held, "RolledBack"));
    let [Order::Record(record)] = &step.orders[..] else { panic!("{:?}", step.orders) };
    assert_eq!(record.floor, 0, "what comes under its name later counts anew");
    let held = Case { stored: Stored::Readable(record.clone()), ..absent() }.step();
    assert_eq!((held.phase, held.orders), (Phase::Held, vec![]));
}

#[test]
fn a_promotion_never_becomes_a_creation() {
    let step = promoting().see(|see| see.workload.production = Production::Absent).step();
    assert_eq!((step.phase, &step.because), (Phase::Settled, &Because::ProductionChanged));
}
