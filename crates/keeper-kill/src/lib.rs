//! Which pods a batch of alerts condemns: alerts, pods, their owners and budgets in, kill orders and refusals out.
//!
//! [`decide`] rules on every alert of a batch and chooses the pods that are to go; [`next`] and [`after`] say what to do
//! about one of them until it is over. It never does any of it: no IO, no clock, no `async`. What budgets count is in the
//! [`Ledger`], a value; the caller stores it on the condition that nobody changed it meanwhile, and asks again when
//! somebody did. It reads no duration of its own: [`Policy`] holds them all.
//!
//! # What holds
//!
//! - A pod goes only for a firing alert that is not older than the pod, in a namespace that is allowed, and by its uid.
//! - In no [window](Budgets::window) are more removals accepted than a budget allows, whatever crashed meanwhile: what is
//!   open counts as spent, and what ended counts for a whole window from its end.
//! - One pod of a workload may always go, as far as the wider budgets reach; more only while no more than a
//!   [share](Budgets::share_percent) of them stands accused: else the pods are not the problem.
//! - Of one pod at most one removal is accepted, whatever alert accuses it however often.
//! - What is not known ([`Sight::Unknown`]) kills nothing.
//!
//! ```
//! use keeper_alertmanager::parse;
//! use keeper_kill::{Ledger, Pod, PodName, Policy, Role, Ruled, Sight, Uid, View, Workload, decide};
//!
//! struct OnePod(Pod);
//! impl View for OnePod {
//!     fn pod(&self, name: &PodName) -> Sight<'_> {
//!         if name.to_string() == "shop/cart-1" { Sight::Pod(&self.0) } else { Sight::Gone }
//!     }
//!     fn size(&self, _namespace: &str, _workload: &Workload) -> usize {
//!         1
//!     }
//! }
//!
//! let cart = Workload {
//!     api_version: "apps/v1".into(),
//!     kind: "Deployment".into(),
//!     name: "cart".into(),
//!     uid: Uid::new("d-1"),
//! };
//! let view = OnePod(Pod {
//!     uid: Uid::new("p-1"),
//!     created: "2026-08-20T09:00:00Z".parse()?,
//!     workload: Some(cart),
//!     role: Role::Ordinary,
//!     opted_in: false,
//!     leaving: false,
//! });
//! let body = br#"{"alerts": [{"status": "firing", "startsAt": "2026-08-20T10:05:00Z",
//!     "labels": {"alertname": "NoProgress", "namespace": "shop", "pod": "cart-1"}}]}"#;
//! let alerts = parse(body)?.alerts;
//! let now = "2026-08-20T10:06:00Z".parse()?;
//!
//! let mut ledger = Ledger::default();
//! let decision = decide(&alerts, &view, &ledger, &Policy::default(), now);
//! assert_eq!(decision.rulings[0].ruled, Ruled::Kill(Uid::new("p-1")));
//! decision.enter(&mut ledger);
//! let again = decide(&alerts, &view, &ledger, &Policy::default(), now);
//! assert!(!again.changes(), "the same alert again: nothing more happens");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attempt;
mod decide;
mod labels;
mod ledger;
mod names;
mod pod;
mod policy;
mod refusal;

pub use attempt::{Answer, Attempt, Next, Removal, Shown, after, next};
pub use decide::{Decision, RECORDED_LIMIT, Ruled, Ruling, decide};
pub use labels::TargetLabels;
pub use ledger::{Ended, Intent, Ledger, Left, Outcome};
pub use names::{AlertId, PodName, Uid, Workload};
pub use pod::{Pod, Role, Sight, View};
pub use policy::{Budgets, Mode, Namespaces, Policy, SHARE_COUNTS_FROM};
pub use refusal::{Again, Refusal, Scope};
