use crate::Limits;
use crate::auth::Authenticator;
use crate::connections::Place;
use crate::metrics::DoorMetrics;
use crate::server::{self, Peer, Respond, Responding, ServeError};
use crate::tls::Tls;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Takes the bodies that are posted to a route.
pub trait Receive: Send + Sync {
    /// Takes one body. Called from a task of its own: a panic is answered 503 and ends nothing else; a client that goes
    /// away does not cancel it; at [`Limits::answer_timeout`] the future is dropped and the answer is 503.
    fn receive<'a>(&'a self, admitted: Admitted) -> Answering<'a>;
}

/// A request that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Its body, whole.
    pub body: Bytes,
    /// Who sent it, for logs: `token 2 of tokens`, `user alertmanager`, `certificate 3f2a…`, or `anybody` at a door
    /// without credentials. Holds no secret.
    pub caller: String,
}

/// The answer of a receiver, still on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// What a receiver made of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Accepted, and durably so: 200.
    Done,
    /// Can never be accepted: 400 with the text, and Alertmanager drops it. For what is no webhook at all.
    Garbage(String),
    /// Not accepted now: 503 with the text, and Alertmanager comes again.
    Later(String),
}

/// A port for webhooks: POST only, authenticated, bounded.
pub struct Door {
    authenticator: Authenticator,
    limits: Limits,
    routes: BTreeMap<String, Arc<dyn Receive>>,
    metrics: DoorMetrics,
    tls: Option<Arc<Tls>>,
    refused_before: AtomicBool,
}

/// Why a request does not get to its receiver.
enum Refusal {
    Credentials,
    Route,
    Method,
    Encoding,
    TooLarge,
    TooSlow,
    Broken,
}

impl Door {
    /// A door without routes yet.
    #[must_use]
    pub fn new(authenticator: Authenticator, limits: Limits) -> Self {
        Self {
            authenticator,
            limits,
            routes: BTreeMap::new(),
            metrics: DoorMetrics::default(),
            tls: None,
            refused_before: AtomicBool::new(false),
        }
    }

    /// Adds a route: an exact path such as `/alerts`. A second receiver for one path replaces the first.
    #[must_use]
    pub fn route(mut self, path: impl Into<String>, receiver: Arc<dyn Receive>) -> Self {
        self.routes.insert(path.into(), receiver);
        self
    }

    /// Serves TLS instead of plain HTTP.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(Arc::new(tls));
        self
    }

    /// Registers what the door counts, below the registry's own prefix: `door_requests` by route and code,
    /// `door_refused_credentials`, `door_bodies_too_large`, `door_connections_turned_away`.
    #[must_use]
    pub fn metrics(self, registry: &mut Registry) -> Self {
        self.metrics.register(registry);
        self
    }

    /// Serves until the token is cancelled, then takes no new connection and lets the requests under way finish
    /// (bounded by [`Limits::stop_timeout`]).
    ///
    /// # Errors
    ///
    /// Before anything is served: [`ServeError::OpenDoor`] for an insecure door on an address that is not loopback,
    /// [`ServeError::NoClientAuthority`] where client certificates are credentials and nothing says whose.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> Result<(), ServeError> {
        let address = listener.local_addr().map_err(ServeError::NoAddress)?;
        if self.authenticator.is_insecure() && !address.ip().to_canonical().is_loopback() {
            return Err(ServeError::OpenDoor { address });
        }
        let asks = self.tls.as_ref().is_some_and(|tls| tls.asks_for_certificates());
        if self.authenticator.takes_certificates() != asks {
            return Err(ServeError::NoClientAuthority);
        }
        tracing::info!(%address, tls = self.tls.is_some(), insecure = self.authenticator.is_insecure(), "webhook door open");
        let limits = self.limits;
        let tls = self.tls.clone();
        server::serve(listener, tls, limits, Arc::new(self), stop).await;
        Ok(())
    }

    async fn answer(&self, request: Request<Incoming>, place: &Place) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let route = self.routes.get_key_value(&path);
        let response = match self.admit(request, route.map(|(_, receiver)| receiver), place).await {
            Ok(answer) => respond_to(answer),
            Err(refusal) => self.refuse(&refusal),
        };
        self.metrics.answered(route.map(|(path, _)| path.as_str()), response.status());
        response
    }

    /// The order is the point: nothing of a body is read before the credentials are right.
    async fn admit(
        &self,
        request: Request<Incoming>,
        receiver: Option<&Arc<dyn Receive>>,
        place: &Place,
    ) -> Result<Answer, Refusal> {
        let certificate = request.extensions().get::<Peer>().map(|peer| peer.certificate.as_str());
        let caller = self.authenticator.admits(request.headers(), certificate).ok_or(Refusal::Credentials)?;
        let _busy = place.busy();
        let receiver = receiver.ok_or(Refusal::Route)?;
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        if is_encoded(request.headers()) {
            return Err(Refusal::Encoding);
        }
        let body = self.read(request).await?;
        Ok(self.receive(Arc::clone(receiver), Admitted { body, caller }).await)
    }

    async fn read(&self, request: Request<Incoming>) -> Result<Bytes, Refusal> {
        let cap = self.limits.body_bytes;
        let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        // What does not even fit a u64 is refused by hyper before we see it.
        if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > cap as u64) {
            return Err(Refusal::TooLarge);
        }
        let collected = Limited::new(request.into_body(), cap).collect();
        match tokio::time::timeout(self.limits.body_timeout, collected).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
            Ok(Err(_)) => Err(Refusal::Broken),
            Err(_) => Err(Refusal::TooSlow),
        }
    }

    async fn receive(&self, receiver: Arc<dyn Receive>, admitted: Admitted) -> Answer {
        let mut receiving = tokio::spawn(async move { receiver.receive(admitted).await });
        match tokio::time::timeout(self.limits.answer_timeout, &mut receiving).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                tracing::error!("a webhook receiver panicked; answering 503");
                Answer::Later("internal error".into())
            }
            Err(_) => {
                receiving.abort();
                tracing::warn!("a webhook receiver took too long; answering 503");
                Answer::Later("took too long".into())
            }
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Full<Bytes>> {
        let mut response = text(refusal.status(), refusal.text());
        match refusal {
            Refusal::Credentials => {
                self.note_refused();
                if let Ok(challenge) = HeaderValue::from_str(self.authenticator.challenge()) {
                    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                }
            }
            Refusal::Method => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            Refusal::Route | Refusal::Encoding | Refusal::TooLarge | Refusal::TooSlow | Refusal::Broken => {}
        }
        response
    }

    /// Said once at a level that is seen: a sender with an old token is worth a line, a stranger's flood is not.
    fn note_refused(&self) {
        if self.refused_before.swap(true, Ordering::Relaxed) {
            tracing::debug!("a webhook request without accepted credentials was refused");
        } else {
            tracing::warn!("a webhook request without accepted credentials was refused; further ones are only counted");
        }
    }
}

impl Respond for Door {
    fn respond(self: Arc<Self>, request: Request<Incoming>, place: Arc<Place>) -> Responding {
        Box::pin(async move { self.answer(request, &place).await })
    }

    fn turned_away(&self) {
        self.metrics.turned_away();
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("authenticator", &self.authenticator)
            .field("limits", &self.limits)
            .field("routes", &self.routes.keys())
            .finish_non_exhaustive()
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Credentials => StatusCode::UNAUTHORIZED,
            Self::Route => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::Credentials => "credentials missing or not accepted",
            Self::Route => "no such route",
            Self::Method => "only POST is served here",
            Self::Encoding => "send the body without Content-Encoding",
            Self::TooLarge => "the body is too large",
            Self::TooSlow => "the body took too long",
            Self::Broken => "the body ended early",
        }
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn respond_to(answer: Answer) -> Response<Full<Bytes>> {
    match answer {
        Answer::Done => text(StatusCode::OK, "ok"),
        Answer::Garbage(why) => text(StatusCode::BAD_REQUEST, &why),
        Answer::Later(why) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, &why);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    }
}

/// A short plain answer with a line end.
pub(crate) fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
