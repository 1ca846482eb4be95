//! [`Credentials`]: pull secrets, matched to images as the kubelet matches them.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Deserialize;
use sha2::Digest as _;

use crate::repository::{DOCKER_HUB, DOCKER_HUB_INDEX, Repository, split_port};

/// The largest secret read; Kubernetes caps one at 1 MiB.
const MAX_SECRET: usize = 1024 * 1024;

/// Credentials for registries, as stored in pull secrets.
///
/// Keys match as in the kubelet: a host whose dotted parts may hold `*`, `?` and `[...]`, the same port, and a path
/// that the repository begins with. The most specific key comes first: `quay.io/org/repo` before `quay.io/org` before
/// `quay.io`. `Debug` shows the keys and never a secret.
///
/// ```
/// use keeper_image::Credentials;
///
/// // auth is base64 of `me:secret`.
/// let secret = br#"{"auths": {"quay.io/org": {"auth": "bWU6c2VjcmV0"}}}"#;
/// let credentials = Credentials::from_docker_config_json(secret).unwrap();
/// assert!(credentials.covers(&"quay.io/org/app".parse().unwrap()));
/// assert!(!credentials.covers(&"quay.io/else/app".parse().unwrap()));
/// ```
#[derive(Clone, Default)]
pub struct Credentials {
    /// Most specific key first.
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    key: Key,
    credential: Credential,
}

/// A key of a pull secret, taken apart.
#[derive(Clone, Debug)]
struct Key {
    text: String,
    host: String,
    port: Option<String>,
    path: String,
}

/// One account.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    Password {
        user: String,
        password: String,
    },
    /// Exchanged at the token service for a token (`identitytoken`).
    Identity(String),
    /// Sent as it is (`registrytoken`).
    Token(String),
}

impl Credential {
    /// Tells accounts apart in caches without keeping the secret there.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let (kind, first, second) = match self {
            Self::Password { user, password } => ("password", user.as_str(), password.as_str()),
            Self::Identity(token) => ("identity", token.as_str(), ""),
            Self::Token(token) => ("token", token.as_str(), ""),
        };
        let mut hash = sha2::Sha256::new();
        for part in [kind, first, second] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(redacted)")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| &entry.key.text)).finish()
    }
}

impl Credentials {
    /// Reads the bytes of a `kubernetes.io/dockerconfigjson` secret's `.dockerconfigjson`.
    ///
    /// # Errors
    ///
    /// When the bytes are no such JSON or an entry's `auth` is not base64 of `user:password`. The messages name the
    /// entry and contain nothing of its value.
    pub fn from_docker_config_json(bytes: &[u8]) -> Result<Self, CredentialsError> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            auths: BTreeMap<String, Auth>,
        }
        check_size(bytes)?;
        let file: File = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
        Self::from_auths(file.auths)
    }

    /// Reads the bytes of the older `kubernetes.io/dockercfg` secret's `.dockercfg`.
    ///
    /// # Errors
    ///
    /// As [`from_docker_config_json`](Self::from_docker_config_json).
    pub fn from_dockercfg(bytes: &[u8]) -> Result<Self, CredentialsError> {
        check_size(bytes)?;
        Self::from_auths(serde_json::from_slice(bytes).map_err(|error| not_json(&error))?)
    }

    /// These and the others; of two equal keys, these come first.
    #[must_use]
    pub fn merged(mut self, others: Self) -> Self {
        self.entries.extend(others.entries);
        self.sort();
        self
    }

    /// Whether any key matches this repository.
    pub fn covers(&self, repository: &Repository) -> bool {
        self.matching(repository).next().is_some()
    }

    /// The accounts to try for this repository, most specific first.
    pub(crate) fn matching(&self, repository: &Repository) -> impl Iterator<Item = &Credential> {
        self.entries.iter().filter(|entry| entry.key.matches(repository)).map(|entry| &entry.credential)
    }

    fn from_auths(auths: BTreeMap<String, Auth>) -> Result<Self, CredentialsError> {
        let mut entries = Vec::new();
        for (text, auth) in auths {
            if let Some(credential) = auth.read(&text)? {
                entries.push(Entry { key: Key::read(&text), credential });
            }
        }
        let mut credentials = Self { entries };
        credentials.sort();
        Ok(credentials)
    }

    /// Longer paths first, then hosts without wildcards, then by text so that the order is always the same.
    fn sort(&mut self) {
        self.entries.sort_by(|a, b| {
            let rank = |key: &Key| (key.path.len(), !key.host.contains(['*', '?', '[']), key.text.clone());
            rank(&b.key).cmp(&rank(&a.key))
        });
    }
}

/// One entry as stored. Unknown fields (email, credential helpers) are not ours.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Auth {
    /// `None` when the entry is empty, as Docker writes it when a credential helper holds the account.
    fn read(self, key: &str) -> Result<Option<Credential>, CredentialsError> {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = filled(self.registrytoken) {
            return Ok(Some(Credential::Token(token)));
        }
        if let Some(token) = filled(self.identitytoken) {
            return Ok(Some(Credential::Identity(token)));
        }
        if let (Some(user), Some(password)) = (filled(self.username), filled(self.password)) {
            return Ok(Some(Credential::Password { user, password }));
        }
        let Some(auth) = filled(self.auth) else {
            return Ok(None);
        };
        decode(&auth).map(Some).ok_or_else(|| CredentialsError::Auth { key: crate::quote::quote(key) })
    }
}

/// `base64("user:password")`, padding optional.
fn decode(auth: &str) -> Option<Credential> {
    let padded = auth.trim().trim_end_matches('=');
    let bytes = STANDARD_NO_PAD.decode(padded).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credential::Password {
        user: user.to_owned(),
        // Some tools end the password with zero bytes.
        password: password.trim_end_matches('\0').to_owned(),
    })
}

impl Key {
    /// Takes `[scheme://]host[:port][/path]` apart. Docker's own keys end in `/v1/` or `/v2/`: that is no path.
    fn read(text: &str) -> Self {
        let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
        let path = match path.split_once('/') {
            Some(("v1" | "v2", rest)) => rest,
            None if path == "v1" || path == "v2" => "",
            _ => path,
        };
        let (name, port) = split_port(host);
        Self {
            text: text.to_owned(),
            host: name.to_ascii_lowercase(),
            port: port.map(str::to_owned),
            path: path.trim_end_matches('/').to_owned(),
        }
    }

    fn matches(&self, repository: &Repository) -> bool {
        let (name, port) = split_port(repository.host());
        let host = self.host_matches(name) || (name == DOCKER_HUB && self.is_docker_hub());
        host && self.port.as_deref() == port && repository.path().starts_with(&self.path)
    }

    fn is_docker_hub(&self) -> bool {
        self.host_matches(DOCKER_HUB_INDEX) || self.host_matches("registry-1.docker.io")
    }

    /// Part by part, so that `*.io` does not match `evil.quay.io`.
    fn host_matches(&self, name: &str) -> bool {
        let (patterns, parts) = (self.host.split('.'), name.split('.'));
        patterns.clone().count() == parts.clone().count()
            && patterns.zip(parts).all(|(pattern, part)| glob(pattern.as_bytes(), part.as_bytes()))
    }
}

/// `*`, `?` and `[a-z]` within one part of a host. A pattern that is not well formed matches nothing.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // Iterative with one point to come back to, so that no pattern takes more than quadratic time.
    let (mut p, mut t) = (pattern, text);
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match (p.split_first(), t.split_first()) {
            (None, None) => return true,
            (Some((b'*', rest)), _) => {
                star = Some((rest, t));
                p = rest;
                continue;
            }
            (Some(_), Some((&c, after))) => one(p, c).map(|rest| (rest, after)),
            _ => None,
        };
        match (step, star) {
            (Some((rest, after)), _) => (p, t) = (rest, after),
            (None, Some((after_star, from))) => {
                let Some((_, next)) = from.split_first() else {
                    return false;
                };
                star = Some((after_star, next));
                (p, t) = (after_star, next);
            }
            (None, None) => return false,
        }
    }
}

/// Matches one byte by the first element of the pattern and gives the rest of the pattern.
fn one(pattern: &[u8], c: u8) -> Option<&[u8]> {
    match pattern.split_first()? {
        (b'?', rest) => Some(rest),
        (b'[', class) => {
            let end = class.iter().position(|&b| b == b']')?;
            let (members, rest) = (class.get(..end)?, class.get(end + 1..)?);
            let (negated, members) = match members.split_first() {
                Some((b'^', others)) => (true, others),
                _ => (false, members),
            };
            (in_class(members, c) != negated).then_some(rest)
        }
        (&literal, rest) => (literal == c).then_some(rest),
    }
}

fn in_class(mut members: &[u8], c: u8) -> bool {
    loop {
        match members {
            [] => return false,
            [low, b'-', high, rest @ ..] => {
                if (*low..=*high).contains(&c) {
                    return true;
                }
                members = rest;
            }
            [member, rest @ ..] => {
                if *member == c {
                    return true;
                }
                members = rest;
            }
        }
    }
}

fn check_size(bytes: &[u8]) -> Result<(), CredentialsError> {
    if bytes.len() > MAX_SECRET {
        return Err(CredentialsError::TooLong { length: bytes.len() });
    }
    Ok(())
}

/// serde_json's own message may quote the value; its place does not.
fn not_json(error: &serde_json::Error) -> CredentialsError {
    CredentialsError::NotJson { line: error.line(), column: error.column() }
}

/// Why a pull secret can't be read. Trying again helps only after the secret changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Not the JSON of a pull secret.
    #[error(
        "the pull secret is not the JSON that kubectl create secret docker-registry writes (line {line}, column {column})"
    )]
    NotJson {
        /// Where reading stopped, from 1.
        line: usize,
        /// Where in the line, from 1.
        column: usize,
    },
    /// Longer than Kubernetes stores.
    #[error("the pull secret is {length} bytes long, at most 1 MiB is read")]
    TooLong {
        /// Bytes found.
        length: usize,
    },
    /// The entry's `auth` can't be decoded.
    #[error("auth of entry {key} in the pull secret is not base64 of user:password")]
    Auth {
        /// The entry's key, shortened.
        key: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Credentials {
        Credentials::from_docker_config_json(json.as_bytes()).unwrap()
    }

    fn users(credentials: &Credentials, repository: &str) -> Vec<String> {
        credentials
            .matching(&repository.parse().unwrap())
            .map(|credential| match credential {
                Credential::Password { user, .. } => user.clone(),
                Credential::Identity(token) | Credential::Token(token) => token.clone(),
            })
            .collect()
    }

    fn entry(key: &str, user: &str) -> String {
        format!(r#""{key}": {{"username": "{user}", "password": "p"}}"#)
    }

    #[test]
    fn the_most_specific_key_comes_first() {
        let keys = [
            entry("quay.io", "host"),
            entry("quay.io/org", "org"),
            entry("quay.io/org/app", "app"),
            entry("*.io", "glob"),
            entry("https://quay.io:443", "port"),
        ];
        let credentials = read(&format!(r#"{{"auths": {{{}}}}}"#, keys.join(",")));
        assert_eq!(users(&credentials, "quay.io/org/app"), ["app", "org", "host", "glob"]);
        assert_eq!(users(&credentials, "quay.io/other/app"), ["host", "glob"]);
        assert_eq!(users(&credentials, "quay.io:443/org/app"), ["port"]);
        assert_eq!(users(&credentials, "sub.quay.io/org/app"), [""; 0]);
    }

    #[test]
    fn docker_hub_has_many_names() {
        for key in ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "https://registry-1.docker.io/v2/"] {
            let credentials = read(&format!(r#"{{"auths": {{{}}}}}"#, entry(key, "hub")));
            assert_eq!(users(&credentials, "nginx"), ["hub"], "{key}");
            assert!(!credentials.covers(&"quay.io/a/b".parse().unwrap()));
        }
    }

    #[test]
    fn every_form_of_secret() {
        let auth = STANDARD_NO_PAD.encode("robot$org+name:pass:word");
        let credentials = read(&format!(r#"{{"auths": {{"a.io": {{"auth": "{auth}", "email": "x"}}}}}}"#));
        let found = credentials.matching(&"a.io/x".parse().unwrap()).next().unwrap();
        let expected = Credential::Password { user: "robot$org+name".to_owned(), password: "pass:word".to_owned() };
        assert_eq!(found, &expected);

        let identity = read(
            r#"{"auths": {"a.io": {"auth": "AAAA", "identitytoken": "id"}, "b.io": {"registrytoken": "raw"}, "c.io": {}}}"#,
        );
        assert_eq!(users(&identity, "a.io/x"), ["id"]);
        assert_eq!(users(&identity, "b.io/x"), ["raw"]);
        assert!(!identity.covers(&"c.io/x".parse().unwrap()));

        let legacy =
            Credentials::from_dockercfg(format!("{{{}}}", entry("https://a.io/v2/", "old")).as_bytes()).unwrap();
        assert_eq!(users(&legacy, "a.io/x"), ["old"]);
        assert_eq!(users(&legacy.merged(identity), "a.io/x").len(), 2);
    }

    #[test]
    fn errors_name_the_entry_and_no_secret() {
        let error = Credentials::from_docker_config_json(br#"{"auths": {"a.io": {"auth": "c2VjcmV0"}}}"#).unwrap_err();
        assert_eq!(error.to_string(), "auth of entry \"a.io\" in the pull secret is not base64 of user:password");
        let error = Credentials::from_docker_config_json(br#"{"auths": {"a.io": "hunter2"}}"#).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(Credentials::from_docker_config_json(b"<html>").is_err());
        assert!(Credentials::from_dockercfg(&vec![b' '; MAX_SECRET + 1]).is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let credentials = read(&format!(r#"{{"auths": {{{}}}}}"#, entry("quay.io/org", "hunter2")));
        assert_eq!(format!("{credentials:?}"), "[\"quay.io/org\"]");
        let first = credentials.matching(&"quay.io/org/x".parse().unwrap()).next().unwrap();
        assert_eq!(format!("{first:?}"), "Credential(redacted)");
    }

    #[test]
    fn globs() {
        let is = |pattern: &str, text: &str| glob(pattern.as_bytes(), text.as_bytes());
        assert!(is("*", "") && is("*", "quay") && is("q*y", "quay") && is("q??y", "quay") && is("[a-q]uay", "quay"));
        assert!(is("*a*", "quay") && is("[^x]uay", "quay") && is("", ""));
        assert!(!is("q*x", "quay") && !is("?", "") && !is("[quay", "q") && !is("[]", "q") && !is("", "q"));
        // Would take exponential time with naive recursion.
        assert!(!is(&"*a".repeat(2_000), &"a".repeat(1_000)));
    }
}
