use crate::Limits;
use crate::connections::Place;
use crate::door::text;
use crate::server::{self, Respond, Responding};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Whether a program is ready, and if not, why: a handle to be cloned to whoever knows.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<Option<String>>>);

/// The port for health and metrics: `/healthz`, `/readyz`, `/metrics`, GET and HEAD only. It does nothing and tells
/// nothing that needs credentials.
pub struct AdminPort {
    registry: Arc<Registry>,
    checks: Vec<Box<dyn Fn() -> Result<(), String> + Send + Sync>>,
}

impl Readiness {
    /// Not ready yet, for this reason.
    #[must_use]
    pub fn not_yet(reason: impl Into<String>) -> Self {
        Self(Arc::new(Mutex::new(Some(reason.into()))))
    }

    /// Ready from now on.
    pub fn ready(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Not ready from now on, for this reason.
    pub fn not_ready(&self, reason: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.into());
    }

    /// Whether it is ready.
    ///
    /// # Errors
    ///
    /// The reason why not.
    pub fn check(&self) -> Result<(), String> {
        let reason = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        reason.map_or(Ok(()), Err)
    }
}

impl AdminPort {
    /// A port that shows these metrics and is always ready.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, checks: Vec::new() }
    }

    /// Ready only while this handle says so (and everything else added does).
    #[must_use]
    pub fn readiness(self, readiness: &Readiness) -> Self {
        let readiness = readiness.clone();
        self.ready_when(move || readiness.check())
    }

    /// Ready only while this answers `Ok`; asked at each request, so it must be quick. The error is the reason shown.
    #[must_use]
    pub fn ready_when(mut self, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.checks.push(Box::new(check));
        self
    }

    /// Serves until the token is cancelled. Of the limits, the connections, the header time-out and the stop's time-out
    /// count; no request has a body that is read.
    pub async fn serve(self, listener: TcpListener, limits: Limits, stop: CancellationToken) {
        server::serve(listener, None, limits, Arc::new(self), stop).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here");
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok"),
            "/readyz" => self.ready(),
            "/metrics" => self.metrics(),
            _ => text(StatusCode::NOT_FOUND, "no such route"),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let reasons: Vec<String> = self.checks.iter().filter_map(|check| check().err()).collect();
        if reasons.is_empty() {
            text(StatusCode::OK, "ready")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {}", reasons.join("; ")))
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let mut shown = String::new();
        if encode(&mut shown, &self.registry).is_err() {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics can't be written");
        }
        let mut response = Response::new(Full::new(Bytes::from(shown)));
        response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
        response
    }
}

impl Respond for AdminPort {
    fn respond(self: Arc<Self>, request: Request<Incoming>, place: Arc<Place>) -> Responding {
        Box::pin(async move {
            let _busy = place.busy();
            self.answer(&request)
        })
    }
}

impl fmt::Debug for AdminPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminPort").field("checks", &self.checks.len()).finish_non_exhaustive()
    }
}
