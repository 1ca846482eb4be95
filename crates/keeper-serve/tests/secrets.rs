//! Secrets stay in their files: everything this crate says, at the finest log level, is searched for them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{TOKEN, USER, basic, bearer, door, short, write};
use keeper_serve::{AuthOptions, Authenticator, Door};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::filter::LevelFilter;

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, said: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(said);
        Ok(said.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_ever_said() {
    let heard = Heard::default();
    let writer = heard.clone();
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || writer.clone()).init();
    let folder = tempfile::tempdir().unwrap();
    let door = door(folder.path(), short()).await;
    let mut said = String::new();
    for headers in [bearer(TOKEN), basic(USER), bearer("wr0ng-s3cr3t"), basic("wr0ng:s3cr3t")] {
        said += &door.post("/alerts", &headers, "s3cr3t body").await;
        said += &door.post("/alerts", &headers, "panic").await;
        said += &door.post("/s3", &headers, "panic").await;
    }
    // A rotation to something unusable: the error names the line and does not quote it.
    write(&folder.path().join("tokens"), "s3cr3t with spaces");
    tokio::time::sleep(Duration::from_millis(80)).await;
    said += &door.admitted("{}").await;
    let unusable = vec![write(&folder.path().join("users"), "s3cr3t-without-colon")];
    let error = Authenticator::new(AuthOptions { basic_auth_files: unusable, ..AuthOptions::default() }).unwrap_err();
    said += &format!("{error} {error:?}");
    let tokens = vec![write(&folder.path().join("more"), TOKEN)];
    let auth = Authenticator::new(AuthOptions { bearer_token_files: tokens, ..AuthOptions::default() }).unwrap();
    said += &format!("{auth:?}");
    said += &format!("{:?}", Door::new(auth, short()));
    said += &String::from_utf8_lossy(&heard.0.lock().unwrap());

    assert!(said.contains("without accepted credentials was refused"), "the log was heard");
    assert!(said.contains("keeping the credentials read before"), "the log was heard");
    let (_, of_token) = basic(USER).trim().rsplit_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    for secret in ["s3cr3t", &of_token] {
        let found: Vec<&str> = said.lines().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{secret} was said: {found:#?}");
    }
}
