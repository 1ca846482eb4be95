use crate::Limits;
use crate::connections::{Connections, Place};
use crate::tls::{Tls, fingerprint};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
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
    /// Client certificates are to be credentials without TLS that says whose count, or the other way round.
    #[error("client certificates are credentials only together with TLS and the authorities that sign them")]
    NoClientAuthority,
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
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    respond: Arc<dyn Respond>,
    stop: CancellationToken,
) {
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
                        let config = tls.as_ref().map(|tls| tls.config());
                        connections.spawn(accept(stream, config, limits, Arc::clone(&respond), place, stop.clone()));
                    }
                    None => turn_away(stream, tls.is_none(), respond.as_ref()),
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

fn turn_away(stream: TcpStream, plain: bool, respond: &dyn Respond) {
    respond.turned_away();
    // The socket is fresh, so its buffer takes these bytes without waiting; if not, closing says enough.
    if let (true, Ok(mut stream)) = (plain, stream.into_std()) {
        let _ = stream.write(TOO_MANY);
    }
}

/// Who is at the other end of a connection: in the extensions of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The fingerprint of the certificate that was shown, signed by an authority of ours and not expired.
    pub(crate) certificate: String,
}

/// The handshake, where there is one, and the connection.
async fn accept(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    limits: Limits,
    respond: Arc<dyn Respond>,
    place: Place,
    stop: CancellationToken,
) {
    let Some(config) = tls else { return connection(stream, None, limits, respond, place, stop).await };
    let handshake = tokio::time::timeout(limits.header_timeout, TlsAcceptor::from(config).accept(stream));
    let stream = tokio::select! {
        () = place.evicted() => return,
        shaken = handshake => match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return,
        },
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = shown.map(|certificate| Peer { certificate: fingerprint(certificate) });
    connection(stream, peer, limits, respond, place, stop).await;
}

async fn connection<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    peer: Option<Peer>,
    limits: Limits,
    respond: Arc<dyn Respond>,
    place: Place,
    stop: CancellationToken,
) {
    let place = Arc::new(place);
    let serving = Arc::clone(&place);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
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
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        let mut sink = [0; 4096];
        while matches!(stream.read(&mut sink).await, Ok(1..)) {}
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}
