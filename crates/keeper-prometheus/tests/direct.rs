//! Reading pods over HTTP: what is counted, and that everything else is not measured.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{exposition, look, pod};
use keeper_prometheus::{DirectScrape, ErrorRate, ErrorRateSettings, SettingsError};
use keeper_signal::{HealthSignal, Verdict, Why};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wiremock::matchers::{header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const TIMEOUT: Duration = Duration::from_secs(1);

fn signal(port: u16, settings: ErrorRateSettings) -> ErrorRate {
    ErrorRate::new(settings, Arc::new(DirectScrape::new(port, "/metrics", TIMEOUT).unwrap())).unwrap()
}

async fn verdict_on(server: &MockServer, settings: ErrorRateSettings) -> Verdict {
    let address = server.address();
    signal(address.port(), settings).look(&look(pod("canary", Some(address.ip())), vec![], 5)).await
}

async fn verdict_of(answer: ResponseTemplate, settings: ErrorRateSettings) -> Verdict {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(path("/metrics")).respond_with(answer).mount(&server).await;
    verdict_on(&server, settings).await
}

async fn says_of(file: &str, settings: ErrorRateSettings) -> String {
    verdict_of(ResponseTemplate::new(200).set_body_string(exposition(file)), settings).await.to_string()
}

fn not_measured(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Unknown(Why::NotMeasured(why)) => why,
        other => panic!("measured: {other}"),
    }
}

#[tokio::test]
async fn each_exposition_counts_as_its_table_says() {
    let default = ErrorRateSettings::default;
    let nine = "healthy: 9 of 1500 requests failed (0.60 %), allowed below 1 %";
    assert_eq!(says_of("python-text.txt", default()).await, nine);
    assert_eq!(says_of("python-openmetrics.txt", default()).await, nine);
    let five = "healthy: 5 of 1000 requests failed (0.50 %), allowed below 1 %";
    assert_eq!(says_of("sum-beside-codes.txt", default()).await, five);
    let strict = ErrorRateSettings { threshold_percent: 0.5, ..default() };
    assert!(says_of("sum-beside-codes.txt", strict).await.starts_with("unhealthy: 5 of 1000"));
    let sanic = ErrorRateSettings {
        metric: "sanic_request_count".into(),
        code_labels: vec!["http_status".into()],
        ..default()
    };
    assert!(says_of("prototype-sanic.txt", sanic).await.starts_with("unhealthy: 60 of 1000"));
    let go = ErrorRateSettings {
        metric: "promhttp_metric_handler_requests_total".into(),
        min_request_count: 1,
        ..default()
    };
    assert!(says_of("go-text.txt", go).await.starts_with("healthy: 0 of 1 "));
    let none = "unknown: not enough: 0 of the 100 requests needed to judge, 0 failed";
    assert_eq!(says_of("no-requests-yet.txt", default()).await, none);
    for (file, why) in [
        ("without-codes.txt", "no series of http_requests_total has a label code or status"),
        ("another-metric.txt", "the pod does not expose http_requests_total"),
        ("odd-values.txt", "a value of http_requests_total is not a number"),
        ("login-page.txt", "not Prometheus' text format: line 1: expected the name of a metric"),
        ("cut-off.txt", "not Prometheus' text format: line 42: the value of a label has no end"),
    ] {
        let says = says_of(file, default()).await;
        assert!(says.starts_with("unknown: not measured: ") && says.contains(why), "{file}: {says}");
    }
}

#[tokio::test]
async fn client_errors_are_errors_only_when_asked() {
    let pattern = ErrorRateSettings { error_codes: "4..|5..".into(), ..ErrorRateSettings::default() };
    assert!(says_of("python-text.txt", pattern).await.starts_with("healthy: 12 of 1500"));
}

#[tokio::test]
async fn an_answer_that_is_none_is_not_measured() {
    let default = ErrorRateSettings::default;
    for status in [204, 301, 401, 404, 500, 503] {
        let answer = ResponseTemplate::new(status).insert_header("location", "/elsewhere");
        let verdict = verdict_of(answer, default()).await;
        assert!(not_measured(&verdict).ends_with(&format!("answered {status}")), "{verdict}");
    }
    let large = ResponseTemplate::new(200).set_body_string("x 1\n".repeat(300_000));
    assert!(not_measured(&verdict_of(large, default()).await).ends_with("larger than 1048576 bytes"));
    let zipped = ResponseTemplate::new(200).set_body_bytes([0x1f, 0x8b, 8, 0, 0, 0]);
    assert!(not_measured(&verdict_of(zipped, default()).await).ends_with("line 1: not UTF-8"));
    let empty = ResponseTemplate::new(200);
    assert_eq!(not_measured(&verdict_of(empty, default()).await), "the pod does not expose http_requests_total");
    let began = Instant::now();
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(20));
    assert!(not_measured(&verdict_of(slow, default()).await).ends_with("within 1s"));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_pod_that_cannot_be_reached_is_not_measured() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut signal = signal(free.port(), ErrorRateSettings::default());
    let refused = signal.look(&look(pod("canary", Some(free.ip())), vec![], 5)).await;
    assert!(not_measured(&refused).starts_with("can't connect to http://127.0.0.1:"), "{refused}");
    let without = signal.look(&look(pod("canary", None), vec![], 10)).await;
    assert_eq!(not_measured(&without), "the pod has no address yet");
    assert_eq!(signal.store(), None, "nothing was counted");
}

#[tokio::test]
async fn what_speaks_no_http_or_stops_half_way_is_not_measured() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhttp_requests_total{code=\"200\"} 1000\n";
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n25\r\nhttp_requests_total{code=\"200\"} 1000\n\r\n";
    for answer in ["SSH-2.0-something\r\n", "", half, chunked] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        });
        let mut signal = signal(address.port(), ErrorRateSettings::default());
        let verdict = signal.look(&look(pod("canary", Some(address.ip())), vec![], 5)).await;
        assert!(not_measured(&verdict).starts_with("no HTTP answer from"), "{answer:?}: {verdict}");
    }
}

#[tokio::test]
async fn baseline_pods_are_read_beside_the_canary_and_decide_nothing() {
    let canary = MockServer::start().await;
    let port = canary.address().port();
    // Another loopback address, the same port: two pods.
    let second = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)).unwrap();
    let baseline = MockServer::builder().listener(second).start().await;
    let answers = |ok: u32, failed: u32| {
        let text = format!("http_requests_total{{code=\"200\"}} {ok}\nhttp_requests_total{{code=\"500\"}} {failed}\n");
        Mock::given(header_exists("accept")).respond_with(ResponseTemplate::new(200).set_body_string(text))
    };
    let mut signal = signal(port, ErrorRateSettings::default());
    let address = |last| Some(Ipv4Addr::new(127, 0, 0, last).into());
    let pods = || vec![pod("old", address(2)), pod("unreachable", address(3)), pod("without", None)];
    let mut last = None;
    for (second, canary_counts, baseline_counts) in [(5, (200, 1), (90_000, 9_000)), (10, (400, 2), (91_000, 9_500))] {
        canary.reset().await;
        baseline.reset().await;
        answers(canary_counts.0, canary_counts.1).mount(&canary).await;
        answers(baseline_counts.0, baseline_counts.1).mount(&baseline).await;
        last = Some(signal.look(&look(pod("canary", address(1)), pods(), second)).await);
    }
    let Some(Verdict::Healthy(evidence)) = last else { panic!("{last:?}") };
    let figures: Vec<_> = evidence.figures.iter().map(|figure| (figure.name, figure.value)).collect();
    let since_first_look = [("baseline_requests", 1500.0), ("baseline_errors", 500.0)];
    assert_eq!(figures, [[("requests", 402.0), ("errors", 2.0)], since_first_look].concat());
}

#[test]
fn addresses_that_cannot_work_are_refused_by_field() {
    let refused = |port, path, timeout| DirectScrape::new(port, path, timeout).unwrap_err();
    assert_eq!(refused(0, "/metrics", TIMEOUT), SettingsError::Port);
    for path in ["", "metrics", "http://elsewhere/metrics", "/with space", "/line\r\nbreak"] {
        assert_eq!(refused(80, path, TIMEOUT), SettingsError::Path, "{path:?}");
    }
    assert_eq!(refused(80, "/metrics", Duration::ZERO), SettingsError::Timeout);
    assert!(DirectScrape::new(80, "/metrics?format=text", TIMEOUT).is_ok());
}
