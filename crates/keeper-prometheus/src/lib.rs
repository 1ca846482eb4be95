//! Signals from Prometheus: counters read straight from the pods, or asked of a server.
//!
//! This crate decides whether a canary answers too many requests with errors ([`ErrorRate`], [`HttpErrorRate`]) or too
//! slowly ([`LatencyShare`]), and whether any PromQL expression is within its range ([`Query`]). It counts increments of
//! raw counters, each once and from the first, because what `rate()` leaves out are the first errors of a new series, and
//! for a canary those are the ones that matter. It never takes silence for health: a pod that can't be read, an answer
//! that is none, partial or without the metric is [`Unknown`](keeper_signal::Verdict::Unknown).
//!
//! | module | does | does IO |
//! |---|---|---|
//! | [`exposition`] | text format to samples | no |
//! | [`increments`] | samples to increments, through restarts | no |
//! | [`answer`] | a server's answer to samples, with its warnings | no |
//! | [`mod@judge`] | counts to a verdict | no |
//! | [`direct`] | reads a pod's `/metrics` | yes |
//! | [`server`] | asks a server | yes |
//!
//! A [`Server`] is made of a [`Provider`], which the owner of the program defines: its address and the files of its
//! credentials. A check only names one of the [`Servers`].
//!
//! From the pods:
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
//!
//! From a server:
//!
//! ```
//! use keeper_prometheus::{ErrorRateSettings, HttpErrorRate, Provider, Servers};
//!
//! # let _ = rustls::crypto::ring::default_provider().install_default();
//! let servers = Servers::new([Provider::new("main", "http://prometheus.monitoring:9090")])?;
//! let errors_at_the_cart = ErrorRateSettings {
//!     selector: r#"handler="/cart""#.parse()?,
//!     error_selector: Some(r#"code=~"5..|429""#.parse()?),
//!     ..ErrorRateSettings::default()
//! };
//! let signal = HttpErrorRate::new(errors_at_the_cart, servers.get(Some("main"))?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod answer;
mod classify;
pub mod direct;
mod error_rate;
pub mod exposition;
mod http_error_rate;
pub mod increments;
pub mod judge;
mod latency_share;
mod life;
mod matchers;
mod provider;
mod query;
mod scrape;
pub mod server;
mod settings;
mod stored;
mod template;

pub use direct::DirectScrape;
pub use error_rate::ErrorRate;
pub use http_error_rate::HttpErrorRate;
pub use judge::{Counts, Tally, judge};
pub use keeper_http::{BasicAuth, TlsFiles};
pub use latency_share::{LatencyShare, LatencyShareSettings};
pub use matchers::{Matchers, MatchersError};
pub use provider::{PodLabels, Provider, ProviderError};
pub use query::{NoData, Query, QuerySettings};
pub use scrape::{Reading, Scrape, ScrapeError, Scraping};
pub use server::{QueryError, Server, Servers, ServersError};
pub use settings::{ErrorRateSettings, SettingsError};
pub use template::TemplateError;
