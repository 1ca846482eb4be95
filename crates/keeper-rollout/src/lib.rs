//! The rollout state machine: [`step`] answers, for one workload, what is to be done now and why.
//!
//! It decides when a canary starts, how long it is watched, what ends it, and when production may be changed. It never
//! does any of that: no IO, no clock, no `async`, no logging; the manifest makes them impossible. It compares
//! [revisions](Revision) and never reads an image.
//!
//! # How to drive it
//!
//! 1. Gather an [`Observation`]: a full snapshot, not what changed. Read the [record](Stored) with its version.
//! 2. Ask [`step`]. The same question gets the same answer; asking too often is harmless.
//! 3. Carry out the [orders](Step::orders) one after the other. The first that fails ends the list: go to 1. A conflict is
//!    no failure to be retried, but a reason to look again. [`Order::Record`] is conditional on the version of step 1,
//!    [`Order::Promote`] and [`Order::Fence`] on the version they name, [`Order::DeleteCanary`] on the uid.
//! 4. After [`Order::Read`], observe again with what was read and go to 2 at once.
//! 5. Hand [`Step::watch`] back with the next observation. Losing it costs time, never correctness.
//! 6. Come back at [`Step::wake_at`], or earlier when something changes.
//!
//! A crash between any two of these is an ordinary start: everything that matters is in the record and on the cluster.
//!
//! # Promises
//!
//! - Production is changed only by [`Order::Promote`], only after a record in `Promoting` was stored, and that only after
//!   the whole incubation was observed and every signal was Healthy at that moment, or a person said so, or there was no
//!   production yet ([`Production::Absent`], recorded as [`Proof::FirstCreation`]).
//! - Unknown never promotes. A stored alert, a restart of the canary, an Unhealthy signal or a person's abort ends it.
//! - Whatever ends a rollout removes nothing but the canary.
//!
//! ```
//! use keeper_rollout::{Observation, Order, Plan, Production, Read, Rollout, Stored, Wanted, Workload, step};
//!
//! let workload = Workload {
//!     opted_in: true,
//!     paused: false,
//!     commands: vec![],
//!     generation: 1,
//!     version: "100".into(),
//!     template: "abc".into(),
//!     production: Production::Runs("sha256:old".into()),
//!     run_label: None,
//!     rollout: Rollout::Complete,
//!     blocker: None,
//!     invalid: None,
//! };
//! let observation = Observation {
//!     read: Read::Cached,
//!     workload,
//!     wanted: Wanted::Revision("sha256:new".into()),
//!     canary: None,
//!     signals: vec![],
//!     alert_path_live: false,
//!     watch: None,
//!     refused: None,
//!     store_refuses: false,
//! };
//! let now = "2026-01-01T00:00:00Z".parse().unwrap();
//! let step = step(&Plan::default(), &Stored::Absent, &observation, now);
//! assert!(matches!(step.orders[..], [Order::Preflight { .. }, Order::Record(_), Order::CreateCanary { .. }]));
//! assert_eq!(step.because.to_string(), "starting a canary of sha256:new");
//! ```

mod because;
mod command;
mod decide;
mod guard;
mod names;
mod observation;
mod plan;
mod record;
mod step;

pub use because::{Because, Blocker, BlockerKind, Fault, Obstacle, Proof};
pub use command::{Command, Verb};
pub use guard::Guard;
pub use names::{Revision, RunId, TemplateHash, Uid, Version};
pub use observation::{
    Canary, Looked, Observation, Production, Reach, Read, Refusal, Refused, Rollout, Trouble, Wanted, Watch, Workload,
};
pub use plan::{OnInconclusive, Plan};
pub use record::{
    ALERTS_LIMIT, Ended, Entry, EntryKind, Hold, LEDGER_LIMIT, Record, Run, Sending, State, Stored, StoredAlert, Told,
    USED_LIMIT, Watched,
};
pub use step::{Afresh, Order, Phase, Step};

use jiff::Timestamp;

/// What is to be done now about one workload, and why. See the crate's page for how to drive it.
#[must_use]
pub fn step(plan: &Plan, stored: &Stored, observation: &Observation, now: Timestamp) -> Step {
    decide::decide(guard::Guards::ALL, plan, stored, observation, now)
}

/// [`step`] with one guard of the protocol switched off: for the model, which shows that each one is needed.
#[cfg(feature = "ablation")]
#[must_use]
pub fn step_without(guard: Guard, plan: &Plan, stored: &Stored, observation: &Observation, now: Timestamp) -> Step {
    decide::decide(guard::Guards::without(guard), plan, stored, observation, now)
}
