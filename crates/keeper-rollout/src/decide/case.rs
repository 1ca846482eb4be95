use crate::guard::{Guard, Guards};
use crate::names::{Revision, Uid};
use crate::observation::{Canary, Observation, Read};
use crate::record::{Ended, EntryKind, Hold, Record, Run, State, Told};
use crate::{Afresh, Because, Command, Fault, Obstacle, OnInconclusive, Order, Plan, Step, Verb};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// One question to the core, with the words that all parts of the answer share.
pub(super) struct Case<'a> {
    pub(super) guards: Guards,
    pub(super) plan: &'a Plan,
    pub(super) record: &'a Record,
    pub(super) absent: bool,
    pub(super) see: &'a Observation,
    pub(super) now: Timestamp,
}

impl Case<'_> {
    /// Nothing to do until something changes.
    pub(super) fn rest(&self, because: Because) -> Step {
        Step { phase: self.record.state.phase(), orders: Vec::new(), wake_at: None, because, watch: None }
    }

    /// Nothing to do before the next look.
    pub(super) fn wait(&self, because: Because) -> Step {
        Step { wake_at: Some(later(self.now, self.plan.look_interval)), ..self.rest(because) }
    }

    /// Store this record, and then do that.
    pub(super) fn write(&self, record: Record, because: Because, then: impl IntoIterator<Item = Order>) -> Step {
        let phase = record.state.phase();
        let orders = std::iter::once(Order::Record(Box::new(record))).chain(then).collect();
        Step { phase, orders, wake_at: Some(later(self.now, self.plan.look_interval)), because, watch: None }
    }

    /// Ask the server before going on.
    pub(super) fn read(&self, what: Afresh, because: Because) -> Step {
        Step { orders: vec![Order::Read(what)], watch: self.see.watch.clone(), ..self.wait(because) }
    }

    /// The attempt ends without an outcome worth remembering.
    pub(super) fn settle(&self, because: Because) -> Step {
        let record = Record { state: State::Settled, ..self.record.clone() };
        self.end(record, because)
    }

    /// The attempt ends: the revision is bad.
    pub(super) fn reject(&self, run: &Run, fault: Fault) -> Step {
        let (record, because) = self.rejected(run, fault);
        self.end(record, because)
    }

    pub(super) fn rejected(&self, run: &Run, fault: Fault) -> (Record, Because) {
        let because = Because::Rejected(run.revision.clone(), fault);
        let told = Told::of(&because, self.now);
        let mut record = self.record.clone();
        record.state = State::Rejected(Ended { revision: run.revision.clone(), told: told.clone() });
        record.tried = None;
        // What a person said of it before it was rejected doesn't speak of the rejection.
        for command in self.standing().filter(|command| command.means(&run.revision)) {
            record.use_up(command);
        }
        record.enter(&run.revision, EntryKind::Rejected, told);
        (record, because)
    }

    /// The attempt ends without a verdict.
    pub(super) fn inconclusive(&self, run: &Run, obstacle: Obstacle) -> Step {
        let (record, because) = self.not_judged(&run.revision, Some(run), obstacle);
        self.end(record, because)
    }

    pub(super) fn not_judged(&self, revision: &Revision, run: Option<&Run>, obstacle: Obstacle) -> (Record, Because) {
        if let (OnInconclusive::Reject, Some(run)) = (self.plan.on_inconclusive, run) {
            return self.rejected(run, Fault::NotJudged(Box::new(obstacle)));
        }
        let tries = self.record.tries_of(revision).saturating_add(1);
        let pause = self.plan.retry_after.get(usize::from(tries) - 1);
        let again = pause.map(|pause| later(self.now, *pause));
        let because = Because::Inconclusive { revision: revision.clone(), obstacle, again };
        let ended = Ended { revision: revision.clone(), told: Told::of(&because, self.now) };
        let mut record = self.record.clone();
        record.tried = Some((revision.clone(), tries));
        record.state = match again {
            Some(again) => State::Inconclusive(ended, again),
            None => State::Held(ended, Hold::Inconclusive),
        };
        (record, because)
    }

    /// The outcome is recorded, then the canary goes; where the store keeps refusing, the canary goes all the same.
    pub(super) fn end(&self, record: Record, because: Because) -> Step {
        let mut step = self.write(record, because, self.removal());
        if self.see.store_refuses {
            step.orders.reverse();
        }
        step
    }

    /// The removal of the canary that is seen, if one is there to be removed.
    pub(super) fn removal(&self) -> Option<Order> {
        self.see.canary.as_ref().filter(|canary| !canary.terminating).map(|c| Order::DeleteCanary(c.uid.clone()))
    }

    /// Removes a canary that the record, as we know it, names no live run of: only after the record was read.
    pub(super) fn discard(&self, uid: &Uid) -> Step {
        let read_first = self.guards.on(Guard::RecordBeforeDelete) && self.see.read != Read::Record;
        let step = self.wait(Because::CanaryInTheWay);
        let order = if read_first { Order::Read(Afresh::Record) } else { Order::DeleteCanary(uid.clone()) };
        Step { orders: vec![order], ..step }
    }

    /// The canary that is seen, if it is this run's.
    pub(super) fn mine(&self, run: &Run) -> Option<&Canary> {
        let by_run = self.guards.on(Guard::RunId);
        let mine = |c: &&Canary| !by_run || (c.run.as_ref() == Some(&run.id) && c.template_is(&run.template));
        self.see.canary.as_ref().filter(mine)
    }

    /// The commands that stand on the workload and haven't been acted upon.
    fn standing(&self) -> impl Iterator<Item = &Command> {
        let unused = |command: &&Command| self.see.workload.opted_in && !self.record.used.contains(command);
        self.see.workload.commands.iter().filter(unused)
    }

    /// The command of that verb that stands on the workload and hasn't been acted upon.
    pub(super) fn unused(&self, verb: Verb) -> Option<&Command> {
        self.standing().find(|command| command.verb == verb)
    }

    /// Whether the command carries the number that its revision needs since it was rolled back.
    pub(super) fn numbered(&self, command: &Command, revision: &Revision) -> bool {
        let needed = self.record.rolled_back.get(revision);
        !self.guards.on(Guard::RollbackNumber) || needed.is_none_or(|number| command.number() == Some(*number))
    }

    /// A person's abort of this run.
    pub(super) fn abort(&self, run: &Run) -> Option<&Command> {
        self.unused(Verb::Abort).filter(|command| command.means(&run.revision))
    }

    pub(super) fn passed(&self, since: Timestamp, span: Duration) -> bool {
        self.now >= later(since, span)
    }
}

impl Canary {
    fn template_is(&self, template: &crate::TemplateHash) -> bool {
        self.template.as_ref() == Some(template)
    }
}

/// That much later; the end of time where it would be beyond.
pub(super) fn later(at: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span).ok().and_then(|span| at.checked_add(span).ok()).unwrap_or(Timestamp::MAX)
}
