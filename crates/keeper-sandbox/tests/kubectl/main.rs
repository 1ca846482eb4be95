//! The machine's `kubectl` on the sandbox's API server. What needs controllers is tested with the controllers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod api_support;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use api_support::{Api, MERGE, pod};
use keeper_sandbox::api::{ApiConfig, log_file_name};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// `kubectl` with a kubeconfig of its own, in the test's namespace.
struct Kubectl {
    api: Api,
    home: tempfile::TempDir,
}

impl Kubectl {
    /// None, and said so, when the machine has no `kubectl`.
    async fn find() -> Option<Self> {
        let found = Command::new("kubectl").args(["version", "--client"]).output().await;
        if !found.is_ok_and(|out| out.status.success()) {
            println!("NOT RUN: no kubectl on PATH");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let logs = home.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        let api = Api::with(ApiConfig { log_directory: Some(logs), ..ApiConfig::default() }).await;
        let mut config = api.server.as_ref().unwrap().kubeconfig();
        config["contexts"][0]["context"]["namespace"] = json!(api.namespace);
        std::fs::write(home.path().join("kubeconfig"), config.to_string()).unwrap();
        Some(Self { api, home })
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("kubectl");
        command.args(line.split_whitespace());
        command.env("KUBECONFIG", self.home.path().join("kubeconfig")).env("HOME", self.home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn output(&self, line: &str, stdin: &str) -> (bool, String, String) {
        let mut child = self.command(line).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).await.unwrap();
        let out = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.success(), text(out.stdout), text(out.stderr))
    }

    /// Runs a command that must succeed and returns what it printed.
    #[track_caller]
    fn run(&self, line: &str) -> impl Future<Output = String> {
        self.feed(line, "")
    }

    async fn feed(&self, line: &str, stdin: &str) -> String {
        let (ok, out, err) = self.output(line, stdin).await;
        assert!(ok, "kubectl {line}\n{out}\n{err}");
        out
    }

    async fn fails(&self, line: &str) -> String {
        let (ok, out, err) = self.output(line, "").await;
        assert!(!ok, "kubectl {line} should have failed:\n{out}");
        err
    }

    /// The words of the line that starts with `name`.
    async fn row(&self, line: &str, name: &str) -> Vec<String> {
        let out = self.run(line).await;
        let row = out.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name} in:\n{out}"));
        row.split_whitespace().map(str::to_owned).collect()
    }

    async fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{line} -o json")).await).unwrap()
    }

    fn logs(&self) -> PathBuf {
        self.home.path().join("logs")
    }
}

const WEB: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {tier: front}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: c
        image: example.com/web:1
        env: [{name: A, value: '1'}]
        ports: [{containerPort: 80}]
      - name: side
        image: example.com/side:1
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80}]
";

#[tokio::test]
async fn apply_patch_annotate_label_scale_and_delete() {
    let Some(k) = Kubectl::find().await else { return };
    let out = k.feed("apply -f -", WEB).await;
    assert_eq!(out, "deployment.apps/web created\nservice/web created\n");
    let out = k.feed("apply -f -", WEB).await;
    assert_eq!(out, "deployment.apps/web unchanged\nservice/web unchanged\n");
    // Someone else's change of another field survives the next apply.
    k.run("scale deployment web --replicas=5").await;
    k.run("set env deployment/web -c side B=2").await;
    let changed = WEB.replace("example.com/web:1", "example.com/web:2").replace("  replicas: 2\n", "");
    let out = k.feed("apply -f -", &changed).await;
    assert_eq!(out, "deployment.apps/web configured\nservice/web unchanged\n");
    let web = k.json("get deployment web").await;
    let containers = &web["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["image"], "example.com/web:2");
    assert_eq!(containers[1]["env"], json!([{ "name": "B", "value": "2" }]));
    assert_eq!(web["spec"]["replicas"], 1, "a field taken out of the file goes back to its default");

    for (kind, patch) in [
        (
            "strategic",
            r#"{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"example.com/side:2"}]}}}}"#,
        ),
        ("merge", r#"{"spec":{"paused":true}}"#),
        ("json", r#"[{"op":"test","path":"/spec/paused","value":true},{"op":"remove","path":"/spec/paused"}]"#),
    ] {
        let out = k.run(&format!("patch deployment web --type={kind} -p {patch}")).await;
        assert_eq!(out, "deployment.apps/web patched\n", "{kind}");
    }
    let web = k.json("get deployment web").await;
    assert_eq!(web["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 2);
    assert_eq!(web["spec"]["template"]["spec"]["containers"][1]["image"], "example.com/side:2");
    assert_eq!(web["spec"]["paused"], Value::Null);
    let wrong =
        k.fails(r#"patch deployment web --type=json -p [{"op":"test","path":"/metadata/uid","value":"x"}]"#).await;
    assert!(wrong.contains("the server rejected our request due to an error in our request"), "{wrong}");

    k.run("annotate deployment web canary-image=example.com/web:stable").await;
    k.run("label deployment web canary=true").await;
    let clash = k.fails("label deployment web canary=false").await;
    assert!(clash.contains("already has a value"), "{clash}");
    k.run("label deployment web tier-").await;
    let web = k.json("get deployment web").await;
    assert_eq!(web["metadata"]["labels"], json!({ "canary": "true" }));
    assert_eq!(web["metadata"]["annotations"]["canary-image"], "example.com/web:stable");
    k.run("scale deployment web --replicas=3 --current-replicas=1").await;
    assert_eq!(k.json("get deployment web").await["spec"]["replicas"], 3);
    let out = k.feed("apply -f - --dry-run=server", WEB).await;
    assert!(out.contains("deployment.apps/web configured (server dry run)"), "{out}");
    assert_eq!(k.json("get deployment web").await["spec"]["replicas"], 3, "a dry run changes nothing");

    assert_eq!(k.run("delete deployment web --timeout=10s").await, "deployment.apps \"web\" deleted\n");
    assert_eq!(k.run("wait --for=delete deployment/web --timeout=10s").await, "");
    assert!(
        k.fails("get deployment web")
            .await
            .contains("Error from server (NotFound): deployments.apps \"web\" not found")
    );
    k.api.stop().await;
}

#[tokio::test]
async fn get_shows_kubectls_tables() {
    let Some(k) = Kubectl::find().await else { return };
    k.feed("apply -f -", WEB).await;
    let head = |out: &str| out.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    for (what, columns) in [
        ("deployments", "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR"),
        ("services", "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR"),
        ("namespaces", "NAME STATUS AGE"),
    ] {
        assert_eq!(head(&k.run(&format!("get {what} -o wide")).await), columns);
    }
    assert_eq!(head(&k.run("get deployments").await), "NAME READY UP-TO-DATE AVAILABLE AGE");
    assert_eq!(k.row("get deployments", "web").await[..4], ["web", "0/2", "0", "0"]);
    let wide = k.row("get deployments -o wide", "web").await;
    assert_eq!(wide[5..], ["c,side", "example.com/web:1,example.com/side:1", "app=web"]);
    assert_eq!(k.row("get svc -o wide", "web").await[1..5], ["ClusterIP", "127.96.0.1", "<none>", "80/TCP"]);

    k.api.post(&k.api.core("pods"), pod("p")).await.expect(201);
    let status = json!({ "status": {
        "phase": "Running", "podIP": "127.1.0.1",
        "containerStatuses": [{
            "name": "c", "ready": false, "restartCount": 3, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        }],
    } });
    k.api.patch(&k.api.core("pods/p/status"), MERGE, status).await.expect(200);
    let row = k.row("get pods -o wide", "p").await;
    assert_eq!(row[..4], ["p", "0/1", "CrashLoopBackOff", "3"]);
    assert_eq!(row[5], "127.1.0.1");
    assert!(k.run("get pods -A -l app=web --no-headers").await.contains("CrashLoopBackOff"));
    assert_eq!(k.run("get pods -l app=other -o name").await, "");
    assert_eq!(k.run("get pods -o jsonpath={.items[*].metadata.name}").await, "p");
    assert!(k.run("get all").await.contains("deployment.apps/web"));
    let described = k.run("describe pod p").await;
    assert!(described.contains("CrashLoopBackOff"), "{described}");

    assert_eq!(k.run("logs p").await, "", "a pod without a node has no log");
    let binding = json!({ "metadata": { "name": "p" }, "target": { "kind": "Node", "name": "n" } });
    k.api.post(&k.api.core("pods/p/binding"), binding).await.expect(201);
    let file = k.logs().join(log_file_name(&k.api.namespace, "p", "c"));
    std::fs::write(file, "one\ntwo\nthree\n").unwrap();
    assert_eq!(k.run("logs p").await, "one\ntwo\nthree\n");
    assert_eq!(k.run("logs p -c c --tail=1").await, "three\n");
    k.api.stop().await;
}

#[tokio::test]
async fn get_w_follows_changes() {
    let Some(k) = Kubectl::find().await else { return };
    k.feed("apply -f -", WEB).await;
    let mut child = k.command("get deployments -w").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.expect("a line").unwrap();
        line.unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(next().await[0], "NAME");
    assert_eq!(next().await[1], "0/2");
    k.run("scale deployment web --replicas=7").await;
    assert_eq!(next().await[1], "0/7");
    let status =
        json!({ "status": { "readyReplicas": 7, "updatedReplicas": 7, "availableReplicas": 7, "replicas": 7 } });
    k.api.patch(&k.api.apps("deployments/web/status"), MERGE, status).await.expect(200);
    assert_eq!(next().await[1..4], ["7/7", "7", "7"]);
    child.kill().await.unwrap();
    k.api.stop().await;
}

#[tokio::test]
async fn wait_and_rollout_read_the_status() {
    let Some(k) = Kubectl::find().await else { return };
    k.feed("apply -f -", WEB).await;
    let late = k.fails("wait --for=condition=Available deployment/web --timeout=1s").await;
    assert!(late.contains("timed out waiting"), "{late}");
    let mut waiting = k.command("rollout status deployment/web --timeout=30s").spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = json!({ "status": {
        "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
        "conditions": [{ "type": "Available", "status": "True" }, { "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }],
    } });
    k.api.patch(&k.api.apps("deployments/web/status"), MERGE, status).await.expect(200);
    assert!(waiting.wait().await.unwrap().success());
    k.run("wait --for=condition=Available deployment/web --timeout=10s").await;
    k.run("wait --for=jsonpath={.status.readyReplicas}=2 deployment/web --timeout=10s").await;
    k.run("rollout pause deployment/web").await;
    k.run("rollout resume deployment/web").await;
    k.run("rollout restart deployment/web").await;
    let web = k.json("get deployment web").await;
    assert!(web["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"].is_string());
    k.api.stop().await;
}

#[tokio::test]
async fn custom_resources_are_served_like_built_in_ones() {
    let Some(k) = Kubectl::find().await else { return };
    let crd = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: things, kind: Thing, shortNames: [th]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
";
    k.feed("apply -f -", crd).await;
    k.run("wait --for=condition=Established crd/things.example.com --timeout=10s").await;
    let thing = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec: {size: 1}\n";
    assert_eq!(k.feed("apply -f -", thing).await, "thing.example.com/t created\n");
    assert_eq!(k.feed("apply -f -", &thing.replace("size: 1", "size: 2")).await, "thing.example.com/t configured\n");
    assert_eq!(k.row("get th", "t").await, ["t", "2"]);
    k.run("patch th t --type=merge -p {\"spec\":{\"size\":3}}").await;
    assert_eq!(k.row("get things", "t").await, ["t", "3"]);
    k.run("delete th t").await;
    k.api.stop().await;
}

#[tokio::test]
async fn server_side_apply_is_refused_in_words() {
    let Some(k) = Kubectl::find().await else { return };
    let (ok, _, err) = k.output("apply --server-side -f -", WEB).await;
    assert!(!ok);
    assert!(err.contains("server-side apply is not part of the sandbox"), "{err}");
    k.api.stop().await;
}

#[tokio::test]
async fn create_works_for_kinds_that_kubectl_sends_as_protobuf() {
    let Some(k) = Kubectl::find().await else { return };
    k.run("create namespace other").await;
    k.run("create configmap cm --from-literal=a=b").await;
    k.run("create secret generic s --from-literal=a=b").await;
    k.run("create deployment d --image=example.com/d:1 --replicas=2 --port=80").await;
    k.run("create service clusterip c --tcp=80:8080").await;
    k.run("create serviceaccount sa").await;
    k.run("create job j --image=example.com/j:1 -- sh -c true").await;
    k.run("create poddisruptionbudget b --selector=app=d --min-available=1").await;
    k.run("run p --image=example.com/p:1 --env=A=1").await;
    k.run("expose deployment d --port=80").await;
    assert_eq!(k.json("get cm cm").await["data"], json!({ "a": "b" }));
    assert_eq!(k.json("get secret s").await["data"], json!({ "a": "Yg==" }));
    let d = k.json("get deployment d").await;
    assert_eq!(d["spec"]["replicas"], 2);
    assert_eq!(d["metadata"]["labels"], json!({ "app": "d" }));
    let container = &d["spec"]["template"]["spec"]["containers"][0];
    assert_eq!((&container["image"], &container["ports"][0]["containerPort"]), (&json!("example.com/d:1"), &json!(80)));
    assert_eq!(k.json("get svc c").await["spec"]["ports"][0]["targetPort"], 8080);
    assert_eq!(
        k.json("get job j").await["spec"]["template"]["spec"]["containers"][0]["command"],
        json!(["sh", "-c", "true"])
    );
    assert_eq!(k.json("get pdb b").await["spec"]["minAvailable"], 1);

    let node = json!({ "metadata": { "name": "n1" } });
    k.api.post("/api/v1/nodes", node).await.expect(201);
    let mut on_node = pod("q");
    on_node["spec"]["nodeName"] = json!("n1");
    k.api.post(&k.api.core("pods"), on_node).await.expect(201);
    k.run("cordon n1").await;
    assert_eq!(k.row("get nodes", "n1").await[1], "Unknown,SchedulingDisabled");
    k.run("drain n1 --force --grace-period=0 --timeout=10s").await;
    k.fails("get pod q").await;
    k.api.stop().await;
}
