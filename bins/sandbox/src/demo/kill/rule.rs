//! When a pod makes no progress, and what is posted of it. Pure.

use crate::demo::alerting::Rule;
use crate::demo::manifests::NAMESPACE;
use serde_json::{Value, json};

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

/// The rule.
pub(super) fn rule() -> Rule {
    Rule {
        alert: ALERT,
        expression: expression(),
        hold: FOR,
        labels: json!({"action": "kill"}),
        summary: "{{ $labels.pod }} is asked and answers nothing",
    }
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
