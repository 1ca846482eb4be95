//! A canary is wanted and not yet Ready (rules 3, 4, 7, 10).

use crate::case::*;
use keeper_rollout::*;

fn launched(canary: Canary) -> Case {
    launching().see(|see| see.canary = Some(canary))
}

fn create() -> Order {
    Order::CreateCanary { revision: new(), run: run().id }
}

#[test]
fn the_canary_is_created_until_it_is_there() {
    let case = launching().now(5);
    case.gives(case.soon(Phase::Launching, Because::CanaryLaunching(new()), [create()]));
    let case = launched(starting(None));
    case.gives(case.soon(Phase::Launching, Because::WaitingForReady(None), []));
}

#[test]
fn what_hinders_it_is_told() {
    let trouble = Trouble::NotScheduled("0/3 nodes are available".into());
    let case = launched(starting(Some(trouble.clone())));
    case.gives(case.soon(Phase::Launching, Because::WaitingForReady(Some(trouble)), []));
}

#[test]
fn its_incubation_begins_when_it_is_ready() {
    let case = launched(canary()).now(12);
    let record = case.store(|record| {
        record.state = State::Incubating(run(), Watched { began: at(12), ..watched(0) });
    });
    case.gives(case.soon(Phase::Incubating, Because::CanaryIncubating(new()), [record]));
}

#[test]
fn the_deadline_is_kept_to_the_second() {
    let late = launched(starting(None)).now(599);
    late.gives(late.soon(Phase::Launching, Because::WaitingForReady(None), []));
    let over = late.now(600);
    over.gives(over.rejected(Fault::NeverReady(seconds(600))));
    let ready = launched(canary()).now(600);
    assert_eq!(ready.step().because, Because::CanaryIncubating(new()));
}

#[test]
fn what_kept_it_from_starting_decides() {
    let blamed = [Trouble::CannotRun("CreateContainerConfigError".into())];
    for trouble in blamed {
        let case = launched(starting(Some(trouble.clone())));
        let case = case.now(599);
        case.gives(case.soon(Phase::Launching, Because::WaitingForReady(Some(trouble.clone())), []));
        let case = case.now(600);
        case.gives(case.rejected(Fault::Trouble(trouble)));
    }
    let unlucky = [
        Trouble::CannotPull("401 from the registry".into()),
        Trouble::NotScheduled("0/3 nodes are available".into()),
        Trouble::LostToNode("drained".into()),
        Trouble::DeadlineExceeded("activeDeadlineSeconds".into()),
    ];
    for trouble in unlucky {
        let case = launched(starting(Some(trouble.clone()))).now(600);
        case.gives(case.inconclusive(Obstacle::CannotStart(trouble)));
    }
}

#[test]
fn what_is_certain_is_not_waited_for() {
    for trouble in [Trouble::ImageNotFound("404".into()), Trouble::Restarted("OOMKilled".into())] {
        let case = launched(starting(Some(trouble.clone()))).now(20);
        case.gives(case.rejected(Fault::Trouble(trouble)));
    }
    let trouble = Trouble::DeadlineExceeded("activeDeadlineSeconds".into());
    let case = launched(starting(Some(trouble.clone()))).now(20);
    case.gives(case.inconclusive(Obstacle::Trouble(trouble)));
}

/// A trace of the model: the alert was forgotten, and the revision tried again.
#[test]
fn a_stored_alert_outweighs_a_passed_deadline() {
    let case = launching().alerted().now(600);
    case.gives(case.rejected(Fault::Alert(alert())));
}

#[test]
fn a_canary_that_never_came_is_nobodys_fault() {
    let case = launching().now(600);
    case.gives(case.inconclusive(Obstacle::NotCreated));
    let case = launched(Canary { terminating: true, ..starting(None) }).now(600);
    case.gives(case.inconclusive(Obstacle::NotCreated));
}

#[test]
fn a_refused_creation_is_inconclusive() {
    let refusal = Refusal { what: Refused::Create, message: "admission webhook denied it".into() };
    let case = launching().see(|see| see.refused = Some(refusal));
    case.gives(case.inconclusive(Obstacle::Refused("admission webhook denied it".into())));
}

#[test]
fn on_inconclusive_reject_rejects() {
    let trouble = Trouble::NotScheduled("0/3 nodes are available".into());
    let case = launched(starting(Some(trouble.clone()))).now(600);
    let case = case.plan(|plan| plan.on_inconclusive = OnInconclusive::Reject);
    case.gives(case.rejected(Fault::NotJudged(Box::new(Obstacle::CannotStart(trouble)))));
}

#[test]
fn pause_creates_nothing_and_a_canary_goes_on() {
    let case = launching().see(|see| see.workload.paused = true);
    case.gives(case.soon(Phase::Launching, Because::Paused(new()), []));
    let case = case.now(600);
    case.gives(case.settled(Because::Paused(new())));
    let case = launched(starting(None)).see(|see| see.workload.paused = true);
    case.gives(case.soon(Phase::Launching, Because::WaitingForReady(None), []));
}

#[test]
fn a_canary_of_another_run_is_never_adopted() {
    for other in [
        Canary { run: Some("9-9".into()), ..canary() },
        Canary { run: None, ..canary() },
        Canary { template: Some("t2".into()), ..canary() },
    ] {
        let case = launched(other.clone());
        case.gives(case.soon(Phase::Launching, Because::CanaryInTheWay, [Order::Read(Afresh::Record)]));
        let case = case.see(|see| see.read = Read::Record);
        case.gives(case.soon(Phase::Launching, Because::CanaryInTheWay, [delete()]));
        let case = launched(Canary { terminating: true, ..other });
        case.gives(case.soon(Phase::Launching, Because::CanaryInTheWay, []));
    }
}

#[test]
fn a_canary_on_its_way_out_is_waited_for() {
    let case = launched(Canary { terminating: true, ready: false, ..canary() });
    case.gives(case.soon(Phase::Launching, Because::CanaryInTheWay, []));
}

#[test]
fn what_others_do_ends_it() {
    type Change = fn(&mut Observation);
    let changes: [(Change, Because); 5] = [
        (|see| see.workload.opted_in = false, Because::OptedOut),
        (
            |see| see.workload.invalid = Some("unknown container".into()),
            Because::InvalidPlan("unknown container".into()),
        ),
        (|see| see.workload.template = "t2".into(), Because::TemplateChanged),
        (|see| see.workload.production = Production::Runs(next()), Because::ProductionChanged),
        (|see| see.wanted = Wanted::Revision(next()), Because::Superseded { judged: new(), by: next() }),
    ];
    for (change, because) in changes {
        for case in [launching(), launched(starting(None)), launched(canary()), incubating(100)] {
            let case = case.see(change).now(30);
            case.gives(case.settled(because.clone()));
        }
    }
}

#[test]
fn what_can_not_be_told_ends_nothing() {
    for case in [launched(starting(None)), incubating(0)] {
        let told = case.step();
        let case = case.see(|see| {
            see.wanted = Wanted::Unknown("the registry did not answer".into());
            see.workload.production = Production::NotPinned("2 digests in 3 pods".into());
        });
        case.gives(told);
    }
}

#[test]
fn a_canary_lost_to_its_node_is_made_again_twice() {
    let trouble = || Some(Trouble::LostToNode("drained".into()));
    for recreated in [0, 1] {
        let case = launched(starting(trouble())).run(|run| run.recreated = recreated).now(30);
        let again = Run { id: "2-1767225630".into(), recreated: recreated + 1, began: at(30), ..run() };
        let record = case.store(|record| {
            record.runs = 2;
            record.state = State::Launching(again);
        });
        case.gives(case.soon(Phase::Launching, Because::Recreating(new(), recreated + 1), [record, delete()]));
    }
    let leaving = launched(Canary { terminating: true, ..starting(trouble()) });
    leaving.gives(leaving.soon(Phase::Launching, Because::CanaryInTheWay, []));
    let case = launched(starting(trouble())).run(|run| run.recreated = 2).now(30);
    case.gives(case.inconclusive(Obstacle::Lost(3)));
}
