//! A canary is watched (rules 1, 2, 7, 11, 12).

use crate::case::*;
use jiff::ToSpan;
use keeper_rollout::*;
use keeper_signal::Why;

const INCUBATION: u64 = 900;

fn going_well(observed: u64) -> Because {
    Because::Watching { observed: seconds(observed), of: seconds(INCUBATION) }
}

/// Looked at last at that moment, watched since 100 s.
fn looked_at(last: i64) -> Case {
    incubating(0).see(|see| see.watch = Some(watch(0, 100, last)))
}

#[test]
fn time_counts_from_look_to_look() {
    let case = incubating(0).now(100);
    case.gives(watching(case.soon(Phase::Incubating, going_well(0), []), watch(0, 100, 100)));
    let case = looked_at(100).now(105);
    case.gives(watching(case.soon(Phase::Incubating, going_well(5), []), watch(0, 100, 105)));
}

#[test]
fn each_quarter_is_recorded() {
    let before = looked_at(320).now(324);
    before.gives(watching(before.soon(Phase::Incubating, going_well(224), []), watch(0, 100, 324)));
    let at_quarter = looked_at(320).now(325);
    let record = at_quarter.store(|record| record.state = State::Incubating(run(), watched(225)));
    let step = at_quarter.soon(Phase::Incubating, going_well(225), [record]);
    at_quarter.gives(watching(step, watch(0, 100, 325)));
}

#[test]
fn a_quarter_is_never_less_than_half_a_minute() {
    let short = |now| looked_at(now - 1).now(now).plan(|plan| plan.incubation = seconds(60));
    assert!(short(129).step().orders.is_empty());
    assert!(matches!(short(130).step().orders[..], [Order::Record(_)]));
}

/// Record plus own would count the same minutes twice.
#[test]
fn what_another_operator_recorded_meanwhile_is_not_added() {
    let case = incubating(225).see(|see| see.watch = Some(watch(0, 100, 330))).now(335);
    case.gives(watching(case.soon(Phase::Incubating, going_well(235), []), watch(0, 100, 335)));
}

#[test]
fn a_restart_of_the_operator_goes_on_from_the_record() {
    let case = incubating(225).now(500);
    case.gives(watching(case.soon(Phase::Incubating, going_well(225), []), watch(225, 500, 500)));
}

#[test]
fn a_gap_breaks_the_watch() {
    let case = looked_at(200).now(230);
    case.gives(watching(case.soon(Phase::Incubating, going_well(130), []), watch(0, 100, 230)));
    let case = looked_at(200).now(231);
    case.gives(watching(case.soon(Phase::Incubating, going_well(0), []), watch(0, 231, 231)));
}

#[test]
fn a_clock_that_jumps_shortens_nothing() {
    for jump in [-3600, 3600] {
        let now = 200 + jump;
        let case = looked_at(200).now(now).plan(|plan| plan.max_incubation = seconds(100_000));
        case.gives(watching(case.soon(Phase::Incubating, going_well(0), []), watch(0, now, now)));
    }
}

#[test]
fn the_whole_incubation_promotes() {
    let almost = incubating(675).see(|see| see.watch = Some(watch(675, 100, 320))).now(324);
    almost.gives(watching(almost.soon(Phase::Incubating, going_well(899), []), watch(675, 100, 324)));
    let whole = almost.now(325);
    let read = whole.soon(Phase::Incubating, Because::ReadingAfresh, [Order::Read(Afresh::Production)]);
    whole.gives(watching(read, watch(675, 100, 325)));
    let afresh = whole.see(|see| see.read = Read::Production);
    let record = afresh.store(|record| {
        record.state = State::Promoting(run(), Sending { since: at(325), ..sending() });
    });
    let because = Because::Promoting(new(), Proof::Measured);
    let step = afresh.soon(Phase::Promoting, because, [record, promote(), delete()]);
    afresh.gives(watching(step, watch(675, 100, 325)));
}

#[test]
fn without_signals_it_rests_on_silence() {
    let case = proved().see(|see| {
        see.signals = vec![];
        see.read = Read::Production;
    });
    assert_eq!(case.step().because, Because::Promoting(new(), Proof::Silence));
}

fn proved() -> Case {
    incubating(INCUBATION).now(1000)
}

#[test]
fn silence_counts_for_nothing_where_the_path_must_live() {
    let why = Why::NotMeasured("the way of the alerts is not known to live".into());
    let case = proved().see(|see| see.signals = vec![]).plan(|plan| plan.require_live_alert_path = true);
    let because = Because::NotProved { signal: "alerts".into(), why };
    let step = case.soon(Phase::Incubating, because, []);
    case.gives(watching(step, watch(INCUBATION, 1000, 1000)));
    let case = case.see(|see| see.alert_path_live = true);
    assert_eq!(case.step().because, Because::ReadingAfresh);
    // Where a signal judges, promotion does not rest on silence.
    let case = case.see(|see| (see.alert_path_live, see.signals) = (false, vec![healthy()]));
    assert_eq!(case.step().because, Because::ReadingAfresh);
}

#[test]
fn too_little_evidence_lets_the_clock_run_and_does_not_promote() {
    let little = |case: Case| case.see(|see| see.signals = vec![healthy(), unknown(not_enough())]);
    let case = little(looked_at(100).now(105));
    case.gives(watching(case.soon(Phase::Incubating, going_well(5), []), watch(0, 100, 105)));
    let case = little(proved());
    let because = Because::NotProved { signal: "httpErrorRate".into(), why: not_enough() };
    case.gives(watching(case.soon(Phase::Incubating, because, []), watch(INCUBATION, 1000, 1000)));
}

#[test]
fn the_clock_stands_still_while_nothing_is_measured() {
    let blind = |case: Case| case.see(|see| see.signals = vec![unknown(not_measured())]);
    let still = |base, last| Watch { since: None, ..watch(base, 0, last) };
    let because = Because::NotProved { signal: "httpErrorRate".into(), why: not_measured() };
    let first = blind(looked_at(200).now(205));
    first.gives(watching(first.soon(Phase::Incubating, because.clone(), []), still(100, 205)));
    let second = blind(incubating(0)).see(|see| see.watch = Some(still(100, 205))).now(210);
    second.gives(watching(second.soon(Phase::Incubating, because, []), still(100, 210)));
    let sees_again = incubating(0).see(|see| see.watch = Some(still(100, 210))).now(215);
    let step = sees_again.soon(Phase::Incubating, going_well(100), []);
    sees_again.gives(watching(step, watch(100, 215, 215)));
}

#[test]
fn the_clock_stands_still_while_no_traffic_can_come() {
    let missing = Reach::Missing(vec!["shop".into()]);
    let case = looked_at(200).now(205);
    let case = case.see(|see| see.canary = Some(Canary { reachable: missing, ..canary() }));
    let still = Watch { since: None, ..watch(100, 0, 205) };
    case.gives(watching(case.soon(Phase::Incubating, Because::NotReachable(vec!["shop".into()]), []), still));
    let alone = looked_at(200).now(205);
    let alone = alone.see(|see| see.canary = Some(Canary { reachable: Reach::NoService, ..canary() }));
    alone.gives(watching(alone.soon(Phase::Incubating, going_well(105), []), watch(0, 100, 205)));
}

#[test]
fn losing_ready_sets_it_back_to_zero() {
    let gone = Canary { ready: false, ready_changed: at(300), ..canary() };
    let case = incubating(225).see(|see| see.canary = Some(gone)).now(300);
    let zero = Watched { ready_changed: at(300), ..watched(0) };
    let record = case.store(|record| record.state = State::Incubating(run(), zero.clone()));
    case.gives(case.soon(Phase::Incubating, Because::NotReady, [record]));
    let case = case.record(|record| record.state = State::Incubating(run(), zero));
    case.gives(case.soon(Phase::Incubating, Because::NotReady, []));
}

#[test]
fn readiness_lost_and_found_unseen_is_noticed() {
    let back = Canary { ready_changed: at(310), ..canary() };
    let case = incubating(225).see(|see| see.canary = Some(back)).now(320);
    let record = case.store(|record| {
        record.state = State::Incubating(run(), Watched { ready_changed: at(310), ..watched(0) });
    });
    case.gives(case.soon(Phase::Incubating, Because::NotReady, [record]));
}

#[test]
fn what_condemns_it_ends_it_in_every_light() {
    let bad_signal = |see: &mut Observation| see.signals = vec![healthy(), unhealthy()];
    type Change = fn(&mut Observation);
    let lights: [Change; 3] =
        [|_| (), |see| see.workload.paused = true, |see| see.canary.as_mut().unwrap().ready = false];
    for light in lights {
        let case = proved().see(light).alerted();
        case.gives(case.rejected(Fault::Alert(alert())));
        let case = proved().see(light).see(bad_signal);
        case.gives(case.rejected(Fault::Unhealthy { signal: "httpErrorRate".into(), evidence: evidence() }));
        let restarted = Trouble::Restarted("exit code 1".into());
        let case = proved().see(light).see(|see| see.canary.as_mut().unwrap().trouble = Some(restarted.clone()));
        case.gives(case.rejected(Fault::Trouble(restarted)));
    }
}

#[test]
fn the_longest_incubation_is_kept_to_the_second() {
    let because = Because::NotProved { signal: "httpErrorRate".into(), why: not_enough() };
    let case = proved().see(|see| see.signals = vec![unknown(not_enough())]).now(1809);
    case.gives(watching(case.soon(Phase::Incubating, because.clone(), []), watch(INCUBATION, 1809, 1809)));
    let case = case.now(1810);
    case.gives(case.inconclusive(Obstacle::NotProvedInTime(Box::new(because))));
}

#[test]
fn every_light_that_is_not_proof_ends_with_it() {
    type Change = fn(&mut Observation);
    let missing: [(Change, Because); 4] = [
        (
            |see| see.signals = vec![unknown(not_measured())],
            Because::NotProved { signal: "httpErrorRate".into(), why: not_measured() },
        ),
        (
            |see| see.canary.as_mut().unwrap().reachable = Reach::Missing(vec!["shop".into()]),
            Because::NotReachable(vec!["shop".into()]),
        ),
        (|see| see.canary.as_mut().unwrap().ready = false, Because::NotReady),
        (|see| see.workload.paused = true, Because::Paused(new())),
    ];
    for (change, because) in missing {
        let case = proved().see(change).now(1810);
        case.gives(case.inconclusive(Obstacle::NotProvedInTime(Box::new(because))));
    }
    let case = incubating(225).now(1810);
    case.gives(case.inconclusive(Obstacle::NotProvedInTime(Box::new(going_well(225)))));
}

#[test]
fn what_is_proved_at_the_end_is_promoted() {
    assert_eq!(proved().now(1810).step().because, Because::ReadingAfresh);
}

#[test]
fn pause_holds_the_promotion_and_nothing_else() {
    let pause = |see: &mut Observation| see.workload.paused = true;
    let case = looked_at(320).see(pause).now(325);
    assert!(matches!(case.step().orders[..], [Order::Record(_)]), "records go on");
    let case = proved().see(pause);
    let step = case.soon(Phase::Incubating, Because::Paused(new()), []);
    case.gives(watching(step, watch(INCUBATION, 1000, 1000)));
}

#[test]
fn a_canary_that_ended_itself_was_not_watched() {
    let trouble = Trouble::DeadlineExceeded("activeDeadlineSeconds".into());
    let dead = Canary { ready: false, trouble: Some(trouble.clone()), ..canary() };
    let case = incubating(225).see(|see| see.canary = Some(dead));
    case.gives(case.inconclusive(Obstacle::Trouble(trouble)));
}

#[test]
fn a_canary_that_is_gone_is_made_again() {
    let case = incubating(225).see(|see| see.canary = None).now(30);
    let again = Run { id: "2-1767225630".into(), recreated: 1, began: at(30), ..run() };
    let record = case.store(|record| {
        record.runs = 2;
        record.state = State::Launching(again);
    });
    case.gives(case.soon(Phase::Launching, Because::Recreating(new(), 1), [record]));
    let case = case.run(|run| run.recreated = 2);
    case.gives(case.inconclusive(Obstacle::Lost(3)));
}

#[test]
fn a_canary_on_its_way_out_is_waited_for() {
    let case = incubating(225).see(|see| see.canary.as_mut().unwrap().terminating = true);
    case.gives(case.soon(Phase::Incubating, Because::CanaryInTheWay, []));
}

#[test]
fn only_the_canary_that_was_watched_is_judged() {
    let other = Canary { uid: "c2".into(), ..canary() };
    let case = proved().see(|see| see.canary = Some(other));
    case.gives(case.soon(Phase::Incubating, Because::CanaryInTheWay, [Order::Read(Afresh::Record)]));
    let case = case.see(|see| see.read = Read::Record);
    let delete = Order::DeleteCanary("c2".into());
    case.gives(case.soon(Phase::Incubating, Because::CanaryInTheWay, [delete]));
}

#[test]
fn a_store_that_keeps_refusing_does_not_keep_a_canary_alive() {
    let ends: [fn(Case) -> Case; 3] = [
        Case::alerted,
        |case| case.see(|see| see.workload.opted_in = false),
        |case| case.see(|see| see.signals = vec![unknown(not_measured())]).now(1810),
    ];
    for end in ends {
        let case = end(proved());
        let mut expected = case.step();
        assert!(matches!(expected.orders[..], [Order::Record(_), Order::DeleteCanary(_)]));
        expected.orders.reverse();
        let case = case.see(|see| see.store_refuses = true);
        case.gives(expected);
    }
}

#[test]
fn times_at_the_edge_of_what_can_be_said_do_no_harm() {
    let case = proved().now(0);
    let end = Case { now: jiff::Timestamp::MAX, ..case };
    assert_eq!(end.step().phase, Phase::Incubating);
    let start = Case { now: jiff::Timestamp::MIN.checked_add(1.second()).unwrap(), ..proved() };
    assert_eq!(start.step().because, Because::ReadingAfresh);
}
