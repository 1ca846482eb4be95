//! Serves a sandbox cluster, or runs the demo on it.

fn main() {}
