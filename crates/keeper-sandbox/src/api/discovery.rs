//! What is served: group and resource lists in the old and in the aggregated form.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::resources::{ResourceType, Resources};

/// The Kubernetes version whose behaviour is followed.
pub(crate) fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.3+keeper-sandbox", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
    })
}

/// The answer under a discovery path, if it is one.
pub(crate) fn answer(resources: &Resources, path: &str, aggregated: bool, address: &str) -> Option<Value> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        ["api"] if aggregated => Some(aggregate(resources, |group| group.is_empty())),
        ["apis"] if aggregated => Some(aggregate(resources, |group| !group.is_empty())),
        ["api"] => Some(json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
        })),
        ["apis"] => {
            let groups: Vec<Value> = groups(resources).iter().filter_map(|(name, v)| group(name, v)).collect();
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["api", version] => resource_list(resources, "", version),
        ["apis", name] => {
            let groups = groups(resources);
            let mut found = group(name, groups.get(*name)?)?;
            super::object::set(&mut found, "kind", json!("APIGroup"));
            super::object::set(&mut found, "apiVersion", json!("v1"));
            Some(found)
        }
        ["apis", group, version] => resource_list(resources, group, version),
        _ => None,
    }
}

/// Versions and their resources by group.
type Groups<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a ResourceType>>>;

fn groups(resources: &Resources) -> Groups<'_> {
    let mut groups = Groups::new();
    for resource in resources.iter() {
        groups.entry(&resource.group).or_default().entry(&resource.version).or_default().push(resource);
    }
    groups
}

fn group(name: &str, versions: &BTreeMap<&str, Vec<&ResourceType>>) -> Option<Value> {
    if name.is_empty() {
        return None;
    }
    let listed: Vec<Value> = by_preference(versions)
        .iter()
        .map(|(v, _)| json!({ "groupVersion": format!("{name}/{v}"), "version": v }))
        .collect();
    let preferred = listed.first().cloned();
    Some(json!({ "name": name, "versions": listed, "preferredVersion": preferred }))
}

/// Stable versions before beta before alpha, higher ones before lower ones, and what is no version of this form last.
fn by_preference<'a, T>(versions: &'a BTreeMap<&'a str, T>) -> Vec<(&'a str, &'a T)> {
    let rank = |version: &str| {
        let (major, rest) = {
            let digits = version.strip_prefix('v')?;
            digits.split_at(digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()))
        };
        let (stage, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
            (Some(minor), _) => (1, minor),
            (_, Some(minor)) => (0, minor),
            _ if rest.is_empty() => (2, "0"),
            _ => return None,
        };
        Some((stage, major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let mut sorted: Vec<_> = versions.iter().map(|(version, of)| (*version, of)).collect();
    sorted.sort_by(|(a, _), (b, _)| rank(b).cmp(&rank(a)).then(a.cmp(b)));
    sorted
}

fn verbs(resource: &ResourceType) -> Value {
    if resource.custom {
        json!(["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"])
    } else {
        json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"])
    }
}

fn subresource_verbs(name: &str) -> Value {
    match name {
        "log" => json!(["get"]),
        "eviction" | "binding" | "instantiate" => json!(["create"]),
        "exec" | "attach" | "portforward" => json!(["create", "get"]),
        "finalize" => json!(["update"]),
        _ => json!(["get", "patch", "update"]),
    }
}

/// Group, version and kind of what a subresource reads and writes.
fn subresource_kind(resource: &ResourceType, name: &str) -> (String, String, String) {
    match name {
        "scale" => ("autoscaling".into(), "v1".into(), "Scale".into()),
        "eviction" => ("policy".into(), "v1".into(), "Eviction".into()),
        "instantiate" => (resource.group.clone(), resource.version.clone(), "DeploymentRequest".into()),
        "binding" => (String::new(), "v1".into(), "Binding".into()),
        "attach" => (String::new(), "v1".into(), "PodAttachOptions".into()),
        "exec" => (String::new(), "v1".into(), "PodExecOptions".into()),
        "portforward" => (String::new(), "v1".into(), "PodPortForwardOptions".into()),
        _ => (resource.group.clone(), resource.version.clone(), resource.kind.clone()),
    }
}

fn resource_list(resources: &Resources, group: &str, version: &str) -> Option<Value> {
    let mut listed = Vec::new();
    for r in resources.iter().filter(|r| r.group == group && r.version == version) {
        let mut entry = json!({
            "name": r.plural, "singularName": r.singular, "namespaced": r.namespaced, "kind": r.kind,
            "verbs": verbs(r),
        });
        for (field, names) in [("shortNames", &r.short_names), ("categories", &r.categories)] {
            if !names.is_empty() {
                super::object::set(&mut entry, field, json!(names));
            }
        }
        listed.push(entry);
        for sub in r.subresources() {
            let (sub_group, sub_version, kind) = subresource_kind(r, sub);
            let mut entry = json!({
                "name": format!("{}/{sub}", r.plural), "singularName": "", "namespaced": r.namespaced,
                "kind": kind, "verbs": subresource_verbs(sub),
            });
            // Said only where it is not what the list says.
            if (sub_group.as_str(), sub_version.as_str()) != (group, version) {
                super::object::set(&mut entry, "group", json!(sub_group));
                super::object::set(&mut entry, "version", json!(sub_version));
            }
            listed.push(entry);
        }
    }
    if listed.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed }))
}

fn aggregate(resources: &Resources, wanted: impl Fn(&str) -> bool) -> Value {
    let items: Vec<Value> = groups(resources)
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, versions)| {
            let versions: Vec<Value> = by_preference(versions)
                .into_iter()
                .map(|(version, resources)| {
                    let resources: Vec<Value> = resources.iter().map(|r| aggregated_resource(r)).collect();
                    json!({ "version": version, "freshness": "Current", "resources": resources })
                })
                .collect();
            let metadata = if name.is_empty() { json!({}) } else { json!({ "name": name }) };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn aggregated_resource(r: &ResourceType) -> Value {
    let subresources: Vec<Value> = r
        .subresources()
        .into_iter()
        .map(|sub| {
            let (group, version, kind) = subresource_kind(r, sub);
            json!({
                "subresource": sub, "verbs": subresource_verbs(sub),
                "responseKind": { "group": group, "version": version, "kind": kind },
            })
        })
        .collect();
    json!({
        "resource": r.plural, "singularResource": r.singular, "verbs": verbs(r), "shortNames": r.short_names,
        "categories": r.categories, "scope": if r.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": { "group": r.group, "version": r.version, "kind": r.kind }, "subresources": subresources,
    })
}
