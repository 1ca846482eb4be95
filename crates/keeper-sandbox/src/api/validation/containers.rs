//! What is refused of the containers of a pod.

use super::probes::{hooks, probe};
use super::{Faults, Field};
use crate::api::names::{label_faults, port_name_faults, subdomain_faults};
use crate::api::quantity::Quantity;
use crate::api::status::FieldError;

/// The pod's `terminationGracePeriodSeconds`.
#[derive(Clone, Copy)]
pub(super) struct Grace(pub(super) Option<i64>);

/// Probes by their field.
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

const RESTARTS: [&str; 3] = ["Always", "Never", "OnFailure"];

/// Where a variable's value may come from, and what each source must name.
const VALUE_SOURCES: [(&str, &[&str]); 5] = [
    ("fieldRef", &["fieldPath"]),
    ("resourceFieldRef", &["resource"]),
    ("configMapKeyRef", &["key"]),
    ("secretKeyRef", &["key"]),
    ("fileKeyRef", &["key", "volumeName", "path"]),
];

/// The containers and init containers of a pod's spec; `volumes` are those that can be mounted.
pub(super) fn containers(spec: &Field<'_>, volumes: &[&str], grace: Grace, faults: &mut Faults) {
    let regular = spec.at("containers");
    if regular.is_empty() {
        faults.required(&regular, "");
    }
    let mut names = Vec::new();
    for each in regular.items() {
        common(&each, volumes, faults);
        unique(&each.at("name"), &mut names, faults);
        living(&each, grace, faults);
        restart_policy(&each, faults);
    }
    host_ports(regular.items(), faults);
    for each in spec.at("initContainers").items() {
        common(&each, volumes, faults);
        restart_policy(&each, faults);
        unique(&each.at("name"), &mut names, faults);
        host_ports(std::iter::once(each.clone()), faults);
        if each.at("restartPolicy").text() == "Always" {
            living(&each, grace, faults);
            continue;
        }
        for field in ["lifecycle"].iter().chain(&PROBES).map(|field| each.at(field)).filter(Field::is_set) {
            faults.forbidden(&field, "may not be set for init containers without restartPolicy=Always");
        }
    }
}

/// A name that is not among those `seen`.
pub(super) fn unique<'a>(name: &Field<'a>, seen: &mut Vec<&'a str>, faults: &mut Faults) {
    if seen.contains(&name.text()) {
        faults.duplicate(name);
    } else {
        seen.push(name.text());
    }
}

/// What only a container that goes on running has.
fn living(of: &Field<'_>, grace: Grace, faults: &mut Faults) {
    hooks(&of.at("lifecycle"), grace, faults);
    for kind in PROBES {
        probe(kind, &of.at(kind), grace, faults);
    }
}

fn restart_policy(of: &Field<'_>, faults: &mut Faults) {
    if of.at("restartPolicy").is_set() {
        faults.one_of(&of.at("restartPolicy"), &RESTARTS);
    }
}

/// A port of the node can be had once.
fn host_ports<'a>(containers: impl Iterator<Item = Field<'a>>, faults: &mut Faults) {
    let mut taken = Vec::new();
    for port in containers.flat_map(|container| container.at("ports").items()) {
        let host = port.at("hostPort");
        let Some(number) = host.number().filter(|number| *number != 0) else { continue };
        let key = format!("{}/{}/{number}", port.at("protocol").text(), port.at("hostIP").text());
        if taken.contains(&key) {
            faults.push(FieldError::duplicate(host.path, key.into()));
        } else {
            taken.push(key);
        }
    }
}

fn common(of: &Field<'_>, volumes: &[&str], faults: &mut Faults) {
    faults.needed(&of.at("name"), label_faults);
    faults.needed(&of.at("image"), |_| Vec::new());
    faults.one_of(&of.at("terminationMessagePolicy"), &["File", "FallbackToLogsOnError"]);
    ports(&of.at("ports"), faults);
    for variable in of.at("env").items() {
        env(&variable, faults);
    }
    env_from(&of.at("envFrom"), faults);
    mounts(&of.at("volumeMounts"), volumes, faults);
    faults.one_of(&of.at("imagePullPolicy"), &["Always", "IfNotPresent", "Never"]);
    resources(&of.at("resources"), faults);
}

fn ports(ports: &Field<'_>, faults: &mut Faults) {
    let mut names = Vec::new();
    for port in ports.items() {
        let name = port.at("name");
        let wrong = if name.text().is_empty() { Vec::new() } else { port_name_faults(name.text()) };
        if !name.text().is_empty() && wrong.is_empty() {
            unique(&name, &mut names, faults);
        }
        faults.each(&name, wrong);
        match port.at("containerPort").number() {
            None | Some(0) => faults.required(&port.at("containerPort"), ""),
            Some(_) => faults.range(&port.at("containerPort"), 1, 65_535),
        }
        if port.at("hostPort").number().is_some_and(|number| number != 0) {
            faults.range(&port.at("hostPort"), 1, 65_535);
        }
        faults.one_of(&port.at("protocol"), &["SCTP", "TCP", "UDP"]);
    }
}

fn env(variable: &Field<'_>, faults: &mut Faults) {
    faults.needed(&variable.at("name"), variable_faults);
    let from = variable.at("valueFrom");
    if !from.is_set() {
        return;
    }
    let mut sources = 0;
    for (kind, needed) in VALUE_SOURCES.iter().filter(|(kind, _)| from.at(kind).is_set()) {
        sources += 1;
        let source = from.at(kind);
        if matches!(*kind, "configMapKeyRef" | "secretKeyRef") {
            faults.each(&source.at("name"), subdomain_faults(source.at("name").text()));
        }
        for field in needed.iter().map(|field| source.at(field)).filter(Field::is_empty) {
            faults.required(&field, "");
        }
    }
    let with_value = !variable.at("value").text().is_empty();
    let why = match sources {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if with_value => "may not be specified when `value` is not empty",
        2.. => "may not have more than one field specified at a time",
        _ => return,
    };
    faults.push(FieldError::invalid(from.path, "".into(), why));
}

fn variable_faults(name: &str) -> Vec<String> {
    let good = |c: char| (c == ' ' || c.is_ascii_graphic()) && c != '=';
    let why = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    if name.chars().all(good) { Vec::new() } else { vec![why.to_owned()] }
}

fn env_from(all: &Field<'_>, faults: &mut Faults) {
    for each in all.items() {
        let set = ["configMapRef", "secretRef"].map(|kind| each.at(kind)).into_iter().filter(Field::is_set);
        let mut sources = 0;
        for source in set {
            sources += 1;
            faults.needed(&source.at("name"), subdomain_faults);
        }
        let why = match sources {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        faults.push(FieldError::invalid(all.path.as_str(), "".into(), why));
    }
}

fn mounts(mounts: &Field<'_>, volumes: &[&str], faults: &mut Faults) {
    let mut paths = Vec::new();
    for mount in mounts.items() {
        let (name, path) = (mount.at("name"), mount.at("mountPath"));
        if name.text().is_empty() {
            faults.required(&name, "");
        }
        if !volumes.contains(&name.text()) {
            faults.push(FieldError::not_found(name.path.as_str(), name.text()));
        }
        if path.text().is_empty() {
            faults.required(&path, "");
        }
        if paths.contains(&path.text()) {
            faults.invalid_text(&path, "must be unique");
        }
        paths.push(path.text());
        for inside in ["subPath", "subPathExpr"] {
            let field = mount.at(inside).under(format!("{}.{inside}", mounts.path));
            if field.text().starts_with('/') {
                faults.invalid(&field, "must be a relative path");
            }
            if field.text().split('/').any(|part| part == "..") {
                faults.invalid(&field, "must not contain '..'");
            }
        }
    }
}

/// Amounts are not negative, and what is requested is within its limit.
fn resources(of: &Field<'_>, faults: &mut Faults) {
    let (limits, requests) = (of.at("limits"), of.at("requests"));
    for (name, limit) in limits.keyed() {
        amount_of(name, &limit, faults);
    }
    for (name, amount) in requests.keyed() {
        amount_of(name, &amount, faults);
        let limit = limits.at(name);
        if let (Some(wanted), Some(most)) = (Quantity::read(amount.value), Quantity::read(limit.value))
            && wanted.nanos > most.nanos
        {
            let why = format!("must be less than or equal to {name} limit of {most}");
            faults.invalid(&amount.under(requests.path.as_str()), why);
        }
    }
}

fn amount_of(name: &str, amount: &Field<'_>, faults: &mut Faults) {
    let known = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if !name.contains('/') && !known {
        for why in ["must be a standard resource type or fully qualified", "must be a standard resource for containers"]
        {
            faults.push(FieldError::invalid(amount.path.as_str(), name.into(), why));
        }
    }
    if Quantity::read(amount.value).is_some_and(|quantity| quantity.nanos < 0) {
        faults.invalid(amount, "must be greater than or equal to 0");
    }
}
