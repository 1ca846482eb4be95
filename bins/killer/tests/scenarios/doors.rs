//! Nobody without credentials gets anything, and nothing is asked of the API server for him.

use crate::world::World;
use kube::ResourceExt;

const TOKEN: &str = "open-sesame";

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_nothing_is_asked_of_the_api_server() {
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\nthe-next-one")).unwrap();
    let world = World::start(&["--bearer-token-file", file.to_str().unwrap()]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    let body = crate::world::webhook(&[world.accusation(&pod.name_any())]);
    let before = world.requests().len();
    let ask = async |path: &str, header: Option<String>| {
        let url = format!("http://{}{path}", world.listen);
        let mut request = reqwest::Client::new().post(url).body(body.clone());
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        request.send().await.unwrap().status().as_u16()
    };
    for path in ["/kill", "/", "/alerts", "/metrics"] {
        for header in [None, Some("Bearer wrong".to_owned()), Some(format!("Basic {TOKEN}")), Some(String::new())] {
            assert_eq!(ask(path, header.clone()).await, 401, "{path} {header:?}");
        }
    }
    // An expired one: it was in the file, and is not any more.
    assert_eq!(ask("/", Some(format!("Bearer {TOKEN}"))).await, 404);
    std::fs::write(&file, "the-next-one").unwrap();
    world
        .until("the token has expired", async || ask("/kill-nothing", Some(format!("Bearer {TOKEN}"))).await == 401)
        .await;
    assert_eq!(ask("/kill", Some(format!("Bearer {TOKEN}"))).await, 401);
    assert_eq!(world.requests().len(), before, "{:?}", world.requests());
    assert_eq!(ask("/kill", Some("Bearer the-next-one".to_owned())).await, 200);
    world.until_endings(&["evicted"]).await;
    assert!(world.log().contains("token 1 of token"), "{}", world.log());
    assert!(!world.log().contains("the-next-one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_door_does_not_start() {
    let world = World::without_killer(&[]).await;
    let refused = |arguments: &[&str]| {
        let output = world.command().args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    assert!(refused(&listen).contains("no credentials"));
    let everywhere = ["--insecure", "--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0"];
    assert!(refused(&everywhere).contains("only serves loopback"));
}
