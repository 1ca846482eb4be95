//! Disruption budgets: what their status says, and evictions.

use serde_json::{Value, json};

use super::script;
use crate::kinds::*;
use crate::kubelet::{is_ready, name};
use crate::run::Run;

const LOOKED_AT: &[Kind] = &[BUDGETS];

fn budget(name: &str, more: Value) -> Value {
    let mut spec = json!({ "selector": { "matchLabels": { "app": "web" } } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    BUDGETS.object(json!({ "name": name }), json!({ "spec": spec }))
}

async fn evict(run: &mut Run, step: &str, pod: &str) {
    let path = format!("{}/eviction", run.cluster.path(PODS, pod));
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod } });
    let (code, answer) = run.cluster.send("POST", &path, Some(body)).await;
    let cause = answer.pointer("/details/causes/0/message").cloned();
    run.note(step, json!({ "code": code, "cause": cause }));
}

/// One budget after the other: a pod wakes only one of several that select it.
async fn each(run: &mut Run, step: &str, bounds: &[Value]) {
    for bound in bounds {
        run.create(BUDGETS, budget("web", bound.clone())).await;
        run.settle(&format!("{step}: {bound}")).await;
        run.delete(BUDGETS, "web", json!({})).await;
    }
}

script!(budget_counts_a_deployment, LOOKED_AT, |run| {
    let bounds = [
        json!({ "minAvailable": 2 }),
        json!({ "minAvailable": "50%" }),
        json!({ "maxUnavailable": 1 }),
        json!({ "maxUnavailable": "34%" }),
        json!({ "minAvailable": "100%" }),
        json!({}),
    ];
    each(&mut run, "no pods", &bounds).await;
    run.create(DEPLOYMENTS, deployment(3, json!({}))).await;
    run.until("pods", PODS, |pods| pods.len() == 3).await;
    run.ready(2, |_| true).await;
    each(&mut run, "two of three ready", &bounds).await;
    run.ready(1, |_| true).await;
    each(&mut run, "all ready", &bounds).await;
});

script!(budget_follows_a_deployment, LOOKED_AT, |run| {
    run.create(BUDGETS, budget("web", json!({ "minAvailable": "50%" }))).await;
    run.settle("no pods").await;
    run.create(DEPLOYMENTS, deployment(3, json!({}))).await;
    run.settle("three pods, none ready").await;
    for ready in 1..=3 {
        run.ready(1, |_| true).await;
        run.settle(&format!("{ready} ready")).await;
    }
    run.patch(BUDGETS, "web", json!({ "spec": { "minAvailable": 1 } })).await;
    run.settle("the budget changed").await;
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "replicas": 5 } })).await;
    run.settle("scaled, two not ready").await;
});

script!(budget_without_controllers, LOOKED_AT, |run| {
    let bounds = [json!({ "minAvailable": 2 }), json!({ "minAvailable": "50%" }), json!({ "maxUnavailable": 1 })];
    for name in ["a", "b", "c"] {
        run.create(PODS, pod(name, json!({ "app": "web" }))).await;
        run.set_ready(name, true).await;
    }
    run.rest().await;
    each(&mut run, "bare pods", &bounds).await;
    run.finish("a", 0).await;
    run.rest().await;
    each(&mut run, "one ended", &bounds).await;
});

script!(budget_for_other_controllers, LOOKED_AT, |run| {
    run.create(BUDGETS, budget("web", json!({ "maxUnavailable": 1 }))).await;
    let spec = json!({ "replicas": 2, "template": template("web", "1") });
    run.create(REPLICATIONS, REPLICATIONS.object(json!({ "name": "web" }), json!({ "spec": spec }))).await;
    run.settle("a replication controller").await;
    run.ready(2, |_| true).await;
    run.settle("ready").await;
});

script!(budget_for_a_job, LOOKED_AT, |run| {
    run.create(BUDGETS, budget("web", json!({ "maxUnavailable": 1 }))).await;
    let mut template = template("web", "1");
    template["spec"]["restartPolicy"] = json!("Never");
    run.create(JOBS, JOBS.object(json!({ "name": "web" }), json!({ "spec": { "template": template } }))).await;
    run.until("its pod", PODS, |pods| pods.len() == 1).await;
    run.settle("a job has no scale").await;
});

script!(budget_is_spent, LOOKED_AT, |run| {
    run.create(DEPLOYMENTS, deployment(3, json!({}))).await;
    run.create(BUDGETS, budget("web", json!({ "maxUnavailable": 1 }))).await;
    run.until("pods", PODS, |pods| pods.len() == 3).await;
    run.bind_all().await;
    run.ready(3, |_| true).await;
    run.settle("all ready").await;
    let first = name(&run.pods(is_ready).await[0]);
    evict(&mut run, "the first is evicted", &first).await;
    run.settle("it is leaving").await;
    let second = name(&run.pods(is_ready).await[0]);
    evict(&mut run, "the second is not", &second).await;
    run.see_off().await;
    run.settle("the first is gone").await;
    run.ready(1, |_| true).await;
    run.settle("its successor is ready").await;
    evict(&mut run, "now the second is", &second).await;
    run.settle("it is leaving, too").await;
});
