//! A receiver of OTLP/gRPC for tests: it keeps what it gets, and waits for what must come.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use contracts::opentelemetry::proto::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use contracts::opentelemetry::proto::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use contracts::opentelemetry::proto::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use contracts::opentelemetry::proto::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use contracts::opentelemetry::proto::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use contracts::opentelemetry::proto::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use contracts::opentelemetry::proto::common::v1::{KeyValue, any_value};
use contracts::opentelemetry::proto::logs::v1::LogRecord;
use contracts::opentelemetry::proto::metrics::v1::Metric;
use contracts::opentelemetry::proto::resource::v1::Resource;
use contracts::opentelemetry::proto::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Attributes by name, each as text.
pub type Attributes = BTreeMap<String, String>;

/// The text of every attribute.
pub fn attributes(attributes: &[KeyValue]) -> Attributes {
    let text = |value: &any_value::Value| match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::DoubleValue(number) => number.to_string(),
        any_value::Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    };
    let value = |pair: &KeyValue| pair.value.as_ref().and_then(|value| value.value.as_ref()).map(text);
    attributes.iter().map(|pair| (pair.key.clone(), value(pair).unwrap_or_default())).collect()
}

/// All that was received, each with the attributes of its resource.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Spans, in the order of their arrival.
    pub spans: Vec<(Attributes, Span)>,
    /// The newest state of each metric, by the resource's `service.instance.id` and the metric's name.
    pub metrics: BTreeMap<(String, String), Metric>,
    /// Log records, in the order of their arrival.
    pub logs: Vec<(Attributes, LogRecord)>,
}

/// Receives until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    shared: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Shared = Arc<(Mutex<Received>, Condvar)>;

impl Receiver {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// There is no port or no thread.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (address, shared) = (listener.local_addr()?, Shared::default());
        let service = Service(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::builder()
            .add_service(TraceServiceServer::new(service.clone()))
            .add_service(MetricsServiceServer::new(service.clone()))
            .add_service(LogsServiceServer::new(service));
        let serve = async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            tokio::select! {
                _ = server.serve_with_incoming(TcpIncoming::from(listener)) => {}
                _ = stopped => {}
            }
        };
        let thread = std::thread::spawn(move || runtime.block_on(serve));
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The endpoint, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until `find` finds something.
    ///
    /// # Errors
    /// It was not found in time; the text says what was received.
    pub fn wait<T>(&self, find: impl Fn(&Received) -> Option<T>) -> Result<T, String> {
        let (received, changed) = &*self.shared;
        let until = Instant::now() + PATIENCE;
        let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = find(&received) {
                return Ok(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("not among what was received: {received:#?}"));
            }
            received = changed.wait_timeout(received, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by its thread.
            let _ = thread.join();
        }
    }
}

#[derive(Clone)]
struct Service(Shared);

impl Service {
    fn keep(&self, change: impl FnOnce(&mut Received)) {
        let (received, changed) = &*self.0;
        change(&mut received.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }
}

fn of(resource: Option<Resource>) -> Attributes {
    attributes(&resource.unwrap_or_default().attributes)
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for part in request.into_inner().resource_spans {
            let resource = of(part.resource);
            let spans = part.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.keep(|received| received.spans.extend(spans.map(|span| (resource.clone(), span))));
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        for part in request.into_inner().resource_metrics {
            let instance = of(part.resource).remove("service.instance.id").unwrap_or_default();
            let metrics = part.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            let named = metrics.map(|metric| ((instance.clone(), metric.name.clone()), metric));
            self.keep(|received| received.metrics.extend(named));
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        for part in request.into_inner().resource_logs {
            let resource = of(part.resource);
            let records = part.scope_logs.into_iter().flat_map(|scope| scope.log_records);
            self.keep(|received| received.logs.extend(records.map(|record| (resource.clone(), record))));
        }
        Ok(Response::new(Default::default()))
    }
}
