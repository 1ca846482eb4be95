//! Whole stories, told: what happened, what was answered, and why, as an operator reads it at three in the morning.
//!
//! The transcripts are snapshots beside this file: `INSTA_UPDATE=always cargo test -p keeper-rollout --test scenarios`
//! writes them anew.

// A test may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod stories;
mod words;
mod world;
