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
use telemetry::{Config, Kind, Link, Service, Span, Status, Telemetry, TraceState, Tracer};
use tokio::net::{TcpListener, TcpStream};
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

fn config(endpoint: &str, more: &[(&str, &str)]) -> Config {
    let service = Service { name: "service", version: "1", instance: Some("one") };
    Config::from_variables(service, |name| match name {
        _ if more.iter().any(|(known, _)| *known == name) => {
            more.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        }
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.to_owned()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-otlp-api-key=secret".into()),
        "OTEL_BSP_SCHEDULE_DELAY" | "OTEL_BLRP_SCHEDULE_DELAY" => Some("50".into()),
        "OTEL_METRIC_EXPORT_INTERVAL" => Some("100".into()),
        _ => None,
    })
}

fn finish(tracer: &Tracer) -> telemetry::TraceContext {
    let context = tracer.start(None);
    tracer.finish(context, || Span {
        context,
        state: TraceState::parse([&b"a=1"[..]]),
        parent: None,
        name: "work".into(),
        kind: Kind::Server,
        start: SystemTime::now(),
        end: SystemTime::now(),
        attributes: vec![("n", 1i64.into())],
        links: vec![Link { context: tracer.start(None), state: TraceState::parse([&b"b=2"[..]]) }],
        status: Status::Error("bad".into()),
    });
    context
}

/// What a receiver has seen.
struct Seen {
    traces: mpsc::UnboundedReceiver<Request<ExportTraceServiceRequest>>,
    metrics: mpsc::UnboundedReceiver<ExportMetricsServiceRequest>,
    logs: mpsc::UnboundedReceiver<ExportLogsServiceRequest>,
}

fn receiver() -> (Receiver, Seen) {
    let (traces, seen_traces) = mpsc::unbounded_channel();
    let (metrics, seen_metrics) = mpsc::unbounded_channel();
    let (logs, seen_logs) = mpsc::unbounded_channel();
    (Receiver { traces, metrics, logs }, Seen { traces: seen_traces, metrics: seen_metrics, logs: seen_logs })
}

fn routes(receiver: Receiver) -> tonic::service::Routes {
    tonic::service::Routes::new(TraceServiceServer::new(receiver.clone()))
        .add_service(MetricsServiceServer::new(receiver.clone()))
        .add_service(LogsServiceServer::new(receiver))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_three_signals_arrive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (receiver, mut seen) = receiver();
    tokio::spawn(Server::builder().add_routes(routes(receiver)).serve_with_incoming(TcpIncoming::from(listener)));

    let telemetry = Telemetry::start(config(&endpoint, &[]));
    telemetry::init_logging(&telemetry).unwrap();
    let meter = telemetry.meter();
    let histogram = meter.histogram("call.duration", "Durations", [("method", "a".into())]);
    histogram.record(Duration::from_millis(3));
    meter.histogram("call.duration", "Durations", [("method", "b".into())]).record(Duration::from_millis(5));
    meter.counter("things", "{thing}", "Things").add(7);

    let context = finish(&telemetry.tracer());
    let request = timeout(WAIT, seen.traces.recv()).await.unwrap().unwrap();
    assert_eq!(request.metadata().get("x-otlp-api-key").unwrap(), "secret");
    let spans = &request.get_ref().resource_spans[0];
    let span = &spans.scope_spans[0].spans[0];
    assert_eq!((span.name.as_str(), &span.trace_id[..]), ("work", &context.trace_id.0[..]));
    assert_eq!((span.trace_state.as_str(), span.links[0].trace_state.as_str()), ("a=1", "b=2"));
    assert_eq!((span.links.len(), span.status.as_ref().unwrap().message.as_str()), (1, "bad"));
    assert!(spans.resource.as_ref().unwrap().attributes.iter().any(|a| a.key == "service.name"));

    tracing::info!(trace_id = %context.trace_id, answer = 42, "it happened");
    let record = loop {
        let request = timeout(WAIT, seen.logs.recv()).await.unwrap().unwrap();
        let records = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs).flat_map(|l| l.log_records);
        if let Some(record) = records.into_iter().find(|record| !record.trace_id.is_empty()) {
            break record;
        }
    };
    assert_eq!((&record.trace_id[..], record.severity_text.as_str()), (&context.trace_id.0[..], "INFO"));
    assert_eq!(record.attributes[0].key, "answer");

    let metrics = loop {
        let request = timeout(WAIT, seen.metrics.recv()).await.unwrap().unwrap();
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
    while let Ok(request) = seen.traces.try_recv() {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        found |= spans.flat_map(|scope| scope.spans).any(|span| span.span_id == last.span_id.0);
    }
    assert!(found);
}

#[test]
fn a_receiver_that_is_away_makes_nobody_wait() {
    let telemetry = Telemetry::start(config("http://127.0.0.1:1", &[]));
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

/// A CA of the test's own, in a file, and a server's identity that it vouches for.
fn authority() -> (tempfile::NamedTempFile, tokio_rustls::TlsAcceptor) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring::default_provider;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let mut config = ServerConfig::builder_with_provider(std::sync::Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    (file, std::sync::Arc::new(config).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn https_trusts_the_certificate_of_the_variable_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let ((file, acceptor), (receiver, mut seen)) = (authority(), receiver());
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let behind = plain.local_addr().unwrap();
    tokio::spawn(Server::builder().add_routes(routes(receiver)).serve_with_incoming(TcpIncoming::from(plain)));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust us ends the handshake.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut server = TcpStream::connect(behind).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut server).await });
            }
        }
    });

    let (other, _) = authority();
    let distrusting = config(&endpoint, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", other.path().to_str().unwrap())]);
    let distrusting = Telemetry::start(distrusting);
    finish(&distrusting.tracer());
    distrusting.shutdown(WAIT);
    assert!(seen.traces.try_recv().is_err());

    let trusting = config(&endpoint, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", file.path().to_str().unwrap())]);
    let trusting = Telemetry::start(trusting);
    finish(&trusting.tracer());
    let request = timeout(WAIT, seen.traces.recv()).await.unwrap().unwrap();
    assert_eq!(request.metadata().get("x-otlp-api-key").unwrap(), "secret");
    trusting.shutdown(WAIT);
}

/// Reads one HTTP/1.1 request with a length, answers it with `status`, and returns its head and body.
fn serve_http(stream: &mut std::net::TcpStream, status: &str) -> (String, Vec<u8>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        head.push_str(&std::mem::take(&mut line).to_ascii_lowercase());
    }
    let length = head.split_once("content-length: ").unwrap().1.lines().next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    (head, body)
}

#[test]
fn protobuf_over_http_is_spoken_where_asked_for() {
    use prost::Message;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let telemetry = Telemetry::start(config(
        &endpoint,
        &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "none"),
        ],
    ));
    let context = finish(&telemetry.tracer());
    // A receiver that is busy is asked again.
    for status in ["503 Service Unavailable", "200 OK"] {
        let (mut stream, _) = listener.accept().unwrap();
        let (head, body) = serve_http(&mut stream, status);
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        assert!(
            head.contains("content-type: application/x-protobuf") && head.contains("x-otlp-api-key: secret"),
            "{head}"
        );
        let request = ExportTraceServiceRequest::decode(&*body).unwrap();
        assert_eq!(request.resource_spans[0].scope_spans[0].spans[0].span_id, context.span_id.0);
    }
    telemetry.shutdown(WAIT);
}

#[test]
fn disabled_sends_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let telemetry = Telemetry::start(config(&endpoint, &[("OTEL_SDK_DISABLED", "true")]));
    finish(&telemetry.tracer());
    telemetry.meter().counter("things", "{thing}", "Things").add(7);
    // What is exported is sent before this returns, or times out.
    telemetry.shutdown(Duration::from_secs(2));
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
