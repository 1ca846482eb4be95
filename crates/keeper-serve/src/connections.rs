use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// The places for connections. When all are taken, the oldest connection without an admitted request gives up its place:
/// who only holds connections open can't keep out who has something to say.
pub(crate) struct Connections {
    limit: usize,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, Arc<Shared>>,
}

#[derive(Default)]
struct Shared {
    busy: AtomicBool,
    evicted: CancellationToken,
}

/// A connection's place, free again when dropped.
pub(crate) struct Place {
    number: u64,
    shared: Arc<Shared>,
    of: Arc<Connections>,
}

/// While it lives, the connection has an admitted request and keeps its place.
pub(crate) struct Busy<'a>(&'a Shared);

impl Connections {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), places: Mutex::default() })
    }

    /// A place, or `None` when every connection has an admitted request.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.taken.len() >= self.limit {
            let oldest = places.taken.iter().find(|(_, place)| !place.busy.load(Ordering::SeqCst));
            let (number, place) = oldest.map(|(number, place)| (*number, Arc::clone(place)))?;
            place.evicted.cancel();
            places.taken.remove(&number);
        }
        let number = places.next;
        places.next += 1;
        let shared = Arc::new(Shared::default());
        places.taken.insert(number, Arc::clone(&shared));
        Some(Place { number, shared, of: Arc::clone(self) })
    }
}

impl Place {
    /// From now until the guard is dropped, an admitted request is under way.
    pub(crate) fn busy(&self) -> Busy<'_> {
        self.shared.busy.store(true, Ordering::SeqCst);
        Busy(&self.shared)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.shared.busy.load(Ordering::SeqCst)
    }

    /// Waits until the place is needed for another connection.
    pub(crate) async fn evicted(&self) {
        self.shared.evicted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.of.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.taken.remove(&self.number);
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_idle_connection_makes_room() {
        let connections = Connections::new(2);
        let (first, second) = (connections.take().unwrap(), connections.take().unwrap());
        let busy = first.busy();
        let third = connections.take().unwrap();
        assert!(!first.shared.evicted.is_cancelled());
        assert!(second.shared.evicted.is_cancelled());
        let _third_busy = third.busy();
        assert!(connections.take().is_none(), "all are busy");
        drop(busy);
        assert!(connections.take().is_some());
    }

    #[test]
    fn a_dropped_place_is_free() {
        let connections = Connections::new(1);
        let first = connections.take().unwrap();
        let _busy = first.busy();
        assert!(connections.take().is_none());
        drop(_busy);
        drop(first);
        let second = connections.take().unwrap();
        assert!(!second.shared.evicted.is_cancelled());
    }
}
