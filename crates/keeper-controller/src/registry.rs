//! What the registry says of a workload's images. An error is "unchanged": what was known stays known.

use crate::context::Context;
use crate::memory::{HeadError, Memory, Tag};
use crate::observe;
use crate::view::Key;
use jiff::Timestamp;
use keeper_api::{Invalid, Wish};
use keeper_image::{Digest, Reference, ResolveError, Seen};
use keeper_rollout::{Run, Wanted};
use kube::api::DynamicObject;
use std::collections::BTreeSet;

/// How long a HEAD of an image that a node can't pull is believed.
const HEAD_BELIEVED: i64 = 10;

/// What is known of the watched tag; starts watching it.
pub(crate) fn seen(context: &Context, key: &Key, image: &Reference, memory: &mut Memory) -> Option<Seen> {
    if let Some(digest) = image.digest() {
        memory.tag = None;
        return Some(Seen { digest: Some(digest.clone()), error: None, at: None });
    }
    if memory.tag.as_ref().is_none_or(|tag| tag.image != *image) {
        memory.tag = None;
        memory.tag = watch(context, key, image);
    }
    memory.tag.as_ref().map(|tag| tag.seen.borrow().clone())
}

/// Watches a tag for a workload or Canary, and wakes it when the tag moves.
pub(crate) fn watch(context: &Context, key: &Key, image: &Reference) -> Option<Tag> {
    let seen = context.shared.tags.watch(image).ok()?;
    let (mut changes, triggers, (namespace, name, subject)) = (seen.clone(), context.triggers.clone(), key.clone());
    let forward = tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            if triggers.unbounded_send(subject.reference(&namespace, &name)).is_err() {
                break;
            }
        }
    });
    Some(Tag { image: image.clone(), seen, forward: forward.abort_handle() })
}

/// What the user wants, as far as the registry was heard. A run that began after our last look was begun by an operator
/// that looked later: what we know from before then doesn't speak against it.
pub(crate) fn wanted(wish: &Result<Wish, Invalid>, seen: Option<Seen>, run: Option<&Run>) -> Wanted {
    match (seen, wish) {
        (Some(seen @ Seen { digest: Some(_), .. }), _) if run.is_some_and(|run| is_older(&seen, run)) => {
            Wanted::Unknown("the registry was not asked since the canary was wanted".into())
        }
        (Some(Seen { digest: Some(digest), .. }), _) => Wanted::Revision(observe::revision(&digest)),
        (Some(Seen { error: Some(error), .. }), Ok(wish)) => {
            Wanted::Unknown(format!("{} cannot be resolved: {error}", wish.image))
        }
        (Some(_), _) => Wanted::Unknown("the registry was not asked yet".into()),
        (None, Ok(_)) => Wanted::Unknown("as many tags are watched as allowed".into()),
        (None, Err(invalid)) => Wanted::Unknown(invalid.to_string()),
    }
}

/// Whether a look that names another revision than the run's is older than the run. After an error, what was seen is of
/// an unknown age. A digest that the user wrote is not looked for, and is never old.
fn is_older(seen: &Seen, run: &Run) -> bool {
    let other = seen.digest.as_ref().is_some_and(|digest| observe::revision(digest) != run.revision);
    other && seen.at.is_some_and(|at| at < run.began || seen.error.is_some())
}

/// The digests that are the wanted image: asked only where production's digest is its pods' `imageID`, which may be a
/// child of the index that the tag names.
pub(crate) async fn equivalents(
    context: &Context,
    wish: &Result<Wish, Invalid>,
    workload: &DynamicObject,
    containers: &[String],
    wanted: Option<&Digest>,
) -> BTreeSet<Digest> {
    let (Ok(wish), Some(wanted)) = (wish, wanted) else { return BTreeSet::new() };
    if observe::is_pinned(workload, containers) {
        return BTreeSet::new();
    }
    // Without an answer the digests are compared as they are: at worst, an image already in production is judged.
    context.shared.tags.equivalents(&wish.image, wanted).await.unwrap_or_default()
}

/// Asks the registry whether an image exists that the canary's node can't pull: the kubelet's text doesn't decide.
pub(crate) async fn head(
    context: &Context,
    wish: &Result<Wish, Invalid>,
    run: Option<&Run>,
    pod: &DynamicObject,
    containers: &[String],
    memory: &mut Memory,
    now: Timestamp,
) -> Option<Result<(), HeadError>> {
    let (run, wish) = (run?, wish.as_ref().ok()?);
    if !observe::waits_for_image(pod, containers) {
        return None;
    }
    let digest: Digest = run.revision.as_str().parse().ok()?;
    Some(believed_head(context, run, &wish.image.with_digest(digest), memory, now).await)
}

/// What the registry says of an image, or said a moment ago.
pub(crate) async fn believed_head(
    context: &Context,
    run: &Run,
    image: &Reference,
    memory: &mut Memory,
    now: Timestamp,
) -> Result<(), HeadError> {
    if let Some((of, at, answer)) = &memory.head
        && *of == run.id
        && now.as_second() - at.as_second() < HEAD_BELIEVED
    {
        return answer.clone();
    }
    let answer = match context.shared.tags.fresh(image).await {
        Ok(_) => Ok(()),
        Err(error @ ResolveError::NotFound { .. }) => Err(HeadError::NotFound(error.to_string())),
        Err(error) => Err(HeadError::Other(error.to_string())),
    };
    memory.head = Some((run.id.clone(), now, answer.clone()));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use keeper_rollout::{Revision, RunId, TemplateHash};

    fn check(at: i64, error: bool, named: char, expected: bool) {
        let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64));
        let run = Run {
            id: RunId::new("1-100"),
            revision: Revision::new(digest('a')),
            template: TemplateHash::new("t"),
            from: Revision::new(digest('0')),
            began: Timestamp::from_second(100).unwrap(),
            recreated: 0,
            alerts: Vec::new(),
        };
        let seen = Seen {
            digest: Some(digest(named).parse().unwrap()),
            error: error
                .then(|| std::sync::Arc::new(ResolveError::NotFound { image: "shop".into(), host: "r".into() })),
            at: (at > 0).then(|| Timestamp::from_second(at).unwrap()),
        };
        assert_eq!(is_older(&seen, &run), expected, "at {at}, error {error}, names {named}");
    }

    #[test]
    fn only_a_later_look_speaks_against_a_run() {
        check(99, false, 'b', true);
        check(99, false, 'a', false);
        check(101, false, 'b', false);
        check(101, true, 'b', true);
        check(0, false, 'b', false);
    }
}
