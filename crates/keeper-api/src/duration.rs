//! Durations as people write them in Go and Prometheus: `15m`, `90s`, `1h30m`, `1.5h`, `2d`.

use crate::invalid::{Invalid, quote};
use std::time::Duration;

/// The units and their milliseconds, from large to small.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const LEAST: u64 = 1_000;
const MOST: u64 = 7 * 86_400_000;
/// No duration that we take needs more characters.
const LENGTH: usize = 64;
const EXAMPLE: &str = "write 15m, 90s or 1h30m";

/// Reads a duration as annotations and flags write it: `15m`, `90s`, `1h30m`, `1.5h`, `2d`; from 1 s to 7 days.
///
/// # Errors
///
/// What is wrong with it, as the end of a sentence that begins with the text.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    match milliseconds(text)? {
        ..LEAST => Err("is shorter than 1s"),
        ms @ LEAST..=MOST => Ok(Duration::from_millis(ms)),
        _ => Err("is longer than 7d"),
    }
}

/// Reads the duration that stands at this place.
pub(crate) fn read(place: &str, text: &str) -> Result<Duration, Invalid> {
    let invalid = |problem| Invalid {
        field: place.to_owned(),
        problem: format!("{} {problem}", quote(text)),
        fix: EXAMPLE.to_owned(),
    };
    duration(text).map_err(invalid)
}

/// Reads a duration of whatever length, down to 0.
pub(crate) fn spans(text: &str) -> Result<Duration, &'static str> {
    if text.is_empty() { Err("is not a duration") } else { milliseconds(text).map(Duration::from_millis) }
}

fn milliseconds(text: &str) -> Result<u64, &'static str> {
    if text.len() > LENGTH {
        return Err("is too long for a duration");
    }
    if text.starts_with('-') {
        return Err("is negative");
    }
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| !is_number(c));
        let (unit, next) = split(after, is_number);
        if number.is_empty() || UNITS.iter().all(|(name, _)| !unit.is_empty() && *name != unit) {
            return Err("is not a duration");
        }
        if unit.is_empty() {
            return Err("has no unit");
        }
        // Going on in the list of units is what keeps `30m1h` and `1m30m`, which are rather typos, out.
        let (_, worth) = units.find(|(name, _)| *name == unit).ok_or("does not go from large units to small ones")?;
        total = total.saturating_add(scaled(number, *worth)?);
        rest = next;
    }
    Ok(total)
}

fn split(text: &str, at: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

fn is_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// `number` times `worth`; a number too large is as good as the largest.
fn scaled(number: &str, worth: u64) -> Result<u64, &'static str> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return Err("is not a duration");
    }
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    let millionths: u64 = format!("{fraction:0<6}").parse().unwrap_or(0);
    Ok(whole.saturating_mul(worth).saturating_add(millionths.saturating_mul(worth) / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<u64, &str>) {
        let read = read("k", text).map(|d| d.as_millis() as u64).map_err(|invalid| invalid.problem);
        assert_eq!(read, expected.map_err(str::to_owned), "{text:?}");
    }

    #[test]
    fn durations_as_people_write_them() {
        check("15m", Ok(900_000));
        check("90s", Ok(90_000));
        check("1h30m", Ok(5_400_000));
        check("1.5h", Ok(5_400_000));
        check("1s500ms", Ok(1_500));
        check("1000ms", Ok(1_000));
        check("7d", Ok(MOST));
        check("1w", Ok(MOST));
        check("0h1s", Ok(1_000));
    }

    #[test]
    fn what_is_wrong_is_said() {
        check("15", Err("\"15\" has no unit"));
        check("1h30", Err("\"1h30\" has no unit"));
        check("500ms", Err("\"500ms\" is shorter than 1s"));
        check("0", Err("\"0\" has no unit"));
        check("0s", Err("\"0s\" is shorter than 1s"));
        check("-5m", Err("\"-5m\" is negative"));
        check("169h", Err("\"169h\" is longer than 7d"));
        check("99999999999999999999999w", Err("\"99999999999999999999999w\" is longer than 7d"));
        check("30m1h", Err("\"30m1h\" does not go from large units to small ones"));
        check("1m30m", Err("\"1m30m\" does not go from large units to small ones"));
        for odd in ["m", "15 m", "15min", "fifteen", "1..5h", ".5h", "1.h", "5µs", "15M", "１５m", "+5m"] {
            check(odd, Err(&format!("{odd:?} is not a duration")));
        }
        let long = "1".repeat(65);
        check(&long, Err(&format!("{long:?} is too long for a duration")));
    }
}
