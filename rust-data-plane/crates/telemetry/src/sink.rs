//! Sends OTLP requests, and says when that begins and ceases to fail.

use std::cell::Cell;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use prost::Message;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::config::{Config, Endpoints, Protocol};
use crate::transport::Connector;

/// Log records of this target are not exported: they would be about their own export.
pub(crate) const TARGET: &str = "telemetry::export";
/// What is not taken after this many attempts is given up; the queues behind are bounded.
const ATTEMPTS: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces = 1,
    Metrics = 2,
    Logs = 4,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    fn grpc_path(self) -> PathAndQuery {
        PathAndQuery::from_static(match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        })
    }
}

/// Where requests go.
pub(crate) struct Sink {
    client: Client<Connector, Body>,
    endpoints: Endpoints,
    protocol: Protocol,
    headers: HeaderMap,
    timeout: Duration,
    /// The signals that did not reach their receiver, as bits.
    unreached: Cell<u8>,
    /// The signals whose last request was refused, as bits.
    refused: Cell<u8>,
}

/// Why an attempt failed.
struct Failure {
    cause: String,
    /// Whether another attempt may succeed.
    transient: bool,
}

impl Sink {
    pub(crate) fn new(config: &Config) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(config.protocol == Protocol::Grpc)
            .build(Connector { tls: config.tls.clone() });
        Self {
            client,
            endpoints: config.endpoints.clone(),
            protocol: config.protocol,
            headers: config.headers.clone(),
            timeout: config.timeout,
            unreached: Cell::new(0),
            refused: Cell::new(0),
        }
    }

    /// Sends `message`, where its signal has an endpoint. An outage is logged when it begins and when it ends.
    pub(crate) async fn send<M: Message + Clone + 'static>(&self, signal: Signal, message: M) {
        let Some(endpoint) = self.endpoint(signal) else { return };
        for attempt in 1..=ATTEMPTS {
            let result = match timeout(self.timeout, self.attempt(endpoint, signal, &message)).await {
                Ok(result) => result,
                Err(_) => Err(Failure { cause: format!("no answer within {:?}", self.timeout), transient: true }),
            };
            match result {
                Ok(()) => return self.succeeded(signal, endpoint),
                Err(failure) if attempt == ATTEMPTS || !failure.transient => {
                    return self.failed(signal, endpoint, &failure);
                }
                Err(_) => tokio::time::sleep(RETRY_AFTER * attempt).await,
            }
        }
    }

    async fn attempt<M: Message + Clone + 'static>(
        &self,
        endpoint: &Uri,
        signal: Signal,
        message: &M,
    ) -> Result<(), Failure> {
        match self.protocol {
            Protocol::Grpc => self.grpc(endpoint, signal, message).await.map_err(|status| Failure {
                transient: !matches!(
                    status.code(),
                    Code::InvalidArgument
                        | Code::Unauthenticated
                        | Code::PermissionDenied
                        | Code::Unimplemented
                        | Code::NotFound
                ),
                cause: match status.source() {
                    Some(source) => causes(source),
                    None => format!("{}: {}", status.code(), status.message()),
                },
            }),
            Protocol::HttpProtobuf => self.http(endpoint, message.encode_to_vec().into()).await,
        }
    }

    async fn grpc<M: Message + Clone + 'static>(
        &self,
        endpoint: &Uri,
        signal: Signal,
        message: &M,
    ) -> Result<(), Status> {
        let mut call = Grpc::with_origin(self.client.clone(), origin(endpoint));
        call.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = tonic::Request::new(message.clone());
        *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
        // The answer may name records that were refused; nothing can be done about them.
        call.unary(request, signal.grpc_path(), ProstCodec::<M, ()>::default()).await.map(drop)
    }

    async fn http(&self, endpoint: &Uri, body: Bytes) -> Result<(), Failure> {
        let mut request = Request::new(Body::new(Full::new(body)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/x-protobuf"));
        let response =
            self.client.request(request).await.map_err(|error| Failure { cause: causes(&error), transient: true })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let transient = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        Err(Failure { cause: status.to_string(), transient })
    }

    fn endpoint(&self, signal: Signal) -> Option<&Uri> {
        match signal {
            Signal::Traces => self.endpoints.traces.as_ref(),
            Signal::Metrics => self.endpoints.metrics.as_ref(),
            Signal::Logs => self.endpoints.logs.as_ref(),
        }
    }

    /// The signals that go to the same receiver as `signal`, as bits.
    fn receiver(&self, signal: Signal) -> u8 {
        let authority = |signal| self.endpoint(signal).and_then(Uri::authority);
        let same = |other: &Signal| authority(*other) == authority(signal);
        [Signal::Traces, Signal::Metrics, Signal::Logs]
            .into_iter()
            .filter(same)
            .fold(0, |bits, other| bits | other as u8)
    }

    fn failed(&self, signal: Signal, endpoint: &Uri, failure: &Failure) {
        // A receiver that is away fails all its signals, one that refuses a signal only that one.
        let (failing, group) = match failure.transient {
            true => (&self.unreached, self.receiver(signal)),
            false => (&self.refused, signal as u8),
        };
        if failing.replace(failing.get() | signal as u8) & group == 0 {
            let (signal, cause) = (signal.name(), failure.cause.as_str());
            tracing::warn!(target: TARGET, signal, %endpoint, cause, "telemetry cannot be exported");
        }
    }

    fn succeeded(&self, signal: Signal, endpoint: &Uri) {
        let receiver = self.receiver(signal);
        let unreached = self.unreached.replace(self.unreached.get() & !receiver) & receiver;
        let refused = self.refused.replace(self.refused.get() & !(signal as u8)) & signal as u8;
        if unreached | refused != 0 {
            tracing::info!(target: TARGET, signal = signal.name(), %endpoint, "telemetry is exported again");
        }
    }
}

/// Scheme and authority of `endpoint`: a method's path follows it directly.
fn origin(endpoint: &Uri) -> Uri {
    let mut parts = endpoint.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_default()
}

/// An error and what caused it, the innermost last.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}
