//! [`xray`]: what will select a canary before there is one.

use serde_json::Value;

use crate::labels::{CONFIG_LABEL, KeptLabel};
use crate::note::Note;
use crate::refusal::Refusal;
use crate::selector::{Labels, first_missing, matches, service_selector};
use crate::workload::{Workload, WorkloadKind, name_of, texts};

/// What the X-ray looks at. All lists are JSON objects as served; those of other namespaces are passed over.
#[derive(Clone, Copy, Debug)]
pub struct XRayInput<'a> {
    /// The workload the canary is a copy of.
    pub workload: &'a Workload<'a>,
    /// The canary's JSON.
    pub pod: &'a Value,
    /// Labels of the template that were kept for a Service ([`CanaryPod::kept_labels`](crate::CanaryPod::kept_labels)).
    pub kept_labels: &'a [KeptLabel],
    /// All Services of the namespace.
    pub services: &'a [Value],
    /// ReplicaSets and ReplicationControllers of the namespace: whatever adopts pods by labels.
    pub controllers: &'a [Value],
    /// PodDisruptionBudgets of the namespace, as far as known.
    pub budgets: &'a [Value],
    /// HorizontalPodAutoscalers of the namespace, as far as known.
    pub autoscalers: &'a [Value],
    /// NetworkPolicies of the namespace, as far as known.
    pub network_policies: &'a [Value],
    /// Production pods that are ready, when known.
    pub production_pods: Option<u32>,
}

impl<'a> XRayInput<'a> {
    /// Only the workload and the canary; every list is empty.
    pub fn new(workload: &'a Workload<'a>, pod: &'a Value) -> Self {
        Self {
            workload,
            pod,
            kept_labels: &[],
            services: &[],
            controllers: &[],
            budgets: &[],
            autoscalers: &[],
            network_policies: &[],
            production_pods: None,
        }
    }
}

/// A controller whose selector matches the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerMatch {
    /// Kind and name: `ReplicaSet shop-6d4cf56db6`.
    pub controller: String,
    /// Whether it would adopt the canary, and then delete one of its pods.
    pub adopts: bool,
}

/// What will select the canary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XRay {
    /// The Services that select the production pods and the canary.
    pub reached_by: Vec<String>,
    /// The Services that select the production pods and not the canary: [`Refusal::Unreachable`] each.
    pub unreachable: Vec<Refusal>,
    /// The controllers whose selector matches the canary.
    pub controllers: Vec<ControllerMatch>,
    /// What a person should know.
    pub notes: Vec<Note>,
}

impl XRay {
    /// Why the canary must not be created, the worst first; `None` when nothing stands against it.
    pub fn refusal(&self) -> Option<Refusal> {
        let adopted = self.controllers.iter().find(|found| found.adopts);
        adopted
            .map(|found| Refusal::WouldBeAdopted { by: found.controller.clone() })
            .or_else(|| self.unreachable.first().cloned())
    }
}

/// Looks at everything that selects pods by labels.
pub fn xray(input: &XRayInput<'_>) -> XRay {
    let canary = texts(input.pod.pointer("/metadata/labels")).unwrap_or_default();
    let production = production_labels(input.workload, input.controllers);
    let mut seen = XRay::default();
    if let Some(ready) = input.production_pods {
        seen.notes.push(Note::Share { production: ready });
    }
    look_at_services(input, &production, &canary, &mut seen);
    look_at_controllers(input, &canary, &mut seen);
    look_at_bystanders(input, &production, &canary, &mut seen);
    seen
}

/// The Services that select the production pods of a workload, among all of its namespace.
///
/// `controllers` are the namespace's ReplicaSets and ReplicationControllers: production pods carry labels that come from
/// theirs, by which a Service may select.
pub fn production_services<'v>(
    workload: &Workload<'_>,
    controllers: &[Value],
    services: &'v [Value],
) -> Vec<&'v Value> {
    let production = production_labels(workload, controllers);
    services
        .iter()
        .filter(|service| is_here(workload, service))
        .filter(|service| service_selector(service).is_some_and(|selector| selects_any(&selector, &production)))
        .collect()
}

/// The labels production pods have: the template's, with what each of the workload's controllers that has pods adds.
fn production_labels(workload: &Workload<'_>, controllers: &[Value]) -> Vec<Labels> {
    const HASH: &str = "pod-template-hash";
    let mut template = workload.template_labels().unwrap_or_default();
    let is_config = workload.kind() == WorkloadKind::DeploymentConfig;
    if is_config {
        template.insert(CONFIG_LABEL.to_owned(), workload.name().to_owned());
    }
    let with_pods = controllers
        .iter()
        .filter(|set| is_of(workload, set))
        .filter(|set| set.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1) > 0);
    let mut all: Vec<Labels> = with_pods
        .filter_map(|set| {
            let mut labels = template.clone();
            if is_config {
                // A ReplicationController's plain selector holds what was added to its pods.
                labels.extend(texts(set.pointer("/spec/selector"))?);
            } else {
                let hash = set.pointer("/metadata/labels")?.get(HASH)?.as_str()?;
                labels.insert(HASH.to_owned(), hash.to_owned());
            }
            Some(labels)
        })
        .collect();
    if all.is_empty() {
        all.push(template);
    }
    all
}

fn look_at_services(input: &XRayInput<'_>, production: &[Labels], canary: &Labels, seen: &mut XRay) {
    let mut any = false;
    for service in input.services.iter().filter(|service| is_here(input.workload, service)) {
        let Some(selector) = service_selector(service) else { continue };
        let name = name_of(service).to_owned();
        let ours = selects_any(&selector, production);
        any |= ours;
        match (ours, first_missing(&selector, canary)) {
            (true, None) => seen.reached_by.push(name),
            (true, Some((key, value))) => {
                seen.unreachable.push(Refusal::Unreachable { service: name, label: format!("{key}={value}") })
            }
            (false, None) => seen.notes.push(Note::ForeignService { service: name }),
            (false, Some(_)) => {}
        }
    }
    if !any {
        seen.notes.push(Note::NoService);
    }
    seen.notes.extend(
        input
            .kept_labels
            .iter()
            .map(|kept| Note::KeptLabel { label: kept.label.clone(), service: kept.service.clone() }),
    );
}

/// A controller claims a pod that matches its whole selector, has no controller reference and is not being deleted.
fn look_at_controllers(input: &XRayInput<'_>, canary: &Labels, seen: &mut XRay) {
    let controlled = has_controller(input.pod);
    for controller in here(input.workload, input.controllers) {
        // What can't be read may match: better no canary than an adopted one.
        let matched =
            controller.pointer("/spec/selector").is_some_and(|selector| matches(selector, canary).unwrap_or(true));
        if !matched {
            continue;
        }
        let kind = controller.get("kind").and_then(Value::as_str).unwrap_or("ReplicaSet");
        let by = format!("{kind} {}", name_of(controller));
        if controlled {
            seen.notes.push(Note::NotAdopted { by: by.clone() });
        }
        seen.controllers.push(ControllerMatch { controller: by, adopts: !controlled });
    }
}

/// What neither adopts the canary nor sends it traffic, and is touched by it all the same.
fn look_at_bystanders(input: &XRayInput<'_>, production: &[Labels], canary: &Labels, seen: &mut XRay) {
    let selects = |object: &Value, pointer: &str, labels: &Labels| {
        object.pointer(pointer).and_then(|selector| matches(selector, labels)) == Some(true)
    };
    for budget in here(input.workload, input.budgets) {
        if selects(budget, "/spec/selector", canary) {
            seen.notes.push(Note::DisruptionBudget { name: name_of(budget).to_owned() });
        }
    }
    for autoscaler in here(input.workload, input.autoscalers) {
        let target = |field: &str| autoscaler.pointer(&format!("/spec/scaleTargetRef/{field}")).and_then(Value::as_str);
        if (target("kind"), target("name")) == (Some(input.workload.kind().name()), Some(input.workload.name())) {
            seen.notes.push(Note::Autoscaler { name: name_of(autoscaler).to_owned() });
        }
    }
    for policy in here(input.workload, input.network_policies) {
        let pods = "/spec/podSelector";
        let lost = production.iter().any(|labels| selects(policy, pods, labels)) && !selects(policy, pods, canary);
        if lost {
            seen.notes.push(Note::NetworkPolicyLost { name: name_of(policy).to_owned() });
        }
    }
}

fn selects_any(selector: &Labels, production: &[Labels]) -> bool {
    production.iter().any(|labels| first_missing(selector, labels).is_none())
}

fn here<'v>(workload: &Workload<'_>, list: &'v [Value]) -> impl Iterator<Item = &'v Value> {
    list.iter().filter(|object| is_here(workload, object))
}

/// In the workload's namespace, or in none said.
fn is_here(workload: &Workload<'_>, object: &Value) -> bool {
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
    namespace.is_none_or(|namespace| namespace == workload.namespace())
}

/// Controlled by the workload, by uid.
fn is_of(workload: &Workload<'_>, object: &Value) -> bool {
    controller_of(object).and_then(|owner| owner.get("uid")).and_then(Value::as_str) == Some(workload.uid())
}

fn has_controller(object: &Value) -> bool {
    controller_of(object).is_some()
}

fn controller_of(object: &Value) -> Option<&Value> {
    object
        .pointer("/metadata/ownerReferences")?
        .as_array()?
        .iter()
        .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
}
