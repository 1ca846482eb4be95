//! The one door to the terminal.

use std::io::Write;

/// Where words for people go: stdout, or stderr when stdout is for a program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Voice {
    /// People read stdout.
    Stdout,
    /// A program reads stdout.
    Stderr,
}

impl Voice {
    /// A line for people.
    pub(crate) fn say(self, line: &str) {
        // A closed terminal is no reason to stop.
        let _ = match self {
            Self::Stdout => writeln!(std::io::stdout(), "{line}"),
            Self::Stderr => writeln!(std::io::stderr(), "{line}"),
        };
    }

    /// A headed section begins.
    pub(crate) fn section(self, title: &str) {
        self.say(&format!("\n=== {title}"));
    }
}

/// A line for programs.
pub(crate) fn result(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
