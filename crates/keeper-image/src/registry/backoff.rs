//! How long a host is left alone after it refused or failed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::error::ResolveError;

/// The longest a host is left alone for failing.
const LONGEST_OWN: Duration = Duration::from_secs(10 * 60);
/// The longest it is left alone because it asked for it.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);
/// How many hosts are remembered; more than that and the one that is free soonest is forgotten.
const MAX_HOSTS: usize = 1024;

/// The hosts that are left alone, and until when.
pub(crate) struct HostBackoff {
    base: Duration,
    hosts: HashMap<String, Pause>,
}

struct Pause {
    until: Instant,
    failures: u32,
    /// What it said last.
    why: Arc<ResolveError>,
}

impl HostBackoff {
    /// The first pause is `base`, each further one twice as long, up to ten minutes (or `base`, if that is longer).
    pub(crate) fn new(base: Duration) -> Self {
        Self { base, hosts: HashMap::new() }
    }

    /// When this host may be asked again; `None` for now.
    pub(crate) fn paused_until(&self, host: &str, now: Instant) -> Option<Instant> {
        self.hosts.get(host).map(|pause| pause.until).filter(|until| now < *until)
    }

    /// What a host said that is left alone now.
    pub(crate) fn why(&self, host: &str, now: Instant) -> Option<Arc<ResolveError>> {
        self.hosts.get(host).filter(|pause| now < pause.until).map(|pause| Arc::clone(&pause.why))
    }

    /// Notes an answer. Only pressure and failure count against a host: a missing tag or a refusal is an answer.
    pub(crate) fn note(&mut self, host: &str, error: Option<&Arc<ResolveError>>, now: Instant) {
        let Some(error) = error.filter(|error| error.retry_helps()) else {
            self.hosts.remove(host);
            return;
        };
        let asked = error.retry_after().unwrap_or_default().min(LONGEST_ASKED);
        if let Some(pause) = self.hosts.get_mut(host).filter(|pause| now < pause.until) {
            // Many tags fail together: that is one failure of the host, though the longest wait holds.
            pause.until = pause.until.max(now + asked);
            pause.why = Arc::clone(error);
            return;
        }
        let failures = self.hosts.get(host).map_or(0, |pause| pause.failures);
        let longest = LONGEST_OWN.max(self.base);
        let own = self.base.saturating_mul(1 << failures.min(16)).min(longest);
        self.make_room();
        let (until, failures) = (now + own.max(asked), failures.saturating_add(1));
        self.hosts.insert(host.to_owned(), Pause { until, failures, why: Arc::clone(error) });
    }

    fn make_room(&mut self) {
        if self.hosts.len() < MAX_HOSTS {
            return;
        }
        let soonest = self.hosts.iter().min_by_key(|(_, pause)| pause.until);
        if let Some(host) = soonest.map(|(host, _)| host.clone()) {
            self.hosts.remove(&host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limited(seconds: Option<u64>) -> Arc<ResolveError> {
        Arc::new(ResolveError::RateLimited { host: "a".into(), retry_after: seconds.map(Duration::from_secs) })
    }

    fn unavailable() -> Arc<ResolveError> {
        Arc::new(ResolveError::unavailable("a", "x"))
    }

    #[test]
    fn pauses_grow_and_end_with_an_answer() {
        let mut backoff = HostBackoff::new(60 * SECOND);
        let mut now = Instant::now();
        for pause in [60, 120, 240, 480, 600, 600] {
            backoff.note("a", Some(&unavailable()), now);
            assert_eq!(backoff.paused_until("a", now), Some(now + pause * SECOND));
            assert_eq!(backoff.paused_until("b", now), None);
            now += pause * SECOND;
            assert_eq!(backoff.paused_until("a", now), None);
        }
        backoff.note("a", Some(&Arc::new(ResolveError::garbage("a", "x"))), now);
        backoff.note("a", Some(&limited(None)), now);
        assert_eq!(backoff.paused_until("a", now), Some(now + 60 * SECOND));
    }

    #[test]
    fn the_wait_asked_for_is_kept_and_bounded() {
        let mut backoff = HostBackoff::new(SECOND);
        let now = Instant::now();
        backoff.note("a", Some(&limited(Some(30))), now);
        assert_eq!(backoff.paused_until("a", now), Some(now + 30 * SECOND));
        backoff.note("a", Some(&limited(Some(90))), now);
        backoff.note("a", Some(&limited(None)), now);
        assert_eq!(backoff.paused_until("a", now), Some(now + 90 * SECOND));
        assert!(backoff.why("a", now).is_some_and(|why| why.retry_after().is_none()), "what it said last");
        assert!(backoff.why("a", now + 90 * SECOND).is_none());
        backoff.note("b", Some(&limited(Some(1_000_000))), now);
        assert_eq!(backoff.paused_until("b", now), Some(now + LONGEST_ASKED));
    }

    #[test]
    fn failing_together_counts_once() {
        let mut backoff = HostBackoff::new(SECOND);
        let now = Instant::now();
        for _ in 0..1000 {
            backoff.note("a", Some(&unavailable()), now);
        }
        assert_eq!(backoff.paused_until("a", now), Some(now + SECOND));
    }

    #[test]
    fn memory_is_bounded() {
        let mut backoff = HostBackoff::new(SECOND);
        let now = Instant::now();
        for host in 0..5_000 {
            backoff.note(&format!("h{host}"), Some(&limited(None)), now);
        }
        assert_eq!(backoff.hosts.len(), MAX_HOSTS);
    }
}
