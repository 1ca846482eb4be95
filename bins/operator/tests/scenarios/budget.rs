//! What a rollout costs the API server, and what idle workloads cost it: nothing.

use crate::world::{Start, World, creations, deployments, describe, promotions, resource};
use futures::StreamExt;
use jiff::Timestamp;
use keeper_sandbox::api::RequestRecord;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_makes_few_requests_and_its_canary_has_traffic_all_the_time() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 3, &[("canary-duration", "3s")]).await;
    let slices = Listed::watch(&world);
    world.start_operator();
    world.operator_ready().await;
    world.registry_intervals(1).await;
    let before = world.proxy.requests().total();
    let good = world.push("2", &[]);
    world.until_promoted(&good).await;
    let requests = settled(&world, before).await;
    within_budget(&requests);

    let promoted = promotions(&requests);
    let [promotion] = &promoted[..] else { panic!("one promotion: {}", world.report().await) };
    assert_tested(promotion, &world).await;
    let [created] = &creations(&requests)[..] else { panic!("one canary: {}", world.report().await) };
    let canary = created.name.clone();
    let last = slices.last_change_before(&canary, promotion.time);
    let (at, listed) = last.unwrap_or_else(|| panic!("never in an EndpointSlice: {:?}", slices.all()));
    assert!(listed, "in the EndpointSlice up to the promotion: {:?}", slices.all());
    let time = promotion.time.duration_since(at);
    // Our own watch may be a little later than the operator's.
    assert!(time.as_millis() >= 2500, "for the whole incubation, and not only {time}: {:?}", slices.all());

    let before = world.proxy.requests().total();
    let bad = world.push("3", &[("exit-after", "500ms")]);
    world.until_rejected(&bad, &good).await;
    let requests = settled(&world, before).await;
    within_budget(&requests);
    assert_eq!(promotions(&requests).len(), 0);
}

/// The requests since then, once no more come.
async fn settled(world: &World, before: u64) -> Vec<RequestRecord> {
    world.registry_intervals(2).await;
    world.proxy.requests().after(before)
}

fn within_budget(requests: &[RequestRecord]) {
    let asked: Vec<_> = requests.iter().filter(|r| r.verb != "watch" && r.verb != "list").collect();
    let is_event = |r: &RequestRecord| r.resource == "events";
    let events = asked.iter().filter(|r| is_event(r)).count();
    let shown = asked.iter().filter(|r| is_display(r)).count();
    let work: Vec<String> = asked.iter().filter(|r| !is_event(r) && !is_display(r)).map(|r| describe(r)).collect();
    println!("{} requests of work, {shown} display writes, {events} Events: {work:#?}", work.len());
    assert!(work.len() <= 12, "{work:?}");
    assert!(shown <= 3 && events <= 4, "{shown} display writes, {events} Events");
}

/// A write of what is shown, and of nothing else.
fn is_display(request: &RequestRecord) -> bool {
    let annotations = request.body.as_ref().and_then(|body| body.pointer("/metadata/annotations"));
    request.verb == "patch" && annotations.and_then(|shown| shown.get("canary-keeper.dev/phase")).is_some()
}

/// A JSON patch that begins by testing uid and resourceVersion, and is accepted.
async fn assert_tested(promotion: &RequestRecord, world: &World) {
    assert_eq!(promotion.code, 200);
    assert_eq!(promotion.content_type, "application/json-patch+json");
    assert_eq!(promotion.field_manager.as_deref(), Some("canary-keeper"));
    let operations = promotion.body.as_ref().and_then(Value::as_array).unwrap();
    let tested = |path: &str| {
        let test = operations.iter().position(|operation| operation["op"] == "test" && operation["path"] == path);
        let write = operations.iter().position(|operation| operation["op"] != "test");
        assert!(test.is_some() && test < write, "{path} is tested before anything is written: {operations:?}");
        operations[test.unwrap()]["value"].clone()
    };
    assert_eq!(tested("/metadata/uid"), json!(world.deployment_now().await.uid()));
    assert!(tested("/metadata/resourceVersion").is_string());
}

/// When a slice was seen, and the pods that it lists as ready.
type Change = (Timestamp, Vec<String>);

/// When canaries came into the EndpointSlices as ready, and left them, as one client saw it.
struct Listed {
    changes: Arc<Mutex<Vec<Change>>>,
    _watch: AbortOnDropHandle<()>,
}

impl Listed {
    fn watch(world: &World) -> Self {
        let kind = resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
        let events = kube::runtime::watcher(world.api(&kind), kube::runtime::watcher::Config::default());
        let changes: Arc<Mutex<Vec<_>>> = Arc::default();
        let noted = Arc::clone(&changes);
        let watch = tokio::spawn(async move {
            use futures::TryStreamExt;
            let mut slices = kube::runtime::WatchStreamExt::applied_objects(events).map_err(drop).boxed();
            while let Some(slice) = slices.next().await {
                if let Ok(slice) = slice {
                    noted.lock().unwrap().push((Timestamp::now(), ready_pods(&slice)));
                }
            }
        });
        Self { changes, _watch: AbortOnDropHandle::new(watch) }
    }

    fn all(&self) -> Vec<Change> {
        self.changes.lock().unwrap().clone()
    }

    /// Since when, as seen before that time, the pod is listed, or isn't any more.
    fn last_change_before(&self, pod: &str, time: Timestamp) -> Option<(Timestamp, bool)> {
        let mut last: Option<(Timestamp, bool)> = None;
        for (at, pods) in self.all().into_iter().filter(|(at, _)| *at < time) {
            let listed = pods.iter().any(|name| name == pod);
            if last.map_or(listed, |(_, before)| before != listed) {
                last = Some((at, listed));
            }
        }
        last
    }
}

fn ready_pods(slice: &DynamicObject) -> Vec<String> {
    let endpoints = slice.data["endpoints"].as_array().cloned().unwrap_or_default();
    let ready = endpoints.iter().filter(|endpoint| endpoint["conditions"]["ready"] != json!(false));
    ready.filter_map(|endpoint| endpoint["targetRef"]["name"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_workloads_cost_no_request_and_share_one_question_to_the_registry() {
    const MANY: usize = 200;
    let world = Start::default().world().await;
    let digest = world.push("1", &[]);
    // Without pods, since there are none to be asked about; what they want is what they have.
    let idle = (0..MANY).map(|number| world.deployment(&format!("idle-{number}"), &digest, 0, &[]));
    let foreign = (0..MANY).map(|number| {
        let mut foreign = world.deployment(&format!("foreign-{number}"), &digest, 0, &[]);
        foreign["metadata"]["labels"] = json!({});
        foreign
    });
    let all = futures::stream::iter(idle.chain(foreign));
    all.for_each_concurrent(16, async |deployment| drop(world.create(&deployments(), deployment).await)).await;
    world.start_operator();
    world.operator_ready().await;
    world.registry_intervals(2).await;

    let (then, asked, began) =
        (world.proxy.requests().total(), world.registry().heads("shop", "stable"), Timestamp::now());
    world.registry_intervals(5).await;
    let (heads, seconds) = (world.registry().heads("shop", "stable") - asked, Timestamp::now().duration_since(began));
    let answered = Duration::try_from(seconds).unwrap().as_secs_f64();
    let requests: Vec<String> = world.proxy.requests().after(then).iter().map(describe).collect();
    let beside: Vec<&String> = requests.iter().filter(|r| !r.starts_with("watch") && !r.starts_with("list")).collect();
    assert!(beside.is_empty(), "{beside:?}");
    // An interval of a second, give or take a tenth.
    assert!((heads as f64) <= answered / 0.9 + 1.0, "{heads} questions in {answered} s");
    println!("{MANY} idle workloads: {} requests beside watches, {heads} HEADs in {answered:.1} s", beside.len());

    // And they are not asleep.
    let then = world.proxy.requests().total();
    let (new, tag) = (world.push_aside("2", &[]), world.registry().pull_spec("shop", "aside"));
    world
        .patch_named("idle-0", json!({"metadata": {"annotations": {"canary-image": tag}}, "spec": {"replicas": 1}}))
        .await;
    let image = world.image(&new);
    let shipped = async || world.workload("idle-0").await.data.to_string().contains(&image);
    world.until("the one with a pod and another image ships", shipped).await;
    assert_eq!(creations(&world.proxy.requests().after(then)).len(), 1);
}
