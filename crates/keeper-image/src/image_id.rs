//! [`ImageId`]: what a container runtime says it runs.

use crate::digest::Digest;
use crate::repository::Repository;

/// The longest text looked at; a runtime's are about 150 bytes.
const MAX_IMAGE_ID: usize = 1024;

/// A reading of `status.containerStatuses[].imageID`.
///
/// Runtimes write it in several forms. Those with a repository carry the digest of a manifest, which can be compared
/// with a registry's. A bare `sha256:...` is the digest of the image's *configuration* (an image that was loaded onto
/// the node rather than pulled): it never equals a manifest's, so it is no digest here.
///
/// ```
/// use keeper_image::{Digest, ImageId};
///
/// let digest = Digest::sha256_of(b"manifest");
/// let id = ImageId::parse(&format!("docker-pullable://quay.io/org/app@{digest}"));
/// assert_eq!(id.digest(), Some(&digest));
/// assert_eq!(ImageId::parse(&digest.to_string()).digest(), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageId {
    repository: Option<Repository>,
    digest: Option<Digest>,
}

impl ImageId {
    /// Reads the field. Anything not understood, the empty text included, has no digest; nothing is an error.
    pub fn parse(text: &str) -> Self {
        if text.len() > MAX_IMAGE_ID {
            return Self::default();
        }
        // Dockershim's prefixes; `docker://` goes before a bare configuration digest.
        let name = text.strip_prefix("docker-pullable://").or_else(|| text.strip_prefix("docker://")).unwrap_or(text);
        let Some((repository, digest)) = name.rsplit_once('@') else {
            return Self::default();
        };
        Self { repository: repository.parse().ok(), digest: digest.parse().ok() }
    }

    /// The manifest's digest: an index's or a platform's, depending on the runtime. `None` when it can't be compared.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The repository the runtime knows the image by. Not necessarily the one of the pod's spec: with two names for one
    /// content, runtimes show either.
    pub fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_runtimes_write() {
        let digest = Digest::sha256_of(b"manifest");
        let of = |text: String| ImageId::parse(&text).digest().cloned();
        assert_eq!(of(format!("docker-pullable://quay.io/o/a@{digest}")), Some(digest.clone()));
        assert_eq!(of(format!("quay.io/o/a@{digest}")), Some(digest.clone()));
        assert_eq!(of(format!("docker.io/library/nginx@{digest}")), Some(digest.clone()));
        assert_eq!(of(digest.to_string()), None);
        assert_eq!(of(format!("docker://{digest}")), None);
        assert_eq!(of("0123456789abcdef".to_owned()), None);
        assert_eq!(of("quay.io/o/a:latest".to_owned()), None);
        assert_eq!(of("quay.io/o/a@sha256:short".to_owned()), None);
        assert_eq!(of(String::new()), None);
        assert_eq!(of("@".repeat(100_000)), None);
    }

    #[test]
    fn an_odd_repository_does_not_hide_the_digest() {
        let digest = Digest::sha256_of(b"manifest");
        let id = ImageId::parse(&format!("IMPORTED@{digest}"));
        assert_eq!((id.repository(), id.digest()), (None, Some(&digest)));
    }
}
