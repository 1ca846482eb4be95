use crate::invalid::{Invalid, list, quote};
use crate::keys;
use keeper_rollout::{Command, Verb};
use serde_json::{Map, Value};

/// The most bytes of a command: it is kept in the record once it was acted upon.
const COMMAND_LIMIT: usize = 256;

/// Whether the workload's owner asks for canaries: the label `canary` is `"true"`.
#[must_use]
pub fn opted_in(object: &Value) -> bool {
    object.pointer("/metadata/labels").and_then(|labels| labels.get(keys::CANARY_LABEL)).is_some_and(|v| v == "true")
}

/// Whether the owner paused us: the annotation `canary-keeper.dev/pause` holds anything but `false` or nothing.
///
/// In doubt it pauses: `yes`, `off` and a reason in words all do.
#[must_use]
pub fn paused(object: &Value) -> bool {
    let value = map(object).and_then(|annotations| annotations.get(keys::PAUSE));
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !matches!(text.trim(), "" | "false"),
        Some(_) => true,
    }
}

/// The commands that the annotations `abort`, `promote` and `retry` hold, in this order; blank ones are none.
///
/// A value is trimmed, and what is beyond 256 bytes of it doesn't count: commands are kept in the record.
#[must_use]
pub fn commands(object: &Value) -> Vec<Command> {
    let all = [(keys::ABORT, Verb::Abort), (keys::PROMOTE, Verb::Promote), (keys::RETRY, Verb::Retry)];
    let annotations = map(object);
    let value = |key| annotations.and_then(|map| map.get(key)).and_then(Value::as_str).map(str::trim);
    all.into_iter()
        .filter_map(|(key, verb)| value(key).filter(|text| !text.is_empty()).map(|text| (verb, text)))
        .map(|(verb, text)| Command::new(verb, start_of(text, COMMAND_LIMIT)))
        .collect()
}

/// As many whole characters as fit into so many bytes, without blanks at the end.
fn start_of(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().trim_end()
}

fn map(object: &Value) -> Option<&Map<String, Value>> {
    object.pointer("/metadata/annotations")?.as_object()
}

/// The annotations of one workload, read with a limit.
pub(crate) struct Annotations<'a> {
    map: Option<&'a Map<String, Value>>,
    limit: usize,
}

impl<'a> Annotations<'a> {
    /// The object's annotations, of which none that we read may be longer than `limit` bytes.
    pub(crate) fn of(object: &'a Value, limit: usize) -> Self {
        Self { map: map(object), limit }
    }

    /// The annotation's text, trimmed; a blank one is as good as none.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, Invalid> {
        let text = match self.map.and_then(|map| map.get(key)) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(Invalid::annotation(key, "is not a string", "put the value in quotes")),
        };
        if text.len() > self.limit {
            let problem = format!("is {} bytes long, at most {} are read", text.len(), self.limit);
            return Err(Invalid::annotation(key, problem, "shorten it"));
        }
        Ok(Some(text.trim()).filter(|text| !text.is_empty()))
    }

    /// `true` or `false`, and `false` when there is nothing.
    pub(crate) fn flag(&self, key: &str) -> Result<bool, Invalid> {
        match self.text(key)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Invalid::annotation(
                key,
                format!("{} is neither true nor false", quote(other)),
                "write true or false",
            )),
        }
    }

    /// Refuses what is under our prefix and means nothing: with `check` misspelt for `checks`, a canary would be
    /// promoted on silence.
    pub(crate) fn refuse_unknown(&self) -> Result<(), Invalid> {
        let known: Vec<&str> = keys::OWNERS.iter().chain(&keys::OURS).copied().collect();
        self.refuse(&known, &format!("remove it or write one of {}", list(keys::OWNERS)))
    }

    /// Refuses what is under our prefix and not among these; `fix` goes before their list.
    pub(crate) fn refuse_others(&self, known: &[&str], fix: &str) -> Result<(), Invalid> {
        self.refuse(known, &format!("{fix}: {}", list(known.iter().copied())))
    }

    fn refuse(&self, known: &[&str], fix: &str) -> Result<(), Invalid> {
        let mut names = self.map.into_iter().flat_map(Map::keys);
        match names.find(|key| key.starts_with(keys::PREFIX) && !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(Invalid {
                field: format!("annotation {}", list([unknown.as_str()])),
                problem: "is not known".into(),
                fix: fix.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(key: &str, value: impl Into<Value>) -> Value {
        json!({ "metadata": { "annotations": { key: value.into() } } })
    }

    #[test]
    fn only_the_label_true_opts_in() {
        let labelled = |value: Value| json!({ "metadata": { "labels": { "canary": value } } });
        assert!(opted_in(&labelled("true".into())));
        for other in [json!("True"), json!("yes"), json!(""), json!(true), json!(null)] {
            assert!(!opted_in(&labelled(other)));
        }
        assert!(!opted_in(&with("canary", "true")));
        assert!(!opted_in(&json!("not an object")));
    }

    #[test]
    fn in_doubt_it_is_paused() {
        for value in [json!("true"), json!("yes"), json!("no"), json!("False"), json!("until Monday"), json!(false)] {
            assert!(paused(&with(keys::PAUSE, value)));
        }
        for value in [json!("false"), json!(" false\n"), json!(""), json!(null)] {
            assert!(!paused(&with(keys::PAUSE, value)));
        }
        assert!(!paused(&json!({})));
    }

    #[test]
    fn commands_are_read_whatever_else_is_wrong() {
        let object = json!({ "metadata": { "annotations": {
            "canary-image": 7,
            "canary-keeper.dev/retry": " 0123456789ab#2 once more ",
            "canary-keeper.dev/abort": "fedcba987654",
            "canary-keeper.dev/promote": "  ",
        } } });
        let expected =
            [Command::new(Verb::Abort, "fedcba987654"), Command::new(Verb::Retry, "0123456789ab#2 once more")];
        assert_eq!(commands(&object), expected);
    }

    #[test]
    fn a_long_command_still_acts() {
        let object = with(keys::ABORT, format!("0123456789ab {}", "ä".repeat(100_000)));
        let commands = commands(&object);
        assert_eq!(commands[0].value.len(), 255);
        assert!(commands[0].means(&"sha256:0123456789abcdef".into()));
    }
}
