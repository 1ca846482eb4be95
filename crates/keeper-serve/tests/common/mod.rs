//! A raw client and a door on a free port: what is tested is on the wire, so no HTTP library stands in between.
#![allow(dead_code, reason = "each test binary uses its share")]

use keeper_serve::{Admitted, Answer, Answering, AuthOptions, Authenticator, Door, Limits, Receive};
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const TOKEN: &str = "s3cr3t-canary-token";
pub(crate) const USER: &str = "alertmanager:s3cr3t-canary-password";

/// Counts what it got, and does what the body says.
#[derive(Default)]
pub(crate) struct Receiver {
    pub(crate) got: AtomicUsize,
    pub(crate) callers: Mutex<Vec<String>>,
}

impl Receive for Receiver {
    fn receive<'a>(&'a self, admitted: Admitted) -> Answering<'a> {
        Box::pin(async move {
            self.got.fetch_add(1, Ordering::SeqCst);
            self.callers.lock().unwrap().push(admitted.caller);
            match admitted.body.as_ref() {
                b"garbage" => Answer::Garbage("expected something else".into()),
                b"later" => Answer::Later("the store is away".into()),
                b"panic" => panic!("as the body wished"),
                b"hang" => std::future::pending().await,
                b"slow" => {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                    Answer::Done
                }
                _ => Answer::Done,
            }
        })
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) registry: Registry,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

pub(crate) fn short() -> Limits {
    Limits {
        body_bytes: 1000,
        header_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(300),
        answer_timeout: Duration::from_millis(1200),
        connections: 8,
        stop_timeout: Duration::from_millis(1500),
    }
}

pub(crate) fn write(path: &Path, text: &str) -> PathBuf {
    std::fs::write(path, text).unwrap();
    path.to_owned()
}

/// A door on `/alerts` and `/kill` with one token and one user.
pub(crate) async fn door(folder: &Path, limits: Limits) -> Running {
    let auth = Authenticator::new(AuthOptions {
        bearer_token_files: vec![write(&folder.join("tokens"), TOKEN)],
        basic_auth_files: vec![write(&folder.join("users"), USER)],
        recheck: Duration::from_millis(50),
        ..AuthOptions::default()
    })
    .unwrap();
    let receiver = Arc::new(Receiver::default());
    let mut registry = Registry::with_prefix("keeper");
    let door = Door::new(auth, limits)
        .route("/alerts", receiver.clone())
        .route("/kill", receiver.clone())
        .metrics(&mut registry);
    let listener = keeper_serve::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move { door.serve(listener, stop).await.unwrap() }
    });
    Running { address, receiver, registry, stop, serving }
}

impl Running {
    pub(crate) fn got(&self) -> usize {
        self.receiver.got.load(Ordering::SeqCst)
    }

    /// Waits until the receiver has got so many bodies.
    pub(crate) async fn until(&self, got: usize) {
        while self.got() < got {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends these bytes and reads until the server closes or says nothing for two seconds.
    pub(crate) async fn talk(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        read(&mut stream).await
    }

    pub(crate) async fn post(&self, path: &str, headers: &str, body: &str) -> String {
        self.talk(&format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        ))
        .await
    }

    pub(crate) async fn admitted(&self, body: &str) -> String {
        self.post("/alerts", &bearer(TOKEN), body).await
    }
}

pub(crate) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

pub(crate) fn basic(pair: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    format!("authorization: Basic {}\r\n", BASE64_STANDARD.encode(pair))
}

pub(crate) async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_secs(2), async {
        let read = stream.read(&mut buffer).await;
        if let Ok(n) = read {
            answer.extend_from_slice(&buffer[..n]);
        }
        read
    })
    .await
    {}
    String::from_utf8(answer).unwrap()
}

pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}
