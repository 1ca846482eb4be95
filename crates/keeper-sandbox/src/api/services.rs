//! Addresses and node ports of Services.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::object::{self, child};
use super::resources::ResourceType;
use super::status::{FieldError, Status};

/// The node ports that may be given out.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

/// Gives a Service the addresses and node ports that it asks for or needs. Other kinds are left alone.
pub(crate) fn allocate(cluster: &Cluster, resource: &ResourceType, service: &mut Value) -> Result<(), Status> {
    if !resource.is("", "services") {
        return Ok(());
    }
    let kind = object::text(service, "/spec/type").unwrap_or_default().to_owned();
    if kind == "ExternalName" {
        return Ok(());
    }
    let this = (object::namespace(service).to_owned(), object::name(service).to_owned());
    let invalid = |error: FieldError| Status::invalid(resource, &this.1, &[error]);
    let others: Vec<Value> = cluster
        .store
        .list(&resource.storage)
        .filter(|(key, _)| **key != this)
        .filter_map(|(_, other)| other.get("spec").cloned())
        .collect();
    let taken = |address: &str| others.iter().any(|spec| object::text(spec, "/clusterIP") == Some(address));
    let address = match object::text(service, "/spec/clusterIP").unwrap_or_default() {
        "None" => "None".to_owned(),
        "" => free_address(cluster.service_range, taken)
            .ok_or_else(|| Status::new(500, "InternalError", "failed to allocate a serviceIP: range is full"))?,
        wanted => {
            let inside = wanted.parse::<Ipv4Addr>().is_ok_and(|ip| inside(cluster.service_range, ip));
            if !inside {
                let why = "failed to allocate IP: the provided IP is not in the valid range";
                return Err(invalid(FieldError::invalid("spec.clusterIPs", json!([wanted]), why)));
            }
            if taken(wanted) {
                let why = "failed to allocate IP: provided IP is already allocated";
                return Err(invalid(FieldError::invalid("spec.clusterIPs", json!([wanted]), why)));
            }
            wanted.to_owned()
        }
    };
    let spec = child(service, "spec");
    object::set(spec, "clusterIP", json!(address));
    object::set(spec, "clusterIPs", json!([address]));
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        node_ports(spec, &others);
    }
    Ok(())
}

/// An update that leaves the address out means the one the Service has.
pub(crate) fn keep(old: &Value, resource: &ResourceType, new: &mut Value) {
    if !resource.is("", "services") || object::text(new, "/spec/type") == Some("ExternalName") {
        return;
    }
    for field in ["clusterIP", "clusterIPs"] {
        if let Some(value) = old.pointer(&format!("/spec/{field}")) {
            object::default(child(new, "spec"), field, || value.clone());
        }
    }
}

fn inside((first, size): (Ipv4Addr, u32), address: Ipv4Addr) -> bool {
    u32::from(address).checked_sub(u32::from(first)).is_some_and(|offset| offset > 0 && offset < size)
}

fn free_address((first, size): (Ipv4Addr, u32), taken: impl Fn(&str) -> bool) -> Option<String> {
    // The first address is the network's own and the last one its broadcast address.
    (1..size.saturating_sub(1))
        .filter_map(|offset| u32::from(first).checked_add(offset))
        .map(|address| Ipv4Addr::from(address).to_string())
        .find(|address| !taken(address))
}

fn node_ports(spec: &mut Value, others: &[Value]) {
    let ports_of = |spec: &Value| -> Vec<i64> {
        object::list(spec, "/ports").iter().filter_map(|p| object::number(p, "/nodePort")).collect()
    };
    let mut taken: Vec<i64> = others.iter().flat_map(ports_of).chain(ports_of(spec)).collect();
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if object::number(port, "/nodePort").unwrap_or_default() == 0
            && let Some(free) = NODE_PORTS.clone().find(|n| !taken.contains(n))
        {
            taken.push(free);
            object::set(port, "nodePort", json!(free));
        }
    }
}
