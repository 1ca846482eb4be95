//! How observed time is counted: what the record held when this operator's unbroken watch began, plus that watch. Never
//! record plus own, since two operators would count the same minutes twice.

use super::case::{Case, later};
use crate::guard::Guard;
use crate::observation::{Canary, Watch};
use crate::record::Watched;
use jiff::Timestamp;
use std::time::Duration;

/// The watch as it stands with this look, the canary being Ready, reachable and measured.
pub(super) fn go_on(case: &Case<'_>, canary: &Canary, watched: &Watched) -> Watch {
    let same = |w: &&Watch| w.canary == canary.uid && w.ready_changed == canary.ready_changed;
    let unbroken = |w: &&Watch| w.last <= case.now && case.now <= later(w.last, case.plan.fresh_for());
    match case.see.watch.as_ref().filter(same).filter(unbroken) {
        Some(watch) => Watch { last: case.now, ..watch.clone() },
        None => Watch {
            canary: canary.uid.clone(),
            ready_changed: canary.ready_changed,
            base: watched.observed,
            since: case.now,
            last: case.now,
        },
    }
}

/// How much time was observed by that watch.
pub(super) fn observed(case: &Case<'_>, watch: &Watch, watched: &Watched) -> Duration {
    let base = if case.guards.on(Guard::OwnWatch) { watch.base } else { watched.observed };
    base.saturating_add(between(watch.since, watch.last))
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
