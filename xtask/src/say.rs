//! The one door to the terminal. What a person reads while waiting goes to stderr, results go to stdout.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

/// A step begins.
pub(crate) fn step(what: &str) {
    progress(&format!("\n== {what}"));
}

/// Something worth knowing while waiting.
pub(crate) fn progress(line: &str) {
    // A closed terminal is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A failure, last thing said.
pub(crate) fn error(line: &str) {
    progress(&format!("error: {line}"));
}

/// A line of the result.
pub(crate) fn result(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Seconds as people read them: `7.3 s`, `2 min 5 s`.
pub(crate) fn span(duration: Duration) -> impl Display {
    let seconds = duration.as_secs();
    match seconds / 60 {
        0 => format!("{:.1} s", duration.as_secs_f32()),
        minutes => format!("{minutes} min {} s", seconds % 60),
    }
}
