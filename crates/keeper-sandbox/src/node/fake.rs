//! Pods without a process, for scenarios that must be quick: ready at once, unless a script says otherwise.

use std::{collections::BTreeMap, time::Duration};

/// The prefix of the annotations and image labels that script a fake container.
pub const SCRIPT_PREFIX: &str = "sandbox.canary-keeper.dev/";

/// What a fake container does. The default is to be ready at once and to run forever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FakeScript {
    /// Becomes ready this long after its start (`ready-after: 300ms`; `ready-after: never` for a pod that never does).
    pub ready_after: Option<Delay>,
    /// Stops being ready this long after its start (`unready-after`).
    pub unready_after: Option<Duration>,
    /// Ends by itself this long after its start (`exit-after`), with [`FakeScript::exit_code`].
    pub exit_after: Option<Duration>,
    /// The code it ends with (`exit-code`, default 1).
    pub exit_code: Option<i32>,
    /// The reason in its state after it ended (`exit-reason`, default `Error`; `OOMKilled` for one that ran out of memory).
    pub exit_reason: Option<String>,
    /// Its image can't be pulled, with this message (`pull-error`).
    pub pull_error: Option<String>,
}

/// How long something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// It happens after so long.
    After(Duration),
    /// It never happens.
    Never,
}

impl FakeScript {
    /// Reads a script from annotations or image labels under [`SCRIPT_PREFIX`]. What can't be read is left out.
    #[must_use]
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| labels.get(&format!("{SCRIPT_PREFIX}{name}")).map(String::as_str);
        let time = |name: &str| duration(text(name)?);
        Self {
            ready_after: match text("ready-after") {
                Some("never") => Some(Delay::Never),
                _ => time("ready-after").map(Delay::After),
            },
            unready_after: time("unready-after"),
            exit_after: time("exit-after"),
            exit_code: text("exit-code").and_then(|code| code.parse().ok()),
            exit_reason: text("exit-reason").map(str::to_owned),
            pull_error: text("pull-error").map(str::to_owned),
        }
    }

    /// This script, with what `other` says besides.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            ready_after: self.ready_after.or(other.ready_after),
            unready_after: self.unready_after.or(other.unready_after),
            exit_after: self.exit_after.or(other.exit_after),
            exit_code: self.exit_code.or(other.exit_code),
            exit_reason: self.exit_reason.or(other.exit_reason),
            pull_error: self.pull_error.or(other.pull_error),
        }
    }
}

/// `250ms`, `3s`, or a plain number of seconds.
fn duration(text: &str) -> Option<Duration> {
    let seconds = match text.strip_suffix("ms") {
        Some(millis) => return millis.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s').unwrap_or(text),
    };
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (format!("{SCRIPT_PREFIX}{name}"), (*value).to_owned())).collect()
    }

    #[test]
    fn a_script_is_read_from_labels() {
        let script =
            FakeScript::from_labels(&labels(&[("ready-after", "never"), ("exit-after", "250ms"), ("exit-code", "3")]));
        assert_eq!(script.ready_after, Some(Delay::Never));
        assert_eq!((script.exit_after, script.exit_code), (Some(Duration::from_millis(250)), Some(3)));
    }

    #[test]
    fn the_first_script_wins_where_both_speak() {
        let pod = FakeScript::from_labels(&labels(&[("ready-after", "2s")]));
        let image = FakeScript::from_labels(&labels(&[("ready-after", "never"), ("unready-after", "1.5")]));
        let both = pod.or(image);
        assert_eq!(both.ready_after, Some(Delay::After(Duration::from_secs(2))));
        assert_eq!(both.unready_after, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn nonsense_is_left_out() {
        assert_eq!(
            FakeScript::from_labels(&labels(&[("exit-after", "-1"), ("exit-code", "x")])),
            FakeScript::default()
        );
    }
}
