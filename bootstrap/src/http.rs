//! The HTTP side: the page, `/bootstrap.json`, `/health` and `/metrics`.
//!
//! It only reads what the event loop publishes. Connections are bounded in number, in the time a
//! request may take to arrive and in how long they may live, so that slow or silent clients can't
//! use it up.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Extension, State},
    http::{HeaderValue, Method, Request, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::{join, join_all};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time,
};
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

pub(crate) use self::slots::Bounds;
use self::{
    ends::Ends,
    local::{is_local_origin, is_open_here},
    slots::Slots,
};
use crate::{
    addresses,
    admin::{Dashboard, Shown},
    limits,
    metrics::{HttpLabels, Page},
    site::Site,
    status::{Heartbeat, Status},
    tls::{self, Certificate, Front},
};

pub(crate) mod ends;
pub(crate) mod local;
mod slots;

/// What the handlers read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) metrics: Page,
    pub(crate) dashboard: Option<Dashboard>,
    pub(crate) requests: Family<HttpLabels, Counter>,
    pub(crate) site: watch::Receiver<Arc<Site>>,
    /// That of the TLS port, if there is one.
    pub(crate) certificate: Option<Certificate>,
    /// Of the event loop.
    pub(crate) heartbeat: Heartbeat,
}

/// `/bootstrap.json`: what a page or a peer needs to join.
#[derive(Debug, Serialize)]
struct Bootstrap {
    peer_id: String,
    addresses: Vec<String>,
}

/// `/health`.
#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
    peer_id: String,
    listening: usize,
    peers: usize,
    store: &'static str,
    certificate: tls::State,
    restarts: u32,
}

/// A socket to serve on, and what ends the TLS of its connections, if they have any.
pub(crate) type Port = (TcpListener, Option<Front>);

/// Serves until aborted; without ports it just waits for that.
pub(crate) async fn serve(ports: Vec<Port>, source: Source, bounds: Bounds) -> Infallible {
    let watching = watch(source.clone());
    let slots = Slots::new(bounds);
    let router = router(source, slots.clone());
    let accepting = ports
        .into_iter()
        .map(|port| accept(port, router.clone(), slots.clone()));
    join(join_all(accepting), watching).await.1
}

/// What the dashboard does between requests.
async fn watch(source: Source) -> Infallible {
    match &source.dashboard {
        Some(dashboard) => dashboard.watch(source.metrics.clone()).await,
        None => std::future::pending().await,
    }
}

async fn accept((listener, front): Port, router: Router, slots: Slots) -> Infallible {
    // Dropped with this task, and then its connections are too.
    let mut connections = JoinSet::new();
    loop {
        // A permit first: when all are taken, further clients wait in the socket's backlog. Every
        // connection ends by itself within its lifetime, so they get their turn.
        let Some(permit) = slots.permit().await else {
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, remote)) => {
                if !slots.ask(remote.ip(), Instant::now()) {
                    continue;
                }
                let Some(slot) = slots.take(permit, remote.ip()) else {
                    continue;
                };
                let (router, front) = (router.clone(), front.clone());
                connections.spawn(async move {
                    let _slot = slot;
                    let serving = serve_connection(stream, remote, front, router);
                    // Running out of time is no event worth telling.
                    let _ = time::timeout(limits::HTTP_CONNECTION_LIFETIME_MAX, serving).await;
                });
            }
            Err(error) => {
                // Out of file descriptors or a connection gone before it was taken. Wait a little
                // instead of spinning.
                tracing::debug!(%error, "can't accept an HTTP connection");
                slots.count_failure();
                time::sleep(limits::HTTP_ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(
    stream: TcpStream,
    remote: SocketAddr,
    front: Option<Front>,
    router: Router,
) {
    // Over TLS libp2p's small messages come by here, too: each would wait for the other side's delayed
    // acknowledgement of the one before, which takes 40 ms.
    let (Ok(local), Ok(())) = (stream.local_addr(), stream.set_nodelay(true)) else {
        return;
    };
    let ends = Ends { local, remote };
    let Some(front) = front else {
        return serve_stream(stream, ends, router).await;
    };
    match front.receive(stream, local, remote).await {
        Ok(Some(stream)) => serve_stream(stream.compat(), ends, router).await,
        // A WebSocket: libp2p has it now.
        Ok(None) => {}
        Err(error) => tracing::debug!(%remote, %error, "TLS connection failed"),
    }
}

async fn serve_stream(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    Ends { local, remote }: Ends,
    router: Router,
) {
    let router = router.layer(Extension(Ends { local, remote }));
    let service = TowerToHyperService::new(router);
    let result = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEADER_TIMEOUT)
        .max_buf_size(limits::HTTP_HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = result {
        tracing::debug!(%remote, %error, "HTTP connection failed");
    }
}

fn router(source: Source, slots: Slots) -> Router {
    let admin = source.dashboard.as_ref().map(|dashboard| {
        dashboard.router(Shown {
            status: source.status.clone(),
            metrics: source.metrics.clone(),
            certificate: source.certificate.clone(),
        })
    });
    let admin = admin.unwrap_or_default();
    Router::new()
        .route("/bootstrap.json", get(bootstrap))
        .route_layer(middleware::from_fn(share))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route_layer(middleware::from_fn(headers))
        .merge(admin)
        .fallback(file)
        .layer(middleware::from_fn_with_state(slots, bound))
        .layer(middleware::from_fn_with_state(source.clone(), count))
        .with_state(source)
}

/// Counts every request.
async fn count(State(source): State<Source>, request: Request<Body>, next: Next) -> Response {
    let path = path_class(request.uri().path(), &source.site.borrow());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    source
        .requests
        .get_or_create(&HttpLabels { path, status })
        .inc();
    response
}

/// Answers no more than one source may ask for.
async fn bound(
    State(slots): State<Slots>,
    Extension(ends): Extension<Ends>,
    request: Request<Body>,
    next: Next,
) -> Response {
    if slots.ask(ends.remote.ip(), Instant::now()) {
        return next.run(request).await;
    }
    let headers = [(header::RETRY_AFTER, "1"), (header::CONNECTION, "close")];
    let why = "Too many requests from this address; try again in a second.\n";
    (StatusCode::TOO_MANY_REQUESTS, headers, why).into_response()
}

/// What was asked for, in one of few words: there are as many paths as somebody cares to make up.
fn path_class(path: &str, site: &Site) -> &'static str {
    match path {
        "/bootstrap.json" => "bootstrap.json",
        "/health" => "health",
        "/metrics" => "metrics",
        path if path == "/admin" || path.starts_with("/admin/") => "admin",
        path if site.has(path) => "page",
        _ => "other",
    }
}

async fn file(State(source): State<Source>, request: Request<Body>) -> Response {
    let site = Arc::clone(&source.site.borrow());
    site.answer(request.method(), request.uri(), request.headers())
}

async fn bootstrap(
    State(source): State<Source>,
    Extension(ends): Extension<Ends>,
) -> impl IntoResponse {
    let status = source.status.borrow();
    let local = ends.local.ip().to_canonical();
    let addresses = addresses::for_asker(
        &status.external,
        &status.listening,
        Some(local),
        ends.remote.ip().to_canonical().is_loopback() || ends.remote.ip() == ends.local.ip(),
        status.peer_id,
    );
    Json(Bootstrap {
        peer_id: status.peer_id.to_string(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
    })
}

async fn health(State(source): State<Source>) -> impl IntoResponse {
    let status = source.status.borrow();
    let (code, word) = if source.heartbeat.stalled(Instant::now()).is_some() {
        (StatusCode::SERVICE_UNAVAILABLE, "stalled")
    } else if !status.ready {
        (StatusCode::SERVICE_UNAVAILABLE, "starting")
    } else if status.listening.is_empty() && status.tls.is_empty() {
        (StatusCode::SERVICE_UNAVAILABLE, "unreachable")
    } else {
        (StatusCode::OK, "ok")
    };
    let health = Health {
        status: word,
        peer_id: status.peer_id.to_string(),
        listening: status.listening.len(),
        peers: status.peers,
        store: match (status.store_stuck, status.store_full) {
            (true, _) => "stuck",
            (false, true) => "full",
            (false, false) => "ok",
        },
        certificate: source
            .certificate
            .as_ref()
            .map_or(tls::State::Off, |it| it.state(SystemTime::now())),
        restarts: status.restarts,
    };
    (code, Json(health))
}

async fn metrics(State(source): State<Source>) -> Response {
    const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match source.metrics.render(Instant::now()) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "can't write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Headers of the answers for programs: nobody may cache them (they change).
async fn headers(request: Request<Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    let set = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in set {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets pages of other origins read an answer (Fetch, CORS protocol), and answers a browser that asks first.
/// At a visitor's own machine only that machine's pages may: the peer id would tell every site that is visited
/// there who visits it.
async fn share(Extension(ends): Extension<Ends>, request: Request<Body>, next: Next) -> Response {
    let (local, remote) = (ends.local.ip(), ends.remote.ip());
    let reader = if is_open_here(local, remote, &request) {
        let origin = request.headers().get(header::ORIGIN).cloned();
        origin.filter(|origin| origin.to_str().is_ok_and(|it| is_local_origin(local, it)))
    } else {
        Some(HeaderValue::from_static("*"))
    };
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    if let Some(reader) = reader {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, reader);
        let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        // By it whoever reads the answer sees that its own clock is wrong.
        let exposed = HeaderValue::from_static("date");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}
