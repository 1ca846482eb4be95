//! Good releases, bad ones, and what the API server saw of them.

use crate::world::{Start, creations, promotions};

#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_is_promoted_by_digest_in_one_patch() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 3, &[]).await;
    world.start_operator();
    world.operator_ready().await;
    let before = world.proxy.requests().total();
    let new = world.push("2", &[]);
    world.until_promoted(&new).await;

    let requests = world.requests();
    assert_eq!(promotions(&requests).len(), 1, "{}", world.report().await);
    assert_eq!(creations(&requests).len(), 1);
    let tests = promotions(&requests)[0].body.as_ref().unwrap().to_string();
    for tested in ["/metadata/uid", "/metadata/resourceVersion"] {
        assert!(tests.contains(tested), "{tests}");
    }
    println!("API requests of one release: {:#?}", world.counts(before));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_exits_is_rejected() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 3, &[]).await;
    world.start_operator();
    let new = world.push("2", &[("exit-after", "500ms")]);
    world.until_rejected(&new, &old).await;
    assert_eq!(promotions(&world.requests()).len(), 0);
}
