//! The signals on a real Prometheus that scrapes, once a second, exporters which the tests serve.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it can't run"
)]

mod world;

use jiff::Timestamp;
use keeper_prometheus::{
    BasicAuth, ErrorRateSettings, HttpErrorRate, LatencyShare, LatencyShareSettings, Provider, Query, QuerySettings,
    Server, TlsFiles,
};
use keeper_signal::{HealthSignal, Look, Pod, Window};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::{Exporter, Prometheus, not_run, requests};

fn pod(name: &str, created: Timestamp) -> Pod {
    Pod { namespace: "shop".into(), name: name.into(), uid: format!("uid-of-{name}"), address: None, created }
}

/// A look now, at a canary that was created then.
fn look(created: Timestamp) -> Look {
    let window = Window { from: created, to: Timestamp::now() };
    Look { workload: "web".into(), canary: pod("canary", created), baseline: vec![pod("old", created)], window }
}

/// Looks until the verdict begins like this.
async fn until(signal: &mut dyn HealthSignal, created: Timestamp, expected: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let said = signal.look(&look(created)).await.to_string();
        if said.starts_with(expected) {
            return said;
        }
        assert!(Instant::now() < deadline, "expected {expected}, and last: {said}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn error_rate(server: &Arc<Server>) -> HttpErrorRate {
    HttpErrorRate::new(ErrorRateSettings::default(), server.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_is_counted_through_a_reset_until_it_dies() {
    let canary = Exporter::start("canary", &requests(990, 5));
    let old = Exporter::start("old", &requests(90_000, 9_000));
    let created = Timestamp::now();
    let Some(prometheus) = Prometheus::start(&[&canary, &old], None).await else { return };
    let server = prometheus.server();
    let mut rate = error_rate(&server);
    until(&mut rate, created, "healthy: 5 of 995 requests failed (0.50 %)").await;

    canary.shows(&requests(1485, 15));
    let at_the_edge = "unhealthy: 15 of 1500 requests failed (1.00 %), allowed below 1 %";
    until(&mut rate, created, at_the_edge).await;

    // The process starts again: its counters are lower, its errors are not forgotten.
    canary.shows(&requests(10, 1));
    old.shows(&requests(90_100, 9_001));
    until(&mut rate, created, "unhealthy: 16 of 1511").await;
    // The operator starts again: the server still has all of it.
    until(&mut error_rate(&server), created, "unhealthy: 16 of 1511").await;
    // Of a canary of the same name that is younger than all of this it shows nothing, until its own process has begun.
    let (younger, mut own) = (Timestamp::now(), error_rate(&server));
    until(&mut own, younger, "unknown: not measured: the canary shows no http_requests_total yet").await;
    canary.shows(&requests(8, 1));
    let says = until(&mut own, younger, "unknown: not enough: 9 of the 100").await;
    assert!(says.ends_with("1 failed"), "{says}");

    canary.stop();
    let mut value = Query::new(
        QuerySettings {
            query: r#"max(last_over_time(http_requests_total{pod="{{canary}}",code="200"}[5m]))"#.into(),
            min: Some(0.0),
            ..QuerySettings::default()
        },
        server.clone(),
    )
    .unwrap();
    let gone = until(&mut rate, created, "unknown: not measured: the newest sample of http_requests_total is 1").await;
    assert!(gone.ends_with(" s old: the canary is not scraped"), "{gone}");
    let still = value.look(&look(created)).await.to_string();
    assert_eq!(still, "healthy: 8, allowed at least 0", "while the server still shows it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_and_latencies_are_judged_by_a_real_server() {
    let buckets = "http_request_duration_seconds_bucket{le=\"0.1\"} 900\n\
        http_request_duration_seconds_bucket{le=\"0.25\"} 990\n\
        http_request_duration_seconds_bucket{le=\"+Inf\"} 1000\n";
    let canary = Exporter::start("canary", &format!("{}{buckets}", requests(500, 0)));
    let created = Timestamp::now();
    let Some(prometheus) = Prometheus::start(&[&canary], None).await else { return };
    let server = prometheus.server();
    until(&mut error_rate(&server), created, "healthy: 0 of 500").await;

    let share = |bound_seconds, threshold_percent| {
        let settings = LatencyShareSettings { bound_seconds, threshold_percent, ..LatencyShareSettings::default() };
        LatencyShare::new(settings, server.clone()).unwrap()
    };
    let edge = "unhealthy: 10 of 1000 requests took longer than 0.25 s (1.00 %), allowed below 1 %";
    until(&mut share(0.25, 1.0), created, edge).await;
    until(&mut share(0.1, 10.1), created, "healthy: 100 of 1000 requests took longer than 0.1 s (10.00 %)").await;
    let between =
        "unknown: not measured: bound: http_request_duration_seconds has no bucket 0.2: the nearest are 0.1 and 0.25";
    until(&mut share(0.2, 1.0), created, between).await;

    for (query, expected) in [
        (
            r#"sum(http_requests_total{pod="{{canary}}",namespace="{{namespace}}"})"#,
            "healthy: 500, allowed at most 500",
        ),
        (r#"count_over_time(up{pod=~"{{canary}}"}[{{window}}]) * 0"#, "healthy: 0, allowed at most 500"),
        ("sum(http_requests_total) + 1", "unhealthy: 501, allowed at most 500"),
        ("sum(", "unknown: not measured: Prometheus main refused the query (bad_data): "),
        ("http_requests_total[1m]", "unknown: not measured: query: its answer is a range of values"),
        ("http_requests_total", "unknown: not measured: query: its answer has 2 series and not one"),
        (
            "http_requests_total * NaN > 0 or sum(http_requests_total) * NaN",
            "unknown: not measured: query: its value is NaN",
        ),
        ("absent(up)", "unknown: not measured: the query's answer has no series"),
        ("\"fine\"", "unknown: not measured: query: its value is a text"),
        ("1", "healthy: 1, allowed at most 500"),
    ] {
        let settings = QuerySettings { query: query.into(), max: Some(500.0), ..QuerySettings::default() };
        let mut query = Query::new(settings, server.clone()).unwrap();
        until(&mut query, created, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_behind_tls_and_a_password_is_asked_with_both() {
    let canary = Exporter::start("canary", &requests(500, 0));
    let created = Timestamp::now();
    let directory = tempfile::tempdir().unwrap();
    if !world::certificates(directory.path()) {
        return not_run("no openssl on PATH: certificates for a Prometheus behind TLS");
    }
    let Some(prometheus) = Prometheus::start(&[&canary], Some(directory.path())).await else { return };
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file("password"), "scrape me\n").unwrap();
    let provider = Provider {
        basic_auth: Some(BasicAuth { username: "keeper".into(), password_file: file("password") }),
        tls: TlsFiles {
            ca_file: Some(file("ca.pem")),
            cert_file: Some(file("client.pem")),
            key_file: Some(file("client.key")),
        },
        ..prometheus.provider()
    };
    let asks = |provider: &Provider| error_rate(&Arc::new(Server::new(provider.clone()).unwrap()));
    let mut trusted = asks(&provider);
    until(&mut trusted, created, "healthy: 0 of 500").await;

    let cannot = "unknown: not measured: Prometheus main can't be asked: ";
    let stranger =
        Provider { tls: TlsFiles { ca_file: provider.tls.ca_file.clone(), ..TlsFiles::default() }, ..provider.clone() };
    until(&mut asks(&stranger), created, cannot).await;
    let other_ca = TlsFiles { ca_file: Some(file("other-ca.pem")), ..provider.tls.clone() };
    until(&mut asks(&Provider { tls: other_ca, ..provider.clone() }), created, cannot).await;
    let nobody = Provider { basic_auth: None, ..provider.clone() };
    until(&mut asks(&nobody), created, "unknown: not measured: Prometheus main answered 401").await;

    // Files are read again: the certificate authority is taken away, and comes back.
    let ca = std::fs::read(file("ca.pem")).unwrap();
    std::fs::write(file("ca.pem"), "nothing").unwrap();
    until(&mut trusted, created, "unknown: not measured: Prometheus main has a file that can't be used: ").await;
    std::fs::write(file("ca.pem"), ca).unwrap();
    until(&mut trusted, created, "healthy: 0 of 500").await;
}

#[test]
fn where_openssl_is_certificates_can_be_made() {
    let there = Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success());
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(world::certificates(directory.path()), there);
}
