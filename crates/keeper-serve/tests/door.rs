//! The door from outside, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{TOKEN, USER, basic, bearer, door, read, short, status, write};
use keeper_serve::{AuthError, AuthOptions, Authenticator, Door, ServeError};
use prometheus_client::encoding::text::encode;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn every_route_asks_for_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let door = door(folder.path(), short()).await;
    let wrong = [
        String::new(),
        bearer("wrong"),
        bearer(""),
        bearer(&TOKEN[..TOKEN.len() - 1]),
        bearer(USER),
        basic("alertmanager:wrong"),
        basic(TOKEN),
        "authorization: Basic not-base64!\r\n".to_owned(),
        format!("authorization: {TOKEN}\r\n"),
        format!("authorization: Digest {TOKEN}\r\n"),
        format!("{}{}", bearer(TOKEN), bearer(TOKEN)),
    ];
    for path in ["/alerts", "/kill", "/no-such-route"] {
        for headers in &wrong {
            let answer = door.post(path, headers, "{}").await;
            assert_eq!(status(&answer), 401, "{path} with {headers:?}");
            assert!(answer.contains("www-authenticate: Bearer realm="), "{answer}");
            assert!(answer.contains("Basic realm="), "{answer}");
        }
    }
    assert_eq!(door.got(), 0);
    for path in ["/alerts", "/kill"] {
        assert_eq!(status(&door.post(path, &bearer(TOKEN), "{}").await), 200);
        assert_eq!(status(&door.post(path, &basic(USER), "{}").await), 200);
        assert_eq!(status(&door.post(path, &format!("authorization: bearer   {TOKEN}\r\n"), "{}").await), 200);
    }
    assert_eq!(door.got(), 6);
    assert_eq!(status(&door.post("/no-such-route", &bearer(TOKEN), "{}").await), 404);
}

#[tokio::test]
async fn what_a_receiver_says_is_what_the_client_hears() {
    let folder = tempfile::tempdir().unwrap();
    let door = door(folder.path(), short()).await;
    assert_eq!(status(&door.admitted("{}").await), 200);
    let garbage = door.admitted("garbage").await;
    assert_eq!((status(&garbage), garbage.contains("expected something else")), (400, true));
    let later = door.admitted("later").await;
    assert_eq!((status(&later), later.contains("the store is away")), (503, true));
    assert_eq!(status(&door.admitted("panic").await), 503);
    assert_eq!(status(&door.admitted("hang").await), 503);
    assert_eq!(status(&door.admitted("{}").await), 200, "the door goes on after all that");
}

#[tokio::test]
async fn only_plain_posts_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let door = door(folder.path(), short()).await;
    let get =
        door.talk(&format!("GET /alerts HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}\r\n", bearer(TOKEN))).await;
    assert_eq!((status(&get), get.contains("allow: POST")), (405, true));
    let zipped = door.post("/alerts", &format!("{}content-encoding: gzip\r\n", bearer(TOKEN)), "{}").await;
    assert_eq!(status(&zipped), 415);
    let plain = door.post("/alerts", &format!("{}content-encoding: identity\r\n", bearer(TOKEN)), "{}").await;
    assert_eq!(status(&plain), 200);
}

#[tokio::test]
async fn a_body_too_large_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let door = door(folder.path(), short()).await;
    // No byte of the body is ever sent or asked for (a first status of 100 would be): the answers come from the headers
    // alone, credentials first.
    let announce = |headers: &str| {
        format!("POST /alerts HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\nexpect: 100-continue\r\n{headers}\r\n")
    };
    assert_eq!(status(&door.talk(&announce("")).await), 401);
    assert_eq!(status(&door.talk(&announce(&bearer("wrong"))).await), 401);
    assert_eq!(status(&door.talk(&announce(&bearer(TOKEN))).await), 413);
    // Exactly the cap is taken; one more is not, also when it comes in chunks without being announced.
    assert_eq!(status(&door.admitted(&"x".repeat(1000)).await), 200);
    assert_eq!(status(&door.admitted(&"x".repeat(1001)).await), 413);
    let chunk = "x".repeat(600);
    let chunks = format!("258\r\n{chunk}\r\n258\r\n{chunk}\r\n0\r\n\r\n");
    let chunked = format!(
        "POST /alerts HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n{}\r\n{chunks}",
        bearer(TOKEN)
    );
    assert_eq!(status(&door.talk(&chunked).await), 413);
    assert_eq!(door.got(), 1);
}

#[tokio::test]
async fn a_client_that_is_still_sending_sees_the_413() {
    let folder = tempfile::tempdir().unwrap();
    let door = door(folder.path(), short()).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let head = format!("POST /alerts HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000\r\n{}\r\n", bearer(TOKEN));
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..8 {
        stream.write_all(&vec![b'x'; 1_000_000]).await.expect("no reset while sending");
    }
    assert_eq!(status(&read(&mut stream).await), 413);
}

#[tokio::test]
async fn slow_clients_time_out() {
    let folder = tempfile::tempdir().unwrap();
    let door = door(folder.path(), short()).await;
    // `talk` waits two seconds for an answer, far longer than the door's 300 ms.
    assert_eq!(status(&door.talk("POST /alerts HTTP/1.1\r\nhost: x\r\n").await), 408, "half a head");
    let half = format!("POST /alerts HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n{}\r\nhalf", bearer(TOKEN));
    assert_eq!(status(&door.talk(&half).await), 408, "half a body");
    // One byte after the other does not stretch the time-out.
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let head = format!("POST /alerts HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n{}\r\n", bearer(TOKEN));
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = stream.write_all(b"x").await;
    }
    assert_eq!(status(&read(&mut stream).await), 408);
    assert_eq!(door.got(), 0);
}

#[tokio::test]
async fn idle_connections_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let limits = keeper_serve::Limits { header_timeout: Duration::from_secs(60), ..short() };
    let door = door(folder.path(), limits).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(door.address).await.unwrap());
    }
    assert_eq!(status(&door.admitted("{}").await), 200);
}

#[tokio::test]
async fn more_admitted_requests_than_places_are_told_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let limits = keeper_serve::Limits { connections: 2, ..short() };
    let door = door(folder.path(), limits).await;
    let (first, second, third) = tokio::join!(door.admitted("slow"), door.admitted("slow"), async {
        door.until(2).await;
        door.talk("").await
    });
    assert_eq!((status(&first), status(&second), status(&third)), (200, 200, 503));
    let mut shown = String::new();
    encode(&mut shown, &door.registry).unwrap();
    assert!(shown.contains("keeper_door_connections_turned_away_total 1"), "{shown}");
}

#[tokio::test]
async fn tokens_rotate_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let door = door(folder.path(), short()).await;
    let file = folder.path().join("tokens");
    let says = async |token: &str| {
        tokio::time::sleep(Duration::from_millis(80)).await;
        status(&door.post("/alerts", &bearer(token), "{}").await)
    };
    assert_eq!((says(TOKEN).await, says("next").await), (200, 401));
    write(&file, &format!("{TOKEN}\nnext\n"));
    assert_eq!((says(TOKEN).await, says("next").await), (200, 200), "both during the rotation");
    write(&file, "next\n");
    assert_eq!((says(TOKEN).await, says("next").await), (401, 200));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(says("next").await, 200, "a file that is gone for a moment shuts nobody out");
    write(&file, "\n");
    assert_eq!((says(TOKEN).await, says("next").await, says("").await), (401, 401, 401), "no token, no entry");
}

#[tokio::test]
async fn a_stop_lets_requests_under_way_finish() {
    let folder = tempfile::tempdir().unwrap();
    let door = door(folder.path(), short()).await;
    let _idle = TcpStream::connect(door.address).await.unwrap();
    let (answer, ()) = tokio::join!(door.admitted("slow"), async {
        door.until(1).await;
        door.stop.cancel();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(TcpStream::connect(door.address).await.is_err(), "no new connection after the stop");
    });
    assert_eq!(status(&answer), 200);
    let finished = tokio::time::timeout(Duration::from_millis(1200), door.serving);
    finished.await.expect("nothing is left to wait for").unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let limits = keeper_serve::Limits { answer_timeout: Duration::from_secs(60), ..short() };
    let door = door(folder.path(), limits).await;
    let began = Instant::now();
    let hanging = door.admitted("hang");
    let stopping = async {
        door.until(1).await;
        door.stop.cancel();
    };
    tokio::join!(hanging, stopping);
    tokio::time::timeout(Duration::from_secs(1), door.serving).await.expect("bounded").unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn an_open_door_does_not_open() {
    assert!(matches!(Authenticator::new(AuthOptions::default()), Err(AuthError::Open)));
    let folder = tempfile::tempdir().unwrap();
    let tokens = write(&folder.path().join("tokens"), TOKEN);
    let both = AuthOptions { insecure: true, bearer_token_files: vec![tokens], ..AuthOptions::default() };
    assert!(matches!(Authenticator::new(both), Err(AuthError::Contradiction)));

    let insecure = || Authenticator::new(AuthOptions { insecure: true, ..AuthOptions::default() }).unwrap();
    let everywhere = keeper_serve::listen("0.0.0.0:0".parse().unwrap()).await.unwrap();
    let refused = Door::new(insecure(), short()).serve(everywhere, CancellationToken::new()).await;
    assert!(matches!(refused, Err(ServeError::OpenDoor { .. })), "{refused:?}");

    let stop = CancellationToken::new();
    stop.cancel();
    let loopback = keeper_serve::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    Door::new(insecure(), short()).serve(loopback, stop).await.unwrap();
}

#[test]
fn files_that_are_no_credentials_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bearer = |text: &str| {
        let file = write(&folder.path().join("tokens"), text);
        Authenticator::new(AuthOptions { bearer_token_files: vec![file], ..AuthOptions::default() })
    };
    let basic = |text: &str| {
        let file = write(&folder.path().join("users"), text);
        Authenticator::new(AuthOptions { basic_auth_files: vec![file], ..AuthOptions::default() })
    };
    assert!(bearer("one\n\ntwo\n").is_ok());
    assert!(matches!(bearer("\n \n"), Err(AuthError::NoSecret { .. })));
    assert!(matches!(bearer("fine\nwith a space\n"), Err(AuthError::BadLine { line: 2, .. })));
    assert!(matches!(bearer(&"x\n".repeat(65)), Err(AuthError::BadLine { line: 65, .. })));
    assert!(matches!(bearer(&"x".repeat(70_000)), Err(AuthError::Unreadable { .. })));
    assert!(basic("user:pass:word\n").is_ok());
    for bad in ["user", ":password", "user:"] {
        assert!(matches!(basic(bad), Err(AuthError::BadLine { line: 1, .. })), "{bad}");
    }
    let missing = AuthOptions { basic_auth_files: vec![folder.path().join("none")], ..AuthOptions::default() };
    assert!(matches!(Authenticator::new(missing), Err(AuthError::Unreadable { .. })));
}

#[tokio::test]
async fn the_door_counts_by_route_and_code() {
    let folder = tempfile::tempdir().unwrap();
    let door = door(folder.path(), short()).await;
    door.admitted("{}").await;
    door.admitted("garbage").await;
    door.admitted(&"x".repeat(2000)).await;
    door.post("/made/up/by/a/stranger", "", "{}").await;
    let mut shown = String::new();
    encode(&mut shown, &door.registry).unwrap();
    for line in [
        r#"keeper_door_requests_total{route="/alerts",code="200"} 1"#,
        r#"keeper_door_requests_total{route="/alerts",code="400"} 1"#,
        r#"keeper_door_requests_total{route="/alerts",code="413"} 1"#,
        r#"keeper_door_requests_total{route="other",code="401"} 1"#,
        "keeper_door_refused_credentials_total 1",
        "keeper_door_bodies_too_large_total 1",
    ] {
        assert!(shown.contains(line), "{line} is missing in\n{shown}");
    }
    assert!(!shown.contains("stranger"));
}
