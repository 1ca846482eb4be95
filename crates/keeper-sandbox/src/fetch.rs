//! One HTTP/1.1 request over plain TCP: all that probes and image pulls need, without a TLS stack.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer. A retry may help with all but [`FetchError::Request`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("can't connect to {0}")]
    Connect(String, #[source] std::io::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("request can't be built")]
    Request(#[from] http::Error),
    #[error("connection broke")]
    Broken(#[from] hyper::Error),
    #[error("answer is longer than {0} bytes, or broke off")]
    Body(usize),
}

/// A GET request: to whom, for what, and the bounds.
pub(crate) struct Get<'a> {
    /// `host:port`, also sent as Host unless `headers` hold one.
    pub(crate) authority: &'a str,
    /// Path and query.
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Duration,
    /// The longest body, in bytes.
    pub(crate) limit: usize,
}

impl Get<'_> {
    pub(crate) async fn send(self) -> Result<Answer, FetchError> {
        let timeout = self.timeout;
        tokio::time::timeout(timeout, self.exchange()).await.unwrap_or(Err(FetchError::Timeout(timeout)))
    }

    async fn exchange(self) -> Result<Answer, FetchError> {
        let stream = TcpStream::connect(self.authority)
            .await
            .map_err(|error| FetchError::Connect(self.authority.to_owned(), error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder().method(Method::GET).uri(self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header(header::HOST, self.authority);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.header(header::CONNECTION, "close").body(Empty::<Bytes>::new())?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, self.limit).collect().await.map_err(|_| FetchError::Body(self.limit))?;
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        // The connection is driven here and not in a task, so that giving up closes it.
        tokio::pin!(connection);
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            ended = &mut connection => match ended {
                Ok(()) => exchange.await,
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// Whether a TCP connection to an address can be made in time.
pub(crate) async fn connects(address: SocketAddr, timeout: Duration) -> bool {
    matches!(tokio::time::timeout(timeout, TcpStream::connect(address)).await, Ok(Ok(_)))
}
