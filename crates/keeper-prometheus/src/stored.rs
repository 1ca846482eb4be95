use crate::increments::restarted;
use crate::{Reading, Tally};
use jiff::Timestamp;

/// What an [`ErrorRate`](crate::ErrorRate) keeps over a restart of its program: sums, no series, so that it stays small
/// however many series there are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    /// The canary's uid.
    pub(crate) uid: String,
    /// When it was last read.
    pub(crate) at: Timestamp,
    /// Its process' start, where it says so.
    pub(crate) process_start: Option<f64>,
    /// What was counted so far.
    pub(crate) total: Tally,
    /// The sums of the counters' values at the last reading.
    pub(crate) last: Tally,
}

const VERSION: &str = "1";

impl Stored {
    /// Words separated by spaces; the numbers read back exactly.
    pub(crate) fn write(&self) -> String {
        let start = self.process_start.map_or_else(|| "-".to_owned(), |start| start.to_string());
        let Self { uid, at, total, last, .. } = self;
        format!("{VERSION} {uid} {at} {start} {} {} {} {}", total.requests, total.errors, last.requests, last.errors)
    }

    /// `None` for what [`write`](Self::write) didn't write.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next() != Some(VERSION) {
            return None;
        }
        let uid = words.next().filter(|uid| !uid.is_empty())?.to_owned();
        let at = words.next()?.parse().ok()?;
        let process_start = match words.next()? {
            "-" => None,
            start => Some(start.parse().ok().filter(|start: &f64| start.is_finite())?),
        };
        let total = tally(&mut words)?;
        let last = tally(&mut words)?;
        words.next().is_none().then_some(Self { uid, at, process_start, total, last })
    }

    /// What was counted from the last reading before the restart to the first one after it, whose counters sum up to
    /// `now`. Sums tell a reset less finely than series do: one that is hidden below the old sum is not seen.
    pub(crate) fn since(&self, reading: &Reading, now: Tally) -> Tally {
        let reset = restarted(self.process_start, reading.process_start)
            || now.requests < self.last.requests
            || now.errors < self.last.errors;
        if reset {
            return now;
        }
        Tally { requests: now.requests - self.last.requests, errors: now.errors - self.last.errors }
    }
}

fn tally<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Tally> {
    let mut count = || words.next()?.parse().ok().filter(|count: &f64| count.is_finite() && *count >= 0.0);
    Some(Tally { requests: count()?, errors: count()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        Stored {
            uid: "7f3c2a9e-0b1d-4a57-9c55-1f2e3d4c5b6a".into(),
            at: "2026-08-20T10:05:00.123456789Z".parse().unwrap(),
            process_start: Some(1_787_220_000.123),
            total: Tally { requests: 1234.0, errors: 0.1 + 0.2 },
            last: Tally { requests: 1000.0, errors: 0.0 },
        }
    }

    #[test]
    fn it_is_read_back_exactly_and_is_small() {
        let written = stored().write();
        assert!(written.len() < 256, "{written}");
        assert_eq!(Stored::read(&written), Some(stored()));
        let without = Stored { process_start: None, ..stored() };
        assert_eq!(Stored::read(&without.write()), Some(without));
    }

    #[test]
    fn what_cannot_be_read_is_ignored() {
        let good = stored().write();
        for bad in [
            "",
            "1",
            &good.replacen('1', "2", 1),
            &format!("{good} 1"),
            &good.replace("1234", "NaN"),
            &good.replace("1234", "-1"),
            &good.replace("2026", "then"),
        ] {
            assert_eq!(Stored::read(bad), None, "{bad}");
        }
    }
}
