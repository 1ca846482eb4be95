//! `kubectl logs`, of files that a node would write.

use std::io::Write;
use std::time::Duration;

use keeper_sandbox::api::log_file_name;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::api_support::{MERGE, pod};
use super::tool::Kubectl;

pub(crate) async fn logs_follow_select_and_look_back(k: &Kubectl) {
    for name in ["p", "q"] {
        let mut body = pod(name);
        body["spec"]["nodeName"] = json!("n");
        k.api().post(&k.api().core("pods"), body).await.expect(201);
    }
    let file = k.logs().join(log_file_name(&k.namespace, "p", "c"));
    std::fs::write(&file, "one\ntwo\nthree\n").unwrap();
    std::fs::write(k.logs().join(log_file_name(&k.namespace, "q", "c")), "other\n").unwrap();
    assert_eq!(k.run("logs p").await, "one\ntwo\nthree\n");
    assert_eq!(k.run("logs p -c c --tail=1").await, "three\n");
    // Which pod comes first is kubectl's chance.
    let selected = k.run("logs -l app=web --prefix").await;
    let of = |prefix: &str| selected.lines().filter_map(|l| l.strip_prefix(prefix)).collect::<Vec<_>>().join(" ");
    assert_eq!((of("[pod/p/c] ").as_str(), of("[pod/q/c] ").as_str()), ("one two three", "other"));
    let wrong = k.fails("logs p -c none").await;
    assert!(wrong.contains("container none is not valid for pod p"), "{wrong}");

    let mut child = k.command("logs p -f --tail=1").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next =
        async || tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.expect("a line").unwrap();
    assert_eq!(next().await.as_deref(), Some("three"));
    std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"four\n").unwrap();
    assert_eq!(next().await.as_deref(), Some("four"));
    k.api().delete(&k.api().core("pods/p"), json!({ "gracePeriodSeconds": 0 })).await.expect(200);
    assert_eq!(next().await, None, "a followed log ends with its pod");

    let none = k.fails("logs q --previous").await;
    assert!(none.contains("previous terminated container \"c\" in pod \"q\" not found"), "{none}");
    let restarted = json!({ "status": { "containerStatuses": [{
        "name": "c", "ready": true, "restartCount": 1, "image": "", "imageID": "",
        "state": { "running": {} }, "lastState": { "terminated": { "exitCode": 1 } },
    }] } });
    k.api().patch(&k.api().core("pods/q/status"), MERGE, restarted).await.expect(200);
    std::fs::write(k.logs().join(format!("{}_q_c.previous.log", k.namespace)), "before\n").unwrap();
    assert_eq!(k.run("logs q --previous").await, "before\n");
    assert_eq!(k.run("logs q").await, "other\n");
}
