//! HTTP/1.1, with limits on how long a caller may take.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::connections::{Activity, CHECK, Places, SILENT_CHECKS};

/// A caller has this long for the head of its first request, and for the head of each further one after the answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// All headers of a request, with the line before them, may be this large.
const MAX_HEAD: usize = 16 << 10;

/// Serves until `end`, then until the last request is answered.
pub async fn serve_http(listener: TcpListener, places: Places, routes: Router, end: impl Future<Output = ()>) {
    let (mut connections, graceful) = (JoinSet::new(), GracefulShutdown::new());
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut end = pin!(end);
    loop {
        let (stream, activity) = tokio::select! {
            accepted = places.accept(&listener) => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut end => break,
        };
        let service = TowerToHyperService::new(routes.clone());
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        connections.spawn(async move {
            tokio::select! {
                // An error concerns this connection alone, and its caller sees it.
                _ = connection => {}
                () = stalled(&activity) => {}
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Returns when no byte has moved for a while: the caller sends nothing, or reads nothing.
async fn stalled(activity: &Activity) {
    let mut silent = 0;
    while silent < SILENT_CHECKS {
        tokio::time::sleep(CHECK).await;
        silent = if activity.has_moved() { 0 } else { silent + 1 };
    }
}
