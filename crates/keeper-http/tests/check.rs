//! What an endpoint may answer, and what the check then says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use keeper_http::{BasicAuth, CheckError, Endpoint, EndpointSettings, Expected, HttpCheck, HttpCheckSettings, Method};
use keeper_signal::{HealthSignal, Look, Pod, Window};
use std::sync::Arc;
use std::time::Duration;
use wiremock::matchers::{body_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn settings(server: &MockServer) -> EndpointSettings {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let timeout = Duration::from_secs(1);
    EndpointSettings { timeout, ..EndpointSettings::new("tests", format!("{}/api/", server.uri())) }
}

fn at_most(max: f64) -> HttpCheckSettings {
    let expected = Expected::Range { min: None, max: Some(max) };
    let path = "/result?pod={{canary}}&ns={{ namespace }}".into();
    HttpCheckSettings {
        path,
        pointer: "/failed".into(),
        expected,
        unit: "tests".into(),
        ..HttpCheckSettings::default()
    }
}

fn look() -> Look {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let (namespace, name, uid) = ("shop".into(), "web-canary".into(), "1".into());
    let canary = Pod { namespace, name, uid, address: None, created: at };
    Look { workload: "web".into(), canary, baseline: vec![], window: Window { from: at, to: at } }
}

async fn says(endpoint: EndpointSettings, settings: HttpCheckSettings) -> String {
    let endpoint = Arc::new(Endpoint::new(endpoint).unwrap());
    HttpCheck::new(settings, endpoint).unwrap().look(&look()).await.to_string()
}

async fn says_of(answer: ResponseTemplate, check: HttpCheckSettings) -> String {
    let server = MockServer::start().await;
    let asked = Mock::given(path("/api/result")).and(query_param("pod", "web-canary")).and(query_param("ns", "shop"));
    asked.respond_with(answer).mount(&server).await;
    says(settings(&server), check).await
}

fn json(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, "application/json")
}

#[tokio::test]
async fn a_value_is_judged() {
    assert_eq!(says_of(json(r#"{"failed": 0}"#), at_most(0.0)).await, "healthy: 0 tests, allowed at most 0 tests");
    assert!(says_of(json(r#"{"failed": 1}"#), at_most(0.0)).await.starts_with("unhealthy: 1 tests"));
    let range = Expected::Range { min: Some(1.0), max: Some(2.0) };
    let between = HttpCheckSettings { expected: range, ..at_most(0.0) };
    assert!(says_of(json(r#"{"failed": 0.5}"#), between).await.starts_with("unhealthy: 0.5 tests, allowed 1 to 2"));
    for (value, wanted, healthy) in
        [("\"ok\"", "ok", true), ("true", "true", true), ("3", "3", true), ("\"no\"", "ok", false)]
    {
        let equals = HttpCheckSettings { expected: Expected::Equals(wanted.into()), ..at_most(0.0) };
        let said = says_of(json(&format!(r#"{{"failed": {value}}}"#)), equals).await;
        assert_eq!(said.starts_with("healthy"), healthy, "{said}");
        assert_eq!(said.starts_with("unhealthy"), !healthy, "{said}");
    }
}

#[tokio::test]
async fn what_is_no_clear_value_is_not_measured_and_says_why() {
    for (answer, why) in [
        (json("{}"), "tests: pointer: the answer has nothing at /failed"),
        (json(r#"{"failed": "0"}"#), "tests: pointer: /failed is a text and not a number"),
        (json(r#"{"failed": null}"#), "tests: pointer: /failed is null and not a number"),
        (json("<html>"), "tests did not answer JSON: expected value at line 1 column 1"),
        (ResponseTemplate::new(500).set_body_raw(r#"{"failed": 0}"#, "application/json"), "tests answered 500"),
        (ResponseTemplate::new(302).insert_header("location", "/api/other"), "tests answered 302"),
        (json(&" ".repeat(10 << 20)), "tests answered more than 1048576 bytes"),
        (json(r#"{"failed": 0}"#).set_delay(Duration::from_secs(20)), "tests did not answer within 1s"),
    ] {
        assert_eq!(says_of(answer, at_most(0.0)).await, format!("unknown: not measured: {why}"));
    }
    let equals = HttpCheckSettings { expected: Expected::Equals("{}".into()), ..at_most(0.0) };
    let said = says_of(json(r#"{"failed": {}}"#), equals).await;
    assert!(said.ends_with("/failed is an object and not a text, number or boolean"), "{said}");
}

#[tokio::test]
async fn credentials_and_body_are_sent_and_never_told() {
    let server = MockServer::start().await;
    let asked = Mock::given(method("POST")).and(path("/api/run")).and(header("authorization", "Basic bWU6cGFzcw=="));
    let asked = asked.and(body_string(r#"{"pod": "web-canary", "of": "web"}"#)).and(header("x-team", "shop"));
    asked.respond_with(json("0")).mount(&server).await;
    let directory = tempfile::tempdir().unwrap();
    let password_file = directory.path().join("password");
    std::fs::write(&password_file, "pass\n").unwrap();
    let basic_auth = Some(BasicAuth { username: "me".into(), password_file: password_file.clone() });
    let headers = [("X-Team".into(), "shop".into())].into();
    let endpoint = EndpointSettings { basic_auth, headers, ..settings(&server) };
    let body = Some(r#"{"pod": "{{pod}}", "of": "{{workload}}"}"#.into());
    let (path, pointer) = ("/run".into(), String::new());
    let check = HttpCheckSettings { method: Method::Post, path, body, pointer, ..at_most(0.0) };
    assert!(says(endpoint.clone(), check.clone()).await.starts_with("healthy: 0"));
    std::fs::write(&password_file, "pass\nsecret").unwrap();
    let said = says(endpoint, check).await;
    assert!(said.starts_with("unknown: not measured: tests ") && !said.contains("secret"), "{said}");
}

#[test]
fn no_path_leads_away_from_the_endpoint() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = || Arc::new(Endpoint::new(EndpointSettings::new("tests", "https://tests.example.com/api")).unwrap());
    let new =
        |path: &str| HttpCheck::new(HttpCheckSettings { path: path.into(), ..at_most(0.0) }, endpoint()).map(drop);
    for path in ["", "x", "//elsewhere", "/../admin", "/%2e%2e/admin", "/a/../../x", "@elsewhere/", "/\\..\\..\\x"] {
        assert_eq!(new(path), Err(CheckError::Path), "{path}");
    }
    for path in ["/", "/a/b?c=d", "/a/../b", "/@elsewhere"] {
        assert_eq!(new(path), Ok(()), "{path}");
    }
    let refused = |change: fn(&mut HttpCheckSettings)| {
        let mut settings = at_most(0.0);
        change(&mut settings);
        HttpCheck::new(settings, endpoint()).unwrap_err()
    };
    assert_eq!(refused(|s| s.body = Some("{}".into())), CheckError::Body);
    assert_eq!(refused(|s| s.pointer = "a".into()), CheckError::Pointer);
    assert_eq!(refused(|s| s.expected = Expected::Range { min: None, max: None }), CheckError::Range);
    assert_eq!(refused(|s| s.expected = Expected::Range { min: Some(2.0), max: Some(1.0) }), CheckError::Range);
}
