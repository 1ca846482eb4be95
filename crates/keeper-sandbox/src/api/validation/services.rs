//! What is refused of Services and EndpointSlices.

use serde_json::Value;

use super::metadata::label;
use super::{Faults, immutable};
use crate::api::object;
use crate::api::status::FieldError;

pub(super) fn service(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let kind = object::text(new, "/spec/type").unwrap_or_default();
    if !matches!(kind, "ClusterIP" | "ExternalName" | "LoadBalancer" | "NodePort") {
        let supported = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
        faults.push(FieldError::not_supported("spec.type", kind.into(), &supported));
    }
    for (key, value) in object::map(new, "/spec/selector").into_iter().flatten() {
        label("spec.selector", key, value, faults);
    }
    let ports = object::list(new, "/spec/ports");
    let headless = object::text(new, "/spec/clusterIP") == Some("None");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        faults.push(FieldError::required("spec.ports", ""));
    }
    for (i, port) in ports.iter().enumerate() {
        let number = object::number(port, "/port").unwrap_or_default();
        if !(1..=65_535).contains(&number) {
            faults.push(FieldError::invalid(
                format!("spec.ports[{i}].port"),
                number.into(),
                "must be between 1 and 65535, inclusive",
            ));
        }
        if ports.len() > 1 && object::text(port, "/name").is_none_or(str::is_empty) {
            faults.push(FieldError::required(format!("spec.ports[{i}].name"), ""));
        }
        let same =
            |other: &&Value| other.get("port") == port.get("port") && other.get("protocol") == port.get("protocol");
        if ports.iter().take(i).any(|other| same(&other)) {
            faults.push(FieldError::duplicate(format!("spec.ports[{i}]"), port.clone()));
        }
    }
    let address = |v: &Value| object::text(v, "/spec/clusterIP").unwrap_or_default().to_owned();
    if let Some(old) = old
        && !address(old).is_empty()
        && address(old) != address(new)
        && kind != "ExternalName"
    {
        faults.push(FieldError::invalid("spec.clusterIPs[0]", address(new).into(), "may not change once set"));
    }
}

pub(super) fn endpoint_slice(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let kind = object::text(new, "/addressType").unwrap_or_default();
    if kind.is_empty() {
        faults.push(FieldError::required("addressType", ""));
    } else if !matches!(kind, "IPv4" | "IPv6" | "FQDN") {
        faults.push(FieldError::not_supported("addressType", kind.into(), &["FQDN", "IPv4", "IPv6"]));
    }
    // The real server also refuses loopback addresses. The sandbox's pods live on them, so here they pass.
    for (i, endpoint) in object::list(new, "/endpoints").iter().enumerate() {
        if object::list(endpoint, "/addresses").is_empty() {
            faults.push(FieldError::required(format!("endpoints[{i}].addresses"), "must contain at least 1 address"));
        }
    }
    immutable("addressType", new, old, faults);
}
