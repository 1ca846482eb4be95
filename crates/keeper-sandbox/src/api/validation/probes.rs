//! What is refused of a container's probes and lifecycle hooks.

use serde_json::Value;

use super::containers::Grace;
use super::{Faults, Field};
use crate::api::names::port_name_faults;

/// A probe, by its field: `livenessProbe`, `readinessProbe` or `startupProbe`.
pub(super) fn probe(kind: &str, probe: &Field<'_>, grace: Grace, faults: &mut Faults) {
    if !probe.is_set() {
        return;
    }
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], grace, faults);
    let numbers = ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
    for number in numbers {
        faults.not_negative(&probe.at(number));
    }
    let own_grace = probe.at("terminationGracePeriodSeconds");
    if own_grace.number().is_some_and(|seconds| seconds <= 0) {
        faults.invalid(&own_grace, "must be greater than 0");
    }
    let successes = probe.at("successThreshold");
    match kind {
        "readinessProbe" if own_grace.is_set() => faults.invalid(&own_grace, "must not be set for readinessProbes"),
        "readinessProbe" => {}
        _ if successes.number() != Some(1) => faults.invalid(&successes, "must be 1"),
        _ => {}
    }
}

/// What is done when a container has started and before it is stopped.
pub(super) fn hooks(lifecycle: &Field<'_>, grace: Grace, faults: &mut Faults) {
    for hook in ["postStart", "preStop"].map(|hook| lifecycle.at(hook)).iter().filter(|hook| hook.is_set()) {
        handler(hook, &["exec", "httpGet", "tcpSocket", "sleep"], grace, faults);
    }
}

/// Exactly one of the kinds, which is looked at; the others are named.
fn handler(of: &Field<'_>, kinds: &[&str], grace: Grace, faults: &mut Faults) {
    let mut set = kinds.iter().map(|kind| (*kind, of.at(kind))).filter(|(_, handler)| handler.is_set());
    let Some((kind, first)) = set.next() else {
        return faults.required(of, "must specify a handler type");
    };
    match kind {
        "exec" => {
            if first.at("command").is_empty() {
                faults.required(&first.at("command"), "");
            }
        }
        "httpGet" => {
            faults.needed(&first.at("path"), |_| Vec::new());
            port(&first.at("port"), faults);
            faults.one_of(&first.at("scheme"), &["HTTP", "HTTPS"]);
        }
        "tcpSocket" => port(&first.at("port"), faults),
        "grpc" => faults.range(&first.at("port"), 1, 65_535),
        _ => sleep(&first, grace, faults),
    }
    for (_, other) in set {
        faults.forbidden(&other, "may not specify more than 1 handler type");
    }
}

/// A number, or the name of a container's port.
fn port(port: &Field<'_>, faults: &mut Faults) {
    match port.value {
        Value::String(name) => faults.each(port, port_name_faults(name)),
        _ => faults.range(port, 1, 65_535),
    }
}

fn sleep(of: &Field<'_>, Grace(grace): Grace, faults: &mut Faults) {
    let seconds = of.at("seconds").number().unwrap_or_default();
    if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
        let shown = of.at("seconds").under(of.path.as_str());
        faults.invalid(&shown, format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})"));
    }
}
