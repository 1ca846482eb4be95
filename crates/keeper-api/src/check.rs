//! The checks that judge a canary beside the alerts, as written in YAML.

use crate::invalid::{Invalid, list, quote};
use crate::{keys, yaml};
use serde_json::{Map, Value};

/// The most checks of one workload.
const MOST: usize = 8;
/// The longest text of a field, in bytes.
const LENGTH: usize = 256;

/// One way to judge a canary beside the alerts.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// `kind: httpErrorRate`.
    HttpErrorRate(HttpErrorRate),
}

impl Check {
    /// The `kind` as written in YAML.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::HttpErrorRate(_) => HttpErrorRate::KIND,
        }
    }
}

/// The share of requests that fail, counted by the canary itself and read from its own `/metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpErrorRate {
    /// `threshold`: a share at or over this many percent is Unhealthy. Above 0, at most 100. Default 1.
    pub threshold: f64,
    /// `minRequestCount`: below so many requests nothing is known. At least 1. Default 100.
    pub min_request_count: u64,
    /// `port`: where the pod serves its metrics. Required.
    pub port: u16,
    /// `path`: where on that port; begins with a slash. Default `/metrics`.
    pub path: String,
    /// `metric`: the counter of requests. Default `http_requests_total`.
    pub metric: String,
    /// `codeLabel`: the counter's label that holds the status code. Default: `code` or `status`, whichever is there.
    pub code_label: Option<String>,
    /// `errorCodes`: which codes are errors, as patterns of three digits or dots with `|` between them. A regular
    /// expression of this form is safe to use as it is, anchored. Default `5..`.
    pub error_codes: String,
}

impl HttpErrorRate {
    const KIND: &str = "httpErrorRate";
    const FIELDS: [&str; 8] =
        ["kind", "threshold", "minRequestCount", "port", "path", "metric", "codeLabel", "errorCodes"];

    fn read(fields: &Fields<'_>) -> Result<Self, Invalid> {
        fields.refuse_unknown(&Self::FIELDS)?;
        Ok(Self {
            threshold: fields.percent("threshold")?.unwrap_or(1.0),
            min_request_count: fields.whole("minRequestCount", 1..=1_000_000_000, "100")?.unwrap_or(100),
            port: fields.port("port")?,
            path: fields.text("path", "/metrics", is_path)?.unwrap_or_else(|| "/metrics".into()),
            metric: fields
                .text("metric", "http_requests_total", |text| is_name(text, true))?
                .unwrap_or_else(|| "http_requests_total".into()),
            code_label: fields.text("codeLabel", "code", |text| is_name(text, false))?,
            error_codes: fields.text("errorCodes", "5.. or 5..|429", are_codes)?.unwrap_or_else(|| "5..".into()),
        })
    }
}

/// Reads the YAML list of checks.
pub(crate) fn read(text: &str) -> Result<Vec<Check>, Invalid> {
    let fix = format!("write a list whose items begin with - kind: {}", HttpErrorRate::KIND);
    let invalid = |problem: String| Invalid::annotation(keys::CHECKS, problem, fix.clone());
    let items = match yaml::read(text).map_err(invalid)? {
        Value::Null => vec![],
        Value::Array(items) => items,
        other => return Err(invalid(format!("is {} and not a list", yaml::kind_of(&other)))),
    };
    if items.len() > MOST {
        return Err(invalid(format!("has {} checks, at most {MOST} are taken", items.len())));
    }
    items.iter().enumerate().map(|(at, item)| read_one(at, item)).collect()
}

fn read_one(at: usize, item: &Value) -> Result<Check, Invalid> {
    let place = format!("{}[{at}]", keys::CHECKS);
    let fix = format!("write kind: {}", HttpErrorRate::KIND);
    let Some(map) = item.as_object() else {
        return Err(Invalid::annotation(&place, format!("is {} and not a mapping", yaml::kind_of(item)), fix));
    };
    match map.get("kind").map(|kind| (kind, kind.as_str())) {
        Some((_, Some(HttpErrorRate::KIND))) => HttpErrorRate::read(&Fields { place, map }).map(Check::HttpErrorRate),
        Some((_, Some(other))) => {
            Err(Invalid::annotation(&format!("{place}.kind"), format!("{} is not known", quote(other)), fix))
        }
        Some((other, None)) => {
            Err(Invalid::annotation(&format!("{place}.kind"), format!("is {}", yaml::kind_of(other)), fix))
        }
        None => Err(Invalid::annotation(&place, "has no kind", fix)),
    }
}

/// The fields of one check, with where they stand. A field that is empty counts as left out.
struct Fields<'a> {
    place: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn refuse_unknown(&self, known: &[&str]) -> Result<(), Invalid> {
        match self.map.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(unknown) => {
                let fix = format!("write one of {}", list(known.iter().copied()));
                Err(Invalid::annotation(&self.place, format!("the field {} is not known", quote(unknown)), fix))
            }
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn invalid(&self, name: &str, problem: impl Into<String>, fix: impl Into<String>) -> Invalid {
        Invalid::annotation(&format!("{}.{name}", self.place), problem, fix)
    }

    fn percent(&self, name: &str) -> Result<Option<f64>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let fix = format!("write percent above 0 and up to 100, like {name}: 1.5");
        match value.as_f64() {
            Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(Some(percent)),
            Some(percent) => Err(self.invalid(name, format!("{percent:e} is out of range"), fix)),
            None => Err(self.invalid(name, format!("is {} and not a number", yaml::kind_of(value)), fix)),
        }
    }

    fn whole(&self, name: &str, range: std::ops::RangeInclusive<u64>, example: &str) -> Result<Option<u64>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_u64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let problem = format!("is not a whole number from {} to {}", range.start(), range.end());
                Err(self.invalid(name, problem, format!("write it like {name}: {example}")))
            }
        }
    }

    fn port(&self, name: &str) -> Result<u16, Invalid> {
        let missing = || self.invalid(name, "is missing", format!("write where metrics are served, like {name}: 8080"));
        let port = self.whole(name, 1..=u64::from(u16::MAX), "8080")?;
        port.and_then(|port| u16::try_from(port).ok()).ok_or_else(missing)
    }

    fn text(&self, name: &str, example: &str, fits: impl Fn(&str) -> bool) -> Result<Option<String>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let fix = format!("write it like {name}: {example}");
        match value.as_str() {
            Some(text) if text.len() <= LENGTH && fits(text) => Ok(Some(text.to_owned())),
            Some(text) => Err(self.invalid(name, format!("{} is not valid", quote(text)), fix)),
            None => Err(self.invalid(name, format!("is {} and not a text", yaml::kind_of(value)), fix)),
        }
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

/// The name of a Prometheus metric, or of one of its labels, which has no colons.
fn is_name(text: &str, colons: bool) -> bool {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (colons && b == b':');
    text.bytes().next().is_some_and(letter) && text.bytes().all(|b| letter(b) || b.is_ascii_digit())
}

fn are_codes(text: &str) -> bool {
    text.split('|').all(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_defaults() -> HttpErrorRate {
        HttpErrorRate {
            threshold: 1.0,
            min_request_count: 100,
            port: 8080,
            path: "/metrics".into(),
            metric: "http_requests_total".into(),
            code_label: None,
            error_codes: "5..".into(),
        }
    }

    fn check_ok(yaml: &str, expected: HttpErrorRate) {
        assert_eq!(read(yaml).map_err(|e| e.to_string()), Ok(vec![Check::HttpErrorRate(expected)]), "{yaml}");
    }

    fn check_err(yaml: &str, field: &str, problem: &str) {
        let invalid = read(yaml).unwrap_err();
        let expected = (format!("annotation canary-keeper.dev/checks{field}"), problem);
        assert_eq!((invalid.field, invalid.problem.as_str()), expected, "{yaml}");
        assert!(!invalid.fix.is_empty());
    }

    #[test]
    fn a_check_of_few_words() {
        check_ok("- kind: httpErrorRate\n  port: 8080", all_defaults());
        check_ok(r#"[{"kind": "httpErrorRate", "port": 8080, "threshold": null}]"#, all_defaults());
        assert_eq!(read("[]"), Ok(vec![]));
        assert_eq!(read("# none yet"), Ok(vec![]));
    }

    #[test]
    fn a_check_of_many_words() {
        let yaml = "
            - kind: httpErrorRate
              threshold: 0.5
              minRequestCount: 20
              port: 9090
              path: /internal/metrics?format=text
              metric: app:requests_total
              codeLabel: status_code
              errorCodes: 5..|429
        ";
        let expected = HttpErrorRate {
            threshold: 0.5,
            min_request_count: 20,
            port: 9090,
            path: "/internal/metrics?format=text".into(),
            metric: "app:requests_total".into(),
            code_label: Some("status_code".into()),
            error_codes: "5..|429".into(),
        };
        check_ok(yaml, expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let check = |rest: &str| format!("- {{kind: httpErrorRate, port: 1, {rest}}}");
        check_err("kind: httpErrorRate", "", "is a mapping and not a list");
        check_err("- httpErrorRate", "[0]", "is a text and not a mapping");
        check_err("- port: 1", "[0]", "has no kind");
        check_err("- kind: latency", "[0].kind", "\"latency\" is not known");
        check_err("- kind: [a]", "[0].kind", "is a list");
        check_err("- kind: httpErrorRate", "[0].port", "is missing");
        check_err("- {kind: httpErrorRate, port: 0}", "[0].port", "is not a whole number from 1 to 65535");
        check_err("- {kind: httpErrorRate, port: 70000}", "[0].port", "is not a whole number from 1 to 65535");
        check_err(&check("treshold: 1"), "[0]", "the field \"treshold\" is not known");
        check_err(&check("threshold: 0"), "[0].threshold", "0e0 is out of range");
        check_err(&check("threshold: -1"), "[0].threshold", "-1e0 is out of range");
        check_err(&check("threshold: 100.1"), "[0].threshold", "1.001e2 is out of range");
        check_err(&check("threshold: 1%"), "[0].threshold", "is a text and not a number");
        check_err(&check("minRequestCount: 0"), "[0].minRequestCount", "is not a whole number from 1 to 1000000000");
        check_err(&check("minRequestCount: 1.5"), "[0].minRequestCount", "is not a whole number from 1 to 1000000000");
        check_err(&check("path: metrics"), "[0].path", "\"metrics\" is not valid");
        check_err(&check("path: '/a b'"), "[0].path", "\"/a b\" is not valid");
        check_err(&check("metric: 'up{}'"), "[0].metric", "\"up{}\" is not valid");
        check_err(&check("codeLabel: 'a:b'"), "[0].codeLabel", "\"a:b\" is not valid");
        check_err(&check("errorCodes: '.*'"), "[0].errorCodes", "\".*\" is not valid");
        check_err(&check("errorCodes: 500"), "[0].errorCodes", "is a number and not a text");
        check_err(&"- {kind: httpErrorRate, port: 1}\n".repeat(9), "", "has 9 checks, at most 8 are taken");
    }

    #[test]
    fn an_unknown_field_is_told_with_the_known_ones() {
        let invalid = read("- {kind: httpErrorRate, port: 1, window: 5m}").unwrap_err();
        assert_eq!(
            invalid.fix,
            "write one of kind, threshold, minRequestCount, port, path, metric, codeLabel, errorCodes"
        );
    }
}
