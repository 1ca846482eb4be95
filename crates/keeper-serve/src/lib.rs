//! How our programs listen: an authenticated door for webhooks, an admin port beside it, limits, and a graceful stop.
//!
//! This crate decides who may come in and how much of their time and body is taken: credentials are read from the
//! headers before anything else, then the route, then the body. It never looks into a body, never answers a webhook by
//! itself, and never opens a door without credentials except on loopback, when told so. What it says in logs, metrics
//! and errors holds no secret.
//!
//! The order of a request, and what ends it early:
//!
//! | step | otherwise |
//! |---|---|
//! | a connection is free | the oldest one without an admitted request makes room; if there is none, 503 |
//! | headers arrive in time | 408, closed |
//! | credentials | 401 |
//! | route, method | 404, 405 |
//! | no `Content-Encoding` | 415 |
//! | body within the cap and in time | 413, 408 |
//! | the receiver answers in time, without a panic | 503 |
//!
//! 503 is what makes Alertmanager come again; any 4xx makes it drop the notification. So a receiver answers
//! [`Answer::Later`] when it could not accept, and [`Answer::Garbage`] only for what can never be accepted.
//!
//! With [`Tls`] the door serves TLS, and takes client certificates for credentials where their authorities are named. Files
//! of certificates, keys and credentials are read again when they change.
//!
//! The feature `clap` adds `DoorArgs`, the flags by which a program's owner opens a door.
//!
//! ```
//! use keeper_serve::{Admitted, Answer, Answering, AuthOptions, Authenticator, Door, Limits, Receive};
//! use std::sync::Arc;
//!
//! struct Counting;
//!
//! impl Receive for Counting {
//!     fn receive<'a>(&'a self, admitted: Admitted) -> Answering<'a> {
//!         Box::pin(async move {
//!             if admitted.body.is_empty() { Answer::Garbage("expected a body".into()) } else { Answer::Done }
//!         })
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let auth = Authenticator::new(AuthOptions { insecure: true, ..AuthOptions::default() })?;
//! let stop = keeper_serve::stop_signal()?;
//! let listener = keeper_serve::listen("127.0.0.1:8080".parse()?).await?;
//! Door::new(auth, Limits::default()).route("/alerts", Arc::new(Counting)).serve(listener, stop).await?;
//! # Ok(())
//! # }
//! ```

mod admin;
#[cfg(feature = "clap")]
mod args;
mod auth;
mod connections;
mod door;
mod limits;
mod metrics;
mod secrets;
mod server;
mod stop;
mod tls;

pub use admin::{AdminPort, Readiness};
#[cfg(feature = "clap")]
pub use args::DoorArgs;
pub use auth::{AuthError, AuthOptions, Authenticator};
pub use door::{Admitted, Answer, Answering, Door, Receive};
pub use limits::Limits;
pub use server::{ServeError, listen};
pub use stop::stop_signal;
pub use tls::{Tls, TlsError, TlsFiles};
