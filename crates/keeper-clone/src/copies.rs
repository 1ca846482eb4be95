//! [`not_two_copies`]: did the owner declare that two copies must not run at once?

use std::collections::BTreeSet;

use serde_json::Value;

use crate::refusal::Refusal;
use crate::targets::container_name;
use crate::workload::Workload;

/// Every reason why two copies of this workload at once are not what its owner declared: strategy `Recreate`, a claim
/// among `read_write_once` (names of claims in its namespace; the caller knows their access modes), a port of the node.
///
/// Empty for a workload that may have a canary without further ado. Whether an owner opted in is the caller's to know.
/// With `hostNetwork` servers fill in each port's `hostPort`, so that is covered as well.
pub fn not_two_copies(workload: &Workload<'_>, read_write_once: &BTreeSet<String>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if workload.json().pointer("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate") {
        refusals.push(Refusal::Recreate);
    }
    let volumes = workload.template().pointer("/spec/volumes").and_then(Value::as_array);
    refusals.extend(volumes.into_iter().flatten().filter_map(|volume| {
        let claim = volume.pointer("/persistentVolumeClaim/claimName")?.as_str()?;
        read_write_once
            .contains(claim)
            .then(|| Refusal::ReadWriteOnce { volume: container_name(volume).to_owned(), claim: claim.to_owned() })
    }));
    let containers = workload.containers().iter().chain(workload.init_containers());
    refusals.extend(containers.flat_map(host_ports));
    refusals
}

fn host_ports(container: &Value) -> impl Iterator<Item = Refusal> {
    let ports = container.get("ports").and_then(Value::as_array);
    ports
        .into_iter()
        .flatten()
        .filter_map(|port| port.get("hostPort").and_then(Value::as_u64))
        .filter(|port| *port > 0)
        .map(|port| Refusal::HostPort { container: container_name(container).to_owned(), port })
}
