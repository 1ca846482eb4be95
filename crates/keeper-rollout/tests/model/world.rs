//! The abstract world: what the server holds, what each operator holds, and what only the observer knows.
//!
//! Everything is small, `Copy` and hashable. Ids are only ever compared, so every state is kept with its ids
//! [ranked](State::rank): loops close, and equal situations are equal states.

use crate::config::{Config, EVENTS, Start, Views};
use keeper_rollout::Verb;

/// An id: 0 is none.
pub type Id = u8;
/// A run id that is made up when the record which names it is stored.
pub const FRESH: Id = Id::MAX;
/// How many digests there are. The first is what production runs at the start.
pub const DIGESTS: usize = 3;

/// The production workload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Workload {
    pub generation: Id,
    pub version: Id,
    pub digest: u8,
    pub template: u8,
    /// The run id that the last promotion stamped on it.
    pub stamp: Id,
    /// The commands that stand on it, by verb; 0 is none. See [`command`].
    pub commands: [u8; 3],
    pub opted_in: bool,
    pub paused: bool,
    pub rollout: Rollout,
    /// Whether its controller has seen this generation.
    pub observed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Rollout {
    #[default]
    Complete,
    Progressing,
    Stuck,
}

/// What a ReplicaSet keeps of the workload's annotations, for an undo to bring back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct ReplicaSet {
    pub exists: bool,
    pub stamp: Id,
    pub commands: [u8; 3],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Canary {
    /// 0: there is none.
    pub uid: Id,
    pub digest: u8,
    pub template: u8,
    pub run: Id,
    pub ready: bool,
    /// How often Ready was lost: stands for its `lastTransitionTime`.
    pub epoch: u8,
    pub restarted: bool,
    pub terminating: bool,
    /// Killed by its own deadline.
    pub ended: bool,
}

impl Canary {
    pub fn exists(&self) -> bool {
        self.uid > 0
    }

    pub fn stays(&self) -> bool {
        self.exists() && !self.terminating
    }
}

/// States of a record, told apart as far as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum At {
    #[default]
    Settled,
    Launching,
    Incubating,
    Promoting,
    Rejected,
    Inconclusive,
    RolledBack,
    NotRolledOut,
    Undecided,
}

impl At {
    pub fn is_live(self) -> bool {
        matches!(self, Self::Launching | Self::Incubating | Self::Promoting)
    }
}

/// The record; fields without meaning in a phase are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Record {
    pub version: Id,
    pub at: At,
    pub digest: u8,
    pub template: u8,
    pub from: u8,
    pub run: Id,
    pub recreated: u8,
    pub alert: bool,
    /// Whether the deadline of this phase has passed.
    pub overdue: bool,
    pub canary: Id,
    pub epoch: u8,
    /// Observed time, in looks.
    pub observed: u8,
    pub noted_generation: Id,
    pub noted_version: Id,
    /// The command that a promotion rests on, or 0. Known to the observer alone.
    pub person: u8,
    pub ledger: [Bad; DIGESTS],
    /// The digest that we promoted last, and one.
    pub promoted: u8,
    pub floor: Id,
    pub rolled_back: [u8; DIGESTS],
    /// The digest last tried, and one; how often.
    pub tried: (u8, u8),
    /// Used commands, a bit per verb and value.
    pub used: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Bad {
    #[default]
    No,
    Rejected,
    RolledBack,
}

/// What an operator believes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct View {
    pub workload: Workload,
    pub canary: Canary,
    pub record: Record,
    pub tag: u8,
}

/// An operator's own unbroken watch, in looks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Watch {
    pub on: bool,
    pub canary: Id,
    pub epoch: u8,
    pub base: u8,
    pub looks: u8,
    /// Whether it looked since time last went on.
    pub looked: bool,
}

/// An order on its way to the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Request {
    #[default]
    None,
    ReadProduction,
    ReadRecord,
    /// Stores the record of the [`Pending`] it stands in.
    Store,
    Create {
        digest: u8,
        template: u8,
        run: Id,
    },
    Delete(Id),
    Promote {
        digest: u8,
        run: Id,
        version: Id,
        person: u8,
        /// Whether it was really proved when it was decided.
        proved: bool,
    },
    Fence {
        version: Id,
    },
}

/// Orders to be carried out one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Pending {
    pub list: [Request; 3],
    /// What a [`Request::Store`] stores; its version is the one it is conditional on.
    pub store: Record,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.list[0] == Request::None
    }

    /// Whether carrying it out needs the view it was decided on.
    fn reads(&self) -> bool {
        self.list.iter().any(|request| matches!(request, Request::ReadProduction | Request::ReadRecord))
    }

    /// The first order alone.
    pub fn first(&self) -> Self {
        let store = if self.list[0] == Request::Store { self.store } else { Record::default() };
        Self { list: [self.list[0], Request::None, Request::None], store }
    }

    /// What is left when the first order was carried out.
    pub fn rest(&self) -> Self {
        let store = if self.list[1..].contains(&Request::Store) { self.store } else { Record::default() };
        Self { list: [self.list[1], self.list[2], Request::None], store }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Operator {
    pub view: View,
    pub watch: Watch,
    pub pending: Pending,
}

/// What only the observer of the model knows, to judge by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Observer {
    /// A bit per [`Violation`](crate::invariants::Violation) seen.
    pub violations: u32,
    /// For how many looks the canary was really Ready, at most two.
    pub ready_for: u8,
    /// The run of the last accepted promotion.
    pub last_run: Id,
    /// Digests, as bits: ours and taken back by a person who didn't ask for them since.
    pub undone: u8,
    /// Left by production other than by us, since we promoted them.
    pub left: u8,
    /// The digest of our last promotion that stands, and one.
    pub ours: u8,
    /// An alert against it was stored before the point of no return.
    pub alerted: u8,
    /// Its restarted canary was removed before that was recorded.
    pub condemned: u8,
    /// How many commands had been given when it was undone.
    pub undone_after: [u8; DIGESTS],
    /// How many commands were given.
    pub commands: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub workload: Workload,
    /// By digest and template.
    pub replica_sets: [ReplicaSet; DIGESTS * 2],
    pub canary: Canary,
    pub record: Record,
    pub tag: u8,
    pub operators: [Operator; 2],
    /// A request whose sender gave up on it, still on its way.
    pub late: Pending,
    pub observer: Observer,
    /// How often each event may still happen.
    pub budget: [u8; EVENTS],
}

/// The value of a command: which digest, the number it carries, and which of all commands it is.
pub mod command {
    pub const VALUES: u8 = 12;

    pub fn code(digest: u8, number: u8, serial: u8) -> u8 {
        assert!((1..=2).contains(&digest) && number <= 2 && serial <= 1, "outside the bounds of the model");
        1 + (digest - 1) * 6 + number * 2 + serial
    }

    pub fn digest(code: u8) -> u8 {
        (code - 1) / 6 + 1
    }

    pub fn number(code: u8) -> u8 {
        (code - 1) % 6 / 2
    }

    pub fn serial(code: u8) -> u8 {
        (code - 1) % 2
    }

    pub fn bit(verb: usize, code: u8) -> u64 {
        1 << (verb as u64 * u64::from(VALUES) + u64::from(code - 1))
    }
}

pub const VERBS: [Verb; 3] = [Verb::Promote, Verb::Abort, Verb::Retry];
pub const PROMOTE: usize = 0;
pub const ABORT: usize = 1;

impl State {
    pub fn start(config: &Config) -> Self {
        let mut state = Self {
            workload: Workload { generation: 1, version: 1, opted_in: true, observed: true, ..Workload::default() },
            replica_sets: Default::default(),
            canary: Canary::default(),
            record: Record { version: 1, ..Record::default() },
            tag: 1,
            operators: Default::default(),
            late: Pending::default(),
            observer: Observer::default(),
            budget: config.budget,
        };
        state.replica_sets[0].exists = true;
        match config.start {
            Start::Cold => {}
            Start::Incubating => state.incubate(),
            Start::Promoted => state.promote(),
        }
        for operator in 0..config.operators {
            state.restart(operator);
        }
        state.rank(config);
        state
    }

    fn incubate(&mut self) {
        self.record = Record { at: At::Incubating, digest: 1, run: 1, canary: 1, ..self.record };
        self.canary = Canary { uid: 1, digest: 1, run: 1, ready: true, ..Canary::default() };
    }

    fn promote(&mut self) {
        self.workload = Workload { digest: 1, generation: 2, stamp: 1, ..self.workload };
        self.replica_sets[2] = ReplicaSet { exists: true, stamp: 1, commands: [0; 3] };
        self.record = Record { promoted: 2, floor: 1, ..self.record };
        self.observer = Observer { ours: 2, last_run: 1, ..self.observer };
    }

    /// What an operator would see if it looked at the server now.
    pub fn truth(&self) -> View {
        View { workload: self.workload, canary: self.canary, record: self.record, tag: self.tag }
    }

    /// An operator starts with nothing but what the server says.
    pub fn restart(&mut self, operator: usize) {
        self.operators[operator] = Operator { view: self.truth(), ..Operator::default() };
    }

    /// An id that nobody knows.
    pub fn fresh(&mut self, kind: Kind) -> Id {
        let mut highest = 0;
        self.each_id(&mut |k, id| {
            if k == kind {
                highest = highest.max(*id);
            }
        });
        highest + 1
    }

    /// Replaces every id by its rank among those of its kind.
    pub fn rank(&mut self, config: &Config) {
        let truth = self.truth();
        for operator in &mut self.operators[..config.operators] {
            match config.views {
                Views::Fresh => operator.view = truth,
                Views::Snapshot if !operator.pending.reads() => operator.view = View::default(),
                Views::Snapshot | Views::Each => {}
            }
        }
        let mut used = [1_u64; KINDS];
        self.each_id(&mut |kind, id| used[kind as usize] |= 1 << *id);
        self.each_id(&mut |kind, id| *id = (used[kind as usize] & ((1 << *id) - 1)).count_ones() as Id);
    }
}

/// The kinds of ids; each has its own order.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Generation,
    WorkloadVersion,
    RecordVersion,
    Uid,
    Run,
}

const KINDS: usize = 5;

type Visit<'a> = &'a mut dyn FnMut(Kind, &mut Id);

impl State {
    fn each_id(&mut self, visit: Visit<'_>) {
        let visit: Visit<'_> = &mut |kind, id| {
            if *id != FRESH {
                visit(kind, id);
            }
        };
        self.workload.each_id(visit);
        self.canary.each_id(visit);
        self.record.each_id(visit);
        self.late.each_id(visit);
        for set in &mut self.replica_sets {
            visit(Kind::Run, &mut set.stamp);
        }
        for operator in &mut self.operators {
            operator.view.workload.each_id(visit);
            operator.view.canary.each_id(visit);
            operator.view.record.each_id(visit);
            visit(Kind::Uid, &mut operator.watch.canary);
            operator.pending.each_id(visit);
        }
        visit(Kind::Run, &mut self.observer.last_run);
    }
}

impl Workload {
    fn each_id(&mut self, visit: Visit<'_>) {
        visit(Kind::Generation, &mut self.generation);
        visit(Kind::WorkloadVersion, &mut self.version);
        visit(Kind::Run, &mut self.stamp);
    }
}

impl Canary {
    fn each_id(&mut self, visit: Visit<'_>) {
        visit(Kind::Uid, &mut self.uid);
        visit(Kind::Run, &mut self.run);
    }
}

impl Record {
    fn each_id(&mut self, visit: Visit<'_>) {
        visit(Kind::RecordVersion, &mut self.version);
        visit(Kind::Run, &mut self.run);
        visit(Kind::Uid, &mut self.canary);
        visit(Kind::Generation, &mut self.noted_generation);
        visit(Kind::WorkloadVersion, &mut self.noted_version);
        visit(Kind::Generation, &mut self.floor);
    }
}

impl Pending {
    fn each_id(&mut self, visit: Visit<'_>) {
        self.store.each_id(visit);
        for request in &mut self.list {
            match request {
                Request::None | Request::ReadProduction | Request::ReadRecord | Request::Store => {}
                Request::Create { run, .. } => visit(Kind::Run, run),
                Request::Delete(uid) => visit(Kind::Uid, uid),
                Request::Promote { run, version, .. } => {
                    visit(Kind::Run, run);
                    visit(Kind::WorkloadVersion, version);
                }
                Request::Fence { version } => visit(Kind::WorkloadVersion, version),
            }
        }
    }
}
