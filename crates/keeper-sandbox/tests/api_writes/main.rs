//! What writes do and how they are refused, as the real server does it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

#[path = "../api_support/mod.rs"]
mod api_support;
mod creation;
mod doors;
mod removal;
mod updates;

use api_support::{Api, deployment};
use serde_json::Value;

/// Creates the Deployment `web` and returns it with its path.
async fn web(api: &Api) -> (Value, String) {
    let created = api.post(&api.apps("deployments"), deployment()).await.expect(201);
    (created, api.apps("deployments/web"))
}
