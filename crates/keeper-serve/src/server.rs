use crate::Limits;
use crate::connections::{Connections, Place};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a connection without a request may stay after a stop: its first request may be on its way.
const IDLE_AFTER_STOP: Duration = Duration::from_millis(250);
/// How long we read on after an early answer, so that a client still sending its body gets to see it.
const LINGER: Duration = Duration::from_secs(2);
/// The most that the head of a request may take.
const HEAD_BYTES: usize = 32 << 10;

const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 21\r\n\r\ntoo many connections\n";
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 26\r\n\r\nthe headers took too long\n";

/// Why a port is not served. A retry helps for [`Bind`](Self::Bind) when the port becomes free.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A door without credentials on an address that others can reach.
    #[error(
        "a door without credentials only serves loopback, not {address}: give it credentials, or listen on 127.0.0.1"
    )]
    OpenDoor {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The listener doesn't know its own address.
    #[error("the listener has no address: {0}")]
    NoAddress(#[source] io::Error),
}

/// What answers the requests of a port.
pub(crate) trait Respond: Send + Sync + 'static {
    /// Answers one request; marks its connection busy once the request is admitted.
    fn respond(self: Arc<Self>, request: Request<Incoming>, place: Arc<Place>) -> Responding;

    /// A connection found no place.
    fn turned_away(&self) {}
}

pub(crate) type Responding = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>;

/// Listens on an address.
///
/// # Errors
///
/// [`ServeError::Bind`].
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })
}

/// Serves until the stop, then lets what is under way finish.
pub(crate) async fn serve(listener: TcpListener, limits: Limits, respond: Arc<dyn Respond>, stop: CancellationToken) {
    let places = Connections::new(limits.connections);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match places.take() {
                    Some(place) => {
                        connections.spawn(connection(stream, limits, Arc::clone(&respond), place, stop.clone()));
                    }
                    None => turn_away(stream, respond.as_ref()),
                },
                Err(error) => {
                    // Out of file descriptors, mostly: trying again at once would burn a core.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.stop_timeout, finished).await.is_err() {
        tracing::warn!("requests were still under way at the end of the stop's time-out");
    }
}

fn turn_away(stream: TcpStream, respond: &dyn Respond) {
    respond.turned_away();
    // The socket is fresh, so its buffer takes these bytes without waiting; if not, closing says enough.
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(TOO_MANY);
    }
}

async fn connection(
    stream: TcpStream,
    limits: Limits,
    respond: Arc<dyn Respond>,
    place: Place,
    stop: CancellationToken,
) {
    let place = Arc::new(place);
    let serving = Arc::clone(&place);
    let service = service_fn(move |request| {
        let responding = Arc::clone(&respond).respond(request, Arc::clone(&serving));
        Box::pin(async move { Ok::<_, Infallible>(responding.await) })
            as Pin<Box<dyn Future<Output = Result<_, _>> + Send>>
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut stopping = false;
    let served = loop {
        tokio::select! {
            served = poll_fn(|context| connection.poll_without_shutdown(context)) => break served,
            () = place.evicted() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            () = tokio::time::sleep(IDLE_AFTER_STOP), if stopping => {
                if !place.is_busy() {
                    return;
                }
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    if let Err(error) = served {
        let half_a_head = error.is_timeout() && !parts.read_buf.is_empty();
        if !half_a_head || stream.write_all(TOO_SLOW).await.is_err() {
            return;
        }
    }
    tokio::select! {
        () = place.evicted() => {}
        () = stop.cancelled() => {}
        () = linger(stream) => {}
    }
}

/// Reads on for a while after our last word. Closing with unread bytes resets the connection, and the reset overtakes
/// the answer: a client with a body too large would see a broken pipe instead of the 413.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        let mut sink = [0; 4096];
        while matches!(stream.read(&mut sink).await, Ok(1..)) {}
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}
