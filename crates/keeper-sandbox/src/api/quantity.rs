//! Amounts of cpu, memory and the like, such as `100m`, `1Gi` and `1e3`: which are some, and how the real server writes them.

use std::fmt;

use serde_json::{Value, json};

use super::resources::ResourceType;

/// What the real server says of a text that is none.
const SYNTAX: &str = "quantities must match the regular expression \
    '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Above this an amount is cut off, as in the real server where it counts in bytes.
const MOST: i128 = i64::MAX as i128 * NANOS;

const NANOS: i128 = 1_000_000_000;

/// Where pods and pod templates have quantities, from their spec.
const IN_POD_SPECS: &[&str] = &[
    "containers/*/resources/limits/*",
    "containers/*/resources/requests/*",
    "initContainers/*/resources/limits/*",
    "initContainers/*/resources/requests/*",
    "resources/limits/*",
    "resources/requests/*",
    "overhead/*",
    "volumes/*/emptyDir/sizeLimit",
    "volumes/*/ephemeral/volumeClaimTemplate/spec/resources/requests/*",
];

/// Where other kinds have them.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("nodes", &["status/capacity/*", "status/allocatable/*"]),
    ("persistentvolumeclaims", &["spec/resources/requests/*", "spec/resources/limits/*", "status/capacity/*"]),
    ("statefulsets", &["spec/volumeClaimTemplates/*/spec/resources/requests/*"]),
];

/// An amount, exact to the nano, and the units in which it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantity {
    pub(crate) nanos: i128,
    units: Units,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Units {
    /// `n` to `E`.
    Decimal,
    /// `Ki` to `Ei`.
    Binary,
    /// `e3`.
    Exponent,
}

/// Writes every quantity of an object as the real server does.
///
/// # Errors
/// One that is none, in the words of the real server.
pub(crate) fn canonical(resource: &ResourceType, object: &mut Value) -> Result<(), String> {
    let mut outcome = Ok(());
    let mut rewrite = |from: &mut Value, path: &str| {
        each(from, path, &mut |value| match Quantity::read(value) {
            // What stands in a list of amounts by name is counted in thousandths.
            Some(quantity) if path.ends_with('*') => *value = json!(quantity.up_to_milli().to_string()),
            Some(quantity) => *value = json!(quantity.to_string()),
            None => outcome = Err(SYNTAX.to_owned()),
        });
    };
    if resource.custom {
        return Ok(());
    }
    let spec = if resource.is("", "pods") { "/spec" } else { "/spec/template/spec" };
    if let Some(spec) = object.pointer_mut(spec) {
        IN_POD_SPECS.iter().for_each(|path| rewrite(spec, path));
    }
    for (_, paths) in ELSEWHERE.iter().filter(|(plural, _)| resource.plural == *plural) {
        paths.iter().for_each(|path| rewrite(object, path));
    }
    outcome
}

/// Every value at a path, in which `*` stands for each entry of a list or map.
fn each(value: &mut Value, path: &str, act: &mut dyn FnMut(&mut Value)) {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let mut go_on = |found: &mut Value| if rest.is_empty() { act(found) } else { each(found, rest, act) };
    match value {
        Value::Array(list) if first == "*" => list.iter_mut().for_each(go_on),
        Value::Object(map) if first == "*" => map.values_mut().for_each(go_on),
        Value::Object(map) => {
            if let Some(found) = map.get_mut(first) {
                go_on(found);
            }
        }
        _ => {}
    }
}

impl Quantity {
    /// A quantity as it stands in JSON, where it may be a number.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at_checked(end)?;
        let (units, base, exponent) = suffix_of(suffix)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let digits = whole.chars().chain(fraction.chars()).filter_map(|c| c.to_digit(10));
        let mantissa = digits.fold(0_i128, |n, digit| n.saturating_mul(10).saturating_add(digit.into()));
        let places = i32::try_from(fraction.len()).ok()?;
        let nanos = match base {
            2 => scaled(mantissa.saturating_mul(1 << exponent), 9 - places),
            _ => scaled(mantissa, exponent.saturating_add(9).saturating_sub(places)),
        };
        Some(Self { nanos: sign * nanos.min(MOST), units })
    }

    /// Up to the next thousandth, as amounts of containers are.
    pub(crate) fn up_to_milli(self) -> Self {
        let milli = NANOS / 1000;
        let up = i128::from(self.nanos % milli != 0) * self.nanos.signum();
        Self { nanos: (self.nanos / milli + up) * milli, ..self }
    }
}

/// Units, base and exponent that a suffix stands for.
fn suffix_of(suffix: &str) -> Option<(Units, u8, i32)> {
    const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let steps = |known: &[&str]| known.iter().position(|s| *s == suffix).and_then(|at| i32::try_from(at).ok());
    if let Some(at) = steps(&DECIMAL) {
        return Some((Units::Decimal, 10, 3 * at - 9));
    }
    if let Some(at) = steps(&BINARY) {
        return Some((Units::Binary, 2, 10 * (at + 1)));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((Units::Exponent, 10, exponent))
}

/// `mantissa * 10^exponent`, rounded up.
fn scaled(mantissa: i128, exponent: i32) -> i128 {
    let power = 10_i128.checked_pow(exponent.unsigned_abs()).unwrap_or(i128::MAX);
    match exponent {
        0.. => mantissa.saturating_mul(power),
        _ => mantissa / power + i128::from(mantissa % power != 0),
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.nanos % NANOS == 0;
        if self.units == Units::Binary && whole && self.nanos.abs() >= 1024 * NANOS {
            let (number, steps) = without(self.nanos / NANOS, 1024, 6);
            return write!(f, "{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(steps).unwrap_or(&""));
        }
        let (number, steps) = without(self.nanos, 1000, 9);
        match (self.units, steps) {
            (_, _) if number == 0 => f.write_str("0"),
            (Units::Exponent, 3) => write!(f, "{number}"),
            (Units::Exponent, _) => write!(f, "{number}e{}", 3 * i64::try_from(steps).unwrap_or(0) - 9),
            _ => {
                let suffix = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"].get(steps);
                write!(f, "{number}{}", suffix.unwrap_or(&""))
            }
        }
    }
}

/// The number without a factor, and how often (at most `most` times) it was in it.
fn without(mut number: i128, factor: i128, most: usize) -> (i128, usize) {
    let mut times = 0;
    while times < most && number != 0 && number % factor == 0 {
        number /= factor;
        times += 1;
    }
    (number, times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_like_the_real_server_does() {
        for (text, written) in [
            ("0", "0"),
            ("0.1", "100m"),
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("1000Mi", "1000Mi"),
            ("0.5", "500m"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("1E", "1E"),
            ("1500", "1500"),
            ("2000", "2k"),
            ("1.5Gi", "1536Mi"),
            ("0.1Gi", "107374182400m"),
            ("512Ki", "512Ki"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("-1", "-1"),
            ("0.1n", "1n"),
            (".5", "500m"),
        ] {
            assert_eq!(Quantity::parse(text).map(|q| q.to_string()).as_deref(), Some(written), "{text}");
        }
        for bad in ["", "nonsense", "1.2.3", ".", "1 Gi", "1ki", "1ee", "--1", "m"] {
            assert!(Quantity::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(Quantity::parse("1u").map(|q| q.up_to_milli().to_string()).as_deref(), Some("1m"));
    }

    #[test]
    fn what_is_too_large_is_cut_off() {
        for large in ["1e99", "99999999999999999999999999999999999999999999Ei"] {
            assert_eq!(Quantity::parse(large).map(|q| q.nanos), Some(MOST), "{large}");
        }
        assert!(Quantity::parse("1e-99").is_some());
    }
}
