//! A cluster for one machine: Kubernetes API, workload controllers, node and Service proxy, image registry, faults.

pub mod api;
pub mod controllers;
pub mod faults;
pub mod node;
pub mod proxy;
pub mod registry;

mod address;
mod fetch;
mod objects;
mod queue;
mod sandbox;
mod selector;
mod view;

pub use address::AddressBlock;
pub use sandbox::{AttachConfig, Sandbox, SandboxConfig, SandboxError};
