use crate::view::Key;
use keeper_api::{Invalid, Wish};
use keeper_rollout::{Observation, Plan, Stored};
use kube::api::DynamicObject;
use std::sync::Arc;

/// What one decision is made of.
pub(crate) struct Gathered {
    pub(crate) key: Key,
    pub(crate) workload: Arc<DynamicObject>,
    pub(crate) wish: Result<Wish, Invalid>,
    pub(crate) plan: Plan,
    pub(crate) record: Option<Arc<DynamicObject>>,
    pub(crate) stored: Stored,
    pub(crate) services: Vec<Arc<DynamicObject>>,
    pub(crate) observation: Observation,
    /// Whether the registry has not been asked yet.
    pub(crate) unasked: bool,
}
