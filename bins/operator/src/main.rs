//! The Canary Keeper operator: flags, wiring, run.

fn main() {}
