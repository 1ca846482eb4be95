//! Webhooks come in: ruled on, stored, and only then answered.

use super::KillSettings;
use super::book::{Book, BookError};
use super::figures::Figures;
use super::hands::Hands;
use super::sight::{Snapshot, Watched};
use super::stored::Page;
use super::told::Teller;
use jiff::{SignedDuration, Timestamp};
use keeper_alertmanager::{Webhook, WebhookError, parse};
use keeper_kill::{Decision, Intent, Ruled, decide};
use std::sync::Arc;

/// How long this process may be silent about what it holds before another one takes it over.
pub(super) const HOLD: SignedDuration = SignedDuration::from_secs(60);

/// Takes webhooks.
pub(super) struct Desk {
    sight: Arc<Watched>,
    book: Arc<Book>,
    hands: Arc<Hands>,
    settings: Arc<KillSettings>,
    figures: Figures,
}

/// What the alerts of a webhook came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Alerts about pods that are to go now.
    pub killed: usize,
    /// Alerts about pods that are to go already.
    pub open: usize,
    /// Alerts about pods that are gone or going.
    pub gone: usize,
    /// Alerts that were refused for good.
    pub refused: usize,
    /// Alerts that must come again.
    pub again: usize,
}

/// Why a webhook was not taken, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The body can never be accepted: coming again does not help.
    #[error(transparent)]
    Garbage(#[from] WebhookError),
    /// The cluster is not seen. Coming again helps.
    #[error("{0}")]
    NotReady(String),
    /// The ledger could not be changed, and so nothing was decided. Coming again helps.
    #[error("the decision could not be stored: {}", .0.line())]
    NotStored(#[source] BookError),
    /// Some of the alerts must come again: what could be decided is stored.
    #[error("{} of {} alerts must come again ({why})", .taken.again, .taken.all())]
    ComeAgain {
        /// What the alerts came to.
        taken: Taken,
        /// Why, of the first that must.
        why: String,
    },
}

impl Desk {
    pub(super) fn new(
        sight: Arc<Watched>,
        book: Arc<Book>,
        hands: Arc<Hands>,
        settings: Arc<KillSettings>,
        figures: Figures,
    ) -> Self {
        Self { sight, book, hands, settings, figures }
    }

    pub(super) async fn take(&self, body: bytes::Bytes, caller: &str) -> Result<Taken, TakeError> {
        let webhook = read(body).await?;
        self.figures.left_out(webhook.truncated, webhook.unreadable_count);
        let now = Timestamp::now();
        self.sight.ready(now).map_err(TakeError::NotReady)?;
        let names = webhook.alerts.iter().filter_map(|alert| self.settings.policy.labels.target(alert).ok());
        let snapshot = self.sight.snapshot(names, now);
        let decided =
            self.book.change(|page| self.rule(&webhook, &snapshot, page, now)).await.map_err(TakeError::NotStored);
        let (decision, page) = match decided {
            Ok(decided) => decided,
            Err(error) => {
                self.hands.forget_reserved();
                return Err(error);
            }
        };
        self.tell(&webhook, &decision, &page, caller, now);
        if !self.settings.dry_run {
            self.hands.start(decision.orders.iter().map(|order| order.uid.clone()));
        }
        answer(&decision)
    }

    /// Rules on the batch with the ledger as it is. May be asked again with a newer one.
    fn rule(
        &self,
        webhook: &Webhook,
        snapshot: &Snapshot<'_>,
        page: &mut Page,
        now: Timestamp,
    ) -> (bool, (Decision, Page)) {
        let decision = decide(&webhook.alerts, snapshot, &page.ledger, &self.settings.policy, now);
        let store = decision.changes() && !self.settings.dry_run;
        if store {
            let uids = || decision.orders.iter().map(|order| order.uid.clone());
            decision.enter(&mut page.ledger);
            page.hold(&self.settings.instance, now + HOLD, uids());
            // Before anybody else can see them in the ledger: these are fresh, and nobody asked for them yet.
            self.hands.reserve(uids());
        }
        (store, (decision, page.clone()))
    }

    fn tell(&self, webhook: &Webhook, decision: &Decision, page: &Page, caller: &str, now: Timestamp) {
        decision.rulings.iter().for_each(|ruling| self.figures.ruled(&ruling.ruled));
        let teller: &Teller = self.hands.teller();
        let left = |intent: &Intent| {
            let budgets = &self.settings.policy.budgets;
            page.ledger.left(&intent.pod, intent.workload.as_ref(), &intent.uid, budgets, now)
        };
        for order in &decision.orders {
            if self.settings.dry_run {
                tracing::info!(
                    namespace = order.pod.namespace(),
                    pod = order.pod.name(),
                    uid = order.uid.as_str(),
                    alert = order.alert_name,
                    caller,
                    decision = "WouldKill",
                    "dry run: the pod would go"
                );
            } else {
                teller.ordered(order, caller, left(order));
            }
        }
        if !self.settings.dry_run {
            for ended in &decision.refused {
                let budgets = &self.settings.policy.budgets;
                let left = page.ledger.left(&ended.pod, ended.workload.as_ref(), &ended.uid, budgets, now);
                teller.ended(ended, Some(caller), left);
            }
        }
        let taken = Taken::of(decision);
        tracing::info!(
            caller,
            group = webhook.group_key.chars().take(200).collect::<String>(),
            alerts = taken.all(),
            killed = taken.killed,
            open = taken.open,
            gone = taken.gone,
            refused = taken.refused,
            again = taken.again,
            unreadable = webhook.unreadable_count,
            left_out = webhook.truncated,
            "webhook taken"
        );
    }
}

/// Reads a body off the threads that serve others: a large one takes its time.
async fn read(body: bytes::Bytes) -> Result<Webhook, TakeError> {
    match tokio::task::spawn_blocking(move || parse(&body)).await {
        Ok(webhook) => Ok(webhook?),
        Err(error) => Err(TakeError::NotReady(format!("reading the body failed: {error}"))),
    }
}

fn answer(decision: &Decision) -> Result<Taken, TakeError> {
    let taken = Taken::of(decision);
    match decision.comes_again() {
        Some(why) => Err(TakeError::ComeAgain { taken, why: why.to_string() }),
        None => Ok(taken),
    }
}

impl Taken {
    fn of(decision: &Decision) -> Self {
        let mut taken = Self::default();
        for ruling in &decision.rulings {
            match &ruling.ruled {
                Ruled::Kill(_) => taken.killed += 1,
                Ruled::Open(_) => taken.open += 1,
                Ruled::Gone => taken.gone += 1,
                ruled @ Ruled::Refused(_) if ruled.comes_again().is_some() => taken.again += 1,
                Ruled::Refused(_) => taken.refused += 1,
            }
        }
        taken
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> usize {
        self.killed + self.open + self.gone + self.refused + self.again
    }
}
