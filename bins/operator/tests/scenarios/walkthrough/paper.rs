//! The steps, as the paper has them.

use std::path::{Path, PathBuf};

/// One line of the paper's shell blocks.
pub enum Line {
    /// `docker build`.
    Build(Build),
    /// The load client, in a terminal of its own.
    Client,
    /// Anything else, for a shell.
    Shell(String),
}

/// What `docker build` is asked for.
pub struct Build {
    /// The container file.
    pub file: PathBuf,
    pub tag: String,
    /// Of `--build-arg`.
    pub arguments: Vec<(String, String)>,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All of them, in order.
pub fn lines() -> Vec<Line> {
    let text = std::fs::read_to_string(root().join("deploy/README.md")).unwrap();
    let (_, demo) = text.split_once("\n## The demo\n").unwrap();
    let blocks = demo.split("\n```sh\n").skip(1).map(|block| block.split_once("\n```").unwrap().0);
    let lines: Vec<Line> = blocks.flat_map(str::lines).map(line).collect();
    assert!(lines.len() > 15, "the paper has lost its steps");
    lines
}

fn line(line: &str) -> Line {
    if line.starts_with("docker build ") {
        return Line::Build(build(line));
    }
    match line.starts_with("cargo run --release --bin demo-client ") {
        true => Line::Client,
        false => Line::Shell(line.to_owned()),
    }
}

fn build(line: &str) -> Build {
    let words: Vec<&str> = line.split(' ').collect();
    let after = |flag: &str| words.iter().position(|word| *word == flag).map(|at| words[at + 1]);
    let argument = |word: &str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Build {
        file: root().join(after("-f").unwrap()),
        tag: after("-t").unwrap().to_owned(),
        arguments: after("--build-arg").and_then(argument).into_iter().collect(),
    }
}
