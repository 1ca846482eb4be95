//! Asking a registry, over HTTP, what a tag names.

mod error;
mod resolve;

pub use error::ResolveError;
pub use resolve::{BoxFuture, MediaType, Resolve, Resolved};
