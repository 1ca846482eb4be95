//! The project's own commands: cargo xtask demo, sandbox, tidy, test, model, e2e.

fn main() {}
