use crate::{HealthSignal, Look, Looking, Verdict, Why};

/// A signal made of a closure: for tests, and for judges of one line.
///
/// ```
/// use keeper_signal::{Evidence, Verdict, from_fn};
/// let always = from_fn("always", |_| Verdict::Healthy(Evidence::new("by definition")));
/// ```
pub fn from_fn<F: FnMut(&Look) -> Verdict + Send>(name: impl Into<String>, look: F) -> FromFn<F> {
    FromFn { name: name.into(), look }
}

/// See [`from_fn`].
#[derive(Debug)]
pub struct FromFn<F> {
    name: String,
    look: F,
}

impl<F: FnMut(&Look) -> Verdict + Send> HealthSignal for FromFn<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a> {
        let verdict = (self.look)(look);
        Box::pin(std::future::ready(verdict))
    }
}

/// One signal out of several that all must be healthy; the worst verdict is its verdict. Of no signals at all it is
/// [`Unknown`](Verdict::Unknown). They are asked one after the other.
pub fn all_of(name: impl Into<String>, signals: Vec<Box<dyn HealthSignal>>) -> AllOf {
    AllOf { name: name.into(), signals }
}

/// See [`all_of`].
pub struct AllOf {
    name: String,
    signals: Vec<Box<dyn HealthSignal>>,
}

impl HealthSignal for AllOf {
    fn name(&self) -> &str {
        &self.name
    }

    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a> {
        Box::pin(async move {
            let mut verdicts = Vec::with_capacity(self.signals.len());
            for signal in &mut self.signals {
                verdicts.push(signal.look(look).await);
            }
            let nothing = || Verdict::Unknown(Why::NotMeasured("no signals".into()));
            Verdict::worst(&verdicts).cloned().unwrap_or_else(nothing)
        })
    }
}
