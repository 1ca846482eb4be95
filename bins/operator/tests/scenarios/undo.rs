//! A person takes a promotion back with `kubectl rollout undo`: nothing fights a person.

use crate::world::{Start, World, creations, not_run, on_path, promotions, script};
use keeper_sandbox::node::{Delay, FakeScript};
use serde_json::json;
use std::path::PathBuf;

/// The machine's `kubectl`; without it, that is noted.
fn kubectl() -> Option<PathBuf> {
    let found = on_path("kubectl");
    if found.is_none() {
        not_run("no kubectl on PATH: a promotion taken back by kubectl rollout undo");
    }
    found
}

impl World {
    async fn undo(&self, kubectl: &PathBuf) {
        let mut command = std::process::Command::new(kubectl);
        command
            .arg("--kubeconfig")
            .arg(self.sandbox.kubeconfig())
            .args(["--namespace", &self.namespace])
            .args(["rollout", "undo", "deployment/shop"])
            .env("HOME", self.directory());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Waits until the operator says that this promotion was taken back so many times, and holds it.
    async fn until_rolled_back(&self, digest: &str, number: u64) {
        self.until_state("held", digest).await;
        self.until_shown("Held", "RolledBack").await;
        let record = self.record().await.unwrap();
        assert_eq!(record["rolledBack"][digest], json!(number), "{record}");
        let short: String = digest.trim_start_matches("sha256:").chars().take(12).collect();
        let hint = format!("{short}#{number}");
        let shown = self.deployment_now().await.metadata.annotations.unwrap()["canary-keeper.dev/message"].clone();
        assert!(shown.contains(&hint), "{shown}");
    }

    /// Production stays at that revision, and no canary is started, through registry intervals and a restart.
    async fn left_alone(&self, digest: &str) {
        self.until("the workload's controller has noticed", async || {
            let deployment = self.deployment_now().await;
            let status = &deployment.data["status"];
            status["observedGeneration"] == json!(deployment.metadata.generation)
                && status["updatedReplicas"] == status["replicas"]
        })
        .await;
        let (revision, canaries) = (self.revision().await, creations(&self.requests()).len());
        self.registry_intervals(3).await;
        self.kill_operator();
        self.start_operator();
        self.operator_ready().await;
        self.registry_intervals(2).await;
        assert_eq!(self.production().await, self.image(digest), "{}", self.report().await);
        assert_eq!(self.revision().await, revision, "somebody wrote production\n{}", self.report().await);
        assert_eq!(creations(&self.requests()).len(), canaries, "{}", self.report().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undone_promotion_is_not_made_again_until_a_person_says_so() {
    let Some(kubectl) = kubectl() else { return };
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_promoted(&new).await;
    world.undo(&kubectl).await;
    world.until_rolled_back(&new, 1).await;
    world.left_alone(&old).await;

    // The tag leaves and comes back.
    assert!(world.registry().tag("shop", "stable", &old));
    world.until_shown("Settled", "UpToDate").await;
    assert!(world.registry().tag("shop", "stable", &new));
    world.until_rolled_back(&new, 1).await;
    world.left_alone(&old).await;

    // A retry that doesn't say which rollback it means could be an old one.
    world.annotate(json!({"canary-keeper.dev/retry": new})).await;
    world.left_alone(&old).await;
    world.annotate(json!({"canary-keeper.dev/retry": format!("{new}#1")})).await;
    world.until_promoted(&new).await;
    assert_eq!(promotions(&world.requests()).len(), 2);

    world.undo(&kubectl).await;
    world.until_rolled_back(&new, 2).await;
    // What was said of the first rollback doesn't speak of the second.
    world.annotate(json!({"canary-keeper.dev/retry": format!("{new}#1 again")})).await;
    world.left_alone(&old).await;
    assert_eq!(promotions(&world.requests()).len(), 2, "{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_undone_while_the_tag_is_elsewhere_is_remembered() {
    let Some(kubectl) = kubectl() else { return };
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_promoted(&new).await;
    // A tag that names what can't start: nothing is under way.
    world.annotate(json!({"canary-keeper.dev/pause": "true"})).await;
    assert!(world.registry().tag("shop", "stable", &old));
    world.undo(&kubectl).await;
    world.annotate(json!({"canary-keeper.dev/pause": null})).await;
    world.until("it is remembered", async || world.record().await.unwrap()["rolledBack"][&new] == json!(1)).await;

    assert!(world.registry().tag("shop", "stable", &new));
    world.until_rolled_back(&new, 1).await;
    world.left_alone(&old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_while_production_rolls_out_stands() {
    let Some(kubectl) = kubectl() else { return };
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    // The canary did well; production's own pods of the same image never get Ready.
    script(&world, &new, FakeScript { ready_after: Some(Delay::Never), ..FakeScript::default() });
    let image = world.image(&new);
    world.until("production is patched", async || world.production().await == image).await;
    world.until("the canary has made room", async || world.canaries().await.is_empty()).await;
    assert_eq!(world.state().await, ("promoting".to_owned(), new.clone()));

    world.undo(&kubectl).await;
    world.until_rolled_back(&new, 1).await;
    world.left_alone(&old).await;
    assert_eq!(promotions(&world.requests()).len(), 1, "{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undone_promotion_by_command_is_not_made_again() {
    let Some(kubectl) = kubectl() else { return };
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[("canary-duration", "10m")]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    world.annotate(json!({"canary-keeper.dev/promote": new})).await;
    world.until_promoted(&new).await;
    world.until_shown("Settled", "PromotedByPerson").await;

    // The undo brings back the annotations of then, the command among them.
    world.undo(&kubectl).await;
    world.until_rolled_back(&new, 1).await;
    world.left_alone(&old).await;
    assert_eq!(promotions(&world.requests()).len(), 1, "{}", world.report().await);
}
