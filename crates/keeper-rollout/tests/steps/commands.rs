//! A person's word (rules 1, 5, 10): on one revision alone, and once.

use crate::case::*;
use keeper_rollout::*;

fn used(step: Step, commands: &[Command]) -> Step {
    let mut step = step;
    for order in &mut step.orders {
        if let Order::Record(record) = order {
            record.used.extend_from_slice(commands);
        }
    }
    step
}

fn abort() -> Command {
    Command::new(Verb::Abort, "sha256:bbbbbbbbbbbb too slow")
}

#[test]
fn abort_ends_what_runs() {
    for case in [launching(), launching().see(|see| see.canary = Some(starting(None))), incubating(225)] {
        let case = case.see(|see| see.workload.commands = vec![abort()]);
        case.gives(used(case.rejected(Fault::AbortedByPerson), &[abort()]));
        let paused = case.see(|see| see.workload.paused = true);
        paused.gives(used(paused.rejected(Fault::AbortedByPerson), &[abort()]));
    }
}

#[test]
fn a_command_that_does_not_count_changes_nothing() {
    let quiet = incubating(225).now(500).step();
    for verb in [Verb::Abort, Verb::Promote, Verb::Retry] {
        for value in ["", "sha256:cccccccccccc", "sha256:bbbb", "yes", "#1"] {
            incubating(225).now(500).command(verb, value).gives(quiet.clone());
        }
    }
    let after = incubating(225).now(500).see(|see| see.workload.commands = vec![abort()]);
    after.record(|record| record.used = vec![abort()]).gives(quiet);
}

#[test]
fn promote_waits_for_ready() {
    let case = launching().see(|see| see.canary = Some(starting(None))).command(Verb::Promote, new().as_str());
    case.gives(case.soon(Phase::Launching, Because::WaitingForReady(None), []));
    let gone = Canary { ready: false, ..canary() };
    let case = incubating(0).see(|see| see.canary = Some(gone)).command(Verb::Promote, new().as_str());
    case.gives(case.soon(Phase::Incubating, Because::NotReady, []));
}

fn commanded() -> Case {
    incubating(0).command(Verb::Promote, new().as_str()).now(30)
}

#[test]
fn promote_skips_the_rest_of_the_time_and_unknown() {
    type Change = fn(&mut Observation);
    let lights: [Change; 3] = [
        |_| (),
        |see| see.signals = vec![unknown(not_measured())],
        |see| see.canary.as_mut().unwrap().reachable = Reach::Missing(vec!["shop".into()]),
    ];
    for light in lights {
        let case = commanded().see(light);
        let read = [Order::Read(Afresh::Production)];
        case.gives(case.soon(Phase::Incubating, Because::ReadingAfresh, read));
        let case = case.see(|see| see.read = Read::Production);
        let record = case.store(|record| {
            record.state = State::Promoting(run(), Sending { proof: Proof::Person, since: at(30), ..sending() });
            record.used = vec![Command::new(Verb::Promote, new().as_str())];
        });
        let because = Because::Promoting(new(), Proof::Person);
        case.gives(case.soon(Phase::Promoting, because, [record, promote(), delete()]));
    }
}

#[test]
fn promote_does_not_skip_unhealthy() {
    let promote = Command::new(Verb::Promote, new().as_str());
    let case = commanded().see(|see| see.signals = vec![unhealthy()]);
    let fault = Fault::Unhealthy { signal: "httpErrorRate".into(), evidence: evidence() };
    case.gives(used(case.rejected(fault), std::slice::from_ref(&promote)));
    let case = commanded().alerted();
    case.gives(used(case.rejected(Fault::Alert(alert())), &[promote]));
}

#[test]
fn promote_waits_for_the_end_of_a_pause() {
    let case = commanded().see(|see| see.workload.paused = true);
    case.gives(case.soon(Phase::Incubating, Because::Paused(new()), []));
}

#[test]
fn commands_of_a_workload_taken_back_are_not_heard() {
    let case = commanded().see(|see| see.workload.opted_in = false);
    case.gives(case.settled(Because::OptedOut));
}

fn rejected() -> Case {
    let told = ended_as("Rejected").told;
    idle().record(|record| {
        record.state = State::Rejected(ended_as("Rejected"));
        record.ledger.extend([entry(EntryKind::Rejected, told)]);
    })
}

#[test]
fn retry_forgets_a_rejection_once() {
    let case = rejected().command(Verb::Retry, "bbbbbbbbbbbb0000");
    let after = case.store(|record| {
        record.state = State::Settled;
        record.ledger.clear();
        record.used = vec![Command::new(Verb::Retry, "bbbbbbbbbbbb0000")];
    });
    case.gives(case.soon(Phase::Settled, Because::Retried(new()), [after]));
    let again = case.record(|record| record.used = vec![Command::new(Verb::Retry, "bbbbbbbbbbbb0000")]);
    again.gives(again.rest(Phase::Rejected, Because::Still(ended_as("Rejected").told)));
}

#[test]
fn retry_forgets_that_it_could_not_be_judged() {
    let states = [
        State::Inconclusive(ended_as("Inconclusive"), at(600)),
        State::Held(ended_as("Inconclusive"), Hold::Inconclusive),
    ];
    for state in states {
        let case = idle().command(Verb::Retry, new().as_str()).record(|record| {
            record.state = state;
            record.tried = Some((new(), 4));
        });
        let after = case.store(|record| {
            record.state = State::Settled;
            record.tried = None;
            record.used = vec![Command::new(Verb::Retry, new().as_str())];
        });
        case.gives(case.soon(Phase::Settled, Because::Retried(new()), [after]));
    }
}

#[test]
fn retry_of_another_revision_leaves_what_runs_alone() {
    let told = ended_as("Rejected").told;
    let case = incubating(225).command(Verb::Retry, next().as_str()).record(|record| {
        record.ledger.insert(next(), Entry { kind: EntryKind::Rejected, told });
    });
    let after = case.store(|record| {
        record.ledger.clear();
        record.used = vec![Command::new(Verb::Retry, next().as_str())];
    });
    case.gives(case.soon(Phase::Incubating, Because::Retried(next()), [after]));
}

fn rolled_back(number: u64) -> Case {
    let told = ended_as("RolledBack").told;
    idle().record(|record| {
        record.state = State::Held(ended_as("RolledBack"), Hold::RolledBack);
        record.ledger.extend([entry(EntryKind::RolledBack, told)]);
        record.rolled_back.insert(new(), number);
    })
}

#[test]
fn after_a_rollback_only_the_number_of_that_rollback_counts() {
    for value in ["", "#1", "#3", "#x"] {
        let case = rolled_back(2).command(Verb::Retry, &format!("{}{value}", new()));
        case.gives(case.rest(Phase::Held, Because::Still(ended_as("RolledBack").told)));
    }
    let case = rolled_back(2).command(Verb::Retry, &format!("{}#2", new()));
    let after = case.store(|record| {
        record.state = State::Settled;
        record.ledger.clear();
        record.used = vec![Command::new(Verb::Retry, format!("{}#2", new()))];
    });
    case.gives(case.soon(Phase::Settled, Because::Retried(new()), [after]));
}

#[test]
fn an_old_promote_means_nothing_after_a_rollback() {
    let case = commanded().record(|record| {
        record.rolled_back.insert(new(), 1);
    });
    assert!(matches!(case.step().because, Because::Watching { .. }));
    let numbered = format!("{}#1", new());
    let case = incubating(0).command(Verb::Promote, &numbered).record(|record| {
        record.rolled_back.insert(new(), 1);
    });
    assert_eq!(case.step().because, Because::ReadingAfresh);
}

#[test]
fn promote_does_not_skip_the_ledger() {
    let told = ended_as("Rejected").told;
    let case = commanded().record(|record| record.ledger.extend([entry(EntryKind::Rejected, told)]));
    assert!(matches!(case.step().because, Because::Watching { .. }));
}

/// A trace of the model: a retry that was given while the canary ran lifted the rejection the moment it was recorded.
#[test]
fn what_was_said_before_a_rejection_does_not_lift_it() {
    let retry = Command::new(Verb::Retry, new().as_str());
    let promote = Command::new(Verb::Promote, new().as_str());
    let other = Command::new(Verb::Abort, next().as_str());
    let case = incubating(225).alerted();
    let case = case.see(|see| see.workload.commands = vec![promote.clone(), other, retry.clone()]);
    case.gives(used(case.rejected(Fault::Alert(alert())), &[promote, retry]));
}
