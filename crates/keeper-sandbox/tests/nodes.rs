//! What a node tells about pods that don't work, with fake pods.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value, reason = "a test may panic")]

mod support;

use std::time::Duration;

use keeper_sandbox::{
    Sandbox, SandboxConfig,
    node::{FakeScript, SCRIPT_PREFIX},
    registry::ImageConfig,
};
use kube::Client;
use serde_json::{Value, json};

use support::*;

async fn sandbox() -> (Sandbox, Client, Rest) {
    cluster(true, |node| {
        node.crash_backoff = Duration::from_millis(200);
        node.pull_backoff = Duration::from_millis(200);
    })
    .await
}

fn pod(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "app", "image": image}]},
    })
}

async fn container(client: &Client, name: &str) -> Value {
    pods(client).get(name).await.unwrap().data["status"]["containerStatuses"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_not_there_is_told_and_found_later() {
    let (sandbox, client, _rest) = sandbox().await;
    sandbox.registry().push("app", "other", &ImageConfig::new(["/app"]));
    create(&pods(&client), pod("p", &sandbox.registry().pull_spec("app", "1"))).await;
    let waiting = |reason: &'static str| {
        let client = client.clone();
        move || {
            let client = client.clone();
            async move {
                let status = container(&client, "p").await;
                (status["state"]["waiting"]["reason"] == reason)
                    .then(|| status["state"]["waiting"]["message"].as_str().unwrap().to_owned())
            }
        }
    };
    let message = eventually("ErrImagePull", waiting("ErrImagePull")).await;
    assert!(message.contains("404 MANIFEST_UNKNOWN"), "{message}");
    let message = eventually("ImagePullBackOff", waiting("ImagePullBackOff")).await;
    assert!(message.starts_with("Back-off pulling image"), "{message}");
    assert_eq!(text(&pods(&client).get("p").await.unwrap(), "/status/phase"), "Pending");

    let digest = sandbox.registry().push("app", "1", &ImageConfig::new(["/app"]));
    eventually("it is found", || async {
        let status = container(&client, "p").await;
        (status["ready"] == true && status["imageID"].as_str().unwrap().ends_with(&digest)).then_some(())
    })
    .await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_is_named_by_its_own_digest() {
    let (sandbox, client, _rest) = sandbox().await;
    let image = ImageConfig::new(["/app"]);
    let (digest, children) = sandbox.registry().push_index("app", "1", &[("amd64", image.clone()), ("arm64", image)]);
    create(&pods(&client), pod("p", &sandbox.registry().pull_spec("app", "1"))).await;
    let status = eventually("it runs", || async {
        let status = container(&client, "p").await;
        (status["ready"] == true).then_some(status)
    })
    .await;
    let id = status["imageID"].as_str().unwrap();
    assert!(id.ends_with(&digest) && !children.iter().any(|child| id.ends_with(child)), "{id}");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_counts_restarts_and_backs_off() {
    let (sandbox, client, _rest) = sandbox().await;
    let crashes = ImageConfig::new(["/app"])
        .label(format!("{SCRIPT_PREFIX}exit-after"), "20ms")
        .label(format!("{SCRIPT_PREFIX}exit-code"), "137")
        .label(format!("{SCRIPT_PREFIX}exit-reason"), "OOMKilled");
    sandbox.registry().push("app", "1", &crashes);
    create(&pods(&client), pod("p", &sandbox.registry().pull_spec("app", "1"))).await;
    let status = eventually("it backs off", || async {
        let status = container(&client, "p").await;
        (status["state"]["waiting"]["reason"] == "CrashLoopBackOff").then_some(status)
    })
    .await;
    assert!(status["restartCount"].as_i64() >= Some(1), "the first restart is at once: {status}");
    assert_eq!(status["lastState"]["terminated"]["reason"], "OOMKilled");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 137);
    eventually("and goes on", || async {
        (container(&client, "p").await["restartCount"].as_i64() >= Some(3)).then_some(())
    })
    .await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_past_its_deadline_fails_and_leaves_the_slices() {
    let (sandbox, client, _rest) = sandbox().await;
    create(
        &services(&client),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "p"}, "spec": {"selector": {"app": "p"}, "ports": [{"port": 80}]}}),
    )
    .await;
    let mut body = pod("p", "example.com/app:1");
    body["spec"]["activeDeadlineSeconds"] = json!(1);
    create(&pods(&client), body).await;
    let endpoints = || async {
        let slice = list(&slices(&client)).await.pop()?;
        Some(slice.data["endpoints"].as_array().map_or(0, Vec::len))
    };
    eventually("it is in the slice", || async { (endpoints().await == Some(1)).then_some(()) }).await;
    let pod = eventually("its time is over", || async {
        Some(pods(&client).get("p").await.unwrap()).filter(|pod| text(pod, "/status/phase") == "Failed")
    })
    .await;
    assert_eq!(text(&pod, "/status/reason"), "DeadlineExceeded");
    assert_eq!(condition(&pod, "Ready", "status"), "False");
    eventually("it is out of the slice", || async { (endpoints().await == Some(0)).then_some(()) }).await;
    pods(&client).delete("p", &Default::default()).await.unwrap();
    eventually("it can be deleted", || async { pods(&client).get_opt("p").await.unwrap().is_none().then_some(()) })
        .await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_ready_moves_the_transition_time() {
    let (sandbox, client, _rest) = sandbox().await;
    sandbox.node().script_image(
        "example.com/app:1",
        FakeScript { unready_after: Some(Duration::from_millis(1500)), ..FakeScript::default() },
    );
    create(&pods(&client), pod("p", "example.com/app:1")).await;
    let ready = |wanted: &'static str| {
        let client = client.clone();
        move || {
            let client = client.clone();
            async move {
                Some(pods(&client).get("p").await.unwrap()).filter(|pod| condition(pod, "Ready", "status") == wanted)
            }
        }
    };
    let before = eventually("ready", ready("True")).await;
    let after = eventually("no longer ready", ready("False")).await;
    let since = |pod| condition(pod, "Ready", "lastTransitionTime").to_owned();
    assert_ne!(since(&before), since(&after));
    assert_eq!(
        condition(&before, "PodScheduled", "lastTransitionTime"),
        condition(&after, "PodScheduled", "lastTransitionTime")
    );
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_fits_no_node_says_so() {
    let (sandbox, client, _rest) = sandbox().await;
    let mut body = pod("p", "example.com/app:1");
    body["spec"]["nodeSelector"] = json!({"disk": "ssd"});
    create(&pods(&client), body).await;
    let pod = eventually("it is unschedulable", || async {
        Some(pods(&client).get("p").await.unwrap())
            .filter(|pod| condition(pod, "PodScheduled", "reason") == "Unschedulable")
    })
    .await;
    assert!(condition(&pod, "PodScheduled", "message").contains("0/1 nodes are available"));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_containers_come_first_and_a_job_like_pod_ends() {
    let (sandbox, client, _rest) = sandbox().await;
    let ends = |code: i32| FakeScript {
        exit_after: Some(Duration::from_millis(50)),
        exit_code: Some(code),
        ..FakeScript::default()
    };
    sandbox.node().script_image("example.com/init:1", ends(0));
    sandbox.node().script_image("example.com/good:1", ends(0));
    sandbox.node().script_image("example.com/bad:1", ends(3));
    for name in ["good", "bad"] {
        let mut body = pod(name, &format!("example.com/{name}:1"));
        body["spec"]["restartPolicy"] = json!("Never");
        body["spec"]["initContainers"] = json!([{"name": "init", "image": "example.com/init:1"}]);
        create(&pods(&client), body).await;
    }
    let phase = |name: &'static str, wanted: &'static str| {
        let client = client.clone();
        move || {
            let client = client.clone();
            async move { Some(pods(&client).get(name).await.unwrap()).filter(|pod| text(pod, "/status/phase") == wanted) }
        }
    };
    let good = eventually("the good one succeeds", phase("good", "Succeeded")).await;
    assert_eq!(condition(&good, "Initialized", "status"), "True");
    let bad = eventually("the bad one fails", phase("bad", "Failed")).await;
    assert_eq!(int(&bad, "/status/containerStatuses/0/state/terminated/exitCode"), 3);
    assert_eq!(int(&bad, "/status/containerStatuses/0/restartCount"), 0);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_image_needs_its_pull_secret() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use keeper_sandbox::registry::RegistryAuth;

    let directory = tempfile::tempdir().unwrap();
    let mut config = SandboxConfig::new(directory.path()).with_fake_pods();
    config.registry_auth = Some(RegistryAuth::new("robot", "secret"));
    let sandbox = Sandbox::start(config).await.unwrap();
    let client = sandbox.client().unwrap();
    sandbox.registry().push("app", "1", &ImageConfig::new(["/app"]));
    let image = sandbox.registry().pull_spec("app", "1");
    create(&pods(&client), pod("p", &image)).await;
    eventually("refused", || async {
        let message =
            container(&client, "p").await["state"]["waiting"]["message"].as_str().unwrap_or_default().to_owned();
        message.contains("401 UNAUTHORIZED").then_some(())
    })
    .await;
    let auths =
        json!({"auths": {sandbox.registry().address().to_string(): {"username": "robot", "password": "secret"}}});
    create(
        &api(&client, "", "v1", "Secret"),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": BASE64_STANDARD.encode(auths.to_string())},
        }),
    )
    .await;
    let mut body = pod("q", &image);
    body["spec"]["imagePullSecrets"] = json!([{"name": "pull"}]);
    create(&pods(&client), body).await;
    eventually("pulled", || async { (container(&client, "q").await["ready"] == true).then_some(()) }).await;
    sandbox.stop().await;
}
