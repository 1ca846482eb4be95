//! Reads the counters straight from a pod, over plain HTTP.

use crate::exposition::{self, BYTES_LIMIT, Exposition, ExpositionError};
use crate::{Reading, Scrape, ScrapeError, Scraping, SettingsError};
use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use keeper_signal::Pod;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// The gauge by which programs say when they started.
const PROCESS_START: &str = "process_start_time_seconds";

/// Reads `http://<pod's address>:<port><path>`. One connection per reading, no proxy, no redirects, no compression; at
/// most 1 MiB of body.
#[derive(Clone, Debug)]
pub struct DirectScrape {
    port: u16,
    path: PathAndQuery,
    timeout: Duration,
}

impl DirectScrape {
    /// A reader for this port and path (`/metrics`), with a time-out for one whole reading (2 s is a good one).
    ///
    /// # Errors
    ///
    /// When the port is 0, the path is no absolute path, or the time-out is zero.
    pub fn new(port: u16, path: &str, timeout: Duration) -> Result<Self, SettingsError> {
        if port == 0 {
            return Err(SettingsError::Port);
        }
        if timeout.is_zero() {
            return Err(SettingsError::Timeout);
        }
        let path = PathAndQuery::try_from(path).ok().filter(|_| path.starts_with('/')).ok_or(SettingsError::Path)?;
        Ok(Self { port, path, timeout })
    }

    async fn read(&self, pod: &Pod, metric: &str, at: Timestamp) -> Result<Reading, ScrapeError> {
        let address = SocketAddr::new(pod.address.ok_or(ScrapeError::NoAddress)?, self.port);
        let fetched = tokio::time::timeout(self.timeout, self.fetch(address)).await;
        let timed_out = |_| ScrapeError::TimedOut { address: self.shown(address), timeout: self.timeout };
        let body = fetched.map_err(timed_out)??;
        // OpenMetrics describes a counter without the suffix that its samples carry.
        let family = metric.strip_suffix("_total").unwrap_or(metric);
        let wanted = |name: &str| name == metric || name == family || name == PROCESS_START;
        let read = exposition::parse(&body, wanted).map_err(|source| self.garbage(address, source))?;
        Ok(reading(read, metric, family, at))
    }

    async fn fetch(&self, address: SocketAddr) -> Result<Bytes, ScrapeError> {
        let shown = || self.shown(address);
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|source| ScrapeError::Connect { address: shown(), source })?;
        let response = self.ask(stream, address).await.map_err(|source| self.broken(address, source))?;
        if response.status() != StatusCode::OK {
            return Err(ScrapeError::Status { address: shown(), status: response.status().as_u16() });
        }
        match Limited::new(response.into_body(), BYTES_LIMIT).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(self.garbage(address, ExpositionError::TooLarge)),
            Err(source) => Err(self.broken(address, source)),
        }
    }

    async fn ask(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the answer's body, or as soon as the answer is dropped.
        tokio::spawn(connection);
        let request = Request::get(self.path.as_str())
            .header(HOST, address.to_string())
            .header(ACCEPT, "text/plain;version=0.0.4, */*;q=0.1")
            .header(USER_AGENT, "canary-keeper")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())?;
        Ok(sender.send_request(request).await?)
    }

    fn shown(&self, address: SocketAddr) -> String {
        format!("http://{address}{}", self.path)
    }

    fn garbage(&self, address: SocketAddr, source: ExpositionError) -> ScrapeError {
        ScrapeError::Exposition { address: self.shown(address), source }
    }

    fn broken(&self, address: SocketAddr, source: Box<dyn std::error::Error + Send + Sync>) -> ScrapeError {
        ScrapeError::Broken { address: self.shown(address), source }
    }
}

impl Scrape for DirectScrape {
    fn scrape<'a>(&'a self, pod: &'a Pod, metric: &'a str, at: Timestamp) -> Scraping<'a> {
        Box::pin(self.read(pod, metric, at))
    }
}

fn reading(read: Exposition, metric: &str, family: &str, at: Timestamp) -> Reading {
    // Several starts are those of several processes behind one port: none of them is the counter's.
    let mut starts =
        read.samples.iter().filter(|sample| sample.series.name == PROCESS_START).map(|sample| sample.value);
    let process_start = starts.next().filter(|start| start.is_finite() && starts.next().is_none());
    let described = read.families.contains(metric) || read.families.contains(family);
    let samples: Vec<_> = read.samples.into_iter().filter(|sample| sample.series.name == metric).collect();
    Reading { at, exposed: described || !samples.is_empty(), samples, process_start }
}
