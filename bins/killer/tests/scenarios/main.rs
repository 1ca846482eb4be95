//! The killer binary itself: on the sandbox, and by `cargo xtask e2e` on a real control plane.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod bad_input;
mod budgets;
mod crashes;
mod doors;
mod kills;
mod real_alertmanager;
mod rights;
mod world;
