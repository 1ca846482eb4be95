//! Whole steps compared: what is seen on the left, everything that is answered on the right.

// A test may panic; and nothing here is seen from outside.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod case;
mod commands;
mod creation;
mod incubating;
mod launching;
mod promoting;
mod resting;
