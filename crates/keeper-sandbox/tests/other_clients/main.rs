//! A client in another language on the sandbox's API server: Python's `kubernetes`, which `.ci/clients.py` installs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic"
)]

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use keeper_sandbox::api::{ApiConfig, ApiServer};
use tokio::process::Command;

/// What the script says when all went well.
const DONE: &str = "\
create
list in pages
patch: merge and JSON
replace, and conflict
delete
watch
delete a collection
patch: strategic
scale
delete with options
custom objects
";

/// The Python that has the client: named by `KEEPER_PYTHON_KUBERNETES`, else in the target folder.
fn python() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("KEEPER_PYTHON_KUBERNETES") {
        return Some(named.into());
    }
    // This program is in <target>/<profile>/deps.
    let folder = std::env::current_exe().ok()?.ancestors().nth(3)?.join("python-kubernetes");
    folder.join("complete").is_file().then(|| folder.join("bin/python"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_lists_watches_patches_replaces_and_deletes() {
    let Some(python) = python() else {
        let why = "NOT RUN: no Python client (.ci/clients.py gets it): the sandbox's API server with a client not of our kind";
        println!("{why}");
        if let Some(path) = std::env::var_os("KEEPER_NOT_RUN") {
            let mut notes = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            writeln!(notes, "{why}").unwrap();
        }
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let server = ApiServer::serve(ApiConfig::default()).await.unwrap();
    let kubeconfig = home.path().join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig().to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other_clients/client.py");
    let mut command = Command::new(python);
    command.arg(script).arg(&kubeconfig).arg("default").kill_on_drop(true);
    command.env_remove("HTTP_PROXY").env_remove("HTTPS_PROXY").env("NO_PROXY", "127.0.0.1").env("HOME", home.path());
    let out = tokio::time::timeout(Duration::from_secs(120), command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!((text(&out.stdout), out.status.code()), (DONE.to_owned(), Some(0)), "{}", text(&out.stderr));
    server.stop().await;
}
