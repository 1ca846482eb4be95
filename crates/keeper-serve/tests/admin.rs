//! The admin port over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{read, short, status};
use keeper_serve::{AdminPort, Readiness};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

async fn start(port: AdminPort) -> SocketAddr {
    let listener = keeper_serve::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(port.serve(listener, short(), CancellationToken::new()));
    address
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read(&mut stream).await
}

#[tokio::test]
async fn readiness_says_why_not() {
    let readiness = Readiness::not_yet("first list under way");
    let stale = Arc::new(AtomicBool::new(false));
    let port = AdminPort::new(Arc::new(Registry::default())).readiness(&readiness).ready_when({
        let stale = stale.clone();
        move || if stale.load(Ordering::SeqCst) { Err("the view is stale".into()) } else { Ok(()) }
    });
    let address = start(port).await;
    assert_eq!(status(&ask(address, "GET", "/healthz").await), 200);
    let waiting = ask(address, "GET", "/readyz").await;
    assert_eq!((status(&waiting), waiting.contains("first list under way")), (503, true));
    readiness.ready();
    assert_eq!(status(&ask(address, "GET", "/readyz").await), 200);
    readiness.not_ready("lost the watch");
    stale.store(true, Ordering::SeqCst);
    let both = ask(address, "GET", "/readyz").await;
    assert!(both.contains("lost the watch; the view is stale"), "{both}");
    assert_eq!(status(&ask(address, "GET", "/healthz").await), 200, "alive all the while");
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let mut registry = Registry::with_prefix("keeper");
    let counter: Counter = Counter::default();
    registry.register("things", "Things counted", counter.clone());
    counter.inc_by(3);
    let address = start(AdminPort::new(Arc::new(registry))).await;
    let answer = ask(address, "GET", "/metrics").await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{answer}");
    let (_, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(text.contains("# TYPE keeper_things counter\n"), "{text}");
    assert!(text.contains("\nkeeper_things_total 3\n"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn it_only_shows() {
    let address = start(AdminPort::new(Arc::new(Registry::default()))).await;
    assert_eq!(status(&ask(address, "POST", "/healthz").await), 405);
    assert_eq!(status(&ask(address, "GET", "/alerts").await), 404);
    assert_eq!(status(&ask(address, "HEAD", "/healthz").await), 200);
}
