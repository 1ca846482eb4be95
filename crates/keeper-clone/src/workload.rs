//! [`Workload`]: the parts of a Deployment's or DeploymentConfig's JSON that everything else here needs.

use std::collections::BTreeMap;

use serde_json::Value;

/// What kinds of workload there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// Kubernetes' own, in `apps/v1`.
    #[default]
    Deployment,
    /// OpenShift's, in `apps.openshift.io/v1`.
    DeploymentConfig,
}

impl WorkloadKind {
    /// Its name, as in `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::DeploymentConfig => "DeploymentConfig",
        }
    }

    /// Its group and version, as in `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Deployment => "apps/v1",
            Self::DeploymentConfig => "apps.openshift.io/v1",
        }
    }
}

/// A Deployment's or DeploymentConfig's JSON with the parts that must be there checked to be there. Borrows, and loses nothing.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    json: &'a Value,
    kind: WorkloadKind,
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
    resource_version: &'a str,
    template: &'a Value,
}

impl<'a> Workload<'a> {
    /// Reads a workload as the API server serves it. Without `kind`, as in lists, it is taken for a Deployment.
    ///
    /// # Errors
    ///
    /// Names the first field that is missing or of another type. Trying again helps only after the object changes.
    pub fn read(json: &'a Value) -> Result<Self, Malformed> {
        let kind = match json.get("kind").and_then(Value::as_str) {
            None | Some("Deployment") => WorkloadKind::Deployment,
            Some("DeploymentConfig") => WorkloadKind::DeploymentConfig,
            Some(_) => return Err(Malformed::new("kind", "Deployment or DeploymentConfig")),
        };
        let workload = Self {
            json,
            kind,
            name: text(json, "/metadata/name")?,
            namespace: text(json, "/metadata/namespace")?,
            uid: text(json, "/metadata/uid")?,
            resource_version: text(json, "/metadata/resourceVersion")?,
            template: json
                .pointer("/spec/template")
                .filter(|template| template.is_object())
                .ok_or_else(|| Malformed::new("spec.template", "an object"))?,
        };
        if workload.containers().is_empty() {
            return Err(Malformed::new("spec.template.spec.containers", "a list with at least one container"));
        }
        workload.template_labels()?;
        Ok(workload)
    }

    /// What kind it is.
    pub fn kind(&self) -> WorkloadKind {
        self.kind
    }

    /// `metadata.name`.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// `metadata.namespace`.
    pub fn namespace(&self) -> &'a str {
        self.namespace
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> &'a str {
        self.uid
    }

    /// `metadata.resourceVersion`.
    pub fn resource_version(&self) -> &'a str {
        self.resource_version
    }

    /// `spec.template`, as served.
    pub fn template(&self) -> &'a Value {
        self.template
    }

    pub(crate) fn json(&self) -> &'a Value {
        self.json
    }

    pub(crate) fn containers(&self) -> &'a [Value] {
        self.list("containers")
    }

    pub(crate) fn init_containers(&self) -> &'a [Value] {
        self.list("initContainers")
    }

    /// The labels of the template. Absent ones are none; anything but texts is malformed.
    pub(crate) fn template_labels(&self) -> Result<BTreeMap<String, String>, Malformed> {
        texts(self.template.pointer("/metadata/labels"))
            .ok_or_else(|| Malformed::new("spec.template.metadata.labels", "a map of texts"))
    }

    fn list(&self, name: &str) -> &'a [Value] {
        self.template.get("spec").and_then(|spec| spec.get(name)).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

/// A map of texts; an absent one is empty, anything else none.
pub(crate) fn texts(value: Option<&Value>) -> Option<BTreeMap<String, String>> {
    match value {
        None | Some(Value::Null) => Some(BTreeMap::new()),
        Some(value) => {
            value.as_object()?.iter().map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
        }
    }
}

/// `metadata.name` of any object; empty when it has none.
pub(crate) fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn text<'a>(json: &'a Value, pointer: &str) -> Result<&'a str, Malformed> {
    json.pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Malformed::new(pointer.trim_start_matches('/').replace('/', "."), "a text"))
}

/// A field of an object is missing or of another type. Trying again helps only after the object changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {expected}")]
pub struct Malformed {
    /// The path of the field, with dots.
    pub field: String,
    /// What it must be.
    pub expected: &'static str,
}

impl Malformed {
    pub(crate) fn new(field: impl Into<String>, expected: &'static str) -> Self {
        Self { field: field.into(), expected }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_the_field_that_is_wrong() {
        let whole = json!({
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1"},
            "spec": {"template": {"spec": {"containers": [{"name": "c"}]}}},
        });
        assert_eq!(Workload::read(&whole).unwrap().name(), "a");
        let wrong = |pointer: &str, value: Value| {
            let mut json = whole.clone();
            *json.pointer_mut(pointer).unwrap() = value;
            Workload::read(&json).unwrap_err().to_string()
        };
        assert_eq!(wrong("/metadata/name", json!(5)), "metadata.name must be a text");
        assert_eq!(wrong("/metadata/uid", json!("")), "metadata.uid must be a text");
        assert_eq!(wrong("/spec/template", json!([])), "spec.template must be an object");
        assert_eq!(
            wrong("/spec/template/spec", json!("x")),
            "spec.template.spec.containers must be a list with at least one container"
        );
        assert_eq!(
            wrong("/spec/template", json!({"metadata": {"labels": {"a": 1}}, "spec": {"containers": [{}]}})),
            "spec.template.metadata.labels must be a map of texts"
        );
        assert_eq!(
            Workload::read(&json!({"kind": "DaemonSet"})).unwrap_err().to_string(),
            "kind must be Deployment or DeploymentConfig"
        );
        assert!(Workload::read(&json!(null)).is_err());
    }
}
