//! An operator: it asks the production code what to do, and carries its orders out one after the other.

use crate::config::{Config, Views};
use crate::production;
use crate::search::Fingerprint;
use crate::server;
use crate::world::{Pending, Request, State, View, Watch};
use keeper_rollout::{Plan, Read};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// The production code behind all operators, with its answers remembered: it is pure, so they stay true.
pub struct Brain<'a> {
    pub config: &'a Config,
    plan: Plan,
    answers: HashMap<(View, Watch, u8), (Pending, Watch), BuildHasherDefault<Fingerprint>>,
}

/// More answers than that are forgotten, to bound memory.
const ANSWERS: usize = 1 << 20;

impl<'a> Brain<'a> {
    pub fn new(config: &'a Config) -> Self {
        Self { config, plan: production::plan(config), answers: HashMap::default() }
    }

    /// Decides on what is known. Nothing to do is an empty list.
    pub fn think(&mut self, state: &mut State, operator: usize) {
        if self.config.views == Views::Snapshot {
            state.operators[operator].view = state.truth();
        }
        let view = state.operators[operator].view;
        self.decide(state, operator, &view, Read::Cached);
    }

    /// Carries out the next order. A refusal ends the list.
    pub fn carry_out(&mut self, state: &mut State, operator: usize) {
        let pending = state.operators[operator].pending;
        let seen = state.operators[operator].view;
        match pending.list[0] {
            Request::ReadProduction => {
                let view = View { workload: state.workload, canary: state.canary, ..seen };
                self.decide(state, operator, &view, Read::Production);
            }
            Request::ReadRecord => {
                let view = View { record: state.record, ..seen };
                self.decide(state, operator, &view, Read::Record);
            }
            _ => state.operators[operator].pending = server::commit(self.config, state, pending).unwrap_or_default(),
        }
    }

    fn decide(&mut self, state: &mut State, operator: usize, view: &View, read: Read) {
        let watch = state.operators[operator].watch;
        let key = (*view, watch, read as u8);
        if self.answers.len() >= ANSWERS {
            self.answers.clear();
        }
        let (config, plan) = (self.config, &self.plan);
        let ask = || production::decide(config, plan, view, &watch, read);
        let (mut pending, watch) = *self.answers.entry(key).or_insert_with(ask);
        let proof = state.observer.ready_for >= config.looks && state.canary.template == state.workload.template;
        for request in &mut pending.list {
            if let Request::Promote { digest, proved, .. } = request {
                *proved = proof && state.canary.digest == *digest;
            }
        }
        let operator = &mut state.operators[operator];
        operator.watch = watch;
        operator.pending = pending;
    }
}
