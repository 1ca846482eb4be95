//! Looks at every canary there is, all the time: two at once must not be seen in any moment.

use crate::world::{World, pods};
use futures::TryStreamExt;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// Watches until it is dropped.
pub struct CanaryWatch {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// Canaries by uid.
#[derive(Default)]
struct Seen {
    live: BTreeSet<String>,
    ever: BTreeSet<String>,
    most: usize,
}

impl CanaryWatch {
    pub fn start(world: &World) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let task = tokio::spawn(watch(world.api(&pods()), Arc::clone(&seen)));
        Self { seen, task }
    }

    /// The most canaries that lived at once.
    pub fn most(&self) -> usize {
        self.seen.lock().unwrap().most
    }

    /// How many canaries there ever were.
    pub fn ever(&self) -> usize {
        self.seen.lock().unwrap().ever.len()
    }
}

impl Drop for CanaryWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(api: Api<DynamicObject>, seen: Arc<Mutex<Seen>>) {
    let config = watcher::Config::default().labels("canary-keeper.dev/canary");
    let events = watcher::watcher(api, config).map_ok(|event| seen.lock().unwrap().note(event));
    // A watch that ends begins again by itself.
    let _ = futures::StreamExt::for_each(events, async |_| {}).await;
}

impl Seen {
    fn note(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Init => self.live.clear(),
            Event::InitDone => {}
            Event::Apply(pod) | Event::InitApply(pod) => {
                let uid = pod.uid().unwrap();
                self.ever.insert(uid.clone());
                if pod.metadata.deletion_timestamp.is_none() {
                    self.live.insert(uid);
                } else {
                    self.live.remove(&uid);
                }
            }
            Event::Delete(pod) => drop(self.live.remove(&pod.uid().unwrap())),
        }
        self.most = self.most.max(self.live.len());
    }
}
