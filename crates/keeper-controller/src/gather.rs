//! Gather: everything that one decision needs, from our watches, the registry, the signals, and where the core asks for
//! it the server. Decides nothing.

use crate::clone::{self, Clonable};
use crate::context::{Context, Key};
use crate::error::ClusterError;
use crate::memory::{HeadError, Memory, RunSignals, Tag};
use crate::view::CANARY_OF;
use crate::{observe, records};
use jiff::Timestamp;
use keeper_alertmanager::LabelMatcher;
use keeper_api::{Invalid, Wish};
use keeper_image::{Digest, Reference, ResolveError, Seen};
use keeper_rollout::{
    Blocker, BlockerKind, Canary, Looked, Observation, Production, Read, Run, State, Stored, TemplateHash, Wanted,
    Workload,
};
use keeper_signal::{Look, Pod, Verdict, Why, Window};
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What one decision is made of.
pub(crate) struct Gathered {
    pub(crate) key: Key,
    pub(crate) workload: Arc<DynamicObject>,
    pub(crate) wish: Result<Wish, Invalid>,
    pub(crate) plan: keeper_rollout::Plan,
    pub(crate) record: Option<Arc<DynamicObject>>,
    pub(crate) stored: Stored,
    pub(crate) services: Vec<Arc<DynamicObject>>,
    pub(crate) observation: Observation,
    /// Whether the registry has not been asked yet.
    pub(crate) unasked: bool,
}

/// How long a HEAD of an image that a node can't pull is believed.
const HEAD_BELIEVED: i64 = 10;
/// How long the store may refuse our record before a canary goes all the same.
const STORE_REFUSES_AFTER: u32 = 3;

pub(crate) async fn gather(
    context: &Context,
    key: &Key,
    memory: &mut Memory,
    read: Read,
    now: Timestamp,
) -> Result<Option<Gathered>, ClusterError> {
    let Some((workload, pod)) = objects(context, key, memory, read, now).await? else { return Ok(None) };
    let foreign = pod.as_ref().filter(|pod| !pod.labels().contains_key(CANARY_OF)).map(|pod| pod.name_any());
    let pod = pod.filter(|_| foreign.is_none());
    let record = record(context, key, &workload, memory, read, now).await?;
    let stored = records::read(record.as_deref());
    let wish = wish(context, &workload);
    let containers = wish.as_ref().map_or(Vec::new(), |wish| wish.containers.clone());
    let view = &context.view;
    let services = observe::production_services(&workload, &view.services(&key.0));
    let plan = wish.as_ref().map_or_else(|_| context.shared.settings.defaults.plan.clone(), |wish| wish.plan.clone());

    let seen = wish.as_ref().ok().and_then(|wish| seen(context, key, &wish.image, memory));
    let unasked = seen.as_ref().is_some_and(|seen| seen.at.is_none() && seen.digest.is_none());
    let pods = view.production_pods(&key.0, &workload.uid().unwrap_or_default());
    let wanted = seen.as_ref().and_then(|seen| seen.digest.clone());
    let same = equivalents(context, &wish, &workload, &containers, wanted.as_ref()).await;
    let production = observe::production(&workload, &containers, &pods, &same, wanted.as_ref());

    let canary = match &pod {
        None => None,
        Some(pod) => {
            let head = head(context, &wish, &stored, pod, &containers, memory, now).await;
            let reach = observe::reach(pod, &services, &view.slices(&key.0));
            Some(observe::canary(pod, &containers, reach, head.as_ref()))
        }
    };
    let signals = match (&wish, &pod, &canary) {
        (Ok(wish), Some(pod), Some(canary)) => look(context, wish, &stored, pod, canary, &pods, memory, now).await,
        _ => Vec::new(),
    };
    let clonable = Clonable {
        workload: &workload,
        wish: &wish,
        services: &services,
        replica_sets: &view.replica_sets(&key.0),
        read_write_once: &read_write_once(context, key, &workload, &stored, memory, now).await?,
    };
    let foreign = foreign.map(|name| Blocker {
        kind: BlockerKind::CloneRefused,
        text: format!("pod {name} has the canary's name and is not ours; delete or rename it"),
    });
    let crowd = context.shared.crowd(key, &services);
    let blocker = observe::blocker(&workload, &crowd, context.shared.settings.limits)
        .or(foreign)
        .or_else(|| clone::blocker(context, &clonable, wanted.as_ref(), &production));
    let observation = Observation {
        read,
        workload: observed_workload(&workload, &wish, &containers, production, blocker),
        wanted: wanted_of(&wish, seen),
        canary,
        signals,
        alert_path_live: false,
        watch: memory.watch.clone(),
        refused: memory.refused.clone(),
        store_refuses: memory.store_failures >= STORE_REFUSES_AFTER,
    };
    let key = key.clone();
    Ok(Some(Gathered { key, workload, wish, plan, record, stored, services, observation, unasked }))
}

/// What the workload's owner asks for. Alert matchers are read where alerts are understood.
fn wish(context: &Context, workload: &DynamicObject) -> Result<Wish, Invalid> {
    let wish = keeper_api::read(&as_json(workload), &context.shared.settings.defaults)?;
    for matcher in &wish.alert_matchers {
        LabelMatcher::parse_list(matcher).map_err(|error| Invalid {
            field: format!("annotation {}", keeper_api::keys::ALERT_MATCHERS),
            problem: error.to_string(),
            fix: "write matchers as Alertmanager does, such as team=\"shop\"".into(),
        })?;
    }
    Ok(wish)
}

/// The digests that are the wanted image: asked only where production's digest is its pods' `imageID`, which may be a
/// child of the index that the tag names.
async fn equivalents(
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

/// How long what the server said of volume claims is believed.
const CLAIMS_BELIEVED: i64 = 60;

/// The workload's volume claims that one node can mount at a time; asked only before a canary could start.
async fn read_write_once(
    context: &Context,
    key: &Key,
    workload: &DynamicObject,
    stored: &Stored,
    memory: &mut Memory,
    now: Timestamp,
) -> Result<BTreeSet<String>, ClusterError> {
    let volumes = crate::json::list(&workload.data, "/spec/template/spec/volumes");
    let claims: Vec<&str> =
        volumes.iter().filter_map(|volume| crate::json::text(volume, "/persistentVolumeClaim/claimName")).collect();
    if claims.is_empty() || run(stored).is_some() {
        return Ok(BTreeSet::new());
    }
    if let Some((at, once)) = &memory.claims
        && now.as_second() - at.as_second() < CLAIMS_BELIEVED
    {
        return Ok(once.clone());
    }
    let mut once = BTreeSet::new();
    for name in claims {
        let claim = context.shared.cluster.volume_claim(&key.0, name).await?;
        let modes = claim.as_ref().map_or(&[][..], |claim| crate::json::list(&claim.data, "/spec/accessModes"));
        if modes.iter().any(|mode| mode == "ReadWriteOnce" || mode == "ReadWriteOncePod") {
            once.insert(name.to_owned());
        }
    }
    memory.claims = Some((now, once.clone()));
    Ok(once)
}

pub(crate) fn as_json(object: &DynamicObject) -> serde_json::Value {
    serde_json::to_value(object).unwrap_or_default()
}

type Found = (Arc<DynamicObject>, Option<Arc<DynamicObject>>);

/// Workload and canary, from our watches or, where the core asked for it, from the server.
async fn objects(
    context: &Context,
    key: &Key,
    memory: &mut Memory,
    read: Read,
    now: Timestamp,
) -> Result<Option<Found>, ClusterError> {
    let (namespace, name) = key;
    if read == Read::Production {
        let cluster = &context.shared.cluster;
        let Some(workload) = cluster.workload(namespace, name).await? else { return Ok(None) };
        let pod = cluster.canary(namespace, &canary_name(&workload)).await?;
        return Ok(Some((Arc::new(workload), pod.map(Arc::new))));
    }
    let Some(workload) = memory.workload.over(context.view.workload(namespace, name), now) else { return Ok(None) };
    let pod = memory.canary.over(context.view.pod(namespace, &canary_name(&workload)), now);
    Ok(Some((workload, pod)))
}

/// The name of the canary, and of the record.
pub(crate) fn canary_name(workload: &DynamicObject) -> String {
    keeper_clone::canary_name(&workload.name_any(), &workload.uid().unwrap_or_default())
}

async fn record(
    context: &Context,
    key: &Key,
    workload: &DynamicObject,
    memory: &mut Memory,
    read: Read,
    now: Timestamp,
) -> Result<Option<Arc<DynamicObject>>, ClusterError> {
    let name = canary_name(workload);
    if read == Read::Record {
        return Ok(context.shared.cluster.record(&key.0, &name).await?.map(Arc::new));
    }
    Ok(memory.record.over(context.view.record(&key.0, &name), now))
}

/// What is known of the watched tag; starts watching it.
fn seen(context: &Context, key: &Key, image: &Reference, memory: &mut Memory) -> Option<Seen> {
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
                let workload =
                    kube::runtime::reflector::ObjectRef::new_with(&name, crate::kind::deployment()).within(&namespace);
                if triggers.unbounded_send(workload).is_err() {
                    break;
                }
            }
        });
        memory.tag = Some(Tag { image: image.clone(), seen, forward: forward.abort_handle() });
    }
    memory.tag.as_ref().map(|tag| tag.seen.borrow().clone())
}

fn wanted_of(wish: &Result<Wish, Invalid>, seen: Option<Seen>) -> Wanted {
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

fn observed_workload(
    workload: &DynamicObject,
    wish: &Result<Wish, Invalid>,
    containers: &[String],
    production: Production,
    blocker: Option<Blocker>,
) -> Workload {
    let object = as_json(workload);
    let label = workload.labels().get(keeper_api::keys::RUN_LABEL);
    Workload {
        opted_in: keeper_api::opted_in(&object) && workload.metadata.deletion_timestamp.is_none(),
        paused: keeper_api::paused(&object),
        commands: keeper_api::commands(&object),
        generation: workload.metadata.generation.unwrap_or(0),
        version: workload.resource_version().unwrap_or_default().as_str().into(),
        template: TemplateHash::new(clone::template_hash(&object, containers)),
        production,
        run_label: label.map(|run| run.as_str().into()),
        rollout: observe::rollout(workload),
        blocker,
        invalid: wish.as_ref().err().map(ToString::to_string),
    }
}

fn run(stored: &Stored) -> Option<&Run> {
    match stored {
        Stored::Readable(record) => record.state.run(),
        Stored::Absent | Stored::Unreadable(_) => None,
    }
}

/// Asks the registry whether an image exists that the canary's node can't pull: the kubelet's text doesn't decide.
async fn head(
    context: &Context,
    wish: &Result<Wish, Invalid>,
    stored: &Stored,
    pod: &DynamicObject,
    containers: &[String],
    memory: &mut Memory,
    now: Timestamp,
) -> Option<Result<(), HeadError>> {
    let (run, wish) = (run(stored)?, wish.as_ref().ok()?);
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

/// Asks every signal of the run under way, at most once a look interval.
#[expect(clippy::too_many_arguments, reason = "what a look is made of")]
async fn look(
    context: &Context,
    wish: &Wish,
    stored: &Stored,
    pod: &DynamicObject,
    canary: &Canary,
    baseline: &[Arc<DynamicObject>],
    memory: &mut Memory,
    now: Timestamp,
) -> Vec<Looked> {
    let Stored::Readable(record) = stored else { return Vec::new() };
    let Some(run) = record.state.run() else {
        memory.signals = None;
        return Vec::new();
    };
    if memory.signals.as_ref().is_none_or(|signals| signals.run != run.id) {
        memory.signals = Some(begin(context, wish, run));
    }
    let Some(signals) = memory.signals.as_mut() else { return Vec::new() };
    let interval = wish.plan.look_interval;
    let due = signals.at.is_none_or(|at| elapsed(at, now) + interval / 10 >= interval);
    if matches!(record.state, State::Incubating(..)) && canary.ready && !canary.terminating && due {
        let at = Look {
            canary: signal_pod(pod),
            baseline: baseline.iter().map(|pod| signal_pod(pod)).collect(),
            window: Window { from: signal_pod(pod).created, to: now },
        };
        signals.look(&at, interval).await;
    }
    signals.looked.clone()
}

fn begin(context: &Context, wish: &Wish, run: &Run) -> RunSignals {
    let mut begun =
        RunSignals { run: run.id.clone(), signals: Vec::new(), impossible: Vec::new(), looked: Vec::new(), at: None };
    for check in &wish.checks {
        match context.shared.signals.make(check) {
            Ok(signal) => begun.signals.push(signal),
            Err(why) => begun
                .impossible
                .push(Looked { signal: check.kind().to_owned(), verdict: Verdict::Unknown(Why::NotMeasured(why)) }),
        }
    }
    let unseen = || Verdict::Unknown(Why::NotMeasured("not looked at yet".into()));
    let first = begun.signals.iter().map(|s| Looked { signal: s.name().to_owned(), verdict: unseen() });
    begun.looked = first.chain(begun.impossible.iter().cloned()).collect();
    begun
}

impl RunSignals {
    async fn look(&mut self, at: &Look, within: Duration) {
        let mut looked = Vec::with_capacity(self.looked.len());
        for signal in &mut self.signals {
            let name = signal.name().to_owned();
            let late = || Verdict::Unknown(Why::NotMeasured(format!("no answer within {} s", within.as_secs_f64())));
            let verdict = tokio::time::timeout(within, signal.look(at)).await.unwrap_or_else(|_| late());
            looked.push(Looked { signal: name, verdict });
        }
        looked.extend(self.impossible.iter().cloned());
        self.looked = looked;
        self.at = Some(at.window.to);
    }
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn signal_pod(pod: &DynamicObject) -> Pod {
    Pod {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        address: crate::json::text(&pod.data, "/status/podIP").and_then(|ip| ip.parse().ok()),
        created: pod.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
    }
}
