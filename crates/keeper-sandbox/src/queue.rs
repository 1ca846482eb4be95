//! A work queue: each key at most once, now or later.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep_until},
};

/// Keys waiting for their worker. A key that is added while it waits stays once; one added while it is worked on comes again.
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K> {
    ready: VecDeque<K>,
    waiting: HashSet<K>,
    later: HashMap<K, Instant>,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    pub(crate) fn new() -> Self {
        let state = State { ready: VecDeque::new(), waiting: HashSet::new(), later: HashMap::new() };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Adds a key to be worked on as soon as possible.
    pub(crate) fn add(&self, key: K) {
        self.lock().push(key);
        self.changed.notify_one();
    }

    /// Adds a key to be worked on after a delay; the earliest of several delays counts.
    pub(crate) fn add_after(&self, key: K, delay: Duration) {
        let due = Instant::now() + delay;
        let mut state = self.lock();
        let at = state.later.entry(key).or_insert(due);
        *at = due.min(*at);
        drop(state);
        self.changed.notify_one();
    }

    /// The next key, as soon as there is one. For one worker.
    pub(crate) async fn next(&self) -> K {
        loop {
            let next_due = {
                let mut state = self.lock();
                state.promote_due(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.waiting.remove(&key);
                    return key;
                }
                state.later.values().min().copied()
            };
            match next_due {
                Some(due) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = sleep_until(due) => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn push(&mut self, key: K) {
        if self.waiting.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn promote_due(&mut self, now: Instant) {
        let due: Vec<K> = self.later.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.later.remove(&key);
            self.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_waits_once_and_comes_in_order() {
        let queue = Queue::new();
        for key in ["a", "b", "a"] {
            queue.add(key);
        }
        assert_eq!(queue.next().await, "a");
        assert_eq!(queue.next().await, "b");
        queue.add("c");
        assert_eq!(queue.next().await, "c", "a came only once");
    }

    #[tokio::test]
    async fn the_earliest_delay_counts() {
        let queue = Queue::new();
        queue.add_after("slow", Duration::from_secs(60));
        queue.add_after("slow", Duration::from_millis(5));
        queue.add_after("slow", Duration::from_secs(60));
        let next = tokio::time::timeout(Duration::from_secs(5), queue.next()).await;
        assert_eq!(next.unwrap(), "slow");
    }
}
