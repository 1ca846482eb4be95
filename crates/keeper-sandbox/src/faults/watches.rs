//! The stream of a watch on its way through the proxy: passed on, held back or cut.

use std::future::pending;

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body as UpstreamBody;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::rules::{Fault, FaultHandle, RequestInfo};

/// Any error of a body that is passed on.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// The body of an answer.
pub(crate) type ProxyBody = UnsyncBoxBody<Bytes, BodyError>;

/// Frames waiting for a slow client.
const BACKLOG: usize = 64;

/// Passes a watch's stream on, under the faults that hold for it at any moment.
pub(crate) fn pass_on(
    from: UpstreamBody,
    request: RequestInfo,
    fault: Option<&Fault>,
    faults: &FaultHandle,
) -> ProxyBody {
    let (to, receiver) = mpsc::channel(BACKLOG);
    let started = Instant::now();
    let freeze_at = match fault {
        Some(Fault::FreezeWatch(after)) => Some(started + *after),
        _ => None,
    };
    let cut_at = match fault {
        Some(Fault::CutWatch(after)) => Some(started + *after),
        _ => None,
    };
    tokio::spawn(run(from, to, request, freeze_at, cut_at, faults.clone()));
    let next = |mut receiver: mpsc::Receiver<Result<Frame<Bytes>, BodyError>>| async move {
        receiver.recv().await.map(|frame| (frame, receiver))
    };
    StreamBody::new(stream::unfold(receiver, next)).boxed_unsync()
}

async fn run(
    mut from: UpstreamBody,
    to: mpsc::Sender<Result<Frame<Bytes>, BodyError>>,
    request: RequestInfo,
    freeze_at: Option<Instant>,
    cut_at: Option<Instant>,
    faults: FaultHandle,
) {
    let mut frozen = faults.frozen();
    let mut cuts = faults.cuts();
    let at = |when: Option<Instant>| async move {
        match when {
            Some(when) => sleep_until(when).await,
            None => pending().await,
        }
    };
    let mut for_good = false;
    loop {
        let held = for_good || frozen.borrow_and_update().iter().any(|(_, matcher)| matcher.matches(&request));
        tokio::select! {
            () = to.closed() => return,
            () = at(cut_at) => {
                // An error in the middle of the body closes the connection, as a dying server does.
                let _ = to.send(Err("the watch was cut".into())).await;
                return;
            }
            () = at(freeze_at), if !for_good => for_good = true,
            changed = frozen.changed() => if changed.is_err() { return },
            cut = cuts.recv() => {
                if cut.is_ok_and(|matcher| matcher.matches(&request)) {
                    let _ = to.send(Err("the watch was cut".into())).await;
                    return;
                }
            }
            frame = from.frame(), if !held => match frame {
                Some(frame) => {
                    if to.send(frame.map_err(Into::into)).await.is_err() {
                        return;
                    }
                }
                None => return,
            },
        }
    }
}
