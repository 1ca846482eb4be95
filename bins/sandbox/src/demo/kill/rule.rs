//! What Prometheus and Alertmanager are told: whom to scrape, when a pod makes no progress, and who is to hear of it. Pure.

use super::shop::Member;
use crate::demo::manifests::{NAMESPACE, PORT};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

/// The alert's name.
pub(super) const ALERT: &str = "NoProgress";
/// How long a counter must have stood still for the rule to look, and for how long it must stay so.
const STILL: &str = "4s";
const FOR: &str = "2s";

/// A pod that has served and serves no more, while its siblings do.
pub(super) fn expression() -> String {
    let moved = format!("increase(http_requests_total[{STILL}])");
    format!(
        "sum by (namespace, pod) ({moved}) == 0 and sum by (namespace, pod) (http_requests_total) > 0 \
         and on (namespace) sum by (namespace) ({moved}) > 0"
    )
}

/// The file of rules. JSON is YAML.
pub(super) fn rules() -> Value {
    let rule = json!({
        "alert": ALERT, "expr": expression(), "for": FOR,
        "labels": {"action": "kill"},
        "annotations": {"summary": "{{ $labels.pod }} is asked and answers nothing"},
    });
    json!({"groups": [{"name": "stuck-pods", "interval": "1s", "rules": [rule]}]})
}

/// Prometheus's configuration; the files lie beside it.
pub(super) fn prometheus(alertmanager: SocketAddr) -> Value {
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.to_string()]}]}]},
        "scrape_configs": [{
            "job_name": "pods",
            "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "1s"}],
        }],
    })
}

/// The pods to scrape, with the labels that name them.
pub(super) fn targets(members: &[Member]) -> Value {
    let addressed = members.iter().filter(|member| !member.address.is_empty());
    let target = |member: &Member| {
        let labels = json!({"namespace": NAMESPACE, "pod": member.name});
        json!({"targets": [format!("{}:{PORT}", member.address)], "labels": labels})
    };
    addressed.map(target).collect()
}

/// Alertmanager's configuration: everything goes to the killer, and goes again every second.
pub(super) fn alertmanager(door: SocketAddr, token: &Path) -> Value {
    json!({
        "route": {
            "receiver": "killer", "group_by": ["namespace", "pod"],
            "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1s",
        },
        "receivers": [{
            "name": "killer",
            "webhook_configs": [{
                "url": format!("http://{door}/kill"),
                "http_config": {"authorization": {"type": "Bearer", "credentials_file": token}},
            }],
        }],
    })
}

/// The body that Alertmanager would post about a pod.
pub(super) fn webhook(pod: &str, since: jiff::Timestamp) -> Value {
    let labels = json!({"alertname": ALERT, "namespace": NAMESPACE, "pod": pod, "action": "kill"});
    let annotations = json!({"summary": format!("{pod} is asked and answers nothing")});
    let alert = json!({
        "status": "firing", "labels": labels, "annotations": annotations,
        "startsAt": since.to_string(), "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "",
    });
    json!({
        "version": "4", "groupKey": format!("{{}}:{{namespace=\"{NAMESPACE}\", pod=\"{pod}\"}}"), "truncatedAlerts": 0,
        "status": "firing", "receiver": "killer", "groupLabels": {"namespace": NAMESPACE, "pod": pod},
        "commonLabels": labels, "commonAnnotations": annotations, "externalURL": "", "alerts": [alert],
    })
}
