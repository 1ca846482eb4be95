//! What the registry holds: blobs and manifests by digest, tags by name.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde_json::Value;

use crate::{node::image::digest_of, objects::Fields};

/// A manifest as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) digest: String,
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    blobs: HashMap<String, Bytes>,
    repositories: BTreeMap<String, Repository>,
    uploads: HashMap<String, Vec<u8>>,
}

/// The most uploads that are open at once; further ones make the registry forget all.
const UPLOADS: usize = 100;

#[derive(Debug, Default)]
struct Repository {
    manifests: HashMap<String, Manifest>,
    tags: BTreeMap<String, String>,
}

impl Store {
    pub(super) fn put_blob(&mut self, bytes: Bytes) -> String {
        let digest = digest_of(&bytes);
        self.blobs.insert(digest.clone(), bytes);
        digest
    }

    pub(super) fn blob(&self, digest: &str) -> Option<Bytes> {
        self.blobs.get(digest).cloned()
    }

    pub(super) fn put_manifest(&mut self, name: &str, media_type: &str, bytes: Bytes) -> String {
        let digest = digest_of(&bytes);
        let manifest = Manifest { digest: digest.clone(), media_type: media_type.to_owned(), bytes };
        self.repositories.entry(name.to_owned()).or_default().manifests.insert(digest.clone(), manifest);
        digest
    }

    /// What a manifest refers to and this registry lacks.
    pub(super) fn missing(&self, name: &str, manifest: &Value) -> Option<String> {
        let layers = manifest.items("/layers").iter().filter_map(|layer| layer.text("/digest"));
        let blobs = manifest.text("/config/digest").into_iter().chain(layers);
        if let Some(blob) = blobs.into_iter().find(|digest| !self.blobs.contains_key(*digest)) {
            return Some(blob.to_owned());
        }
        let mut children = manifest.items("/manifests").iter().filter_map(|child| child.text("/digest"));
        children.find(|digest| self.manifest(name, digest).is_none()).map(str::to_owned)
    }

    pub(super) fn tag(&mut self, name: &str, tag: &str, digest: &str) -> bool {
        match self.repositories.get_mut(name) {
            Some(repository) if repository.manifests.contains_key(digest) => {
                repository.tags.insert(tag.to_owned(), digest.to_owned());
                true
            }
            Some(_) | None => false,
        }
    }

    pub(super) fn untag(&mut self, name: &str, tag: &str) -> bool {
        self.repositories.get_mut(name).is_some_and(|repository| repository.tags.remove(tag).is_some())
    }

    /// Deletes a manifest with all tags that name it.
    pub(super) fn delete_manifest(&mut self, name: &str, digest: &str) -> bool {
        let Some(repository) = self.repositories.get_mut(name) else { return false };
        repository.tags.retain(|_, named| named != digest);
        repository.manifests.remove(digest).is_some()
    }

    /// The digest behind a tag; a digest stands for itself.
    pub(super) fn resolve(&self, name: &str, reference: &str) -> Option<String> {
        let repository = self.repositories.get(name)?;
        let digest = if reference.contains(':') { reference } else { repository.tags.get(reference)? };
        repository.manifests.contains_key(digest).then(|| digest.to_owned())
    }

    pub(super) fn manifest(&self, name: &str, reference: &str) -> Option<Manifest> {
        let digest = self.resolve(name, reference)?;
        self.repositories.get(name)?.manifests.get(&digest).cloned()
    }

    pub(super) fn has_repository(&self, name: &str) -> bool {
        self.repositories.contains_key(name)
    }

    pub(super) fn tags(&self, name: &str) -> Vec<String> {
        self.repositories.get(name).map(|repository| repository.tags.keys().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn begin_upload(&mut self) -> String {
        if self.uploads.len() >= UPLOADS {
            self.uploads.clear();
        }
        let id = hex::encode(rand::random::<[u8; 8]>());
        self.uploads.insert(id.clone(), Vec::new());
        id
    }

    /// Adds to an upload and says how long it is; `None` when there is none or it gets longer than `limit`.
    pub(super) fn append_upload(&mut self, id: &str, bytes: &[u8], limit: usize) -> Option<usize> {
        let upload = self.uploads.get_mut(id)?;
        if upload.len() + bytes.len() > limit {
            self.uploads.remove(id);
            return None;
        }
        upload.extend_from_slice(bytes);
        Some(upload.len())
    }

    pub(super) fn end_upload(&mut self, id: &str) -> Option<Bytes> {
        self.uploads.remove(id).map(Bytes::from)
    }
}
