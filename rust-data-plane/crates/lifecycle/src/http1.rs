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

use crate::connections::{Activity, Places, SILENT_CHECKS};

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
        let check = places.check();
        connections.spawn(async move {
            tokio::select! {
                // An error concerns this connection alone, and its caller sees it.
                _ = connection => {}
                () = stalled(&activity, check) => {}
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Returns when no byte has moved for a while: the caller sends nothing, or reads nothing.
async fn stalled(activity: &Activity, check: Duration) {
    let mut silent = 0;
    while silent < SILENT_CHECKS {
        tokio::time::sleep(check).await;
        silent = if activity.has_moved() { 0 } else { silent + 1 };
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::Arc;

    use axum::routing::get;

    use super::*;
    use crate::{Drain, Readiness, health};

    const CHECK: Duration = Duration::from_millis(200);
    const LARGE: usize = 256 << 20;

    /// What every program of the workspace serves for its health, and one answer that no system takes without a reader.
    async fn serve() -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let places = Places::new(8, &Arc::default()).checked_every(CHECK);
        let routes = health::routes(Readiness::new(Drain::new().draining()));
        let routes = routes.route("/large", get(|| async { vec![0; LARGE] }));
        tokio::spawn(serve_http(listener, places, routes, std::future::pending()));
        address
    }

    /// A connection that has sent `bytes` and reads nothing.
    fn ask(address: std::net::SocketAddr, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_caller_that_does_not_read_or_does_not_ask_is_let_go() {
        let address = serve().await;
        let (ended, mut waits) = tokio::sync::mpsc::channel(1);
        std::thread::spawn(move || {
            let mut large = ask(address, b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n");
            // The first to be let go has said nothing, so the other is gone as well, or never will be.
            for bytes in [&b""[..], b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"] {
                // It ends by a reset or by the end of the stream.
                let _ = ask(address, bytes).read_to_end(&mut Vec::new());
                std::thread::sleep(CHECK);
            }
            let mut received = Vec::new();
            // What the systems between hold is received, and no more.
            let _ = large.read_to_end(&mut received);
            let _ = ended.blocking_send(received.len());
        });
        let received = tokio::time::timeout(Duration::from_secs(60), waits.recv()).await.expect("they are let go");
        assert!((1..LARGE).contains(&received.unwrap()), "{received:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_caller_that_reads_is_served_however_long_it_takes() {
        let address = serve().await;
        let started = std::time::Instant::now();
        let received = tokio::task::spawn_blocking(move || {
            let mut stream = ask(address, b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let (mut received, mut part) = (0, vec![0; LARGE / 16]);
            loop {
                match stream.read(&mut part).unwrap() {
                    0 => return received,
                    length => received += length,
                }
                // Slowly until it would have been let go.
                if started.elapsed() < 5 * CHECK {
                    std::thread::sleep(CHECK / 4);
                }
            }
        });
        assert!(received.await.unwrap() > LARGE);
    }
}
