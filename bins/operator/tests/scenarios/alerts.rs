//! Alerts as the only signal: which ones end a canary, and that none is lost.

use crate::canary_watch::CanaryWatch;
use crate::world::{Start, World, accusation, kill, not_run, on_path, pods, promotions, webhook};
use jiff::{SignedDuration, Timestamp};
use keeper_sandbox::faults::{Fault, FaultHandle, HookPoint, Matcher, When};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// What only an alert ends.
const LONG: [(&str, &str); 1] = [("canary-duration", "10m")];
/// The versions of Alertmanager whose bodies were kept.
const VERSIONS: [&str; 2] = ["alertmanager-0.25", "alertmanager-main"];

/// A world with one release behind it and an operator at work; answers production's digest.
async fn begin(start: Start, annotations: &[(&str, &str)]) -> (World, String) {
    let world = start.world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, annotations).await;
    world.start_operator();
    world.operator_ready().await;
    (world, old)
}

/// Pushes another image and waits until its canary is watched; answers its digest and the canary's name.
async fn incubate(world: &World, salt: &str) -> (String, String) {
    let new = world.push(salt, &[]);
    world.until_state("incubating", &new).await;
    let canary = world.canaries().await.first().unwrap().name_any();
    (new, canary)
}

/// A kept body as it would have been sent about this world's canary. Its alerts began just now; the one from before the
/// canary, an hour ago.
async fn body(world: &World, version: &str, file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/alerts").join(version).join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let canary = world.canaries().await.first().unwrap().name_any();
    let production = production_pods(world).await;
    let now = Timestamp::now();
    let text = text
        .replace("\"shop", &format!("\"{}", world.namespace))
        .replace("cart-canary-1a2b3c", &canary)
        .replace("cart-7d9f6c5b8-aaaa1", &production[0])
        .replace("cart-7d9f6c5b8-aaaa2", &production[1])
        .replace("cart", "shop")
        .replace("2026-11-22T10:40:00Z", &(now - SignedDuration::from_hours(1)).to_string());
    ["2026-11-22T11:05:05.123Z", "2026-11-22T11:05:05Z", "2026-11-22T11:05:00Z", "2026-11-22T11:05:51Z"]
        .iter()
        .fold(text, |text, at| text.replace(at, &now.to_string()))
}

async fn production_pods(world: &World) -> Vec<String> {
    let list = world.api(&pods()).list(&ListParams::default().labels("pod-template-hash")).await.unwrap();
    list.items.iter().map(ResourceExt::name_any).collect()
}

/// The alerts that the run under way holds against its canary.
async fn stored(world: &World) -> usize {
    let record = world.record().await.unwrap_or_default();
    record.pointer("/state/run/alerts").and_then(Value::as_array).map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_about_the_canary_or_its_service_ends_the_canary() {
    let (world, old) = begin(Start::default(), &LONG).await;
    let files = ["canary-pod.json", "service.json", "resolved.json", "no-namespace.json", "kube-state-metrics.json"];
    for (version, file) in VERSIONS.iter().flat_map(|version| files.map(|file| (version, file))) {
        let (new, _) = incubate(&world, &format!("{version} {file}")).await;
        assert_eq!(world.post_alerts(body(&world, version, file).await).await, 200);
        world.until_state("rejected", &new).await;
        world.until_rejected(&new, &old).await;
    }
    assert!(promotions(&world.requests()).is_empty());
    let told = world.events().await;
    let named = |alert: &str| told.iter().any(|(reason, note)| reason == "Rejected" && note.contains(alert));
    assert!(named("alert PodErrors names the canary pod"), "{told:?}");
    assert!(named("about the service: service=shop"), "{told:?}");
    assert!(named("no namespace label"), "{told:?}");
}

/// What says which alerts count is read as the reconcile reads it, with the templates that the checks beside it name.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_fits_the_owners_matchers_counts_beside_checks_that_are_written_once() {
    let templates = tempfile::tempdir().unwrap();
    let check = "check: {kind: latencyShare, bound: 1s, observeOnly: true}";
    std::fs::write(templates.path().join("slow.yaml"), check).unwrap();
    let start = Start::default().flag("--check-templates").flag(templates.path().to_str().unwrap());
    let annotations = [
        LONG[0],
        ("canary-keeper.dev/checks", "- template: slow"),
        ("canary-keeper.dev/alert-matchers", "{team=\"payments\"}"),
    ];
    let (world, old) = begin(start, &annotations).await;
    let (new, _) = incubate(&world, "2").await;
    let alert = |team: &str| webhook("firing", &json!({ "alertname": "Late", "team": team }), Timestamp::now());
    assert_eq!(world.post_alerts(alert("search")).await, 200);
    assert_eq!(stored(&world).await, 0);
    assert_eq!(world.post_alerts(alert("payments")).await, 200);
    world.until_rejected(&new, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_about_something_else_leaves_the_canary_alone() {
    let (world, _) = begin(Start::default(), &[("canary-duration", "6s")]).await;
    let (new, _) = incubate(&world, "2").await;
    let files = [
        "other-namespace.json",
        "other-service.json",
        "before-the-canary.json",
        "production-pod.json",
        "truncated.json",
    ];
    for (version, file) in VERSIONS.iter().flat_map(|version| files.map(|file| (version, file))) {
        assert_eq!(world.post_alerts(body(&world, version, file).await).await, 200, "{file}");
        assert_eq!(stored(&world).await, 0, "{file}");
    }
    assert_eq!(world.state().await, ("incubating".to_owned(), new.clone()), "the alerts came too late to tell");
    world.until_promoted(&new).await;
    assert_eq!(world.record().await.unwrap()["ledger"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_not_taken() {
    let (world, old) = begin(Start::default(), &LONG).await;
    let records = Matcher::any().verb("update").resource("configmaps");
    for fault in [Fault::Answer(500), Fault::Answer(403), Fault::Refuse, Fault::DropReply] {
        let (new, canary) = incubate(&world, &format!("{fault:?}")).await;
        let rule = world.faults().add(records.clone(), When::Always, fault.clone());
        let alert = accusation(&world, &canary);
        assert_eq!(world.post_alerts(alert.clone()).await, 503, "{fault:?}");
        if fault != Fault::DropReply {
            assert_eq!(world.post_alerts(alert.clone()).await, 503, "{fault:?}");
            assert_eq!(world.state().await, ("incubating".to_owned(), new.clone()));
        }
        world.faults().remove(rule);
        assert_eq!(world.post_alerts(alert).await, 200, "{fault:?}");
        world.until_state("rejected", &new).await;
        world.until_rejected(&new, &old).await;
    }
    assert!(promotions(&world.requests()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_taken_by_an_operator_that_dies_is_not_lost() {
    let (world, old) = begin(Start::default(), &[("canary-duration", "6s")]).await;
    let (new, canary) = incubate(&world, "2").await;
    // The loop doesn't see what the door stored: only the record remembers the alert.
    let frozen = world.faults().freeze_watches(Matcher::any().verb("watch").resource("configmaps"));
    assert_eq!(world.post_alerts(accusation(&world, &canary)).await, 200);
    world.kill_operator();
    world.faults().remove(frozen);
    assert_eq!(world.state().await, ("incubating".to_owned(), new.clone()));
    assert_eq!(stored(&world).await, 1);

    world.start_operator();
    world.until_state("rejected", &new).await;
    world.until_rejected(&new, &old).await;
    assert!(promotions(&world.requests()).is_empty(), "{}", world.report().await);
}

/// At which moment of a promotion an alert comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The record is about to say `Promoting`.
    BeforeTheRecord,
    /// The record says so, and the operator doesn't know yet.
    AfterTheRecord,
    /// The patch is on its way.
    BeforeThePatch,
    /// Production is patched, and the operator doesn't know yet.
    AfterThePatch,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_alert_just_before_the_promotion_prevents_it() {
    let (world, old, new) = at(Moment::BeforeTheRecord).await;
    world.until_state("rejected", &new).await;
    world.until_rejected(&new, &old).await;
    assert!(promotions(&world.requests()).is_empty(), "{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_alert_past_the_point_of_no_return_is_reported_late() {
    for moment in [Moment::AfterTheRecord, Moment::BeforeThePatch, Moment::AfterThePatch] {
        let (world, _, new) = at(moment).await;
        world.until_promoted(&new).await;
        assert_eq!(promotions(&world.requests()).len(), 1, "{moment:?}\n{}", world.report().await);
        let told = world.events().await;
        let late = |(reason, note): &(String, String)| reason.starts_with("Promoted") && note.contains("CanaryErrors");
        assert!(told.iter().any(late), "{moment:?}: {told:?}");
    }
}

/// Posts an alert at exactly that moment of a release, and answers once it was taken.
async fn at(moment: Moment) -> (World, String, String) {
    let start = Start::default().label(&format!("an alert {moment:?}"));
    let (world, old) = begin(start, &[("canary-duration", "3s")]).await;
    let (new, canary) = incubate(&world, "2").await;
    let (door, alert) = (world.door(), accusation(&world, &canary));
    let answer = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&answer);
    let post = move || {
        // The request under way waits for the hook, and the hook for the operator's door.
        let code = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(door.post(alert)));
        *noted.lock().unwrap() = Some(code);
    };
    match moment {
        Moment::BeforeTheRecord => at_promoting(&world.faults(), HookPoint::Before, move |_| post()),
        Moment::AfterTheRecord => at_promoting(&world.faults(), HookPoint::Committed, move |_| post()),
        Moment::BeforeThePatch => at_patch(&world.faults(), HookPoint::Before, post),
        Moment::AfterThePatch => at_patch(&world.faults(), HookPoint::Committed, post),
    }
    let answered = async || *answer.lock().unwrap() == Some(200);
    world.until("the alert is taken", answered).await;
    (world, old, new)
}

/// Runs something when the record of the release that incubates now moves to `Promoting`: it is written no sooner.
fn at_promoting(faults: &FaultHandle, point: HookPoint, action: impl FnOnce(&FaultHandle) + Send + 'static) {
    let records = Matcher::any().verb("update").resource("configmaps");
    let within = faults.clone();
    faults.at(records, 1, point, move |_| action(&within));
}

/// Runs something at the one patch of production: the next one after the record says `Promoting`.
fn at_patch(faults: &FaultHandle, point: HookPoint, action: impl FnOnce() + Send + 'static) {
    at_promoting(faults, HookPoint::Committed, move |faults| {
        let patches = Matcher::any().verb("patch").resource("deployments").writes();
        faults.at(patches, 1, point, move |_| action());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_credentials() {
    let (world, _) = begin(Start::default().bearer_token("open-sesame"), &LONG).await;
    let (new, canary) = incubate(&world, "2").await;
    world.until_shown("Incubating", "CanaryIncubating").await;
    let alert = accusation(&world, &canary);
    // Whether Canaries are served is asked now and then, whatever happens.
    let is_probe = |resource: &str, verb: &str| verb == "watch" || resource == "canaries";
    let asked =
        |world: &World| world.requests().iter().filter(|request| !is_probe(&request.resource, &request.verb)).count();
    let before = asked(&world);
    for token in [None, Some("wrong"), Some(""), Some("open-sesame!")] {
        let mut door = world.door();
        door.token = token.map(str::to_owned);
        assert_eq!(door.post(alert.clone()).await, 401, "{token:?}");
        // Not even a body that is none is looked at.
        assert_eq!(door.post("{").await, 401, "{token:?}");
    }
    assert_eq!(asked(&world), before, "{}", world.report().await);
    assert_eq!(world.state().await, ("incubating".to_owned(), new.clone()));
    assert_eq!(world.post_alerts(alert).await, 200);
    world.until_state("rejected", &new).await;
}

/// A real Alertmanager that sends everything to the operator; killed when dropped.
struct Alertmanager {
    url: String,
    process: Arc<Mutex<Option<Child>>>,
}

impl Alertmanager {
    fn start(binary: &PathBuf, world: &World) -> Self {
        let directory = world.directory();
        let config = directory.join("alertmanager.yml");
        // JSON is YAML.
        let settings = json!({
            "route": {
                "receiver": "canary-keeper", "group_by": ["alertname"],
                "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h",
            },
            "receivers": [{
                "name": "canary-keeper",
                "webhook_configs": [{
                    "url": world.door().url,
                    "http_config": {"authorization": {"credentials_file": world.token_path()}},
                }],
            }],
        });
        std::fs::write(&config, settings.to_string()).unwrap();
        let address = crate::world::free();
        let log = std::fs::File::create(directory.join("alertmanager.log")).unwrap();
        let process = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", directory.join("alertmanager").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { url: format!("http://{address}"), process: Arc::new(Mutex::new(Some(process))) }
    }

    async fn ready(&self, world: &World) {
        let url = format!("{}/-/ready", self.url);
        let ready = async || reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success());
        world.until("Alertmanager is ready", ready).await;
    }

    /// Gives it an alert, as Prometheus does.
    async fn fire(&self, labels: Value) {
        let alerts = json!([{"labels": labels, "annotations": {"summary": "every request fails"}}]);
        let url = format!("{}/api/v2/alerts", self.url);
        let answer = reqwest::Client::new().post(url).json(&alerts).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        kill(&self.process);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_ends_a_canary() {
    let Some(binary) = ["prometheus-alertmanager", "alertmanager"].into_iter().find_map(on_path) else {
        return not_run("no alertmanager on PATH: a canary ended by a real Alertmanager");
    };
    let (world, old) = begin(Start::default().bearer_token("open-sesame"), &LONG).await;
    let alertmanager = Alertmanager::start(&binary, &world);
    alertmanager.ready(&world).await;
    let canaries = CanaryWatch::start(&world);
    let (new, canary) = incubate(&world, "2").await;
    let other = json!({"alertname": "Other", "namespace": world.namespace, "service": "basket"});
    alertmanager.fire(other).await;
    let labels = json!({"alertname": "CanaryErrors", "namespace": world.namespace, "pod": canary});

    // What can't be stored comes again from Alertmanager by itself.
    let records = Matcher::any().verb("update").resource("configmaps");
    world.faults().add(records, When::First(2), Fault::Answer(500));
    alertmanager.fire(labels).await;
    world.until_state("rejected", &new).await;
    world.until_rejected(&new, &old).await;

    let told = world.events().await;
    assert!(told.iter().any(|(_, note)| note.contains("alert CanaryErrors names the canary pod")), "{told:?}");
    assert_eq!((canaries.most(), canaries.ever()), (1, 1));
}
