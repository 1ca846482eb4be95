//! What no good client sends: every answer is one of the real server's, nothing grows without bound, and nobody else is
//! disturbed. Which code and words the real server has for it is compared in `tests/truth`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod api_support;

use std::time::{Duration, Instant};

use api_support::{Api, JSON, JSON_PATCH, MERGE, STRATEGIC};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MEDIA: [&str; 9] = [
    JSON,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/apply-patch+yaml",
    "text/plain",
    "",
];

/// The configmap `a` still is as it was made, and can be read at once.
async fn undisturbed(api: &Api, made: &Value) {
    let asked = Instant::now();
    // By a connection of its own: one that a refused body was sent on may be at its end.
    let answer = reqwest::get(format!("{}{}", api.url, api.core("configmaps/a"))).await.unwrap();
    assert_eq!(&answer.json::<Value>().await.unwrap(), made);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn malformed_bodies_of_every_content_type_are_refused_and_change_nothing() {
    let api = Api::sandbox().await;
    let made = api.config_map("a", json!({ "k": "v" })).await;
    let mut bodies: Vec<Vec<u8>> =
        ["", "{", "[[", "nul", "\"", "{\"metadata\":{\"name\":", "k8s\0\u{1}", "a: b: c", "- - -", "\u{0}\u{0}"]
            .map(|text| text.as_bytes().to_vec())
            .to_vec();
    bodies.push(vec![0xff; 1000]);
    bodies.push(b"[".repeat(100_000));
    bodies.extend((0..40).map(|i| (0..i * 7).map(|_| rand::random::<u8>()).collect()));
    let mut asked = 0;
    for media in MEDIA {
        for body in &bodies {
            for (method, path) in [("POST", "configmaps"), ("PUT", "configmaps/a"), ("PATCH", "configmaps/a")] {
                let answer = api.send(method, &api.core(path), media, body.clone()).await;
                let told = format!("{method} {media:?} {body:?}: {}", answer.body);
                assert!(matches!(answer.code, 400 | 415 | 422), "{} {told}", answer.code);
                assert_eq!(answer.body["kind"], "Status", "{told}");
                assert!(answer.body["message"].as_str().is_some_and(|message| message.len() < 10_000), "{told}");
                asked += 1;
            }
        }
    }
    println!("{asked} malformed bodies refused");
    undisturbed(&api, &made).await;
    api.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_have_the_real_servers_status() {
    let api = Api::either().await;
    api.config_map("a", json!({})).await;
    for path in [
        "/nonsense",
        "/api/v1/nonsense",
        "/apis/none.example.com/v1/things",
        "/api/v1/pods/x/y/z/w",
        "/apis/apps/v7/deployments",
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let answer = api.send(method, path, JSON, "{}").await;
            assert_eq!(answer.code, 404, "{method} {path}: {}", answer.body);
        }
    }
    for (method, path) in [
        ("POST", "configmaps/a"),
        ("PUT", "configmaps"),
        ("PATCH", "configmaps"),
        ("HEAD", "configmaps/a"),
        ("TRACE", "configmaps"),
        ("NONSENSE", "configmaps/a"),
    ] {
        let answer = api.send(method, &api.core(path), JSON, "{}").await;
        assert_eq!(answer.code, 405, "{method} {path}: {}", answer.body);
    }
    api.stop().await;
}

#[tokio::test]
async fn names_selectors_and_versions_out_of_bounds_are_answered() {
    let api = Api::either().await;
    let long = "n".repeat(300);
    api.post(&api.core("configmaps"), json!({ "metadata": { "name": long } })).await.refused(
        422,
        "Invalid",
        "must be no more than 253",
    );
    api.get(&api.core(&format!("configmaps/{long}"))).await.refused(404, "NotFound", &long);
    let many: Vec<String> = (0..4000).map(|i| format!("k{i}!=v")).collect();
    let selected = api.core(&format!("configmaps?labelSelector={}", many.join(",")));
    assert!(api.get(&selected).await.expect(200)["items"].is_array());
    for (version, code) in [("nonsense", 500), ("-1", 500), ("1.5", 500), ("99999999999999999999999", 500)] {
        let answer = api.get(&api.core(&format!("configmaps?watch=1&resourceVersion={version}"))).await;
        assert_eq!(answer.code, code, "{version}: {}", answer.body);
    }
    api.get(&api.core("configmaps?resourceVersion=9000000000000000")).await.refused(504, "Timeout", "Too large");
    api.stop().await;
}

/// `http` takes no longer target than 64 KiB; the real server takes 1 MiB of headers. Either says so, and closes nothing
/// else.
#[tokio::test]
async fn a_target_that_is_too_long_is_refused_by_its_length() {
    let api = Api::sandbox().await;
    let made = api.config_map("a", json!({})).await;
    let host = api.url.strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&host).await.unwrap();
    let request = format!("GET /api/v1/configmaps?labelSelector={} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer:?}");
    undisturbed(&api, &made).await;
    api.stop().await;
}

/// A server that refuses a body in the midst of it may be gone before its answer is read: then it is asked once more.
async fn refused_at_last(api: &Api, method: &str, path: &str, media: &str, body: &str) -> api_support::Answer {
    for _ in 0..50 {
        if let Ok(answer) = api.try_send(method, path, media, body.to_owned()).await {
            return answer;
        }
    }
    panic!("{method} {path} was never answered")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_beyond_the_limit_are_refused_while_others_are_served() {
    let api = Api::sandbox().await;
    let made = api.config_map("a", json!({ "k": "v" })).await;
    let large = format!("{{\"metadata\":{{\"name\":\"large\"}},\"data\":{{\"k\":\"{}\"}}}}", "v".repeat(4 << 20));
    let sends = MEDIA.iter().flat_map(|media| {
        ["POST configmaps", "PUT configmaps/a", "PATCH configmaps/a", "DELETE configmaps/a"].map(|request| {
            let (method, path) = request.split_once(' ').unwrap();
            let (api, large) = (&api, large.clone());
            async move { refused_at_last(api, method, &api.core(path), media, &large).await }
        })
    });
    let (answers, ()) = tokio::join!(futures::future::join_all(sends), undisturbed(&api, &made));
    println!("{} bodies of 4 MiB refused", answers.len());
    for answer in answers {
        assert_eq!(answer.code, 413, "{}", answer.body);
        assert!(answer.body["message"].as_str().unwrap().contains("limit is 3145728"), "{}", answer.body);
    }
    undisturbed(&api, &made).await;
    api.stop().await;
}

/// Events of the test below, each of some 20 KB.
const EVENTS: usize = 3000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_its_watch_is_given_up_and_no_other_notices() {
    let api = Api::sandbox().await;
    let made = api.config_map("a", json!({ "k": "v" })).await;
    let watch = api.core("configmaps?watch=1&fieldSelector=metadata.name%3Dbusy");
    let host = api.url.strip_prefix("http://").unwrap().to_owned();
    let mut stalled = TcpStream::connect(&host).await.unwrap();
    stalled.write_all(format!("GET {watch} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut lines = api.open(&watch).await;
    let reader = tokio::spawn(async move {
        let mut seen = 0;
        while seen < EVENTS {
            assert!(lines.next().await.is_some(), "the good watch ended after {seen} events");
            seen += 1;
        }
        seen
    });
    api.config_map("busy", json!({ "n": "0" })).await;
    let path = api.core("configmaps/busy");
    let mut slowest = Duration::ZERO;
    for n in 1..EVENTS {
        let sent = Instant::now();
        let data = json!({ "data": { "n": format!("{n}"), "large": "v".repeat(20_000) } });
        api.patch(&path, MERGE, data).await.expect(200);
        slowest = slowest.max(sent.elapsed());
    }
    assert_eq!(reader.await.unwrap(), EVENTS, "the other watch is told everything");
    undisturbed(&api, &made).await;
    // Two looks of the server at its watches, on a busy machine.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut rest = Vec::new();
    // HTTP/1.1 leaves the connection open behind the last chunk.
    let _ = tokio::time::timeout(Duration::from_secs(3), stalled.read_to_end(&mut rest)).await;
    let kept = rest.iter().filter(|b| **b == b'\n').count();
    println!(
        "of {EVENTS} events the client that did not read was kept {} KB, some {} events; the slowest write took {slowest:?}",
        rest.len() / 1024,
        rest.len() / 20_000,
    );
    assert!(rest.ends_with(b"0\r\n\r\n"), "the watch has ended: {kept} lines");
    assert!(rest.len() < EVENTS * 20_000 / 2, "{} bytes were kept", rest.len());
    api.stop().await;
}

#[tokio::test]
async fn what_is_left_out_says_so() {
    let api = Api::sandbox().await;
    let applied = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";
    for media in ["application/apply-patch+yaml", "application/apply-patch+cbor"] {
        api.send("PATCH", &api.core("configmaps/a?fieldManager=m"), media, applied).await.refused(
            415,
            "UnsupportedMediaType",
            "server-side apply is not part of the sandbox",
        );
    }
    for (path, said) in [
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "access control is not part of the sandbox"),
        ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "access control is not part of the sandbox"),
        ("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", "admission is not part of the sandbox"),
    ] {
        let answer = api.post(path, json!({})).await.expect(501);
        assert!(answer["message"].as_str().unwrap().contains(said), "{answer}");
    }
    let protobuf = api.get_as(&api.core("configmaps"), "application/vnd.kubernetes.protobuf").await;
    assert_eq!((&protobuf["code"], &protobuf["reason"]), (&json!(406), &json!("NotAcceptable")), "{protobuf}");
    api.stop().await;
}
