//! [`Reference`]: what a person writes where an image is wanted.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::digest::{Digest, DigestError};
use crate::quote::quote;
use crate::repository::{Repository, Tag};

/// The longest text that can be a reference: name, tag and SHA-512 digest with their separators.
const MAX_REFERENCE: usize = 255 + 1 + 128 + 1 + 7 + 128;

/// A pull spec: a [`Repository`] with a [`Tag`], a [`Digest`], or both.
///
/// With both, the digest wins, as it does in the kubelet: the tag is kept for the reader and pulls nothing. With
/// neither, the tag is `latest`.
///
/// References are equal when their canonical forms are, however they were written. `Display` prints the canonical form;
/// [`as_written`](Self::as_written) keeps what was read.
///
/// ```
/// use keeper_image::{Digest, Reference};
///
/// let tag: Reference = "quay.io/myorg/my_repo:stable".parse().unwrap();
/// let digest = Digest::sha256_of(b"{}");
/// let pinned = tag.with_digest(digest.clone());
/// assert_eq!(pinned.to_string(), format!("quay.io/myorg/my_repo@{digest}"));
/// assert_eq!("nginx".parse::<Reference>().unwrap().to_string(), "docker.io/library/nginx:latest");
/// ```
#[derive(Clone)]
pub struct Reference {
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
    written: String,
    tag_written: bool,
}

impl Reference {
    /// Where the image lives.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, `latest` when neither tag nor digest was written; `None` for a reference by digest alone.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, when the reference is pinned.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What the registry is asked for: the digest when there is one, else the tag.
    pub fn manifest(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => Tag::latest().to_string(),
        }
    }

    /// The text this reference was read from.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The same repository at exactly this digest, without a tag: what a promotion writes.
    pub fn with_digest(&self, digest: Digest) -> Self {
        let written = format!("{}@{digest}", self.repository);
        Self { repository: self.repository.clone(), tag: None, digest: Some(digest), written, tag_written: false }
    }

    /// Whether both name the same repository, by their canonical names.
    pub fn same_repository(&self, other: &Self) -> bool {
        self.repository == other.repository
    }

    /// Whether a tag was written, rather than `latest` meant.
    pub(crate) fn written_tag(&self) -> bool {
        self.tag_written
    }

    pub(crate) fn into_repository(self) -> Repository {
        self.repository
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        check_text(text)?;
        let (named, digest) = match text.split_once('@') {
            None => (text, None),
            Some((named, digest)) => (named, Some(digest.parse::<Digest>()?)),
        };
        let (name, tag) = split_tag(named);
        let tag = tag.map(str::parse::<Tag>).transpose()?;
        let repository = Repository::parse_name(name)?;
        let tag_written = tag.is_some();
        let tag = match (tag, &digest) {
            (None, None) => Some(Tag::latest()),
            (tag, _) => tag,
        };
        Ok(Self { repository, tag, digest, written: text.to_owned(), tag_written })
    }
}

/// What can be said before taking the text apart.
fn check_text(text: &str) -> Result<(), ReferenceError> {
    if text.trim().is_empty() {
        return Err(ReferenceError::Blank);
    }
    if text.len() > MAX_REFERENCE {
        return Err(ReferenceError::TooLong { length: text.len(), max: MAX_REFERENCE });
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(ReferenceError::Whitespace { found: quote(text) });
    }
    if text.contains("://") {
        return Err(ReferenceError::Scheme { found: quote(text) });
    }
    Ok(())
}

/// Splits off the tag: what follows the last colon, unless a slash comes after it (then it is a host's port).
fn split_tag(named: &str) -> (&str, Option<&str>) {
    match named.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !tag.contains(']') => (name, Some(tag)),
        _ => (named, None),
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({self})")
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.repository == other.repository && self.tag == other.tag && self.digest == other.digest
    }
}

impl Eq for Reference {}

impl Hash for Reference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.repository.hash(state);
        self.tag.hash(state);
        self.digest.hash(state);
    }
}

/// Why a text is not an image reference. Trying again does not help; the text has to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Empty or only whitespace: what OpenShift writes where a trigger fills the image in later.
    #[error("the image is blank: write host/repository:tag")]
    Blank,
    /// A tag or a digest without a name before it.
    #[error("the image has no name: write host/repository:tag")]
    NoName,
    /// Longer than any reference can be.
    #[error("the image is {length} bytes long, at most {max} are possible: write host/repository:tag")]
    TooLong {
        /// Bytes found.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Host and path together are too long for a registry.
    #[error("host and repository together are {length} bytes long, at most {max} are possible")]
    NameTooLong {
        /// Bytes found, after normalisation.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Whitespace or a control character inside.
    #[error("image {found} contains whitespace or control characters: remove them")]
    Whitespace {
        /// The text, shortened.
        found: String,
    },
    /// A URL instead of a reference.
    #[error("image {found} starts with a scheme: leave out everything up to ://")]
    Scheme {
        /// The text, shortened.
        found: String,
    },
    /// The part before the first slash is meant as host and is none.
    #[error(
        "registry host {found} is not valid: write a name or address with an optional port, like quay.io or localhost:5000"
    )]
    Host {
        /// The host, shortened.
        found: String,
    },
    /// A component of the path breaks the rules of registries.
    #[error(
        "repository component {found} is not valid: write lower-case letters and digits, joined by one dot, one or two underscores, or dashes"
    )]
    Component {
        /// The component, shortened.
        found: String,
    },
    /// 64 hex characters, which engines take for the id of a local image.
    #[error("64 hex characters are the id of a local image, not a repository: write host/repository@sha256:<hex>")]
    ImageIdentifier,
    /// The tag breaks the rules of registries.
    #[error(
        "tag {found} is not valid: write up to 128 letters, digits, underscores, dots and dashes, not starting with a dot or dash"
    )]
    Tag {
        /// The tag, shortened.
        found: String,
    },
    /// The part after `@` is not a digest.
    #[error("what follows the @ is not a digest")]
    Digest(#[from] DigestError),
    /// A repository was wanted, and there is a tag or a digest.
    #[error("{found} has a tag or a digest: write host/repository alone")]
    NotARepository {
        /// The text, shortened.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        text.parse::<Reference>().unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
    }

    fn wrong(text: &str) -> ReferenceError {
        text.parse::<Reference>().unwrap_err()
    }

    #[test]
    fn names_are_normalised() {
        for (written, expected) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("docker.io/nginx:1.27", "docker.io/library/nginx:1.27"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
            ("myorg/app", "docker.io/myorg/app:latest"),
            ("quay.io/myorg/my_repo:latest", "quay.io/myorg/my_repo:latest"),
            ("Quay.IO/myorg/app:V1", "quay.io/myorg/app:V1"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("registry:5000/a/b/c:x", "registry:5000/a/b/c:x"),
            ("[::1]:5000/app:x", "[::1]:5000/app:x"),
            ("[2001:db8::1]/app", "[2001:db8::1]/app:latest"),
            ("10.1.2.3/app", "10.1.2.3/app:latest"),
            ("a/b__c/d.e-f---g", "docker.io/a/b__c/d.e-f---g:latest"),
        ] {
            assert_eq!(canonical(written), expected);
            assert_eq!(canonical(expected), expected);
        }
    }

    #[test]
    fn the_digest_wins_and_the_tag_is_kept() {
        let digest = Digest::sha256_of(b"manifest");
        let both: Reference = format!("quay.io/org/app:v1@{digest}").parse().unwrap();
        assert_eq!(both.manifest(), digest.to_string());
        assert_eq!(both.tag().unwrap().as_str(), "v1");
        assert_eq!(both.to_string(), format!("quay.io/org/app:v1@{digest}"));

        let pinned: Reference = format!("quay.io/org/app@{digest}").parse().unwrap();
        assert_eq!(pinned.tag(), None);
        assert_eq!(both.with_digest(digest), pinned);
        assert_ne!(both, pinned);
    }

    #[test]
    fn written_form_is_kept_and_does_not_count_for_equality() {
        let short: Reference = "nginx".parse().unwrap();
        let long: Reference = "docker.io/library/nginx:latest".parse().unwrap();
        assert_eq!(short, long);
        assert_eq!(short.as_written(), "nginx");
        assert!(short.same_repository(&"nginx:1.27".parse().unwrap()));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(wrong(""), ReferenceError::Blank);
        assert_eq!(wrong(" "), ReferenceError::Blank);
        assert_eq!(wrong(":latest"), ReferenceError::NoName);
        assert_eq!(wrong("@sha256:00").to_string(), "what follows the @ is not a digest");
        assert!(matches!(wrong("a b"), ReferenceError::Whitespace { .. }));
        assert!(matches!(wrong("docker://quay.io/a/b"), ReferenceError::Scheme { .. }));
        assert!(matches!(wrong(&"a".repeat(200_000)), ReferenceError::TooLong { .. }));
        assert!(matches!(wrong(&format!("quay.io/{}", "a".repeat(250))), ReferenceError::NameTooLong { .. }));
        for text in ["quay.io/Org/app", "quay.io//app", "quay.io/", "/app", "a/b/", "app_", "a..b", "a___b", "_a", "ä"]
        {
            assert!(matches!(wrong(text), ReferenceError::Component { .. }), "{text}");
        }
        for text in
            ["-a.b/c", "a..b/c", "[::1/x", "[zz]:1/x", "host:/x", "host:0/x", "host:99999/x", "host:+1/x", ":5000/x"]
        {
            assert!(matches!(wrong(text), ReferenceError::Host { .. }), "{text}");
        }
        for text in ["app:", "app:-x", "app:a+b", &format!("app:{}", "x".repeat(129))] {
            assert!(matches!(wrong(text), ReferenceError::Tag { .. }), "{text}");
        }
        assert_eq!(wrong(&"a".repeat(64)), ReferenceError::ImageIdentifier);
        assert!(matches!(wrong("app@sha256:00@sha256:00"), ReferenceError::Digest(_)));
    }

    #[test]
    fn a_repository_alone_has_neither_tag_nor_digest() {
        assert_eq!("quay.io/a/b".parse::<Repository>().unwrap().path(), "a/b");
        assert!("quay.io/a/b:latest".parse::<Repository>().is_err());
        assert!("[::1]:5000/b".parse::<Repository>().is_ok());
    }
}
