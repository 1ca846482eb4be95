//! Defaults of Services and of what stands behind them.

use serde_json::{Value, json};

use super::items;
use crate::api::object::{self, child, default};

pub(super) fn service(spec: &mut Value) {
    default(spec, "type", || json!("ClusterIP"));
    default(spec, "sessionAffinity", || json!("None"));
    if object::text(spec, "/sessionAffinity") == Some("ClientIP") {
        let client = child(child(spec, "sessionAffinityConfig"), "clientIP");
        default(client, "timeoutSeconds", || json!(10_800));
    }
    for port in items(spec, "ports") {
        default(port, "protocol", || json!("TCP"));
        let unset = port.get("targetPort").is_none_or(|target| target.is_null() || *target == 0 || *target == "");
        if unset {
            let same = port.get("port").cloned().unwrap_or(Value::Null);
            object::set(port, "targetPort", same);
        }
    }
    if object::text(spec, "/type") != Some("ExternalName") {
        default(spec, "internalTrafficPolicy", || json!("Cluster"));
        default(spec, "ipFamilies", || json!(["IPv4"]));
        default(spec, "ipFamilyPolicy", || json!("SingleStack"));
    }
    if matches!(object::text(spec, "/type"), Some("NodePort" | "LoadBalancer")) {
        default(spec, "externalTrafficPolicy", || json!("Cluster"));
    }
    if object::text(spec, "/type") == Some("LoadBalancer") {
        default(spec, "allocateLoadBalancerNodePorts", || json!(true));
    }
}

pub(super) fn endpoint_slice(of: &mut Value) {
    default(of, "endpoints", || Value::Null);
    default(of, "ports", || Value::Null);
    for endpoint in items(of, "endpoints") {
        default(endpoint, "conditions", || json!({}));
    }
    for port in items(of, "ports") {
        default(port, "name", || json!(""));
        default(port, "protocol", || json!("TCP"));
    }
}

pub(super) fn endpoints(of: &mut Value) {
    for port in items(of, "subsets").flat_map(|subset| items(subset, "ports")) {
        default(port, "protocol", || json!("TCP"));
    }
}
