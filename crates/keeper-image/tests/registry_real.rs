//! The client against a real registry: Debian's `docker-registry`, started here as a process on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests too, which the lint does not see"
)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keeper_image::{Credentials, Digest, MediaType, Reference, RegistryClient, RegistryConfig, Resolve};

fn testdata(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/registry").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(testdata(file)).unwrap()
}

/// A registry of our own, ended with the value.
struct Registry {
    process: Child,
    host: String,
    _store: tempfile::TempDir,
}

impl Registry {
    /// `None` when the program isn't there; the test then says so and proves nothing.
    async fn start(auth: &str) -> Option<Self> {
        let store = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = store.path().join("config.yml");
        let root = store.path().join("data");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {root:?}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n{auth}"
        );
        std::fs::write(&config, text).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = process else {
            println!("NOT RUN: no docker-registry on PATH");
            return None;
        };
        let registry = Self { process, host: format!("127.0.0.1:{port}"), _store: store };
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(&registry.host).await.is_err() {
            assert!(Instant::now() < deadline, "docker-registry does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(registry)
    }

    fn image(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.host).parse().unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Pushes as `docker push` does: blobs first, then manifests.
struct Pusher {
    http: reqwest::Client,
    base: String,
    password: Option<&'static str>,
}

impl Pusher {
    fn new(registry: &Registry, password: Option<&'static str>) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            base: format!("http://{}/v2/org/app", registry.host),
            password,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Response {
        let request = match self.password {
            Some(password) => request.basic_auth("me", Some(password)),
            None => request,
        };
        request.send().await.unwrap().error_for_status().unwrap()
    }

    async fn blob(&self, bytes: &str) {
        let begun = self.send(self.http.post(format!("{}/blobs/uploads/", self.base))).await;
        let mut location = begun.url().join(begun.headers()["location"].to_str().unwrap()).unwrap();
        let digest = Digest::sha256_of(bytes.as_bytes()).to_string();
        location.query_pairs_mut().append_pair("digest", &digest);
        self.send(self.http.put(location).body(bytes.to_owned())).await;
    }

    async fn manifest(&self, name: &str, kind: MediaType, bytes: &str) {
        let request = self
            .http
            .put(format!("{}/manifests/{name}", self.base))
            .header("Content-Type", kind.as_str())
            .body(bytes.to_owned());
        self.send(request).await;
    }
}

/// Pushes a manifest as `single` and an index of it as `multi`; answers both texts.
async fn push(pusher: &Pusher) -> (String, String) {
    let config = read("config.json");
    let manifest = read("manifest.template.json")
        .replace("CONFIG_DIGEST", &Digest::sha256_of(config.as_bytes()).to_string())
        .replace("CONFIG_SIZE", &config.len().to_string());
    let index = read("index.template.json")
        .replace("MANIFEST_DIGEST", &Digest::sha256_of(manifest.as_bytes()).to_string())
        .replace("MANIFEST_SIZE", &manifest.len().to_string());
    pusher.blob(&config).await;
    pusher.manifest("single", MediaType::OciManifest, &manifest).await;
    pusher.manifest("multi", MediaType::OciIndex, &index).await;
    (manifest, index)
}

fn client() -> RegistryClient {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = RegistryConfig { insecure_hosts: vec!["127.0.0.1".into()], ..RegistryConfig::default() };
    RegistryClient::new(config).unwrap()
}

#[tokio::test]
async fn digests_are_those_of_the_bytes() {
    let client = client();
    let Some(registry) = Registry::start("").await else { return };
    let (manifest, index) = push(&Pusher::new(&registry, None)).await;
    let (single, multi) = (Digest::sha256_of(manifest.as_bytes()), Digest::sha256_of(index.as_bytes()));

    let resolved = client.resolve(&registry.image("org/app:single")).await.unwrap();
    assert_eq!((resolved.digest, resolved.media_type), (single.clone(), MediaType::OciManifest));
    let resolved = client.resolve(&registry.image("org/app:multi")).await.unwrap();
    assert_eq!((resolved.digest, resolved.media_type), (multi.clone(), MediaType::OciIndex));

    let by_digest = registry.image("org/app:multi").with_digest(multi.clone());
    assert_eq!(client.resolve(&by_digest).await.unwrap().digest, multi);
    let family = client.equivalents(&by_digest, &multi).await.unwrap();
    assert_eq!(family, [single, multi].into());

    for absent in ["org/app:gone", "org/none:x"] {
        let error = client.resolve(&registry.image(absent)).await.unwrap_err();
        assert_eq!(error.kind(), "not_found", "{absent}: {error}");
    }
    let never = registry.image("org/app").with_digest(Digest::sha256_of(b"never pushed"));
    assert_eq!(client.resolve(&never).await.unwrap_err().kind(), "not_found");
}

#[tokio::test]
async fn a_registry_with_accounts_lets_only_those_in() {
    let client = client();
    let auth = format!("auth: {{htpasswd: {{realm: test, path: {:?}}}}}\n", testdata("htpasswd"));
    let Some(registry) = Registry::start(&auth).await else { return };
    let (manifest, _) = push(&Pusher::new(&registry, Some("hunter2"))).await;
    let image = registry.image("org/app:single");
    assert_eq!(client.resolve(&image).await.unwrap_err().kind(), "denied");
    for (password, expected) in [("hunter2", Ok(Digest::sha256_of(manifest.as_bytes()))), ("wrong", Err("denied"))] {
        let secret =
            format!(r#"{{"auths": {{"{}/org": {{"username": "me", "password": "{password}"}}}}}}"#, registry.host);
        let known = client.with_credentials(Credentials::from_docker_config_json(secret.as_bytes()).unwrap());
        let answer = known.resolve(&image).await;
        assert_eq!(answer.map(|resolved| resolved.digest).map_err(|error| error.kind()), expected);
    }
}

#[test]
fn a_pull_secret_covers_what_its_keys_say() {
    let credentials = Credentials::from_docker_config_json(read("pull-secret.json").as_bytes()).unwrap();
    for (repository, covered) in [
        ("quay.io/myorg/my_repo", true),
        ("quay.io/other/app", true),
        ("eu.registry.example/a/b", true),
        ("registry.example/a/b", false),
        ("nginx", true),
        ("ghcr.io/a/b", false),
    ] {
        assert_eq!(credentials.covers(&repository.parse().unwrap()), covered, "{repository}");
    }
    assert!(!format!("{credentials:?}").contains("hunter2"));
}
