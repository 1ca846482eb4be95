//! The registry client against HTTP servers that behave, misbehave and lie.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too, which the lint does not see")]

use std::sync::Arc;
use std::time::Duration;

use keeper_image::{
    Credentials, Digest, MediaType, Reference, RegistryClient, RegistryConfig, Resolve, ResolveError, TagWatcher,
};
use wiremock::matchers::{body_string_contains, header, header_exists, method, path, query_param};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, Times};

const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;
const MANIFEST_PATH: &str = "/v2/org/app/manifests/stable";

fn client() -> RegistryClient {
    configured(|_| {})
}

fn configured(change: impl FnOnce(&mut RegistryConfig)) -> RegistryClient {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = RegistryConfig {
        insecure_hosts: vec!["127.0.0.1".into()],
        request_timeout: Duration::from_secs(5),
        ..RegistryConfig::default()
    };
    change(&mut config);
    RegistryClient::new(config).unwrap()
}

fn image(server: &MockServer) -> Reference {
    format!("{}/org/app:stable", server.address()).parse().unwrap()
}

fn digest() -> Digest {
    Digest::sha256_of(MANIFEST.as_bytes())
}

/// A well-behaved answer to HEAD and GET.
fn manifest() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .insert_header("Docker-Content-Digest", digest().to_string())
        .set_body_raw(MANIFEST, MediaType::OciManifest.as_str())
}

async fn mount(server: &MockServer, verb: &str, answer: ResponseTemplate, times: impl Into<Times>) {
    Mock::given(method(verb)).and(path(MANIFEST_PATH)).respond_with(answer).expect(times).mount(server).await;
}

async fn refused(answer: ResponseTemplate) -> ResolveError {
    let server = MockServer::start().await;
    Mock::given(path(MANIFEST_PATH)).respond_with(answer).mount(&server).await;
    client().resolve(&image(&server)).await.unwrap_err()
}

#[tokio::test]
async fn head_alone_gives_the_digest() {
    let server = MockServer::start().await;
    mount(&server, "HEAD", manifest(), 1).await;
    mount(&server, "GET", manifest(), 0).await;
    let resolved = client().resolve(&image(&server)).await.unwrap();
    assert_eq!((resolved.digest, resolved.media_type), (digest(), MediaType::OciManifest));
    let accept = server.received_requests().await.unwrap()[0].headers["accept"].to_str().unwrap().to_owned();
    for kind in [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ] {
        assert!(accept.contains(kind), "{kind} is not accepted");
    }
}

#[tokio::test]
async fn without_the_header_the_manifest_is_hashed() {
    for head in [
        ResponseTemplate::new(200).set_body_raw("", MediaType::DockerList.as_str()),
        ResponseTemplate::new(200).insert_header("Docker-Content-Digest", digest().to_string()),
        ResponseTemplate::new(405),
    ] {
        let server = MockServer::start().await;
        mount(&server, "HEAD", head, 1).await;
        let bare = ResponseTemplate::new(200).set_body_raw(MANIFEST, MediaType::OciManifest.as_str());
        mount(&server, "GET", bare, 1).await;
        assert_eq!(client().resolve(&image(&server)).await.unwrap().digest, digest());
    }
}

#[tokio::test]
async fn what_is_no_manifest_is_garbage() {
    let html = || ResponseTemplate::new(200).set_body_raw("<html>sign in</html>", "text/html; charset=utf-8");
    let other = || Digest::sha256_of(b"other").to_string();
    for (what, answer) in [
        ("a page", html()),
        ("a page with a digest", html().insert_header("Docker-Content-Digest", other())),
        ("a page for 404", ResponseTemplate::new(404).set_body_raw("<html>", "text/html")),
        ("a digest that is none", manifest().insert_header("Docker-Content-Digest", "sha256:nope")),
        ("a teapot", ResponseTemplate::new(418)),
        ("nothing", ResponseTemplate::new(204)),
    ] {
        let error = refused(answer).await;
        assert_eq!(error.kind(), "garbage", "{what}: {error}");
    }
}

#[tokio::test]
async fn content_that_has_another_digest_is_garbage() {
    let lying = || manifest().insert_header("Docker-Content-Digest", Digest::sha256_of(b"other").to_string());
    let server = MockServer::start().await;
    mount(&server, "HEAD", ResponseTemplate::new(405), 1).await;
    mount(&server, "GET", lying(), 1).await;
    let error = client().resolve(&image(&server)).await.unwrap_err();
    assert!(error.to_string().contains("the manifest's content is not sha256:"), "{error}");

    // Asked by digest, another digest in the header is no answer either.
    let server = MockServer::start().await;
    Mock::given(method("HEAD")).respond_with(lying()).mount(&server).await;
    let error = client().resolve(&image(&server).with_digest(digest())).await.unwrap_err();
    assert_eq!(error.kind(), "garbage", "{error}");
}

#[tokio::test]
async fn fetched_rubbish_is_garbage() {
    let long = "x".repeat(4 * 1024 * 1024 + 1);
    for (body, kind) in [
        ("not json", "application/vnd.oci.image.manifest.v1+json"),
        (r#"{"schemaVersion":1}"#, "application/vnd.oci.image.manifest.v1+json"),
        (r#"{"schemaVersion":2}"#, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (long.as_str(), "application/vnd.oci.image.manifest.v1+json"),
    ] {
        let server = MockServer::start().await;
        mount(&server, "HEAD", ResponseTemplate::new(405), 1).await;
        mount(&server, "GET", ResponseTemplate::new(200).set_body_raw(body, kind), 1).await;
        assert_eq!(client().resolve(&image(&server)).await.unwrap_err().kind(), "garbage");
    }
}

#[tokio::test]
async fn statuses_become_kinds() {
    assert_eq!(refused(ResponseTemplate::new(404)).await.kind(), "not_found");
    assert_eq!(refused(ResponseTemplate::new(403)).await.kind(), "denied");
    assert_eq!(refused(ResponseTemplate::new(401)).await.kind(), "denied");
    assert_eq!(refused(ResponseTemplate::new(500)).await.kind(), "unavailable");

    let limited = refused(ResponseTemplate::new(429).insert_header("Retry-After", "7")).await;
    assert_eq!((limited.kind(), limited.retry_after()), ("rate_limited", Some(Duration::from_secs(7))));
    let date = (jiff::Timestamp::now() + Duration::from_secs(600)).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let busy = refused(ResponseTemplate::new(503).insert_header("Retry-After", date)).await;
    assert_eq!(busy.kind(), "unavailable");
    assert!((590..=600).contains(&busy.retry_after().unwrap().as_secs()), "{busy}");
}

#[tokio::test]
async fn slow_and_absent_registries_are_unavailable() {
    let server = MockServer::start().await;
    mount(&server, "HEAD", manifest().set_delay(Duration::from_secs(10)), 2).await;
    let hasty = configured(|config| config.request_timeout = Duration::from_millis(200));
    let error = hasty.resolve(&image(&server)).await.unwrap_err();
    assert!(error.retry_helps() && error.to_string().contains("in time"), "{error}");

    let hasty = configured(|config| config.total_timeout = Duration::from_millis(200));
    assert_eq!(hasty.resolve(&image(&server)).await.unwrap_err().kind(), "unavailable");

    let error = client().resolve(&"127.0.0.1:1/org/app".parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("connecting failed"), "{error}");
}

#[tokio::test]
async fn addresses_of_this_machine_are_not_asked_unless_listed() {
    let strict = configured(|config| config.insecure_hosts.clear());
    for address in ["127.0.0.1:1/a/b", "[::1]:1/a/b", "169.254.169.254/a/b", "localhost:1/a/b"] {
        let error = strict.resolve(&address.parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("this machine"), "{address}: {error}");
    }
}

#[tokio::test]
async fn only_so_many_questions_at_once() {
    let server = MockServer::start().await;
    Mock::given(method("HEAD")).respond_with(manifest().set_delay(Duration::from_millis(150))).mount(&server).await;
    let narrow = configured(|config| config.in_flight_per_host = 1);
    let image = image(&server);
    let begun = std::time::Instant::now();
    let (a, b, c) = tokio::join!(narrow.resolve(&image), narrow.resolve(&image), narrow.resolve(&image));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(450), "they went in together");
}

/// A registry with a token service: `manifest` for the right token, else a challenge.
async fn with_tokens(server: &MockServer, realm: &str) {
    let challenge = format!(r#"Bearer realm="{realm}",service="the registry",scope="repository:org/app:pull""#);
    Mock::given(path(MANIFEST_PATH))
        .and(header("authorization", "Bearer good"))
        .respond_with(manifest())
        .with_priority(1)
        .mount(server)
        .await;
    Mock::given(path(MANIFEST_PATH))
        .respond_with(ResponseTemplate::new(401).insert_header("WWW-Authenticate", challenge))
        .mount(server)
        .await;
}

fn token(json: &'static str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(json, "application/json")
}

async fn count(server: &MockServer, at: &str) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests.iter().filter(|request| request.url.path() == at).count()
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_until_it_expires() {
    let server = MockServer::start().await;
    with_tokens(&server, &format!("{}/token", server.uri())).await;
    Mock::given(path("/token"))
        .and(query_param("service", "the registry"))
        .and(query_param("scope", "repository:org/app:pull"))
        .respond_with(token(r#"{"access_token": "good", "expires_in": 300}"#))
        .mount(&server)
        .await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(client.resolve(&image(&server)).await.unwrap().digest, digest());
    }
    assert_eq!((count(&server, "/token").await, count(&server, MANIFEST_PATH).await), (1, 4));
}

#[tokio::test]
async fn a_short_lived_token_is_not_kept() {
    let server = MockServer::start().await;
    with_tokens(&server, &format!("{}/token", server.uri())).await;
    Mock::given(path("/token")).respond_with(token(r#"{"token": "good", "expires_in": 2}"#)).mount(&server).await;
    let client = client();
    for _ in 0..2 {
        client.resolve(&image(&server)).await.unwrap();
    }
    assert_eq!(count(&server, "/token").await, 2);
}

/// Answers each time with the next token.
struct Tokens(std::sync::Mutex<Vec<&'static str>>);

impl Respond for Tokens {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        token(self.0.lock().unwrap().remove(0))
    }
}

#[tokio::test]
async fn a_stale_token_is_replaced_once() {
    let server = MockServer::start().await;
    with_tokens(&server, &format!("{}/token", server.uri())).await;
    // The first token never worked: granted less than asked. That is final for this question, not for the next.
    let tokens = [r#"{"token": "stale"}"#, r#"{"token": "good"}"#];
    Mock::given(path("/token")).respond_with(Tokens(tokens.to_vec().into())).mount(&server).await;
    let client = client();
    assert_eq!(client.resolve(&image(&server)).await.unwrap_err().kind(), "denied");
    assert_eq!(count(&server, MANIFEST_PATH).await, 2);
    // Now the kept token is refused, a new one is fetched, and the question succeeds.
    client.resolve(&image(&server)).await.unwrap();
    assert_eq!((count(&server, "/token").await, count(&server, MANIFEST_PATH).await), (2, 4));
}

#[tokio::test]
async fn trouble_at_the_token_service_is_named_as_such() {
    for (answer, kind) in [
        (ResponseTemplate::new(500), "unavailable"),
        (ResponseTemplate::new(429).insert_header("Retry-After", "9"), "rate_limited"),
        (ResponseTemplate::new(401), "denied"),
        (ResponseTemplate::new(404), "garbage"),
        (token("<html>"), "garbage"),
    ] {
        let server = MockServer::start().await;
        with_tokens(&server, &format!("{}/token", server.uri())).await;
        Mock::given(path("/token")).respond_with(answer).mount(&server).await;
        let error = client().resolve(&image(&server)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

fn account(key: &str, user: &str) -> String {
    format!(r#""{key}": {{"username": "{user}", "password": "hunter2"}}"#)
}

fn accounts(entries: &[String]) -> Credentials {
    Credentials::from_docker_config_json(format!(r#"{{"auths": {{{}}}}}"#, entries.join(",")).as_bytes()).unwrap()
}

#[tokio::test]
async fn accounts_go_to_the_token_service_most_specific_first() {
    let server = MockServer::start().await;
    with_tokens(&server, &format!("{}/token", server.uri())).await;
    // base64 of `robot:hunter2`.
    Mock::given(path("/token"))
        .and(header("authorization", "Basic cm9ib3Q6aHVudGVyMg=="))
        .respond_with(token(r#"{"token": "good"}"#))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(path("/token")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    let host = server.address().to_string();
    let two = [account(&host, "other"), account(&format!("{host}/org"), "robot")];
    client().with_credentials(accounts(&two)).resolve(&image(&server)).await.unwrap();
    assert_eq!(count(&server, "/token").await, 1);

    // A refused account is followed by the next.
    let swapped = [account(&host, "robot"), account(&format!("{host}/org"), "other")];
    let client = client().with_credentials(accounts(&swapped));
    client.resolve(&image(&server)).await.unwrap();
    assert!(!format!("{client:?}").contains("hunter2"));
}

#[tokio::test]
async fn accounts_never_share_tokens() {
    let server = MockServer::start().await;
    with_tokens(&server, &format!("{}/token", server.uri())).await;
    Mock::given(path("/token"))
        .and(header_exists("authorization"))
        .respond_with(token(r#"{"token": "good"}"#))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(path("/token")).respond_with(token(r#"{"token": "anonymous"}"#)).mount(&server).await;
    let anonymous = client();
    let known = anonymous.with_credentials(accounts(&[account(&server.address().to_string(), "me")]));
    known.resolve(&image(&server)).await.unwrap();
    assert_eq!(anonymous.resolve(&image(&server)).await.unwrap_err().kind(), "denied");
}

#[tokio::test]
async fn accounts_stay_with_the_hosts_they_belong_to() {
    let token_service = MockServer::start().await;
    Mock::given(path("/token")).respond_with(token(r#"{"token": "good"}"#)).mount(&token_service).await;
    let server = MockServer::start().await;
    let port = token_service.address().port();
    with_tokens(&server, &format!("http://localhost:{port}/token")).await;
    let both = || configured(|config| config.insecure_hosts.push("localhost".into()));

    // Without account the other host may be asked.
    both().resolve(&image(&server)).await.unwrap();
    let asked = count(&token_service, "/token").await;

    let mine = accounts(&[account(&server.address().to_string(), "me")]);
    let error = both().with_credentials(mine.clone()).resolve(&image(&server)).await.unwrap_err();
    assert!(error.to_string().contains("may not see our account"), "{error}");
    assert_eq!(count(&token_service, "/token").await, asked, "nothing was sent there");

    let paired = configured(|config| {
        config.insecure_hosts.push("localhost".into());
        config.token_hosts.push(("127.0.0.1".into(), "localhost".into()));
    });
    paired.with_credentials(mine).resolve(&image(&server)).await.unwrap();
}

#[tokio::test]
async fn a_realm_over_plain_http_elsewhere_is_refused() {
    for realm in [
        "http://registry.example/token",
        "http://169.254.169.254/token",
        "ftp://127.0.0.1/",
        "nonsense",
        "http://u:p@127.0.0.1/",
    ] {
        let server = MockServer::start().await;
        with_tokens(&server, realm).await;
        let error = client().resolve(&image(&server)).await.unwrap_err();
        assert!(!error.retry_helps(), "{realm}: {error}");
    }
}

#[tokio::test]
async fn basic_credentials_and_identity_tokens() {
    let server = MockServer::start().await;
    Mock::given(path(MANIFEST_PATH))
        .and(header("authorization", "Basic bWU6aHVudGVyMg=="))
        .respond_with(manifest())
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(path(MANIFEST_PATH))
        .respond_with(ResponseTemplate::new(401).insert_header("WWW-Authenticate", "Basic realm=\"r\""))
        .mount(&server)
        .await;
    let error = client().resolve(&image(&server)).await.unwrap_err();
    assert!(error.to_string().contains("user name and a password"), "{error}");
    let me = client().with_credentials(accounts(&[account(&server.address().to_string(), "me")]));
    me.resolve(&image(&server)).await.unwrap();
    let before = count(&server, MANIFEST_PATH).await;
    me.resolve(&image(&server)).await.unwrap();
    assert_eq!(count(&server, MANIFEST_PATH).await, before + 1, "the second question needs no refusal first");

    let server = MockServer::start().await;
    with_tokens(&server, &format!("{}/token", server.uri())).await;
    Mock::given(method("POST"))
        .and(path("/token"))
        .and(body_string_contains("grant_type=refresh_token"))
        .and(body_string_contains("refresh_token=long%2Blived"))
        .respond_with(token(r#"{"access_token": "good"}"#))
        .mount(&server)
        .await;
    let entry = format!(r#""{}": {{"identitytoken": "long+lived"}}"#, server.address());
    client().with_credentials(accounts(&[entry])).resolve(&image(&server)).await.unwrap();
}

#[tokio::test]
async fn redirects_lose_the_authorization_and_stay_where_we_may_go() {
    let store = MockServer::start().await;
    Mock::given(path("/elsewhere")).respond_with(manifest()).mount(&store).await;
    let server = MockServer::start().await;
    with_tokens(&server, &format!("{}/token", server.uri())).await;
    let entry = format!(r#""{}": {{"registrytoken": "secret"}}"#, server.address());
    let moved = ResponseTemplate::new(307).insert_header("Location", format!("{}/elsewhere", store.uri()));
    Mock::given(path(MANIFEST_PATH))
        .and(header("authorization", "Bearer secret"))
        .respond_with(moved)
        .with_priority(1)
        .mount(&server)
        .await;
    let client = client().with_credentials(accounts(&[entry]));
    assert_eq!(client.resolve(&image(&server)).await.unwrap().digest, digest());
    let seen = store.received_requests().await.unwrap();
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].headers.contains_key("authorization"), "the token left its host");

    for location in ["http://registry.example/x", "https://169.254.169.254/x", "http://localhost:1/x"] {
        let error = refused(ResponseTemplate::new(307).insert_header("Location", location)).await;
        assert_eq!(error.kind(), "garbage", "{location}: {error}");
    }
    let error = refused(ResponseTemplate::new(307).insert_header("Location", MANIFEST_PATH)).await;
    assert!(error.to_string().contains("too often"), "{error}");

    // A redirect target that asks for credentials gets none.
    let asking = MockServer::start().await;
    let challenge = ResponseTemplate::new(401).insert_header("WWW-Authenticate", "Basic realm=\"x\"");
    Mock::given(path("/ask")).respond_with(challenge).mount(&asking).await;
    let error = refused(ResponseTemplate::new(307).insert_header("Location", format!("{}/ask", asking.uri()))).await;
    assert!(error.to_string().contains("credentials of its own"), "{error}");
}

#[tokio::test]
async fn an_index_is_equal_to_its_children() {
    let child = Digest::sha256_of(b"amd64");
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"digest":"{child}","size":1}},{{"digest":"nonsense"}}]}}"#,
        MediaType::OciIndex.as_str()
    );
    let address = Digest::sha256_of(index.as_bytes());
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path(format!("/v2/org/app/manifests/{address}")))
        .respond_with(ResponseTemplate::new(200).set_body_raw(index, MediaType::OciIndex.as_str()))
        .expect(1)
        .mount(&server)
        .await;
    let client = client();
    for _ in 0..2 {
        let family = client.equivalents(&image(&server), &address).await.unwrap();
        assert_eq!(family, [address.clone(), child.clone()].into());
    }
    // Content that isn't what the digest says has no family.
    let wrong = Digest::sha256_of(b"wrong");
    Mock::given(method("GET"))
        .and(path(format!("/v2/org/app/manifests/{wrong}")))
        .respond_with(manifest())
        .mount(&server)
        .await;
    assert_eq!(client.equivalents(&image(&server), &wrong).await.unwrap_err().kind(), "garbage");
}

#[tokio::test]
async fn two_watchers_of_a_tag_are_one_stream_of_heads() {
    let server = MockServer::start().await;
    mount(&server, "HEAD", manifest(), 3..=12).await;
    let watcher = TagWatcher::new(Arc::new(client()), Duration::from_millis(100));
    let mut one = watcher.watch(&image(&server)).unwrap();
    let two = watcher.watch(&image(&server)).unwrap();
    one.changed().await.unwrap();
    assert_eq!(one.borrow().digest, Some(digest()));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(two.borrow().error.is_none());
    drop((one, two));
}

#[tokio::test]
async fn a_limited_watcher_waits_as_told() {
    let server = MockServer::start().await;
    mount(&server, "HEAD", ResponseTemplate::new(429).insert_header("Retry-After", "60"), 1).await;
    let watcher = TagWatcher::new(Arc::new(client()), Duration::from_millis(20));
    let mut seen = watcher.watch(&image(&server)).unwrap();
    seen.changed().await.unwrap();
    assert!(seen.borrow().error.is_some());
    tokio::time::sleep(Duration::from_millis(300)).await;
}
