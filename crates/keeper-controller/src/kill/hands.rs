//! Works on what is open in the ledger: each pod in a task of its own, from the fresh look to the end in the ledger.

use super::KillSettings;
use super::book::Book;
use super::desk::HOLD;
use super::figures::Figures;
use super::requests::{Requests, shown};
use super::told::Teller;
use jiff::{SignedDuration, Timestamp};
use keeper_kill::{AlertId, Answer, Attempt, Ended, Intent, Next, Outcome, Removal, Uid, after, next};
use kube::api::DynamicObject;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A pause after a request that failed without a word about the pod.
const PAUSE: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Hands {
    requests: Requests,
    book: Arc<Book>,
    settings: Arc<KillSettings>,
    teller: Teller,
    working: Mutex<Working>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Default)]
struct Working {
    /// Decided here and about to be stored: nobody asked for them yet.
    reserved: HashSet<Uid>,
    /// In a task.
    running: HashSet<Uid>,
    /// Taking over, or saying that we are still here, is under way.
    claiming: bool,
}

impl Hands {
    pub(super) fn new(requests: Requests, book: Arc<Book>, settings: Arc<KillSettings>, figures: Figures) -> Self {
        let teller = Teller::new(requests.clone(), figures);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Self { requests, book, settings, teller, working: Mutex::default(), tasks, stop }
    }

    pub(super) fn teller(&self) -> &Teller {
        &self.teller
    }

    /// What this process is about to store as decided: [`look`](Self::look) leaves it alone.
    pub(super) fn reserve(&self, uids: impl IntoIterator<Item = Uid>) {
        self.lock().reserved.extend(uids);
    }

    /// What was reserved could not be stored. Should it be there all the same, it is taken over like another's.
    pub(super) fn forget_reserved(&self) {
        self.lock().reserved.clear();
    }

    /// Works on what was decided here and is stored.
    pub(super) fn start(self: &Arc<Self>, uids: impl IntoIterator<Item = Uid>) {
        for uid in uids {
            self.work(uid, Attempt::FRESH);
        }
    }

    /// Takes over what this process left when it ended, and what others have been silent about for too long; and says in
    /// time that we still hold what we hold.
    pub(super) fn look(self: &Arc<Self>, now: Timestamp) {
        let Some(page) = self.book.page() else { return };
        let instance = &self.settings.instance;
        let due = {
            let mut working = self.lock();
            let due = page.ledger.open.iter().any(|intent| {
                let held = page.held.get(&intent.uid);
                let ours = held.is_some_and(|held| held.by == *instance);
                let busy = working.running.contains(&intent.uid) || working.reserved.contains(&intent.uid);
                let ending = held.is_none_or(|held| held.until < now + HOLD / 2);
                if busy { ours && ending } else { ours || held.is_none_or(|held| held.until <= now) }
            });
            let begin = due && !working.claiming && !self.stop.is_cancelled() && !self.settings.dry_run;
            working.claiming |= begin;
            begin
        };
        if due {
            let hands = Arc::clone(self);
            self.tasks.spawn(async move { hands.claim().await });
        }
    }

    async fn claim(self: Arc<Self>) {
        let instance = self.settings.instance.clone();
        let claimed = self.book.change(|page| {
            let now = Timestamp::now();
            let mine = |uid: &Uid| page.held.get(uid).is_none_or(|held| held.by == instance || held.until <= now);
            let uids: Vec<Uid> = page.ledger.open.iter().map(|intent| intent.uid.clone()).filter(mine).collect();
            page.hold(&instance, now + HOLD, uids.iter().cloned());
            (!uids.is_empty(), uids)
        });
        let claimed = claimed.await;
        self.lock().claiming = false;
        match claimed {
            Ok(uids) => uids.into_iter().for_each(|uid| self.work(uid, Attempt::taken_over())),
            Err(error) => tracing::warn!(error = error.line(), "what is open in the ledger could not be taken over"),
        }
    }

    fn work(self: &Arc<Self>, uid: Uid, attempt: Attempt) {
        {
            let mut working = self.lock();
            let fresh = working.reserved.remove(&uid);
            if (attempt != Attempt::FRESH && fresh) || !working.running.insert(uid.clone()) {
                return;
            }
        }
        let hands = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = hands.stop.cancelled() => {}
                () = hands.until_over(&uid, attempt) => {}
            }
            hands.lock().running.remove(&uid);
        });
    }

    async fn until_over(&self, uid: &Uid, mut attempt: Attempt) {
        loop {
            // Read anew each time: its alerts may have been resolved meanwhile.
            let Some(intent) = self.book.page().and_then(|page| page.ledger.open_for(uid).cloned()) else { return };
            let pod = match self.requests.pod(&intent.pod).await {
                Ok(pod) => pod,
                Err(error) => {
                    tracing::warn!(pod = %intent.pod, error = super::said(&error), "the pod can't be read");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let policy = &self.settings.policy;
            let mut what = next(&intent, &shown(pod.as_ref()), attempt, policy, Timestamp::now());
            if let (Next::Send(removal), Some(pod)) = (&what, &pod) {
                let answer = self.send(*removal, &intent, pod).await;
                (what, attempt) = after(&intent, attempt, *removal, &answer, policy, Timestamp::now());
            }
            match what {
                Next::End(outcome) => return self.end(intent, outcome).await,
                Next::Wait(until) => {
                    let pause = until.duration_since(Timestamp::now()).max(SignedDuration::ZERO);
                    tokio::time::sleep(pause.unsigned_abs()).await;
                }
                Next::Send(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn send(&self, removal: Removal, intent: &Intent, pod: &DynamicObject) -> Answer {
        match removal {
            Removal::Evict => self.requests.evict(&intent.pod, &intent.uid, false).await,
            Removal::Delete => self.requests.delete(&intent.pod, &intent.uid).await,
            // Disruption budgets hold for what is taken out of service, too; asking costs them nothing.
            Removal::Quarantine => match self.requests.evict(&intent.pod, &intent.uid, true).await {
                Answer::Accepted => self.requests.quarantine(pod, &intent.uid).await,
                // Only asked: nothing was accepted, whether or not the answer was lost.
                Answer::Lost(said) => Answer::NotNow(said),
                refused => refused,
            },
        }
    }

    /// Writes the end down, however long that takes: until then it counts as open, and so as spent.
    async fn end(&self, intent: Intent, outcome: Outcome) {
        let alert = intent.alerts.first().cloned();
        let ended = Ended {
            // An intent whose alerts are all resolved has none left.
            alert: alert.unwrap_or_else(|| AlertId { fingerprint: String::new(), starts_at: intent.decided }),
            alert_name: intent.alert_name,
            pod: intent.pod,
            uid: intent.uid,
            workload: intent.workload,
            at: Timestamp::now(),
            outcome,
        };
        loop {
            let budgets = &self.settings.policy.budgets;
            let written = self.book.change(|page| {
                let before = page.ledger.open.len();
                page.ledger.open.retain(|open| open.uid != ended.uid);
                page.held.remove(&ended.uid);
                // Where another process ended it first, its word stands, unless ours says that it is spent.
                let store = page.ledger.open.len() < before || ended.outcome.spends();
                if store {
                    page.ledger.ended.push(ended.clone());
                }
                let left = page.ledger.left(&ended.pod, ended.workload.as_ref(), &ended.uid, budgets, ended.at);
                (store, left)
            });
            match written.await {
                Ok(left) => return self.teller.ended(&ended, None, left),
                Err(error) => {
                    tracing::warn!(pod = %ended.pod, error = error.line(), "the end could not be written down");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Ends all work, and lets others have at once what is still open.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let instance = &self.settings.instance;
        let released = self.book.change(|page| {
            let mut any = false;
            for held in page.held.values_mut().filter(|held| held.by == *instance) {
                held.until = Timestamp::UNIX_EPOCH;
                any = true;
            }
            (any, ())
        });
        if let Err(error) = released.await {
            tracing::debug!(error = error.line(), "what is open could not be handed on");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Working> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
