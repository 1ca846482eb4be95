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
use kube::runtime::reflector::ObjectRef;
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
        let seen = context.shared.tags.watch(image).ok()?;
        let (mut changes, triggers, (namespace, name)) = (seen.clone(), context.triggers.clone(), key.clone());
        let forward = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let workload = ObjectRef::new_with(&name, crate::kind::deployment()).within(&namespace);
                if triggers.unbounded_send(workload).is_err() {
                    break;
                }
            }
        });
        memory.tag = Some(Tag { image: image.clone(), seen, forward: forward.abort_handle() });
    }
    memory.tag.as_ref().map(|tag| tag.seen.borrow().clone())
}

pub(crate) fn wanted(wish: &Result<Wish, Invalid>, seen: Option<Seen>) -> Wanted {
    match (seen, wish) {
        (Some(Seen { digest: Some(digest), .. }), _) => Wanted::Revision(observe::revision(&digest)),
        (Some(Seen { error: Some(error), .. }), Ok(wish)) => {
            Wanted::Unknown(format!("{} cannot be resolved: {error}", wish.image))
        }
        (Some(_), _) => Wanted::Unknown("the registry was not asked yet".into()),
        (None, Ok(_)) => Wanted::Unknown("as many tags are watched as allowed".into()),
        (None, Err(invalid)) => Wanted::Unknown(invalid.to_string()),
    }
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
    if let Some((of, at, answer)) = &memory.head
        && *of == run.id
        && now.as_second() - at.as_second() < HEAD_BELIEVED
    {
        return Some(answer.clone());
    }
    let digest: Digest = run.revision.as_str().parse().ok()?;
    let image = wish.image.with_digest(digest);
    let answer = match context.shared.tags.fresh(&image).await {
        Ok(_) => Ok(()),
        Err(error @ ResolveError::NotFound { .. }) => Err(HeadError::NotFound(error.to_string())),
        Err(error) => Err(HeadError::Other(error.to_string())),
    };
    memory.head = Some((run.id.clone(), now, answer.clone()));
    Some(answer)
}
