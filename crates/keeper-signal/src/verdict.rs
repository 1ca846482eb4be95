use std::fmt;

/// What a signal says of a canary. Never a bool: not knowing is an answer of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Seen, and as it should be.
    Healthy(Evidence),
    /// Seen, and bad: the canary is to go.
    Unhealthy(Evidence),
    /// Cannot tell. Never promotes and never ends a canary.
    Unknown(Why),
}

/// What a verdict rests on: a sentence for people and the figures in it for machines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// One line, without a full stop: `12 of 1000 requests failed (1.20 %), allowed below 1 %`.
    pub text: String,
    /// The figures that the line was made of.
    pub figures: Vec<Figure>,
}

/// A named number of an [`Evidence`].
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What is counted, in the signal's own words: `requests`, `errors`.
    pub name: &'static str,
    /// Its value, in the unit that the name says.
    pub value: f64,
}

/// Why a signal cannot tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// Nothing could be read: no sample yet, an error, a time-out, NaN, an answer of another shape. The incubation's
    /// clock stands still meanwhile.
    NotMeasured(String),
    /// Read, but too little to judge by: the clock runs, and promotion waits.
    NotEnough(Evidence),
}

impl Verdict {
    /// Whether something was read at this look, however it is judged.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        !matches!(self, Self::Unknown(Why::NotMeasured(_)))
    }

    /// Whether this is proof for promotion.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy(_))
    }

    /// The verdict of several that all must be healthy: the worst one wins, Unhealthy over Unknown over Healthy; among
    /// equals the first. Of none at all: `None`, since nothing proves nothing.
    #[must_use]
    pub fn worst<'a>(verdicts: impl IntoIterator<Item = &'a Self>) -> Option<&'a Self> {
        verdicts.into_iter().reduce(|worst, next| if next.rank() > worst.rank() { next } else { worst })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Healthy(_) => 0,
            Self::Unknown(Why::NotEnough(_)) => 1,
            Self::Unknown(Why::NotMeasured(_)) => 2,
            Self::Unhealthy(_) => 3,
        }
    }
}

impl Evidence {
    /// Evidence that is a sentence alone.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), figures: Vec::new() }
    }

    /// Adds a figure.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        self.figures.push(Figure { name, value });
        self
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMeasured(why) => write!(f, "not measured: {why}"),
            Self::NotEnough(evidence) => write!(f, "not enough: {evidence}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy(evidence) => write!(f, "healthy: {evidence}"),
            Self::Unhealthy(evidence) => write!(f, "unhealthy: {evidence}"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_verdict_wins() {
        let healthy = Verdict::Healthy(Evidence::new("fine"));
        let little = Verdict::Unknown(Why::NotEnough(Evidence::new("3 of 100 requests")));
        let blind = Verdict::Unknown(Why::NotMeasured("no answer".into()));
        let bad = Verdict::Unhealthy(Evidence::new("all broken"));
        assert_eq!(Verdict::worst([&healthy, &little]), Some(&little));
        assert_eq!(Verdict::worst([&blind, &little]), Some(&blind));
        assert_eq!(Verdict::worst([&bad, &blind, &healthy]), Some(&bad));
        assert_eq!(Verdict::worst([]), None);
    }

    #[test]
    fn what_was_not_measured_is_not_measured() {
        assert!(!Verdict::Unknown(Why::NotMeasured("x".into())).is_measured());
        assert!(Verdict::Unknown(Why::NotEnough(Evidence::new("x"))).is_measured());
        assert!(!Verdict::Unknown(Why::NotEnough(Evidence::new("x"))).is_healthy());
    }
}
