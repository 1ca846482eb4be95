//! What the API server's request log proves of one release. Pure: records in, complaints out.

use super::manifests::{APP, NAMESPACE};
use jiff::{SignedDuration, Timestamp};
use keeper_sandbox::api::RequestRecord;
use serde_json::Value;
use std::collections::BTreeMap;

/// The manager of the operator's writes, and what its name as a client begins with.
const OPERATOR: &str = "canary-keeper";

/// Everything that one release made the API server log.
pub(super) struct Evidence<'a> {
    /// The records since before the image was pushed, oldest first.
    pub(super) records: &'a [RequestRecord],
    /// The digest that was pushed.
    pub(super) digest: &'a str,
    /// How long the canary had to be watched.
    pub(super) incubation: SignedDuration,
}

impl Evidence<'_> {
    /// What speaks against "promoted as it should be".
    pub(super) fn against_promotion(&self) -> Vec<String> {
        let mut complaints = self.against_canaries();
        match self.promotions().as_slice() {
            [patch] => {
                complaints.extend(self.against_patch(patch));
                complaints.extend(self.against_incubation(patch.time));
            }
            patches => complaints.push(format!("production was patched {} times, and once was right", patches.len())),
        }
        complaints
    }

    /// What speaks against "rejected as it should be".
    pub(super) fn against_rejection(&self) -> Vec<String> {
        let mut complaints = self.against_canaries();
        let patches = self.promotions().len();
        if patches > 0 {
            complaints.push(format!("production was patched {patches} times for an image that was rejected"));
        }
        complaints
    }

    /// The operator's requests by verb, without watches.
    pub(super) fn requests(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for record in self.records.iter().filter(|record| is_operators(record) && record.verb != "watch") {
            *counts.entry(record.verb.clone()).or_default() += 1;
        }
        counts
    }

    fn against_canaries(&self) -> Vec<String> {
        let created = self.canaries().count();
        if created == 1 { vec![] } else { vec![format!("{created} canaries were created, and one was right")] }
    }

    /// The writes that changed production's pod template.
    fn promotions(&self) -> Vec<&RequestRecord> {
        let production = |record: &&RequestRecord| {
            let kind = (record.group.as_str(), record.resource.as_str());
            [("apps", "deployments"), ("apps.openshift.io", "deploymentconfigs")].contains(&kind)
                && record.name == APP
                && record.subresource.is_empty()
        };
        let changes = |record: &&RequestRecord| {
            record.verb != "patch" || operations(record).any(|operation| path(operation).starts_with("/spec/template"))
        };
        self.records.iter().filter(production).filter(|record| is_done(record)).filter(changes).collect()
    }

    fn against_patch(&self, patch: &RequestRecord) -> Vec<String> {
        let mut complaints = Vec::new();
        for tested in ["/metadata/uid", "/metadata/resourceVersion"] {
            let tests =
                |operation: &Value| operation.get("op").is_some_and(|op| op == "test") && path(operation) == tested;
            if !operations(patch).any(tests) {
                complaints.push(format!("the patch of production does not test {tested}"));
            }
        }
        let pinned = format!("@{}", self.digest);
        if !operations(patch).filter_map(|operation| operation.get("value")).any(|value| names(value, &pinned)) {
            complaints.push(format!("the patch of production does not pin {}", self.digest));
        }
        complaints
    }

    /// Replays the writes of the Service's EndpointSlice (ten pods with one port are one slice): the canary must have been
    /// listed as ready, without a gap, from at least the incubation before the patch until the patch.
    fn against_incubation(&self, patched: Timestamp) -> Option<String> {
        let Some(canary) = self.canaries().next() else { return Some("no canary was created".into()) };
        let slices = self.records.iter().filter(|record| record.resource == "endpointslices" && is_done(record));
        let slices = slices.filter(|record| record.namespace == NAMESPACE);
        let mut since: Option<Timestamp> = None;
        for record in slices.filter(|record| record.time <= patched) {
            let listed = record.body.as_ref().is_some_and(|slice| lists(slice, canary));
            since = if listed { since.or(Some(record.time)) } else { None };
        }
        let Some(since) = since else {
            return Some("the canary was not in the EndpointSlice when production was patched".into());
        };
        let stood = patched.duration_since(since);
        let short = format!("{:.1} s", stood.as_secs_f64());
        (stood < self.incubation)
            .then(|| format!("the canary was in the EndpointSlice for {short} only before the patch"))
    }

    /// The names of the pods that the operator created, and of its Deployments beside production.
    fn canaries(&self) -> impl Iterator<Item = &str> {
        let canary = |record: &&RequestRecord| match record.resource.as_str() {
            "pods" => record.subresource.is_empty(),
            "deployments" => record.group == "apps" && record.name != APP,
            _ => false,
        };
        let created = self.records.iter().filter(canary);
        let created = created.filter(|record| record.verb == "create" && is_operators(record) && is_done(record));
        created.map(|record| record.name.as_str())
    }
}

/// The sandbox's own parts and this demo say who they are; a client that doesn't is the operator's library.
fn is_operators(record: &RequestRecord) -> bool {
    let client = record.client();
    client.is_empty() || client.starts_with(OPERATOR) || record.field_manager.as_deref() == Some(OPERATOR)
}

/// A write that took place.
fn is_done(record: &RequestRecord) -> bool {
    record.is_write() && (200..300).contains(&record.code)
}

fn operations(record: &RequestRecord) -> impl Iterator<Item = &Value> {
    record.body.as_ref().and_then(Value::as_array).into_iter().flatten()
}

fn path(operation: &Value) -> &str {
    operation.get("path").and_then(Value::as_str).unwrap_or_default()
}

/// Whether an image that ends like this stands in a value: the value itself, or a whole pod template.
fn names(value: &Value, ending: &str) -> bool {
    match value {
        Value::String(image) => image.ends_with(ending),
        Value::Array(values) => values.iter().any(|value| names(value, ending)),
        Value::Object(fields) => fields.values().any(|value| names(value, ending)),
        _ => false,
    }
}

/// Whether an EndpointSlice lists a canary as ready: the pod itself, or one of the Deployment's, which begin with its name.
fn lists(slice: &Value, canary: &str) -> bool {
    let endpoints = slice.get("endpoints").and_then(Value::as_array).into_iter().flatten();
    let ready = |endpoint: &Value| endpoint.pointer("/conditions/ready").is_none_or(|ready| ready == true);
    let of_it = |endpoint: &Value| {
        let rest =
            endpoint.pointer("/targetRef/name").and_then(Value::as_str).and_then(|name| name.strip_prefix(canary));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    endpoints.into_iter().any(|endpoint| of_it(endpoint) && ready(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DIGEST: &str = "sha256:aaaa";

    fn record(second: i64, verb: &str, resource: &str, name: &str, body: Value) -> RequestRecord {
        RequestRecord {
            sequence: 0,
            time: Timestamp::from_second(second).unwrap(),
            answered: Timestamp::from_second(second).unwrap(),
            user_agent: if resource == "endpointslices" { "sandbox".into() } else { "canary-keeper/0.1.0".into() },
            field_manager: None,
            verb: verb.into(),
            path: String::new(),
            query: String::new(),
            group: if resource == "deployments" { "apps".into() } else { String::new() },
            resource: resource.into(),
            namespace: "shop".into(),
            name: name.into(),
            subresource: String::new(),
            dry_run: false,
            content_type: String::new(),
            code: 200,
            body: Some(body),
        }
    }

    fn slice(second: i64, pods: &[(&str, bool)]) -> RequestRecord {
        let endpoint =
            |(name, ready): &(&str, bool)| json!({"targetRef": {"name": name}, "conditions": {"ready": ready}});
        let endpoints: Vec<_> = pods.iter().map(endpoint).collect();
        record(second, "update", "endpointslices", "app-1", json!({"endpoints": endpoints}))
    }

    fn patch(second: i64) -> RequestRecord {
        record(
            second,
            "patch",
            "deployments",
            APP,
            json!([
                {"op": "test", "path": "/metadata/uid", "value": "u"},
                {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
                {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": format!("r/shop/app@{DIGEST}")},
            ]),
        )
    }

    fn canary(second: i64) -> RequestRecord {
        record(second, "create", "pods", "app-canary", json!({}))
    }

    fn good() -> Vec<RequestRecord> {
        vec![canary(10), slice(11, &[("app-canary", true), ("other", true)]), patch(23)]
    }

    fn against(records: &[RequestRecord]) -> Vec<String> {
        Evidence { records, digest: DIGEST, incubation: SignedDuration::from_secs(12) }.against_promotion()
    }

    #[test]
    fn a_promotion_as_it_should_be() {
        assert_eq!(against(&good()), Vec::<String>::new());
        // A dry-run and a display of the phase are no changes of production.
        let mut dry = patch(9);
        dry.dry_run = true;
        let shown = record(12, "patch", "deployments", APP, json!({"metadata": {"annotations": {}}}));
        assert_eq!(against(&[vec![dry, shown], good()].concat()), Vec::<String>::new());
    }

    #[test]
    fn a_promotion_of_a_config_counts_and_its_namesake_of_another_group_does_not() {
        let mut records = good();
        records[2].resource = "deploymentconfigs".into();
        assert!(against(&records).concat().contains("patched 0 times"));
        records[2].group = "apps.openshift.io".into();
        assert_eq!(against(&records), Vec::<String>::new());
    }

    #[test]
    fn two_patches_or_none_are_told() {
        assert!(against(&[good(), vec![patch(24)]].concat()).concat().contains("patched 2 times"));
        assert!(against(&good()[..2]).concat().contains("patched 0 times"));
        let rejected =
            Evidence { records: &good(), digest: DIGEST, incubation: SignedDuration::ZERO }.against_rejection();
        assert!(rejected.concat().contains("patched 1 times"));
    }

    #[test]
    fn a_patch_without_tests_or_of_another_digest_is_told() {
        let mut bare = good();
        bare[2].body = Some(
            json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "r/shop/app:stable"}]),
        );
        assert_eq!(against(&bare).len(), 3, "{:?}", against(&bare));
    }

    #[test]
    fn a_canary_deployment_counts_with_its_pods_and_its_template_pins() {
        let template = json!({"spec": {"containers": [{"name": APP, "image": format!("r/shop/app@{DIGEST}")}]}});
        let mut promotion = patch(23);
        promotion.body.as_mut().unwrap()[2] = json!({"op": "replace", "path": "/spec/template", "value": template});
        let created = record(10, "create", "deployments", "app-canary", json!({}));
        let listed = |pod| slice(11, &[(pod, true), ("app-5d8c-x", true)]);
        let good = vec![created.clone(), listed("app-canary-7f9-b"), promotion.clone()];
        assert_eq!(against(&good), Vec::<String>::new());
        let unlisted = vec![created.clone(), listed("app-canaryesque"), promotion.clone()];
        assert!(against(&unlisted).concat().contains("was not in the EndpointSlice"));
        let twice = [vec![created], good.clone()].concat();
        assert!(against(&twice).concat().contains("2 canaries"));
        let mut as_written = good;
        as_written[2].body.as_mut().unwrap()[2]["value"]["spec"]["containers"][0]["image"] = json!("r/shop/app:v2");
        assert!(against(&as_written).concat().contains("does not pin"));
    }

    #[test]
    fn a_gap_in_the_slice_is_told() {
        let gap = vec![
            canary(10),
            slice(11, &[("app-canary", true)]),
            slice(15, &[("app-canary", false)]),
            slice(16, &[("app-canary", true)]),
            patch(23),
        ];
        assert!(against(&gap).concat().contains("for 7.0 s only"));
        let gone = vec![canary(10), slice(11, &[("app-canary", true)]), slice(22, &[]), patch(23)];
        assert!(against(&gone).concat().contains("was not in the EndpointSlice"));
        let never = vec![canary(10), patch(23)];
        assert!(against(&never).concat().contains("was not in the EndpointSlice"));
    }

    #[test]
    fn two_canaries_are_told() {
        assert!(against(&[vec![canary(5)], good()].concat()).concat().contains("2 canaries"));
    }

    #[test]
    fn requests_are_counted_by_verb() {
        let records = good();
        let evidence = Evidence { records: &records, digest: DIGEST, incubation: SignedDuration::ZERO };
        assert_eq!(evidence.requests(), BTreeMap::from([("create".into(), 1), ("patch".into(), 1)]));
    }
}
