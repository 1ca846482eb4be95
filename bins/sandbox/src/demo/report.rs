//! The summary of one release: one JSON object, whose fields are a promise.

use serde::Serialize;
use std::collections::BTreeMap;

/// One release.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// `good`, `bad`, `good-again`.
    pub(crate) release: String,
    /// `promoted`, `rejected`, `inconclusive`, `held` or `undecided`.
    pub(crate) outcome: String,
    /// The operator's reason in words.
    pub(crate) reason: String,
    /// The digest that was pushed.
    pub(crate) digest: String,
    /// The image in production's template when it was over.
    pub(crate) production_image: String,
    /// Canary pods that were left.
    pub(crate) canary_pods_left: usize,
    /// From the push to the verdict.
    pub(crate) seconds_to_verdict: f64,
    /// What it cost the client.
    pub(crate) client: Client,
    /// The operator's requests to the API server, by verb; watches not counted.
    pub(crate) api_requests: BTreeMap<String, u64>,
}

/// What the client saw from the push until the release was over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Client {
    /// Requests that were answered or failed.
    pub(crate) requests: u64,
    /// Answers of 500 and above, and failures of transport.
    pub(crate) errors: u64,
}
