use crate::names::Revision;
use std::fmt;

/// A person's word, given as an annotation of the workload: `promote`, `abort` or `retry`, and which revision is meant.
///
/// The value is `<revision>`, `<revision>#<number>`, and may go on with a space and a note. `<revision>` is the whole
/// revision, at least the first twelve characters of a digest, or the generation of a Canary. The value as a whole is the command's identity: it acts
/// once, so whoever wants the same again changes the note.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Command {
    /// What is to be done.
    pub verb: Verb,
    /// The value as written.
    pub value: String,
}

/// What a [`Command`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Promote now: skips the remaining time and Unknown, never Unhealthy.
    Promote,
    /// End it: the revision is Rejected.
    Abort,
    /// Forget that the revision was bad, or could not be judged.
    Retry,
}

/// The least characters of a digest that name it.
const LEAST: usize = 12;

impl Command {
    /// Makes a command of an annotation's value.
    pub fn new(verb: Verb, value: impl Into<String>) -> Self {
        Self { verb, value: value.into() }
    }

    /// Whether this command means that revision.
    #[must_use]
    pub fn means(&self, revision: &Revision) -> bool {
        let (named, _) = self.parts();
        if named == revision.as_str() || revision.generation() == Some(named) {
            return true;
        }
        let digits = |text: &str| text.split_once(':').map_or(text.len(), |(_, hex)| hex.len());
        let tail = revision.as_str().split_once(':').map(|(_, hex)| hex);
        let begins = |hex: &str| revision.as_str().starts_with(named) || hex.starts_with(named);
        digits(named) >= LEAST && tail.is_some_and(begins)
    }

    /// The number after `#`, if there is one.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.parts().1
    }

    fn parts(&self) -> (&str, Option<u64>) {
        let word = self.value.split_whitespace().next().unwrap_or_default();
        match word.split_once('#') {
            Some((revision, number)) => (revision, number.parse().ok()),
            None => (word, None),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Retry => "retry",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, means: bool, number: Option<u64>) {
        let revision = Revision::from("sha256:0123456789abcdef0123");
        let command = Command::new(Verb::Retry, value);
        assert_eq!((command.means(&revision), command.number()), (means, number), "{value:?}");
    }

    #[test]
    fn a_command_names_its_revision() {
        check("sha256:0123456789abcdef0123", true, None);
        check("sha256:0123456789ab", true, None);
        check("0123456789ab", true, None);
        check("0123456789ab#2", true, Some(2));
        check("0123456789ab#2 once more, please", true, Some(2));
        check("0123456789a", false, None);
        check("sha256:0123", false, None);
        check("sha256:", false, None);
        check("fedcba987654", false, None);
        check("", false, None);
        check("#1", false, Some(1));
        check("0123456789ab#x", true, None);
    }

    #[test]
    fn a_generation_is_named_whole() {
        let revision = Revision::from("0c52ed42-6a2b-4bcd-9b2e-3d5a0a1b2c3d/12");
        let means = |value: &str| Command::new(Verb::Promote, value).means(&revision);
        assert!(means("0c52ed42-6a2b-4bcd-9b2e-3d5a0a1b2c3d/12"));
        assert!(!means("0c52ed42-6a2b-4bcd-9b2e-3d5a0a1b2c3d/1"));
        assert!(!means("0c52ed42-6a2b-4bcd-9b2e-3d5a0a1b2c3d"));
    }

    #[test]
    fn a_command_names_the_generation_of_a_canary() {
        let means = |value: &str, revision: &str| Command::new(Verb::Retry, value).means(&revision.into());
        assert!(means("3", "3f2504e0/3") && means("3 please", "3f2504e0/3@0a1b2c3d") && means("3#1", "3f2504e0/3"));
        assert!(means("3f2504e0/3", "3f2504e0/3"));
        assert!(!means("3", "3f2504e0/13") && !means("", "3f2504e0/3") && !means("3", "sha256:3"));
    }
}
