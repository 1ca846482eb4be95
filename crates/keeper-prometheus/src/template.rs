use keeper_signal::Look;
use std::time::Duration;

/// The longest query, in bytes.
const LENGTH: usize = 4096;
/// The most baseline pods that `{{baseline}}` names.
const BASELINE: usize = 50;

/// A PromQL expression with variables, of which each may stand only where it can't change what the rest means.
///
/// | variable | becomes | stands |
/// |---|---|---|
/// | `{{canary}}` (or `{{pod}}`), `{{namespace}}`, `{{workload}}` | the canary pod's name, its namespace, its workload's name | inside quotes |
/// | `{{baseline}}` | a pattern that matches the production pods' names | inside quotes, after `=~` or `!~` |
/// | `{{window}}` | the check's window, no longer than the canary's life, as a duration | outside quotes |
///
/// After `=~` and `!~` a name is escaped as a pattern too, so that a dot in it matches a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

/// Why a query with variables can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// Too long.
    #[error("is longer than {LENGTH} bytes")]
    TooLong,
    /// Not one of ours.
    #[error("{{{{{0}}}}} is no variable: there are canary, namespace, workload, baseline and window")]
    Unknown(String),
    /// A variable that does not end, or a text in quotes.
    #[error("{0} has no end")]
    Open(&'static str),
    /// A name outside quotes would be read as PromQL.
    #[error("{{{{{0}}}}} must stand inside quotes, as in pod=\"{{{{canary}}}}\"")]
    Unquoted(&'static str),
    /// A pattern where none is read.
    #[error("{{{{baseline}}}} is a pattern: write it as in pod=~\"{{{{baseline}}}}\"")]
    NoPattern,
    /// A duration in quotes means nothing.
    #[error("{{{{window}}}} must stand outside quotes, as in [{{{{window}}}}]")]
    Quoted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name { of: Name, pattern: bool, raw: bool },
    Baseline { raw: bool },
    Window,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Canary,
    Namespace,
    Workload,
}

/// Where in PromQL we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Code,
    Comment,
    /// Inside quotes of this kind, after an operator that takes a pattern or not.
    Quotes {
        quote: char,
        pattern: bool,
    },
}

impl Template {
    pub(crate) fn parse(query: &str) -> Result<Self, TemplateError> {
        if query.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        if query.len() > LENGTH {
            return Err(TemplateError::TooLong);
        }
        let (mut pieces, mut text, mut place) = (Vec::new(), String::new(), Place::Code);
        let mut rest = query;
        while let Some(c) = rest.chars().next() {
            if let Some(variable) = rest.strip_prefix("{{").filter(|_| place != Place::Comment) {
                let (name, after) = variable.split_once("}}").ok_or(TemplateError::Open("a variable"))?;
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(variable_of(name.trim(), place)?);
                rest = after;
                continue;
            }
            let escaped = matches!(place, Place::Quotes { quote, .. } if quote != '`') && c == '\\';
            let taken: String = rest.chars().take(if escaped { 2 } else { 1 }).collect();
            if !escaped {
                place = next(place, c, &text);
            }
            text.push_str(&taken);
            rest = rest.get(taken.len()..).unwrap_or_default();
        }
        if matches!(place, Place::Quotes { .. }) {
            return Err(TemplateError::Open("a text in quotes"));
        }
        pieces.push(Piece::Text(text));
        Ok(Self { pieces })
    }

    /// The query for this look, or why there can't be one.
    pub(crate) fn fill(&self, look: &Look, window: Duration) -> Result<String, String> {
        let mut query = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => query.push_str(text),
                Piece::Name { of, pattern, raw } => {
                    let name = checked(of.in_look(look))?;
                    query.push_str(&if *pattern { as_pattern(name, *raw) } else { name.to_owned() });
                }
                Piece::Baseline { raw } => query.push_str(&baseline(look, *raw)?),
                Piece::Window => query.push_str(&format!("{}ms", window.as_millis().max(1))),
            }
        }
        Ok(query)
    }
}

fn variable_of(name: &str, place: Place) -> Result<Piece, TemplateError> {
    let known = match name {
        "canary" | "pod" => Name::Canary,
        "namespace" => Name::Namespace,
        "workload" => Name::Workload,
        "window" if place == Place::Code => return Ok(Piece::Window),
        "window" => return Err(TemplateError::Quoted),
        "baseline" => {
            return match place {
                Place::Quotes { quote, pattern: true } => Ok(Piece::Baseline { raw: quote == '`' }),
                Place::Quotes { pattern: false, .. } | Place::Code | Place::Comment => Err(TemplateError::NoPattern),
            };
        }
        other => return Err(TemplateError::Unknown(other.chars().take(40).collect())),
    };
    match place {
        Place::Quotes { quote, pattern } => Ok(Piece::Name { of: known, pattern, raw: quote == '`' }),
        Place::Code | Place::Comment => Err(TemplateError::Unquoted(known.as_str())),
    }
}

/// Where we are after this character, which is no escape; `before` is what stands before it since the last variable.
fn next(place: Place, c: char, before: &str) -> Place {
    match (place, c) {
        (Place::Code, '"' | '\'' | '`') => {
            let before = before.trim_end();
            Place::Quotes { quote: c, pattern: before.ends_with("=~") || before.ends_with("!~") }
        }
        (Place::Code, '#') => Place::Comment,
        (Place::Comment, '\n') => Place::Code,
        (Place::Quotes { quote, .. }, c) if c == quote => Place::Code,
        (place, _) => place,
    }
}

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Namespace => "namespace",
            Self::Workload => "workload",
        }
    }

    fn in_look(self, look: &Look) -> &str {
        match self {
            Self::Canary => &look.canary.name,
            Self::Namespace => &look.canary.namespace,
            Self::Workload => &look.workload,
        }
    }
}

/// Names come from the API server, which lets nothing else through; this makes sure of it.
pub(crate) fn checked(name: &str) -> Result<&str, String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    if (1..=253).contains(&name.len()) && name.bytes().all(fits) {
        Ok(name)
    } else {
        Err("a name that no object of Kubernetes has can't be asked for".into())
    }
}

/// A checked name as a pattern inside quotes: the dot is the one character that means something there.
pub(crate) fn as_pattern(name: &str, raw: bool) -> String {
    name.replace('.', if raw { "\\." } else { "\\\\." })
}

fn baseline(look: &Look, raw: bool) -> Result<String, String> {
    let names: Result<Vec<_>, _> =
        look.baseline.iter().take(BASELINE).map(|pod| checked(&pod.name).map(|name| as_pattern(name, raw))).collect();
    let names = names?;
    // An empty pattern would match series that have no such label.
    if names.is_empty() { Err("there are no production pods to compare with".into()) } else { Ok(names.join("|")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use keeper_signal::{Pod, Window};
    use proptest::prelude::*;

    fn look(canary: &str, baseline: &[&str]) -> Look {
        let at = Timestamp::UNIX_EPOCH;
        let pod = |name: &str| {
            let (namespace, name, uid) = ("shop".into(), name.into(), String::new());
            Pod { namespace, name, uid, address: None, created: at }
        };
        let baseline = baseline.iter().map(|name| pod(name)).collect();
        Look { workload: "web".into(), canary: pod(canary), baseline, window: Window { from: at, to: at } }
    }

    fn filled(query: &str) -> String {
        let template = Template::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        template.fill(&look("web.v2-c", &["web.v1-a", "web.v1-b"]), Duration::from_secs(90)).unwrap()
    }

    #[test]
    fn variables_become_what_they_stand_for() {
        for (query, expected) in [
            ("up", "up"),
            (
                r#"rate(x{pod="{{canary}}",namespace='{{ namespace }}'}[{{window}}])"#,
                r#"rate(x{pod="web.v2-c",namespace='shop'}[90000ms])"#,
            ),
            (r#"x{pod=~"{{pod}}"}"#, r#"x{pod=~"web\\.v2-c"}"#),
            (r"x{pod!~ '{{workload}}-{{pod}}'}", r"x{pod!~ 'web-web\\.v2-c'}"),
            ("x{pod=~`{{pod}}`}", "x{pod=~`web\\.v2-c`}"),
            (r#"x{pod=~"{{baseline}}"}"#, r#"x{pod=~"web\\.v1-a|web\\.v1-b"}"#),
            ("up # {{ is no variable here, \" no quote\n", "up # {{ is no variable here, \" no quote\n"),
            (r#"x{a="\"{{pod}}\\"}"#, r#"x{a="\"web.v2-c\\"}"#),
            (r#"x{a="b"} + x{c="{{pod}}"}"#, r#"x{a="b"} + x{c="web.v2-c"}"#),
        ] {
            assert_eq!(filled(query), expected);
        }
    }

    #[test]
    fn a_variable_where_it_could_mean_something_else_is_refused() {
        for (query, why) in [
            ("", TemplateError::Empty),
            (&"x".repeat(5000), TemplateError::TooLong),
            ("x{{{pod}}}", TemplateError::Unknown("{pod".into())),
            ("x{a=\"{{node}}\"}", TemplateError::Unknown("node".into())),
            ("x{a=\"{{pod\"}", TemplateError::Open("a variable")),
            ("x{a=\"b}", TemplateError::Open("a text in quotes")),
            ("{{pod}}", TemplateError::Unquoted("canary")),
            ("x{a=\"{{baseline}}\"}", TemplateError::NoPattern),
            ("{{baseline}}", TemplateError::NoPattern),
            ("x{a=\"{{window}}\"}", TemplateError::Quoted),
        ] {
            assert_eq!(Template::parse(query), Err(why), "{query}");
        }
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        let template = Template::parse("x{pod=\"{{pod}}\"}").unwrap();
        for name in ["", "a\"} or vector(0) #", "a b", "A", &"a".repeat(254)] {
            assert!(template.fill(&look(name, &[]), Duration::from_secs(1)).is_err(), "{name}");
        }
        let template = Template::parse("x{pod=~\"{{baseline}}\"}").unwrap();
        let nobody = template.fill(&look("web", &[]), Duration::from_secs(1));
        assert_eq!(nobody, Err("there are no production pods to compare with".into()));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(query in r#"([a-z(){}\[\]"'`\\#\n =~!é]|\{\{|\}\}|\{\{canary\}\}|\{\{baseline\}\})*"#) {
            if let Ok(template) = Template::parse(&query) {
                let filled = template.fill(&look("web-c", &["web-a"]), Duration::from_secs(1)).unwrap();
                // What is in quotes stays in quotes: a filled query is one without variables, of the same shape.
                prop_assert!(Template::parse(&filled).is_ok(), "{query:?} became {filled:?}");
            }
        }
    }
}
