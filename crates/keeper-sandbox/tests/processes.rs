//! Pods as processes behind a Service: the demo's application under the demo's load.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value, reason = "a test may panic")]

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use keeper_sandbox::{Sandbox, registry::ImageConfig};
use kube::{Client, api::DynamicObject};
use serde_json::{Value, json};

use support::*;

/// The folder of the demo's programs, built when a test first needs them.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "-q", "-p", "demo-app", "-p", "demo-client"]).status().unwrap();
        assert!(built.success(), "the demo's programs can't be built");
        // This test is <target>/debug/deps/<name>.
        std::env::current_exe().unwrap().parent().and_then(Path::parent).unwrap().to_owned()
    })
}

fn app(version: &str) -> ImageConfig {
    let program = programs().join("demo-app").display().to_string();
    ImageConfig::new([program, "--exit-with-stdin".into()]).env("VERSION", version)
}

async fn sandbox() -> (Sandbox, Client, Rest) {
    cluster(false, |_| {}).await
}

fn web(replicas: i64, image: &str) -> Value {
    let mut web = deployment("web", replicas, image);
    web["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
        json!({"httpGet": {"port": 8080, "path": "/healthz"}, "periodSeconds": 1});
    web
}

async fn service(client: &Client) -> String {
    let body = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 8000, "targetPort": 8080}]},
    });
    let service = create(&services(client), body).await;
    // Not port 80: a machine may keep that from users without rights.
    format!("http://{}:8000/", text(&service, "/spec/clusterIP"))
}

async fn get(url: &str) -> Option<(u16, String)> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
    let response = client.get(url).send().await.ok()?;
    Some((response.status().as_u16(), response.text().await.ok()?))
}

fn load(url: &str, seconds: u64) -> std::process::Child {
    Command::new(programs().join("demo-client"))
        .args([url, "--json", "--duration", &seconds.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn summary(load: std::process::Child) -> Value {
    let output = load.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_costs_the_client_no_error() {
    let (sandbox, client, _rest) = sandbox().await;
    let first = sandbox.registry().push("app", "1", &app("1"));
    let second = sandbox.registry().push("app", "2", &app("2"));
    let pinned = |digest: &str| sandbox.registry().pinned_spec("app", digest);
    create(&deployments(&client), web(10, &pinned(&first))).await;
    let url = service(&client).await;
    rolled_out(&client, "web").await;
    eventually("the Service answers", || async { get(&url).await.filter(|(code, _)| *code == 200) }).await;

    let load = load(&url, 8);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    merge(&deployments(&client), "web", set_image(&pinned(&second))).await;
    rolled_out(&client, "web").await;
    let canary = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "canary", "labels": {"app": "web"}},
        "spec": web(1, &pinned(&first))["spec"]["template"]["spec"],
    });
    create(&pods(&client), canary).await;
    eventually("the canary is ready", || async {
        (condition(&pods(&client).get("canary").await.unwrap(), "Ready", "status") == "True").then_some(())
    })
    .await;
    pods(&client).delete("canary", &Default::default()).await.unwrap();
    let summary = tokio::task::spawn_blocking(|| summary(load)).await.unwrap();
    assert_eq!(summary["errors"], 0, "{summary}");
    assert_eq!(summary["requests"], 8000, "the rate was held: {summary}");

    // Every process runs the new digest, asked over its own port.
    let all: Vec<DynamicObject> =
        list(&pods(&client)).await.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    assert_eq!(all.len(), 10);
    for pod in &all {
        let (_, body) = get(&format!("http://{}:8080/version", text(pod, "/status/podIP"))).await.unwrap();
        let told: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&told["imageDigest"], &told["version"]), (&json!(second), &json!("2")));
        assert!(text(pod, "/status/containerStatuses/0/imageID").ends_with(&second));
    }
    sandbox.stop().await;
    assert!(get(&url).await.is_none(), "nothing is left running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_refused_while_no_pod_is_ready() {
    let (sandbox, client, _rest) = sandbox().await;
    sandbox.registry().push("app", "1", &app("1").env("NEVER_READY", "1"));
    create(&deployments(&client), web(1, &sandbox.registry().pull_spec("app", "1"))).await;
    let url = service(&client).await;
    let pod = eventually("the process answers on its own address", || async {
        let pod = list(&pods(&client)).await.pop()?;
        get(&format!("http://{}:8080/", text(&pod, "/status/podIP"))).await.filter(|(code, _)| *code == 200)?;
        Some(pod)
    })
    .await;
    assert_eq!(condition(&pod, "Ready", "status"), "False");
    assert_eq!(condition(&pod, "Ready", "reason"), "ContainersNotReady");
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let refused = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_gets_its_environment_logs_and_grace() {
    let (sandbox, client, rest) = sandbox().await;
    let script = "trap 'echo terminated; exit 0' TERM; echo \"$GREETING from $NAME at $POD_IP\"; while true; do sleep 0.05; done";
    sandbox.registry().push("shell", "1", &ImageConfig::new(["/bin/sh", "-c"]).env("GREETING", "hello"));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{
            "name": "main", "image": sandbox.registry().pull_spec("shell", "1"), "args": [script],
            "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        }]},
    });
    create(&pods(&client), pod).await;
    let log = rest.directory.path().join(format!("logs/{}_p_main.log", rest.namespace));
    let pod = eventually("it runs", || async {
        let pod = pods(&client).get("p").await.unwrap();
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        (condition(&pod, "Ready", "status") == "True" && !said.is_empty()).then_some(pod)
    })
    .await;
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(said, format!("hello from p at {}\n", text(&pod, "/status/podIP")));
    pods(&client).delete("p", &Default::default()).await.unwrap();
    eventually("it is gone", || async { pods(&client).get_opt("p").await.unwrap().is_none().then_some(()) }).await;
    assert!(std::fs::read_to_string(&log).unwrap().ends_with("terminated\n"), "it was asked before it was killed");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_process_is_restarted_and_a_deaf_one_too() {
    let (sandbox, client, _rest) = sandbox().await;
    sandbox.registry().push("app", "dies", &app("1").env("EXIT_AFTER", "0.1"));
    sandbox.registry().push("app", "missing", &ImageConfig::new(["/no/such/program"]));
    let pod = |name: &str| {
        let image = sandbox.registry().pull_spec("app", name);
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "app", "image": image}]}})
    };
    create(&pods(&client), pod("dies")).await;
    create(&pods(&client), pod("missing")).await;
    let status = |name: &'static str| {
        let client = client.clone();
        async move { pods(&client).get(name).await.unwrap().data["status"]["containerStatuses"][0].clone() }
    };
    let dies = eventually("crash loop", || async {
        let status = status("dies").await;
        (status["state"]["waiting"]["reason"] == "CrashLoopBackOff" && status["restartCount"].as_i64() >= Some(1))
            .then_some(status)
    })
    .await;
    assert_eq!(dies["lastState"]["terminated"]["exitCode"], 1);
    eventually("the program is missing", || async {
        let status = status("missing").await;
        (status["lastState"]["terminated"]["reason"] == "StartError").then_some(())
    })
    .await;

    // Alive by its process, dead by its probe.
    sandbox.registry().push("app", "deaf", &app("1").env("NEVER_READY", "1"));
    let mut deaf = pod("deaf");
    deaf["spec"]["containers"][0]["livenessProbe"] =
        json!({"httpGet": {"port": 8080, "path": "/healthz"}, "periodSeconds": 1, "failureThreshold": 1});
    create(&pods(&client), deaf).await;
    eventually("restarted for its liveness", || async {
        (status("deaf").await["restartCount"].as_i64() >= Some(1)).then_some(())
    })
    .await;
    sandbox.stop().await;
}
