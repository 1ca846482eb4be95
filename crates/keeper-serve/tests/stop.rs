//! The signals that stop a program. A test binary of its own: the handlers are the process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::process::{self, Command};
use std::time::Duration;

#[tokio::test]
async fn sigterm_cancels_the_token() {
    let stop = keeper_serve::stop_signal().unwrap();
    assert!(!stop.is_cancelled());
    let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", process::id())]).status().unwrap();
    assert!(sent.success());
    tokio::time::timeout(Duration::from_secs(5), stop.cancelled()).await.expect("the token is cancelled");
}
