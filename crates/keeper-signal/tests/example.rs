//! The example of an embedder's own signal, run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail as tests do")]

#[path = "../examples/queue_depth.rs"]
mod queue_depth;

use queue_depth::{QueueDepth, ask};

fn says(signal: &mut QueueDepth) -> String {
    ask(signal).to_string()
}

#[test]
fn it_judges_by_a_number_in_a_file() {
    let file = std::env::temp_dir().join(format!("canary-keeper-queue-depth-{}", std::process::id()));
    let mut signal = QueueDepth { file: file.clone(), limit: 100 };
    assert!(says(&mut signal).starts_with("unknown: not measured: "));
    for (text, expected) in [
        ("100\n", "healthy: 100 orders wait"),
        ("101\n", "unhealthy: 101 orders wait"),
        ("-1\n", "unknown: not measured: "),
        ("", "unknown: not measured: "),
    ] {
        std::fs::write(&file, text).unwrap();
        assert!(says(&mut signal).starts_with(expected), "{text:?}: {}", says(&mut signal));
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn it_takes_fewer_than_thirty_lines() {
    let source = include_str!("../examples/queue_depth.rs");
    let begin = source.find("/// Reads").unwrap();
    let end = source.find("/// Asks").unwrap();
    let lines = source.get(begin..end).unwrap().lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines < 30, "{lines} lines");
}
