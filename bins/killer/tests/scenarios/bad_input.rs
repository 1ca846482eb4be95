//! Whatever is posted: a clear status, a counter, no panic, and the next request is served.

use crate::world::{World, post, webhook};
use kube::ResourceExt;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_posted_the_next_request_is_served() {
    let world = World::start(&[]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    let garbage: [Vec<u8>; 6] = [
        b"not json".to_vec(),
        b"[]".to_vec(),
        br#"{"text": "custom"}"#.to_vec(),
        b"{\"alerts\": [{\"labels\": {\"pod\": \"\xff\xfe\"}}]}".to_vec(),
        [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
        Vec::new(),
    ];
    for body in garbage {
        assert_eq!(
            post(world.listen, body.clone()).await,
            400,
            "{:?}",
            String::from_utf8_lossy(&body[..body.len().min(40)])
        );
    }
    // Alerts that name no pod that can be: each is refused, the webhook is taken.
    let mut odd = Vec::new();
    for (namespace, name) in [
        ("", "cart"),
        (world.namespace.as_str(), ""),
        (world.namespace.as_str(), "../../secrets/x"),
        (world.namespace.as_str(), "a%2fb"),
        ("no-such-namespace", "cart"),
        ("kube-system", "etcd-0"),
    ] {
        let mut alert = world.accusation(name);
        alert["labels"]["namespace"] = json!(namespace);
        odd.push(alert);
    }
    let mut long = world.accusation(&"a".repeat(300));
    odd.push(long.clone());
    long["labels"] = json!({});
    odd.push(long);
    let mut backwards = world.accusation("cart-1");
    backwards["endsAt"] = json!("2020-01-01T00:00:00Z");
    backwards["newField"] = json!({"deep": [1, 2, 3]});
    odd.push(backwards);
    assert_eq!(world.post(&odd).await, 200);
    assert_eq!(world.endings().await, Vec::<String>::new());
    for (reason, count) in [("NoPodLabel", 2), ("NoNamespaceLabel", 1), ("BadName", 3), ("NamespaceNotAllowed", 2)] {
        let metric = format!("canary_keeper_kill_alerts_total{{reason=\"{reason}\"}}");
        assert_eq!(world.metric(&metric).await, count, "{reason}");
    }
    assert!(world.requests().iter().all(|request| !request.is_write()));

    let mut truncated: serde_json::Value =
        serde_json::from_str(&webhook(&[world.accusation(&pod.name_any())])).unwrap();
    truncated["truncatedAlerts"] = json!(7);
    assert_eq!(post(world.listen, truncated.to_string()).await, 200);
    assert_eq!(world.metric("canary_keeper_kill_alerts_left_out_total").await, 7);
    world.until_endings(&["evicted"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_too_large_packed_or_slow_costs_only_itself() {
    let world = World::start(&["--max-body", "1MiB"]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    assert_eq!(post(world.listen, vec![b' '; 2 << 20]).await, 413);
    let packed = reqwest::Client::new()
        .post(format!("http://{}/kill", world.listen))
        .header("content-encoding", "gzip")
        .body(vec![0x1f, 0x8b, 8, 0])
        .send();
    assert_eq!(packed.await.unwrap().status().as_u16(), 415);
    // A byte a second, while others are served.
    let mut slow = tokio::net::TcpStream::connect(world.listen).await.unwrap();
    slow.write_all(b"POST /kill HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
    let begun = Instant::now();
    let dripping = tokio::spawn(async move {
        let mut answer = String::new();
        for _ in 0..40 {
            if slow.write_all(b" ").await.is_err() {
                break;
            }
            let reading = tokio::time::timeout(Duration::from_secs(1), slow.read_to_string(&mut answer)).await;
            if reading.is_ok() {
                break;
            }
        }
        answer
    });
    assert_eq!(world.post(&[world.accusation(&pod.name_any())]).await, 200);
    world.until_endings(&["evicted"]).await;
    let answer = dripping.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(begun.elapsed() >= Duration::from_secs(14), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_alerts_in_one_body_are_taken() {
    let world = World::start(&["--max-body", "32MiB"]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    let mut alerts: Vec<_> = (0..19_999).map(|index| world.accusation(&format!("gone-{index}"))).collect();
    for alert in &mut alerts {
        alert["annotations"]["description"] = json!("x".repeat(450));
    }
    alerts.push(world.accusation(&pod.name_any()));
    let body = webhook(&alerts);
    assert!(body.len() > 13_000_000, "{}", body.len());
    assert_eq!(post(world.listen, body).await, 200);
    world.until_endings(&["evicted"]).await;
    assert_eq!(world.metric("canary_keeper_kill_alerts_total{reason=\"Gone\"}").await, 19_999);
}
