//! ReplicaSet and ReplicationController: counts, which pod goes first, adoption and release.

use serde_json::{Value, json};

use super::script;
use crate::kinds::*;
use crate::kubelet::name;
use crate::run::Run;

const SET: &[Kind] = &[SETS, PODS];

fn app() -> Value {
    json!({ "app": "web" })
}

async fn mark(run: &Run, pod: &Value, more: Value) {
    run.patch(PODS, &name(pod), json!({ "metadata": { "annotations": more } })).await;
}

/// A ReplicationController.
fn replication(name: &str, replicas: i64) -> Value {
    let spec = json!({ "replicas": replicas, "template": template(name, "1") });
    REPLICATIONS.object(json!({ "name": name }), json!({ "spec": spec }))
}

script!(replica_set_chooses_whom_to_delete, SET, |run| {
    run.create(SETS, replica_set(6, json!({}))).await;
    run.settle("created").await;
    let pods = run.pods(|_| true).await;
    let cost = "controller.kubernetes.io/pod-deletion-cost";
    for (i, pod) in pods.iter().enumerate().skip(1) {
        // Of the two plain ones chance decides.
        let number = i.min(4).to_string();
        let more = json!({ "number": number, cost: match i { 2 => json!("-5"), 3 => json!("5"), _ => json!(null) } });
        mark(&run, pod, more).await;
        run.set_ready(&name(pod), i != 1).await;
    }
    mark(&run, &pods[0], json!({ "number": "0", cost: "100" })).await;
    run.settle("pending, unready, cheap, dear, two plain ones").await;
    for replicas in (1..=5).rev() {
        run.patch(SETS, "web", json!({ "spec": { "replicas": replicas } })).await;
        run.settle(&format!("{replicas} left")).await;
    }
});

script!(replica_set_replaces_what_ended, SET, |run| {
    run.create(SETS, replica_set(2, json!({}))).await;
    run.settle("created").await;
    run.bind_all().await;
    run.ready(2, |_| true).await;
    run.settle("all ready").await;
    let first = name(&run.pods(|_| true).await[0]);
    run.finish(&first, 1).await;
    run.settle("one failed").await;
    run.delete(PODS, &first, json!({})).await;
    run.settle("the failed one deleted").await;
    let second = name(&run.pods(crate::kubelet::is_ready).await[0]);
    run.delete(PODS, &second, json!({})).await;
    run.settle("the other one leaving").await;
    run.see_off().await;
    run.settle("it is gone").await;
});

script!(replica_set_adopts_and_releases, &[SETS, REPLICATIONS, PODS], |run| {
    run.create(PODS, pod("early", app())).await;
    let mut stranger = pod("stranger", json!({ "app": "other" }));
    stranger["metadata"]["annotations"] = json!({ "controller.kubernetes.io/pod-deletion-cost": "9" });
    run.create(PODS, stranger).await;
    let owner = run.create(REPLICATIONS, replication("rc", 0)).await;
    let mut owned = pod("owned", app());
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ReplicationController", "name": "rc", "uid": owner["metadata"]["uid"],
        "controller": true,
    }]);
    run.create(PODS, owned).await;
    run.rest().await;
    run.create(SETS, replica_set(2, json!({}))).await;
    run.settle("created beside pods that match").await;
    run.patch(PODS, "early", json!({ "metadata": { "labels": { "app": "other" } } })).await;
    run.settle("an adopted one does not match any more").await;
    run.ready(9, |_| true).await;
    run.settle("all ready").await;
});

script!(replica_set_counts_labels, SET, |run| {
    let mut set = replica_set(2, json!({}));
    set["spec"]["template"]["metadata"]["labels"]["more"] = json!("1");
    set["spec"]["template"]["metadata"]["annotations"] = json!({ "kept": "yes" });
    run.create(SETS, set).await;
    run.settle("created").await;
    let first = name(&run.pods(|_| true).await[0]);
    run.patch(PODS, &first, json!({ "metadata": { "labels": { "more": null } } })).await;
    run.settle("a pod lost a label that the selector does not need").await;
    run.patch(SETS, "web", json!({ "spec": { "replicas": 0 } })).await;
    run.settle("none").await;
});

script!(replica_set_is_orphaned, SET, |run| {
    run.create(SETS, replica_set(2, json!({}))).await;
    run.settle("created").await;
    run.delete(SETS, "web", json!({ "propagationPolicy": "Orphan" })).await;
    run.until("it is gone", SETS, <[Value]>::is_empty).await;
    run.settle("orphaned").await;
    run.create(SETS, replica_set(3, json!({}))).await;
    run.settle("a new one takes them in").await;
});

script!(replication_controller_keeps_its_count, &[REPLICATIONS, PODS], |run| {
    let mut early = pod("early", app());
    early["metadata"]["annotations"] = json!({ "controller.kubernetes.io/pod-deletion-cost": "9" });
    run.create(PODS, early).await;
    run.rest().await;
    run.create(REPLICATIONS, replication("web", 3)).await;
    run.settle("created").await;
    run.ready(3, |_| true).await;
    run.settle("all ready").await;
    run.patch(REPLICATIONS, "web", json!({ "spec": { "replicas": 1 } })).await;
    run.settle("scaled down").await;
    let last = name(&run.pods(|_| true).await[0]);
    run.delete(PODS, &last, json!({})).await;
    run.settle("the last one deleted").await;
});
