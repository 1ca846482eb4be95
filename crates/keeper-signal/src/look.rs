use jiff::Timestamp;
use std::net::IpAddr;

/// What a signal is given to look at. Complete in itself: canary and baseline are meant to be read at the same instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The name of the production workload, in the canary's namespace.
    pub workload: String,
    /// The canary.
    pub canary: Pod,
    /// The production pods it is compared with; may be empty.
    pub baseline: Vec<Pod>,
    /// The time that counts.
    pub window: Window,
}

/// A pod as far as a signal needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The uid the API server gave it: another pod of the same name has another one.
    pub uid: String,
    /// Its address; `None` until it has one.
    pub address: Option<IpAddr>,
    /// When it was created.
    pub created: Timestamp,
}

/// A span of time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From when the canary is judged: its own life, never before it was created.
    pub from: Timestamp,
    /// Until when: the moment of this look.
    pub to: Timestamp,
}
