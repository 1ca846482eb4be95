//! HTTP endpoints that a program's owner names, and a signal from the JSON that one of them answers.
//!
//! This crate decides whether a value in an endpoint's JSON is as it should be ([`HttpCheck`]), so that any vendor's API
//! becomes a check of a canary. It never lets the author of a check say where a request or a credential goes: an
//! [`Endpoint`] is defined by the program's owner, credentials come from files, and no redirect is followed. What is no
//! clear value (no answer in time, another status than 2xx, no JSON, nothing at that place) is
//! [`Unknown`](keeper_signal::Verdict::Unknown).
//!
//! ```
//! use keeper_http::{Endpoint, EndpointSettings, Expected, HttpCheck, HttpCheckSettings};
//! use std::sync::Arc;
//!
//! # let _ = rustls::crypto::ring::default_provider().install_default();
//! let tests = Endpoint::new(EndpointSettings::new("synthetic-tests", "https://tests.example.com/api"))?;
//! let settings = HttpCheckSettings {
//!     path: "/v1/suites/basket?pod={{canary}}".into(),
//!     pointer: "/summary/failed".into(),
//!     expected: Expected::Range { min: None, max: Some(0.0) },
//!     ..HttpCheckSettings::default()
//! };
//! let signal = HttpCheck::new(settings, Arc::new(tests))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod endpoint;
mod settings;

pub use check::{CheckError, Expected, HttpCheck, HttpCheckSettings, Method};
pub use endpoint::{Endpoint, EndpointError, shortened};
pub use settings::{BasicAuth, EndpointSettings, EndpointSettingsError, TlsFiles};
