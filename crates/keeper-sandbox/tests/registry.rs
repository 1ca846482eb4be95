//! The registry over HTTP, as a client of the distribution API sees it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value, reason = "a test may panic")]

use std::time::Duration;

use keeper_sandbox::registry::{Fault, FaultKind, ImageConfig, Registry, RegistryAuth, RegistryConfig};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn http() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

async fn ask(registry: &Registry, method: Method, path: &str) -> Response {
    let url = format!("http://{}{path}", registry.address());
    http().request(method, url).header("accept", format!("{INDEX}, {MANIFEST}")).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_tags_digest_is_that_of_the_bytes() {
    let registry = Registry::serve(RegistryConfig::default()).await.unwrap();
    let digest = registry.push("team/app", "1", &ImageConfig::new(["/app"]).env("A", "b"));
    let head = ask(&registry, Method::HEAD, "/v2/team/app/manifests/1").await;
    assert_eq!((head.status().as_u16(), header(&head, "docker-content-digest")), (200, digest.as_str()));
    assert_eq!(header(&head, "content-type"), MANIFEST);
    let length: usize = header(&head, "content-length").parse().unwrap();
    let body = ask(&registry, Method::GET, &format!("/v2/team/app/manifests/{digest}")).await.bytes().await.unwrap();
    assert_eq!((sha256(&body), body.len()), (digest.clone(), length));
    let manifest: Value = serde_json::from_slice(&body).unwrap();
    let config_digest = manifest["config"]["digest"].as_str().unwrap();
    let config =
        ask(&registry, Method::GET, &format!("/v2/team/app/blobs/{config_digest}")).await.bytes().await.unwrap();
    assert_eq!(sha256(&config), config_digest);
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["config"]["Entrypoint"], json!(["/app"]));
    assert_eq!(config["config"]["Env"], json!(["A=b"]));

    assert_eq!(registry.push("team/app", "2", &ImageConfig::new(["/app"]).env("A", "b")), digest, "the same image");
    assert_ne!(registry.push("team/app", "2", &ImageConfig::new(["/app"])), digest);
    assert_eq!(registry.heads("team/app", "1"), 1);
    assert_eq!(registry.requests().first().map(|request| request.method.clone()), Some("HEAD".to_owned()));
}

#[tokio::test]
async fn what_is_not_there_is_404_with_the_right_code() {
    let registry = Registry::serve(RegistryConfig::default()).await.unwrap();
    registry.push("app", "1", &ImageConfig::new(["/app"]));
    let code = |path: &'static str| {
        let registry = &registry;
        async move {
            let response = ask(registry, Method::GET, path).await;
            let status = response.status().as_u16();
            let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            (status, body["errors"][0]["code"].as_str().unwrap().to_owned())
        }
    };
    assert_eq!(code("/v2/app/manifests/2").await, (404, "MANIFEST_UNKNOWN".into()));
    assert_eq!(code("/v2/other/manifests/1").await, (404, "NAME_UNKNOWN".into()));
    assert!(registry.delete_tag("app", "1"));
    assert!(!registry.delete_tag("app", "1"));
    assert_eq!(code("/v2/app/manifests/1").await, (404, "MANIFEST_UNKNOWN".into()));
}

#[tokio::test]
async fn an_index_is_converted_for_clients_that_take_none() {
    let registry = Registry::serve(RegistryConfig::default()).await.unwrap();
    let images = [("amd64", ImageConfig::new(["/app"])), ("arm64", ImageConfig::new(["/app"]))];
    let (digest, children) = registry.push_index("app", "1", &images);
    let all = ask(&registry, Method::HEAD, "/v2/app/manifests/1").await;
    assert_eq!((header(&all, "docker-content-digest"), header(&all, "content-type")), (digest.as_str(), INDEX));
    let url = format!("http://{}/v2/app/manifests/1", registry.address());
    let few = http().head(url).header("accept", MANIFEST).send().await.unwrap();
    assert_eq!(header(&few, "docker-content-digest"), children[0]);
}

#[tokio::test]
async fn images_can_be_pushed_over_http() {
    let registry = Registry::serve(RegistryConfig::default()).await.unwrap();
    let base = format!("http://{}", registry.address());
    let config = json!({"config": {"Entrypoint": ["/app"]}}).to_string();
    let digest = sha256(config.as_bytes());

    // In one request, and begun, continued and finished.
    let wrong =
        http().post(format!("{base}/v2/app/blobs/uploads/?digest={digest}")).body("other").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    let layer = b"a layer".to_vec();
    let single = http()
        .post(format!("{base}/v2/app/blobs/uploads/?digest={}", sha256(&layer)))
        .body(layer.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(single.status(), 201);
    let begun = http().post(format!("{base}/v2/app/blobs/uploads/")).send().await.unwrap();
    assert_eq!(begun.status(), 202);
    let location = header(&begun, "location").to_owned();
    let (one, two) = config.split_at(5);
    let patched = http().patch(format!("{base}{location}")).body(one.to_owned()).send().await.unwrap();
    assert_eq!((patched.status().as_u16(), header(&patched, "range")), (202, "0-4"));
    let done = http().put(format!("{base}{location}?digest={digest}")).body(two.to_owned()).send().await.unwrap();
    assert_eq!((done.status().as_u16(), header(&done, "docker-content-digest")), (201, digest.as_str()));

    let manifest = |config: &str| {
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"digest": config}, "layers": [{"digest": sha256(&layer)}]}).to_string()
    };
    let put = |body: String| {
        http().put(format!("{base}/v2/app/manifests/1")).header("content-type", MANIFEST).body(body).send()
    };
    assert_eq!(put(manifest(&sha256(b"nothing"))).await.unwrap().status(), 404, "a blob is missing");
    let pushed = manifest(&digest);
    assert_eq!(put(pushed.clone()).await.unwrap().status(), 201);
    assert_eq!(registry.digest("app", "1"), Some(sha256(pushed.as_bytes())));
    let tags: Value =
        serde_json::from_slice(&ask(&registry, Method::GET, "/v2/app/tags/list").await.bytes().await.unwrap()).unwrap();
    assert_eq!(tags, json!({"name": "app", "tags": ["1"]}));
    assert_eq!(ask(&registry, Method::DELETE, "/v2/app/manifests/1").await.status(), 202);
    assert_eq!(registry.digest("app", "1"), None);
}

#[tokio::test]
async fn a_token_is_asked_for_and_expires() {
    let auth = RegistryAuth { token_lifetime: Duration::from_millis(300), ..RegistryAuth::new("robot", "secret") };
    let registry = Registry::serve(RegistryConfig { auth: Some(auth), ..RegistryConfig::default() }).await.unwrap();
    registry.push("team/app", "1", &ImageConfig::new(["/app"]));
    let refused = ask(&registry, Method::HEAD, "/v2/team/app/manifests/1").await;
    let realm = format!("http://{}/token", registry.address());
    let challenge = format!("Bearer realm=\"{realm}\",service=\"sandbox-registry\",scope=\"repository:team/app:pull\"");
    assert_eq!((refused.status().as_u16(), header(&refused, "www-authenticate")), (401, challenge.as_str()));

    let url = format!("{realm}?service=sandbox-registry&scope=repository:team/app:pull");
    let wrong = http().get(&url).basic_auth("robot", Some("wrong")).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let given = http().get(&url).basic_auth("robot", Some("secret")).send().await.unwrap();
    let given: Value = serde_json::from_slice(&given.bytes().await.unwrap()).unwrap();
    let token = given["token"].as_str().unwrap().to_owned();
    let head = || {
        let url = format!("http://{}/v2/team/app/manifests/1", registry.address());
        http().head(url).bearer_auth(&token).send()
    };
    assert_eq!(head().await.unwrap().status(), 200);
    tokio::time::sleep(Duration::from_millis(350)).await;
    let expired = head().await.unwrap();
    assert_eq!(expired.status(), 401);
    assert!(header(&expired, "www-authenticate").ends_with("error=\"invalid_token\""));
}

#[tokio::test]
async fn faults_come_and_go() {
    let registry = Registry::serve(RegistryConfig::default()).await.unwrap();
    let digest = registry.push("app", "1", &ImageConfig::new(["/app"]));
    let head = || ask(&registry, Method::HEAD, "/v2/app/manifests/1");
    let wait = FaultKind::TooManyRequests { retry_after: Some(Duration::from_secs(7)) };
    registry.inject(Fault::of_manifests(wait).times(1));
    let refused = head().await;
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after")), (429, "7"));
    assert_eq!(head().await.status(), 200, "once only");

    registry.inject(Fault::of_manifests(FaultKind::NoDigest).times(1));
    assert_eq!(header(&head().await, "docker-content-digest"), "");
    registry.inject(Fault::of_manifests(FaultKind::WrongDigest).times(1));
    assert_ne!(header(&head().await, "docker-content-digest"), digest);
    registry.inject(Fault::of_manifests(FaultKind::Html));
    let page = ask(&registry, Method::GET, "/v2/app/manifests/1").await;
    assert_eq!((page.status().as_u16(), header(&page, "content-type")), (200, "text/html"));
    registry.clear_faults();
    registry.inject(Fault::of_manifests(FaultKind::Status(503)));
    assert_eq!(head().await.status(), 503);
    registry.clear_faults();
    registry.inject(Fault::of_manifests(FaultKind::Slow(Duration::from_millis(200))));
    let asked = std::time::Instant::now();
    assert_eq!(header(&head().await, "docker-content-digest"), digest);
    assert!(asked.elapsed() >= Duration::from_millis(200));
}
