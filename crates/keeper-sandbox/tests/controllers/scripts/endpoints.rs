//! EndpointSlice: which pods, as what, on which ports.

use serde_json::{Value, json};

use super::script;
use crate::kinds::*;
use crate::run::Run;

const LOOKED_AT: &[Kind] = &[SLICES];

fn app() -> Value {
    json!({ "app": "web" })
}

fn service(more: Value) -> Value {
    let mut spec = json!({ "selector": app(), "ports": [{ "port": 80, "targetPort": 8080 }] });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    SERVICES.object(json!({ "name": "web", "labels": { "team": "a" } }), json!({ "spec": spec }))
}

/// A pod that declares a port called `http`.
fn with_port(name: &str, port: u16) -> Value {
    let mut pod = pod(name, app());
    pod["spec"]["containers"][0]["ports"] = json!([{ "name": "http", "containerPort": port }]);
    pod
}

async fn three(run: &mut Run) {
    for name in ["a", "b", "c"] {
        run.create(PODS, pod(name, app())).await;
    }
    run.bind_all().await;
}

script!(slices_say_ready_serving_terminating, LOOKED_AT, |run| {
    run.create(SERVICES, service(json!({}))).await;
    run.settle("a service without pods").await;
    three(&mut run).await;
    run.settle("pods without address").await;
    run.create(PODS, pod("lost", app())).await;
    run.set_ready("lost", true).await;
    run.settle("a pod without node").await;
    run.set_ready("a", true).await;
    run.set_ready("b", false).await;
    run.settle("one ready, one not, one without address").await;
    run.set_ready("b", true).await;
    run.set_ready("c", true).await;
    run.settle("all ready").await;
    run.delete(PODS, "a", json!({})).await;
    run.settle("one terminating and still serving").await;
    run.set_ready("a", false).await;
    run.settle("it does not serve any more").await;
    run.see_off().await;
    run.settle("it is gone").await;
    run.finish("b", 0).await;
    run.settle("another one ended").await;
    run.patch(PODS, "c", json!({ "metadata": { "labels": { "app": "other" } } })).await;
    run.settle("the last one is not selected any more").await;
});

script!(slices_publish_what_is_not_ready, LOOKED_AT, |run| {
    run.create(SERVICES, service(json!({ "publishNotReadyAddresses": true }))).await;
    three(&mut run).await;
    run.set_ready("a", true).await;
    run.set_ready("b", false).await;
    run.settle("one ready, one not").await;
    run.delete(PODS, "b", json!({})).await;
    run.settle("the other terminating").await;
    run.patch(SERVICES, "web", json!({ "spec": { "publishNotReadyAddresses": false } })).await;
    run.settle("not published any more").await;
});

script!(slices_resolve_named_ports, LOOKED_AT, |run| {
    let ports = json!([
        { "name": "web", "port": 80, "targetPort": "http", "appProtocol": "http" },
        { "name": "admin", "port": 81 },
        { "name": "unknown", "port": 82, "targetPort": "nobody", "protocol": "UDP" },
    ]);
    run.create(SERVICES, service(json!({ "ports": ports }))).await;
    for (name, port) in [("a", 8080), ("b", 9090), ("c", 8080)] {
        run.create(PODS, with_port(name, port)).await;
        run.bind_all().await;
        run.set_ready(name, true).await;
    }
    run.settle("two ports of one name").await;
    run.delete(PODS, "b", json!({ "gracePeriodSeconds": 0 })).await;
    run.settle("one of them gone").await;
    run.patch(SERVICES, "web", json!({ "spec": { "ports": [{ "port": 90, "targetPort": 9999 }] } })).await;
    run.settle("other ports").await;
});

script!(slices_follow_their_service, &[SLICES, SERVICES], |run| {
    run.create(SERVICES, service(json!({ "clusterIP": "None" }))).await;
    three(&mut run).await;
    run.set_ready("a", true).await;
    run.settle("headless").await;
    run.patch(SERVICES, "web", json!({ "metadata": { "labels": { "team": null, "crew": "b" } } })).await;
    run.settle("labels changed").await;
    run.create(PODS, pod("d", json!({ "app": "next" }))).await;
    run.bind_all().await;
    run.set_ready("d", true).await;
    run.patch(SERVICES, "web", json!({ "spec": { "selector": { "app": "next" } } })).await;
    run.settle("selector changed").await;
    let slice = run.cluster.list(SLICES).await.remove(0);
    run.delete(SLICES, &crate::kubelet::name(&slice), json!({})).await;
    run.settle("its slice deleted").await;
    let mut bare = service(json!({}));
    bare["metadata"]["name"] = json!("bare");
    bare["spec"].as_object_mut().unwrap().remove("selector");
    run.create(SERVICES, bare).await;
    run.settle("a service without selector").await;
    run.delete(SERVICES, "web", json!({})).await;
    run.until("its slices are gone", SLICES, <[Value]>::is_empty).await;
    run.settle("deleted").await;
});

/// How many endpoints each slice has: which one is where is up to the controller.
async fn sizes(run: &Run, total: usize) -> Value {
    let count = |slice: &Value| slice["endpoints"].as_array().map_or(0, Vec::len);
    run.until("all endpoints are there", SLICES, |slices| slices.iter().map(count).sum::<usize>() == total).await;
    run.rest().await;
    let mut sizes: Vec<usize> = run.cluster.list(SLICES).await.iter().map(count).collect();
    sizes.sort_unstable();
    json!(sizes)
}

script!(slices_hold_a_hundred, &[SLICES], |run| {
    for i in 0..104 {
        run.create(PODS, pod(&format!("p{i:03}"), app())).await;
    }
    run.bind_all().await;
    run.ready(104, |_| true).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    run.create(SERVICES, service(json!({}))).await;
    let found = sizes(&run, 104).await;
    run.note("104 pods", found);
    for i in 104..107 {
        let name = format!("p{i:03}");
        run.create(PODS, pod(&name, app())).await;
        run.bind_all().await;
        run.set_ready(&name, true).await;
    }
    let found = sizes(&run, 107).await;
    run.note("three more", found);
    let slices = run.cluster.list(SLICES).await;
    let large = slices.iter().find(|slice| slice["endpoints"].as_array().unwrap().len() == 100).unwrap();
    for endpoint in large["endpoints"].as_array().unwrap().iter().take(60) {
        run.delete(PODS, endpoint["targetRef"]["name"].as_str().unwrap(), json!({ "gracePeriodSeconds": 0 })).await;
    }
    let found = sizes(&run, 47).await;
    run.note("sixty of the full slice gone", found);
});
