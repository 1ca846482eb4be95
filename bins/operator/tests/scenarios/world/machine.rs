//! What this machine has for scenarios.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

/// Notes, for people and for `cargo xtask test`, what this machine can't show.
pub fn not_run(why: &str) {
    println!("NOT RUN: {why}");
    if let Some(path) = std::env::var_os("KEEPER_NOT_RUN") {
        let mut notes = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(notes, "NOT RUN: {why}").unwrap();
    }
}

/// Where a program is found.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

pub fn kill(operator: &Mutex<Option<Child>>) {
    if let Some(mut child) = operator.lock().unwrap().take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A free port that stays free while nobody listens on it: none of those that outgoing connections take.
pub fn free() -> SocketAddr {
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(97)));
    let candidates = std::iter::repeat_with(|| 12_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 20_000);
    let mut addresses = candidates.map(|port| SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap())));
    addresses.find(|address| std::net::TcpListener::bind(address).is_ok()).unwrap()
}

/// The demo app's binary beside the operator's, built if it isn't there.
pub fn demo_app() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let build = || {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "--quiet", "-p", "demo-app", "-p", "demo-client"]).status();
        assert!(built.unwrap().success(), "the demo app can't be built");
        PathBuf::from(env!("CARGO_BIN_EXE_operator")).with_file_name("demo-app")
    };
    BUILT.get_or_init(build).clone()
}
