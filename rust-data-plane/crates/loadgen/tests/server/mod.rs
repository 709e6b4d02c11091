//! A server whose delays are known, and the generator as a command.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod site;

use std::net::SocketAddr;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use contracts::QuoteRequest;
use contracts::grpc::health::v1::health_server::{Health, HealthServer};
use contracts::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use contracts::hybrid::pricing::v1::pricing_service_server::{PricingService, PricingServiceServer};
use contracts::hybrid::pricing::v1::{QuoteResponse, QuoteStreamRequest, QuoteStreamResponse};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// A data plane of one thread. Dropped, it cuts its connections.
pub struct DataPlane {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
pub struct Seen {
    pub served: Mutex<Vec<Duration>>,
    pub traceparents: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// Before each answer.
    pub delay: Duration,
    /// The quote of this number holds up the whole server for so long.
    pub stall: Option<(usize, Duration)>,
    /// Quotes are refused.
    pub refuse: bool,
}

struct Service {
    faults: Faults,
    seen: Arc<Seen>,
}

#[tonic::async_trait]
impl PricingService for Service {
    async fn quote(&self, request: Request<QuoteRequest>) -> Result<Response<QuoteResponse>, Status> {
        let start = Instant::now();
        if self.faults.refuse {
            return Err(Status::failed_precondition("refused"));
        }
        if let Some(parent) = request.metadata().get("traceparent") {
            self.seen.traceparents.lock().unwrap().push(parent.to_str().unwrap().into());
        }
        let number = self.seen.served.lock().unwrap().len();
        if let Some((_, stall)) = self.faults.stall.filter(|&(at, _)| at == number) {
            thread::sleep(stall);
        }
        if !self.faults.delay.is_zero() {
            tokio::time::sleep(self.faults.delay).await;
        }
        self.seen.served.lock().unwrap().push(start.elapsed());
        let quantity = request.get_ref().lines[0].quantity;
        Ok(Response::new(QuoteResponse {
            gross_minor: 119 * quantity,
            net_minor: 100 * quantity,
            discount_minor: 10 * quantity,
            ..QuoteResponse::default()
        }))
    }

    type QuoteStreamStream = Pin<Box<dyn Stream<Item = Result<QuoteStreamResponse, Status>> + Send>>;

    async fn quote_stream(
        &self,
        _: Request<Streaming<QuoteStreamRequest>>,
    ) -> Result<Response<Self::QuoteStreamStream>, Status> {
        Err(Status::unimplemented("not used"))
    }
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: 1 }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not used"))
    }
}

impl DataPlane {
    pub fn start(faults: Faults) -> Self {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), faults)
    }

    pub fn listen(address: SocketAddr, faults: Faults) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Seen>::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let service = || Service { faults, seen: Arc::clone(&seen) };
        let server = Server::builder()
            .add_service(PricingServiceServer::new(service()))
            .add_service(HealthServer::new(service()))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = server => result.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address, seen, stop: Some(stop), thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

pub fn loadgen(targets: &[&str], options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    for target in targets {
        command.args(["--target", target]);
    }
    command.args(["--currency", "EUR", "--jurisdiction", "DE", "--line", "mug=3"]).args(options);
    command
}

/// The one JSON object of a run that ended well.
pub fn report(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn terminate(child: &Child) {
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
}
