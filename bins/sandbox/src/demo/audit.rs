//! A Kubernetes audit log read as the sandbox's request log. Pure.

use jiff::Timestamp;
use keeper_sandbox::api::RequestRecord;
use serde_json::Value;

/// The records of the answered requests for resources, in the order in which the server took them. Lines that are something
/// else, or cut off, are left out.
pub(super) fn records(lines: &str) -> Vec<RequestRecord> {
    let mut records: Vec<RequestRecord> =
        lines.lines().filter_map(|line| record(&serde_json::from_str(line).ok()?)).collect();
    // They are written when they are answered.
    records.sort_by_key(|record| record.time);
    records
}

fn record(event: &Value) -> Option<RequestRecord> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text("/stage") != "ResponseComplete" {
        return None;
    }
    let time: Timestamp = text("/requestReceivedTimestamp").parse().ok()?;
    let uri = text("/requestURI");
    let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
    let option = |name: &str| {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    Some(RequestRecord {
        sequence: 0,
        time,
        answered: text("/stageTimestamp").parse().ok()?,
        user_agent: text("/userAgent"),
        field_manager: option("fieldManager").map(str::to_owned),
        verb: text("/verb"),
        path: path.to_owned(),
        query: query.to_owned(),
        group: text("/objectRef/apiGroup"),
        resource: text("/objectRef/resource"),
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        subresource: text("/objectRef/subresource"),
        dry_run: option("dryRun") == Some("All"),
        // The log does not say; a body tells by its form.
        content_type: String::new(),
        code: event.pointer("/responseStatus/code").and_then(Value::as_u64).and_then(|code| code.try_into().ok())?,
        body: event.get("requestObject").cloned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(stage: &str, time: &str, verb: &str) -> String {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "stage": stage, "verb": verb,
            "requestURI": "/apis/apps/v1/namespaces/shop/deployments/app?fieldManager=canary-keeper&dryRun=All",
            "userAgent": "canary-keeper/0.1.0",
            "objectRef": {"resource": "deployments", "namespace": "shop", "name": "app", "apiGroup": "apps", "apiVersion": "v1"},
            "responseStatus": {"metadata": {}, "code": 200},
            "requestObject": [{"op": "test", "path": "/metadata/uid", "value": "u"}],
            "requestReceivedTimestamp": time, "stageTimestamp": time,
        })
        .to_string()
    }

    #[test]
    fn an_answered_request_is_a_record() {
        let log = event("ResponseComplete", "2026-11-22T11:00:00.123456Z", "patch");
        let records = records(&log);
        let record = records.first().unwrap();
        assert_eq!((record.client(), record.group.as_str(), record.name.as_str()), ("canary-keeper", "apps", "app"));
        assert_eq!((record.code, record.dry_run, record.is_write()), (200, true, false));
        assert_eq!(record.field_manager.as_deref(), Some("canary-keeper"));
        assert!(record.body.as_ref().is_some_and(Value::is_array));
    }

    #[test]
    fn the_order_is_that_of_the_requests_and_the_rest_is_left_out() {
        let log = [
            event("ResponseComplete", "2026-11-22T11:00:02Z", "update"),
            event("ResponseStarted", "2026-11-22T11:00:00Z", "watch"),
            event("ResponseComplete", "2026-11-22T11:00:01Z", "create"),
            "{\"cut\": of".to_owned(),
        ];
        let verbs: Vec<String> = records(&log.join("\n")).into_iter().map(|record| record.verb).collect();
        assert_eq!(verbs, ["create", "update"]);
    }
}
