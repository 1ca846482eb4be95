//! The protocol, checked: the production [`step`](keeper_rollout::step) drives one workload through everything that may
//! happen to it.
//!
//! One or two operators with views as old as they like, replies that are lost, requests that take effect late, crashes;
//! a person who undoes, edits, scales, sets the image, gives commands, pauses and takes the workload back; tags that
//! move, alerts, restarts, lost readiness, deleted canaries, passed deadlines, stuck rollouts. Every state that can be
//! reached is looked at, breadth first, for what must [never happen](invariants::Violation); and from many of them the
//! world is left alone, to see that it comes to the right rest.
//!
//! The decisions are the crate's own: [`production`] turns an operator's view into an `Observation` and the `Step`'s
//! orders into requests. The rest of the world is modelled: [`server`] accepts and refuses, [`environment`] is
//! what happens. The guards of the protocol are switched off one at a time, and each must be missed.
//!
//! - `cargo test -p keeper-rollout --test model`: the first states of every configuration, and every ablation.
//! - `cargo test -p keeper-rollout --test model -- --include-ignored --nocapture`: all of it, in some five minutes.
//! - `KEEPER_MODEL_STATES=<n>` sets how many states of each configuration are expanded, `KEEPER_MODEL_ONLY=<words>`
//!   takes only the configurations whose name contains them.
//!
//! Bounds: three digests, two templates, one retry of an Inconclusive revision, one canary made again, each event once
//! or twice. Not in it: a record that is lost or damaged, a store or a server that refuses, signals beside alerts, a
//! deleted workload.

// A test may panic; and nothing here is seen from outside.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod config;
mod environment;
mod invariants;
mod operator;
mod production;
mod search;
mod server;
mod world;

use config::Event::{
    Alert, Command, Crash, Edit, Expire, Flap, LateRequest, LostReply, OptOut, Pause, PodDelete, Restart, Scale,
    SetImage, Stuck, Tag, Undo, Wait,
};
use config::Start::{Cold, Incubating, Promoted};
use config::Views::{Each, Fresh, Snapshot};
use config::{Config, Off};
use invariants::Violation;
use keeper_rollout::{Guard, Verb};
use search::{Bounds, Found, Goals, search};

/// Every configuration.
fn configurations() -> Vec<Config> {
    let new = Config::new;
    vec![
        new("misfortune", Cold).looks(2).once(&[Tag, Alert, Restart, Flap, PodDelete, Expire]),
        new("a person and lost replies", Cold).with(Tag, 2).once(&[Undo, Edit, Crash, LostReply]),
        new("a person at the last moment", Incubating).once(&[Undo, SetImage, Command, LateRequest]).with(OptOut, 2),
        new("an old view, two undos", Incubating).operators(1, Each).with(Undo, 2).once(&[Command]),
        new("two count time", Incubating).operators(2, Fresh).looks(2).once(&[Flap, Crash, LostReply, Restart]),
        new("two with old views", Incubating).operators(2, Each),
        new("two, undo and scale", Incubating).operators(2, Snapshot).once(&[Undo, Scale]),
        new("two, alert and late request", Incubating).operators(2, Snapshot).once(&[Alert, LateRequest]),
        new("after a promotion", Promoted).with(Tag, 2).once(&[Undo, Command, Stuck, Scale]),
        new("two, undo and late request", Incubating).operators(2, Fresh).once(&[Undo, LateRequest, Crash]),
        new("two, edit and tag", Incubating).operators(2, Snapshot).once(&[Edit, Tag]),
        new("two, opt-out and command", Incubating).operators(2, Snapshot).once(&[OptOut, Command]),
        new("two, deleted canary", Incubating).operators(2, Snapshot).once(&[PodDelete, LateRequest]),
        new("two, undo and lost reply", Incubating).operators(2, Snapshot).once(&[Undo, LostReply, Crash]),
        new("deadlines", Cold).looks(2).with(Wait, 2).once(&[Alert, PodDelete, LateRequest]),
        new("pause", Cold).with(Pause, 2).once(&[Tag, Alert, Command, LateRequest]),
        new("two, deadlines and pause", Incubating).operators(2, Snapshot).once(&[Wait, Pause, LateRequest]),
    ]
}

/// Larger ones, for the whole check alone.
fn larger() -> Vec<Config> {
    let new = Config::new;
    vec![
        new("two with old views, alert", Incubating).operators(2, Each).once(&[Alert]),
        new("two with old views, undo", Incubating).operators(2, Each).once(&[Undo]),
        new("two with old views, from cold", Cold).operators(2, Each).once(&[Restart]),
        new("two and a busy person", Incubating).operators(2, Snapshot).once(&[Undo, Edit, Command, Scale]),
        new("two, two late requests", Incubating).operators(2, Snapshot).with(LateRequest, 2).once(&[Alert, Crash]),
        new("two, after a promotion", Promoted).operators(2, Snapshot).with(Tag, 2).once(&[Undo, Command, Crash]),
        new("everything to the canary", Cold).looks(2).once(&[
            Alert,
            Restart,
            Flap,
            PodDelete,
            Expire,
            Wait,
            LateRequest,
        ]),
        new("a person, pause and opt-out", Incubating).with(Pause, 2).with(OptOut, 2).once(&[
            Undo,
            Command,
            LateRequest,
        ]),
    ]
}

fn run(config: &Config, bounds: Bounds) -> Found {
    let found = search(config, bounds);
    println!("{}", found.line(config));
    for (wrong, trace) in &found.wrong {
        println!("  {wrong:?} ({})\n{trace}", config.name);
    }
    found
}

/// Searches all configurations, two at a time, and asserts that nothing is wrong and everything is reached.
fn hold(configurations: &[Config], states: usize, fair: u64) {
    let states = std::env::var("KEEPER_MODEL_STATES").ok().map_or(states, |n| n.parse().expect("a number of states"));
    let bounds = Bounds { states, fair, until: None };
    let only = std::env::var("KEEPER_MODEL_ONLY").unwrap_or_default();
    let chosen = configurations.iter().filter(|config| config.name.contains(&only));
    let (first, second): (Vec<_>, Vec<_>) = chosen.enumerate().partition(|(index, _)| index % 2 == 0);
    let all = |some: Vec<(usize, &Config)>| some.into_iter().map(|(_, config)| run(config, bounds)).collect::<Vec<_>>();
    let found = std::thread::scope(|scope| {
        let other = scope.spawn(|| all(second));
        let mut found = all(first);
        found.extend(other.join().unwrap());
        found
    });
    let wrong: Vec<_> = found.iter().flat_map(|found| found.wrong.keys()).collect();
    assert!(wrong.is_empty(), "the protocol is broken: {wrong:?}; the traces are above");
    if !only.is_empty() {
        return;
    }
    let goals = found.iter().fold(Goals::default(), |goals, found| goals.and(found.goals));
    let all = Goals { promoted: true, rejected: true, rolled_back: true, inconclusive: true, held: true };
    assert_eq!(goals, all, "not everything was reached");
}

#[test]
fn the_protocol_holds() {
    hold(&configurations(), 250_000, 101);
}

#[test]
#[ignore = "some five minutes: `cargo xtask model`"]
fn the_protocol_holds_in_whole() {
    hold(&[configurations(), larger()].concat(), 3_000_000, 51);
}

/// With that guard off, the search must find that violation.
fn missed(config: &Config, expected: Violation) {
    let on = run(&config.clone().off(Off::Nothing), Bounds { states: 20_000, fair: 0, until: None });
    assert!(on.wrong.is_empty(), "{}: broken with all guards on", config.name);
    let off = run(config, Bounds { states: 400_000, fair: 0, until: Some(expected) });
    assert!(off.violated(expected), "{}: {expected:?} expected, {:?} found", config.name, off.wrong.keys());
}

fn ablation(name: &'static str, off: Off, start: config::Start) -> Config {
    Config::new(name, start).off(off)
}

const fn guard(guard: Guard) -> Off {
    Off::Guard(guard)
}

#[test]
fn without_the_fence_a_late_patch_lands() {
    let config = ablation("no fence", guard(Guard::Fence), Incubating).once(&[LateRequest, Alert]);
    missed(&config, Violation::PromotedUnrecorded);
}

#[test]
fn rolled_back_whatever_the_tag_names() {
    let config = ablation("tag decides", guard(Guard::RolledBackWhateverTheTag), Promoted).with(Tag, 2).once(&[Undo]);
    missed(&config, Violation::PromotedAfterUndo);
}

#[test]
fn two_operators_count_a_minute_once() {
    let config = ablation("no own watch", guard(Guard::OwnWatch), Incubating).operators(2, Fresh).looks(2);
    missed(&config, Violation::Unproved);
}

#[test]
fn readiness_lost_unseen_starts_at_zero() {
    let off = guard(Guard::ReadyTransition);
    missed(&ablation("no transition", off, Incubating).looks(2).once(&[Flap, Crash]), Violation::Unproved);
}

#[test]
fn a_canary_of_another_run_is_not_judged() {
    let config = ablation("no run id", guard(Guard::RunId), Cold).once(&[Edit, LateRequest]);
    missed(&config, Violation::Unproved);
}

#[test]
fn a_view_before_the_promotion_decides_nothing() {
    let config = ablation("any view", guard(Guard::NewerView), Incubating).operators(2, Each);
    missed(&config, Violation::FalseRolledBack);
}

#[test]
fn an_old_retry_lifts_nothing() {
    let config = ablation("no number for retry", guard(Guard::RollbackNumber), Incubating);
    missed(&config.once(&[Undo, Command]).verbs(&[Verb::Retry]), Violation::RetryByOldCommand);
}

#[test]
fn an_old_promote_skips_nothing() {
    let config = ablation("no number for promote", guard(Guard::RollbackNumber), Incubating);
    let config = config.once(&[Undo]).with(Command, 2).verbs(&[Verb::Promote, Verb::Retry]);
    missed(&config, Violation::OldCommandPromotes);
}

#[test]
fn a_record_is_stored_on_its_version() {
    let config = ablation("any version of the record", Off::StoreIsConditional, Incubating).once(&[Alert]);
    missed(&config, Violation::PromotedDespiteAlert);
}

#[test]
fn a_promotion_rests_on_the_record_it_is_conditional_on() {
    let config = ablation("any record", guard(Guard::VerdictOfThisRecord), Incubating).once(&[Alert]);
    missed(&config, Violation::PromotedDespiteAlert);
}

#[test]
fn a_canary_is_not_removed_on_an_old_record() {
    let config = ablation("no record read", guard(Guard::RecordBeforeDelete), Cold).operators(2, Each);
    missed(&config, Violation::DeletedLiveCanary);
}

#[test]
fn the_patch_tests_the_version() {
    let config = ablation("no test in the patch", Off::PatchTestsVersion, Incubating).once(&[OptOut]);
    missed(&config, Violation::PromotedAfterOptOut);
}

#[test]
fn the_stamp_survives_an_undo() {
    let config = ablation("stamp as annotation", Off::StampIsLabel, Incubating).once(&[Undo, LostReply]);
    missed(&config, Violation::PromotedTwice);
}

#[test]
fn a_canary_is_deleted_by_uid() {
    let config = ablation("delete by name", Off::DeleteByUid, Incubating);
    missed(&config.once(&[Tag, LateRequest]), Violation::DeletedLiveCanary);
}
