//! Reading the shared workloads.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    dead_code,
    reason = "helpers of tests are tests too, which the lint does not see"
)]

use std::path::Path;

use keeper_clone::{CanaryPod, CanarySpec, Targets, Workload, clone_pod};
use keeper_image::Reference;
use serde_json::Value;

pub(crate) const RUN: &str = "r7f3k2";

pub(crate) fn load(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/workloads").join(file);
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn services() -> Vec<Value> {
    load("services.yaml")["items"].as_array().unwrap().clone()
}

/// An image of the workload's own repository at a digest.
pub(crate) fn new_image() -> Reference {
    format!("quay.io/myorg/app:stable@sha256:{}", "b".repeat(64)).parse().unwrap()
}

pub(crate) fn canary(workload: &Workload<'_>, targets: &Targets) -> CanaryPod {
    clone_pod(&CanarySpec {
        workload,
        targets,
        image: &new_image(),
        revision: "bbbbbbbbbbbb",
        run: RUN,
        active_deadline_seconds: 4200,
        services: &services(),
    })
    .unwrap()
}
