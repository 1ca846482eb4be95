//! What changes: versions, generations, patches, and what stays.

use crate::api_support::{Api, JSON_PATCH, MERGE, STRATEGIC, deployment, pod};
use crate::web;
use serde_json::{Value, json};

#[tokio::test]
async fn json_patch_tests_guard_the_write() {
    let api = Api::either().await;
    let (created, path) = web(&api).await;
    let uid = &created["metadata"]["uid"];
    for (field, wrong) in [("uid", json!("x")), ("resourceVersion", json!("1")), ("generation", json!(99))] {
        let patch = json!([
            { "op": "test", "path": format!("/metadata/{field}"), "value": wrong },
            { "op": "replace", "path": "/spec/replicas", "value": 0 },
            { "op": "add", "path": "/metadata/labels", "value": { "patched": "yes" } },
        ]);
        let refused = api.patch(&path, JSON_PATCH, patch).await;
        refused.refused(422, "Invalid", "the server rejected our request due to an error in our request");
    }
    let now = api.get(&path).await.expect(200);
    assert_eq!(now["metadata"]["labels"], Value::Null);
    // A real server's controllers write to the Deployment too: then the test is stale and is made again.
    let mut now = now;
    let patched = loop {
        let patch = json!([
            { "op": "test", "path": "/metadata/uid", "value": uid },
            { "op": "test", "path": "/metadata/resourceVersion", "value": now["metadata"]["resourceVersion"] },
            { "op": "test", "path": "/metadata/generation", "value": now["metadata"]["generation"] },
            { "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "example.com/web:2" },
        ]);
        let answer = api.patch(&path, JSON_PATCH, patch).await;
        let newer = api.get(&path).await.expect(200);
        if answer.code == 200 || newer["metadata"]["resourceVersion"] == now["metadata"]["resourceVersion"] {
            break answer.expect(200);
        }
        now = newer;
    };
    assert_eq!(patched["spec"]["template"]["spec"]["containers"][0]["image"], "example.com/web:2");
    api.patch(&path, JSON_PATCH, json!({ "op": "test" })).await.refused(400, "BadRequest", "error decoding patch");
    let nowhere = json!([{ "op": "replace", "path": "/spec/nope/x", "value": 1 }]);
    api.patch(&path, JSON_PATCH, nowhere).await.refused(422, "Invalid", "the server rejected our request");
    api.stop().await;
}

#[tokio::test]
async fn old_versions_and_foreign_uids_are_refused() {
    let api = Api::either().await;
    let (_, path) = web(&api).await;
    let message = "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified";
    for media in [MERGE, STRATEGIC] {
        let old = json!({ "metadata": { "resourceVersion": "1" }, "spec": { "paused": true } });
        api.patch(&path, media, old).await.refused(409, "Conflict", message);
        let foreign = json!({ "metadata": { "uid": "abc" }, "spec": { "paused": true } });
        api.patch(&path, media, foreign).await.refused(
            422,
            "Invalid",
            "metadata.uid: Invalid value: \"abc\": field is immutable",
        );
    }
    let now = api.get(&path).await.expect(200);
    let mut foreign = now.clone();
    foreign["metadata"]["uid"] = json!("abc");
    api.put(&path, &foreign).await.refused(409, "Conflict", "Precondition failed: UID in precondition: abc");
    let mut old = now.clone();
    old["metadata"]["resourceVersion"] = json!("1");
    api.put(&path, &old).await.refused(409, "Conflict", message);
    let mut other = now.clone();
    other["metadata"]["name"] = json!("other");
    api.put(&path, &other).await.refused(400, "BadRequest", "does not match the name on the URL");
    api.put(&api.apps("deployments/none"), &json!({ "metadata": { "name": "none" }, "spec": deployment()["spec"] }))
        .await
        .refused(404, "NotFound", "deployments.apps \"none\" not found");
    api.stop().await;
}

#[tokio::test]
async fn versions_move_with_changes_and_generations_with_the_spec() {
    let api = Api::either().await;
    // A paused Deployment at zero, so that a real controller has little to write.
    let mut body = deployment();
    body["metadata"]["annotations"] = json!({ "deployment.kubernetes.io/revision": "1" });
    body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("example.com/web:9");
    let config = api.config_map("c", json!({ "a": "1" })).await;
    let path = api.core("configmaps/c");
    let same = api.patch(&path, MERGE, json!({ "data": { "a": "1" } })).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], config["metadata"]["resourceVersion"]);
    let other = api.patch(&path, MERGE, json!({ "data": { "a": "2" } })).await.expect(200);
    assert_ne!(other["metadata"]["resourceVersion"], config["metadata"]["resourceVersion"]);
    assert_eq!(other["metadata"]["generation"], Value::Null);

    api.post(&api.apps("deployments"), body).await.expect(201);
    let path = api.apps("deployments/web");
    let mut seen = Vec::new();
    for patch in [
        json!({ "metadata": { "labels": { "a": "b" } } }),
        json!({ "metadata": { "annotations": { "a": "b" } } }),
        json!({ "spec": { "minReadySeconds": 1 } }),
        json!({ "status": { "observedGeneration": 77 } }),
    ] {
        let patched = api.patch(&path, MERGE, patch).await.expect(200);
        seen.push(patched["metadata"]["generation"].as_i64().unwrap());
        assert_ne!(patched["status"]["observedGeneration"], 77, "the main door leaves the status alone");
    }
    // A Deployment's annotations count as its spec does; labels don't.
    assert_eq!(seen, [1, 2, 3, 3]);
    api.stop().await;
}

#[tokio::test]
async fn strategic_patches_order_lists_like_the_real_server() {
    let api = Api::either().await;
    let mut body = deployment();
    let container = |name: &str| json!({ "name": name, "image": "x" });
    body["spec"]["template"]["spec"]["containers"] = ["a", "b", "d", "c"].map(container).into();
    api.post(&api.apps("deployments"), body).await.expect(201);
    let path = format!("{}?dryRun=All", api.apps("deployments/web"));
    let patch =
        async |spec: Value| api.patch(&path, STRATEGIC, json!({ "spec": { "template": { "spec": spec } } })).await;
    let order = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Value>();
    for (spec, expected) in [
        (json!({ "containers": [container("z")] }), vec!["z", "a", "b", "d", "c"]),
        (json!({ "containers": [container("d"), container("a")] }), vec!["b", "d", "a", "c"]),
        (json!({ "$setElementOrder/containers": order(&["d", "a"]) }), vec!["b", "d", "a", "c"]),
        (
            json!({ "$setElementOrder/containers": order(&["d", "a"]), "containers": [container("a")] }),
            vec!["b", "d", "a", "c"],
        ),
        (json!({ "containers": [{ "$patch": "delete", "name": "a" }, container("y")] }), vec!["y", "b", "d", "c"]),
        (json!({ "$patch": "replace", "containers": [container("only")] }), vec!["only"]),
    ] {
        let patched = patch(spec.clone()).await.expect(200);
        let containers = patched["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        let names: Vec<&str> = containers.iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{spec}");
    }
    patch(json!({ "containers": [{ "image": "x" }] })).await.expect(500);
    patch(json!({ "$patch": "explode" })).await.expect(500);
    patch(json!({ "containers": null })).await.refused(422, "Invalid", "spec.template.spec.containers: Required value");
    api.patch(&path, STRATEGIC, json!([])).await.expect(400);
    let recreate = json!({ "spec": { "strategy": { "$retainKeys": ["type"], "type": "Recreate" } } });
    let patched = api.patch(&path, STRATEGIC, recreate).await.expect(200);
    assert_eq!(patched["spec"]["strategy"], json!({ "type": "Recreate" }));
    api.stop().await;
}

#[tokio::test]
async fn a_pods_spec_is_fixed_but_for_a_few_fields() {
    let api = Api::either().await;
    api.post(&api.core("pods"), pod("p")).await.expect(201);
    let path = api.core("pods/p");
    let hostname = json!([{ "op": "add", "path": "/spec/hostname", "value": "x" }]);
    api.patch(&path, JSON_PATCH, hostname).await.refused(
        422,
        "Invalid",
        "spec: Forbidden: pod updates may not change fields other than",
    );
    let image = json!([{ "op": "replace", "path": "/spec/containers/0/image", "value": "example.com/web:2" }]);
    let patched = api.patch(&path, JSON_PATCH, image).await.expect(200);
    assert_eq!(patched["metadata"]["generation"], 2);
    api.patch(&path, MERGE, json!({ "spec": { "activeDeadlineSeconds": 50 } })).await.expect(200);
    api.patch(&path, MERGE, json!({ "spec": { "activeDeadlineSeconds": 40 } })).await.expect(200);
    api.patch(&path, MERGE, json!({ "spec": { "activeDeadlineSeconds": 60 } })).await.refused(
        422,
        "Invalid",
        "must be less than or equal to previous value",
    );
    api.stop().await;
}
