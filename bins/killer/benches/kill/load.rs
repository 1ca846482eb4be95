//! What Alertmanager would post, at its own pace: the next body goes out in time whether or not the last one was answered.

use crate::ill::{Ill, Member, NAMESPACE};
use crate::killer::Killer;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::time::Duration;

/// Alerts in a body, bodies a second, and for how long.
pub const ALERTS: usize = 100;
pub const BODIES: usize = 100;
pub const SECONDS: usize = 10;

/// A body that was posted.
pub struct Sent {
    pub at: Timestamp,
    pub answered: Timestamp,
    pub code: u16,
    /// The uids of the pods that it accuses.
    pub accused: Vec<String>,
}

impl Sent {
    /// How long the answer took.
    pub fn after(&self) -> SignedDuration {
        self.answered.duration_since(self.at)
    }
}

/// Posts all of it.
pub async fn send(ill: &Ill, killer: &Killer) -> Vec<Sent> {
    let mut chance = StdRng::seed_from_u64(1);
    let all = BODIES * SECONDS;
    let bodies: Vec<Vec<&Member>> = (0..all).map(|number| accused(ill, number, all, &mut chance)).collect();
    let mut clock = tokio::time::interval(Duration::from_secs(1) / u32::try_from(BODIES).unwrap());
    let mut under_way = Vec::new();
    for members in bodies {
        let uids = members.iter().map(|member| member.uid.clone()).collect();
        let body = webhook(members.iter().map(|member| member.name.as_str()));
        clock.tick().await;
        let request = killer.http.post(&killer.url).header("content-type", "application/json").body(body);
        under_way.push(tokio::spawn(answered(request, uids)));
    }
    join_all(under_way).await.into_iter().map(Result::unwrap).collect()
}

/// Whom a body accuses: of the workloads that are ill by then the newest first, the others by chance. Every second body holds
/// only first pods of workloads, which may go; the others second ones too, which the workload's budget spares.
fn accused<'a>(ill: &'a Ill, number: usize, all: usize, chance: &mut StdRng) -> Vec<&'a Member> {
    let newest = number * ill.workloads.len() / all;
    let mut members = vec![&ill.workloads[newest][0]];
    while members.len() < ALERTS {
        let pods = &ill.workloads[chance.random_range(0..=newest)];
        members.push(&pods[if number.is_multiple_of(2) { 0 } else { chance.random_range(0..pods.len()) }]);
    }
    members
}

/// One body of so many alerts: about pods that are gone, each with half a kilobyte of words.
pub fn many(ill: &Ill, alerts: usize) -> String {
    let gone: Vec<String> = (0..alerts).map(|number| format!("{}-{number}", ill.workloads[0][0].name)).collect();
    let mut body: Value = serde_json::from_str(&webhook(gone.iter().map(String::as_str))).unwrap();
    for alert in body["alerts"].as_array_mut().unwrap() {
        alert["annotations"]["description"] = json!("x".repeat(450));
    }
    body.to_string()
}

/// Posts a body by itself.
pub async fn post(killer: &Killer, body: String) -> Sent {
    answered(killer.http.post(&killer.url).body(body), Vec::new()).await
}

async fn answered(request: reqwest::RequestBuilder, accused: Vec<String>) -> Sent {
    let at = Timestamp::now();
    let code = request.send().await.unwrap().status().as_u16();
    Sent { at, answered: Timestamp::now(), code, accused }
}

fn webhook<'a>(pods: impl Iterator<Item = &'a str>) -> String {
    let since = Timestamp::now().to_string();
    let alert = |pod: &str| {
        json!({
            "status": "firing", "startsAt": since, "endsAt": "0001-01-01T00:00:00Z",
            "labels": {"alertname": "NoProgress", "namespace": NAMESPACE, "pod": pod, "severity": "page"},
            "annotations": {"summary": "no item was worked on for five minutes"},
            "generatorURL": "http://prometheus.monitoring:9090/graph?g0.expr=increase",
        })
    };
    let alerts: Vec<Value> = pods.map(alert).collect();
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"NoProgress\"}", "truncatedAlerts": 0, "status": "firing",
        "receiver": "killer", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093", "alerts": alerts,
    })
    .to_string()
}
