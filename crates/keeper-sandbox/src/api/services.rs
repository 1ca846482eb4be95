//! Addresses and node ports of Services.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::object::{self, child};
use super::resources::ResourceType;
use super::status::{FieldError, Status};

/// The node ports that may be given out.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

/// Gives a Service the addresses and node ports that it asks for or needs. Other kinds are left alone. In a dry run the
/// address is only shown, and is the range's own, as on the real server.
pub(crate) fn allocate(
    cluster: &Cluster,
    resource: &ResourceType,
    service: &mut Value,
    dry_run: bool,
) -> Result<(), Status> {
    let kind = object::text(service, "/spec/type").unwrap_or_default().to_owned();
    if !resource.is("", "services") || kind == "ExternalName" {
        return Ok(());
    }
    let this = (object::namespace(service).to_owned(), object::name(service).to_owned());
    let others: Vec<Value> = cluster
        .store
        .list(&resource.storage)
        .filter(|(key, _)| **key != this)
        .filter_map(|(_, other)| other.get("spec").cloned())
        .collect();
    let (first, size) = cluster.service_range;
    let taken = |address: &str| others.iter().any(|spec| object::text(spec, "/clusterIP") == Some(address));
    let address = match object::text(service, "/spec/clusterIP").unwrap_or_default() {
        "None" => "None".to_owned(),
        "" if dry_run => first.to_string(),
        "" => free_address(cluster.service_range, taken)
            .ok_or_else(|| Status::new(500, "InternalError", "failed to allocate a serviceIP: range is full"))?,
        wanted => {
            let inside = wanted.parse::<Ipv4Addr>().is_ok_and(|ip| inside(cluster.service_range, ip));
            let why = match inside {
                false => {
                    let range = format!("{first}/{}", size.leading_zeros() + 1);
                    format!("the provided IP ({wanted}) is not in the valid range. The range of valid IPs is {range}")
                }
                true if taken(wanted) => "provided IP is already allocated".to_owned(),
                true => String::new(),
            };
            if !why.is_empty() {
                let why = format!("failed to allocate IP {wanted}: {why}");
                let fault = FieldError::invalid("spec.clusterIPs", json!([wanted]), why);
                return Err(Status::invalid(resource, &this.1, &[fault]));
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

/// The two forms of the address are kept in step. An update that leaves the address out means the one the Service has.
pub(crate) fn addresses(old: Option<&Value>, resource: &ResourceType, new: &mut Value) {
    if !resource.is("", "services") || object::text(new, "/spec/type") == Some("ExternalName") {
        return;
    }
    let was = old.and_then(|old| old.get("spec")).cloned().unwrap_or(Value::Null);
    let spec = child(new, "spec");
    for field in ["clusterIP", "clusterIPs"] {
        if let Some(value) = was.get(field) {
            object::default(spec, field, || value.clone());
        }
    }
    let address = spec.get("clusterIP").filter(|address| **address != json!("")).cloned();
    if let Some(address) = address
        && (spec.get("clusterIPs").is_none()
            || (was.get("clusterIP") != Some(&address) && was.get("clusterIPs") == spec.get("clusterIPs")))
    {
        object::set(spec, "clusterIPs", json!([address]));
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
