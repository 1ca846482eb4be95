//! The end of a namespace: first its pods go, then everything else, then the finalizer `kubernetes`, and with it the
//! namespace. What keeps it is told in its conditions.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use kube::{
    api::{DeleteParams, DynamicObject, ListParams},
    discovery::{Discovery, Scope, verbs},
};
use serde_json::{Value, json};

use super::{Controller, Error};
use crate::{
    objects::{Fields, Key, Kind, Meta, NAMESPACES, Object, PODS, stamp},
    view::{Change, View, is_gone},
};

const FINALIZER: &str = "kubernetes";
/// What waits for others is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub(super) struct Namespaces {
    view: View,
}

impl Namespaces {
    pub(super) fn new(view: View) -> Self {
        Self { view }
    }
}

impl Controller for Namespaces {
    const NAME: &'static str = "namespace";

    fn concerns(&self, change: &Change<'_>) -> Vec<Key> {
        if *change.kind != *NAMESPACES {
            return Vec::new();
        }
        change.new.filter(|namespace| namespace.deleting()).map(|namespace| namespace.key()).into_iter().collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Error> {
        let Some(namespace) = self.view.get(&NAMESPACES, key).filter(|namespace| namespace.deleting()) else {
            return Ok(None);
        };
        let finalizers = namespace.items("/spec/finalizers");
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(None);
        }
        let mut left = Left::default();
        let pods = self.empty(&PODS, namespace.name(), &mut left).await?;
        if pods > 0 {
            // Pods may need the other objects until their end: those wait, and are not told of yet.
            self.tell(&namespace, &Left::default()).await?;
            return Ok(Some(LOOK_AGAIN));
        }
        for kind in self.kinds().await? {
            self.empty(&kind, namespace.name(), &mut left).await?;
        }
        let told = self.tell(&namespace, &left).await?;
        if !left.contents.is_empty() {
            return Ok(Some(LOOK_AGAIN));
        }
        self.finalize(&told).await?;
        Ok(None)
    }
}

impl Namespaces {
    async fn kinds(&self) -> Result<Vec<Kind>, Error> {
        let discovery = Discovery::new(self.view.client()).run().await?;
        let resources = discovery.groups().flat_map(|group| group.recommended_resources());
        let deletable = resources.filter(|(_, capabilities)| {
            let can = |verb| capabilities.supports_operation(verb);
            capabilities.scope == Scope::Namespaced && can(verbs::DELETE_COLLECTION) && can(verbs::LIST)
        });
        Ok(deletable.map(|(resource, _)| Kind { resource, namespaced: true }).collect())
    }

    /// Deletes all objects of a kind; answers how many are still there.
    async fn empty(&self, kind: &Kind, namespace: &str, left: &mut Left) -> Result<usize, Error> {
        let api = self.view.api(kind, namespace);
        if api.list_metadata(&ListParams::default().limit(1)).await?.items.is_empty() {
            return Ok(0);
        }
        api.delete_collection(&DeleteParams::background(), &ListParams::default()).await?;
        let items = api.list_metadata(&ListParams::default()).await?.items;
        if !items.is_empty() {
            left.contents.insert(format!("{}.{}", kind.resource.plural, kind.resource.group), items.len());
        }
        for finalizer in items.iter().flat_map(|item| item.metadata.finalizers.iter().flatten()) {
            *left.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        Ok(items.len())
    }

    async fn tell(&self, namespace: &Object, left: &Left) -> Result<Object, Error> {
        let conditions = left.conditions(namespace.items("/status/conditions"), Timestamp::now());
        let mut changed = namespace.clone();
        changed.set(&["status", "conditions"], Value::Array(conditions));
        if changed == *namespace {
            return Ok(changed);
        }
        Ok(self.view.replace_status(&NAMESPACES, &changed).await?)
    }

    /// Takes our finalizer off, which is a subresource of its own.
    async fn finalize(&self, namespace: &Object) -> Result<(), Error> {
        let kept: Vec<&Value> = namespace.items("/spec/finalizers").iter().filter(|kept| **kept != FINALIZER).collect();
        let mut body = namespace.clone();
        body.set(&["spec", "finalizers"], json!(kept));
        let path = format!("/api/v1/namespaces/{}/finalize", namespace.name());
        let request = http::Request::put(path).header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(serde_json::to_vec(&body)?).map_err(kube::Error::HttpError)?;
        match self.view.client().request::<DynamicObject>(request).await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What is still in a namespace, and what holds it: by name, how many.
#[derive(Debug, Default)]
struct Left {
    contents: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

impl Left {
    /// The conditions after these; their times move with their status only.
    fn conditions(&self, before: &[Value], now: Timestamp) -> Vec<Value> {
        let list = |counts: &BTreeMap<String, usize>, words: &str| -> String {
            let told: Vec<String> =
                counts.iter().map(|(what, count)| format!("{what} {words} {count} resource instances")).collect();
            told.join(", ")
        };
        let contents = (!self.contents.is_empty())
            .then(|| ("SomeResourcesRemain", format!("Some resources are remaining: {}", list(&self.contents, "has"))));
        let finalizers = (!self.finalizers.is_empty()).then(|| {
            let message = "Some content in the namespace has finalizers remaining";
            ("SomeFinalizersRemain", format!("{message}: {}", list(&self.finalizers, "in")))
        });
        let all = [
            ("NamespaceDeletionDiscoveryFailure", None, "ResourcesDiscovered", "All resources successfully discovered"),
            (
                "NamespaceDeletionGroupVersionParsingFailure",
                None,
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
            (
                "NamespaceDeletionContentFailure",
                None,
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
            ("NamespaceContentRemaining", contents, "ContentRemoved", "All content successfully removed"),
            (
                "NamespaceFinalizersRemaining",
                finalizers,
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            ),
        ];
        let now = stamp(now);
        let condition = |(kind, told, reason, message): (&str, Option<(&str, String)>, &str, &str)| {
            let status = if told.is_some() { "True" } else { "False" };
            let (reason, message) = told.unwrap_or_else(|| (reason, message.to_owned()));
            let same = |old: &&Value| old.text("/type") == Some(kind) && old.text("/status") == Some(status);
            let since = before.iter().find(same).and_then(|old| old.text("/lastTransitionTime")).unwrap_or(&now);
            json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
        };
        all.into_iter().map(condition).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_with_numbers() {
        let mut left = Left::default();
        left.contents.extend([("configmaps.".to_owned(), 2), ("deployments.apps".to_owned(), 1)]);
        let conditions = left.conditions(&[], Timestamp::UNIX_EPOCH);
        let told = conditions.iter().find(|condition| condition["type"] == "NamespaceContentRemaining").unwrap();
        assert_eq!(
            told["message"],
            "Some resources are remaining: configmaps. has 2 resource instances, deployments.apps has 1 resource instances"
        );
        assert_eq!(conditions.iter().filter(|condition| condition["status"] == "True").count(), 1);
    }
}
