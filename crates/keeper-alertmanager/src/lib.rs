//! Alertmanager's webhook as types, and the question whether an alert counts against a canary.
//!
//! This crate decides what a webhook body says ([`parse`]) and whom an alert accuses ([`judge`]). It is pure: it opens
//! no connection, reads no clock, stores nothing and never ends a canary by itself. What it reads is foreign: the number
//! and size of everything is bounded, and one alert of another shape costs that alert alone, counted and named.
//!
//! An alert counts against a canary when its labels name the canary pod, **or** when it is about the managed service (a
//! service label equal to the workload's or its Service's name, or all of the workload's own matchers), its namespace
//! labels, if it has any, name the canary's namespace, and it started during the canary's life, resolved since or not.
//! An alert that names a production pod and not the canary never counts.
//!
//! What a receiver of webhooks owes Alertmanager: 2xx only after what [`judge`] found was stored durably, 400 only for a
//! body that [`parse`] refuses, 503 for everything that may work later. Any other 4xx loses the notification.
//!
//! ```
//! use keeper_alertmanager::{MatchRules, Matched, Target, judge, parse};
//! use std::collections::BTreeSet;
//!
//! let body = br#"{"version": "4", "status": "firing", "alerts": [{
//!     "status": "firing", "startsAt": "2026-08-20T10:05:00Z", "endsAt": "0001-01-01T00:00:00Z",
//!     "labels": {"alertname": "PodErrors", "namespace": "shop", "pod": "cart-canary-1a2b3c"},
//!     "annotations": {"summary": "more than 5 % of requests fail"}}]}"#;
//! let canary = Target {
//!     namespace: "shop".into(),
//!     workload: "cart".into(),
//!     services: vec!["cart".into()],
//!     canary_pod: "cart-canary-1a2b3c".into(),
//!     canary_created: "2026-08-20T10:00:00Z".parse()?,
//!     production_pods: BTreeSet::from(["cart-7d9f6c5b8-aaaa1".to_owned()]),
//!     own_matchers: Vec::new(),
//! };
//! let webhook = parse(body)?;
//! let alert = &webhook.alerts[0];
//! let relevance = judge(alert, &canary, &MatchRules::default());
//! assert_eq!(relevance.to_string(), "names the canary pod");
//! let matched = Matched::new(alert, &relevance).expect("it counts");
//! assert_eq!(matched.name, "PodErrors");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alert;
mod matched;
mod matcher;
mod relevance;
mod rules;
mod webhook;

pub use alert::{Alert, Status};
pub use matched::Matched;
pub use matcher::{LabelMatcher, MatcherError};
pub use relevance::{Names, Relevance, judge};
pub use rules::{MatchRules, Target};
pub use webhook::{ALERTS_LIMIT, Unreadable, Webhook, WebhookError, parse};
