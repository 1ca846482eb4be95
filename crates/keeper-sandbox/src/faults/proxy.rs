//! The proxy itself: a listener, the rules, and the upstream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use kube::client::{Body as UpstreamBody, Client};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::FaultError;
use super::rules::{Fault, FaultHandle, RequestInfo, Verdict};
use super::upstream::Upstream;
use super::watches::{BodyError, ProxyBody, pass_on};
use crate::api::{RequestLog, RequestRecord};

/// Settings of a fault proxy.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// The server behind it.
    pub upstream: Upstream,
    /// Where to listen. Default a free port of loopback; there is no authentication.
    pub listen: SocketAddr,
    /// Where chance starts. Default 0.
    pub seed: u64,
    /// Requests kept in the log. Default 100 000.
    pub request_log: usize,
}

impl ProxyConfig {
    /// The defaults, in front of `upstream`.
    #[must_use]
    pub fn new(upstream: Upstream) -> Self {
        Self { upstream, listen: SocketAddr::from(([127, 0, 0, 1], 0)), seed: 0, request_log: 100_000 }
    }
}

/// A running proxy. See the [module](super).
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

struct Shared {
    upstream: Client,
    faults: FaultHandle,
    log: RequestLog,
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer was dropped on purpose")]
struct Dropped;

/// A larger request body is refused.
const MAX_BODY: usize = 8 * 1024 * 1024;

impl FaultProxy {
    /// Starts a proxy without any rule: it passes everything on.
    ///
    /// # Errors
    /// The upstream can't be used or the address can't be listened on.
    pub async fn serve(config: ProxyConfig) -> Result<Self, FaultError> {
        let upstream = config.upstream.client().await?;
        let unusable = |source| FaultError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let shared = Arc::new(Shared {
            upstream,
            faults: FaultHandle::new(config.seed),
            log: RequestLog::new(config.request_log.max(1), None),
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), stop.clone()));
        Ok(Self { shared, address, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig for its clients, as JSON, which is YAML. It has no credentials: those are the proxy's.
    #[must_use]
    pub fn kubeconfig(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{ "name": "proxy", "cluster": { "server": self.url() } }],
            "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy" } }],
            "users": [{ "name": "proxy", "user": {} }],
        })
    }

    /// Adds and removes faults.
    #[must_use]
    pub fn faults(&self) -> FaultHandle {
        self.shared.faults.clone()
    }

    /// Every request that came here, with the code the client got; 0 where the answer was dropped.
    #[must_use]
    pub fn requests(&self) -> &RequestLog {
        &self.shared.log
    }

    /// Closes all connections. What was to be committed late still is, as long as the runtime lives.
    pub async fn stop(self) {
        self.stop.cancel();
        // The task ends by itself at once; that it was aborted instead makes no difference.
        let _ = self.task.await;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&shared), stop.clone()));
            }
            Err(error) => {
                // Out of file descriptors, mostly: that passes.
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { shared.handle(request).await }
    });
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        // Dropped answers end a connection with an error, on purpose.
        _ = serving => {}
    }
}

impl Shared {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<ProxyBody>, Dropped> {
        let now = Timestamp::now();
        let (mut parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
            return Ok(status(
                413,
                "RequestEntityTooLarge",
                "the body is too large for the fault proxy or was cut off",
            ));
        };
        let body = body.to_bytes();
        let record = RequestRecord::of(&parts, &body, now);
        // The client's connection is not the upstream's, and the upstream has an address and credentials of its own.
        for own in [header::HOST, header::CONNECTION, header::AUTHORIZATION] {
            parts.headers.remove(own);
        }
        let forward = Request::from_parts(parts, UpstreamBody::from(body));
        // In a task of its own: a client that hangs up or is killed does not take back what it has sent.
        tokio::spawn(self.answer(forward, record)).await.unwrap_or(Err(Dropped))
    }

    async fn answer(
        self: Arc<Self>,
        forward: Request<UpstreamBody>,
        mut record: RequestRecord,
    ) -> Result<Response<ProxyBody>, Dropped> {
        let info = info(&record);
        let mut verdict = self.faults.judge(&info);
        tokio::time::sleep(verdict.latency).await;
        for action in std::mem::take(&mut verdict.before) {
            action(&info);
        }
        let answered = self.carry_out(forward, &info, verdict).await;
        record.code = answered.as_ref().map_or(0, |response| response.status().as_u16());
        self.log.enter(record);
        answered
    }

    async fn carry_out(
        self: &Arc<Self>,
        forward: Request<UpstreamBody>,
        info: &RequestInfo,
        verdict: Verdict,
    ) -> Result<Response<ProxyBody>, Dropped> {
        match verdict.fault {
            Some(Fault::Refuse) => return Err(Dropped),
            Some(Fault::Answer(code)) => return Ok(forged(code)),
            Some(Fault::ExpireWatch) if info.verb == "watch" => return Ok(expired_watch()),
            Some(Fault::CommitLate(delay)) => {
                let shared = Arc::clone(self);
                let info = info.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let answer = shared.upstream.send(forward).await;
                    tracing::debug!(?info, ok = answer.is_ok(), "committed late");
                    for action in verdict.committed {
                        action(&info);
                    }
                });
                return Err(Dropped);
            }
            _ => {}
        }
        let answer = self.upstream.send(forward).await;
        for action in verdict.committed {
            action(info);
        }
        if verdict.fault == Some(Fault::DropReply) {
            return Err(Dropped);
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let why = format!("the fault proxy can't reach its upstream: {error}");
                return Ok(status(502, "BadGateway", &why));
            }
        };
        let (mut parts, body) = answer.into_parts();
        parts.headers.remove(header::CONNECTION);
        parts.headers.remove(header::TRANSFER_ENCODING);
        let body = if info.verb == "watch" {
            pass_on(body, info.clone(), verdict.fault.as_ref(), &self.faults)
        } else {
            body.map_err(BodyError::from).boxed_unsync()
        };
        Ok(Response::from_parts(parts, body))
    }
}

fn info(record: &RequestRecord) -> RequestInfo {
    RequestInfo {
        client: record.client().to_owned(),
        verb: record.verb.clone(),
        group: record.group.clone(),
        resource: record.resource.clone(),
        namespace: record.namespace.clone(),
        name: record.name.clone(),
        subresource: record.subresource.clone(),
        dry_run: record.dry_run,
    }
}

/// An answer that the upstream never gave.
fn forged(code: u16) -> Response<ProxyBody> {
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "forbidden by the fault proxy"),
        404 => ("NotFound", "the server could not find the requested resource"),
        409 => {
            ("Conflict", "the object has been modified; please apply your changes to the latest version and try again")
        }
        410 => ("Expired", "too old resource version"),
        422 => ("Invalid", "refused by the fault proxy"),
        429 => ("TooManyRequests", "too many requests, please try again later"),
        500 => ("InternalError", "an internal error, made by the fault proxy"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("", "made by the fault proxy"),
    };
    let mut response = status(code, reason, message);
    if matches!(code, 429 | 503) {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

fn status(code: u16, reason: &str, message: &str) -> Response<ProxyBody> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": code,
    });
    json_response(code, body.to_string())
}

fn expired_watch() -> Response<ProxyBody> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410,
        "message": "too old resource version: 1 (2)",
    });
    json_response(200, format!("{}\n", json!({ "type": "ERROR", "object": status })))
}

fn json_response(code: u16, body: String) -> Response<ProxyBody> {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
