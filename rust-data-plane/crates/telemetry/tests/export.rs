//! Telemetry against a receiver of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::{Duration, Instant, SystemTime};

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
use contracts::opentelemetry::proto::metrics::v1::metric::Data;
use telemetry::{Config, Kind, Span, Status, Telemetry, Tracer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response};

const WAIT: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct Receiver {
    traces: mpsc::UnboundedSender<Request<ExportTraceServiceRequest>>,
    metrics: mpsc::UnboundedSender<ExportMetricsServiceRequest>,
    logs: mpsc::UnboundedSender<ExportLogsServiceRequest>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, tonic::Status> {
        let _ = self.traces.send(request);
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, tonic::Status> {
        let _ = self.metrics.send(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, tonic::Status> {
        let _ = self.logs.send(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

fn config(endpoint: &str) -> Config {
    Config::from_variables("service", "1", |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.to_owned()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-key=secret".into()),
        "OTEL_BSP_SCHEDULE_DELAY" | "OTEL_BLRP_SCHEDULE_DELAY" => Some("50".into()),
        "OTEL_METRIC_EXPORT_INTERVAL" => Some("100".into()),
        _ => None,
    })
    .unwrap()
}

fn finish(tracer: &Tracer) -> telemetry::TraceContext {
    let context = tracer.start(None);
    tracer.finish(context, || Span {
        context,
        parent: None,
        name: "work".into(),
        kind: Kind::Server,
        start: SystemTime::now(),
        end: SystemTime::now(),
        attributes: vec![("n", 1i64.into())],
        links: vec![tracer.start(None)],
        status: Status::Error("bad".into()),
    });
    context
}

#[tokio::test(flavor = "multi_thread")]
async fn all_three_signals_arrive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (traces, mut seen_traces) = mpsc::unbounded_channel();
    let (metrics, mut seen_metrics) = mpsc::unbounded_channel();
    let (logs, mut seen_logs) = mpsc::unbounded_channel();
    let receiver = Receiver { traces, metrics, logs };
    tokio::spawn(
        Server::builder()
            .add_service(TraceServiceServer::new(receiver.clone()))
            .add_service(MetricsServiceServer::new(receiver.clone()))
            .add_service(LogsServiceServer::new(receiver))
            .serve_with_incoming(TcpIncoming::from(listener)),
    );

    let telemetry = Telemetry::start(config(&endpoint)).unwrap();
    telemetry::init_logging(&telemetry).unwrap();
    let meter = telemetry.meter();
    let histogram = meter.histogram("call.duration", "Durations", [("method", "a".into())]);
    histogram.record(Duration::from_millis(3));
    meter.histogram("call.duration", "Durations", [("method", "b".into())]).record(Duration::from_millis(5));
    meter.counter("things", "{thing}", "Things").add(7);

    let context = finish(&telemetry.tracer());
    let request = timeout(WAIT, seen_traces.recv()).await.unwrap().unwrap();
    assert_eq!(request.metadata().get("x-key").unwrap(), "secret");
    let spans = &request.get_ref().resource_spans[0];
    let span = &spans.scope_spans[0].spans[0];
    assert_eq!((span.name.as_str(), &span.trace_id[..]), ("work", &context.trace_id.0[..]));
    assert_eq!((span.links.len(), span.status.as_ref().unwrap().message.as_str()), (1, "bad"));
    assert!(spans.resource.as_ref().unwrap().attributes.iter().any(|a| a.key == "service.name"));

    tracing::info!(trace_id = %context.trace_id, answer = 42, "it happened");
    let record = loop {
        let request = timeout(WAIT, seen_logs.recv()).await.unwrap().unwrap();
        let records = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs).flat_map(|l| l.log_records);
        if let Some(record) = records.into_iter().find(|record| !record.trace_id.is_empty()) {
            break record;
        }
    };
    assert_eq!((&record.trace_id[..], record.severity_text.as_str()), (&context.trace_id.0[..], "INFO"));
    assert_eq!(record.attributes[0].key, "answer");

    let metrics = loop {
        let request = timeout(WAIT, seen_metrics.recv()).await.unwrap().unwrap();
        let metrics = request.resource_metrics[0].scope_metrics[0].metrics.clone();
        if metrics.iter().any(|metric| metric.name == "call.duration") {
            break metrics;
        }
    };
    let named = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap().data.clone().unwrap();
    let Data::ExponentialHistogram(histogram) = named("call.duration") else { panic!() };
    assert_eq!(histogram.data_points.iter().map(|point| point.count).collect::<Vec<_>>(), [1, 1]);
    let Data::Sum(sum) = named("things") else { panic!() };
    assert!(sum.is_monotonic);

    // What is still queued at the end is sent.
    let last = finish(&telemetry.tracer());
    telemetry.shutdown(WAIT);
    let mut found = false;
    while let Ok(request) = seen_traces.try_recv() {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        found |= spans.flat_map(|scope| scope.spans).any(|span| span.span_id == last.span_id.0);
    }
    assert!(found);
}

#[test]
fn a_receiver_that_is_away_makes_nobody_wait() {
    let telemetry = Telemetry::start(config("http://127.0.0.1:1")).unwrap();
    let tracer = telemetry.tracer();
    let start = Instant::now();
    for _ in 0..100_000 {
        finish(&tracer);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let start = Instant::now();
    telemetry.shutdown(Duration::from_millis(200));
    assert!(start.elapsed() < Duration::from_secs(2));
}
