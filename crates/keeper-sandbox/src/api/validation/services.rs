//! What is refused of Services and EndpointSlices.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::metadata::labels;
use super::{Faults, Field, immutable};
use crate::api::names::{label_faults, label_key_faults, port_name_faults, subdomain_faults};
use crate::api::status::FieldError;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const NO_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

pub(super) fn service(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let spec = Field::of(new, "spec");
    let kind = spec.at("type");
    let outside = kind.text() == "ExternalName";
    if let Some(old) = old {
        fixed_address(&spec, &Field::of(old, "spec"), faults);
    }
    let ports: Vec<Field<'_>> = spec.at("ports").items().collect();
    if ports.is_empty() && spec.at("clusterIP").text() != "None" && !outside {
        faults.required(&spec.at("ports"), "");
    }
    if outside {
        external_name(&spec.at("externalName"), faults);
    }
    let mut names = Vec::new();
    for port in &ports {
        service_port(port, ports.len() > 1, &mut names, faults);
    }
    labels(&spec.at("selector"), faults);
    faults.one_of(&spec.at("sessionAffinity"), &["ClientIP", "None"]);
    if !outside {
        addresses(&spec, faults);
    }
    faults.one_of(&kind, &TYPES);
    same_ports(&ports, faults);
}

/// A Service keeps the address it has, unless it is or becomes a mere name.
fn fixed_address(new: &Field<'_>, old: &Field<'_>, faults: &mut Faults) {
    let outside = |spec: &Field<'_>| spec.at("type").text() == "ExternalName";
    let (now, was) = (new.at("clusterIP").text(), old.at("clusterIP").text());
    if now != was && !was.is_empty() && !outside(new) && !outside(old) {
        let all = new.at("clusterIPs").value;
        faults.push(FieldError::invalid("spec.clusterIPs[0]", all.clone(), "may not change once set"));
    }
}

fn external_name(name: &Field<'_>, faults: &mut Faults) {
    match name.text().strip_suffix('.').unwrap_or_else(|| name.text()) {
        "" => faults.required(name, ""),
        text => faults.each(&Field { path: name.path.clone(), value: &json!(text) }, subdomain_faults(text)),
    }
}

fn service_port<'a>(port: &Field<'a>, named: bool, names: &mut Vec<&'a str>, faults: &mut Faults) {
    let name = port.at("name");
    port_name(&name, named, names, faults);
    faults.range(&port.at("port"), 1, 65_535);
    faults.one_of(&port.at("protocol"), &PROTOCOLS);
    let target = port.at("targetPort");
    match target.value {
        Value::String(name) => faults.each(&target, port_name_faults(name)),
        _ => faults.range(&target, 1, 65_535),
    }
    if port.at("appProtocol").is_set() {
        faults.each(&port.at("appProtocol"), label_key_faults(port.at("appProtocol").text()));
    }
}

/// A label, and not among the `seen` names.
fn port_name<'a>(name: &Field<'a>, needed: bool, seen: &mut Vec<&'a str>, faults: &mut Faults) {
    if !name.text().is_empty() {
        faults.each(name, label_faults(name.text()));
    } else if needed {
        faults.required(name, "");
        return;
    } else {
        return;
    }
    if seen.contains(&name.text()) {
        faults.duplicate(name);
    }
    seen.push(name.text());
}

fn addresses(spec: &Field<'_>, faults: &mut Faults) {
    let all = spec.at("clusterIPs");
    for address in all.items().filter(|address| address.text() != "None") {
        if address.text().parse::<IpAddr>().is_err() {
            faults.invalid(&address, NO_ADDRESS);
        }
    }
}

/// Two ports of one protocol differ in their number.
fn same_ports(ports: &[Field<'_>], faults: &mut Faults) {
    let mut seen = Vec::new();
    for port in ports {
        let key = (port.at("protocol").text(), port.at("port").number());
        if seen.contains(&key) {
            // No more than this is compared, and so no more is shown.
            let (protocol, number) = (key.0, key.1.unwrap_or_default());
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{protocol:?},\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\
                 \"NodePort\":0}}"
            );
            faults.push(FieldError::duplicate(port.path.as_str(), Value::Null).showing(shown));
        }
        seen.push(key);
    }
}

pub(super) fn endpoint_slice(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let kind = Field::of(new, "addressType");
    if kind.text().is_empty() {
        faults.required(&kind, "");
    } else {
        faults.one_of(&kind, &["FQDN", "IPv4", "IPv6"]);
    }
    let mut names: Vec<&str> = Vec::new();
    for port in Field::of(new, "ports").items() {
        let name = port.at("name");
        if !name.text().is_empty() {
            faults.each(&name, label_faults(name.text()));
        }
        if names.contains(&name.text()) {
            faults.duplicate(&name);
        }
        names.push(name.text());
        faults.one_of(&port.at("protocol"), &PROTOCOLS);
    }
    for endpoint in Field::of(new, "endpoints").items() {
        let addresses = endpoint.at("addresses");
        if addresses.items().next().is_none() {
            faults.required(&addresses, "must contain at least 1 address");
        }
        for address in addresses.items() {
            endpoint_address(kind.text(), &addresses, &address, faults);
        }
    }
    immutable("addressType", new, old, faults);
}

/// The real server also refuses loopback addresses. The sandbox's pods live on them, so here they pass.
fn endpoint_address(kind: &str, all: &Field<'_>, address: &Field<'_>, faults: &mut Faults) {
    let text = address.text();
    let fits = match kind {
        "IPv4" => text.parse::<Ipv4Addr>().is_ok(),
        "IPv6" => text.parse::<Ipv6Addr>().is_ok(),
        _ => return,
    };
    if text.parse::<IpAddr>().is_err() {
        faults.invalid(address, NO_ADDRESS);
    } else if !fits {
        let whole = Field { path: all.path.clone(), value: address.value };
        faults.invalid(&whole, format!("must be an {kind} address"));
    }
}
