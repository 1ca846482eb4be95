//! Lists and watches, by plain HTTP and through kube's machinery.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

mod api_support;

use std::time::Duration;

use api_support::{Api, MERGE, install_tls, pod};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use keeper_sandbox::api::ApiConfig;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, reflector, watcher as watch};
use kube::{Client, Config};
use serde_json::{Value, json};

fn client(api: &Api) -> Client {
    install_tls();
    let mut config = Config::new(api.url.parse().unwrap());
    config.default_namespace = api.namespace.clone();
    Client::try_from(config).unwrap()
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_watch_goes_on_where_a_list_ended() {
    let api = Api::either().await;
    let maps = api.core("configmaps");
    api.config_map("a", json!({})).await;
    let list = api.get(&maps).await.expect(200);
    api.config_map("b", json!({})).await;
    api.patch(&api.core("configmaps/b"), MERGE, json!({ "data": { "x": "1" } })).await.expect(200);
    api.delete(&api.core("configmaps/a"), json!({})).await.expect(200);
    let mut lines = api
        .open(&format!(
            "{maps}?watch=true&resourceVersion={}&fieldSelector=metadata.name!%3Dkube-root-ca.crt",
            version(&list)
        ))
        .await;
    for expected in [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a")] {
        assert_eq!(lines.event().await, (expected.0.to_owned(), expected.1.to_owned()));
    }
    api.config_map("c", json!({})).await;
    assert_eq!(lines.event().await, ("ADDED".to_owned(), "c".to_owned()), "and live from there");
    api.stop().await;
}

#[tokio::test]
async fn a_watch_with_a_selector_sees_objects_come_and_go() {
    let api = Api::either().await;
    let maps = api.core("configmaps");
    let list = api.get(&maps).await.expect(200);
    let mut lines =
        api.open(&format!("{maps}?watch=true&labelSelector=in%3Dyes&resourceVersion={}", version(&list))).await;
    api.config_map("a", json!({})).await;
    let path = api.core("configmaps/a");
    for (labels, expected) in [
        (json!({ "in": "yes" }), "ADDED"),
        (json!({ "in": "yes", "x": "y" }), "MODIFIED"),
        (json!({ "in": "no" }), "DELETED"),
    ] {
        let patched = api.patch(&path, MERGE, json!({ "metadata": { "labels": labels } })).await.expect(200);
        let event = lines.next().await.unwrap();
        assert_eq!(event["type"], expected);
        assert_eq!(version(&event["object"]), version(&patched), "the event has the version of the change");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_compacted_version_is_410_in_the_stream_and_in_lists() {
    let api = Api::sandbox().await;
    let maps = api.core("configmaps");
    for name in ["a", "b", "c"] {
        api.config_map(name, json!({})).await;
    }
    let page = api.get(&format!("{maps}?limit=1")).await.expect(200);
    let token = page["metadata"]["continue"].as_str().unwrap();
    api.config_map("d", json!({})).await;
    api.server.as_ref().unwrap().compact();
    let mut lines = api.open(&format!("{maps}?watch=true&resourceVersion={}", version(&page))).await;
    assert_eq!(lines.code, 200);
    let event = lines.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["code"], &event["object"]["reason"]),
        (&json!("ERROR"), &json!(410), &json!("Expired"))
    );
    assert_eq!(lines.next().await, None);
    api.get(&format!("{maps}?limit=1&continue={token}")).await.refused(410, "Expired", "too old");
    api.get(&format!("{maps}?resourceVersionMatch=Exact&resourceVersion={}", version(&page)))
        .await
        .refused(410, "Expired", "too old");
    let future = api.get(&format!("{maps}?resourceVersion=99999999")).await;
    future.refused(504, "Timeout", "Too large resource version: 99999999");
    api.stop().await;
}

#[tokio::test]
async fn pages_are_of_one_moment() {
    let api = Api::either().await;
    let maps = api.core("configmaps");
    for n in 0..5 {
        let body = json!({ "metadata": { "name": format!("m{n}"), "labels": { "page": "yes" } } });
        api.post(&maps, body).await.expect(201);
    }
    let query = format!("{maps}?limit=2&labelSelector=page%3Dyes");
    let mut page = api.get(&query).await.expect(200);
    let first = version(&page);
    // What changes between the pages is not seen by them.
    api.delete(&api.core("configmaps/m3"), json!({})).await.expect(200);
    api.post(&maps, json!({ "metadata": { "name": "m9", "labels": { "page": "yes" } } })).await.expect(201);
    let mut names = Vec::new();
    loop {
        assert_eq!(version(&page), first);
        names.extend(
            page["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap().to_owned()),
        );
        let Some(token) = page["metadata"]["continue"].as_str().filter(|t| !t.is_empty()).map(str::to_owned) else {
            break;
        };
        page = api.get(&format!("{query}&continue={token}")).await.expect(200);
    }
    assert_eq!(names, ["m0", "m1", "m2", "m3", "m4"]);
    api.get(&format!("{maps}?continue=garbage")).await.expect(400);
    api.stop().await;
}

#[tokio::test]
async fn selectors_that_cannot_be_read_are_refused() {
    let api = Api::either().await;
    let pods = api.core("pods");
    api.get(&format!("{pods}?labelSelector=a%20b")).await.refused(400, "BadRequest", "unable to parse requirement");
    api.get(&format!("{pods}?fieldSelector=spec.nope%3D1")).await.refused(
        400,
        "BadRequest",
        "field label not supported: spec.nope",
    );
    let mut assigned = pod("a");
    assigned["spec"]["nodeName"] = json!("n1");
    api.post(&pods, assigned).await.expect(201);
    api.post(&pods, pod("b")).await.expect(201);
    for (selector, expected) in [
        ("spec.nodeName%3Dn1", vec!["a"]),
        ("spec.nodeName%3D", vec!["b"]),
        ("status.phase%3DPending", vec!["a", "b"]),
        ("metadata.name%3Db", vec!["b"]),
    ] {
        let list = api.get(&format!("{pods}?fieldSelector={selector}")).await.expect(200);
        let names: Vec<&str> =
            list["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{selector}");
    }
    api.delete(&api.core("pods/a"), json!({ "gracePeriodSeconds": 0 })).await.expect(200);
    api.stop().await;
}

#[tokio::test]
async fn a_streaming_list_ends_with_its_bookmark() {
    let api = Api::either().await;
    api.config_map("a", json!({})).await;
    let maps = api.core("configmaps");
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&fieldSelector=metadata.name%3Da";
    let mut lines = api.open(&format!("{maps}?{query}")).await;
    assert_eq!(lines.event().await, ("ADDED".to_owned(), "a".to_owned()));
    let mark = lines.next().await.unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    api.get(&format!("{maps}?watch=true&sendInitialEvents=true")).await.refused(
        422,
        "Invalid",
        "sendInitialEvents requires setting resourceVersionMatch",
    );
    api.stop().await;
}

#[tokio::test]
async fn bookmarks_carry_the_version_of_changes_elsewhere() {
    let api = Api::with(ApiConfig { bookmark_every: Duration::from_millis(50), ..ApiConfig::default() }).await;
    let maps = api.core("configmaps");
    let mut lines =
        api.open(&format!("{maps}?watch=true&resourceVersion=1&allowWatchBookmarks=true&timeoutSeconds=2")).await;
    let secret = api.post(&api.core("secrets"), json!({ "metadata": { "name": "s" } })).await.expect(201);
    let wanted: u64 = version(&secret).parse().unwrap();
    loop {
        let event = lines.next().await.expect("a bookmark");
        assert_eq!(event["type"], "BOOKMARK");
        if version(&event["object"]).parse::<u64>().unwrap() >= wanted {
            break;
        }
    }
    while let Some(event) = lines.next().await {
        assert_eq!(event["type"], "BOOKMARK", "and nothing else until timeoutSeconds is over");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_slow_watcher_is_cut_off_and_holds_nobody_up() {
    let api = Api::sandbox().await;
    let maps = api.core("configmaps");
    let mut slow = api.open(&format!("{maps}?watch=true&resourceVersion=1")).await;
    api.config_map("a", json!({})).await;
    let path = api.core("configmaps/a");
    let padding = "x".repeat(20_000);
    let started = std::time::Instant::now();
    for n in 0..1800 {
        api.patch(&path, MERGE, json!({ "data": { "n": n.to_string(), "padding": padding } })).await.expect(200);
    }
    println!("1800 writes beside a slow watcher: {:?}", started.elapsed());
    let mut events = 0;
    while slow.next().await.is_some() {
        events += 1;
    }
    assert!((1..1800).contains(&events), "{events} events, then closed");
    api.stop().await;
}

#[tokio::test]
async fn kubes_watchers_and_reflector_follow_along() {
    let api = Api::either().await;
    let maps: kube::Api<ConfigMap> = kube::Api::default_namespaced(client(&api));
    let mine = watcher::Config::default().labels("mine=yes");
    for config in [mine.clone(), mine.clone().streaming_lists()] {
        let name = format!("m{:08x}", rand::random::<u32>());
        let labelled: ConfigMap =
            serde_json::from_value(json!({ "metadata": { "name": name, "labels": { "mine": "yes" } } })).unwrap();
        let (store, writer) = reflector::store::<ConfigMap>();
        let mut events = reflector(writer, watch(maps.clone(), config)).applied_objects().boxed();
        let following = tokio::spawn(async move { while events.try_next().await.unwrap().is_some() {} });
        let stored = |has: fn(&ConfigMap) -> bool| {
            let (store, name) = (store.clone(), name.clone());
            async move {
                let found = || store.state().iter().any(|m| m.metadata.name.as_deref() == Some(&name) && has(m));
                for _ in 0..200 {
                    if found() {
                        return true;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                false
            }
        };
        maps.create(&PostParams::default(), &labelled).await.unwrap();
        assert!(stored(|_| true).await, "the new object within ten seconds");
        let patch = Patch::Merge(json!({ "data": { "a": "1" } }));
        maps.patch(&name, &PatchParams::apply("tester"), &patch).await.unwrap();
        assert!(stored(|m| m.data.is_some()).await, "the change within ten seconds");
        following.abort();
    }
    let list = maps.list(&ListParams::default().labels("mine=yes")).await.unwrap();
    assert_eq!(list.items.len(), 2);
    let partial: kube::Api<PartialObjectMeta<ConfigMap>> = kube::Api::default_namespaced(client(&api));
    let metadata = partial.list_metadata(&ListParams::default().labels("mine=yes")).await.unwrap();
    assert_eq!(metadata.items.len(), 2);
    let mut metadata = watch(partial, mine).boxed();
    let mut initial = 0;
    loop {
        match metadata.try_next().await.unwrap().unwrap() {
            Event::InitApply(_) => initial += 1,
            Event::InitDone => break,
            Event::Init => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(initial, 2);
    api.stop().await;
}

#[tokio::test]
async fn a_watcher_lists_anew_after_a_compaction() {
    let api = Api::sandbox().await;
    let maps: kube::Api<ConfigMap> = kube::Api::default_namespaced(client(&api));
    // Watches last a second, so that the watcher must come back with an old version.
    let config = watcher::Config::default().timeout(1);
    let mut events = watch(maps.clone(), config).default_backoff().boxed();
    while !matches!(events.next().await, Some(Ok(Event::InitDone))) {}
    let secrets = api.core("secrets");
    for n in 0..3 {
        api.post(&secrets, json!({ "metadata": { "name": format!("s{n}") } })).await.expect(201);
    }
    api.config_map("while-it-watches", json!({})).await;
    let seen = async {
        let mut relisted = false;
        let mut compacted = false;
        loop {
            match events.next().await.unwrap() {
                Ok(Event::Apply(_)) if !compacted => {
                    for n in 3..6 {
                        api.post(&secrets, json!({ "metadata": { "name": format!("s{n}") } })).await.expect(201);
                    }
                    api.server.as_ref().unwrap().compact();
                    compacted = true;
                }
                Ok(Event::Init) => relisted = true,
                Ok(Event::InitDone) if relisted => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("a new list after the 410");
    api.stop().await;
}

#[tokio::test]
async fn tables_have_kubectls_columns() {
    let api = Api::either().await;
    api.post(&api.core("pods"), pod("p")).await.expect(201);
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let table = api.get_as(&api.core("pods"), accept).await;
    assert_eq!(table["kind"], "Table");
    let names: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates"]
    );
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[..4], [json!("p"), json!("0/1"), json!("Pending"), json!("0")]);
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    api.stop().await;
}
