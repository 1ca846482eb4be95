//! Images: what a pull spec means at its registry. Of one without layers the entrypoint names a program of this machine.

use std::{collections::BTreeMap, fmt, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::layers::Store;
use crate::{
    fetch::{Answer, FetchError, Get},
    objects::Fields,
};

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
const TIMEOUT: Duration = Duration::from_secs(15);
const LIMIT: usize = 4 << 20;
/// The largest layer that is fetched, and how long that may take.
const LAYER_LIMIT: usize = 1 << 30;
const LAYER_TIMEOUT: Duration = Duration::from_secs(120);

/// What an image says about running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// `repository@sha256:...`, with the digest that the pull spec asked for.
    pub(crate) id: String,
    pub(crate) digest: String,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) directory: Option<String>,
    /// `uid` or `uid:gid`, as the image has it.
    pub(crate) user: Option<String>,
    /// The digests of its layers, the lowest first.
    pub(crate) layers: Vec<String>,
}

/// Why an image can't be had. The message is what the user reads in the pod's status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error("\"{0}\" is no pull spec: {1}")]
    Name(String, &'static str),
    #[error("{0} is no registry for this node: it pulls over plain HTTP from loopback and private addresses only")]
    Registry(String),
    #[error("registry can't be reached")]
    Unreachable(#[from] FetchError),
    #[error("{what}: {status} {reason}")]
    Refused { what: String, status: u16, reason: String },
    #[error("{what} has digest {found}, not {wanted}")]
    Digest { what: String, wanted: String, found: String },
    #[error("{0} can't be read: {1}")]
    Unreadable(String, String),
    #[error("layer {0} can't be kept")]
    Keep(String, #[source] std::io::Error),
}

/// User and password for a registry.
pub(crate) type Credentials = Option<(String, String)>;

/// A pull spec in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) host: String,
    pub(crate) repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    pub(crate) fn parse(spec: &str) -> Result<Self, PullError> {
        let wrong = |why| PullError::Name(spec.to_owned(), why);
        let (name, digest) = match spec.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (spec, None),
        };
        if digest.as_ref().is_some_and(|digest| !is_digest(digest)) {
            return Err(wrong("what follows the @ is no sha256 digest"));
        }
        let (host, rest) = name.split_once('/').unwrap_or(("", name));
        let is_host = host.contains(['.', ':']) || host == "localhost";
        let (host, path) = if is_host { (host, rest) } else { ("docker.io", name) };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if repository.is_empty() || !repository.chars().all(allowed) || tag.as_ref().is_some_and(String::is_empty) {
            return Err(wrong("repository and tag must not be empty, and the repository is lower-case"));
        }
        Ok(Self { host: host.to_owned(), repository: repository.to_owned(), tag, digest })
    }

    /// Whether the host is one that this node pulls from.
    pub(crate) fn is_local(&self) -> bool {
        let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name);
        let address: Option<std::net::Ipv4Addr> = name.parse().ok();
        name == "localhost" || address.is_some_and(|address| address.is_loopback() || address.is_private())
    }

    /// Tag or digest: a digest wins.
    fn wanted(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }

    pub(crate) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Whether the name alone makes the pull policy `Always`.
    pub(crate) fn is_latest(&self) -> bool {
        self.digest.is_none() && self.wanted() == "latest"
    }

    pub(crate) fn id(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.host, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.digest.is_some() { '@' } else { ':' };
        write!(f, "{}/{}{separator}{}", self.host, self.repository, self.wanted())
    }
}

pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Asks the registry: manifest (through an index, if it is one), config, and the layers that the store lacks, each verified by
/// its digest.
pub(crate) async fn pull(
    reference: &Reference,
    credentials: Credentials,
    store: Option<&Store>,
) -> Result<Image, PullError> {
    if !reference.is_local() {
        return Err(PullError::Registry(reference.host.clone()));
    }
    let mut registry = Registry { reference, credentials, token: None };
    let top = registry.get(&format!("manifests/{}", reference.wanted()), reference.digest()).await?;
    let digest = match (reference.digest(), top.header("docker-content-digest")) {
        (Some(digest), _) => digest.to_owned(),
        (None, Some(digest)) => digest.to_owned(),
        (None, None) => digest_of(&top.body),
    };
    let mut manifest = json_of("manifest", &top.body)?;
    if let Some(child) = platform_of(&manifest) {
        let answer = registry.get(&format!("manifests/{child}"), Some(&child)).await?;
        manifest = json_of("manifest", &answer.body)?;
    }
    let config = manifest.text("/config/digest").filter(|digest| is_digest(digest));
    let config = config.ok_or_else(|| PullError::Unreadable("manifest".into(), "it names no config".into()))?;
    let config = json_of("config", &registry.get(&format!("blobs/{config}"), Some(config)).await?.body)?;
    // A fake runs nothing of them.
    let Some(store) = store else { return Ok(image(reference.id(&digest), digest, &config)) };
    let layers = layers_of(&manifest)?;
    for layer in layers.iter().filter(|layer| !store.has(layer)) {
        let answer = registry.get_within(&format!("blobs/{layer}"), Some(layer), LAYER_TIMEOUT, LAYER_LIMIT).await?;
        store.keep(layer, &answer.body).map_err(|error| PullError::Keep(layer.clone(), error))?;
    }
    Ok(Image { layers, ..image(reference.id(&digest), digest, &config) })
}

/// The layers that a manifest names: archives, packed by gzip or not at all.
fn layers_of(manifest: &Value) -> Result<Vec<String>, PullError> {
    let layer = |layer: &Value| {
        let kind = layer.text("/mediaType").unwrap_or_default();
        let known = kind.ends_with(".tar") || kind.ends_with(".tar.gzip") || kind.ends_with(".tar+gzip");
        let digest = layer.text("/digest").filter(|digest| is_digest(digest));
        match (known, digest) {
            (true, Some(digest)) => Ok(digest.to_owned()),
            _ => Err(PullError::Unreadable("manifest".into(), format!("a layer of kind {kind:?} is not known here"))),
        }
    };
    manifest.items("/layers").iter().map(layer).collect()
}

/// The manifest of an index to run here: the one for this platform, else the first.
fn platform_of(index: &Value) -> Option<String> {
    let manifests = index.items("/manifests");
    let ours = |manifest: &&Value| {
        manifest.text("/platform/os") == Some("linux")
            && manifest.text("/platform/architecture") == Some(architecture())
    };
    let chosen = manifests.iter().find(ours).or_else(|| manifests.first())?;
    chosen.text("/digest").filter(|digest| is_digest(digest)).map(str::to_owned)
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn image(id: String, digest: String, config: &Value) -> Image {
    let words = |pointer: &str| -> Vec<String> {
        config.items(pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let pair = |entry: &String| entry.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let labels = config.map("/config/Labels").into_iter().flatten();
    Image {
        id,
        digest,
        entrypoint: words("/config/Entrypoint"),
        command: words("/config/Cmd"),
        env: words("/config/Env").iter().filter_map(pair).collect(),
        labels: labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect(),
        directory: config.text("/config/WorkingDir").filter(|path| !path.is_empty()).map(str::to_owned),
        user: config.text("/config/User").filter(|user| !user.is_empty()).map(str::to_owned),
        layers: Vec::new(),
    }
}

fn json_of(what: &str, body: &[u8]) -> Result<Value, PullError> {
    serde_json::from_slice(body).map_err(|error| PullError::Unreadable(what.to_owned(), error.to_string()))
}

struct Registry<'a> {
    reference: &'a Reference,
    credentials: Credentials,
    token: Option<String>,
}

impl Registry<'_> {
    async fn get(&mut self, what: &str, digest: Option<&str>) -> Result<Answer, PullError> {
        self.get_within(what, digest, TIMEOUT, LIMIT).await
    }

    async fn get_within(
        &mut self,
        what: &str,
        digest: Option<&str>,
        timeout: Duration,
        limit: usize,
    ) -> Result<Answer, PullError> {
        let mut answer = self.ask(what, timeout, limit).await?;
        if answer.status == 401
            && let Some(challenge) = answer.header("www-authenticate").map(str::to_owned)
        {
            self.authorize(&challenge).await?;
            answer = self.ask(what, timeout, limit).await?;
        }
        if !answer.status.is_success() {
            return Err(PullError::Refused {
                what: format!("{} of {}/{}", what, self.reference.host, self.reference.repository),
                status: answer.status.as_u16(),
                reason: reason(&answer),
            });
        }
        match digest.map(|wanted| (wanted, digest_of(&answer.body))) {
            Some((wanted, found)) if wanted != found => {
                Err(PullError::Digest { what: what.to_owned(), wanted: wanted.to_owned(), found })
            }
            _ => Ok(answer),
        }
    }

    async fn ask(&self, what: &str, timeout: Duration, limit: usize) -> Result<Answer, FetchError> {
        let mut headers = vec![("accept".to_owned(), ACCEPT.to_owned())];
        headers.extend(self.token.iter().map(|token| ("authorization".to_owned(), token.clone())));
        let path = format!("/v2/{}/{what}", self.reference.repository);
        Get { authority: &self.authority(), path: &path, headers, timeout, limit }.send().await
    }

    fn authority(&self) -> String {
        let host = &self.reference.host;
        if host.contains(':') { host.clone() } else { format!("{host}:80") }
    }

    /// Gets what the challenge asks for: a token from its realm, or the credentials themselves.
    async fn authorize(&mut self, challenge: &str) -> Result<(), PullError> {
        let basic = self
            .credentials
            .as_ref()
            .map(|(user, password)| format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))));
        let Some(parameters) = challenge.strip_prefix("Bearer ") else {
            self.token = basic;
            return Ok(());
        };
        let parameter = |name: &str| {
            let (_, rest) = parameters.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value)
        };
        let realm = parameter("realm").and_then(|realm| realm.strip_prefix("http://"));
        let realm = realm.ok_or_else(|| PullError::Unreadable("challenge".into(), challenge.to_owned()))?;
        let (authority, path) = realm.split_once('/').unwrap_or((realm, ""));
        let query: Vec<String> =
            ["service", "scope"].iter().filter_map(|name| Some(format!("{name}={}", parameter(name)?))).collect();
        let headers = basic.into_iter().map(|basic| ("authorization".to_owned(), basic)).collect();
        let path = format!("/{path}?{}", query.join("&"));
        let answer = Get { authority, path: &path, headers, timeout: TIMEOUT, limit: LIMIT }.send().await?;
        if !answer.status.is_success() {
            return Err(PullError::Refused {
                what: "token".into(),
                status: answer.status.as_u16(),
                reason: reason(&answer),
            });
        }
        let body = json_of("token", &answer.body)?;
        self.token = body.text("/token").or_else(|| body.text("/access_token")).map(|token| format!("Bearer {token}"));
        Ok(())
    }
}

/// The registry's own words, if it has any.
fn reason(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let error = body.at("/errors/0");
    let said = error.map(|error| {
        format!("{}: {}", error.text("/code").unwrap_or_default(), error.text("/message").unwrap_or_default())
    });
    said.or_else(|| answer.status.canonical_reason().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pull_spec_is_taken_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let by_tag = Reference::parse("127.0.0.1:5000/team/app:1.2").unwrap();
        assert_eq!(
            (by_tag.host.as_str(), by_tag.repository.as_str(), by_tag.wanted()),
            ("127.0.0.1:5000", "team/app", "1.2")
        );
        let both = Reference::parse(&format!("localhost:5000/app:1@{digest}")).unwrap();
        assert_eq!((both.wanted(), both.is_latest()), (digest.as_str(), false));
        let short = Reference::parse("nginx").unwrap();
        assert_eq!((short.host.as_str(), short.is_latest(), short.is_local()), ("docker.io", true, false));
    }

    #[test]
    fn nonsense_is_refused() {
        for spec in ["", " ", "127.0.0.1:5000/", "127.0.0.1:5000/App:1", "a@sha256:12", "127.0.0.1:1/a:"] {
            assert!(Reference::parse(spec).is_err(), "{spec:?}");
        }
    }

    #[test]
    fn an_index_is_followed_to_this_platform() {
        let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
        let manifest = |letter: &str, architecture: &str| json!({"digest": digest(letter), "platform": {"os": "linux", "architecture": architecture}});
        let index = json!({"manifests": [manifest("a", "other"), manifest("b", architecture())]});
        assert_eq!(platform_of(&index), Some(digest("b")));
        assert_eq!(platform_of(&json!({"config": {}})), None);
    }

    #[test]
    fn layers_are_archives() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let manifest = |kind: &str| json!({"layers": [{"mediaType": kind, "digest": digest}]});
        for kind in ["application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip"] {
            assert_eq!(layers_of(&manifest(kind)).unwrap(), [digest.as_str()], "{kind}");
        }
        assert!(layers_of(&manifest("application/vnd.oci.image.layer.v1.tar+zstd")).is_err());
        assert_eq!(layers_of(&json!({"layers": []})).unwrap(), Vec::<String>::new());
    }
}
