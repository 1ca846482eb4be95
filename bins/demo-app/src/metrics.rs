//! What the application tells about itself.

use std::time::{Duration, SystemTime};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const BUCKETS: [f64; 8] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    code: &'static str,
    method: &'static str,
}

/// The application's metrics. Both codes are there from the start, at zero: a series that appears with its first error has
/// no increase to be seen.
pub(crate) struct Metrics {
    registry: Registry,
    good: Counter,
    bad: Counter,
    duration: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let requests = Family::<Labels, Counter>::default();
        let counter = |code| requests.get_or_create_owned(&Labels { code, method: "GET" });
        let (good, bad) = (counter("200"), counter("500"));
        let duration = Histogram::new(BUCKETS);
        let started = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        started.set(since_epoch.as_secs_f64());
        let mut registry = Registry::default();
        registry.register("http_requests", "Requests answered, by status code and method", requests);
        registry.register("http_request_duration_seconds", "Time from a request to its answer", duration.clone());
        registry.register("process_start_time_seconds", "When the process started, in seconds since 1970", started);
        Self { registry, good, bad, duration }
    }

    pub(crate) fn count(&self, succeeded: bool, took: Duration) {
        if succeeded { &self.good } else { &self.bad }.inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_codes_are_there_from_the_start() {
        let metrics = Metrics::new();
        let text = metrics.text();
        assert!(text.contains("http_requests_total{code=\"200\",method=\"GET\"} 0"), "{text}");
        assert!(text.contains("http_requests_total{code=\"500\",method=\"GET\"} 0"), "{text}");
        assert!(text.contains("process_start_time_seconds "), "{text}");
        metrics.count(false, Duration::from_millis(2));
        let text = metrics.text();
        assert!(text.contains("http_requests_total{code=\"500\",method=\"GET\"} 1"), "{text}");
        assert!(text.contains("http_request_duration_seconds_bucket{le=\"0.005\"} 1"), "{text}");
    }
}
