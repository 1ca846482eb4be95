//! Between the abstract world and the production types: an operator's view becomes an [`Observation`] and a [`Stored`],
//! [`step`] is asked, and its orders become requests.

use crate::config::{Config, Off};
use crate::world::{self, At, Bad, DIGESTS, FRESH, Id, Pending, Request, VERBS, View, command};
use jiff::Timestamp;
use keeper_rollout::{
    Afresh, Canary, Command, Ended, Entry, EntryKind, Guard, Hold, Observation, OnInconclusive, Order, Plan,
    Production, Proof, Reach, Read, Record, Revision, Rollout, Run, RunId, Sending, State, Step, Stored, StoredAlert,
    TemplateHash, Told, Trouble, Uid, Version, Wanted, Watch, Watched, Workload, step, step_without,
};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

/// Long enough that every look is worth recording.
const LOOK: Duration = Duration::from_secs(40);
/// Every step is taken now; what lies in the past is as many looks ago as the model says.
const NOW: i64 = 1_000_000_000;
/// Long enough ago that every deadline has passed.
const LONG_AGO: i64 = NOW - 1_000_000;
/// Readiness changed then, in the canary's first epoch.
const READY: i64 = NOW - 100_000;

/// Asks the production code what an operator with this view does, and what becomes of its watch.
pub fn decide(config: &Config, plan: &Plan, view: &View, watch: &world::Watch, read: Read) -> (Pending, world::Watch) {
    let stored = Stored::Readable(Box::new(record(&view.record)));
    let observation = observe(view, watch, read);
    let step = match config.off {
        Off::Guard(guard) => without(guard, plan, &stored, &observation),
        Off::Nothing | Off::PatchTestsVersion | Off::StampIsLabel | Off::StoreIsConditional | Off::DeleteByUid => {
            step(plan, &stored, &observation, at(NOW))
        }
    };
    (pending(view, &step), back_to_watch(config, step.watch.as_ref()))
}

fn without(guard: Guard, plan: &Plan, stored: &Stored, observation: &Observation) -> Step {
    step_without(guard, plan, stored, observation, at(NOW))
}

pub fn plan(config: &Config) -> Plan {
    Plan {
        incubation: LOOK * u32::from(config.looks),
        launch_deadline: Duration::from_secs(600),
        max_incubation: Duration::from_secs(3600),
        rollout_deadline: Duration::from_secs(3600),
        look_interval: LOOK,
        retry_after: vec![Duration::from_secs(600)],
        on_inconclusive: OnInconclusive::Retry,
        recreate_limit: 1,
        require_live_alert_path: false,
    }
}

/// The names of everything, made once.
struct Names {
    digests: [Revision; DIGESTS],
    templates: [TemplateHash; 2],
    runs: Vec<RunId>,
    uids: Vec<Uid>,
    versions: Vec<Version>,
    commands: Vec<Vec<Command>>,
    told: Told,
    alert: StoredAlert,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let digests = ["sha256:d1d1d1d1d1d1d1d1", "sha256:d2d2d2d2d2d2d2d2", "sha256:d3d3d3d3d3d3d3d3"];
    let value = |code| {
        let digest = digests[usize::from(command::digest(code))];
        let number = command::number(code);
        let number = if number > 0 { format!("#{number}") } else { String::new() };
        format!("{digest}{number} note {}", command::serial(code))
    };
    let names = |prefix: &str| (0..64).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    Names {
        digests: digests.map(Revision::from),
        templates: ["h0", "h1"].map(TemplateHash::from),
        runs: names("run").into_iter().map(RunId::new).collect(),
        uids: names("uid").into_iter().map(Uid::new).collect(),
        versions: names("").into_iter().map(Version::new).collect(),
        commands: VERBS
            .map(|verb| (1..=command::VALUES).map(|code| Command::new(verb, value(code))).collect())
            .to_vec(),
        told: Told { reason: "Told".into(), message: "as was told".into(), at: at(READY) },
        alert: StoredAlert {
            fingerprint: "f".into(),
            starts_at: at(READY),
            name: "HighErrors".into(),
            about: "the canary".into(),
        },
    }
});

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn looks_ago(looks: u8) -> Timestamp {
    at(NOW - i64::from(looks) * LOOK.as_secs() as i64)
}

fn name<T: Clone>(names: &[T], id: u8) -> T {
    names[usize::from(id)].clone()
}

fn observe(view: &View, watch: &world::Watch, read: Read) -> Observation {
    Observation {
        read,
        workload: workload(&view.workload),
        wanted: Wanted::Revision(name(&NAMES.digests, view.tag)),
        canary: view.canary.exists().then(|| canary(&view.canary)),
        signals: Vec::new(),
        alert_path_live: false,
        watch: watch.on.then(|| to_watch(watch)),
        refused: None,
        store_refuses: false,
    }
}

fn workload(w: &world::Workload) -> Workload {
    let standing = |verb: usize| w.commands[verb].checked_sub(1).map(|index| name(&NAMES.commands[verb], index));
    Workload {
        opted_in: w.opted_in,
        paused: w.paused,
        commands: (0..VERBS.len()).filter_map(standing).collect(),
        generation: i64::from(w.generation),
        version: name(&NAMES.versions, w.version),
        template: name(&NAMES.templates, w.template),
        production: Production::Runs(name(&NAMES.digests, w.digest)),
        run_label: (w.stamp > 0).then(|| name(&NAMES.runs, w.stamp)),
        rollout: match w.rollout {
            world::Rollout::Complete => Rollout::Complete,
            world::Rollout::Progressing => Rollout::Progressing,
            world::Rollout::Stuck => Rollout::Stuck("stuck".into()),
        },
        blocker: None,
        invalid: None,
    }
}

fn canary(c: &world::Canary) -> Canary {
    let trouble = match (c.restarted, c.ended) {
        (true, _) => Some(Trouble::Restarted("exit 1".into())),
        (_, true) => Some(Trouble::DeadlineExceeded("deadline".into())),
        (false, false) => None,
    };
    Canary {
        uid: name(&NAMES.uids, c.uid),
        run: (c.run > 0).then(|| name(&NAMES.runs, c.run)),
        template: Some(name(&NAMES.templates, c.template)),
        ready: c.ready,
        ready_changed: ready_changed(c.epoch),
        terminating: c.terminating,
        reachable: Reach::Reached,
        trouble,
    }
}

fn ready_changed(epoch: u8) -> Timestamp {
    at(READY + i64::from(epoch))
}

fn epoch(ready_changed: Timestamp) -> u8 {
    (ready_changed.as_second() - READY).try_into().unwrap()
}

fn to_watch(w: &world::Watch) -> Watch {
    let last = u8::from(!w.looked);
    Watch {
        canary: name(&NAMES.uids, w.canary),
        ready_changed: ready_changed(w.epoch),
        base: LOOK * u32::from(w.base),
        since: Some(looks_ago(w.looks + last)),
        last: looks_ago(last),
    }
}

fn back_to_watch(config: &Config, watch: Option<&Watch>) -> world::Watch {
    let Some(w) = watch else { return world::Watch::default() };
    assert!(w.last == at(NOW) || w.last == looks_ago(1), "a watch is as of this look, or as it was");
    world::Watch {
        on: true,
        canary: uid(&w.canary),
        epoch: epoch(w.ready_changed),
        base: looks(w.base),
        looks: looks(Duration::try_from(w.last.duration_since(w.since.unwrap())).unwrap()).min(config.looks),
        looked: w.last == at(NOW),
    }
}

fn looks(time: Duration) -> u8 {
    assert_eq!(time.as_secs() % LOOK.as_secs(), 0, "time goes on by whole looks");
    (time.as_secs() / LOOK.as_secs()) as u8
}

fn record(r: &world::Record) -> Record {
    let ended = || Ended { revision: name(&NAMES.digests, r.digest), told: NAMES.told.clone() };
    let since = at(if r.overdue { LONG_AGO } else { NOW });
    let state = match r.at {
        At::Settled => State::Settled,
        At::Launching => State::Launching(run(r, since)),
        At::Incubating => State::Incubating(run(r, at(NOW)), watched(r, since)),
        At::Promoting => State::Promoting(run(r, at(NOW)), sending(r, since)),
        At::Rejected => State::Rejected(ended()),
        At::Inconclusive => State::Inconclusive(ended(), at(LONG_AGO)),
        At::RolledBack => State::Held(ended(), Hold::RolledBack),
        At::NotRolledOut => State::Held(ended(), Hold::NotRolledOut),
        At::Undecided => State::Held(ended(), Hold::Inconclusive),
    };
    Record {
        state,
        ledger: ledger(&r.ledger),
        promoted: r.promoted.checked_sub(1).map(|digest| name(&NAMES.digests, digest)),
        floor: i64::from(r.floor),
        rolled_back: rolled_back(&r.rolled_back),
        tried: r.tried.0.checked_sub(1).map(|digest| (name(&NAMES.digests, digest), r.tried.1)),
        used: used(r.used),
        runs: 0,
    }
}

fn run(r: &world::Record, began: Timestamp) -> Run {
    Run {
        id: name(&NAMES.runs, r.run),
        revision: name(&NAMES.digests, r.digest),
        template: name(&NAMES.templates, r.template),
        from: name(&NAMES.digests, r.from),
        began,
        recreated: r.recreated,
        alerts: if r.alert { vec![NAMES.alert.clone()] } else { Vec::new() },
    }
}

fn watched(r: &world::Record, began: Timestamp) -> Watched {
    Watched {
        canary: name(&NAMES.uids, r.canary),
        ready_changed: ready_changed(r.epoch),
        began,
        observed: LOOK * u32::from(r.observed),
    }
}

fn sending(r: &world::Record, since: Timestamp) -> Sending {
    Sending {
        canary: name(&NAMES.uids, r.canary),
        ready_changed: ready_changed(r.epoch),
        generation: i64::from(r.noted_generation),
        version: name(&NAMES.versions, r.noted_version),
        proof: if r.person > 0 { Proof::Person } else { Proof::Silence },
        since,
    }
}

fn ledger(bad: &[Bad; DIGESTS]) -> BTreeMap<Revision, Entry> {
    let entry = |bad: &Bad| {
        let kind = match bad {
            Bad::No => return None,
            Bad::Rejected => EntryKind::Rejected,
            Bad::RolledBack => EntryKind::RolledBack,
        };
        Some(Entry { kind, told: NAMES.told.clone() })
    };
    NAMES.digests.iter().zip(bad).filter_map(|(digest, bad)| Some((digest.clone(), entry(bad)?))).collect()
}

fn rolled_back(numbers: &[u8; DIGESTS]) -> BTreeMap<Revision, u64> {
    let numbered = NAMES.digests.iter().zip(numbers).filter(|(_, number)| **number > 0);
    numbered.map(|(digest, number)| (digest.clone(), u64::from(*number))).collect()
}

fn used(bits: u64) -> Vec<Command> {
    let mut used = Vec::new();
    let mut bits = bits;
    while bits > 0 {
        let bit = bits.trailing_zeros() as usize;
        let values = usize::from(command::VALUES);
        used.push(NAMES.commands[bit / values][bit % values].clone());
        bits &= bits - 1;
    }
    used
}

fn pending(view: &View, step: &Step) -> Pending {
    let mut pending = Pending::default();
    for order in &step.orders {
        if let Order::Record(new) = order {
            pending.store = back_to_record(&view.record, new);
        }
    }
    let person = if pending.store.at == At::Promoting { pending.store.person } else { view.record.person };
    let requests = step.orders.iter().filter_map(|order| request(view, person, order));
    for (index, request) in requests.enumerate() {
        pending.list[index] = request;
    }
    pending
}

fn request(view: &View, person: u8, order: &Order) -> Option<Request> {
    Some(match order {
        Order::Preflight { .. } => return None,
        Order::Read(Afresh::Production) => Request::ReadProduction,
        Order::Read(Afresh::Record) => Request::ReadRecord,
        Order::Record(_) => Request::Store,
        Order::CreateCanary { revision, run } => {
            Request::Create { digest: digest(revision), template: view.workload.template, run: run_id(run) }
        }
        Order::DeleteCanary(canary) => Request::Delete(uid(canary)),
        Order::Promote { revision, run, version: noted } => Request::Promote {
            digest: digest(revision),
            run: run_id(run),
            version: version(noted),
            person,
            proved: false,
        },
        Order::Fence { version: noted, .. } => Request::Fence { version: version(noted) },
    })
}

fn back_to_record(old: &world::Record, new: &Record) -> world::Record {
    let lasting = world::Record {
        version: old.version,
        ledger: back_to_ledger(&new.ledger),
        promoted: new.promoted.as_ref().map_or(0, |revision| digest(revision) + 1),
        floor: new.floor.try_into().unwrap(),
        rolled_back: NAMES.digests.each_ref().map(|d| new.rolled_back.get(d).map_or(0, |n| (*n).try_into().unwrap())),
        tried: new.tried.as_ref().map_or((0, 0), |(revision, times)| (digest(revision) + 1, *times)),
        used: new.used.iter().map(used_bit).sum(),
        ..world::Record::default()
    };
    match &new.state {
        State::Settled => lasting,
        State::Launching(run) => {
            world::Record { at: At::Launching, overdue: run.began < at(NOW), ..of_run(lasting, run) }
        }
        State::Incubating(run, watched) => world::Record {
            at: At::Incubating,
            canary: uid(&watched.canary),
            epoch: epoch(watched.ready_changed),
            observed: looks(watched.observed),
            overdue: watched.began < at(NOW),
            ..of_run(lasting, run)
        },
        State::Promoting(run, sending) => world::Record {
            at: At::Promoting,
            canary: uid(&sending.canary),
            epoch: epoch(sending.ready_changed),
            noted_generation: sending.generation.try_into().unwrap(),
            noted_version: version(&sending.version),
            person: if sending.proof == Proof::Person { newly_used(old, new).unwrap_or(old.person) } else { 0 },
            overdue: sending.since < at(NOW),
            ..of_run(lasting, run)
        },
        State::Rejected(e) => of_end(lasting, At::Rejected, e),
        State::Inconclusive(e, _) => of_end(lasting, At::Inconclusive, e),
        State::Held(e, Hold::RolledBack) => of_end(lasting, At::RolledBack, e),
        State::Held(e, Hold::NotRolledOut) => of_end(lasting, At::NotRolledOut, e),
        State::Held(e, Hold::Inconclusive) => of_end(lasting, At::Undecided, e),
    }
}

fn of_end(lasting: world::Record, at: At, ended: &Ended) -> world::Record {
    world::Record { at, digest: digest(&ended.revision), ..lasting }
}

fn of_run(lasting: world::Record, run: &Run) -> world::Record {
    world::Record {
        digest: digest(&run.revision),
        template: NAMES.templates.iter().position(|t| *t == run.template).unwrap() as u8,
        from: digest(&run.from),
        run: run_id(&run.id),
        recreated: run.recreated,
        alert: !run.alerts.is_empty(),
        ..lasting
    }
}

fn back_to_ledger(ledger: &BTreeMap<Revision, Entry>) -> [Bad; DIGESTS] {
    NAMES.digests.each_ref().map(|digest| match ledger.get(digest).map(|entry| entry.kind) {
        None => Bad::No,
        Some(EntryKind::Rejected) => Bad::Rejected,
        Some(EntryKind::RolledBack) => Bad::RolledBack,
    })
}

/// The promote command that a new record uses up.
fn newly_used(old: &world::Record, new: &Record) -> Option<u8> {
    let bits = new.used.iter().map(used_bit).fold(0, |all, bit| all | bit);
    (1..=command::VALUES).find(|code| (bits & !old.used) & command::bit(world::PROMOTE, *code) != 0)
}

fn used_bit(used: &Command) -> u64 {
    let verb = VERBS.iter().position(|verb| *verb == used.verb).unwrap();
    let index = NAMES.commands[verb].iter().position(|command| command == used).unwrap();
    command::bit(verb, index as u8 + 1)
}

fn digest(revision: &Revision) -> u8 {
    NAMES.digests.iter().position(|d| d == revision).unwrap() as u8
}

/// A run id that the model didn't give is a new one.
fn run_id(run: &RunId) -> Id {
    run.as_str().strip_prefix("run").map_or(FRESH, |number| number.parse().unwrap())
}

fn uid(uid: &Uid) -> Id {
    uid.as_str().strip_prefix("uid").and_then(|number| number.parse().ok()).unwrap()
}

fn version(version: &Version) -> Id {
    version.as_str().parse().unwrap()
}
