//! Asking a registry, over HTTP, what a tag names.

mod auth;
mod backoff;
mod challenge;
mod client;
mod config;
mod credentials;
mod error;
mod resolve;
mod retry_after;
mod token;
mod transport;
mod watch;

pub use client::RegistryClient;
pub use config::{ConfigError, RegistryConfig};
pub use credentials::{Credentials, CredentialsError};
pub use error::ResolveError;
pub use resolve::{BoxFuture, MediaType, Resolve, Resolved};
pub use watch::{Seen, TagWatcher, WatchError};
