//! The fields of one check, read one by one.

use crate::duration::spans;
use crate::invalid::{Invalid, quote};
use crate::yaml;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A field that a check may have: what `kubectl explain` says of it, and its form.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    /// What it means, with unit and default.
    pub(crate) doc: &'static str,
}

/// The form of a field, as far as a schema can say it; the reader says the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// A text of at most so many characters.
    Text(usize),
    /// A text of at most so many characters that fits a regular expression.
    Pattern(usize, &'static str),
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A text such as `90s`.
    Span,
    /// `true` or `false`.
    Flag,
    /// A whole number in a range.
    Whole(u64, u64),
    /// Percent above 0 and at most 100.
    Percent,
    /// Any number.
    Number,
    /// A text, or a list of texts.
    Texts,
    /// A Job's template.
    Job,
    /// Texts by name.
    Map,
}

/// The regular expression of [`is_word`](super::is_word).
pub(crate) const WORD: &str = "^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$";

/// The regular expression of a metric's name.
pub(crate) const METRIC: &str = "^[A-Za-z_:][A-Za-z0-9_:]*$";

/// Shorthand for tables.
pub(crate) const fn field(name: &'static str, form: Form, doc: &'static str) -> Field {
    Field { name, form, doc }
}

/// The fields of one check, with where they stand. A field that is empty counts as left out.
pub(crate) struct Fields<'a> {
    place: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(place: &str, item: &'a Value) -> Result<Self, Invalid> {
        let invalid = || Invalid {
            field: place.to_owned(),
            problem: format!("is {} and not a mapping", yaml::kind_of(item)),
            fix: "write kind: and the fields of that kind".into(),
        };
        Ok(Self { place: place.to_owned(), map: item.as_object().ok_or_else(invalid)? })
    }

    /// Refuses what stands in none of the tables.
    pub(crate) fn refuse_unknown(&self, known: &[&[Field]]) -> Result<(), Invalid> {
        let names = || known.iter().copied().flatten().map(|field| field.name);
        match self.map.keys().find(|name| !names().any(|known| known == name.as_str())) {
            None => Ok(()),
            Some(unknown) => {
                let fix = format!("write one of {}", names().collect::<Vec<_>>().join(", "));
                Err(self.whole_invalid(format!("the field {} is not known here", quote(unknown)), fix))
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn invalid(&self, name: &str, problem: impl Into<String>, fix: impl Into<String>) -> Invalid {
        Invalid { field: format!("{}.{name}", self.place), problem: problem.into(), fix: fix.into() }
    }

    /// The check as a whole is wrong.
    pub(crate) fn whole_invalid(&self, problem: impl Into<String>, fix: impl Into<String>) -> Invalid {
        Invalid { field: self.place.clone(), problem: problem.into(), fix: fix.into() }
    }

    pub(crate) fn missing(&self, name: &str, example: &str) -> Invalid {
        self.invalid(name, "is missing", format!("write it like {name}: {example}"))
    }

    /// Refuses fields that mean nothing beside what is written elsewhere.
    pub(crate) fn refuse_beside(&self, names: &[&str], why: &str) -> Result<(), Invalid> {
        match names.iter().find(|name| self.get(name).is_some()) {
            None => Ok(()),
            Some(name) => Err(self.invalid(name, why, "remove one of the two")),
        }
    }

    pub(crate) fn percent(&self, name: &str) -> Result<Option<f64>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let fix = format!("write percent above 0 and up to 100, like {name}: 1.5");
        match value.as_f64() {
            Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(Some(percent)),
            Some(percent) => Err(self.invalid(name, format!("{percent:e} is out of range"), fix)),
            None => Err(self.invalid(name, format!("is {} and not a number", yaml::kind_of(value)), fix)),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let fix = format!("write it like {name}: 0.5");
        match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.invalid(name, format!("is {} and not a number", yaml::kind_of(value)), fix)),
        }
    }

    /// `min` and `max`, in this order, neither of them required.
    pub(crate) fn range(&self) -> Result<(Option<f64>, Option<f64>), Invalid> {
        let (min, max) = (self.number("min")?, self.number("max")?);
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            let problem = format!("{max} is less than min, {min}: nothing would ever be healthy");
            return Err(self.invalid("max", problem, "exchange the two"));
        }
        Ok((min, max))
    }

    pub(crate) fn whole(&self, name: &str, range: RangeInclusive<u64>, example: &str) -> Result<Option<u64>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_u64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let problem = format!("is not a whole number from {} to {}", range.start(), range.end());
                Err(self.invalid(name, problem, format!("write it like {name}: {example}")))
            }
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let invalid = || self.invalid(name, format!("is {}", yaml::kind_of(value)), "write true or false");
        value.as_bool().map(Some).ok_or_else(invalid)
    }

    pub(crate) fn span(
        &self,
        name: &str,
        range: RangeInclusive<Duration>,
        example: &str,
    ) -> Result<Option<Duration>, Invalid> {
        let fix = format!("write it like {name}: {example}");
        let Some(value) = self.get(name) else { return Ok(None) };
        let Some(text) = value.as_str() else {
            return Err(self.invalid(name, format!("is {} and not a text", yaml::kind_of(value)), fix));
        };
        let span = spans(text).map_err(|problem| self.invalid(name, format!("{} {problem}", quote(text)), &fix))?;
        if range.contains(&span) {
            return Ok(Some(span));
        }
        let problem = format!("{} is not within {:?} to {:?}", quote(text), range.start(), range.end());
        Err(self.invalid(name, problem, fix))
    }

    pub(crate) fn text(
        &self,
        name: &str,
        longest: usize,
        example: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let fix = format!("write it like {name}: {example}");
        match value.as_str() {
            Some(text) if text.len() > longest => {
                let problem = format!("is {} bytes long, at most {longest} are taken", text.len());
                Err(self.invalid(name, problem, "shorten it"))
            }
            Some(text) if fits(text) => Ok(Some(text.to_owned())),
            Some(text) => Err(self.invalid(name, format!("{} is not valid", quote(text)), fix)),
            None => Err(self.invalid(name, format!("is {} and not a text", yaml::kind_of(value)), fix)),
        }
    }

    /// A text or a list of texts, as one.
    pub(crate) fn lines(&self, name: &str, longest: usize, example: &str) -> Result<Option<String>, Invalid> {
        let Some(Value::Array(items)) = self.get(name) else {
            return self.text(name, longest, example, |_| true);
        };
        let texts = items.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
        let fix = format!("write it like {name}: {example}");
        let text = texts.map(|texts| texts.join("\n"));
        let text = text.ok_or_else(|| self.invalid(name, "holds something else than texts", fix))?;
        if text.len() > longest {
            let problem = format!("is {} bytes long, at most {longest} are taken", text.len());
            return Err(self.invalid(name, problem, "shorten it"));
        }
        Ok(Some(text))
    }

    /// The provider's name.
    pub(crate) fn provider(&self) -> Result<Option<String>, Invalid> {
        self.text("provider", super::NAME_LENGTH, "prometheus", super::is_word)
    }
}

/// The words that may stand in braces in a query, a path or a body.
pub(crate) const NAMES: [&str; 4] = ["canary", "pod", "namespace", "workload"];

/// The first word in double braces that is not known, if there is one. PromQL has no use for two braces in a row.
pub(crate) fn unknown_braces<'a>(text: &'a str, known: &[&str]) -> Option<&'a str> {
    text.split("{{").skip(1).find_map(|rest| match rest.split_once("}}") {
        Some((name, _)) if known.contains(&name.trim()) => None,
        Some((name, _)) => Some(name),
        None => Some(rest),
    })
}

/// The name of a Prometheus metric, or of one of its labels, which has no colons.
pub(crate) fn is_name(text: &str, colons: bool) -> bool {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (colons && b == b':');
    text.bytes().next().is_some_and(letter) && text.bytes().all(|b| letter(b) || b.is_ascii_digit())
}
