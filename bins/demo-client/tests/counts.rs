//! What the client counts as an error, and what not, against a server that misbehaves on purpose.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::Value;

/// Serves each connection in a thread of its own; answers how many there were.
fn serve(handle: fn(&mut BufReader<TcpStream>)) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let connections = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            connections.fetch_add(1, Ordering::Relaxed);
            let stream = stream.unwrap();
            std::thread::spawn(move || handle(&mut BufReader::new(stream)));
        }
    });
    (address, count)
}

/// Reads one request; `false` at the end of the connection.
fn request(stream: &mut BufReader<TcpStream>) -> bool {
    let mut line = String::new();
    loop {
        line.clear();
        match stream.read_line(&mut line) {
            Ok(0) | Err(_) => return false,
            Ok(_) if line == "\r\n" => return true,
            Ok(_) => {}
        }
    }
}

fn answer(stream: &mut BufReader<TcpStream>, status: &str) {
    let _ = write!(stream.get_mut(), "HTTP/1.1 {status}\r\ncontent-length: 3\r\n\r\nok\n");
}

fn run(address: SocketAddr) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-client"));
    command.arg(format!("http://{address}/")).args([
        "--json",
        "--rate",
        "200",
        "--connections",
        "4",
        "--duration",
        "1",
    ]);
    let output = command.args(["--requests-per-connection", "10"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn every_connection_is_closed_after_its_requests() {
    let (address, connections) = serve(|stream| {
        while request(stream) {
            answer(stream, "200 OK");
        }
    });
    let summary = run(address);
    assert_eq!((&summary["requests"], &summary["errors"]), (&200.into(), &0.into()), "{summary}");
    let connections = connections.load(Ordering::Relaxed);
    assert!((20..=23).contains(&connections), "{connections} connections for 200 requests, 10 on each");
}

#[test]
fn a_connection_closed_between_requests_is_no_error() {
    // Closed without a word after three answers.
    let (address, _) = serve(|stream| {
        for _ in 0..3 {
            if request(stream) {
                answer(stream, "200 OK");
            }
        }
    });
    let summary = run(address);
    assert_eq!((&summary["codes"]["200"], &summary["errors"]), (&200.into(), &0.into()), "{summary}");
    assert!(summary["reconnects"].as_u64().unwrap() > 0, "{summary}");
}

#[test]
fn a_request_without_an_answer_is_an_error() {
    let (address, _) = serve(|stream| {
        request(stream);
    });
    let summary = run(address);
    assert_eq!(summary["errors"], 200, "{summary}");
    assert_eq!(summary["failures"]["closed without an answer"], 200, "{summary}");
}

#[test]
fn bad_answers_are_errors() {
    let (address, _) = serve(|stream| {
        while request(stream) {
            answer(stream, "503 Service Unavailable");
        }
    });
    let summary = run(address);
    assert_eq!((&summary["codes"]["503"], &summary["errors"]), (&200.into(), &200.into()), "{summary}");
}
