//! Commands about workloads that run, on a whole sandbox.

use super::tool::Kubectl;

async fn web(k: &Kubectl, replicas: u32) {
    k.run(&format!("create deployment web --image=example.com/web:1 --replicas={replicas}")).await;
    let out = k.run("rollout status deployment/web --timeout=30s").await;
    assert!(out.ends_with("deployment \"web\" successfully rolled out\n"), "{out}");
}

async fn image(k: &Kubectl) -> String {
    k.run("get deployment web -o 'jsonpath={.spec.template.spec.containers[0].image}'").await
}

pub(crate) async fn a_rollout_is_followed_undone_paused_and_restarted(k: &Kubectl) {
    web(k, 2).await;
    k.run("set image deployment/web web=example.com/web:2").await;
    k.run("annotate deployment web kubernetes.io/change-cause=second").await;
    k.run("rollout status deployment/web --timeout=30s").await;
    let history =
        k.until("rollout history deployment/web", |out| out.lines().any(|line| line.ends_with("second"))).await;
    let revisions: Vec<&str> = history.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(revisions.len(), 2, "{history}");
    assert!(k.run("rollout history deployment/web --revision=1").await.contains("example.com/web:1"));
    assert_eq!(k.run("rollout undo deployment/web").await, "deployment.apps/web rolled back\n");
    k.run("rollout status deployment/web --timeout=30s").await;
    assert_eq!(image(k).await, "example.com/web:1");
    k.run("rollout undo deployment/web --to-revision=2").await;
    assert_eq!(image(k).await, "example.com/web:2");
    k.run("rollout status deployment/web --timeout=30s").await;

    assert_eq!(k.run("rollout pause deployment/web").await, "deployment.apps/web paused\n");
    k.run("set image deployment/web web=example.com/web:3").await;
    let sets = k.run("get replicasets -o name").await.lines().count();
    assert_eq!(sets, 2, "a paused Deployment starts nothing new");
    let refused = k.fails("rollout restart deployment/web").await;
    assert!(refused.contains("can't restart paused deployment"), "{refused}");
    k.run("rollout resume deployment/web").await;
    k.run("rollout status deployment/web --timeout=30s").await;
    assert_eq!(k.run("get replicasets -o name").await.lines().count(), 3);
    k.run("rollout restart deployment/web").await;
    k.run("rollout status deployment/web --timeout=30s").await;
    let running = k.run("get pods --field-selector=status.phase=Running -o name").await;
    assert!(running.lines().count() >= 2, "{running}");
    k.run("scale deployment web --replicas=4").await;
    k.run("wait --for=jsonpath={.status.readyReplicas}=4 deployment/web --timeout=30s").await;
    k.until("get deployment web --no-headers", |out| out.split_whitespace().nth(1) == Some("4/4")).await;
}

pub(crate) async fn deletion_cascades_as_asked(k: &Kubectl) {
    web(k, 2).await;
    let gone = k.run("delete deployment web --cascade=orphan").await;
    assert!(gone.starts_with("deployment.apps \"web\" deleted"), "{gone}");
    assert_eq!(k.run("get replicasets -l app=web -o name").await.lines().count(), 1, "its ReplicaSet is left");
    assert_eq!(k.run("get pods -l app=web -o name").await.lines().count(), 2);
    let set = k.run("get replicasets -l app=web -o name").await;
    k.run(&format!("delete {} --cascade=foreground --timeout=30s", set.trim())).await;
    k.until("get pods -l app=web -o name", str::is_empty).await;
    web(k, 1).await;
    k.run("delete deployment web").await;
    k.until("get replicasets,pods -l app=web -o name", str::is_empty).await;
}

pub(crate) async fn a_node_is_drained_within_budgets(k: &Kubectl) {
    web(k, 2).await;
    k.run("create poddisruptionbudget web --selector=app=web --min-available=2").await;
    k.until("get pdb web --no-headers", |out| out.split_whitespace().nth(1) == Some("2")).await;
    let node = k.run("get nodes -o 'jsonpath={.items[0].metadata.name}'").await;
    let blocked = k.fails(&format!("drain {node} --ignore-daemonsets --timeout=2s")).await;
    assert!(blocked.contains("Cannot evict pod as it would violate the pod's disruption budget"), "{blocked}");
    k.run("delete pdb web").await;
    let out = k.run(&format!("drain {node} --ignore-daemonsets --timeout=30s")).await;
    assert!(out.ends_with("drained\n"), "{out}");
    let row = k.row("get nodes", &node).await;
    assert_eq!(row[1], "Ready,SchedulingDisabled");
    k.run(&format!("uncordon {node}")).await;
    k.run("rollout status deployment/web --timeout=30s").await;
}

pub(crate) async fn describe_shows_what_controllers_and_node_say(k: &Kubectl) {
    web(k, 1).await;
    let described = k.run("describe deployment web").await;
    assert!(described.contains("1 desired | 1 updated | 1 total | 1 available | 0 unavailable"), "{described}");
    let pod = k.run("get pods -l app=web -o name").await;
    let described = k.run(&format!("describe {}", pod.trim())).await;
    assert!(described.contains("Controlled By:"), "{described}");
    let status = described.lines().find(|line| line.starts_with("Status:")).unwrap_or_default();
    assert!(status.ends_with(" Running"), "{described}");
}
