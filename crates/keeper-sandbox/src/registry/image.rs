//! Images to push: a config and a manifest around it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::store::Store;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What an image says about running it. It has no layers: the entrypoint names a program of the machine that pulls it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, which a container may replace.
    pub cmd: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Labels; [`FakeScript`](crate::node::FakeScript) reads some.
    pub labels: BTreeMap<String, String>,
}

impl ImageConfig {
    /// An image that runs a program.
    pub fn new<S: Into<String>>(entrypoint: impl IntoIterator<Item = S>) -> Self {
        Self { entrypoint: entrypoint.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// With an environment variable more.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With a label more.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    fn config(&self, architecture: &str) -> Value {
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "Cmd": self.cmd, "Env": env, "Labels": self.labels},
            "rootfs": {"type": "layers", "diff_ids": []},
        })
    }

    /// Stores config and manifest, and returns the manifest's digest.
    pub(super) fn store(&self, store: &mut Store, name: &str) -> String {
        self.store_for(store, name, "amd64").0
    }

    fn store_for(&self, store: &mut Store, name: &str, architecture: &str) -> (String, usize) {
        let config = Bytes::from(self.config(architecture).to_string());
        let size = config.len();
        let digest = store.put_blob(config);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest, "size": size},
            "layers": [],
        });
        let manifest = Bytes::from(manifest.to_string());
        let size = manifest.len();
        (store.put_manifest(name, MANIFEST, manifest), size)
    }
}

/// Stores an index over images by architecture; returns its digest and those of its manifests.
pub(super) fn store_index(store: &mut Store, name: &str, images: &[(&str, ImageConfig)]) -> (String, Vec<String>) {
    let mut children = Vec::new();
    let mut entries = Vec::new();
    for (architecture, image) in images {
        let (digest, size) = image.store_for(store, name, architecture);
        entries.push(json!({
            "mediaType": MANIFEST, "digest": digest, "size": size,
            "platform": {"os": "linux", "architecture": architecture},
        }));
        children.push(digest);
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    (store.put_manifest(name, INDEX, Bytes::from(index.to_string())), children)
}
