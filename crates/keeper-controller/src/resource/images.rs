//! The images of a Canary's template: what its tags name, and which revision that makes.

use super::Resource;
use crate::context::Context;
use crate::json::{list, text};
use crate::memory::Memory;
use crate::registry;
use crate::view::Key;
use keeper_image::{Digest, Reference, Seen};
use keeper_rollout::{Read, Revision, Run};
use kube::ResourceExt;
use kube::api::DynamicObject;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long the registry may take before a promotion: then what was known stays known.
const FRESH: Duration = Duration::from_secs(10);
/// How many hex digits tell the images of a revision.
const NAME: usize = 8;

/// What is known of the images of a template.
#[derive(Default)]
pub(super) struct Resolved {
    /// As written, and by digest.
    pub(super) images: BTreeMap<String, String>,
    /// What stays as written, and why, in words.
    pub(super) unresolved: Vec<String>,
    /// Whether the registry was not asked yet about one of them.
    pub(super) unasked: bool,
}

/// Asks what the tags name; starts watching them. `running` is the run under way with the images it began with: an error
/// is "unchanged", and so is a look that is older than the run.
pub(super) async fn resolve(
    context: &Context,
    key: &Key,
    written: &BTreeSet<String>,
    running: Option<(&Run, &BTreeMap<String, String>)>,
    memory: &mut Memory,
    read: Read,
) -> Resolved {
    let mut resolved = Resolved::default();
    memory.tags.retain(|tag, _| written.contains(tag));
    for image in written {
        let reference: Reference = match image.parse() {
            Ok(reference) => reference,
            Err(error) => {
                resolved.unresolved.push(format!("image {image} stays as written: {error}"));
                continue;
            }
        };
        if reference.digest().is_some() {
            continue;
        }
        if !memory.tags.contains_key(image)
            && let Some(tag) = registry::watch(context, key, &reference)
        {
            memory.tags.insert(image.clone(), tag);
        }
        let seen = memory.tags.get(image).map(|tag| tag.seen.borrow().clone()).unwrap_or_default();
        let known = running.and_then(|(_, images)| images.get(image));
        // Before a promotion, past every pause: also for what a run began with as written, since a digest that is known by now
        // makes it another revision.
        if read == Read::Production
            && running.is_some()
            && let Ok(Ok(fresh)) = tokio::time::timeout(FRESH, context.shared.tags.fresh(&reference)).await
        {
            resolved.images.insert(image.clone(), pinned(&reference, &fresh.digest));
            continue;
        }
        let older = running.is_some_and(|(run, _)| seen.at.is_none_or(|at| at < run.began) || seen.error.is_some());
        match (&seen, known) {
            (_, Some(known)) if older => drop(resolved.images.insert(image.clone(), known.clone())),
            (Seen { digest: Some(digest), .. }, _) => {
                resolved.images.insert(image.clone(), pinned(&reference, digest));
            }
            (Seen { error: Some(error), .. }, _) => {
                resolved.unresolved.push(format!("image {image} stays as written, no digest is known: {error}"));
            }
            // What a run began with as written was asked for then.
            (Seen { .. }, _) if running.is_some() => {}
            (Seen { .. }, _) => resolved.unasked = true,
        }
    }
    resolved
}

fn pinned(reference: &Reference, digest: &Digest) -> String {
    reference.with_digest(digest.clone()).to_string()
}

/// The revision that a Canary's uid and generation make with these images.
pub(super) fn revision(base: &Revision, images: &BTreeMap<String, String>) -> Revision {
    if images.is_empty() {
        return base.clone();
    }
    let mut hash = Sha256::new();
    for (written, resolved) in images {
        for part in [written, resolved] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
    }
    let name: String = hex::encode(hash.finalize()).chars().take(NAME).collect();
    Revision::new(format!("{base}@{name}"))
}

/// A revision as a label's value: generation, and the name of the images where there is one.
pub(super) fn label(revision: &Revision) -> String {
    let (_, tail) = revision.as_str().split_once('/').unwrap_or_default();
    tail.replace('@', "-")
}

/// Whether a revision is of a Canary's uid and generation, whatever its tags named.
pub(crate) trait IsOf {
    fn is_of(&self, base: &Revision) -> bool;
}

impl IsOf for Revision {
    fn is_of(&self, base: &Revision) -> bool {
        let rest = self.as_str().strip_prefix(base.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    }
}

/// What containers are to run, by their names: as written, or as resolved.
pub(super) fn of_containers(
    written: &BTreeMap<String, String>,
    images: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let resolved = |image: &String| images.get(image).unwrap_or(image).clone();
    written.iter().map(|(container, image)| (container.clone(), resolved(image))).collect()
}

/// Whether two texts are one image: the same words, or the same digest.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    let digest = |text: &str| text.parse::<Reference>().ok()?.digest().cloned();
    a == b || digest(a).is_some_and(|a| digest(b).as_ref() == Some(&a))
}

/// What the nodes say that a pod's containers run, by the containers' names.
pub(super) fn ids(pod: &DynamicObject) -> BTreeMap<String, String> {
    let statuses = list(&pod.data, "/status/containerStatuses").iter();
    let known = statuses.filter_map(|status| Some((text(status, "/name")?, text(status, "/imageID")?)));
    known.filter(|(_, id)| !id.is_empty()).map(|(name, id)| (name.to_owned(), id.to_owned())).collect()
}

/// The containers for whose image no digest was known, and which run something else in production than was judged.
pub(super) fn differing(resource: &Resource, pods: &[Arc<DynamicObject>], memory: &Memory) -> Vec<String> {
    let (Ok(wish), Some((_, judged))) = (&resource.wish, &memory.judged) else { return Vec::new() };
    let Ok(desired) = keeper_clone::Desired::read(&wish.deployment) else { return Vec::new() };
    let unpinned = of_containers(&desired.images(), &resource.images).into_iter();
    let unpinned = unpinned.filter(|(_, image)| image.parse::<Reference>().is_ok_and(|image| image.digest().is_none()));
    let mut all = Vec::new();
    for (container, image) in unpinned {
        let Some(ours) = judged.get(&container) else { continue };
        let others = |pod: &&Arc<DynamicObject>| ids(pod).get(&container).is_some_and(|id| id != ours);
        if let Some(pod) = pods.iter().find(others) {
            all.push(format!(
                "container {container} of pod {} runs another image under {image} than the canary did",
                pod.name_any()
            ));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn another_image_is_another_revision_of_the_same_generation() {
        let base = Revision::from("3f2504e0/3");
        let one = revision(&base, &map(&[("app:good", "app@sha256:aa")]));
        let other = revision(&base, &map(&[("app:good", "app@sha256:bb")]));
        assert_ne!(one, other);
        assert_eq!(revision(&base, &map(&[])), base);
        assert!(one.is_of(&base) && base.is_of(&base));
        assert!(!one.is_of(&Revision::from("3f2504e0/31")) && !Revision::from("3f2504e0/31").is_of(&base));
        assert!(label(&one).starts_with("3-") && label(&base) == "3", "{}", label(&one));
    }

    #[test]
    fn production_that_runs_another_image_under_the_same_tag_is_told() {
        use serde_json::json;
        let canary = json!({
            "metadata": {"name": "shop", "namespace": "team", "uid": "u1", "generation": 1},
            "spec": {"deploymentTemplate": {"metadata": {"name": "shop"}, "spec": {
                "selector": {"matchLabels": {"app": "shop"}},
                "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [{"name": "web", "image": "app:good"}, {"name": "side", "image": "side:1"}]},
                },
            }}},
        });
        let resource = Resource {
            name: "shop".into(),
            production: None,
            canary: None,
            wish: keeper_api::canary::read(&canary, &keeper_api::Defaults::default()),
            images: map(&[("side:1", &format!("side@sha256:{}", "a".repeat(64)))]),
            unresolved: Vec::new(),
            refused_as: None,
        };
        let pod = |web: &str, side: &str| -> Arc<DynamicObject> {
            let statuses = json!([{"name": "web", "imageID": web}, {"name": "side", "imageID": side}]);
            let pod = json!({"metadata": {"name": "shop-1"}, "status": {"containerStatuses": statuses}});
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        let mut memory = Memory::default();
        assert!(differing(&resource, &[pod("x", "y")], &memory).is_empty(), "what wasn't seen isn't compared");
        memory.judged = Some(("1-1".into(), ids(&pod("sha256:1", "sha256:2"))));
        assert!(differing(&resource, &[pod("sha256:1", "sha256:3")], &memory).is_empty(), "pinned ones need no look");
        let told = differing(&resource, &[pod("sha256:1", "sha256:2"), pod("sha256:9", "sha256:2")], &memory);
        assert_eq!(told.len(), 1);
        assert!(told.iter().all(|text| text.contains("container web") && text.contains("app:good")), "{told:?}");
        assert!(differing(&resource, &[pod("", "")], &memory).is_empty(), "a node that says nothing accuses nobody");
    }

    #[test]
    fn a_digest_is_the_image_wherever_it_comes_from() {
        let digest = |host: &str| format!("{host}/shop@sha256:{}", "a".repeat(64));
        assert!(is_same("app:good", "app:good"));
        assert!(is_same(&digest("quay.io"), &digest("mirror.local")));
        assert!(!is_same("app:good", "app:bad") && !is_same("app:good", &digest("quay.io")));
    }
}
