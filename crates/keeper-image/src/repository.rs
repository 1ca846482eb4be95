//! [`Repository`] and [`Tag`]: the parts of a reference.

use std::fmt;
use std::str::FromStr;

use crate::quote::quote;
use crate::reference::ReferenceError;

/// The host of Docker Hub in references.
pub(crate) const DOCKER_HUB: &str = "docker.io";
/// The host that serves Docker Hub's registry API.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// Another name of Docker Hub in references and in stored credentials.
pub(crate) const DOCKER_HUB_INDEX: &str = "index.docker.io";
/// The namespace of Docker Hub's official images.
const OFFICIAL: &str = "library";
/// The longest `host/path`, as registries enforce it.
const MAX_NAME: usize = 255;
/// The longest tag, as the specification has it.
const MAX_TAG: usize = 128;

/// Where an image lives: a registry's host (with port, if one was written) and a path in it.
///
/// Names are normalised: no host means `docker.io`, and a single component there means `library/<name>`, so that
/// `nginx`, `docker.io/nginx` and `index.docker.io/library/nginx` are one repository.
///
/// ```
/// use keeper_image::Repository;
///
/// let repository: Repository = "nginx".parse().unwrap();
/// assert_eq!(repository.to_string(), "docker.io/library/nginx");
/// assert_eq!(repository.api_host(), "registry-1.docker.io");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    host: String,
    path: String,
}

impl Repository {
    /// The registry's host in lower case, with its port if one was written: `quay.io`, `localhost:5000`, `[::1]:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host that answers the registry API: [`host`](Self::host), except for Docker Hub.
    pub fn api_host(&self) -> &str {
        if self.host == DOCKER_HUB { DOCKER_HUB_API } else { &self.host }
    }

    /// The path in the registry: `myorg/my_repo`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads `[host/]path`, which has no tag and no digest any more.
    pub(crate) fn parse_name(name: &str) -> Result<Self, ReferenceError> {
        if name.is_empty() {
            return Err(ReferenceError::NoName);
        }
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (parse_host(first)?, rest),
            _ => (DOCKER_HUB.to_owned(), name),
        };
        check_path(path)?;
        let path =
            if host == DOCKER_HUB && !path.contains('/') { format!("{OFFICIAL}/{path}") } else { path.to_owned() };
        let length = host.len() + 1 + path.len();
        if length > MAX_NAME {
            return Err(ReferenceError::NameTooLong { length, max: MAX_NAME });
        }
        Ok(Self { host, path })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repository({self})")
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    /// Reads `[host/]path`. A tag or a digest is an error here: parse a [`Reference`](crate::Reference) instead.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let reference: crate::Reference = text.parse()?;
        if reference.written_tag() || reference.digest().is_some() {
            return Err(ReferenceError::NotARepository { found: quote(text) });
        }
        Ok(reference.into_repository())
    }
}

/// The movable name of an image in its repository: up to 128 letters, digits, `_`, `.` and `-`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The tag meant when none is written.
    pub(crate) fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.0)
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let mut bytes = text.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let goes_on = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if starts && goes_on && text.len() <= MAX_TAG {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError::Tag { found: quote(text) })
        }
    }
}

/// Whether the part before the first slash is a host: it has a dot or a colon, or is `localhost`.
fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

/// The host in its normal form: lower case, Docker Hub under one name.
fn parse_host(written: &str) -> Result<String, ReferenceError> {
    let host = written.to_ascii_lowercase();
    let (name, port) = split_port(&host);
    let named = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(is_domain_component),
    };
    let ported = port
        .is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0));
    if !named || !ported {
        return Err(ReferenceError::Host { found: quote(written) });
    }
    if host == DOCKER_HUB_INDEX {
        return Ok(DOCKER_HUB.to_owned());
    }
    Ok(host)
}

/// Splits `host:port`, leaving the colons of a bracketed IPv6 address alone.
pub(crate) fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Letters, digits and inner dashes.
fn is_domain_component(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('-')
        && !part.ends_with('-')
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Checks every component of the path.
fn check_path(path: &str) -> Result<(), ReferenceError> {
    // Engines take 64 hex characters for the id of a local image.
    if path.len() == 64 && path.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ReferenceError::ImageIdentifier);
    }
    match path.split('/').find(|part| !is_path_component(part)) {
        None => Ok(()),
        Some(part) => Err(ReferenceError::Component { found: quote(part) }),
    }
}

/// `[a-z0-9]+`, joined by one dot, one or two underscores, or any number of dashes.
fn is_path_component(part: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut separator = String::new();
    let mut begun = false;
    for c in part.chars() {
        if u8::try_from(c).is_ok_and(is_word) {
            let joins = matches!(separator.as_str(), "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
            if !joins || (!begun && !separator.is_empty()) {
                return false;
            }
            begun = true;
            separator.clear();
        } else if matches!(c, '.' | '_' | '-') {
            separator.push(c);
        } else {
            return false;
        }
    }
    begun && separator.is_empty()
}
