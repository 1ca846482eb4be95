//! One reconcile: gather (reads), step (pure), carry out (writes), record and show (writes).

use crate::carry_out::{Outcome, carry_out};
use crate::cluster::Told;
use crate::context::Context;
use crate::error::ClusterError;
use crate::gather::gather;
use crate::gathered::{Front, Gathered};
use crate::kind::Subject;
use crate::memory::Memory;
use crate::names::canary_name;
use crate::resource;
use crate::show::{Face, Shown};
use crate::view::Key;
use jiff::Timestamp;
use keeper_rollout::{Because, Order, Phase, Read, State, Step, Stored};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use std::sync::Arc;
use std::time::Duration;

/// The most times that one reconcile looks again at the core's wish.
const ROUNDS: usize = 6;
/// When the world was not as we saw it, our watches need a moment.
const SOON: Duration = Duration::from_millis(300);
/// No wake-up comes sooner.
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);

pub(crate) async fn reconcile(object: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, ClusterError> {
    let key: Key = (object.namespace().unwrap_or_default(), object.name_any(), context.subject);
    if is_idle(&context, &key, &object) {
        context.forget(&key);
        return Ok(Action::await_change());
    }
    let memory = context.memory(&key);
    let mut memory = memory.lock().await;
    let mut read = Read::Cached;
    for _ in 0..ROUNDS {
        let now = Timestamp::now();
        let Some(gathered) = gather(&context, &key, &mut memory, read, now).await? else {
            context.forget(&key);
            return Ok(Action::await_change());
        };
        if gathered.unasked && !under_way(&gathered.stored) {
            // The registry's first answer wakes us.
            return Ok(Action::await_change());
        }
        // A place that was taken for a start that didn't come to be is free again.
        context.shared.note_run(&key, under_way(&gathered.stored), &gathered.services);
        let step = keeper_rollout::step(&gathered.plan, &gathered.stored, &gathered.observation, now);
        memory.refused = None;
        memory.watch = step.watch.clone();
        let lasted = say(&context, &gathered, &step, &mut memory, now);
        let face = face(&gathered, &step, lasted);
        memory.recorded = false;
        let outcome = carry_out(&context, &gathered, &step, face.as_ref(), &mut memory).await;
        // What was to be recorded is told only once it is.
        let stands = memory.recorded || !step.orders.iter().any(|order| matches!(order, Order::Record(_)));
        if let Some(face) = face.filter(|_| stands && !matches!(outcome, Ok(Outcome::Again(_)))) {
            show(&context, &gathered, &face, &mut memory).await;
        }
        if stands && outcome.is_ok() {
            resource::tell(&context, &gathered, &step, &memory).await;
        }
        if let Err(error @ ClusterError::Refused { .. }) = &outcome {
            complain(&context, &gathered, error, &memory).await;
        }
        match outcome? {
            Outcome::Again(next) => read = next,
            Outcome::Soon => return Ok(Action::requeue(SOON)),
            Outcome::Done => {
                memory.failures = 0;
                return Ok(sleep(&step, now));
            }
        }
    }
    Ok(Action::requeue(SOON))
}

/// What is to be shown, if anything is.
fn face(gathered: &Gathered, step: &Step, lasted: Duration) -> Option<Face> {
    let (reason, before) = (gathered.reason(&step.because), state(&gathered.stored));
    let face = Face::of(step, reason, before, &Shown::on(&gathered.subject), lasted);
    face.or_else(|| {
        let recorded = step.orders.iter().any(|order| matches!(order, Order::Record(_) | Order::Read(_)));
        let unseen = !recorded && resource::status::is_behind(gathered);
        unseen.then(|| Face::quiet(step, reason, before))
    })
}

/// What there was is gone: so is what is remembered of it, and what was made for it.
pub(crate) async fn gone(context: &Context, key: &Key) {
    context.forget(key);
    if let Err(error) = resource::remove_orphans(context, key).await {
        tracing::warn!(namespace = key.0, workload = key.1, %error, "a canary that nobody wants any more is still there");
    }
}

/// A workload that nobody asked us to manage, and that we have nothing on.
fn is_idle(context: &Context, key: &Key, object: &DynamicObject) -> bool {
    if key.2 == Subject::Canary {
        return false;
    }
    let ours = object.labels().get(keeper_api::keys::CANARY_LABEL).is_some_and(|label| label == "true");
    let name = canary_name(object);
    !ours && context.view.record(&key.0, &name).is_none() && context.view.pod(&key.0, &name).is_none()
}

fn state(stored: &Stored) -> &State {
    match stored {
        Stored::Readable(record) => &record.state,
        Stored::Absent | Stored::Unreadable(_) => &State::Settled,
    }
}

fn under_way(stored: &Stored) -> bool {
    state(stored).run().is_some()
}

fn sleep(step: &Step, now: Timestamp) -> Action {
    let Some(at) = step.wake_at else { return Action::await_change() };
    let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    Action::requeue(left.max(SHORTEST_SLEEP))
}

/// One line in the log for each change of phase or reason. Answers for how long it has been so.
fn say(context: &Context, gathered: &Gathered, step: &Step, memory: &mut Memory, now: Timestamp) -> Duration {
    let (namespace, workload, _) = &gathered.key;
    if memory.phase != Some(step.phase) {
        memory.phase = Some(step.phase);
        context.shared.metrics.phase(&gathered.key, Some(step.phase));
    }
    let (phase, reason) = (step.phase, gathered.reason(&step.because));
    if let Some((said, why, since)) = &memory.said
        && (*said, why.as_str()) == (phase, reason)
    {
        return Duration::try_from(now.duration_since(*since)).unwrap_or_default();
    }
    if matches!(step.because, Because::ReadingAfresh | Because::ViewStale) {
        return Duration::ZERO;
    }
    memory.said = Some((phase, reason.to_owned(), now));
    let phase = phase.as_str();
    if step.because.is_warning() {
        tracing::warn!(target: "rollout", namespace, workload, phase, reason, "{}", step.because);
    } else {
        tracing::info!(target: "rollout", namespace, workload, phase, reason, "{}", step.because);
    }
    Duration::ZERO
}

/// Event and annotations. What can't be shown doesn't hold up the rollout: the next change shows itself.
async fn show(context: &Context, gathered: &Gathered, face: &Face, memory: &mut Memory) {
    let cluster = &context.shared.cluster;
    let (own, shown) = match &gathered.front {
        Front::Annotations(_) => (&mut memory.workload, context.view.subject(&gathered.key)),
        Front::Resource(_) => (&mut memory.record, context.view.subject(&gathered.key)),
    };
    let workload = own.over(shown, Timestamp::now()).unwrap_or_else(|| Arc::clone(&gathered.subject));
    if face.event {
        context.shared.metrics.transition(&face.reason);
        let event = Told { run: &face.run, reason: &face.reason, note: &face.message, warning: face.warning };
        if let Err(error) = cluster.tell(&workload, &event).await {
            tracing::warn!(%error, "an event could not be told");
        }
    }
    // While a promotion is on its way the workload's version must stay what the patch tests.
    if face.phase == Phase::Promoting || face.is(&Shown::on(&workload)) {
        return;
    }
    let shown = match &gathered.front {
        Front::Annotations(_) => cluster.show(&workload, &face.annotations()).await,
        Front::Resource(resource) => {
            let status = resource::status::display(gathered, resource, &workload, face);
            cluster.show_status(&workload, &status).await
        }
    };
    match shown {
        Ok(shown) => own.wrote(workload.resource_version(), shown),
        Err(error) => tracing::warn!(%error, "the phase could not be shown"),
    }
}

/// Tells once that the server refuses what we need, such as a right that is missing: it is the owner's to mend.
async fn complain(context: &Context, gathered: &Gathered, error: &ClusterError, memory: &Memory) {
    if memory.failures > 0 {
        return;
    }
    let event = Told { run: "", reason: "RequestRefused", note: &error.to_string(), warning: true };
    if let Err(error) = context.shared.cluster.tell(&gathered.subject, &event).await {
        tracing::warn!(%error, "an event could not be told");
    }
}

/// How long to wait after a failure: longer each time, to five minutes, with jitter, per workload.
pub(crate) fn failed(object: &DynamicObject, error: &ClusterError, context: &Context) -> Action {
    let key: Key = (object.namespace().unwrap_or_default(), object.name_any(), context.subject);
    context.shared.metrics.reconciled(error.kind());
    let failures = context.memory(&key).try_lock().map_or(1, |mut memory| {
        memory.failures = memory.failures.saturating_add(1);
        memory.failures
    });
    tracing::warn!(namespace = key.0, workload = key.1, error = %chain(error), failures, "will try again");
    Action::requeue(backoff(failures, jitter(&key, failures)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// Half a second, doubled with each failure, up to five minutes; shortened by up to a half by `jitter` (0 to 1).
fn backoff(failures: u32, jitter: f64) -> Duration {
    let doubled = Duration::from_millis(500).saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST_BACKOFF).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

/// Spreads workloads that fail together.
fn jitter(key: &Key, failures: u32) -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write(key.1.as_bytes());
    hasher.write_u32(failures);
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
    let share = (hasher.finish() % 1000) as f64 / 1000.0;
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_bound() {
        assert_eq!(backoff(1, 0.0), Duration::from_millis(500));
        assert_eq!(backoff(4, 0.0), Duration::from_secs(4));
        assert_eq!(backoff(1000, 0.0), LONGEST_BACKOFF);
        assert_eq!(backoff(1000, 1.0), LONGEST_BACKOFF / 2);
    }
}
