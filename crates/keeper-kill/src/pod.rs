use crate::{PodName, Uid, Workload};
use jiff::Timestamp;

/// A pod as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its uid.
    pub uid: Uid,
    /// When it was created: an alert that is older speaks of another pod of that name.
    pub created: Timestamp,
    /// What it belongs to; `None` when nothing would bring another one in its place.
    pub workload: Option<Workload>,
    /// What it is, where that protects it.
    pub role: Role,
    /// Whether it carries the label by which its owner agrees to its being killed.
    pub opted_in: bool,
    /// Whether it is leaving by itself: it is being deleted, has ended, or was taken out of service before.
    pub leaving: bool,
}

/// What a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One like any other.
    Ordinary,
    /// A canary: the operator's business.
    Canary,
    /// The killer itself.
    Killer,
    /// The shadow of a static pod: deleting it stops nothing.
    Static,
}

/// What is known about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight<'a> {
    /// The pod that bears it.
    Pod(&'a Pod),
    /// No pod bears it.
    Gone,
    /// The view of the cluster doesn't say, or is too old to be believed.
    Unknown,
}

/// The cluster, as far as the one who asks can see it.
pub trait View {
    /// The pod of that name.
    fn pod(&self, name: &PodName) -> Sight<'_>;
    /// How many pods the workload has, those that are leaving not counted.
    fn size(&self, namespace: &str, workload: &Workload) -> usize;
}
