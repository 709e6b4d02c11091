use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use contracts::hybrid::pricing::v1::{PricedLine, QuoteRequest, QuoteResponse};
use pricing::{Instant, QuoteError, Request};
use prost::Message;
use prost_types::Timestamp;
use rand::RngExt;
use snapshot_client::Snapshots;
use telemetry::{Attribute, Kind, Span, Status, TraceContext, Tracer};

use crate::events::{Events, TOPIC};

/// Answers quotes, whatever they come in by.
#[derive(Clone)]
pub(crate) struct Quotes(Arc<Shared>);

struct Shared {
    snapshots: Snapshots,
    events: Arc<Events>,
    tracer: Tracer,
    delay: Option<Duration>,
}

/// How a quote came in.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    /// Name of its span.
    pub(crate) name: &'static str,
    pub(crate) attributes: &'static [(&'static str, &'static str)],
}

impl Quotes {
    pub(crate) fn new(snapshots: Snapshots, events: Arc<Events>, tracer: Tracer, delay: Option<Duration>) -> Self {
        Self(Arc::new(Shared { snapshots, events, tracer, delay }))
    }

    /// Whether nothing delays a quote.
    pub(crate) fn is_immediate(&self) -> bool {
        self.0.delay.is_none()
    }

    /// Prices one basket, and reports it.
    pub(crate) async fn answer(
        &self,
        request: QuoteRequest,
        parent: Option<TraceContext>,
        operation: Operation,
    ) -> Result<QuoteResponse, QuoteError> {
        let start = SystemTime::now();
        if let Some(delay) = self.0.delay {
            tokio::time::sleep(delay).await;
        }
        self.price_and_report(start, request, parent, operation, &mut BytesMut::new())
    }

    /// Prices one basket without delay, reports it, and appends the encoded `QuoteResponse` to `out`.
    pub(crate) fn encode(
        &self,
        request: QuoteRequest,
        parent: Option<TraceContext>,
        operation: Operation,
        out: &mut BytesMut,
    ) -> Result<(), QuoteError> {
        self.price_and_report(SystemTime::now(), request, parent, operation, out).map(drop)
    }

    fn price_and_report(
        &self,
        start: SystemTime,
        request: QuoteRequest,
        parent: Option<TraceContext>,
        operation: Operation,
        out: &mut BytesMut,
    ) -> Result<QuoteResponse, QuoteError> {
        let context = self.0.tracer.start(parent.as_ref());
        let result = self.price(request);
        if let Ok(quote) = &result {
            let from = out.len();
            // A buffer that grows never lacks room.
            let _ = quote.encode(out);
            self.report(quote, &out[from..], &context);
        }
        self.0.tracer.finish(context, || Span {
            context,
            parent: parent.map(|parent| parent.span_id),
            name: operation.name.into(),
            kind: Kind::Server,
            start,
            end: SystemTime::now(),
            attributes: attributes(operation, &result),
            links: Vec::new(),
            status: match &result {
                Err(error @ QuoteError::SnapshotMissing) => Status::Error(error.to_string()),
                _ => Status::Unset,
            },
        });
        result
    }

    fn price(&self, request: QuoteRequest) -> Result<QuoteResponse, QuoteError> {
        let snapshot = self.0.snapshots.load();
        let snapshot = snapshot.as_deref().ok_or(QuoteError::SnapshotMissing)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let priced_at =
            Timestamp { seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX), nanos: now.subsec_nanos() as i32 };
        let basket = Request {
            currency_code: &request.currency_code,
            jurisdiction: &request.jurisdiction,
            lines: request.lines.iter().map(|line| (line.sku.as_str(), line.quantity)),
            coupons: &request.coupons,
        };
        let now_instant = Instant { seconds: priced_at.seconds, nanos: priced_at.nanos };
        let quote = pricing::quote(snapshot, basket, now_instant)?;
        let lines = request
            .lines
            .into_iter()
            .zip(&quote.lines)
            .map(|(asked, line)| PricedLine {
                sku: asked.sku,
                quantity: asked.quantity,
                unit_price_minor: line.unit_price_minor,
                discount_minor: line.discount_minor,
                net_minor: line.net_minor,
                tax_minor: line.tax_minor,
                gross_minor: line.gross_minor,
                tax_rate_ppm: line.tax_rate_ppm,
                promotion_id: line.promotion_id.map_or_else(String::new, str::to_owned),
            })
            .collect();
        Ok(QuoteResponse {
            quote_id: quote_id(now),
            snapshot_version: quote.snapshot_version,
            priced_at: Some(priced_at),
            currency_code: request.currency_code,
            jurisdiction: request.jurisdiction,
            lines,
            discount_minor: quote.totals.discount_minor,
            net_minor: quote.totals.net_minor,
            tax_minor: quote.totals.tax_minor,
            gross_minor: quote.totals.gross_minor,
        })
    }

    /// The event names the span that sent it, or the quote's own context when that is not recorded.
    fn report(&self, quote: &QuoteResponse, encoded: &[u8], context: &TraceContext) {
        if !context.sampled {
            self.0.events.publish(quote, encoded, context);
            return;
        }
        let start = SystemTime::now();
        let sending = self.0.tracer.start(Some(context));
        self.0.events.publish(quote, encoded, &sending);
        self.0.tracer.finish(sending, || Span {
            context: sending,
            parent: Some(context.span_id),
            name: "hybrid.quotes.v1 publish".into(),
            kind: Kind::Producer,
            start,
            end: SystemTime::now(),
            attributes: vec![
                ("messaging.system", "kafka".into()),
                ("messaging.operation.name", "publish".into()),
                ("messaging.destination.name", TOPIC.into()),
                ("messaging.kafka.message.key", quote.quote_id.clone().into()),
            ],
            links: Vec::new(),
            status: Status::Unset,
        });
    }
}

/// A UUIDv7. Its random part comes from the thread's own generator, which asks the system only now and then.
fn quote_id(now: Duration) -> String {
    let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::rng().random()).into_uuid().to_string()
}

fn attributes(operation: Operation, result: &Result<QuoteResponse, QuoteError>) -> Vec<Attribute> {
    let mut attributes: Vec<Attribute> = operation.attributes.iter().map(|&(key, value)| (key, value.into())).collect();
    match result {
        Ok(quote) => {
            attributes.push(("rpc.response.status_code", "OK".into()));
            attributes.push(("hybrid.quote.id", quote.quote_id.clone().into()));
            attributes.push(("hybrid.snapshot.version", quote.snapshot_version.into()));
        }
        Err(error) => {
            attributes.push(("rpc.response.status_code", error.code().name().into()));
            attributes.push(("error.type", error.reason().into()));
        }
    }
    attributes
}
