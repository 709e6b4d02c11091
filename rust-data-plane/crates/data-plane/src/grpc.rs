use std::pin::Pin;
use std::time::Instant;

use contracts::hybrid::pricing::v1::pricing_service_server::{PricingService, PricingServiceServer};
use contracts::hybrid::pricing::v1::{
    QuoteError as WireError, QuoteRequest, QuoteResponse, QuoteStreamRequest, QuoteStreamResponse,
    quote_stream_response,
};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderName};
use lifecycle::Draining;
use pricing::QuoteError;
use telemetry::{Meter, TraceContext};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::metrics::Calls;
use crate::quotes::{Operation, Quotes};
use crate::wire::Basket;

/// Domain of the errors' `ErrorInfo`.
const DOMAIN: &str = "hybrid.pricing";
/// A message may be this large, either way.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;

const QUOTE: &str = "hybrid.pricing.v1.PricingService/Quote";
const QUOTE_STREAM: &str = "hybrid.pricing.v1.PricingService/QuoteStream";
const UNARY: Operation = Operation { name: QUOTE, attributes: &[("rpc.system.name", "grpc"), ("rpc.method", QUOTE)] };
const STREAMED: Operation =
    Operation { name: QUOTE_STREAM, attributes: &[("rpc.system.name", "grpc"), ("rpc.method", QUOTE_STREAM)] };

/// `hybrid.pricing.v1.PricingService`.
#[derive(Clone)]
pub(crate) struct Pricing {
    quotes: Quotes,
    draining: Draining,
    unary: Calls,
    streamed: Calls,
}

impl Pricing {
    pub(crate) fn new(quotes: Quotes, draining: Draining, meter: &Meter) -> Self {
        Self { quotes, draining, unary: Calls::new(meter, QUOTE), streamed: Calls::new(meter, QUOTE_STREAM) }
    }

    pub(crate) fn server(self) -> PricingServiceServer<Self> {
        PricingServiceServer::new(self).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE)
    }

    /// Whether a quote is priced as soon as it is asked for.
    pub(crate) fn is_immediate(&self) -> bool {
        self.quotes.is_immediate()
    }

    /// Answers `Quote` without tonic, and appends the encoded answer to `out`; none when `message` is no plain request.
    pub(crate) fn quote_at_once(
        &self,
        headers: &HeaderMap,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Result<(), Status>> {
        let start = Instant::now();
        let basket = Basket::read(message)?;
        let result = self.quotes.answer_at_once(&basket, parent(headers), UNARY, out);
        self.unary.record(&result, start.elapsed());
        Some(result.map_err(|error| status(&error)))
    }
}

#[tonic::async_trait]
impl PricingService for Pricing {
    async fn quote(&self, request: Request<QuoteRequest>) -> Result<Response<QuoteResponse>, Status> {
        let start = Instant::now();
        let parent = parent(request.metadata().as_ref());
        let result = self.quotes.answer(request.into_inner(), parent, UNARY).await;
        self.unary.record(&result, start.elapsed());
        result.map(Response::new).map_err(|error| status(&error))
    }

    type QuoteStreamStream = Pin<Box<dyn Stream<Item = Result<QuoteStreamResponse, Status>> + Send>>;

    async fn quote_stream(
        &self,
        request: Request<tonic::Streaming<QuoteStreamRequest>>,
    ) -> Result<Response<Self::QuoteStreamStream>, Status> {
        let parent = parent(request.metadata().as_ref());
        let (pricing, draining) = (self.clone(), self.draining.clone());
        let answers = request.into_inner().take_until(draining.begun()).then(move |message| {
            let pricing = pricing.clone();
            async move {
                let QuoteStreamRequest { correlation_id, quote } = message?;
                let start = Instant::now();
                let result = pricing.quotes.answer(quote.unwrap_or_default(), parent, STREAMED).await;
                pricing.streamed.record(&result, start.elapsed());
                let result = match result {
                    Ok(quote) => quote_stream_response::Result::Quote(quote),
                    Err(error) => quote_stream_response::Result::Error(wire_error(&error)),
                };
                Ok(QuoteStreamResponse { correlation_id, result: Some(result) })
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

fn parent(headers: &HeaderMap) -> Option<TraceContext> {
    const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    TraceContext::parse(headers.get(TRACEPARENT)?.as_bytes()).ok()
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
