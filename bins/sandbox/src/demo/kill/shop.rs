//! What the demo asks of production's pods: the cluster's view of each, and the process itself.

use crate::demo::cluster::{Cluster, is_production};
use crate::demo::manifests::{APP, PORT};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::ListParams;
use miette::{IntoDiagnostic, WrapErr};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a process may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Production's pods.
#[derive(Clone)]
pub(super) struct Shop {
    cluster: Cluster,
    http: reqwest::Client,
}

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) address: String,
    pub(super) ready: bool,
    /// Not on its way out.
    pub(super) stays: bool,
}

impl Shop {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, http: reqwest::Client::new() }
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Production's pods by name, those on their way out too.
    pub(super) async fn members(&self) -> miette::Result<Vec<Member>> {
        let mut members: Vec<_> = self.cluster.pods().await?.iter().map(member).collect();
        members.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(members)
    }

    /// Tells a process to hang.
    pub(super) async fn hang(&self, member: &Member) -> miette::Result<()> {
        let url = format!("http://{}:{PORT}/hang", member.address);
        let asked =
            self.http.post(url).timeout(ANSWER_WITHIN).send().await.and_then(reqwest::Response::error_for_status);
        asked.map(drop).into_diagnostic().wrap_err_with(|| format!("telling {} to hang", member.name))
    }

    /// Whether the process answers a request like the client's with success.
    pub(super) async fn serves(&self, member: &Member) -> bool {
        self.get(member, "/").await.is_ok()
    }

    /// Requests that the process has answered since its start, as it counts them.
    pub(super) async fn answered(&self, member: &Member) -> reqwest::Result<u64> {
        Ok(requests(&self.get(member, "/metrics").await?))
    }

    /// The same of each pod that stays and tells, by name.
    pub(super) async fn counters(&self) -> miette::Result<BTreeMap<String, u64>> {
        let mut counters = BTreeMap::new();
        for member in self.members().await?.into_iter().filter(|member| member.stays) {
            if let Ok(count) = self.answered(&member).await {
                counters.insert(member.name, count);
            }
        }
        Ok(counters)
    }

    /// The notes of the killer's Events of this reason on the Deployment.
    pub(super) async fn notes(&self, reason: &str) -> miette::Result<Vec<String>> {
        let events = self.cluster.api::<Event>().list(&ListParams::default()).await;
        let events = events.into_diagnostic().wrap_err("listing the events")?.items.into_iter();
        let about = |event: &Event| {
            let regarding = event.regarding.clone().unwrap_or_default();
            let deployment = regarding.kind.as_deref() == Some("Deployment") && regarding.name.as_deref() == Some(APP);
            deployment && event.reason.as_deref() == Some(reason)
        };
        Ok(events.filter(about).map(|event| event.note.unwrap_or_default()).collect())
    }

    async fn get(&self, member: &Member, path: &str) -> reqwest::Result<String> {
        let url = format!("http://{}:{PORT}{path}", member.address);
        self.http.get(url).timeout(ANSWER_WITHIN).send().await?.error_for_status()?.text().await
    }
}

fn member(pod: &Pod) -> Member {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    Member {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        address: status.pod_ip.unwrap_or_default(),
        ready: conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        stays: is_production(pod),
    }
}

/// The sum of the counter of requests over its labels.
fn requests(metrics: &str) -> u64 {
    let samples = metrics.lines().filter(|line| line.starts_with("http_requests_total{"));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_over_all_codes() {
        let text = "# TYPE http_requests counter\nhttp_requests_total{code=\"200\",method=\"GET\"} 7\nhttp_requests_total{code=\"500\",method=\"GET\"} 2\nother_total 9\n";
        assert_eq!(requests(text), 9);
    }
}
