//! Connections and requests.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    metrics::{self, Metrics},
    settings::{self, Settings},
};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Phase {
    Serving,
    /// Unready; every answer ends its connection.
    Draining,
    /// Takes no more connections.
    Closing,
}

pub(crate) struct App {
    settings: Settings,
    metrics: Metrics,
    started: Instant,
    phase: watch::Sender<Phase>,
    /// No counted request is answered any more.
    hangs: AtomicBool,
}

impl App {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            hangs: AtomicBool::new(settings.hang),
            settings,
            metrics: Metrics::new(),
            started: Instant::now(),
            phase: watch::channel(Phase::Serving).0,
        }
    }

    pub(crate) fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    pub(crate) fn close(&self) {
        self.phase.send_replace(Phase::Closing);
    }

    fn is_leaving(&self) -> bool {
        *self.phase.borrow() > Phase::Serving
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let mut response = match request.uri().path() {
            "/healthz" => self.health(),
            "/version" => self.version(),
            "/metrics" => self.tell_metrics().await,
            "/hang" if request.method() == Method::POST => self.hang(),
            _ => self.work().await,
        };
        if self.is_leaving() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    fn health(&self) -> Response<Full<Bytes>> {
        if self.settings.never_ready || self.is_leaving() {
            respond(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "not ready\n")
        } else {
            respond(StatusCode::OK, "text/plain", "ready\n")
        }
    }

    fn version(&self) -> Response<Full<Bytes>> {
        let Settings { app_version, image_digest, pod, .. } = &self.settings;
        let body = format!("{{\"version\":{app_version:?},\"imageDigest\":{image_digest:?},\"pod\":{pod:?}}}\n");
        respond(StatusCode::OK, "application/json", body)
    }

    async fn tell_metrics(&self) -> Response<Full<Bytes>> {
        match self.settings.metrics {
            settings::Metrics::Alive => respond(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics.text()),
            settings::Metrics::Dead => respond(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "no metrics\n"),
            settings::Metrics::Hang => std::future::pending().await,
        }
    }

    fn hang(&self) -> Response<Full<Bytes>> {
        self.hangs.store(true, Ordering::Relaxed);
        respond(StatusCode::OK, "text/plain", "hangs\n")
    }

    async fn work(&self) -> Response<Full<Bytes>> {
        let asked = Instant::now();
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let share = self.settings.fail_share(self.started.elapsed());
        let fails = share > 0.0 && rand::random::<f64>() < share;
        self.metrics.count(!fails, asked.elapsed());
        if fails {
            respond(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "error\n")
        } else {
            respond(StatusCode::OK, "text/plain", "ok\n")
        }
    }
}

fn respond(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Serves until the application is closed and the last connection has ended.
pub(crate) async fn serve(app: Arc<App>, listener: TcpListener) {
    let mut phase = app.phase.subscribe();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(connection(Arc::clone(&app), TokioIo::new(stream)));
                }
                // Out of file handles, most likely: wait for some to come back.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = phase.wait_for(|phase| *phase == Phase::Closing) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(app: Arc<App>, stream: TokioIo<tokio::net::TcpStream>) {
    let mut phase = app.phase.subscribe();
    let service = service_fn(|request| app.answer(request));
    let connection = http1::Builder::new().serve_connection(stream, service);
    tokio::pin!(connection);
    let closing = async {
        // The sender lives as long as the application.
        let _ = phase.wait_for(|phase| *phase == Phase::Closing).await;
    };
    // A client that breaks off is its own business.
    tokio::select! {
        _ = &mut connection => {}
        () = closing => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
