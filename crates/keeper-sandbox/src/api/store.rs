//! The objects and their recent history: one counter of versions, a bounded log of changes per resource, and
//! the live end of every watch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::object;

/// Namespace (empty for cluster-scoped objects) and name.
pub(crate) type Key = (String, String);

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    /// The object after the change; for a deletion its last state.
    pub(crate) object: Arc<Value>,
    /// The object before the change; none for a creation.
    pub(crate) before: Option<Arc<Value>>,
    pub(crate) deleted: bool,
}

/// Everything that is kept, in memory only.
#[derive(Debug)]
pub(crate) struct Store {
    version: u64,
    history_limit: usize,
    shelves: BTreeMap<String, Shelf>,
}

/// The objects of one resource.
#[derive(Debug)]
struct Shelf {
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Arc<Change>>,
    /// Changes up to and including this version may be missing from the history.
    floor: u64,
    live: broadcast::Sender<Arc<Change>>,
}

/// Versions before this one are no longer in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooOld {
    pub(crate) oldest: u64,
}

/// The changes as they happen.
pub(crate) type Live = broadcast::Receiver<Arc<Change>>;

/// How many changes a watcher may be behind before it is closed.
pub(crate) const WATCH_BACKLOG: usize = 1024;

impl Store {
    /// Keeps at most `history_limit` changes per resource.
    pub(crate) fn new(history_limit: usize) -> Self {
        Self { version: 1, history_limit: history_limit.max(1), shelves: BTreeMap::new() }
    }

    /// The version of the newest change of any object.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    fn shelf(&mut self, storage: &str) -> &mut Shelf {
        self.shelves.entry(storage.to_owned()).or_insert_with(|| Shelf {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            floor: 0,
            live: broadcast::Sender::new(WATCH_BACKLOG),
        })
    }

    pub(crate) fn get(&self, storage: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.shelves.get(storage)?.objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects of a resource, ordered by namespace and name.
    pub(crate) fn list(&self, storage: &str) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.shelves.get(storage).into_iter().flat_map(|s| s.objects.iter())
    }

    /// The objects as they were at `version`: the present with every later change undone.
    pub(crate) fn list_at(&self, storage: &str, version: u64) -> Result<BTreeMap<Key, Arc<Value>>, TooOld> {
        let Some(shelf) = self.shelves.get(storage) else { return Ok(BTreeMap::new()) };
        if version < shelf.floor {
            return Err(TooOld { oldest: shelf.floor });
        }
        let mut objects = shelf.objects.clone();
        for change in shelf.history.iter().rev().take_while(|c| c.version > version) {
            let key = key_of(&change.object);
            match &change.before {
                Some(before) => objects.insert(key, Arc::clone(before)),
                None => objects.remove(&key),
            };
        }
        Ok(objects)
    }

    /// Stores an object under a new version and returns it as stored.
    pub(crate) fn put(&mut self, storage: &str, mut object: Value) -> Arc<Value> {
        self.version += 1;
        let version = self.version;
        object::set_meta(&mut object, "resourceVersion", json!(version.to_string()));
        let object = Arc::new(object);
        let limit = self.history_limit;
        let shelf = self.shelf(storage);
        let before = shelf.objects.insert(key_of(&object), Arc::clone(&object));
        shelf.record(Change { version, object: Arc::clone(&object), before, deleted: false }, limit);
        object
    }

    /// Removes an object of which `last` is the last state to show; its version is that of the removal.
    pub(crate) fn remove_as(&mut self, storage: &str, last: &Value) -> Option<Arc<Value>> {
        let next = self.version + 1;
        let limit = self.history_limit;
        let shelf = self.shelf(storage);
        let before = shelf.objects.remove(&key_of(last))?;
        let mut last = last.clone();
        object::set_meta(&mut last, "resourceVersion", json!(next.to_string()));
        let last = Arc::new(last);
        shelf.record(Change { version: next, object: Arc::clone(&last), before: Some(before), deleted: true }, limit);
        self.version = next;
        Some(last)
    }

    /// The changes after `version`, and a receiver of all that follow them.
    pub(crate) fn watch(&mut self, storage: &str, version: u64) -> Result<(Vec<Arc<Change>>, Live), TooOld> {
        let shelf = self.shelf(storage);
        if version < shelf.floor {
            return Err(TooOld { oldest: shelf.floor });
        }
        let newer = shelf.history.iter().filter(|c| c.version > version).cloned().collect();
        Ok((newer, shelf.live.subscribe()))
    }

    /// A receiver of the changes from now on.
    pub(crate) fn subscribe(&mut self, storage: &str) -> Live {
        self.shelf(storage).live.subscribe()
    }

    /// Forgets the history: every older resourceVersion is answered with 410 from now on.
    pub(crate) fn compact(&mut self) {
        let version = self.version;
        for shelf in self.shelves.values_mut() {
            shelf.history.clear();
            shelf.floor = version;
        }
    }
}

impl Shelf {
    fn record(&mut self, change: Change, limit: usize) {
        let change = Arc::new(change);
        self.history.push_back(Arc::clone(&change));
        while self.history.len() > limit {
            if let Some(dropped) = self.history.pop_front() {
                self.floor = dropped.version;
            }
        }
        // Nobody listening is no error.
        let _ = self.live.send(change);
    }
}

fn key_of(object: &Value) -> Key {
    (object::namespace(object).to_owned(), object::name(object).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(name: &str, n: u64) -> Value {
        json!({ "metadata": { "namespace": "d", "name": name }, "n": n })
    }

    fn names(objects: &BTreeMap<Key, Arc<Value>>) -> Vec<(String, u64)> {
        objects.values().map(|o| (object::name(o).to_owned(), o["n"].as_u64().unwrap())).collect()
    }

    #[test]
    fn the_past_can_be_listed_until_it_is_compacted() {
        let mut store = Store::new(100);
        store.put("x", thing("a", 1));
        store.put("x", thing("b", 1));
        let then = store.version();
        store.put("x", thing("a", 2));
        store.remove_as("x", &store.get("x", "d", "b").unwrap());
        store.put("x", thing("c", 1));
        let at = |store: &Store| store.list_at("x", then).map(|o| names(&o));
        assert_eq!(at(&store), Ok(vec![("a".into(), 1), ("b".into(), 1)]));
        store.compact();
        assert_eq!(at(&store), Err(TooOld { oldest: then + 3 }));
        assert!(store.watch("x", then).is_err());
        assert!(store.watch("x", then + 3).is_ok());
    }

    #[test]
    fn history_is_bounded_and_says_what_it_forgot() {
        let mut store = Store::new(3);
        for n in 0..10 {
            store.put("x", thing("a", n));
        }
        assert_eq!(store.version(), 11);
        assert!(store.watch("x", 7).is_err());
        let (newer, _) = store.watch("x", 8).unwrap();
        assert_eq!(newer.iter().map(|c| c.version).collect::<Vec<_>>(), [9, 10, 11]);
    }
}
