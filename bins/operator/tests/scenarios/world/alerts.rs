//! What Alertmanager posts to the operator.

use super::World;
use jiff::Timestamp;
use serde_json::{Value, json};

impl World {
    /// Posts a webhook body as Alertmanager does, and answers the status code.
    pub async fn post_alerts(&self, body: impl Into<reqwest::Body>) -> u16 {
        self.door().post(body).await
    }

    /// The webhook door, for whoever outlives this borrow.
    pub fn door(&self) -> Door {
        Door { url: format!("http://{}/alerts", self.alerts), token: self.bearer_token.clone() }
    }
}

/// Where alerts are posted to, and with which credentials.
#[derive(Clone)]
pub struct Door {
    pub url: String,
    pub token: Option<String>,
}

impl Door {
    /// Posts a body as Alertmanager does, and answers the status code.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> u16 {
        let mut request = reqwest::Client::new().post(&self.url).header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.body(body).send().await.unwrap().status().as_u16()
    }
}

/// An alert that names the canary, firing since now.
pub fn accusation(world: &World, canary: &str) -> String {
    let labels = json!({"alertname": "CanaryErrors", "namespace": world.namespace, "pod": canary});
    webhook("firing", &labels, Timestamp::now())
}

/// An alert as Alertmanager 0.25 sends it.
pub fn webhook(status: &str, labels: &Value, starts_at: Timestamp) -> String {
    let ends_at = if status == "firing" { "0001-01-01T00:00:00Z".to_owned() } else { Timestamp::now().to_string() };
    json!({
        "receiver": "canary-keeper", "status": status,
        "alerts": [{
            "status": status, "labels": labels,
            "annotations": {"summary": "the canary burns its error budget"},
            "startsAt": starts_at.to_string(), "endsAt": ends_at,
            "generatorURL": "http://prometheus:9090/graph?g0.expr=up", "fingerprint": format!("{:016x}", labels_hash(labels)),
        }],
        "groupLabels": {"alertname": "HighErrorRate"}, "commonLabels": labels, "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093", "version": "4", "groupKey": "{}:{alertname=\"HighErrorRate\"}",
        "truncatedAlerts": 0,
    })
    .to_string()
}

fn labels_hash(labels: &Value) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    labels.to_string().hash(&mut hasher);
    hasher.finish()
}
