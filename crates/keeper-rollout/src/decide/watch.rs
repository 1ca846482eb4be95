//! How observed time is counted: what the record held when this operator's unbroken watch began, plus that watch. Never
//! record plus own, since two operators would count the same minutes twice.

use super::case::{Case, later};
use crate::guard::Guard;
use crate::observation::{Canary, Watch};
use crate::record::Watched;
use std::time::Duration;

/// The watch as it stands with this look, the canary being Ready, reachable and measured.
pub(super) fn go_on(case: &Case<'_>, canary: &Canary, watched: &Watched) -> Watch {
    let watch = unbroken(case, canary, watched);
    Watch { since: watch.since.or(Some(case.now)), last: case.now, ..watch }
}

/// The watch as it stands with this look, the canary being Ready but not reachable, or not measured: what was observed
/// stays, and the time from the last good look to the next one doesn't count.
pub(super) fn stand_still(case: &Case<'_>, canary: &Canary, watched: &Watched) -> Watch {
    let watch = unbroken(case, canary, watched);
    Watch { base: watch.base.saturating_add(own(&watch)), since: None, last: case.now, ..watch }
}

/// How much time was observed by that watch.
pub(super) fn observed(case: &Case<'_>, watch: &Watch, watched: &Watched) -> Duration {
    let base = if case.guards.on(Guard::OwnWatch) { watch.base } else { watched.observed };
    base.saturating_add(own(watch))
}

/// The watch that was handed back, where it is of this canary and has no gap; else a new one.
fn unbroken(case: &Case<'_>, canary: &Canary, watched: &Watched) -> Watch {
    let same = |w: &&Watch| w.canary == canary.uid && w.ready_changed == canary.ready_changed;
    let no_gap = |w: &&Watch| w.last <= case.now && case.now <= later(w.last, case.plan.fresh_for());
    case.see.watch.as_ref().filter(same).filter(no_gap).cloned().unwrap_or_else(|| Watch {
        canary: canary.uid.clone(),
        ready_changed: canary.ready_changed,
        base: watched.observed,
        since: None,
        last: case.now,
    })
}

fn own(watch: &Watch) -> Duration {
    watch.since.and_then(|since| Duration::try_from(watch.last.duration_since(since)).ok()).unwrap_or_default()
}
