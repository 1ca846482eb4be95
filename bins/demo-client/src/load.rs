//! Connections and the pace of requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use url::Url;

use crate::tally::Tally;

/// Where the requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Host and port to connect to.
    address: String,
    host: HeaderValue,
    path: Uri,
}

impl Target {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if url.scheme() != "http" {
            return Err("only http is spoken here".to_owned());
        }
        let host = url.host_str().ok_or("no host")?;
        let address = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            host: HeaderValue::from_str(&address).map_err(|error| error.to_string())?,
            path: path.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?,
            address,
        })
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.path.clone();
        request.headers_mut().insert(header::HOST, self.host.clone());
        request
    }
}

/// A load to put on a target.
pub(crate) struct Load {
    pub(crate) target: Target,
    pub(crate) rate: f64,
    pub(crate) connections: u32,
    pub(crate) per_connection: u32,
    pub(crate) timeout: Duration,
    pub(crate) duration: Option<Duration>,
}

impl Load {
    /// Runs until the duration is over and every request that was due has ended.
    pub(crate) async fn run(self, tally: Arc<Tally>) {
        let load = Arc::new(self);
        let pace = Arc::new(Pace { start: Instant::now(), next: AtomicU64::new(0) });
        let mut workers = JoinSet::new();
        for _ in 0..load.connections {
            workers.spawn(Arc::clone(&load).work(Arc::clone(&pace), Arc::clone(&tally)));
        }
        while workers.join_next().await.is_some() {}
    }

    /// Takes the next request that is due, again and again, over one connection at a time.
    async fn work(self: Arc<Self>, pace: Arc<Pace>, tally: Arc<Tally>) {
        let mut connection = None;
        while let Some(due) = pace.next(self.rate, self.duration) {
            sleep_until(due).await;
            match timeout(self.timeout, self.one(&mut connection, &tally)).await {
                Ok(Ok(code)) => tally.answer(code),
                Ok(Err(failure)) => {
                    connection = None;
                    tally.failure(failure);
                }
                Err(_) => {
                    connection = None;
                    tally.failure("timeout");
                }
            }
        }
    }

    async fn one(&self, connection: &mut Option<Connection>, tally: &Tally) -> Result<u16, &'static str> {
        if let Some(mut open) = connection.take() {
            match open.ask(&self.target).await {
                Ok(code) => {
                    *connection = open.unless_done(self.per_connection);
                    return Ok(code);
                }
                // The server closed the connection between two requests, as it may: that cost nobody an answer.
                Err(error) if error.is_canceled() || error.is_closed() || error.is_incomplete_message() => {
                    tally.reconnect();
                }
                Err(error) => return Err(name(&error)),
            }
        }
        let mut fresh = Connection::open(&self.target).await?;
        let code = fresh.ask(&self.target).await.map_err(|error| name(&error))?;
        *connection = fresh.unless_done(self.per_connection);
        Ok(code)
    }
}

/// When requests are due. Whoever is free takes the next one; one that is overdue is sent at once.
struct Pace {
    start: Instant,
    next: AtomicU64,
}

impl Pace {
    fn next(&self, rate: f64, duration: Option<Duration>) -> Option<Instant> {
        #[allow(clippy::cast_precision_loss, reason = "a count of requests stays far below 2^52")]
        let offset = Duration::from_secs_f64(self.next.fetch_add(1, Ordering::Relaxed) as f64 / rate);
        duration.is_none_or(|duration| offset < duration).then(|| self.start + offset)
    }
}

struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
    asked: u32,
    closing: bool,
}

impl Connection {
    async fn open(target: &Target) -> Result<Self, &'static str> {
        let stream = TcpStream::connect(&target.address).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "refused",
            _ => "not connected",
        })?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| name(&error))?;
        let driver = tokio::spawn(async move {
            // What went wrong is told to whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self { sender, driver, asked: 0, closing: false })
    }

    async fn ask(&mut self, target: &Target) -> hyper::Result<u16> {
        self.sender.ready().await?;
        let response = self.sender.send_request(target.request()).await?;
        let code = response.status().as_u16();
        self.closing = response
            .headers()
            .get(header::CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        self.asked += 1;
        Ok(code)
    }

    fn unless_done(self, per_connection: u32) -> Option<Self> {
        (self.asked < per_connection && !self.closing).then_some(self)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn name(error: &hyper::Error) -> &'static str {
    if error.is_incomplete_message() {
        "closed without an answer"
    } else if error.is_parse() {
        "no HTTP"
    } else {
        "broken connection"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_plain_http_address() {
        let target = Target::parse("http://127.2.128.1/a?b=c").unwrap();
        assert_eq!((target.address.as_str(), target.path.to_string().as_str()), ("127.2.128.1:80", "/a?b=c"));
        assert!(Target::parse("https://127.0.0.1/").is_err());
        assert!(Target::parse("nonsense").is_err());
    }

    #[tokio::test]
    async fn requests_are_due_at_a_steady_rate_until_the_end() {
        let pace = Pace { start: Instant::now(), next: AtomicU64::new(0) };
        let due: Vec<u128> = std::iter::from_fn(|| pace.next(4.0, Some(Duration::from_secs(1))))
            .map(|due| due.duration_since(pace.start).as_millis())
            .collect();
        assert_eq!(due, [0, 250, 500, 750]);
    }
}
