//! A canary's life as the signal sees it, from readings that are written down here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{look, pod};
use jiff::Timestamp;
use keeper_prometheus::exposition::parse;
use keeper_prometheus::{ErrorRate, ErrorRateSettings, Reading, Scrape, ScrapeError, Scraping};
use keeper_signal::{HealthSignal, Pod};
use std::sync::{Arc, Mutex};

/// Answers what was put in, once.
#[derive(Default)]
struct Script(Mutex<Option<Reading>>);

impl Scrape for Script {
    fn scrape<'a>(&'a self, _pod: &'a Pod, _metric: &'a str, at: Timestamp) -> Scraping<'a> {
        let reading = self.0.lock().unwrap().take();
        Box::pin(async move { reading.map(|reading| Reading { at, ..reading }).ok_or(ScrapeError::NoAddress) })
    }
}

struct Canary {
    script: Arc<Script>,
    signal: ErrorRate,
    second: i64,
    name: &'static str,
}

impl Canary {
    fn new() -> Self {
        let script = Arc::new(Script::default());
        let signal = ErrorRate::new(ErrorRateSettings::default(), script.clone()).unwrap();
        Self { script, signal, second: 0, name: "canary" }
    }

    /// The operator restarts: a new signal with what the old one stored.
    fn operator_restarts(mut self) -> Self {
        let stored = self.signal.store().unwrap();
        assert!(stored.len() < 1024, "{stored}");
        self.signal = ErrorRate::new(ErrorRateSettings::default(), self.script.clone()).unwrap();
        self.signal.restore(&stored);
        assert_eq!(self.signal.store().unwrap(), stored, "nothing is lost before the first look");
        self
    }

    async fn shows(&mut self, start: Option<f64>, ok: f64, failed: f64) -> String {
        let text = format!("http_requests_total{{code=\"200\"}} {ok}\nhttp_requests_total{{code=\"503\"}} {failed}\n");
        self.answers(start, &text).await
    }

    async fn answers(&mut self, process_start: Option<f64>, text: &str) -> String {
        let samples = parse(text.as_bytes(), |_| true).unwrap().samples;
        let reading = Reading { at: Timestamp::UNIX_EPOCH, samples, exposed: true, process_start };
        *self.script.0.lock().unwrap() = Some(reading);
        self.looks().await
    }

    async fn looks(&mut self) -> String {
        self.second += 5;
        self.signal.look(&look(pod(self.name, None), vec![], self.second)).await.to_string()
    }
}

fn counted(says: &str) -> (u32, u32) {
    let numbers: Vec<u32> = says.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

#[tokio::test]
async fn the_first_errors_of_a_new_series_count() {
    let mut canary = Canary::new();
    assert!(canary.answers(None, "http_requests_total{code=\"200\"} 150\n").await.starts_with("healthy: 0 of 150"));
    assert!(canary.shows(None, 198.0, 2.0).await.starts_with("unhealthy: 2 of 200"));
}

#[tokio::test]
async fn a_restart_of_the_container_erases_no_error() {
    let mut canary = Canary::new();
    assert!(canary.shows(None, 990.0, 5.0).await.starts_with("healthy: 5 of 995"));
    assert!(canary.shows(None, 3.0, 0.0).await.starts_with("healthy: 5 of 998"));
    assert!(canary.shows(None, 50.0, 7.0).await.starts_with("unhealthy: 12 of 1052"));
}

#[tokio::test]
async fn a_restart_that_is_hidden_below_the_old_value_is_told_by_the_start_time() {
    let mut canary = Canary::new();
    assert!(canary.shows(Some(10.0), 995.0, 5.0).await.starts_with("healthy: 5 of 1000"));
    assert!(canary.shows(Some(20.0), 996.0, 6.0).await.starts_with("healthy: 11 of 2002"));
}

#[tokio::test]
async fn a_look_that_fails_is_not_measured_and_loses_nothing() {
    let mut canary = Canary::new();
    assert!(canary.shows(None, 200.0, 0.0).await.starts_with("healthy"));
    assert_eq!(canary.looks().await, "unknown: not measured: the pod has no address yet");
    assert!(canary.shows(None, 300.0, 1.0).await.starts_with("healthy: 1 of 301"));
}

#[tokio::test]
async fn a_reading_with_a_value_that_is_no_count_loses_nothing() {
    let mut canary = Canary::new();
    assert!(canary.shows(None, 200.0, 1.0).await.starts_with("healthy: 1 of 201"));
    let not_measured = "unknown: not measured: a value of http_requests_total ";
    assert_eq!(canary.shows(None, 210.0, f64::NAN).await, format!("{not_measured}is not a number"));
    assert_eq!(canary.shows(None, -1.0, 1.0).await, format!("{not_measured}is negative"));
    let twice = "http_requests_total{code=\"200\"} 210\nhttp_requests_total{code=\"200\"} 210\n";
    let says = canary.answers(None, twice).await;
    assert_eq!(says, "unknown: not measured: a series of http_requests_total stands there twice");
    assert!(canary.shows(None, 220.0, 2.0).await.starts_with("healthy: 2 of 222"));
}

#[tokio::test]
async fn too_few_requests_are_not_enough() {
    let mut canary = Canary::new();
    assert_eq!(
        canary.shows(None, 60.0, 39.0).await,
        "unknown: not enough: 99 of the 100 requests needed to judge, 39 failed"
    );
    assert!(canary.shows(None, 61.0, 39.0).await.starts_with("unhealthy: 39 of 100"));
}

#[tokio::test]
async fn exactly_the_threshold_is_unhealthy() {
    let mut canary = Canary::new();
    assert!(canary.shows(None, 991.0, 9.0).await.starts_with("healthy: 9 of 1000 requests failed (0.90 %)"));
    let mut canary = Canary::new();
    assert!(canary.shows(None, 990.0, 10.0).await.starts_with("unhealthy: 10 of 1000 requests failed (1.00 %)"));
}

#[tokio::test]
async fn a_restart_of_the_operator_neither_loses_nor_repeats() {
    let mut canary = Canary::new();
    canary.shows(Some(10.0), 500.0, 2.0).await;
    let mut canary = canary.operator_restarts();
    assert!(canary.shows(Some(10.0), 600.0, 3.0).await.starts_with("healthy: 3 of 603"));
    assert!(canary.shows(Some(10.0), 700.0, 4.0).await.starts_with("healthy: 4 of 704"));
    // The canary's container restarts while the operator is away, twice: once seen by values, once by start time.
    let mut canary = canary.operator_restarts();
    assert_eq!(counted(&canary.shows(None, 10.0, 1.0).await), (5, 715));
    let mut canary = canary.operator_restarts();
    canary.shows(Some(20.0), 10.0, 1.0).await;
    let mut canary = canary.operator_restarts();
    assert_eq!(counted(&canary.shows(Some(30.0), 100.0, 2.0).await), (7, 817));
}

#[tokio::test]
async fn another_canary_is_another_count() {
    let mut canary = Canary::new();
    canary.shows(None, 500.0, 400.0).await;
    let stored = canary.signal.store().unwrap();
    canary.name = "next";
    assert!(canary.shows(None, 200.0, 0.0).await.starts_with("healthy: 0 of 200"));
    let mut fresh = Canary { name: "next", ..Canary::new() };
    fresh.signal.restore(&stored);
    assert!(fresh.shows(None, 200.0, 0.0).await.starts_with("healthy: 0 of 200"));
    fresh.signal.restore("nonsense");
    assert!(fresh.shows(None, 201.0, 0.0).await.starts_with("healthy: 0 of 201"));
    let own = fresh.signal.store().unwrap();
    fresh.shows(None, 300.0, 0.0).await;
    fresh.signal.restore(&own);
    assert!(fresh.shows(None, 301.0, 0.0).await.starts_with("healthy: 0 of 301"), "back to what was stored, and on");
}

#[tokio::test]
async fn a_clock_that_goes_back_proves_nothing() {
    let mut canary = Canary::new();
    canary.shows(None, 500.0, 0.0).await;
    canary.second -= 60;
    assert_eq!(canary.shows(None, 600.0, 300.0).await, "unknown: not measured: the clock went back");
    canary.second += 120;
    assert!(canary.shows(None, 600.0, 300.0).await.starts_with("unhealthy: 300 of 900"));
}
