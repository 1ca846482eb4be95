//! Where the containers of a pod write what happens to them, and the pod's task reads it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::status::{Container, Pod};

/// The shared state of one pod. Clones share it.
#[derive(Clone)]
pub(crate) struct Board {
    inner: Arc<Inner>,
}

struct Inner {
    pod: Mutex<Pod>,
    changed: Notify,
}

/// Which container of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Init(usize),
    Main(usize),
}

impl Board {
    pub(crate) fn new(pod: Pod) -> Self {
        Self { inner: Arc::new(Inner { pod: Mutex::new(pod), changed: Notify::new() }) }
    }

    /// Changes the pod; whoever waits for a change is woken if there was one.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Pod)) {
        let mut pod = self.inner.pod.lock().unwrap_or_else(PoisonError::into_inner);
        let before = pod.clone();
        change(&mut pod);
        if *pod != before {
            self.inner.changed.notify_one();
        }
    }

    pub(crate) fn update_container(&self, slot: Slot, change: impl FnOnce(&mut Container)) {
        self.update(|pod| {
            let container = match slot {
                Slot::Init(index) => pod.inits.get_mut(index),
                Slot::Main(index) => pod.containers.get_mut(index),
            };
            if let Some(container) = container {
                change(container);
            }
        });
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Pod) -> T) -> T {
        read(&self.inner.pod.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns after the next change, at once if there was one since the last call.
    pub(crate) async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    /// Makes [`Board::changed`] return once more.
    pub(crate) fn remind(&self) {
        self.inner.changed.notify_one();
    }
}

/// The wish that a pod's containers end, and by when.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<Option<Instant>>);

/// The other end of a [`Stop`].
pub(crate) struct Stopper(watch::Sender<Option<Instant>>);

pub(crate) fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks for the end; a later call can only bring the deadline forward.
    pub(crate) fn stop_by(&self, deadline: Instant) {
        self.0.send_if_modified(|known| {
            let sooner = known.is_none_or(|known| deadline < known);
            if sooner {
                *known = Some(deadline);
            }
            sooner
        });
    }
}

impl Stop {
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Returns once the end is wanted.
    pub(crate) async fn wanted(&self) {
        if self.0.clone().wait_for(Option::is_some).await.is_err() {
            // The pod's task is gone and takes this one along.
            std::future::pending::<()>().await;
        }
    }

    /// Returns at the deadline, whatever it is moved to.
    pub(crate) async fn deadline(&self) {
        let mut receiver = self.0.clone();
        loop {
            self.wanted().await;
            let Some(deadline) = *receiver.borrow_and_update() else { continue };
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return,
                moved = receiver.changed() => {
                    if moved.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
