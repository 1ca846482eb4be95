//! The thin Kubernetes layer: it gathers what the core observes, carries out what the core orders, and keeps the record.
//!
//! Nothing is decided here. One reconcile is, in this order:
//!
//! 1. `gather` (reads): our watches, the registry's tags, the run's signals; the server itself where the core asks.
//! 2. [`keeper_rollout::step`] (pure).
//! 3. `carry_out` (writes): one order after the other, each one request with a precondition.
//! 4. `show` (writes): an Event and display-only annotations. Nothing is ever read back from them.
//!
//! A rollout is asked for in one of two ways, and reconciled in one: by annotations of a workload, whose canary is a pod
//! and whose record is a ConfigMap; or by a `Canary`, whose canary is a Deployment and whose record is its own status.
//! Canaries are looked for as long as the controller runs, whether the kind is served yet or not.
//!
//! DeploymentConfigs are watched beside Deployments where they are served, and may be seen, when the controller starts; a
//! kind that appears later is watched from the next start on.
//!
//! It never changes production but by [`keeper_rollout::Order::Promote`], keeps nothing that matters in memory, and
//! asks nothing of the API server for a workload without a release under way, its watches apart.
//!
//! ```no_run
//! # async fn run(client: kube::Client, tags: keeper_image::TagWatcher, stop: tokio_util::sync::CancellationToken) {
//! use keeper_controller::{Controller, Settings};
//! use std::sync::Arc;
//!
//! let mut metrics = prometheus_client::registry::Registry::default();
//! let signals = Arc::new(|_: &keeper_api::Check| Err("no metrics here".to_owned()));
//! let controller = Controller::new(client, Settings::default(), tags, signals, &mut metrics);
//! controller.run(stop).await;
//! # }
//! ```

mod carry_out;
mod clone;
mod cluster;
mod connect;
mod context;
mod controller;
mod error;
mod gather;
mod gathered;
mod intake;
mod job_check;
mod json;
pub mod kill;
mod kind;
mod look;
mod memory;
mod metrics;
mod names;
mod observe;
mod reconcile;
mod records;
mod registry;
mod resource;
mod show;
mod signals;
mod view;

pub use cluster::FIELD_MANAGER;
pub use connect::{ConnectError, connect};
pub use context::Settings;
pub use controller::Controller;
pub use error::ClusterError;
pub use intake::{AlertIntake, IntakeError};
pub use job_check::JobCheck;
pub use observe::CanaryLimits;
pub use signals::MakeSignals;
