use crate::{Evidence, HealthSignal, Look, Looking, Verdict, Why};
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use std::time::Duration;

/// How a signal is used, whatever it judges: when it is asked, what is borne of it, and whether it counts.
///
/// The default changes nothing: asked at every look, nothing borne, and it counts.
///
/// ```
/// use keeper_signal::{Evidence, HealthSignal, Policy, Verdict, from_fn};
/// use std::time::Duration;
///
/// let signal = from_fn("queue", |_| Verdict::Healthy(Evidence::new("3 waiting")));
/// let policy = Policy { interval: Duration::from_secs(30), failure_limit: 2, ..Policy::default() };
/// assert_eq!(policy.on("orders-queue", Box::new(signal)).name(), "orders-queue");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How often it is asked; between, its last verdict stands. Zero: at every look. Where its data change less often than
    /// that, the same data are measured more than once, and may fail more than once. One that could measure nothing is
    /// asked again at the next look, however long this is.
    pub interval: Duration,
    /// For how long after the canary's start it is not asked. Its incubation runs meanwhile, and promotion waits.
    pub initial_delay: Duration,
    /// How many unhealthy measurements are borne over the canary's life; one more ends it. After a borne one promotion
    /// waits for the next measurement.
    pub failure_limit: u32,
    /// How many looks in a row may measure nothing without the incubation's clock standing still, once something was
    /// measured. Promotion waits for a measurement all the same, and failures are counted apart.
    pub error_budget: u32,
    /// Whether its verdicts are only shown.
    pub observe_only: bool,
}

impl Policy {
    /// This signal under this policy, for one rollout, known by this name.
    #[must_use]
    pub fn on(self, name: impl Into<String>, signal: Box<dyn HealthSignal>) -> UnderPolicy {
        UnderPolicy { name: name.into(), policy: self, signal, state: State::default() }
    }
}

/// A signal under a [`Policy`].
pub struct UnderPolicy {
    name: String,
    policy: Policy,
    signal: Box<dyn HealthSignal>,
    state: State,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    /// Of which canary the rest is.
    uid: Option<String>,
    failures: u32,
    /// How many looks in a row measured nothing.
    errors: u32,
    measured: bool,
    asked: Option<Timestamp>,
    last: Option<Verdict>,
}

impl UnderPolicy {
    /// The answer of this look, if the signal is not to be asked for it.
    fn answer_without(&self, look: &Look) -> Option<Verdict> {
        let now = look.window.to;
        if self.state.failures > self.policy.failure_limit {
            // A canary that is on its way out does not get better.
            let of_before = || Verdict::Unhealthy(Evidence::new(self.too_many()));
            return Some(self.state.last.clone().filter(is_unhealthy).unwrap_or_else(of_before));
        }
        let age = elapsed(look.window.from, now);
        if age < self.policy.initial_delay {
            let left = (self.policy.initial_delay - age).as_secs_f64().ceil();
            let text = format!("not asked for the first {:?}, {left} s to go", self.policy.initial_delay);
            return Some(Verdict::Unknown(Why::NotEnough(Evidence::new(text))));
        }
        let (asked, last) = (self.state.asked?, self.state.last.as_ref()?);
        // Looks come a little early and a little late.
        let soon = elapsed(asked, now) + self.policy.interval / 10 < self.policy.interval;
        (soon && now >= asked && self.state.errors == 0).then(|| last.clone())
    }

    fn take(&mut self, verdict: Verdict, now: Timestamp) -> Verdict {
        let verdict = match verdict {
            Verdict::Unhealthy(evidence) => self.fails(evidence),
            Verdict::Unknown(Why::NotMeasured(why)) => self.errs(why),
            other => other,
        };
        let blind = self.state.errors > 0;
        self.state.measured |= !blind;
        self.state.asked = Some(now);
        self.state.last = Some(verdict.clone());
        verdict
    }

    fn fails(&mut self, mut evidence: Evidence) -> Verdict {
        self.state.errors = 0;
        self.state.failures = self.state.failures.saturating_add(1);
        let limit = self.policy.failure_limit;
        if self.state.failures <= limit {
            evidence.text = format!("{} (failure {} of {limit} that are borne)", evidence.text, self.state.failures);
            return Verdict::Unknown(Why::NotEnough(evidence));
        }
        if limit > 0 {
            evidence.text = format!("{} ({})", evidence.text, self.too_many());
        }
        Verdict::Unhealthy(evidence)
    }

    fn errs(&mut self, why: String) -> Verdict {
        self.state.errors = self.state.errors.saturating_add(1);
        let (errors, budget) = (self.state.errors, self.policy.error_budget);
        if self.state.measured && errors <= budget {
            let text = format!("{why} (error {errors} of {budget} that are borne in a row)");
            return Verdict::Unknown(Why::NotEnough(Evidence::new(text)));
        }
        Verdict::Unknown(Why::NotMeasured(why))
    }

    fn too_many(&self) -> String {
        format!("{} failures, {} are borne", self.state.failures, self.policy.failure_limit)
    }
}

impl HealthSignal for UnderPolicy {
    fn name(&self) -> &str {
        &self.name
    }

    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a> {
        Box::pin(async move {
            if self.state.uid.as_ref().is_none_or(|uid| *uid != look.canary.uid) {
                self.state = State { uid: Some(look.canary.uid.clone()), ..State::default() };
            }
            if let Some(verdict) = self.answer_without(look) {
                return verdict;
            }
            let verdict = self.signal.look(look).await;
            if verdict.is_measured() {
                self.state.errors = 0;
            }
            self.take(verdict, look.window.to)
        })
    }

    fn observes_only(&self) -> bool {
        self.policy.observe_only || self.signal.observes_only()
    }

    fn store(&self) -> Option<String> {
        let inner = self.signal.store();
        let uid = self.state.uid.as_ref().filter(|_| self.state.failures > 0 || inner.is_some())?;
        Some(format!("{VERSION} {uid} {} {}", self.state.failures, inner.unwrap_or_default()))
    }

    fn restore(&mut self, stored: &str) {
        let mut words = stored.splitn(4, ' ');
        let read = (words.next(), words.next(), words.next().and_then(|failures| failures.parse().ok()), words.next());
        if let (Some(VERSION), Some(uid), Some(failures), Some(inner)) = read {
            self.state = State { uid: Some(uid.to_owned()), failures, ..State::default() };
            if !inner.is_empty() {
                self.signal.restore(inner);
            }
        }
    }
}

const VERSION: &str = "1";

impl fmt::Debug for UnderPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, policy, signal: _, state } = self;
        f.debug_struct("UnderPolicy").field("name", name).field("policy", policy).field("state", state).finish()
    }
}

fn is_unhealthy(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Unhealthy(_))
}

/// Zero when the clock went back.
fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).max(SignedDuration::ZERO).unsigned_abs()
}
