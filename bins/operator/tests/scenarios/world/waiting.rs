//! Waiting for what a scenario expects, and telling what there is when it does not come.

use super::{PATIENCE, World, describe};
use std::time::{Duration, Instant};

impl World {
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await {
            assert!(Instant::now() < deadline, "gave up waiting until {what}\n{}", self.report().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the workload shows that phase and reason.
    pub async fn until_shown(&self, phase: &str, reason: &str) {
        let what = format!("the workload shows {phase} {reason}");
        self.until(&what, async || self.shown().await == (phase.to_owned(), reason.to_owned())).await;
    }

    /// Waits until the record says that the rollout of that digest stands there.
    pub async fn until_state(&self, phase: &str, digest: &str) {
        let wanted = (phase.to_owned(), digest.to_owned());
        self.until(&format!("{digest} is {phase}"), async || self.state().await == wanted).await;
    }

    /// Waits until the registry was asked for the tag so many times more.
    pub async fn registry_intervals(&self, intervals: u64) {
        let asked = self.registry().heads("shop", "stable");
        self.until("the registry was asked again", async || {
            self.registry().heads("shop", "stable") >= asked + intervals
        })
        .await;
    }

    /// Waits until production runs that digest, by digest, everywhere, and no canary is left.
    pub async fn until_promoted(&self, digest: &str) {
        let image = self.image(digest);
        self.until(&format!("production runs {digest}"), async || self.production().await == image).await;
        self.until("the record says it is settled", async || {
            self.shown().await.0 == "Settled" && self.canaries().await.is_empty()
        })
        .await;
    }

    /// Waits until that digest is in the ledger as rejected and no canary is left; production must not have changed.
    pub async fn until_rejected(&self, digest: &str, production: &str) {
        self.until_shown("Rejected", "Rejected").await;
        self.until("the canary is gone", async || self.canaries().await.is_empty()).await;
        assert_eq!(self.production().await, self.image(production), "production was touched");
        let record = self.record().await.unwrap();
        assert!(record.to_string().contains(digest), "{record}");
    }

    /// Stays with something for a while: it must hold all the time.
    pub async fn always(&self, what: &str, time: Duration, mut holds: impl AsyncFnMut() -> bool) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            assert!(holds().await, "it must hold that {what}\n{}", self.report().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The number of production's template, as the workload's controller counts them: one more with each other template.
    pub async fn revision(&self) -> i64 {
        let annotations = self.deployment_now().await.metadata.annotations.unwrap_or_default();
        annotations["deployment.kubernetes.io/revision"].parse().unwrap()
    }

    /// Everything that helps to understand a scenario that failed.
    pub async fn report(&self) -> String {
        let deployment = self.deployment_now().await;
        let canaries: Vec<String> = self.canaries().await.iter().map(|pod| pod.data["status"].to_string()).collect();
        let requests: Vec<String> = self
            .requests()
            .iter()
            .filter(|request| request.verb != "watch" && request.verb != "list")
            .map(|request| format!("{} {} {}", describe(request), request.name, request.code))
            .collect();
        format!(
            "{}\nshown: {:?}\nproduction: {}\ncanaries: {canaries:?}\nrecord: {:?}\nstatus: {}\nrequests:\n{}\nlog:\n{}",
            self.label,
            self.shown().await,
            self.production().await,
            self.record().await,
            deployment.data["status"],
            requests.join("\n"),
            self.log()
        )
    }
}
