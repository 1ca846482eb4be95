//! What it means to judge a canary.
//!
//! This crate holds the words that every judge and every rollout share: a [`HealthSignal`] is asked again and again
//! while a canary runs, and each time answers a [`Verdict`] with its evidence. It decides nothing by itself, does no IO,
//! reads no clock, and depends on nothing but `std` and `jiff`, so that implementing a signal costs a stranger one small
//! dependency.
//!
//! # The contract of a signal
//!
//! - One instance judges one rollout of one canary. It may keep state between looks (`&mut self`); the state can be
//!   [stored](HealthSignal::store) and [restored](HealthSignal::restore).
//! - It is asked every look interval (5 s by default), never twice at once. A look that takes longer than its caller is
//!   willing to wait is dropped (the future is cancelled) and counts as [`Unknown`](Verdict::Unknown); a signal must
//!   bear that.
//! - Errors, missing data, NaN, an empty answer: all of that is `Unknown`. A signal says
//!   [`Healthy`](Verdict::Healthy) only of what it has seen.
//! - `Unknown` never promotes and never ends a canary by itself; [`Unhealthy`](Verdict::Unhealthy) ends it at once.
//!
//! How often a signal is asked, how many failures are borne and whether it counts at all is no business of the signal: any
//! signal can be put under a [`Policy`].
//!
//! # The smallest honest signal
//!
//! ```
//! use keeper_signal::{Evidence, HealthSignal, Look, Looking, Verdict, Why};
//!
//! /// Judges by a number that somebody else keeps.
//! struct Temperature(Option<f64>);
//!
//! impl HealthSignal for Temperature {
//!     fn name(&self) -> &str {
//!         "temperature"
//!     }
//!
//!     fn look<'a>(&'a mut self, _look: &'a Look) -> Looking<'a> {
//!         Box::pin(async move {
//!             match self.0 {
//!                 Some(t) if t < 90.0 => Verdict::Healthy(Evidence::new(format!("{t} degrees"))),
//!                 Some(t) => Verdict::Unhealthy(Evidence::new(format!("{t} degrees, 90 allowed"))),
//!                 None => Verdict::Unknown(Why::NotMeasured("no thermometer".into())),
//!             }
//!         })
//!     }
//! }
//! # let _: Box<dyn HealthSignal> = Box::new(Temperature(None));
//! ```

mod combine;
mod look;
mod policy;
mod verdict;

pub use combine::{AllOf, FromFn, all_of, from_fn};
pub use look::{Look, Pod, Window};
pub use policy::{Policy, UnderPolicy};
pub use verdict::{Evidence, Figure, Verdict, Why};

use std::pin::Pin;

/// The answer of a look, still on its way.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// Something that can judge a canary: alerts, an error rate, a query, a thermometer.
///
/// Two methods are needed: a [`name`](Self::name) and one [`look`](Self::look). See the crate's page for the contract.
pub trait HealthSignal: Send {
    /// A short name, unique among the signals of one rollout: it stands in events, metrics and the status.
    fn name(&self) -> &str;

    /// Looks once and answers what is known now. Must not panic on whatever the outside world says.
    fn look<'a>(&'a mut self, look: &'a Look) -> Looking<'a>;

    /// Whether its verdicts are only to be shown: such a signal is asked like any other, and neither promotes nor ends a
    /// canary, nor holds its clock. The default is no.
    fn observes_only(&self) -> bool {
        false
    }

    /// What the signal needs to go on after a restart of its program, or `None` (the default) when it can start afresh.
    /// Keep it below a kilobyte: it travels in the rollout's record.
    fn store(&self) -> Option<String> {
        None
    }

    /// Takes back what [`store`](Self::store) gave. What can't be read is ignored: the signal then starts afresh, which
    /// costs time and never correctness. The default does nothing.
    fn restore(&mut self, _stored: &str) {}
}
