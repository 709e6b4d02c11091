use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::pricing_service_server::{PricingService, PricingServiceServer};
use contracts::hybrid::pricing::v1::{
    QuoteError as WireError, QuoteResponse, QuoteStreamRequest, QuoteStreamResponse, quote_stream_response,
};
use futures_util::{Stream, StreamExt};
use http::uri::Authority;
use lifecycle::Draining;
use pricing::QuoteError;
use telemetry::{Kind, Meter, Status as SpanStatus};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::answered::Answered;
use crate::metrics::{Calls, code_name, is_server_error};
use crate::quotes::Quotes;
use crate::trace::{Details, Parent, Trace, server_attributes};
use crate::wire::Basket;

/// Domain of the errors' `ErrorInfo`.
const DOMAIN: &str = "hybrid.pricing";
/// A message may be this large, either way.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;
/// The body of a quote has this long to arrive, on either port.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

const QUOTE: &str = "hybrid.pricing.v1.PricingService/Quote";
const QUOTE_STREAM: &str = "hybrid.pricing.v1.PricingService/QuoteStream";
const CHECK: &str = "grpc.health.v1.Health/Check";
const WATCH: &str = "grpc.health.v1.Health/Watch";
/// OpenTelemetry's name of a method that the server does not know.
const OTHER: &str = "_OTHER";
/// A stream on which nothing is asked for this long is ended.
const STREAM_IDLE: Duration = Duration::from_secs(300);

/// `hybrid.pricing.v1.PricingService`.
#[derive(Clone)]
pub(crate) struct Pricing {
    quotes: Quotes,
    draining: Draining,
    /// How long a stream may be open on which nothing is asked.
    idle: Duration,
    unary: Calls,
    streamed: Calls,
    checks: Calls,
    watches: Calls,
    other: Calls,
}

/// A method, as calls of it are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Quote,
    QuoteStream,
    Check,
    Watch,
    /// One that the server does not know.
    Other,
}

impl Method {
    pub(crate) fn of(path: &str) -> Self {
        match path.strip_prefix('/') {
            Some(QUOTE) => Self::Quote,
            Some(QUOTE_STREAM) => Self::QuoteStream,
            Some(CHECK) => Self::Check,
            Some(WATCH) => Self::Watch,
            _ => Self::Other,
        }
    }
}

impl Pricing {
    pub(crate) fn new(quotes: Quotes, draining: Draining, meter: &Meter) -> Self {
        let calls = |method| Calls::new(meter, method);
        let (unary, streamed, checks, watches, other) =
            (calls(QUOTE), calls(QUOTE_STREAM), calls(CHECK), calls(WATCH), calls(OTHER));
        Self { quotes, draining, idle: STREAM_IDLE, unary, streamed, checks, watches, other }
    }

    /// With streams that end when nothing is asked for as long.
    #[cfg(test)]
    pub(crate) fn idle_after(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    pub(crate) fn server(self) -> PricingServiceServer<Self> {
        PricingServiceServer::new(self).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE)
    }

    /// Whether a quote is priced as soon as it is asked for.
    pub(crate) fn is_immediate(&self) -> bool {
        self.quotes.is_immediate()
    }

    /// Answers `Quote` as of `now` without tonic, for a call that arrived at `arrived`, and appends the encoded answer to `out`;
    /// none when `message` is no plain request.
    pub(crate) fn quote_at_once<B>(
        &self,
        request: &http::Request<B>,
        message: &[u8],
        (arrived, now): (Instant, SystemTime),
        out: &mut Vec<u8>,
    ) -> Option<Result<(), Status>> {
        let basket = Basket::read(message)?;
        let parent = Parent::read(request.headers());
        let trace = Trace::start(self.quotes.tracer(), &parent);
        let result = self.quotes.answer_at_once(&basket, now, &trace, out);
        self.unary.record(code(result.as_ref()), arrived.elapsed());
        self.finish(&trace, QUOTE, now, request.uri().authority(), result.as_ref());
        Some(result.map(drop).map_err(|error| status(&error)))
    }

    /// A call has ended with `code`, other than by `quote_at_once`. Of a stream each quote has been counted, so the stream itself
    /// is counted only where it fails.
    pub(crate) fn ended(&self, method: Method, code: Code, duration: Duration) {
        let calls = match method {
            Method::QuoteStream if code == Code::Ok => return,
            Method::Quote => &self.unary,
            Method::QuoteStream => &self.streamed,
            Method::Check => &self.checks,
            Method::Watch => &self.watches,
            Method::Other => &self.other,
        };
        calls.record(code_name(code), duration);
    }

    async fn streamed_quote(
        &self,
        request: QuoteRequest,
        parent: &Parent<'_>,
        authority: Option<&Authority>,
    ) -> quote_stream_response::Result {
        let (start, at) = (Instant::now(), SystemTime::now());
        let trace = Trace::start(self.quotes.tracer(), parent);
        let result = self.quotes.answer(request, &trace).await;
        let answered = result.as_ref().map(|(_, answered)| answered);
        self.streamed.record(code(answered), start.elapsed());
        self.finish(&trace, QUOTE_STREAM, at, authority, answered);
        match result {
            Ok((response, _)) => quote_stream_response::Result::Quote(response),
            Err(error) => quote_stream_response::Result::Error(wire_error(&error)),
        }
    }

    fn finish(
        &self,
        trace: &Trace<'_>,
        method: &'static str,
        start: SystemTime,
        authority: Option<&Authority>,
        result: Result<&Answered, &QuoteError>,
    ) {
        trace.finish(self.quotes.tracer(), Kind::Server, start, || {
            let code = code(result);
            let mut attributes = Answered::attributes(result.map_err(QuoteError::reason));
            attributes.extend([
                ("rpc.system.name", "grpc".into()),
                ("rpc.method", method.into()),
                ("rpc.response.status_code", code.into()),
            ]);
            attributes.extend(server_attributes(authority));
            let status = match result {
                Err(error) if is_server_error(code) => {
                    attributes.push(("error.type", code.into()));
                    SpanStatus::Error(error.to_string())
                }
                _ => SpanStatus::Unset,
            };
            Details { name: method.into(), attributes, status }
        });
    }
}

#[tonic::async_trait]
impl PricingService for Pricing {
    /// `http2` records the duration of calls that it passes to tonic.
    async fn quote(&self, request: Request<QuoteRequest>) -> Result<Response<QuoteResponse>, Status> {
        let start = SystemTime::now();
        let (metadata, extensions, message) = request.into_parts();
        let headers = metadata.into_headers();
        let parent = Parent::read(&headers);
        let trace = Trace::start(self.quotes.tracer(), &parent);
        let result = self.quotes.answer(message, &trace).await;
        self.finish(&trace, QUOTE, start, extensions.get(), result.as_ref().map(|(_, answered)| answered));
        result.map(|(response, _)| Response::new(response)).map_err(|error| status(&error))
    }

    type QuoteStreamStream = Pin<Box<dyn Stream<Item = Result<QuoteStreamResponse, Status>> + Send>>;

    async fn quote_stream(
        &self,
        request: Request<tonic::Streaming<QuoteStreamRequest>>,
    ) -> Result<Response<Self::QuoteStreamStream>, Status> {
        let (metadata, extensions, messages) = request.into_parts();
        let parent = Arc::new(Parent::read(metadata.as_ref()).into_owned());
        let authority = extensions.get::<Authority>().cloned();
        let (pricing, draining) = (self.clone(), self.draining.clone());
        let requests = Box::pin(until_the_drain(messages, draining, self.idle));
        let answers = requests.then(move |message| {
            let (pricing, parent, authority) = (pricing.clone(), Arc::clone(&parent), authority.clone());
            async move {
                let QuoteStreamRequest { correlation_id, quote } = message?;
                let result = pricing.streamed_quote(quote.unwrap_or_default(), &parent, authority.as_ref()).await;
                Ok(QuoteStreamResponse { correlation_id, result: Some(result) })
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// The requests of a stream. The drain, or a long silence, ends it with an error, so that its caller knows that what has not
/// been answered will not be.
fn until_the_drain<S>(
    requests: S,
    draining: Draining,
    idle: Duration,
) -> impl Stream<Item = Result<QuoteStreamRequest, Status>>
where
    S: Stream<Item = Result<QuoteStreamRequest, Status>> + Unpin,
{
    let begun = Box::pin(draining.begun());
    futures_util::stream::unfold(Some((requests, begun)), move |open| async move {
        let (mut requests, mut begun) = open?;
        let refusal = tokio::select! {
            biased;
            () = &mut begun => refusal(Code::Unavailable, "DRAINING", "the node is shutting down: ask another one"),
            request = requests.next() => return request.map(|request| (request, Some((requests, begun)))),
            () = tokio::time::sleep(idle) => refusal(Code::Cancelled, "IDLE", "nothing was asked for too long"),
        };
        Some((Err(refusal), None))
    })
}

/// The answer to a call whose deadline has passed.
pub(crate) fn late() -> Status {
    refusal(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline has passed")
}

/// The answer to a call for which its connection, or the process, has no room.
pub(crate) fn busy(message: &str) -> Status {
    refusal(Code::ResourceExhausted, "CONNECTION_BUSY", message)
}

fn refusal(code: Code, reason: &str, message: &str) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, []))
}

fn code(result: Result<&Answered, &QuoteError>) -> &'static str {
    result.map_or_else(|error| error.code().name(), |_| "OK")
}

fn status(error: &QuoteError) -> Status {
    let (message, field) = (error.to_string(), error.field());
    let mut details = ErrorDetails::with_error_info(error.reason(), DOMAIN, []);
    if !field.is_empty() {
        details.add_bad_request_violation(field, &message);
    }
    Status::with_error_details(Code::from_i32(error.code() as i32), message, details)
}

fn wire_error(error: &QuoteError) -> WireError {
    WireError {
        code: error.code() as i32,
        reason: error.reason().into(),
        field: error.field(),
        message: error.to_string(),
    }
}
