//! [`Resolve`]: the question "what does this name?", without saying who answers.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use super::error::ResolveError;
use crate::digest::Digest;
use crate::reference::Reference;

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers what a reference names at this moment.
///
/// [`RegistryClient`](super::RegistryClient) asks a registry. Whoever embeds this crate may answer from elsewhere; the
/// whole of a test double is one method:
///
/// ```
/// use keeper_image::{BoxFuture, Digest, MediaType, Reference, Resolve, ResolveError, Resolved};
///
/// struct Always(Digest);
///
/// impl Resolve for Always {
///     fn resolve<'a>(&'a self, _: &'a Reference) -> BoxFuture<'a, Result<Resolved, ResolveError>> {
///         let resolved = Resolved { digest: self.0.clone(), media_type: MediaType::OciManifest };
///         Box::pin(async move { Ok(resolved) })
///     }
/// }
/// ```
///
/// A dropped future must leave nothing behind but a request that may still be on its way.
pub trait Resolve: Send + Sync {
    /// The digest the reference names now, never from a cache. A reference by digest is asked for too: the answer says
    /// that it exists.
    ///
    /// # Errors
    ///
    /// As [`ResolveError`] says; which of them another attempt can mend is in its documentation.
    fn resolve<'a>(&'a self, image: &'a Reference) -> BoxFuture<'a, Result<Resolved, ResolveError>>;

    /// Every digest that a runtime may report for this one: itself and, when it is an index, its children. The content
    /// behind a digest never changes, so answers may be cached. Unless implemented: itself alone.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    fn equivalents<'a>(
        &'a self,
        image: &'a Reference,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<BTreeSet<Digest>, ResolveError>> {
        let _ = image;
        Box::pin(async move { Ok(BTreeSet::from([digest.clone()])) })
    }
}

/// What a registry says a reference names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The digest to pin: an index's where the image is one.
    pub digest: Digest,
    /// What kind of manifest that is.
    pub media_type: MediaType,
}

/// The four kinds of manifest we ask for. Leaving the first two out makes registries convert, to another digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// `application/vnd.oci.image.index.v1+json`: one image for several platforms.
    OciIndex,
    /// `application/vnd.docker.distribution.manifest.list.v2+json`: the same, Docker's older form.
    DockerList,
    /// `application/vnd.oci.image.manifest.v1+json`: an image for one platform.
    OciManifest,
    /// `application/vnd.docker.distribution.manifest.v2+json`: the same, Docker's older form.
    DockerManifest,
}

impl MediaType {
    /// All four, as sent in `Accept`.
    pub(crate) const ALL: [Self; 4] = [Self::OciIndex, Self::DockerList, Self::OciManifest, Self::DockerManifest];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    /// Whether it lists other manifests.
    pub fn is_index(self) -> bool {
        match self {
            Self::OciIndex | Self::DockerList => true,
            Self::OciManifest | Self::DockerManifest => false,
        }
    }

    /// Reads a `Content-Type`, parameters ignored.
    pub(crate) fn from_content_type(value: &str) -> Option<Self> {
        let name = value.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }
}
