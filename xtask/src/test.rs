//! `cargo xtask test`: everything that must hold, in one go; goes on after a failure, so that one run shows all of them.

use crate::cargo::{self, Cargo};
use crate::workspace::Workspace;
use crate::{missing, say, tidy};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

/// Where tests note, a line each, what they could not run here. They print the same line.
const NOT_RUN: &str = "KEEPER_NOT_RUN";

/// How many tests of one program run at once.
const THREADS: &str = "RUST_TEST_THREADS";

/// What one part of the run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
    ignored: usize,
}

/// Runs all parts, says what was not run here, and ends with `N passed, N failed`.
pub(crate) fn run(cargo: &Cargo) -> Result<ExitCode> {
    let workspace = Workspace::read(cargo)?;
    let notes = workspace.target.join("not-run.txt");
    let mut total = Count::default();
    let mut lines = Vec::new();
    let mut part = |name: &str, work: &mut dyn FnMut() -> Result<Count>| {
        say::step(name);
        let start = Instant::now();
        let count = work().unwrap_or_else(|error| {
            say::error(&format!("{error:#}"));
            Count { failed: 1, ..Count::default() }
        });
        total = total.and(count);
        let verdict = if count.failed == 0 { "ok" } else { "FAILED" };
        lines.push(format!("{name:<8} {verdict:<6} {}", say::span(start.elapsed())));
    };

    part("format", &mut || check(cargo.run(&["fmt", "--all", "--", "--check"])));
    part("lints", &mut || {
        check(cargo.run(&["clippy", "--workspace", "--all-targets", "--quiet", "--keep-going", "--", "-D", "warnings"]))
    });
    part("tests", &mut || {
        // What an earlier run could not do is not news.
        let _ = std::fs::remove_file(&notes);
        tests(cargo, &notes)
    });
    part("docs", &mut || {
        let mut doc = cargo.command(&["doc", "--workspace", "--no-deps", "--quiet"]);
        check(cargo::status(doc.env("RUSTDOCFLAGS", "-D warnings")).map(|status| status.success()))
    });
    part("tidy", &mut || {
        let problems = tidy::problems(&workspace)?;
        problems.iter().for_each(|problem| say::progress(&format!("tidy: {problem}")));
        check(Ok(problems.is_empty()))
    });

    say::result("");
    lines.iter().for_each(|line| say::result(line));
    say::result("\nNot run here:");
    missing::list(&notes, total.ignored).iter().for_each(|line| say::result(&format!("- {line}")));
    say::result(&format!("\n{} passed, {} failed", total.passed, total.failed));
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A part that is one check.
fn check(well: Result<bool>) -> Result<Count> {
    let well = well?;
    Ok(Count { passed: usize::from(well), failed: usize::from(!well), ignored: 0 })
}

/// All tests of all crates, documentation's included, in one call of cargo.
fn tests(cargo: &Cargo, notes: &std::path::Path) -> Result<Count> {
    let mut command = cargo.command(&["test", "--workspace", "--no-fail-fast"]);
    command.env(NOT_RUN, notes).stdout(Stdio::piped());
    if std::env::var_os(THREADS).is_none() {
        // Most tests wait for something most of the time: more of them than there are cores share two cores well.
        command.env(THREADS, "4");
    }
    say::progress(&format!("$ {}", cargo::shown(&command)));
    let mut child = command.spawn().context("starting cargo")?;
    let output = child.stdout.take().context("cargo's output is not connected")?;
    let mut count = Count::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("reading cargo's output")?;
        let line = String::from_utf8_lossy(&line);
        say::result(&line);
        if let Some(more) = Count::of(&line) {
            count = count.and(more);
        }
    }
    let status = child.wait().context("waiting for cargo")?;
    if !status.success() && count.failed == 0 {
        // It didn't build, or a test program died without a result line.
        count.failed = 1;
    }
    Ok(count)
}

impl Count {
    /// What a line like `test result: ok. 3 passed; 0 failed; 1 ignored; ...` says.
    fn of(line: &str) -> Option<Self> {
        let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number = |label: &str| {
            let part = numbers.split(';').find_map(|part| part.trim().strip_suffix(label))?;
            part.trim().parse().ok()
        };
        Some(Self { passed: number("passed")?, failed: number("failed")?, ignored: number("ignored")? })
    }

    fn and(self, more: Self) -> Self {
        Self {
            passed: self.passed + more.passed,
            failed: self.failed + more.failed,
            ignored: self.ignored + more.ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(Count::of(line), Some(Count { passed: 12, failed: 3, ignored: 1 }));
        assert_eq!(Count::of("test result::x ... ok"), None);
        assert_eq!(Count::of("running 3 tests"), None);
    }
}
