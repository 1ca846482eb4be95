//! Which request meets which fault: rules in, a verdict per request out. No IO.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{broadcast, watch};

/// What is known of a request before it is forwarded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// The client's short name: its `User-Agent` up to the first slash or space.
    pub client: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection` or `other`.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name of the resource; empty for paths that are no resource's.
    pub resource: String,
    /// Namespace; empty for cluster-wide requests.
    pub namespace: String,
    /// Name of the object, for a create the one in its body; empty for collections.
    pub name: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// Sent with `dryRun=All`.
    pub dry_run: bool,
}

impl RequestInfo {
    /// Whether the request could change something: a write that is no dry-run.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !self.dry_run && matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

/// Selects requests. Everything that is said must hold; what isn't said holds for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matcher {
    client: Option<String>,
    verbs: Vec<String>,
    resource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
    writes_only: bool,
    no_watches: bool,
}

impl Matcher {
    /// Selects every request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Only requests of this client, named by its `User-Agent` up to the first slash or space.
    #[must_use]
    pub fn client(mut self, client: impl Into<String>) -> Self {
        self.client = Some(client.into());
        self
    }

    /// Only requests with this verb; said several times, with one of them.
    #[must_use]
    pub fn verb(mut self, verb: impl Into<String>) -> Self {
        self.verbs.push(verb.into());
        self
    }

    /// Only requests for this resource, by its plural name.
    #[must_use]
    pub fn resource(mut self, plural: impl Into<String>) -> Self {
        self.resource = Some(plural.into());
        self
    }

    /// Only requests in this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only requests for the object of this name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only requests for this subresource; an empty one means the object itself.
    #[must_use]
    pub fn subresource(mut self, subresource: impl Into<String>) -> Self {
        self.subresource = Some(subresource.into());
        self
    }

    /// Only requests that could change something: no reads, no dry-runs.
    #[must_use]
    pub fn writes(mut self) -> Self {
        self.writes_only = true;
        self
    }

    /// No watches.
    #[must_use]
    pub fn without_watches(mut self) -> Self {
        self.no_watches = true;
        self
    }

    /// Whether a request is selected.
    #[must_use]
    pub fn matches(&self, request: &RequestInfo) -> bool {
        let is = |wanted: &Option<String>, actual: &str| wanted.as_deref().is_none_or(|wanted| wanted == actual);
        is(&self.client, &request.client)
            && is(&self.resource, &request.resource)
            && is(&self.namespace, &request.namespace)
            && is(&self.name, &request.name)
            && is(&self.subresource, &request.subresource)
            && (self.verbs.is_empty() || self.verbs.contains(&request.verb))
            && (!self.writes_only || request.is_write())
            && (!self.no_watches || request.verb != "watch")
    }
}

/// Which of the selected requests a rule hits, counted from 1 since the rule was added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// All.
    Always,
    /// Only this one.
    Nth(u64),
    /// The first so many.
    First(u64),
    /// This one and all after it.
    From(u64),
    /// Each with this chance, between 0 and 1, from the proxy's seed.
    Chance(f64),
}

/// What happens to a request that is hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is forwarded that much later. Several such rules add up, and go with one of the others.
    Latency(Duration),
    /// It is not forwarded; the connection is closed without an answer.
    Refuse,
    /// It is forwarded and carried out; the connection is closed without an answer.
    DropReply,
    /// The connection is closed at once without an answer, and the request is forwarded that much later.
    CommitLate(Duration),
    /// It is not forwarded; it is answered with this code and a Kubernetes `Status`. With 429 and 503 a `Retry-After` of
    /// one second is sent, like the real server does when it is overloaded.
    Answer(u16),
    /// A watch that goes silent that long after it started, without being closed.
    FreezeWatch(Duration),
    /// A watch that is closed in the middle that long after it started.
    CutWatch(Duration),
    /// A watch whose only event is the error 410, as after a compaction.
    ExpireWatch,
}

/// Where in a request's life a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookPoint {
    /// Before the request is forwarded. It still is, also when the hook kills the client: what was sent was sent.
    Before,
    /// When the upstream has answered and the client has not yet seen it; the answer waits for the hook.
    Committed,
}

/// Names a rule, for taking it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(u64);

struct Rule {
    id: RuleId,
    matcher: Matcher,
    when: When,
    fault: Fault,
    seen: u64,
}

pub(crate) type Action = Box<dyn FnOnce(&RequestInfo) + Send>;

struct Hook {
    id: RuleId,
    matcher: Matcher,
    nth: u64,
    point: HookPoint,
    seen: u64,
    action: Action,
}

struct Rules {
    next: u64,
    rules: Vec<Rule>,
    hooks: Vec<Hook>,
    dice: StdRng,
}

/// What is to be done with one request.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) latency: Duration,
    pub(crate) fault: Option<Fault>,
    pub(crate) before: Vec<Action>,
    pub(crate) committed: Vec<Action>,
}

/// Adds and removes faults while the proxy runs. Clones act on the same proxy.
#[derive(Clone)]
pub struct FaultHandle {
    rules: Arc<Mutex<Rules>>,
    frozen: watch::Sender<Vec<(RuleId, Matcher)>>,
    cuts: broadcast::Sender<Matcher>,
}

impl FaultHandle {
    pub(crate) fn new(seed: u64) -> Self {
        let rules = Rules { next: 0, rules: Vec::new(), hooks: Vec::new(), dice: StdRng::seed_from_u64(seed) };
        Self {
            rules: Arc::new(Mutex::new(rules)),
            frozen: watch::Sender::new(Vec::new()),
            cuts: broadcast::Sender::new(64),
        }
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule. Rules are asked in the order they were added; the first that hits decides, latency apart.
    pub fn add(&self, matcher: Matcher, when: When, fault: Fault) -> RuleId {
        let mut rules = self.rules();
        let id = rules.next_id();
        rules.rules.push(Rule { id, matcher, when, fault, seen: 0 });
        id
    }

    /// Runs `action` once, at the `nth` selected request from now (1 is the next one). It must not block for long.
    pub fn at(
        &self,
        matcher: Matcher,
        nth: u64,
        point: HookPoint,
        action: impl FnOnce(&RequestInfo) + Send + 'static,
    ) -> RuleId {
        let mut rules = self.rules();
        let id = rules.next_id();
        rules.hooks.push(Hook { id, matcher, nth, point, seen: 0, action: Box::new(action) });
        id
    }

    /// Freezes the selected watches, open ones and new ones, until the rule is removed; then what they missed follows.
    pub fn freeze_watches(&self, matcher: Matcher) -> RuleId {
        let id = self.rules().next_id();
        self.frozen.send_modify(|frozen| frozen.push((id, matcher)));
        id
    }

    /// Closes the selected watches that are open now.
    pub fn cut_watches(&self, matcher: Matcher) {
        // Without an open watch nobody listens, which is no error.
        let _ = self.cuts.send(matcher);
    }

    /// Takes a rule, hook or freeze back. One that is gone already is no error.
    pub fn remove(&self, id: RuleId) {
        {
            let mut rules = self.rules();
            rules.rules.retain(|rule| rule.id != id);
            rules.hooks.retain(|hook| hook.id != id);
        }
        self.frozen.send_modify(|frozen| frozen.retain(|(other, _)| *other != id));
    }

    /// Takes everything back.
    pub fn clear(&self) {
        {
            let mut rules = self.rules();
            rules.rules.clear();
            rules.hooks.clear();
        }
        self.frozen.send_modify(Vec::clear);
    }

    pub(crate) fn frozen(&self) -> watch::Receiver<Vec<(RuleId, Matcher)>> {
        self.frozen.subscribe()
    }

    pub(crate) fn cuts(&self) -> broadcast::Receiver<Matcher> {
        self.cuts.subscribe()
    }

    pub(crate) fn judge(&self, request: &RequestInfo) -> Verdict {
        self.rules().judge(request)
    }
}

impl Rules {
    fn next_id(&mut self) -> RuleId {
        self.next += 1;
        RuleId(self.next)
    }

    fn judge(&mut self, request: &RequestInfo) -> Verdict {
        let mut verdict = Verdict::default();
        for rule in self.rules.iter_mut().filter(|rule| rule.matcher.matches(request)) {
            rule.seen += 1;
            let hit = match rule.when {
                When::Always => true,
                When::Nth(n) => rule.seen == n,
                When::First(n) => rule.seen <= n,
                When::From(n) => rule.seen >= n,
                When::Chance(chance) => self.dice.random_bool(chance.clamp(0.0, 1.0)),
            };
            match (&rule.fault, &verdict.fault) {
                _ if !hit => {}
                (Fault::Latency(more), _) => verdict.latency = verdict.latency.saturating_add(*more),
                (fault, None) => verdict.fault = Some(fault.clone()),
                (_, Some(_)) => {}
            }
        }
        for hook in self.hooks.iter_mut().filter(|hook| hook.matcher.matches(request)) {
            hook.seen += 1;
        }
        for hook in self.hooks.extract_if(.., |hook| hook.seen >= hook.nth) {
            match hook.point {
                HookPoint::Before => verdict.before.push(hook.action),
                HookPoint::Committed => verdict.committed.push(hook.action),
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn request(verb: &str) -> RequestInfo {
        RequestInfo { client: "operator".into(), verb: verb.into(), resource: "pods".into(), ..RequestInfo::default() }
    }

    #[test]
    fn the_nth_selected_request_is_hit_and_latencies_add_up() {
        let faults = FaultHandle::new(1);
        let patches = Matcher::any().client("operator").verb("patch");
        faults.add(Matcher::any(), When::Always, Fault::Latency(Duration::from_secs(1)));
        faults.add(patches.clone(), When::First(2), Fault::Latency(Duration::from_secs(2)));
        let id = faults.add(patches, When::Nth(2), Fault::DropReply);
        let all: Vec<(u64, Option<Fault>)> = ["patch", "get", "patch", "patch"]
            .iter()
            .map(|verb| faults.judge(&request(verb)))
            .map(|v| (v.latency.as_secs(), v.fault))
            .collect();
        assert_eq!(all, [(3, None), (1, None), (3, Some(Fault::DropReply)), (1, None)]);
        faults.remove(id);
        faults.clear();
        assert_eq!(faults.judge(&request("patch")).latency, Duration::ZERO);
    }

    #[test]
    fn chance_follows_the_seed() {
        let draw = |seed| {
            let faults = FaultHandle::new(seed);
            faults.add(Matcher::any(), When::Chance(0.5), Fault::Refuse);
            (0..32).map(|_| faults.judge(&request("get")).fault.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn hooks_run_once_at_their_request() {
        let faults = FaultHandle::new(1);
        let ran = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&ran);
        faults.at(Matcher::any().writes(), 2, HookPoint::Committed, move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let mut counts = Vec::new();
        for verb in ["patch", "get", "delete", "delete"] {
            for action in faults.judge(&request(verb)).committed {
                action(&request(verb));
            }
            counts.push(ran.load(Ordering::SeqCst));
        }
        assert_eq!(counts, [0, 0, 1, 1]);
    }
}
