use crate::names::{is_name, is_namespace};
use crate::{PodName, Refusal};
use keeper_alertmanager::Alert;

/// Which labels of an alert say which pod it is about, in the order in which they are tried.
///
/// With rules over kube-state-metrics `pod` may be the exporter's own pod and `exported_pod` the one meant; with an
/// application's own label it may be the other way round. So an alert in which two of the labels say different things
/// is [refused](Refusal::Ambiguous), until somebody who knows these alerts has said that the first one counts
/// ([`first_wins`](Self::first_wins)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetLabels {
    /// Labels that name a pod: `pod`, `pod_name`, `kubernetes_pod_name`, `exported_pod`.
    pub pods: Vec<String>,
    /// Labels that name its namespace: `namespace`, `kubernetes_namespace`, `exported_namespace`.
    pub namespaces: Vec<String>,
    /// Whether the first label that the alert carries counts, whatever the others say. Off: they must agree.
    pub first_wins: bool,
}

impl Default for TargetLabels {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            pods: owned(&["pod", "pod_name", "kubernetes_pod_name", "exported_pod"]),
            namespaces: owned(&["namespace", "kubernetes_namespace", "exported_namespace"]),
            first_wins: false,
        }
    }
}

impl TargetLabels {
    /// Which pod an alert is about.
    ///
    /// # Errors
    ///
    /// The alert names no pod or no namespace, names several, or by a name that nothing can have. The same alert is
    /// refused again every time.
    pub fn target(&self, alert: &Alert) -> Result<PodName, Refusal> {
        let pod = self.said(alert, &self.pods)?.ok_or_else(|| Refusal::NoPodLabel { among: self.pods.clone() })?;
        let namespace = self
            .said(alert, &self.namespaces)?
            .ok_or_else(|| Refusal::NoNamespaceLabel { among: self.namespaces.clone() })?;
        if !is_name(pod.value) {
            return Err(Refusal::BadName { label: pod.label.to_owned() });
        }
        if !is_namespace(namespace.value) {
            return Err(Refusal::BadName { label: namespace.label.to_owned() });
        }
        PodName::new(namespace.value, pod.value).ok_or_else(|| Refusal::BadName { label: pod.label.to_owned() })
    }

    fn said<'a>(&'a self, alert: &'a Alert, labels: &'a [String]) -> Result<Option<Said<'a>>, Refusal> {
        let mut all = labels.iter().filter_map(|label| Some(Said { label, value: alert.label(label)? }));
        let Some(first) = all.next() else { return Ok(None) };
        match all.find(|other| other.value != first.value) {
            Some(other) if !self.first_wins => {
                Err(Refusal::Ambiguous { one: first.label.to_owned(), other: other.label.to_owned() })
            }
            Some(_) | None => Ok(Some(first)),
        }
    }
}

struct Said<'a> {
    label: &'a str,
    value: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use keeper_alertmanager::parse;

    fn target(labels: &TargetLabels, alert: &str) -> Result<String, &'static str> {
        let body = format!(r#"{{"alerts": [{{"startsAt": "2026-08-20T10:05:00Z", "labels": {alert}}}]}}"#);
        let webhook = parse(body.as_bytes()).unwrap();
        labels.target(&webhook.alerts[0]).map(|pod| pod.to_string()).map_err(|refusal| refusal.reason())
    }

    #[test]
    fn labels_are_tried_in_their_order() {
        let labels = TargetLabels::default();
        assert_eq!(target(&labels, r#"{"namespace": "shop", "pod": "cart-1"}"#), Ok("shop/cart-1".into()));
        let old = r#"{"kubernetes_namespace": "shop", "kubernetes_pod_name": "cart-1", "pod": ""}"#;
        assert_eq!(target(&labels, old), Ok("shop/cart-1".into()));
        assert_eq!(target(&labels, r#"{"namespace": "shop", "instance": "10.0.0.1:80"}"#), Err("NoPodLabel"));
        assert_eq!(target(&labels, r#"{"pod": "cart-1"}"#), Err("NoNamespaceLabel"));
        assert_eq!(target(&labels, r#"{"namespace": "shop", "pod": "../x"}"#), Err("BadName"));
        assert_eq!(target(&labels, r#"{"namespace": "%2fshop", "pod": "x"}"#), Err("BadName"));
    }

    #[test]
    fn labels_that_disagree_need_an_order_that_somebody_chose() {
        let exporter =
            r#"{"namespace": "monitoring", "pod": "ksm-1", "exported_namespace": "shop", "exported_pod": "cart-1"}"#;
        assert_eq!(target(&TargetLabels::default(), exporter), Err("Ambiguous"));
        let owned = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        let chosen = TargetLabels {
            pods: owned(["exported_pod", "pod"]),
            namespaces: owned(["exported_namespace", "namespace"]),
            first_wins: true,
        };
        assert_eq!(target(&chosen, exporter), Ok("shop/cart-1".into()));
        let agreeing = r#"{"namespace": "shop", "pod": "cart-1", "exported_pod": "cart-1"}"#;
        assert_eq!(target(&TargetLabels::default(), agreeing), Ok("shop/cart-1".into()));
    }
}
