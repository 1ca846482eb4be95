//! [`Desired`]: the Deployment that is wanted after a successful canary.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::images::template_images;
use crate::workload::{Malformed, texts};

/// A Deployment as somebody wants it, with or without its `apiVersion` and `kind`: the parts that everything here needs,
/// checked to be there. Borrows, and loses nothing.
#[derive(Clone, Copy, Debug)]
pub struct Desired<'a> {
    json: &'a Value,
    name: &'a str,
    spec: &'a Map<String, Value>,
    template: &'a Value,
}

impl<'a> Desired<'a> {
    /// Reads a Deployment that need not exist.
    ///
    /// # Errors
    ///
    /// Names the first field that is missing or of another type, as seen from the Deployment.
    pub fn read(json: &'a Value) -> Result<Self, Malformed> {
        let name = json.pointer("/metadata/name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let spec = json.get("spec").and_then(Value::as_object).ok_or_else(|| Malformed::new("spec", "an object"))?;
        let template = spec.get("template").filter(|template| template.is_object());
        let desired = Self {
            json,
            name: name.ok_or_else(|| Malformed::new("metadata.name", "a text"))?,
            spec,
            template: template.ok_or_else(|| Malformed::new("spec.template", "an object"))?,
        };
        if desired.images().is_empty() {
            return Err(Malformed::new("spec.template.spec.containers", "a list with at least one container"));
        }
        desired.template_labels()?;
        Ok(desired)
    }

    /// `metadata.name`: the production Deployment's.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// `spec.template` as written.
    pub fn template(&self) -> &'a Value {
        self.template
    }

    /// The image of every container and init container as written, by the container's name.
    pub fn images(&self) -> BTreeMap<String, String> {
        template_images(self.template)
    }

    /// Whether it says how many replicas there are to be.
    pub fn says_replicas(&self) -> bool {
        self.spec.get("replicas").is_some_and(|replicas| !replicas.is_null())
    }

    pub(crate) fn spec(&self) -> &'a Map<String, Value> {
        self.spec
    }

    /// A field of `metadata`; an empty object where there is none.
    pub(crate) fn metadata(&self, field: &str) -> Map<String, Value> {
        self.json.get("metadata").and_then(|meta| meta.get(field)?.as_object().cloned()).unwrap_or_default()
    }

    pub(crate) fn template_labels(&self) -> Result<BTreeMap<String, String>, Malformed> {
        texts(self.template.pointer("/metadata/labels"))
            .ok_or_else(|| Malformed::new("spec.template.metadata.labels", "a map of texts"))
    }

    /// `spec.template` with these images in place of what is written. Containers that aren't named keep theirs.
    pub(crate) fn template_with(&self, images: &BTreeMap<String, String>) -> Value {
        let mut template = self.template.clone();
        for list in ["containers", "initContainers"] {
            let containers = template.get_mut("spec").and_then(|spec| spec.get_mut(list)).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
                let image = container.get("name").and_then(Value::as_str).and_then(|name| images.get(name));
                if let Some(image) = image.cloned() {
                    container.insert("image".to_owned(), Value::from(image));
                }
            }
        }
        template
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_the_field_that_is_wrong() {
        let whole = json!({
            "metadata": {"name": "shop"},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "app:good"}]}}},
        });
        assert_eq!(Desired::read(&whole).unwrap().name(), "shop");
        let wrong = |pointer: &str, value: Value| {
            let mut json = whole.clone();
            *json.pointer_mut(pointer).unwrap() = value;
            Desired::read(&json).unwrap_err().to_string()
        };
        assert_eq!(wrong("/metadata/name", json!("")), "metadata.name must be a text");
        assert_eq!(wrong("/spec", json!(7)), "spec must be an object");
        assert_eq!(wrong("/spec/template", json!(null)), "spec.template must be an object");
        let none = "spec.template.spec.containers must be a list with at least one container";
        assert_eq!(wrong("/spec/template/spec", json!({"containers": []})), none);
        let labelled = json!({"metadata": {"labels": {"a": 1}}, "spec": {"containers": [{}]}});
        assert_eq!(wrong("/spec/template", labelled), "spec.template.metadata.labels must be a map of texts");
        assert!(Desired::read(&json!(null)).is_err());
    }
}
