//! Whole releases with the operator binary itself: on the sandbox, and by `cargo xtask e2e` on a real control plane.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod alerts;
mod bad_images;
mod bad_input;
mod budget;
mod canary_crashes;
mod canary_refusals;
mod canary_releases;
mod canary_watch;
mod canary_world;
mod crashes;
mod deploymentconfig;
mod faults;
mod job_check;
mod ledger;
mod load;
mod prometheus;
mod releases;
mod rights;
mod sweep;
mod undo;
mod walkthrough;
mod world;
