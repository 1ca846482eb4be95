//! What a Role allows, held against what was asked: the API server of the sandbox asks nobody for rights, so a program's
//! manifest is proved by its requests.
//!
//! The rules are RBAC's: what is not allowed is forbidden, a rule allows each of its verbs on each of its resources, and
//! `resourceNames` hold for requests that name an object, by their path or by the field selector of a list or watch. A Role's
//! rules hold for requests within a namespace; whether it is the Role's own is not looked at. Requests that are about no
//! resource (discovery, health) are everybody's.
//!
//! ```
//! use keeper_sandbox::Rights;
//! use serde_json::json;
//!
//! let role = json!({"kind": "Role", "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]});
//! let rights = Rights::of([&role]);
//! assert_eq!(rights.forbidden(&[]), Vec::<String>::new());
//! assert_eq!(rights.unused(&[]), ["get pods", "list pods"]);
//! ```

use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::collections::BTreeSet;

use crate::api::RequestRecord;
use crate::objects::Fields;

/// The rules of some Roles, together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// Of a Role, which says nothing of requests that are about all namespaces.
    namespaced: bool,
    groups: Vec<String>,
    resources: Vec<String>,
    /// Empty: all.
    names: Vec<String>,
    verbs: Vec<String>,
}

impl Rights {
    /// Of Roles and ClusterRoles, as JSON; other objects are passed over.
    #[must_use]
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let roles = objects.into_iter().filter(|object| matches!(object.text("/kind"), Some("Role" | "ClusterRole")));
        let rules = roles.flat_map(|role| {
            let namespaced = role.text("/kind") == Some("Role");
            role.items("/rules").iter().map(move |rule| Rule::of(rule, namespaced))
        });
        Self { rules: rules.collect() }
    }

    /// The requests that no rule allows, in words, each once.
    #[must_use]
    pub fn forbidden(&self, requests: &[RequestRecord]) -> Vec<String> {
        let allowed = |request: &&RequestRecord| self.rules.iter().any(|rule| rule.allows(request));
        let forbidden = requests.iter().filter(|request| request.verb != "other" && !allowed(request));
        let words = |request: &RequestRecord| {
            let name = named(request).map_or_else(String::new, |name| format!(" {name}"));
            format!("{} {}{name}", request.verb, place(&request.group, &resource(request)))
        };
        let each: BTreeSet<String> = forbidden.map(words).collect();
        each.into_iter().collect()
    }

    /// What is allowed and was not asked for, in words: `VERB RESOURCE[.GROUP]`.
    #[must_use]
    pub fn unused(&self, requests: &[RequestRecord]) -> Vec<String> {
        let mut unused = BTreeSet::new();
        for rule in &self.rules {
            for one in rule.single() {
                if !requests.iter().any(|request| one.allows(request)) {
                    unused.insert(one.words());
                }
            }
        }
        unused.into_iter().collect()
    }
}

impl Rule {
    fn of(rule: &Value, namespaced: bool) -> Self {
        let words =
            |pointer: &str| rule.items(pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
        Self {
            namespaced,
            groups: words("/apiGroups"),
            resources: words("/resources"),
            names: words("/resourceNames"),
            verbs: words("/verbs"),
        }
    }

    fn allows(&self, request: &RequestRecord) -> bool {
        let holds = |list: &[String], what: &str| list.iter().any(|one| one == what || one == "*");
        (!self.namespaced || !request.namespace.is_empty())
            && holds(&self.groups, &request.group)
            && holds(&self.resources, &resource(request))
            && holds(&self.verbs, &request.verb)
            && (self.names.is_empty() || named(request).is_some_and(|name| self.names.contains(&name)))
    }

    /// A rule for each verb on each resource.
    fn single(&self) -> impl Iterator<Item = Self> {
        let each = self.groups.iter().flat_map(|group| self.resources.iter().map(move |resource| (group, resource)));
        each.flat_map(|(group, resource)| self.verbs.iter().map(move |verb| (group, resource, verb))).map(
            |(group, resource, verb)| Self {
                namespaced: self.namespaced,
                groups: vec![group.clone()],
                resources: vec![resource.clone()],
                names: self.names.clone(),
                verbs: vec![verb.clone()],
            },
        )
    }

    fn words(&self) -> String {
        let group = self.groups.first().map_or("", String::as_str);
        let resource = self.resources.first().map_or("", String::as_str);
        format!("{} {}", self.verbs.join(","), place(group, resource))
    }
}

/// The resource with its subresource, as rules write it.
fn resource(request: &RequestRecord) -> String {
    match request.subresource.as_str() {
        "" => request.resource.clone(),
        subresource => format!("{}/{subresource}", request.resource),
    }
}

fn place(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// The object that the request names, to the server's access control: a create names none.
fn named(request: &RequestRecord) -> Option<String> {
    if request.verb == "create" && request.subresource.is_empty() {
        return None;
    }
    if !request.name.is_empty() {
        return Some(request.name.clone());
    }
    let selector = request.query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector="))?;
    let selector = percent_decode_str(selector).decode_utf8().ok()?;
    selector.strip_prefix("metadata.name=").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn asked(method: &str, uri: &str) -> RequestRecord {
        let (parts, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        RequestRecord::of(&parts, b"{\"metadata\": {\"name\": \"made\"}}", Timestamp::UNIX_EPOCH)
    }

    fn rights() -> Rights {
        Rights::of(&[
            json!({"kind": "Role", "rules": [
                {"apiGroups": ["apps"], "resources": ["deployments", "deployments/status"], "verbs": ["get", "patch"]},
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["book"], "verbs": ["get", "watch", "create"]},
            ]}),
            json!({"kind": "ServiceAccount", "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}),
        ])
    }

    #[test]
    fn what_no_rule_allows_is_told() {
        let allowed = [
            asked("GET", "/apis/apps/v1/namespaces/n/deployments/d"),
            asked("PATCH", "/apis/apps/v1/namespaces/n/deployments/d/status"),
            asked("GET", "/api/v1/namespaces/n/configmaps/book"),
            asked("GET", "/api/v1/namespaces/n/configmaps?watch=true&fieldSelector=metadata.name%3Dbook"),
            asked("GET", "/apis"),
        ];
        assert_eq!(rights().forbidden(&allowed), Vec::<String>::new());
        let forbidden = [
            asked("DELETE", "/apis/apps/v1/namespaces/n/deployments/d"),
            asked("GET", "/apis/apps/v1/namespaces/n/deployments/d/scale"),
            asked("GET", "/api/v1/namespaces/n/configmaps/other"),
            asked("GET", "/api/v1/namespaces/n/configmaps?watch=true"),
            asked("POST", "/api/v1/namespaces/n/configmaps"),
            asked("GET", "/apis/apps/v1/deployments/d"),
        ];
        let expected = [
            "create configmaps",
            "delete deployments.apps d",
            "get configmaps other",
            "get deployments.apps d",
            "get deployments/scale.apps d",
            "watch configmaps",
        ];
        assert_eq!(rights().forbidden(&forbidden), expected);
    }

    #[test]
    fn what_nobody_asked_for_is_told() {
        let asked = [
            asked("GET", "/apis/apps/v1/namespaces/n/deployments/d"),
            asked("GET", "/api/v1/namespaces/n/configmaps/book"),
        ];
        let expected = [
            "create configmaps",
            "get deployments/status.apps",
            "patch deployments.apps",
            "patch deployments/status.apps",
            "watch configmaps",
        ];
        assert_eq!(rights().unused(&asked), expected);
    }
}
