//! Commands that show something.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::api_support::{MERGE, pod};
use super::tool::Kubectl;
use super::writes::WEB;

fn head(out: &str) -> String {
    out.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(crate) async fn get_shows_kubectls_tables(k: &Kubectl) {
    k.feed("apply -f -", WEB).await;
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

    k.api().post(&k.api().core("pods"), pod("p")).await.expect(201);
    let status = json!({ "status": {
        "phase": "Running", "podIP": "127.1.0.1",
        "containerStatuses": [{
            "name": "c", "ready": false, "restartCount": 3, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        }],
    } });
    k.api().patch(&k.api().core("pods/p/status"), MERGE, status).await.expect(200);
    let row = k.row("get pods -o wide", "p").await;
    assert_eq!(row[..4], ["p", "0/1", "CrashLoopBackOff", "3"]);
    assert_eq!(row[5], "127.1.0.1");
    assert!(k.run("get pods -A -l app=web --no-headers").await.contains("CrashLoopBackOff"));
    assert_eq!(k.run("get pods -l app=other -o name").await, "");
    assert!(k.run("get all").await.contains("deployment.apps/web"));
    let described = k.run("describe pod p").await;
    assert!(described.contains("CrashLoopBackOff"), "{described}");
    for what in ["deployment web", "service web", &format!("namespace {}", k.namespace)] {
        let described = k.run(&format!("describe {what}")).await;
        let name = what.split(' ').next_back().unwrap();
        let first: Vec<&str> = described.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(first, ["Name:", name]);
    }
}

pub(crate) async fn get_w_follows_changes(k: &Kubectl) {
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
    k.api().patch(&k.api().apps("deployments/web/status"), MERGE, status).await.expect(200);
    assert_eq!(next().await[1..4], ["7/7", "7", "7"]);
    child.kill().await.unwrap();
}

pub(crate) async fn objects_are_printed_in_every_form(k: &Kubectl) {
    for (name, data) in [("b", "2"), ("c", "1"), ("a", "3")] {
        k.run(&format!("create configmap {name} --from-literal=n={data}")).await;
    }
    let names = |out: String| out.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let line = "get configmaps -o 'jsonpath={.items[*].metadata.name}'";
    assert_eq!(names(k.run(line).await), ["a", "b", "c"]);
    assert_eq!(names(k.run(&format!("{line} --sort-by=.data.n")).await), ["c", "b", "a"]);
    let columns =
        k.run("get configmaps -o custom-columns=WHO:.metadata.name,N:.data.n,NONE:.data.none --sort-by=.data.n").await;
    let rows: Vec<Vec<&str>> = columns.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["WHO", "N", "NONE"], ["c", "1", "<none>"], ["b", "2", "<none>"], ["a", "3", "<none>"]]);
    let template = "get configmaps -o 'go-template={{range .items}}{{.metadata.name}}={{.data.n}} {{end}}'";
    assert_eq!(k.run(template).await, "a=3 b=2 c=1 ");
    assert_eq!(k.run("get configmaps -o name").await, "configmap/a\nconfigmap/b\nconfigmap/c\n");
    assert_eq!(k.run("get configmap -o name --field-selector metadata.name=b").await, "configmap/b\n");
    let yaml = k.run("get configmap a -o yaml").await;
    let read: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(read, k.json("get configmap a").await);
    assert_eq!(read["data"], json!({ "n": "3" }));
    assert_eq!(k.run("get configmaps a b --no-headers --chunk-size=1").await.lines().count(), 2);
    assert_eq!(k.run("get configmaps --show-labels -L app").await.lines().count(), 4);
    let none = k.fails("get configmaps none").await;
    assert_eq!(none, "Error from server (NotFound): configmaps \"none\" not found\n");
    assert_eq!(k.run("get configmaps none --ignore-not-found").await, "");
    let (_, _, err) = k.output("get secrets", "").await;
    assert_eq!(err, format!("No resources found in {} namespace.\n", k.namespace));
}

pub(crate) async fn wait_and_rollout_read_the_status(k: &Kubectl) {
    k.feed("apply -f -", WEB).await;
    let late = k.fails("wait --for=condition=Available deployment/web --timeout=1s").await;
    assert!(late.contains("timed out waiting"), "{late}");
    let mut waiting = k.command("rollout status deployment/web --timeout=30s").spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = json!({ "status": {
        "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
        "conditions": [{ "type": "Available", "status": "True" }, { "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }],
    } });
    k.api().patch(&k.api().apps("deployments/web/status"), MERGE, status).await.expect(200);
    assert!(waiting.wait().await.unwrap().success());
    k.run("wait --for=condition=Available deployment/web --timeout=10s").await;
    k.run("wait --for=jsonpath={.status.readyReplicas}=2 deployment/web --timeout=10s").await;
}

pub(crate) async fn what_is_served_can_be_listed(k: &Kubectl) {
    let resources = k.run("api-resources").await;
    assert_eq!(head(&resources), "NAME SHORTNAMES APIVERSION NAMESPACED KIND");
    let row = |name: &str| {
        let row = resources.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("deployments "), ["deployments", "deploy", "apps/v1", "true", "Deployment"]);
    assert_eq!(row("namespaces "), ["namespaces", "ns", "v1", "false", "Namespace"]);
    let workloads = k.run("api-resources --api-group=apps -o name").await;
    assert!(workloads.contains("deployments.apps\n"), "{workloads}");
    let versions = k.run("api-versions").await;
    assert!(versions.lines().any(|line| line == "apps/v1"), "{versions}");
    assert!(k.run("version").await.contains("Server Version: v1.36.3"));
    // What a built-in kind looks like is not described; kubectl says so rather than show nothing.
    let unknown = k.fails("explain deployment.spec").await;
    assert!(unknown.contains("not found in OpenAPI schema"), "{unknown}");
}

pub(crate) async fn what_needs_a_line_into_pods_is_refused_in_words(k: &Kubectl) {
    let mut placed = pod("p");
    placed["spec"]["nodeName"] = json!("n");
    k.api().post(&k.api().core("pods"), placed).await.expect(201);
    let running = json!({ "status": { "phase": "Running", "containerStatuses": [
        { "name": "c", "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": { "running": {} } },
    ] } });
    k.api().patch(&k.api().core("pods/p/status"), MERGE, running).await.expect(200);
    for line in ["exec p -- ls", "cp p:/etc/hosts hosts", "attach p", "port-forward p 8080:80"] {
        let refused = k.fails(line).await;
        assert!(refused.contains("this sandbox has no"), "{line}: {refused}");
    }
}

pub(crate) async fn events_are_told(k: &Kubectl) {
    k.feed("apply -f -", WEB).await;
    let web = k.json("get deployment web").await;
    for (name, reason, note, at) in [
        ("web.1", "ScalingReplicaSet", "Scaled up", "2020-01-01T00:00:01Z"),
        ("web.2", "Late", "Something else", "2020-01-01T00:00:02Z"),
    ] {
        let event = json!({
            "metadata": { "name": name }, "reason": reason, "message": note, "type": "Normal", "count": 1,
            "firstTimestamp": at, "lastTimestamp": at, "source": { "component": "tester" },
            "involvedObject": {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": k.namespace,
                "uid": web["metadata"]["uid"],
            },
        });
        k.api().post(&k.api().core("events"), event).await.expect(201);
    }
    let events = k.run("get events --sort-by=.lastTimestamp").await;
    assert_eq!(head(&events), "LAST SEEN TYPE REASON OBJECT MESSAGE");
    let objects: Vec<&str> = events.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(objects, ["ScalingReplicaSet", "Late"]);
    assert_eq!(k.run("get events --field-selector reason=Late --no-headers").await.lines().count(), 1);
    assert!(k.run("events --for deployment/web").await.contains("Scaled up"));
    let described = k.run("describe deployment web").await;
    assert!(described.contains("ScalingReplicaSet"), "{described}");
}
