//! The stories.

use crate::world::*;
use insta::assert_snapshot;
use keeper_rollout::*;

const HOUR: i64 = 3600;

#[test]
fn a_good_release() {
    assert_snapshot!(world().tag(10, GOOD).tell(HOUR));
}

#[test]
fn a_good_release_that_rests_on_silence() {
    let mut world = world();
    world.says = None;
    assert_snapshot!(world.tag(10, GOOD).tell(HOUR));
}

#[test]
fn bad_by_an_alert() {
    let tag_again = |world: World| world.tag(900, OLD).tag(1000, BAD);
    assert_snapshot!(tag_again(world().tag(10, BAD).alert(200)).tell(HOUR));
}

#[test]
fn bad_by_a_signal() {
    let world = world().tag(10, BAD).at(120, "errors come up", |world| world.says = Some(unhealthy()));
    assert_snapshot!(world.tell(HOUR));
}

#[test]
fn never_ready() {
    let mut world = world();
    world.ready_after = None;
    assert_snapshot!(world.tag(10, BAD).tell(HOUR));
}

#[test]
fn it_exits() {
    let world = world().tag(10, BAD).at(20, "the container exits", |world| {
        world.canary.as_mut().unwrap().trouble = Some(Trouble::Restarted("exit code 1, 1 restart".into()));
    });
    assert_snapshot!(world.tell(HOUR));
}

#[test]
fn no_such_image() {
    let mut world = world();
    world.ready_after = None;
    world.trouble = Some(Trouble::ImageNotFound("registry.example/shop@sha256:bad: 404 MANIFEST_UNKNOWN".into()));
    assert_snapshot!(world.tag(10, BAD).tell(HOUR));
}

#[test]
fn dead_metrics() {
    let mut world = world();
    world.says = Some(dead());
    world.plan.retry_after.truncate(1);
    assert_snapshot!(world.tag(10, GOOD).tell(2 * HOUR));
}

#[test]
fn no_room_for_it_until_a_person_makes_some() {
    let mut world = world();
    world.ready_after = None;
    world.trouble = Some(Trouble::NotScheduled("0/3 nodes are available: insufficient cpu".into()));
    let world = world.tag(10, GOOD).at(4 * HOUR, "a node is added", |world| {
        world.ready_after = Some(20);
        world.trouble = None;
    });
    assert_snapshot!(world.command(4 * HOUR + 60, Verb::Retry, GOOD).tell(6 * HOUR));
}

#[test]
fn superseded() {
    assert_snapshot!(world().tag(10, BAD).tag(200, GOOD).tell(HOUR));
}

#[test]
fn taken_back_and_shipped_again() {
    let world = world()
        .tag(10, GOOD)
        .at(1200, "kubectl rollout undo", |world| world.set_image(OLD))
        .command(1500, Verb::Retry, GOOD)
        .command(1600, Verb::Retry, "sha256:600d600d600d#1 checked by hand");
    assert_snapshot!(world.tell(2 * HOUR));
}

#[test]
fn taken_back_while_the_tag_is_elsewhere() {
    let world = world()
        .tag(10, GOOD)
        .tag(1200, OLD)
        .at(1200, "kubectl rollout undo", |world| world.set_image(OLD))
        .tag(1800, GOOD);
    assert_snapshot!(world.tell(HOUR));
}

#[test]
fn killed_before_the_patch() {
    let mut world = world();
    world.crash = Some(Crash::BeforePatch);
    assert_snapshot!(world.tag(10, GOOD).tell(HOUR));
}

#[test]
fn killed_after_the_patch() {
    let mut world = world();
    world.crash = Some(Crash::AfterPatch);
    assert_snapshot!(world.tag(10, GOOD).tell(HOUR));
}

#[test]
fn killed_before_the_patch_and_then_an_alert() {
    let mut world = world();
    world.crash = Some(Crash::BeforePatch);
    assert_snapshot!(world.tag(10, BAD).alert(935).tell(HOUR));
}

#[test]
fn a_stuck_rollout_that_completes_at_last() {
    let mut world = world();
    world.rollout_takes = None;
    let world = world.tag(10, GOOD).alert(1000).at(1600, "its progress deadline passes", |world| {
        world.workload.rollout = Rollout::Stuck("ProgressDeadlineExceeded".into());
    });
    let world = world.at(2 * HOUR, "a node is added", |world| world.workload.rollout = Rollout::Complete);
    assert_snapshot!(world.tell(3 * HOUR));
}

#[test]
fn a_stuck_rollout_left_by_a_newer_image() {
    let mut world = world();
    world.rollout_takes = None;
    let world = world.tag(10, BAD).at(1600, "its progress deadline passes", |world| {
        world.workload.rollout = Rollout::Stuck("ProgressDeadlineExceeded".into());
        world.rollout_takes = Some(60);
    });
    assert_snapshot!(world.tag(2000, GOOD).tell(2 * HOUR));
}

#[test]
fn promoted_by_a_person() {
    let mut world = world();
    world.says = Some(dead());
    let world = world.command(12, Verb::Promote, "600d600d600d the metrics are known to be down");
    assert_snapshot!(world.tag(10, GOOD).tell(HOUR));
}

#[test]
fn aborted_by_a_person() {
    assert_snapshot!(world().tag(10, GOOD).command(300, Verb::Abort, GOOD).tell(HOUR));
}

#[test]
fn paused_and_resumed() {
    let pause = |paused: bool| move |world: &mut World| world.workload.paused = paused;
    let world = world()
        .at(5, "paused", pause(true))
        .tag(10, GOOD)
        .at(100, "resumed", pause(false))
        .at(600, "paused", pause(true))
        .at(1200, "resumed", pause(false));
    assert_snapshot!(world.tell(HOUR));
}

#[test]
fn the_operator_restarts_and_metrics_fail_once() {
    let world = world()
        .tag(10, GOOD)
        .at(400, "the operator restarts", World::restart)
        .at(500, "one look fails", |world| world.says = Some(dead()))
        .at(506, "it measures again", |world| world.says = Some(healthy()));
    assert_snapshot!(world.tell(HOUR));
}

#[test]
fn somebody_edits_production() {
    let world = world().tag(10, GOOD).at(300, "kubectl set env", |world| {
        world.workload.template = "t2".into();
        world.roll_out();
    });
    assert_snapshot!(world.tell(HOUR));
}

#[test]
fn the_owner_takes_it_back() {
    let world = world().tag(10, GOOD).at(300, "the label is removed", |world| world.workload.opted_in = false);
    assert_snapshot!(world.tell(HOUR));
}

#[test]
fn its_node_is_drained() {
    let drain =
        |world: &mut World| world.canary.as_mut().unwrap().trouble = Some(Trouble::LostToNode("drained".into()));
    assert_snapshot!(world().tag(10, GOOD).at(300, "its node is drained", drain).tell(HOUR));
}

#[test]
fn it_loses_ready_for_a_while() {
    let unready = |world: &mut World| world.canary.as_mut().unwrap().ready = false;
    let ready = |world: &mut World| world.canary.as_mut().unwrap().ready = true;
    let world = world().tag(10, GOOD).at(600, "Ready is lost", unready).at(640, "Ready is back", ready);
    assert_snapshot!(world.tell(HOUR));
}
