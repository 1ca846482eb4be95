//! Breadth first through everything that may happen, so that every trace told is a shortest one.

use crate::config::Config;
use crate::environment::{Action, next};
use crate::invariants::{Violation, converges};
use crate::operator::Brain;
use crate::world::{At, Bad, State};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::{Duration, Instant};

/// How far a search goes. States are counted, not seconds: a slow machine finds the same.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// The most states that are expanded.
    pub states: usize,
    /// From every how many-th state the fair continuation is followed; 0: from none.
    pub fair: u64,
    /// Stops when this was found.
    pub until: Option<Violation>,
}

/// What a search found.
#[derive(Default)]
pub struct Found {
    pub states: usize,
    pub transitions: usize,
    pub depth: u16,
    pub complete: bool,
    pub continued: usize,
    pub took: Duration,
    pub goals: Goals,
    /// The shortest trace to each thing found wrong.
    pub wrong: BTreeMap<Wrong, String>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wrong {
    Never(Violation),
    InTheEnd(String),
}

/// What was reached: a search that reaches nothing proves nothing.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Goals {
    pub promoted: bool,
    pub rejected: bool,
    pub rolled_back: bool,
    pub inconclusive: bool,
    pub held: bool,
}

impl Goals {
    pub fn and(self, other: Self) -> Self {
        Self {
            promoted: self.promoted || other.promoted,
            rejected: self.rejected || other.rejected,
            rolled_back: self.rolled_back || other.rolled_back,
            inconclusive: self.inconclusive || other.inconclusive,
            held: self.held || other.held,
        }
    }

    fn of(state: &State) -> Self {
        let record = &state.record;
        Self {
            promoted: record.promoted > 0,
            rejected: record.ledger.contains(&Bad::Rejected),
            rolled_back: record.ledger.contains(&Bad::RolledBack),
            inconclusive: record.at == At::Inconclusive,
            held: matches!(record.at, At::NotRolledOut | At::Undecided | At::RolledBack),
        }
    }
}

/// By which state, and by which of its actions, a state was reached first.
type Seen = HashMap<u64, (u64, u16), BuildHasherDefault<Fingerprint>>;

pub fn search(config: &Config, bounds: Bounds) -> Found {
    let began = Instant::now();
    let mut brain = Brain::new(config);
    let start = State::start(config);
    let mut seen = Seen::default();
    let mut queue = VecDeque::from([(start, 0_u16)]);
    seen.insert(fingerprint(&start), (0, 0));
    let mut found = Found { complete: true, ..Found::default() };
    let mut wrong: Vec<(Wrong, u64)> = Vec::new();
    let mut after = Vec::new();
    while let Some((state, depth)) = queue.pop_front() {
        if found.states >= bounds.states
            || bounds.until.is_some_and(|sought| wrong.iter().any(|(wrong, _)| *wrong == Wrong::Never(sought)))
        {
            found.complete = false;
            break;
        }
        found.states += 1;
        found.depth = depth;
        found.goals = found.goals.and(Goals::of(&state));
        let print = fingerprint(&state);
        if state.observer.violations != 0 {
            wrong.extend(state.observer.violations().map(|violation| (Wrong::Never(violation), print)));
            continue;
        }
        if bounds.fair > 0 && print.is_multiple_of(bounds.fair) {
            found.continued += 1;
            let ends = [false, true].map(|dropped| converges(&mut brain, &state, dropped));
            wrong.extend(ends.into_iter().filter_map(Result::err).map(|why| (Wrong::InTheEnd(why), print)));
        }
        next(&mut brain, &state, &mut after);
        for (index, (_, state)) in after.drain(..).enumerate() {
            found.transitions += 1;
            seen.entry(fingerprint(&state)).or_insert_with(|| {
                queue.push_back((state, depth + 1));
                (print, index as u16)
            });
        }
    }
    for (what, print) in wrong {
        found.wrong.entry(what).or_insert_with(|| trace(&mut brain, &seen, &start, print));
    }
    found.took = began.elapsed();
    found
}

/// How it came to that state, in lines.
fn trace(brain: &mut Brain<'_>, seen: &Seen, start: &State, print: u64) -> String {
    let mut actions = Vec::new();
    let mut print = print;
    while let Some((before, index)) = seen.get(&print).filter(|(before, _)| *before != 0) {
        actions.push(*index);
        print = *before;
    }
    let mut state = *start;
    let mut lines = String::new();
    for index in actions.into_iter().rev() {
        let mut after = Vec::new();
        next(brain, &state, &mut after);
        let (action, reached): (Action, State) = after[usize::from(index)];
        state = reached;
        writeln!(lines, "    {action:?}").unwrap();
    }
    writeln!(lines, "    => {:?}", state.record).unwrap();
    lines
}

impl Found {
    pub fn line(&self, config: &Config) -> String {
        format!(
            "{:<34} {:>8} states {:>9} transitions depth {:>3} {} {:>6} continued {:>5.1} s",
            config.name,
            self.states,
            self.transitions,
            self.depth,
            if self.complete { "complete " } else { "truncated" },
            self.continued,
            self.took.as_secs_f32(),
        )
    }

    pub fn violated(&self, violation: Violation) -> bool {
        self.wrong.contains_key(&Wrong::Never(violation))
    }
}

fn fingerprint(state: &State) -> u64 {
    let mut hasher = Fingerprint::default();
    state.hash(&mut hasher);
    hasher.finish()
}

/// A fast hash of many small numbers; nobody chooses our states to make it collide.
#[derive(Clone, Copy, Default)]
pub struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ (mixed >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }
}
