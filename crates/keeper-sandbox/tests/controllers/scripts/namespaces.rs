//! The end of a namespace: contents first, `status.conditions` that say what is left.

use serde_json::{Value, json};

use super::script;
use crate::kinds::*;
use crate::run::Run;

/// The namespace itself, with what its end depends on.
async fn shown(run: &mut Run, step: &str) {
    let (code, namespace) =
        run.cluster.send("GET", &format!("/api/v1/namespaces/{}", run.cluster.namespace), None).await;
    let mut conditions = namespace["status"]["conditions"].as_array().cloned().unwrap_or_default();
    for condition in &mut conditions {
        condition.as_object_mut().unwrap().remove("lastTransitionTime");
    }
    conditions.sort_by_key(Value::to_string);
    run.note(
        step,
        json!({
            "code": code, "phase": namespace["status"]["phase"], "conditions": conditions,
            "finalizers": namespace["spec"]["finalizers"], "leaving": crate::kubelet::is_leaving(&namespace),
        }),
    );
}

async fn delete(run: &Run) {
    run.cluster.must("DELETE", &format!("/api/v1/namespaces/{}", run.cluster.namespace), None).await;
}

async fn gone(run: &Run) {
    let path = format!("/api/v1/namespaces/{}", run.cluster.namespace);
    let start = std::time::Instant::now();
    while run.cluster.send("GET", &path, None).await.0 != 404 {
        assert!(start.elapsed() < std::time::Duration::from_secs(90), "the namespace stays");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn until_told(run: &Run, reason: &str) {
    let path = format!("/api/v1/namespaces/{}", run.cluster.namespace);
    let start = std::time::Instant::now();
    loop {
        let namespace = run.cluster.send("GET", &path, None).await.1;
        let conditions = namespace["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if conditions.iter().any(|condition| condition["reason"] == reason) {
            return;
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "{reason} is not told: {namespace}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

script!(namespace_goes_with_its_contents, &[DEPLOYMENTS, SETS, PODS], |run| {
    run.create(DEPLOYMENTS, deployment(2, json!({}))).await;
    run.settle("a Deployment in it").await;
    shown(&mut run, "it lives").await;
    delete(&run).await;
    let refused = pod("late", json!({}));
    let (code, answer) = run.cluster.send("POST", &run.cluster.path(PODS, ""), Some(refused)).await;
    run.note("nothing more is made in it", json!({ "code": code, "cause": answer["details"]["causes"][0]["reason"] }));
    gone(&run).await;
    run.settle("all is gone").await;
});

script!(namespace_waits_for_finalizers, &[PODS], |run| {
    let kept = json!({ "name": "kept", "finalizers": ["example.com/kept"] });
    run.create(CONFIG_MAPS, CONFIG_MAPS.object(kept, json!({}))).await;
    run.create(CONFIG_MAPS, CONFIG_MAPS.object(json!({ "name": "plain" }), json!({}))).await;
    delete(&run).await;
    until_told(&run, "SomeFinalizersRemain").await;
    shown(&mut run, "one object waits").await;
    run.patch(CONFIG_MAPS, "kept", json!({ "metadata": { "finalizers": null } })).await;
    gone(&run).await;
});

script!(namespace_waits_for_pods, &[PODS], |run| {
    run.create(PODS, pod("slow", json!({}))).await;
    run.create(CONFIG_MAPS, CONFIG_MAPS.object(json!({ "name": "plain" }), json!({}))).await;
    run.bind_all().await;
    run.set_ready("slow", true).await;
    delete(&run).await;
    run.until("the pod is leaving", PODS, |pods| pods.iter().all(crate::kubelet::is_leaving)).await;
    until_told(&run, "ContentDeleted").await;
    let maps = run.cluster.get(CONFIG_MAPS, "plain").await;
    run.note("pods go before everything else", json!({ "the other object is there": maps.is_some() }));
    shown(&mut run, "a pod is leaving").await;
    run.see_off().await;
    gone(&run).await;
});
