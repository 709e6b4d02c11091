use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{Faults, Seen};

/// An HTTP/1.1 server of one thread. `/refused` answers 422, any other path 200. Dropped, it cuts its connections.
pub struct Site {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    pub requests: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Page {
    faults: Faults,
    seen: Arc<Seen>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub fn start(faults: Faults) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (address, seen, requests) = (listener.local_addr().unwrap(), Arc::<Seen>::default(), Arc::default());
        let page = Page { faults, seen: Arc::clone(&seen), requests: Arc::clone(&requests) };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = async { axum::serve(listener, Router::new().fallback(answer).with_state(page)).await } => result.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address, seen, requests, stop: Some(stop), thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(State(page): State<Page>, request: Request) -> (StatusCode, &'static str) {
    let start = Instant::now();
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let kind = parts.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
    let request = format!("{} {} {kind} {}", parts.method, parts.uri, String::from_utf8_lossy(&body));
    page.requests.lock().unwrap().push(request);
    let number = page.seen.served.lock().unwrap().len();
    if let Some((_, stall)) = page.faults.stall.filter(|&(at, _)| at == number) {
        thread::sleep(stall);
    }
    if !page.faults.delay.is_zero() {
        tokio::time::sleep(page.faults.delay).await;
    }
    page.seen.served.lock().unwrap().push(start.elapsed());
    let status = if parts.uri.path() == "/refused" { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    (status, "Hello, World!")
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}
