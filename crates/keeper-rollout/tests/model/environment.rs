//! What happens: operators, what the cluster does by itself, and what people and misfortune do to it.

use crate::config::{Config, Event, Off, Views};
use crate::operator::Brain;
use crate::server;
use crate::world::{
    ABORT, Bad, Canary, DIGESTS, Kind, Pending, Record, Request, Rollout, State, VERBS, View, Watch, Workload, command,
};
use keeper_rollout::Verb;

/// One thing that happens, as traces tell it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Action {
    /// One object of an operator's view catches up.
    Sees(usize, Object),
    /// An operator decides.
    Decides(usize),
    /// An order of an operator is carried out.
    CarriesOut(usize, Request),
    ReplyLost(usize, Request),
    GivesUpOn(usize, Request),
    Crashes(usize),
    /// A request that was given up on takes effect.
    TakesEffectLate(Request),
    TimeGoesOn,
    ReplicaSetSynced,
    RolloutCompletes,
    CanaryReady,
    CanaryGone,
    TagMoves(u8),
    TemplateEdited,
    Scaled,
    Undone {
        digest: u8,
        template: u8,
    },
    ImageSet(u8),
    AlertStored,
    CanaryRestarts,
    CanaryLosesReady,
    CanaryDeletedBySomebody,
    CanaryExpires,
    Commanded(Verb, u8),
    OptsOut,
    OptsIn,
    Pauses,
    Resumes,
    RolloutStuck,
    DeadlinePasses,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Object {
    Workload,
    Canary,
    Record,
    Tag,
}

/// Every state that may follow, operators first: shortest traces then read naturally.
pub fn next(brain: &mut Brain<'_>, state: &State, out: &mut Vec<(Action, State)>) {
    let config = brain.config;
    let mut push = |action: Action, mut after: State| {
        after.rank(config);
        if after != *state {
            out.push((action, after));
        }
    };
    for operator in 0..config.operators {
        operator_acts(brain, state, operator, &mut push);
    }
    if !state.late.is_empty() {
        let mut after = State { late: Pending::default(), ..*state };
        server::commit(config, &mut after, state.late);
        push(Action::TakesEffectLate(state.late.list[0]), after);
    }
    cluster_acts(config, state, &mut push);
    if state.canary.ready {
        let mut after = *state;
        time_goes_on(&mut after);
        push(Action::TimeGoesOn, after);
    }
    people_act(config, state, &mut push);
    person_commands(config, state, &mut push);
    misfortune(config, state, &mut push);
}

type Push<'a> = &'a mut dyn FnMut(Action, State);

fn operator_acts(brain: &mut Brain<'_>, state: &State, index: usize, push: Push<'_>) {
    let config = brain.config;
    let operator = &state.operators[index];
    if config.views == Views::Each {
        catch_up(state, index, push);
    }
    let first = operator.pending.list[0];
    if operator.pending.is_empty() {
        let mut after = *state;
        brain.think(&mut after, index);
        push(Action::Decides(index), after);
    } else {
        let mut after = *state;
        brain.carry_out(&mut after, index);
        push(Action::CarriesOut(index, first), after);
        let writes = !matches!(first, Request::ReadProduction | Request::ReadRecord);
        if let Some(mut after) = spend(state, Event::LostReply).filter(|_| writes) {
            server::commit(config, &mut after, operator.pending);
            after.operators[index].pending = Pending::default();
            push(Action::ReplyLost(index, first), after);
        }
        if let Some(mut after) = spend(state, Event::LateRequest).filter(|_| writes && state.late.is_empty()) {
            after.late = operator.pending.first();
            after.operators[index].pending = Pending::default();
            push(Action::GivesUpOn(index, first), after);
        }
    }
    if let Some(mut after) = spend(state, Event::Crash) {
        after.restart(index);
        push(Action::Crashes(index), after);
    }
}

fn catch_up(state: &State, index: usize, push: Push<'_>) {
    let truth = state.truth();
    let mut see = |object: Object, change: fn(&mut View, &View)| {
        let mut after = *state;
        change(&mut after.operators[index].view, &truth);
        push(Action::Sees(index, object), after);
    };
    see(Object::Workload, |view, truth| view.workload = truth.workload);
    see(Object::Canary, |view, truth| view.canary = truth.canary);
    see(Object::Record, |view, truth| view.record = truth.record);
    see(Object::Tag, |view, truth| view.tag = truth.tag);
}

/// One less of that event, if there is one left.
fn spend(state: &State, event: Event) -> Option<State> {
    let mut after = *state;
    let left = &mut after.budget[event as usize];
    *left = left.checked_sub(1)?;
    Some(after)
}

/// What the cluster does by itself.
fn cluster_acts(config: &Config, state: &State, push: Push<'_>) {
    let (workload, canary) = (&state.workload, &state.canary);
    let mut synced = *state;
    sync_replica_set(config, &mut synced);
    push(Action::ReplicaSetSynced, synced);
    if workload.rollout == Rollout::Progressing && workload.observed {
        push(Action::RolloutCompletes, with_rollout(state, Rollout::Complete));
    }
    if canary.exists() && canary.terminating {
        let mut after = State { canary: Canary::default(), ..*state };
        after.observer.ready_for = 0;
        push(Action::CanaryGone, after);
    }
    if canary.stays() && !canary.ended && !canary.restarted && !canary.ready {
        push(Action::CanaryReady, State { canary: Canary { ready: true, ..*canary }, ..*state });
    }
}

fn with_rollout(state: &State, rollout: Rollout) -> State {
    let workload = Workload { rollout, version: state.workload.version + 1, ..state.workload };
    State { workload, ..*state }
}

/// The ReplicaSet of what the workload asks for exists and has copied its annotations.
fn sync_replica_set(config: &Config, state: &mut State) {
    let workload = &mut state.workload;
    let set = &mut state.replica_sets[usize::from(workload.digest * 2 + workload.template)];
    set.exists = true;
    if config.off == Off::StampIsLabel && workload.stamp > 0 {
        set.stamp = workload.stamp;
    }
    for (kept, standing) in set.commands.iter_mut().zip(workload.commands) {
        if standing > 0 {
            *kept = standing;
        }
    }
    if !workload.observed {
        workload.observed = true;
        workload.version += 1;
    }
}

/// One look interval passes. Who didn't look has a gap in its watch.
pub fn time_goes_on(state: &mut State) {
    if !state.canary.ready {
        return;
    }
    state.observer.ready_for = (state.observer.ready_for + 1).min(2);
    for operator in &mut state.operators {
        operator.watch =
            if operator.watch.looked { Watch { looked: false, ..operator.watch } } else { Watch::default() };
    }
}

/// Everything that the cluster does by itself has happened.
pub fn settle(config: &Config, state: &mut State) {
    loop {
        let mut after = None;
        cluster_acts(config, state, &mut |_, next| {
            if next != *state {
                after.get_or_insert(next);
            }
        });
        match after {
            Some(next) => *state = next,
            None => return,
        }
    }
}

fn people_act(config: &Config, state: &State, push: Push<'_>) {
    if let Some(after) = spend(state, Event::Tag) {
        for tag in (0..DIGESTS as u8).filter(|tag| *tag != state.tag) {
            push(Action::TagMoves(tag), State { tag, ..after });
        }
    }
    if let Some(mut after) = spend(state, Event::Edit) {
        touch(&mut after);
        after.workload.template ^= 1;
        push(Action::TemplateEdited, after);
    }
    if let Some(mut after) = spend(state, Event::Scale) {
        after.workload.generation += 1;
        after.workload.version += 1;
        push(Action::Scaled, after);
    }
    if let Some(after) = spend(state, Event::Undo) {
        undo(config, &after, push);
    }
    if let Some(after) = spend(state, Event::SetImage) {
        for digest in (0..2).filter(|digest| *digest != state.workload.digest) {
            let mut after = after;
            touch(&mut after);
            leave(&mut after, digest);
            push(Action::ImageSet(digest), after);
        }
    }
    switch(state, Event::OptOut, push);
    switch(state, Event::Pause, push);
}

fn touch(state: &mut State) {
    state.workload.generation += 1;
    state.workload.version += 1;
    state.workload.rollout = Rollout::Progressing;
    state.workload.observed = false;
}

/// Production leaves what it runs, by a person's hand.
fn leave(state: &mut State, to: u8) {
    let digest = std::mem::replace(&mut state.workload.digest, to);
    if digest == to {
        return;
    }
    let observer = &mut state.observer;
    observer.left |= 1 << digest;
    if observer.ours == digest + 1 {
        observer.undone |= 1 << digest;
        observer.undone_after[usize::from(digest)] = observer.commands;
        observer.ours = 0;
    }
}

/// `kubectl rollout undo`: template and annotations of an older ReplicaSet come back; labels stay.
fn undo(config: &Config, state: &State, push: Push<'_>) {
    for (index, set) in state.replica_sets.iter().enumerate().filter(|(_, set)| set.exists) {
        let (digest, template) = ((index / 2) as u8, (index % 2) as u8);
        if (digest, template) == (state.workload.digest, state.workload.template) {
            continue;
        }
        let mut after = *state;
        touch(&mut after);
        leave(&mut after, digest);
        after.workload.template = template;
        after.workload.commands = set.commands;
        if config.off == Off::StampIsLabel {
            after.workload.stamp = set.stamp;
        }
        push(Action::Undone { digest, template }, after);
    }
}

/// Off, and back if the budget says two.
fn switch(state: &State, event: Event, push: Push<'_>) {
    let Some(mut after) = spend(state, event) else { return };
    let workload = &mut after.workload;
    workload.version += 1;
    let action = match event {
        Event::OptOut => {
            workload.opted_in = !workload.opted_in;
            if workload.opted_in { Action::OptsIn } else { Action::OptsOut }
        }
        _ => {
            workload.paused = !workload.paused;
            if workload.paused { Action::Pauses } else { Action::Resumes }
        }
    };
    push(action, after);
}

/// A person gives a command for a digest, with the number that the reason shows at that moment.
fn person_commands(config: &Config, state: &State, push: Push<'_>) {
    let Some(after) = spend(state, Event::Command) else { return };
    let tag_moves = config.budget[Event::Tag as usize] > 0;
    for (verb, name) in VERBS.iter().enumerate().filter(|(_, verb)| config.verbs.contains(verb)) {
        for digest in (1..=2_u8).filter(|digest| *digest == 1 || tag_moves) {
            let mut after = after;
            let number = state.record.rolled_back[usize::from(digest)];
            after.workload.commands[verb] = command::code(digest, number, state.observer.commands);
            after.workload.version += 1;
            after.observer.commands += 1;
            if verb != ABORT {
                forgive(&mut after, digest);
            }
            push(Action::Commanded(*name, digest), after);
        }
    }
}

/// Whoever commands it, having been told that it was taken back, wants it again.
fn forgive(state: &mut State, digest: u8) {
    state.observer.alerted &= !(1 << digest);
    if state.record.ledger[usize::from(digest)] == Bad::RolledBack {
        state.observer.undone &= !(1 << digest);
    }
}

fn misfortune(config: &Config, state: &State, push: Push<'_>) {
    let (canary, record) = (&state.canary, &state.record);
    if canary.exists()
        && record.at.is_live()
        && !record.alert
        && let Some(mut after) = spend(state, Event::Alert)
    {
        after.record.alert = true;
        after.record.version += 1;
        if record.at != crate::world::At::Promoting {
            after.observer.alerted |= 1 << record.digest;
        }
        push(Action::AlertStored, after);
    }
    if canary.stays() && !canary.ended {
        canary_suffers(state, push);
    }
    if state.workload.rollout == Rollout::Progressing
        && state.workload.observed
        && let Some(after) = spend(state, Event::Stuck)
    {
        push(Action::RolloutStuck, with_rollout(&after, Rollout::Stuck));
    }
    if record.at.is_live()
        && !record.overdue
        && let Some(mut after) = spend(state, Event::Wait)
    {
        deadline_passes(config, &mut after);
        push(Action::DeadlinePasses, after);
    }
}

fn canary_suffers(state: &State, push: Push<'_>) {
    let mut suffers = |event: Event, action: Action, canary: Canary| {
        if let Some(mut after) = spend(state, event) {
            after.canary = Canary { ready: false, ..canary };
            after.observer.ready_for = 0;
            push(action, after);
        }
    };
    let canary = state.canary;
    if canary.ready {
        suffers(Event::Restart, Action::CanaryRestarts, Canary { restarted: true, ..canary });
        suffers(Event::Flap, Action::CanaryLosesReady, Canary { epoch: canary.epoch + 1, ..canary });
    }
    suffers(Event::PodDelete, Action::CanaryDeletedBySomebody, Canary { terminating: true, ..canary });
    suffers(Event::Expire, Action::CanaryExpires, Canary { ended: true, ..canary });
}

/// Deadlines count from what the record holds, so they pass in every copy of it; and nobody looked meanwhile.
fn deadline_passes(config: &Config, state: &mut State) {
    let passes = |record: &mut Record| record.overdue |= record.at.is_live();
    passes(&mut state.record);
    passes(&mut state.late.store);
    for operator in &mut state.operators[..config.operators] {
        passes(&mut operator.view.record);
        passes(&mut operator.pending.store);
        operator.watch = Watch::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Start;

    #[test]
    fn ids_are_ranked() {
        let config = Config::new("ranked", Start::Incubating);
        let mut state = State::start(&config);
        state.workload.version = 7;
        state.canary.uid = 9;
        let mut other = state;
        other.workload.version = 3;
        other.canary.uid = 2;
        state.rank(&config);
        other.rank(&config);
        assert_eq!(state, other);
        assert_eq!(state.fresh(Kind::Uid), state.canary.uid + 1);
    }
}
