//! A cluster for one machine: Kubernetes API, workload controllers, node and Service proxy, image registry, faults.

pub mod api;
pub mod controllers;

mod objects;
mod queue;
mod selector;
mod view;
