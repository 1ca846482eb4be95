//! Error rates as a signal, from Prometheus counters read straight from the pods.
//!
//! This crate decides whether a canary answers too many requests with errors. It counts increments of raw counters, each
//! once and from the first, because what `rate()` leaves out are the first errors of a new series, and for a canary those
//! are the ones that matter. It never takes silence for health: a pod that can't be read, an answer that is no
//! exposition, or one without the metric is [`Unknown`](keeper_signal::Verdict::Unknown).
//!
//! | module | does | does IO |
//! |---|---|---|
//! | [`exposition`] | text format to samples | no |
//! | [`increments`] | samples to increments, through restarts | no |
//! | [`mod@judge`] | counts to a verdict | no |
//! | [`direct`] | reads a pod's `/metrics` | yes |
//!
//! [`ErrorRate`] joins them. Its reader is the trait [`Scrape`], so that another source takes the pods' place without
//! anything else changing.
//!
//! ```
//! use keeper_prometheus::{DirectScrape, ErrorRate, ErrorRateSettings};
//! use keeper_signal::HealthSignal;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! let pods = DirectScrape::new(8080, "/metrics", Duration::from_secs(2))?;
//! let settings = ErrorRateSettings { threshold_percent: 0.5, ..ErrorRateSettings::default() };
//! let signal = ErrorRate::new(settings, Arc::new(pods))?;
//! assert_eq!(signal.name(), "httpErrorRate");
//! # Ok::<(), keeper_prometheus::SettingsError>(())
//! ```

pub mod direct;
mod error_rate;
pub mod exposition;
pub mod increments;
pub mod judge;
mod scrape;
mod settings;
mod stored;

pub use direct::DirectScrape;
pub use error_rate::ErrorRate;
pub use judge::{Counts, Tally, judge};
pub use scrape::{Reading, Scrape, ScrapeError, Scraping};
pub use settings::{ErrorRateSettings, SettingsError};
