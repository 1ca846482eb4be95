//! Deployments that never run two versions at once.

use serde_json::json;

use super::script;
use crate::kinds::*;

script!(deployment_recreates, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(2, json!({ "strategy": { "type": "Recreate" } }))).await;
    run.settle("created").await;
    run.bind_all().await;
    run.ready(2, |_| true).await;
    run.settle("all ready").await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("updated: the old ones are leaving").await;
    run.see_off().await;
    run.settle("the old ones are gone").await;
    run.ready(2, |_| true).await;
    run.settle("the new ones are ready").await;
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "replicas": 3 } })).await;
    run.settle("scaled").await;
});
