//! The status of a Canary: the record, and what is shown.

use super::Resource;
use crate::gathered::Gathered;
use crate::json::{as_json, number};
use crate::memory::Memory;
use crate::show::{Face, shown_words};
use jiff::Timestamp;
use keeper_api::canary::{CheckStatus, Shown, Status};
use keeper_api::record::Signals;
use keeper_rollout::{Because, Phase, Record, Revision, Step, Wanted};
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// The Canary with this record in its status, and with what this step shows: on the condition of its version.
pub(crate) fn with_record(
    gathered: &Gathered,
    resource: &Resource,
    (record, signals): (&Record, &Signals),
    step: &Step,
    memory: &Memory,
) -> DynamicObject {
    let revision = record.state.run().map(|run| &run.revision);
    let ended = || record.state.ended().map(|ended| &ended.revision);
    let revision = revision.or_else(ended).or_else(|| wanted(gathered));
    let message = shown_words(&step.because.to_string());
    let shown = Shown {
        phase: record.state.phase(),
        promoted: is_promoted(&step.because),
        reason: gathered.reason(&step.because),
        message: &message,
        revision,
        deployment: Some(&resource.name),
    };
    let mut status = Status::of(&as_json(&gathered.subject), &shown, Timestamp::now()).with_record(record, signals);
    status.images.clone_from(&resource.images);
    status.checks = checks(memory);
    let mut canary = gathered.subject.as_ref().clone();
    canary.data = json!({ "spec": canary.data.get("spec"), "status": status.to_value() });
    canary
}

/// What needs no record, as the fields of a status that it changes.
pub(crate) fn display(gathered: &Gathered, resource: &Resource, canary: &DynamicObject, face: &Face) -> Value {
    let message = face.shown_message();
    let promoted = face.phase == Phase::Settled && resource.production.is_some() && is_up_to_date(gathered);
    let shown = Shown {
        phase: face.phase,
        promoted,
        reason: &face.reason,
        message: &message,
        revision: wanted(gathered),
        deployment: Some(&resource.name),
    };
    Status::of(&as_json(canary), &shown, Timestamp::now()).to_value()
}

/// Whether the status speaks of an earlier generation, or of none.
pub(crate) fn is_behind(gathered: &Gathered) -> bool {
    let object = &gathered.subject;
    object.types.as_ref().is_some_and(|types| types.kind == keeper_api::canary::KIND)
        && number(&object.data, "/status/observedGeneration") != object.metadata.generation
}

fn wanted(gathered: &Gathered) -> Option<&Revision> {
    match &gathered.observation.wanted {
        Wanted::Revision(revision) => Some(revision),
        Wanted::Unknown(_) => None,
    }
}

fn is_promoted(because: &Because) -> bool {
    matches!(because, Because::Promoted { .. } | Because::UpToDate(_))
}

fn is_up_to_date(gathered: &Gathered) -> bool {
    match &gathered.observation.workload.production {
        keeper_rollout::Production::Runs(now) => wanted(gathered) == Some(now),
        _ => false,
    }
}

/// What each check said last.
fn checks(memory: &Memory) -> Vec<CheckStatus> {
    let Some(signals) = &memory.signals else { return Vec::new() };
    let of = |said: &keeper_rollout::Looked, observes| CheckStatus::of(&said.signal, &said.verdict, observes);
    let judging = signals.looked.iter().map(|said| of(said, false));
    judging.chain(signals.observed.iter().map(|said| of(said, true))).collect()
}
