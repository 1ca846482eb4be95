//! From objects as the API server gives them to what the core observes. Pure: no request, no clock.

use crate::json::{condition, cut, flag, list, number, selects, text, time};
use crate::kind;
use crate::memory::HeadError;
use jiff::Timestamp;
use keeper_api::keys;
use keeper_clone::WorkloadKind;
use keeper_image::{Digest, ImageId, Reference};
use keeper_rollout::{Blocker, BlockerKind, Canary, Production, Reach, Revision, Rollout, RunId, Trouble, Uid};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

const LONGEST_WORDS: usize = 200;

/// How far the workload's own rollout is, as its controller says.
pub(crate) fn rollout(workload: &DynamicObject) -> Rollout {
    let data = &workload.data;
    if flag(data, "/spec/paused") {
        return Rollout::Stuck("the workload is paused".into());
    }
    let seen = number(data, "/status/observedGeneration").unwrap_or(0) >= workload.metadata.generation.unwrap_or(0);
    if !seen {
        return Rollout::Progressing;
    }
    let progressing = condition(data, "Progressing");
    let reason = progressing.and_then(|progressing| text(progressing, "/reason")).unwrap_or_default();
    if reason == "ProgressDeadlineExceeded" {
        let message = progressing.and_then(|progressing| text(progressing, "/message")).unwrap_or(reason);
        return Rollout::Stuck(cut(message, LONGEST_WORDS));
    }
    if crate::clone::roll_out(workload).is_some() {
        return Rollout::Progressing;
    }
    let wanted = number(data, "/spec/replicas").unwrap_or(1);
    let count = |pointer| number(data, pointer).unwrap_or(0);
    let (updated, all) = (count("/status/updatedReplicas"), count("/status/replicas"));
    // Without a progress deadline there is no such condition; then every pod must be available.
    let told = matches!(reason, "NewReplicaSetAvailable" | "NewReplicationControllerAvailable");
    let done = told || count("/status/availableReplicas") >= wanted;
    if done && updated >= wanted && all == updated { Rollout::Complete } else { Rollout::Progressing }
}

/// What the judged containers of the production template, or else of its pods, run.
pub(crate) fn production(
    workload: &DynamicObject,
    containers: &[String],
    pods: &[Arc<DynamicObject>],
    same: &BTreeSet<Digest>,
    wanted: Option<&Digest>,
) -> Production {
    let mut digests = BTreeSet::new();
    for container in judged(workload, containers) {
        let name = text(container, "/name").unwrap_or_default();
        let image = text(container, "/image").unwrap_or_default();
        match image.parse::<Reference>() {
            Err(error) => return Production::NotPinned(format!("container {name}: {error}")),
            Ok(reference) => match reference.digest() {
                Some(digest) => drop(digests.insert(digest.clone())),
                None => digests.extend(running(pods, name)),
            },
        }
    }
    // An index and its children are one image.
    if let Some(wanted) = wanted
        && !digests.is_empty()
        && digests.iter().all(|digest| digest == wanted || same.contains(digest))
    {
        return Production::Runs(revision(wanted));
    }
    let mut digests = digests.into_iter();
    match (digests.next(), digests.next()) {
        (Some(only), None) => Production::Runs(revision(&only)),
        (Some(a), Some(b)) => Production::NotPinned(format!(
            "the template names a tag, and its pods run {} and {}; let them agree, or name a digest",
            Revision::new(a.to_string()).short(),
            Revision::new(b.to_string()).short()
        )),
        (None, _) => Production::NotPinned("the template names a tag, and no running pod tells its digest yet".into()),
    }
}

/// Whether the template names every judged container's image by digest.
pub(crate) fn is_pinned(workload: &DynamicObject, containers: &[String]) -> bool {
    let digest = |container: &Value| text(container, "/image")?.parse::<Reference>().ok()?.digest().cloned();
    judged(workload, containers).all(|container| digest(container).is_some())
}

/// A digest as the core's revision.
pub(crate) fn revision(digest: &Digest) -> Revision {
    Revision::new(digest.to_string())
}

/// The containers of the template that carry the image; the only one where none was named.
pub(crate) fn judged<'a>(workload: &'a DynamicObject, containers: &'a [String]) -> impl Iterator<Item = &'a Value> {
    let named = |name: Option<&str>| containers.iter().any(|container| Some(container.as_str()) == name);
    let all = list(&workload.data, "/spec/template/spec/containers").iter();
    all.filter(move |container| containers.is_empty() || named(text(container, "/name")))
}

fn running(pods: &[Arc<DynamicObject>], container: &str) -> BTreeSet<Digest> {
    let alive = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let statuses = alive.flat_map(|pod| list(&pod.data, "/status/containerStatuses"));
    let ours = statuses.filter(|status| text(status, "/name") == Some(container));
    ours.filter_map(|status| ImageId::parse(text(status, "/imageID")?).digest().cloned()).collect()
}

/// The Services that select the production pods, by name.
pub(crate) fn production_services(
    workload: &DynamicObject,
    services: &[Arc<DynamicObject>],
) -> Vec<Arc<DynamicObject>> {
    let labels = template_labels(workload);
    let selecting = services.iter().filter(|service| selects(service.data.pointer("/spec/selector"), &labels));
    selecting.cloned().collect()
}

/// What the production pods are labelled with.
fn template_labels(workload: &DynamicObject) -> std::collections::BTreeMap<String, String> {
    let labels = workload.data.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    let mut labels: std::collections::BTreeMap<_, _> =
        pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
    if kind::of(workload) == WorkloadKind::DeploymentConfig {
        // Its ReplicationControllers give all their pods this one.
        labels.insert("deploymentconfig".to_owned(), workload.name_any());
    }
    labels
}

/// The canary pod as the core sees it.
pub(crate) fn canary(
    pod: &DynamicObject,
    containers: &[String],
    reachable: Reach,
    head: Option<&Result<(), HeadError>>,
) -> Canary {
    let ready = condition(&pod.data, "Ready");
    let created = pod.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    Canary {
        uid: Uid::new(pod.uid().unwrap_or_default()),
        run: pod.labels().get(keys::RUN_LABEL).map(|run| RunId::new(run.as_str())),
        template: pod.annotations().get(keys::TEMPLATE).map(|hash| hash.as_str().into()),
        ready: ready.and_then(|ready| text(ready, "/status")) == Some("True"),
        ready_changed: ready.and_then(|ready| time(ready, "/lastTransitionTime")).unwrap_or(created),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        reachable,
        trouble: trouble(pod, containers, head),
    }
}

/// Whether the EndpointSlices of every production Service list the pod as ready.
pub(crate) fn reach(pod: &DynamicObject, services: &[Arc<DynamicObject>], slices: &[Arc<DynamicObject>]) -> Reach {
    if services.is_empty() {
        return Reach::NoService;
    }
    let uid = pod.uid();
    let listed = |service: &Arc<DynamicObject>| {
        let of =
            |slice: &&Arc<DynamicObject>| slice.labels().get("kubernetes.io/service-name") == Some(&service.name_any());
        let endpoints = slices.iter().filter(of).flat_map(|slice| list(&slice.data, "/endpoints"));
        let ours = |endpoint: &Value| {
            text(endpoint, "/targetRef/uid") == uid.as_deref()
                && endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true)
        };
        endpoints.into_iter().any(ours)
    };
    let missing: Vec<String> = services.iter().filter(|s| !listed(s)).map(|s| s.name_any()).collect();
    if missing.is_empty() { Reach::Reached } else { Reach::Missing(missing) }
}

/// Whether the canary waits for its image: then the registry is asked whether there is one.
pub(crate) fn waits_for_image(pod: &DynamicObject, containers: &[String]) -> bool {
    statuses(pod, containers).any(|status| pull_trouble(status).is_some())
}

fn statuses<'a>(pod: &'a DynamicObject, containers: &'a [String]) -> impl Iterator<Item = &'a Value> {
    let named = |name: Option<&str>| containers.iter().any(|container| Some(container.as_str()) == name);
    let all = list(&pod.data, "/status/containerStatuses").iter();
    all.filter(move |status| containers.is_empty() || named(text(status, "/name")))
}

/// The containers beside the judged ones, those that run before them included.
fn other_statuses<'a>(pod: &'a DynamicObject, containers: &'a [String]) -> impl Iterator<Item = &'a Value> {
    let judged = |name: Option<&str>| containers.iter().any(|container| Some(container.as_str()) == name);
    let beside = list(&pod.data, "/status/containerStatuses").iter();
    let beside = beside.filter(move |status| !containers.is_empty() && !judged(text(status, "/name")));
    list(&pod.data, "/status/initContainerStatuses").iter().chain(beside)
}

fn trouble(pod: &DynamicObject, containers: &[String], head: Option<&Result<(), HeadError>>) -> Option<Trouble> {
    if let Some(trouble) = lost(pod) {
        return Some(trouble);
    }
    let leaving = pod.metadata.deletion_timestamp.is_some();
    if let Some(trouble) = statuses(pod, containers).find_map(|status| container_trouble(status, head, leaving)) {
        return Some(trouble);
    }
    if leaving {
        return None;
    }
    if text(&pod.data, "/status/phase") == Some("Failed") {
        // No judged container ended: the node did not admit it, or ended it for a reason of its own.
        return Some(Trouble::LostToNode(words_of(pod).unwrap_or_else(|| "the pod failed".into())));
    }
    let other = other_statuses(pod, containers).find_map(pull_trouble);
    if let Some(words) = other {
        return Some(Trouble::CannotPull(words));
    }
    let scheduled = condition(&pod.data, "PodScheduled")?;
    let words = text(scheduled, "/message").unwrap_or("no reason given");
    (text(scheduled, "/status") == Some("False")).then(|| Trouble::NotScheduled(cut(words, LONGEST_WORDS)))
}

/// What the node says of the whole pod.
fn words_of(pod: &DynamicObject) -> Option<String> {
    let words = text(&pod.data, "/status/message").or_else(|| text(&pod.data, "/status/reason"))?;
    Some(cut(words, LONGEST_WORDS))
}

/// What took the whole pod away.
fn lost(pod: &DynamicObject) -> Option<Trouble> {
    let reason = text(&pod.data, "/status/reason").unwrap_or_default();
    let words = || words_of(pod).unwrap_or_default();
    let disrupted = condition(&pod.data, "DisruptionTarget").filter(|c| text(c, "/status") == Some("True"));
    match reason {
        "DeadlineExceeded" => Some(Trouble::DeadlineExceeded(words())),
        "Evicted"
        | "Preempting"
        | "NodeLost"
        | "NodeShutdown"
        | "Terminated"
        | "Shutdown"
        | "NodeAffinity"
        | "UnexpectedAdmissionError" => Some(Trouble::LostToNode(words())),
        _ => disrupted.map(|c| Trouble::LostToNode(text(c, "/reason").unwrap_or("disrupted").to_owned())),
    }
}

/// What hinders a judged container. One that ends because its pod is being deleted is in no trouble.
fn container_trouble(status: &Value, head: Option<&Result<(), HeadError>>, leaving: bool) -> Option<Trouble> {
    let name = text(status, "/name").unwrap_or_default();
    let ended = status.pointer("/state/terminated").or_else(|| status.pointer("/lastState/terminated"));
    let ended_now = status.pointer("/state/terminated").is_some() && !leaving;
    if number(status, "/restartCount").unwrap_or(0) > 0 || ended_now {
        let reason = ended.and_then(|ended| text(ended, "/reason")).unwrap_or("ended");
        let code = ended.and_then(|ended| number(ended, "/exitCode"));
        let code = code.map_or(String::new(), |code| format!(", exit code {code}"));
        return Some(Trouble::Restarted(format!("{name}: {reason}{code}")));
    }
    if let Some(words) = pull_trouble(status) {
        return Some(match head {
            Some(Err(HeadError::NotFound(words))) => Trouble::ImageNotFound(words.clone()),
            Some(Err(HeadError::Other(words))) => Trouble::CannotPull(words.clone()),
            Some(Ok(())) | None => Trouble::CannotPull(words),
        });
    }
    let reason = text(status, "/state/waiting/reason")?;
    let cannot_run = ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"].contains(&reason);
    cannot_run.then(|| Trouble::CannotRun(waiting_words(status)))
}

/// What the kubelet says when it can't have a container's image.
const PULL_REASONS: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

fn pull_trouble(status: &Value) -> Option<String> {
    let reason = text(status, "/state/waiting/reason")?;
    PULL_REASONS.contains(&reason).then(|| waiting_words(status))
}

fn waiting_words(status: &Value) -> String {
    let reason = text(status, "/state/waiting/reason").unwrap_or_default();
    let message = text(status, "/state/waiting/message").filter(|words| !words.is_empty()).unwrap_or(reason);
    format!("{}: {}", text(status, "/name").unwrap_or_default(), cut(message, LONGEST_WORDS))
}

/// How many canaries there are already, and who stands behind the same Service.
pub(crate) struct Crowd {
    pub(crate) in_namespace: usize,
    pub(crate) in_all: usize,
    pub(crate) neighbour: Option<String>,
}

/// The most canaries at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanaryLimits {
    /// In one namespace. Default 5.
    pub per_namespace: usize,
    /// In all. Default 20.
    pub per_operator: usize,
}

impl Default for CanaryLimits {
    fn default() -> Self {
        Self { per_namespace: 5, per_operator: 20 }
    }
}

/// Why no canary may start now, as far as the workload itself and other canaries tell.
pub(crate) fn blocker(workload: &DynamicObject, crowd: &Crowd, limits: CanaryLimits) -> Option<Blocker> {
    let because = |kind, text: String| Some(Blocker { kind, text });
    if flag(&workload.data, "/spec/paused") {
        return because(
            BlockerKind::WorkloadPaused,
            "the workload is paused; resume it with kubectl rollout resume".into(),
        );
    }
    if number(&workload.data, "/spec/replicas") == Some(0) {
        return because(BlockerKind::ScaledToZero, "the workload is scaled to zero".into());
    }
    crowded(crowd, limits)
}

/// Why other canaries leave no room for one more, if they do.
pub(crate) fn crowded(crowd: &Crowd, limits: CanaryLimits) -> Option<Blocker> {
    let too_many = |text| Some(Blocker { kind: BlockerKind::TooManyCanaries, text });
    if let Some(neighbour) = &crowd.neighbour {
        return too_many(format!("the canary of {neighbour} runs behind the same Service"));
    }
    if crowd.in_namespace >= limits.per_namespace || crowd.in_all >= limits.per_operator {
        let text = format!(
            "{} canaries run in this namespace (at most {}) and {} in all (at most {})",
            crowd.in_namespace, limits.per_namespace, crowd.in_all, limits.per_operator
        );
        return too_many(text);
    }
    None
}

#[cfg(test)]
mod tests;
