//! The text format in which programs expose their metrics, Prometheus' own and OpenMetrics, read with bounds.

use std::collections::{BTreeMap, BTreeSet};

/// The most bytes of one exposition: 1 MiB.
pub const BYTES_LIMIT: usize = 1 << 20;
/// The most samples of one exposition, wanted or not.
pub const SAMPLES_LIMIT: usize = 50_000;
/// The most labels of one sample.
pub const LABELS_LIMIT: usize = 64;

/// A series: a metric's name and its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The metric's name, with its suffix.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

/// One sample line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What it is of.
    pub series: Series,
    /// Its value as it stands there, which may be NaN or infinite.
    pub value: f64,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    /// The wanted samples, in their order. Timestamps and exemplars are left out.
    pub samples: Vec<Sample>,
    /// The families that have a `TYPE` or `HELP` line and are wanted, with or without samples.
    pub families: BTreeSet<String>,
}

/// Why a text is no exposition. The texts quote nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpositionError {
    /// More bytes than [`BYTES_LIMIT`].
    #[error("larger than {BYTES_LIMIT} bytes")]
    TooLarge,
    /// More samples than [`SAMPLES_LIMIT`].
    #[error("more than {SAMPLES_LIMIT} samples")]
    TooMany,
    /// A line that can't be read.
    #[error("not Prometheus' text format: line {line}: {problem}")]
    Line {
        /// Which one, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Reads an exposition, of which only what is wanted (by the name of the sample, or of the family) is kept.
///
/// ```
/// # use keeper_prometheus::exposition::parse;
/// let text = b"# TYPE hits_total counter\nhits_total{code=\"200\"} 3 1700000000000\nup 1\n";
/// let read = parse(text, |name| name == "hits_total")?;
/// assert_eq!((read.samples.len(), read.samples[0].value), (1, 3.0));
/// # Ok::<(), keeper_prometheus::exposition::ExpositionError>(())
/// ```
///
/// # Errors
///
/// On the first line that can't be read: half an exposition would look like counters that vanished.
pub fn parse(text: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Exposition, ExpositionError> {
    if text.len() > BYTES_LIMIT {
        return Err(ExpositionError::TooLarge);
    }
    let mut exposition = Exposition::default();
    let mut count = 0;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let at = |problem| ExpositionError::Line { line: index + 1, problem };
        let line = str::from_utf8(line).map_err(|_| at("not UTF-8"))?.trim();
        if let Some(comment) = line.strip_prefix('#') {
            if comment.trim() == "EOF" {
                break;
            }
            exposition.families.extend(family(comment).filter(|name| wanted(name)).map(str::to_owned));
        } else if !line.is_empty() {
            count += 1;
            if count > SAMPLES_LIMIT {
                return Err(ExpositionError::TooMany);
            }
            let sample = sample(line).map_err(at)?;
            if wanted(&sample.series.name) {
                exposition.samples.push(sample);
            }
        }
    }
    Ok(exposition)
}

/// The family that a comment describes.
fn family(comment: &str) -> Option<&str> {
    let mut words = comment.split_ascii_whitespace();
    let keyword = words.next()?;
    words.next().filter(|_| matches!(keyword, "TYPE" | "HELP"))
}

fn sample(line: &str) -> Result<Sample, &'static str> {
    let (name, rest) = split_name(line, |c| is_name(c) || c == ':').ok_or("expected the name of a metric")?;
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    // What follows a second `#` is an exemplar, of no interest here.
    let numbers = rest.split_once(" #").map_or(rest, |(numbers, _)| numbers);
    let mut numbers = numbers.split_ascii_whitespace();
    let value = numbers.next().and_then(|value| value.parse().ok()).ok_or("expected a number as value")?;
    let time = numbers.next();
    if time.is_some_and(|time| time.parse::<f64>().is_err()) || numbers.next().is_some() {
        return Err("expected nothing but a timestamp after the value");
    }
    Ok(Sample { series: Series { name: name.to_owned(), labels }, value })
}

/// The labels after the opening brace, and what follows the closing one.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), &'static str> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = split_name(rest, is_name).ok_or("expected the name of a label or `}`")?;
        let after = after.trim_start().strip_prefix('=').ok_or("expected `=` after the name of a label")?;
        let after = after.trim_start().strip_prefix('"').ok_or("expected a quoted value of a label")?;
        let (value, after) = quoted(after).ok_or("the value of a label has no end")?;
        if labels.len() == LABELS_LIMIT {
            return Err("more than 64 labels");
        }
        if labels.insert(name.to_owned(), value).is_some() {
            return Err("a label stands there twice");
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more,
            None if after.starts_with('}') => after,
            None => return Err("expected `,` or `}` after a label"),
        };
    }
}

/// The rest of a quoted value and what follows it; `\\`, `\"` and `\n` are escapes, another backslash stays.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                c @ ('"' | '\\') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
}

fn split_name(text: &str, is_part: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(name, _)| name.starts_with(|c: char| !c.is_ascii_digit()))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(line: &str) -> Sample {
        let read = parse(line.as_bytes(), |_| true).unwrap();
        assert_eq!(read.samples.len(), 1, "{line}");
        read.samples[0].clone()
    }

    fn problem(text: &str) -> (usize, &'static str) {
        match parse(text.as_bytes(), |_| false) {
            Err(ExpositionError::Line { line, problem }) => (line, problem),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn the_forms_of_a_sample() {
        for line in [
            r#"hits{code="200",path="/"} 3"#,
            r#"hits {code="200" , path="/",} 3"#,
            r#"hits{ code = "200", path = "/" }3"#,
            "hits{code=\"200\",path=\"/\"}\t3.0  1700000000000\r",
            r#"hits{code="200",path="/"} 3 1700000000.123 # {trace="a b"} 0.5 1700000000"#,
            r#"hits{code="200",path="/"} 3e0 # {} 1"#,
        ] {
            let sample = only(line);
            assert_eq!((sample.series.name.as_str(), sample.value), ("hits", 3.0), "{line}");
            let labels: Vec<_> = sample.series.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(labels, [("code", "200"), ("path", "/")], "{line}");
        }
        assert_eq!(only("a:b_total 1").series.name, "a:b_total");
        assert_eq!(only("up{} 1").series.labels.len(), 0);
        assert_eq!(only(r#"a{b="} # \"\\\n\d"} 1"#).series.labels["b"], "} # \"\\\n\\d");
    }

    #[test]
    fn values_that_are_no_numbers_are_read_as_such() {
        assert!(only("a NaN").value.is_nan());
        assert_eq!(only("a +Inf").value, f64::INFINITY);
        assert_eq!(only("a -Inf").value, f64::NEG_INFINITY);
        assert_eq!(only("a -1.5e3").value, -1500.0);
    }

    #[test]
    fn garbage_is_told_by_line() {
        assert_eq!(problem("<html>"), (1, "expected the name of a metric"));
        assert_eq!(problem("up 1\n\n{\"json\": true}"), (3, "expected the name of a metric"));
        assert_eq!(problem("up"), (1, "expected a number as value"));
        assert_eq!(problem("# a comment\nup one"), (2, "expected a number as value"));
        assert_eq!(problem("up 1 soon"), (1, "expected nothing but a timestamp after the value"));
        assert_eq!(problem("up 1 2 3"), (1, "expected nothing but a timestamp after the value"));
        assert_eq!(problem("up{a=1} 1"), (1, "expected a quoted value of a label"));
        assert_eq!(problem("up{a} 1"), (1, "expected `=` after the name of a label"));
        assert_eq!(problem("up{a=\"1} 1"), (1, "the value of a label has no end"));
        assert_eq!(problem("up{a=\"1\" b=\"2\"} 1"), (1, "expected `,` or `}` after a label"));
        assert_eq!(problem("up{a=\"1\",a=\"2\"} 1"), (1, "a label stands there twice"));
        assert_eq!(problem("1up 1"), (1, "expected the name of a metric"));
        assert_eq!(parse(b"up 1\n\xff\xfe 2", |_| true), Err(ExpositionError::Line { line: 2, problem: "not UTF-8" }));
    }

    #[test]
    fn everything_is_bounded() {
        assert_eq!(parse(&vec![b' '; BYTES_LIMIT + 1], |_| true), Err(ExpositionError::TooLarge));
        assert_eq!(parse("a 1\n".repeat(SAMPLES_LIMIT + 1).as_bytes(), |_| false), Err(ExpositionError::TooMany));
        let labels: Vec<String> = (0..=LABELS_LIMIT).map(|n| format!("l{n}=\"x\"")).collect();
        assert_eq!(problem(&format!("a{{{}}} 1", labels.join(","))), (1, "more than 64 labels"));
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        let text =
            b"# HELP hits_total Hits.\n# TYPE hits_total counter\n# TYPE misses counter\nmisses 1\n# EOF\nnonsense";
        let read = parse(text, |name| name == "hits_total").unwrap();
        assert_eq!(read.samples, []);
        assert_eq!(read.families, BTreeSet::from(["hits_total".to_owned()]));
    }
}
