use crate::exposition::{ExpositionError, Sample};
use jiff::Timestamp;
use keeper_signal::Pod;
use std::io;
use std::pin::Pin;
use std::time::Duration;

/// Where the counters of a pod are read.
pub trait Scrape: Send + Sync {
    /// Reads the samples of one counter, in all its series, as they stood at this instant. `metric` is the name of the
    /// samples, with its `_total`. Must be safe to drop half-way.
    fn scrape<'a>(&'a self, pod: &'a Pod, metric: &'a str, at: Timestamp) -> Scraping<'a>;
}

/// A reading, still on its way.
pub type Scraping<'a> = Pin<Box<dyn Future<Output = Result<Reading, ScrapeError>> + Send + 'a>>;

/// What was read of one counter in one pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// When the samples were taken.
    pub at: Timestamp,
    /// The samples of the counter, one per series.
    pub samples: Vec<Sample>,
    /// Whether the pod knows the counter at all; true with samples, and true without when its family is described: then
    /// nothing was counted yet.
    pub exposed: bool,
    /// When the pod's process started, in seconds since 1970, if it says so: another value is another process, whose
    /// counters began at zero.
    pub process_start: Option<f64>,
}

/// Why a pod could not be read. All of it may be different at the next look.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScrapeError {
    /// The pod has no address yet.
    #[error("the pod has no address yet")]
    NoAddress,
    /// Nobody listens there, or nobody can be reached.
    #[error("can't connect to {address}: {source}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// No whole answer in time.
    #[error("no answer from {address} within {timeout:?}")]
    TimedOut {
        /// Where.
        address: String,
        /// The time it was given.
        timeout: Duration,
    },
    /// The answer ended early or was no HTTP.
    #[error("no HTTP answer from {address}")]
    Broken {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another status than 200; redirects are not followed.
    #[error("{address} answered {status}")]
    Status {
        /// Where.
        address: String,
        /// The status.
        status: u16,
    },
    /// An answer that is no exposition.
    #[error("{address}: {source}")]
    Exposition {
        /// Where.
        address: String,
        /// What is wrong with it.
        source: ExpositionError,
    },
}
