//! The contract with cluster users: annotations, the Canary resource and stored records, turned into the core's types.
//!
//! It decides what a workload's label and annotations mean ([`read`] answers a [`Wish`] or says what is [`Invalid`]
//! about them), what a Canary means ([`canary::read`]), what the checks of both mean ([`checks`]), and how a rollout's
//! record is written down ([`record`]). It never talks to a cluster, never asks whether
//! what is wished for is possible there, and never echoes more than a line of what somebody else wrote.
//!
//! Objects are taken as the API server serves them, as JSON values, so that a Deployment and a DeploymentConfig are
//! read alike and a field newer than our build does no harm.
//!
//! # What is read even when the rest is wrong
//!
//! [`opted_in`], [`paused`] and [`commands`] are a person's brakes. They answer for any object whatsoever: a typo in
//! one annotation must not keep an `abort` in another from being heard.
//!
//! ```
//! use keeper_api::{Defaults, read};
//! use serde_json::json;
//!
//! let mut deployment = json!({
//!     "metadata": {
//!         "labels": { "canary": "true" },
//!         "annotations": { "canary-image": "quay.io/shop/basket:stable", "canary-duration": "90s" }
//!     },
//!     "spec": { "template": { "spec": { "containers": [{ "name": "basket" }] } } }
//! });
//! let wish = read(&deployment, &Defaults::default()).unwrap();
//! assert_eq!(wish.plan.incubation.as_secs(), 90);
//! assert_eq!(wish.plan.max_incubation.as_secs(), 180);
//!
//! deployment["metadata"]["annotations"]["canary-duration"] = "15".into();
//! let invalid = read(&deployment, &Defaults::default()).unwrap_err();
//! assert_eq!(invalid.to_string(), "annotation canary-duration: \"15\" has no unit; write 15m, 90s or 1h30m");
//! ```

mod annotations;
pub mod canary;
pub mod checks;
mod containers;
mod duration;
mod invalid;
pub mod keys;
pub mod kills;
mod matchers;
pub mod record;
mod spans;
mod wish;
mod yaml;

pub use annotations::{commands, opted_in, paused};
pub use checks::{Check, Rule};
pub use duration::duration;
pub use invalid::Invalid;
pub use wish::{Defaults, Wish, read};
