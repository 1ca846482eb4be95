//! What a Prometheus server may answer, and what a check then says: from a stand-in, since a real one does none of this on
//! demand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{look, pod};
use keeper_prometheus::{BasicAuth, NoData, PodLabels, Provider, Query, QuerySettings, Server, Servers};
use keeper_signal::{HealthSignal, Verdict};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const JSON: &str = "application/json";

fn provider(mock: &MockServer) -> Provider {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Provider { timeout: Duration::from_secs(1), ..Provider::new("main", format!("{}/prefix", mock.uri())) }
}

fn server(mock: &MockServer) -> Arc<Server> {
    Arc::new(Server::new(provider(mock)).unwrap())
}

fn at_most(max: f64) -> QuerySettings {
    let query = r#"sum(errors{pod="{{canary}}",namespace="{{namespace}}",app="{{workload}}"}[{{window}}])"#;
    QuerySettings { query: query.into(), max: Some(max), ..QuerySettings::default() }
}

async fn mock(answer: ResponseTemplate) -> MockServer {
    let mock = MockServer::start().await;
    Mock::given(method("POST")).and(path("/prefix/api/v1/query")).respond_with(answer).mount(&mock).await;
    mock
}

/// What the check says of this answer, 90 s after the canary's start.
async fn says_of(answer: ResponseTemplate, settings: QuerySettings) -> String {
    let mock = mock(answer).await;
    says(&mut Query::new(settings, server(&mock)).unwrap()).await
}

async fn says(query: &mut Query) -> String {
    query.look(&look(pod("canary", None), vec![], 90)).await.to_string()
}

fn json(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body, JSON)
}

fn vector(results: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{results}]}}}}"#)
}

fn value(value: &str) -> String {
    vector(&format!(r#"{{"metric":{{}},"value":[1800000090,"{value}"]}}"#))
}

#[tokio::test]
async fn one_number_is_judged() {
    assert_eq!(says_of(json(200, &value("2")), at_most(2.0)).await, "healthy: 2, allowed at most 2");
    assert_eq!(says_of(json(200, &value("2.5")), at_most(2.0)).await, "unhealthy: 2.5, allowed at most 2");
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1800000090,"1"]}}"#;
    assert_eq!(says_of(json(200, scalar), at_most(2.0)).await, "healthy: 1, allowed at most 2");
    let styled = value("1").replacen("{", r#"{"infos":["metric might not be a counter"],"#, 1);
    assert!(says_of(json(200, &styled), at_most(2.0)).await.starts_with("healthy"));
}

#[tokio::test]
async fn the_question_names_the_canary_and_the_instant() {
    let mock = mock(json(200, &value("1"))).await;
    assert!(says(&mut Query::new(at_most(2.0), server(&mock)).unwrap()).await.starts_with("healthy"));
    let requests = mock.received_requests().await.unwrap();
    let form: Vec<(String, String)> = url_decoded(&requests[0]);
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let expected = r#"sum(errors{pod="canary",namespace="shop",app="web"}[60000ms])"#;
    assert_eq!(field("query"), Some(expected));
    assert_eq!(field("time"), Some("1800000090.000"));
    assert_eq!(field("timeout"), Some("1000ms"));
    let mut young = Query::new(at_most(2.0), server(&mock)).unwrap();
    let _ = young.look(&look(pod("canary", None), vec![], 7)).await;
    let requests = mock.received_requests().await.unwrap();
    assert!(url_decoded(&requests[1]).iter().any(|(_, value)| value.ends_with("[7000ms])")), "its own life alone");
}

fn url_decoded(request: &Request) -> Vec<(String, String)> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

#[tokio::test]
async fn whatever_is_not_one_number_is_not_measured_and_says_why() {
    let two = vector(r#"{"metric":{"a":"1"},"value":[1,"0"]},{"metric":{"a":"2"},"value":[1,"0"]}"#);
    let histogram = vector(r#"{"metric":{},"histogram":[1,{"count":"1","sum":"1"}]}"#);
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"0"]]}]}}"#;
    let string = r#"{"status":"success","data":{"resultType":"string","result":[1,"fine"]}}"#;
    for (body, why) in [
        (value("NaN").as_str(), "query: its value is NaN"),
        (value("+Inf").as_str(), "query: its value is inf"),
        (vector("").as_str(), "the query's answer has no series"),
        (two.as_str(), "query: its answer has 2 series and not one: aggregate it"),
        (histogram.as_str(), "query: its value is a histogram and not a number"),
        (matrix, "query: its answer is a range of values and not one: leave out [...]"),
        (string, "query: its value is a text and not a number"),
    ] {
        let said = says_of(json(200, body), at_most(2.0)).await;
        assert_eq!(said, format!("unknown: not measured: {why}"));
    }
    let healthy = QuerySettings { no_data: NoData::Zero, ..at_most(2.0) };
    assert_eq!(says_of(json(200, &vector("")), healthy.clone()).await, "healthy: 0, allowed at most 2");
    assert!(says_of(json(200, &value("NaN")), healthy).await.starts_with("unknown"));
}

#[tokio::test]
async fn a_warning_makes_the_answer_worthless() {
    for extra in [r#""warnings":["store 10.0.0.1 is gone: \nretry"]"#, r#""isPartial":true"#] {
        let body = value("0").replacen('{', &format!("{{{extra},"), 1);
        let settings = QuerySettings { no_data: NoData::Healthy, ..at_most(2.0) };
        let said = says_of(json(200, &body), settings).await;
        assert!(said.starts_with("unknown: not measured: Prometheus main answered in part: "), "{said}");
        assert!(!said.contains('\n'));
    }
}

#[tokio::test]
async fn errors_of_the_server_are_told_in_its_words_and_bounded() {
    let error = |kind: &str, text: &str| format!(r#"{{"status":"error","errorType":"{kind}","error":"{text}"}}"#);
    for (status, body, expected) in [
        (
            400,
            error("bad_data", "parse error: unexpected )"),
            "refused the query (bad_data): parse error: unexpected )",
        ),
        (422, error("execution", "too many samples"), "refused the query (execution): too many samples"),
        (503, error("timeout", "query timed out"), "refused the query (timeout): query timed out"),
        (401, "<html>log in</html>".into(), "answered 401"),
        (302, String::new(), "answered 302"),
        (502, "{}".into(), "answered 502"),
        (200, "<html>".into(), "did not answer as a Prometheus does: expected value at line 1 column 1"),
        (200, String::new(), "did not answer as a Prometheus does: EOF while parsing a value at line 1 column 0"),
        (200, r#"{"status":"success"}"#.into(), "did not answer as a Prometheus does: no data"),
    ] {
        let answer = json(status, &body).insert_header("location", "http://169.254.169.254/");
        let said = says_of(answer, at_most(2.0)).await;
        assert_eq!(said, format!("unknown: not measured: Prometheus main {expected}"));
    }
    let long = says_of(json(400, &error("bad_data", &"x".repeat(100_000))), at_most(2.0)).await;
    assert!(long.len() < 400, "{}", long.len());
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_too_slow_is_dropped() {
    let large = value("1").replacen('{', &format!(r#"{{"infos":["{}"],"#, "x".repeat(10 << 20)), 1);
    let said = says_of(json(200, &large), at_most(2.0)).await;
    assert_eq!(said, "unknown: not measured: Prometheus main answered more than 8388608 bytes");
    let began = Instant::now();
    let slow = json(200, &value("1")).set_delay(Duration::from_secs(20));
    let said = says_of(slow, at_most(2.0)).await;
    assert_eq!(said, "unknown: not measured: Prometheus main did not answer within 1s");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_measured() {
    let mock = MockServer::start().await;
    let gone = Provider { url: "http://127.0.0.1:1".into(), ..provider(&mock) };
    let mut query = Query::new(at_most(2.0), Arc::new(Server::new(gone).unwrap())).unwrap();
    let said = says(&mut query).await;
    assert!(said.starts_with("unknown: not measured: Prometheus main can't be asked: "), "{said}");
    assert!(said.contains("refused"), "the cause is told: {said}");
}

#[tokio::test]
async fn credentials_are_read_anew_and_never_told() {
    let mock = MockServer::start().await;
    for (header_value, number) in [("Bearer first", "1"), ("Bearer second", "2"), ("Basic bWU6cGFzcw==", "3")] {
        let answer = json(200, &value(number));
        Mock::given(header("authorization", header_value)).respond_with(answer).mount(&mock).await;
    }
    Mock::given(header("x-scope-orgid", "shop")).respond_with(json(200, &value("4"))).mount(&mock).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    let token = Provider { bearer_token_file: Some(file.clone()), ..provider(&mock) };
    write("first\n");
    let mut query = Query::new(at_most(9.0), Arc::new(Server::new(token.clone()).unwrap())).unwrap();
    assert_eq!(says(&mut query).await, "healthy: 1, allowed at most 9");
    write("second");
    assert_eq!(says(&mut query).await, "healthy: 2, allowed at most 9");
    for odd in ["", "two\nlines-of-secret", "\u{0}secret"] {
        write(odd);
        let said = says(&mut query).await;
        assert!(
            said.starts_with("unknown: not measured: Prometheus main has a file that can't be used: ")
                && !said.contains("secret-"),
            "{said}"
        );
        assert!(!said.contains("of-secret"), "{said}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(says(&mut query).await.contains("No such file"));
    assert!(Servers::new([token]).unwrap_err().to_string().contains("No such file"), "a start would say so");
    write("pass");
    let basic = BasicAuth { username: "me".into(), password_file: file.clone() };
    let basic = Provider { basic_auth: Some(basic), ..provider(&mock) };
    let mut query = Query::new(at_most(9.0), Arc::new(Server::new(basic).unwrap())).unwrap();
    assert_eq!(says(&mut query).await, "healthy: 3, allowed at most 9");
    let tenant = Provider { headers: [("X-Scope-OrgID".into(), "shop".into())].into(), ..provider(&mock) };
    let mut query = Query::new(at_most(9.0), Arc::new(Server::new(tenant).unwrap())).unwrap();
    assert_eq!(says(&mut query).await, "healthy: 4, allowed at most 9");
}

#[tokio::test]
async fn the_labels_of_the_pod_are_found_by_trying() {
    use keeper_prometheus::{ErrorRateSettings, HttpErrorRate};
    let mock = MockServer::start().await;
    let samples = r#"{"metric":{"__name__":"http_requests_total","code":"200","k_pod":"canary","k_ns":"shop"},
        "values":[[1800000080,"100"],[1800000085,"200"]]}"#;
    let matrix = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{samples}]}}}}"#);
    let nothing = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    Mock::given(body_string_contains("k_pod")).respond_with(json(200, &matrix)).mount(&mock).await;
    Mock::given(method("POST")).respond_with(json(200, nothing)).mount(&mock).await;
    let labels = |pod: &str, namespace: &str| PodLabels { pod: pod.into(), namespace: namespace.into() };
    let pod_labels = vec![labels("pod", "namespace"), labels("k_pod", "k_ns")];
    let server = Arc::new(Server::new(Provider { pod_labels, ..provider(&mock) }).unwrap());
    let mut rate = HttpErrorRate::new(ErrorRateSettings::default(), server).unwrap();
    let look = look(pod("canary", None), vec![], 90);
    let first: Verdict = rate.look(&look).await;
    assert_eq!(first.to_string(), "healthy: 0 of 200 requests failed (0.00 %), allowed below 1 %");
    assert_eq!(mock.received_requests().await.unwrap().len(), 2);
    assert_eq!(rate.look(&look).await.to_string(), first.to_string(), "counted once");
    assert_eq!(mock.received_requests().await.unwrap().len(), 3, "what was found is remembered");
    let other = common::look(pod("another", None), vec![], 90);
    let said = rate.look(&other).await.to_string();
    let expected = "Prometheus main has no samples of http_requests_total whose pod or k_pod is another";
    assert_eq!(said, format!("unknown: not measured: {expected}"));
}
