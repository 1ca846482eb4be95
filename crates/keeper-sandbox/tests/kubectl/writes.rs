//! Commands that change something.

use serde_json::{Value, json};

use super::api_support::pod;
use super::tool::Kubectl;

pub(crate) const WEB: &str = r"
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

pub(crate) async fn apply_patch_annotate_label_scale_and_delete(k: &Kubectl) {
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
    k.run("label deployment web canary=false --overwrite").await;
    k.run("label deployment web tier-").await;
    let web = k.json("get deployment web").await;
    assert_eq!(web["metadata"]["labels"], json!({ "canary": "false" }));
    assert_eq!(web["metadata"]["annotations"]["canary-image"], "example.com/web:stable");
    k.run("scale deployment web --replicas=3 --current-replicas=1").await;
    assert_eq!(k.json("get deployment web").await["spec"]["replicas"], 3);
    let out = k.feed("apply -f - --dry-run=server", WEB).await;
    assert!(out.contains("deployment.apps/web configured (server dry run)"), "{out}");
    assert_eq!(k.json("get deployment web").await["spec"]["replicas"], 3, "a dry run changes nothing");

    let gone = k.run("delete deployment web --timeout=10s").await;
    assert!(gone.starts_with("deployment.apps \"web\" deleted"), "{gone}");
    assert_eq!(k.run("wait --for=delete deployment/web --timeout=10s").await, "");
    let none = k.fails("get deployment web").await;
    assert!(none.contains("Error from server (NotFound): deployments.apps \"web\" not found"), "{none}");
}

pub(crate) async fn apply_removes_what_was_dropped_and_takes_lists(k: &Kubectl) {
    let list = r"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {set: one}}, data: {x: '1', y: '2'}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: b, labels: {set: one}}}
- {apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{name: http, port: 80}, {name: other, port: 81}]}}
";
    assert_eq!(k.feed("apply -f -", list).await, "configmap/a created\nconfigmap/b created\nservice/s created\n");
    let less = list.replace(", y: '2'", "").replace(", {name: other, port: 81}", "");
    let out = k.feed("apply -f -", &less).await;
    assert_eq!(out, "configmap/a configured\nconfigmap/b unchanged\nservice/s configured\n");
    assert_eq!(k.json("get configmap a").await["data"], json!({ "x": "1" }));
    assert_eq!(k.json("get service s").await["spec"]["ports"].as_array().unwrap().len(), 1);
    let last = k.run("apply view-last-applied configmap/a").await;
    assert!(!last.contains("y:"), "{last}");
    let pruned = less.lines().filter(|line| !line.contains("name: b")).collect::<Vec<_>>().join("\n");
    let out = k
        .feed(
            "apply -f - --prune -l set=one --prune-allowlist=core/v1/ConfigMap",
            &pruned.replace("metadata: {name: s}", "metadata: {name: s, labels: {set: one}}"),
        )
        .await;
    assert!(out.contains("configmap/b pruned"), "{out}");
    let (code, _, err) =
        k.output("apply -f -", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndatta: {}\n").await;
    assert_ne!(code, 0);
    assert!(err.contains("unknown field \"datta\""), "{err}");
}

pub(crate) async fn edit_replace_diff_and_set(k: &Kubectl) {
    k.feed("apply -f -", WEB).await;
    let (code, out, err) = k.edit("deployment web", "replicas: 2", "replicas: 4").await;
    assert_eq!((code, out.as_str()), (0, "deployment.apps/web edited\n"), "{err}");
    assert_eq!(k.json("get deployment web").await["spec"]["replicas"], 4);
    let (code, _, err) = k.edit("deployment web", "replicas: 4", "replicas: -4").await;
    assert_ne!(code, 0);
    assert!(err.contains("deployments.apps \"web\" is invalid"), "{err}");
    let (code, _, err) = k.edit("deployment web", "nothing", "else").await;
    assert_eq!(code, 0);
    assert!(err.contains("Edit cancelled, no changes made"), "{err}");

    k.run("create configmap c --from-literal=a=1").await;
    let stored = k.run("get configmap c -o yaml").await;
    let out = k.feed("replace -f -", &stored.replace("a: \"1\"", "a: \"2\"")).await;
    assert_eq!(out, "configmap/c replaced\n");
    let (code, _, err) = k.output("replace -f -", &stored).await;
    assert_eq!(code, 1);
    assert!(err.contains("the object has been modified"), "{err}");
    let fresh = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {b: '1'}\n";
    let out = k.feed("replace --force --grace-period=0 -f -", fresh).await;
    assert!(out.contains("configmap/c replaced"), "{out}");
    assert_eq!(k.json("get configmap c").await["data"], json!({ "b": "1" }));

    let (code, out, _) = k.output("diff -f -", &WEB.replace("example.com/web:1", "example.com/web:9")).await;
    assert_eq!(code, 1, "{out}");
    let changed: Vec<&str> = out.lines().filter(|l| l.contains("image:") && l.starts_with(['+', '-'])).collect();
    assert_eq!(changed, ["-        image: example.com/web:1", "+        image: example.com/web:9"]);
    assert_eq!(k.json("get deployment web").await["spec"]["replicas"], 4, "a diff changes nothing");
    assert_eq!(k.output("diff -f -", &WEB.replace("replicas: 2", "replicas: 4")).await.0, 0);

    assert_eq!(k.run("set image deployment/web c=example.com/web:3").await, "deployment.apps/web image updated\n");
    k.run("set resources deployment/web -c side --limits=cpu=100m").await;
    k.run("set serviceaccount deployment/web robot").await;
    let spec = k.json("get deployment web").await["spec"]["template"]["spec"].clone();
    assert_eq!(spec["containers"][0]["image"], "example.com/web:3");
    assert_eq!(spec["containers"][1]["resources"], json!({ "limits": { "cpu": "100m" } }));
    assert_eq!(spec["serviceAccountName"], "robot");
}

pub(crate) async fn server_side_apply_is_refused_in_words(k: &Kubectl) {
    let (code, _, err) = k.output("apply --server-side -f -", WEB).await;
    assert_ne!(code, 0);
    assert!(err.contains("server-side apply is not part of the sandbox"), "{err}");
}

pub(crate) async fn create_works_for_kinds_that_kubectl_sends_as_protobuf(k: &Kubectl) {
    k.run(&format!("create namespace {}-other", k.namespace)).await;
    k.run("create configmap cm --from-literal=a=b").await;
    k.run("create secret generic s --from-literal=a=b").await;
    k.run("create secret docker-registry pull --docker-server=r.example.com --docker-username=u --docker-password=p")
        .await;
    k.run("create deployment d --image=example.com/d:1 --replicas=2 --port=80").await;
    k.run("create service clusterip c --tcp=80:8080").await;
    k.run("create serviceaccount sa").await;
    k.run("create job j --image=example.com/j:1 -- sh -c true").await;
    k.run("create poddisruptionbudget b --selector=app=d --min-available=1").await;
    k.run("run p --image=example.com/p:1 --env=A=1").await;
    k.run("expose deployment d --port=80").await;
    assert_eq!(k.json("get cm cm").await["data"], json!({ "a": "b" }));
    assert_eq!(k.json("get secret s").await["data"], json!({ "a": "Yg==" }));
    assert_eq!(k.json("get secret pull").await["type"], "kubernetes.io/dockerconfigjson");
    let d = k.json("get deployment d").await;
    assert_eq!(d["spec"]["replicas"], 2);
    assert_eq!(d["metadata"]["labels"], json!({ "app": "d" }));
    let container = &d["spec"]["template"]["spec"]["containers"][0];
    assert_eq!((&container["image"], &container["ports"][0]["containerPort"]), (&json!("example.com/d:1"), &json!(80)));
    assert_eq!(k.json("get svc c").await["spec"]["ports"][0]["targetPort"], 8080);
    let job = k.json("get job j").await;
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["command"], json!(["sh", "-c", "true"]));
    assert_eq!(k.json("get pdb b").await["spec"]["minAvailable"], 1);

    let node = json!({ "metadata": { "name": "n1" } });
    k.api().post("/api/v1/nodes", node).await.expect(201);
    let mut on_node = pod("q");
    on_node["spec"]["nodeName"] = json!("n1");
    k.api().post(&k.api().core("pods"), on_node).await.expect(201);
    k.run("cordon n1").await;
    assert_eq!(k.row("get nodes", "n1").await[1], "Unknown,SchedulingDisabled");
    k.run("drain n1 --force --grace-period=0 --timeout=10s").await;
    k.fails("get pod q").await;
    k.run("uncordon n1").await;
    k.run("taint nodes n1 a=b:NoSchedule").await;
    assert_eq!(k.json("get node n1").await["spec"]["taints"][0]["key"], "a");
}
