//! The port: connections, and how much of the machine they may take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

/// How long a client may take for the head of a request, and how long a connection may rest between two.
const HEAD_SECONDS: u64 = 30;

/// How long requests that are under way may take once the server is told to end.
const LAST_SECONDS: u64 = 10;

/// Connections of this process that are open.
static OPEN: AtomicU64 = AtomicU64::new(0);

/// How many connections are open.
#[must_use]
pub fn open_connections() -> u64 {
    OPEN.load(Ordering::Relaxed)
}

/// Serves until `end` resolves; then takes no more connections, and waits a while for requests that are under way.
///
/// At most `n_connections` are open at once; those beyond wait until one ends or has rested for too long.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    n_connections: u32,
    end: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(n_connections as usize));
    let (ending, told) = watch::channel(false);
    let mut end = std::pin::pin!(end);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // No more files for now; the next connection may find some.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
            () = &mut end => break,
        };
        let (router, told) = (router.clone(), told.clone());
        tokio::spawn(async move {
            OPEN.fetch_add(1, Ordering::Relaxed);
            connection(stream, peer, router, told).await;
            OPEN.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }
    drop(listener);
    let _ = ending.send(true);
    let all_ended = places.acquire_many(n_connections);
    let _ = tokio::time::timeout(Duration::from_secs(LAST_SECONDS), all_ended).await;
}

/// Some clients join an address that ends in `/` and a path that begins with one.
fn plain_path<B>(request: &mut hyper::Request<B>) {
    let text = request
        .uri()
        .path_and_query()
        .map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let text = format!("/{}", text.trim_start_matches('/'));
    if let Ok(uri) = text.parse() {
        *request.uri_mut() = uri;
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut told: watch::Receiver<bool>,
) {
    // A reply goes out at once, and does not wait for the client's acknowledgement of the one before it.
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        if request.uri().path().starts_with("//") {
            plain_path(&mut request);
        }
        request.map(axum::body::Body::new)
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEAD_SECONDS))
        .max_buf_size(64 * 1024)
        .half_close(false);
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut served = std::pin::pin!(served.with_upgrades());
    tokio::select! {
        _ = &mut served => {}
        _ = told.changed() => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}
