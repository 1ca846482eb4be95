//! Whatever others write: a clear reason on that workload alone, a clear answer to that request, and all else goes on.

use crate::world::{Start, World, creations, deployments, promotions};
use jiff::Timestamp;
use keeper_sandbox::registry::{Fault, FaultKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A workload with something wrong, and what must be said of it.
struct Sick {
    name: &'static str,
    deployment: Value,
    phase: &'static str,
    reason: &'static str,
    /// What the Event must contain: the field, and what is wrong with it.
    words: [&'static str; 2],
}

fn sick(world: &World, digest: &str) -> Vec<Sick> {
    let with = |name: &'static str, annotations: &[(&str, &str)], words: [&'static str; 2]| Sick {
        name,
        deployment: world.deployment(name, digest, 1, annotations),
        phase: "Held",
        reason: "InvalidPlan",
        words,
    };
    let unknown = |name: &'static str, tag: &str, words: [&'static str; 2]| Sick {
        phase: "Settled",
        reason: "WantedUnknown",
        ..with(name, &[("canary-image", &world.registry().pull_spec("shop", tag))], words)
    };
    let two = |mut sick: Sick| {
        let containers = sick.deployment.pointer_mut("/spec/template/spec/containers").unwrap().as_array_mut().unwrap();
        let mut second = containers[0].clone();
        second["name"] = json!("sidecar");
        second["ports"] = json!([]);
        containers.push(second);
        sick
    };
    let long = "#".repeat(200_000);
    vec![
        two(with("container-missing", &[], ["annotation canary-name", "is missing, and there are 2 containers"])),
        two(with("container-unknown", &[("canary-name", "shp")], ["annotation canary-name", "there is no container"])),
        with("image-unparsable", &[("canary-image", "no image at all")], ["annotation canary-image", ""]),
        with("image-blank", &[("canary-image", " ")], ["annotation canary-image", "is missing"]),
        with(
            "annotation-long",
            &[("canary-keeper.dev/checks", &long)],
            ["canary-keeper.dev/checks", "200000 bytes long"],
        ),
        with("duration-negative", &[("canary-duration", "-5m")], ["annotation canary-duration", "is negative"]),
        with("duration-absurd", &[("canary-duration", "99999h")], ["annotation canary-duration", "is longer than 7d"]),
        with("duration-none", &[("canary-duration", "soon")], ["annotation canary-duration", "is not a duration"]),
        with(
            "check-unknown",
            &[("canary-keeper.dev/checks", "- kind: mood")],
            ["canary-keeper.dev/checks", "is not known"],
        ),
        with("key-unknown", &[("canary-keeper.dev/check", "[]")], ["canary-keeper.dev/check", "is not known"]),
        with("matcher-bad", &[("canary-keeper.dev/alert-matchers", "team")], ["canary-keeper.dev/alert-matchers", ""]),
        unknown("tag-absent", "absent", ["shop:absent", "does not exist"]),
        unknown("registry-html", "html", ["shop:html", "does not answer like a registry"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_owner_writes_wrong_is_said_there_and_holds_up_nobody_else() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.registry().inject(Fault { kind: FaultKind::Html, method: None, path: "/manifests/html".into(), times: None });
    world.deploy(&old, 2, &[]).await;
    let all = sick(&world, &old);
    for one in &all {
        world.create(&deployments(), one.deployment.clone()).await;
    }
    world.start_operator();
    let pid = world.operator_pid();
    let new = world.push("2", &[]);
    world.until_promoted(&new).await;

    for one in &all {
        let wanted = (one.phase.to_owned(), one.reason.to_owned());
        world.until(&format!("{} shows {wanted:?}", one.name), async || world.shown_of(one.name).await == wanted).await;
        let events = world.events_of(one.name).await;
        let [(reason, note)] = &events[..] else { panic!("one Event, no more: {}: {events:?}", one.name) };
        assert_eq!(reason, one.reason);
        assert!(one.words.iter().all(|words| note.contains(words)), "{}: {note}", one.name);
        assert!(note.len() < 600, "{}: {note}", one.name);
    }
    let requests = world.requests();
    assert_eq!(creations(&requests).len(), 1, "only the healthy one's canary");
    assert_eq!(promotions(&requests).len(), 1);
    assert!(world.events().await.iter().all(|(reason, _)| reason != "Failed"));
    said_once(&world, &all).await;

    // Another mistake is told too; mended, it is well.
    correct(&world, "duration-negative", json!({"canary-duration": "5"})).await;
    world
        .until("the new mistake is told", async || {
            world.events_of("duration-negative").await.iter().any(|(_, note)| note.contains("has no unit"))
        })
        .await;
    correct(&world, "duration-negative", json!({"canary-duration": "2s"})).await;
    let image = world.image(&new);
    world
        .until("the mended one ships", async || {
            world.workload("duration-negative").await.data.to_string().contains(&image)
        })
        .await;
    lives(&world, pid);
}

/// No complaint is told again while nothing changes.
async fn said_once(world: &World, all: &[Sick]) {
    let then = world.proxy.requests().total();
    world.registry_intervals(3).await;
    let mut since: BTreeMap<String, usize> = BTreeMap::new();
    for request in world.proxy.requests().after(then) {
        let of = all.iter().find(|one| request.name.starts_with(one.name));
        *since.entry(of.map(|one| one.name.to_owned()).unwrap_or_default()).or_default() += 1;
    }
    since.remove("");
    assert!(since.is_empty(), "{since:?}\n{}", world.report().await);
}

async fn correct(world: &World, name: &str, annotations: Value) {
    world.patch_named(name, json!({"metadata": {"annotations": annotations}})).await;
}

fn lives(world: &World, pid: u32) {
    assert!(world.operator_lives(), "{}", world.log());
    assert_eq!(world.operator_pid(), pid);
    assert!(!world.log().contains("panicked"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_are_none_are_answered_clearly() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[("canary-duration", "10m")]).await;
    world.start_operator();
    world.operator_ready().await;
    let pid = world.operator_pid();
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;

    for garbage in ["", "not JSON", "[]", "{\"alerts\": 7}", "\u{feff}{}", "{\"alerts\":[{\"labels\":"] {
        assert_eq!(world.post_alerts(garbage).await, 400, "{garbage:?}");
    }
    assert_eq!(world.post_alerts(vec![0xff_u8; 1000]).await, 400);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(world.post_alerts(format!("{{\"alerts\": {deep}}}")).await, 400);

    let began = Instant::now();
    assert_eq!(declared(&world, 50 << 20).await, 413);
    assert!(began.elapsed() < Duration::from_secs(2), "answered before the body is sent: {:?}", began.elapsed());
    assert_eq!(streamed(&world, 50 << 20).await, 413);

    let unlabelled = json!({"version": "4", "status": "firing", "alerts": [
        {"status": "firing", "labels": {}, "startsAt": Timestamp::now().to_string(), "fingerprint": "1"},
        {"status": "firing", "startsAt": Timestamp::now().to_string()},
    ]});
    assert_eq!(world.post_alerts(unlabelled.to_string()).await, 200);
    let counted = async || -> f64 {
        let text = reqwest::get(format!("http://{}/metrics", world.admin)).await.unwrap().text().await.unwrap();
        let of = text.lines().filter(|line| line.starts_with("canary_keeper_alerts_total"));
        of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    assert_eq!(counted().await, 2.0, "both alerts are counted");

    assert_eq!(
        world.state().await,
        ("incubating".to_owned(), new.clone()),
        "nothing of that speaks against the canary"
    );
    world.annotate(json!({"canary-keeper.dev/promote": new})).await;
    world.until_promoted(&new).await;
    lives(&world, pid);
}

/// The answer to a body whose length is declared, before it is sent.
async fn declared(world: &World, length: usize) -> u16 {
    let head = format!("content-length: {length}");
    let mut stream = open(world, &head).await;
    status(&mut stream).await
}

/// The answer to a body in chunks, of which nobody knows how long it gets.
async fn streamed(world: &World, length: usize) -> u16 {
    let mut stream = open(world, "transfer-encoding: chunked").await;
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x1_0000], b"\r\n"].concat();
    let (mut answer, mut body) = stream.split();
    let sending = async {
        for _ in 0..length / 0x1_0000 {
            // The server may close as soon as it has answered.
            if body.write_all(&chunk).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(status(&mut answer), sending).0
}

async fn open(world: &World, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.alerts).await.unwrap();
    let request = format!("POST /alerts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{head}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn status(stream: &mut (impl AsyncRead + Unpin)) -> u16 {
    let mut line = [0; 12];
    tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut line)).await.unwrap().unwrap();
    std::str::from_utf8(&line[9..]).unwrap().parse().unwrap()
}
