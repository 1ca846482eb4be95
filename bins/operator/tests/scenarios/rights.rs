//! The manifest's Role allows what the operator asks for, which every scenario holds it against at its end. What of it two
//! releases don't ask for is named here, each with who does.

use crate::canary_world::{SHORT, canary, canary_kind, edit, install, until_gone, until_promoted, wanted};
use crate::world::{Start, rights};
use serde_json::json;

/// Rights that are for more than these releases.
const FOR_OTHERS: [(&str, &str); 11] = [
    ("create deploymentconfigs/instantiate.apps.openshift.io", "OpenShift"),
    ("delete jobs.batch", "a Job that does not end in time"),
    ("get configmaps", "a record that another operator wrote meanwhile"),
    ("get deploymentconfigs.apps.openshift.io", "OpenShift"),
    ("get persistentvolumeclaims", "a template with a volume"),
    ("list horizontalpodautoscalers.autoscaling", "a Canary that says how many replicas"),
    ("list replicationcontrollers", "OpenShift"),
    ("patch canaries/status.canary-keeper.dev", "a Canary that can't be judged at all"),
    ("patch deploymentconfigs.apps.openshift.io", "OpenShift"),
    ("watch deploymentconfigs.apps.openshift.io", "OpenShift"),
    ("watch replicationcontrollers", "OpenShift"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_role_allows_nothing_that_the_operator_does_not_ask_for() {
    let world = Start::default().world().await;
    install(&world).await;
    let old = world.push("1", &[]);
    let job = world.image(&world.push_aside("the check", &[("exit-after", "1s"), ("exit-code", "0")]));
    let checks = format!(
        "- {{kind: job, jobTemplate: {{spec: {{template: {{spec: {{containers: [{{name: smoke, image: '{job}'}}]}}}}}}}}}}"
    );
    world.deploy(&old, 2, &[("canary-keeper.dev/checks", &checks), ("canary-keeper.dev/max-incubation", "60s")]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_promoted(&new).await;
    // A Canary whose production is created, and then gets another release.
    let image = world.image(&old);
    world.create(&canary_kind(), canary("basket", SHORT, &wanted(&world, "basket", &image))).await;
    until_promoted(&world, "basket").await;
    let wanted = wanted(&world, "basket", &world.image(&new));
    edit(&world, "basket", json!({"spec": {"deploymentTemplate": wanted}})).await;
    until_promoted(&world, "basket").await;
    until_gone(&world).await;
    let unused = rights().unused(&world.requests());
    let mut expected: Vec<&str> = FOR_OTHERS.iter().map(|(right, _)| *right).collect();
    if std::env::var_os("KEEPER_E2E_KUBECONFIG").is_some() {
        // Whether writes meet another's, and whether OpenShift's kinds are served, is up to that cluster and its other users.
        expected.retain(|right| unused.iter().any(|unused| unused == right));
    }
    assert_eq!(unused, expected);
}
