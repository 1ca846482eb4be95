//! How the program starts, answers and ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

struct App {
    child: Child,
    address: SocketAddr,
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(env: &[(&str, &str)]) -> App {
    let address = free();
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-app"));
    command.arg("--exit-with-stdin").args(["--listen", &address.to_string()]).envs(env.iter().copied());
    let child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let app = App { child, address };
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(app.address).is_err() {
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    app
}

/// A free port of those that no outgoing connection takes, another one each time.
fn free() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports = std::iter::repeat_with(|| {
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(12_000 + number % 20_000).unwrap()
    });
    let mut addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    // Bound and let go: free for the moment.
    addresses.find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, "GET", path)
}

fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn code(app: &mut App) -> Option<i32> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = app.child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn health_version_and_metrics_are_not_counted() {
    let app = start(&[("VERSION", "7"), ("IMAGE_DIGEST", "sha256:d"), ("HOSTNAME", "pod")]);
    assert!(get(app.address, "/").starts_with("HTTP/1.1 200"));
    assert!(get(app.address, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(
        get(app.address, "/version").ends_with("{\"version\":\"7\",\"imageDigest\":\"sha256:d\",\"pod\":\"pod\"}\n")
    );
    let metrics = get(app.address, "/metrics");
    assert!(metrics.contains("http_requests_total{code=\"200\",method=\"GET\"} 1\n"), "{metrics}");
    assert!(metrics.contains("http_requests_total{code=\"500\",method=\"GET\"} 0\n"), "{metrics}");
}

#[test]
fn bad_releases_are_bad_as_told() {
    let app = start(&[("FAIL_SHARE", "1"), ("NEVER_READY", "true"), ("METRICS", "dead")]);
    assert!(get(app.address, "/").starts_with("HTTP/1.1 500"));
    assert!(get(app.address, "/healthz").starts_with("HTTP/1.1 503"));
    assert!(get(app.address, "/metrics").starts_with("HTTP/1.1 503"));
    let mut exits = start(&[("EXIT_AFTER", "0.3")]);
    assert_eq!(code(&mut exits), Some(1));
}

#[test]
fn told_to_hang_it_stays_ready_and_counts_no_more() {
    let app = start(&[]);
    assert!(get(app.address, "/hang").starts_with("HTTP/1.1 200"), "a GET is a request like any other");
    assert!(ask(app.address, "POST", "/hang").ends_with("hangs\n"));
    let mut stuck = TcpStream::connect(app.address).unwrap();
    stuck.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stuck.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(stuck.read(&mut [0; 16]).is_err(), "no answer");
    assert!(get(app.address, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(app.address, "/metrics").contains("http_requests_total{code=\"200\",method=\"GET\"} 1\n"));
}

#[test]
fn it_ends_with_whoever_started_it() {
    let mut app = start(&[]);
    drop(app.child.stdin.take());
    assert_eq!(code(&mut app), Some(0));
}

#[test]
fn on_sigterm_it_drains_and_closes_connections_with_an_answer() {
    let mut app = start(&[("DRAIN", "3")]);
    let mut kept = TcpStream::connect(app.address).unwrap();
    kept.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let killed = Command::new("kill").args(["-TERM", &app.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    std::thread::sleep(Duration::from_millis(100));
    assert!(get(app.address, "/healthz").starts_with("HTTP/1.1 503"), "unready at once");
    assert!(get(app.address, "/").starts_with("HTTP/1.1 200"), "and still serving");
    // The connection that was open before is answered, and ended by that answer.
    kept.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    kept.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert_eq!(code(&mut app), Some(0));
    assert!(TcpStream::connect(app.address).is_err());
}
