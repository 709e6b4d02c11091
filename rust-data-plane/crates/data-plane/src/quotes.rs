use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contracts::hybrid::pricing::v1::{QuoteRequest, QuoteResponse};
use pricing::{Instant, QuoteError, Request};
use prost::Message;
use rand::RngExt;
use snapshot_client::Snapshots;
use telemetry::{Attribute, Kind, Span, Status, TraceContext, Tracer};
use uuid::fmt::Hyphenated;

use crate::events::{Events, TOPIC};
use crate::wire::{self, Basket};

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
        let mut encoded = Vec::new();
        self.price_and_report(start, SystemTime::now(), &Basket::from(&request), parent, operation, &mut encoded)?;
        // What was just written can be read.
        Ok(QuoteResponse::decode(&*encoded).unwrap_or_default())
    }

    /// Prices one basket without delay, reports it, and appends the encoded `QuoteResponse` to `out`.
    pub(crate) fn answer_at_once(
        &self,
        basket: &Basket<'_>,
        parent: Option<TraceContext>,
        operation: Operation,
        out: &mut Vec<u8>,
    ) -> Result<(), QuoteError> {
        let now = SystemTime::now();
        self.price_and_report(now, now, basket, parent, operation, out)
    }

    fn price_and_report(
        &self,
        start: SystemTime,
        now: SystemTime,
        basket: &Basket<'_>,
        parent: Option<TraceContext>,
        operation: Operation,
        out: &mut Vec<u8>,
    ) -> Result<(), QuoteError> {
        let context = self.0.tracer.start(parent.as_ref());
        let from = out.len();
        let result = self.price(basket, now, out);
        if let Ok(answered) = &result {
            self.report(answered, &out[from..], &context);
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
        result.map(drop)
    }

    fn price(&self, basket: &Basket<'_>, now: SystemTime, out: &mut Vec<u8>) -> Result<Answered, QuoteError> {
        let snapshot = self.0.snapshots.load();
        let snapshot = snapshot.as_deref().ok_or(QuoteError::SnapshotMissing)?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = Instant {
            seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            nanos: now.subsec_nanos().cast_signed(),
        };
        let request = Request {
            currency_code: basket.currency_code,
            jurisdiction: basket.jurisdiction,
            lines: basket.lines.iter().copied(),
            coupons: &basket.coupons,
        };
        let quote = pricing::quote(snapshot, request, at)?;
        let answered = Answered { id: QuoteId::new(now), at, snapshot_version: quote.snapshot_version };
        wire::write_response(answered.id.as_str(), at, basket, &quote, out);
        Ok(answered)
    }

    /// The event names the span that sent it, or the quote's own context when that is not recorded.
    fn report(&self, quote: &Answered, encoded: &[u8], context: &TraceContext) {
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
                ("messaging.kafka.message.key", quote.id.as_str().to_owned().into()),
            ],
            links: Vec::new(),
            status: Status::Unset,
        });
    }
}

/// What is known of a quote once it is encoded.
pub(crate) struct Answered {
    pub(crate) id: QuoteId,
    pub(crate) at: Instant,
    snapshot_version: i64,
}

/// A UUIDv7, as text.
pub(crate) struct QuoteId([u8; Hyphenated::LENGTH]);

impl QuoteId {
    /// Its random part comes from the thread's own generator, which asks the system only now and then.
    fn new(now: Duration) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &rand::rng().random()).into_uuid();
        let mut text = [0; Hyphenated::LENGTH];
        id.hyphenated().encode_lower(&mut text);
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Hexadecimal digits and hyphens.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn attributes(operation: Operation, result: &Result<Answered, QuoteError>) -> Vec<Attribute> {
    let mut attributes: Vec<Attribute> = operation.attributes.iter().map(|&(key, value)| (key, value.into())).collect();
    match result {
        Ok(quote) => {
            attributes.push(("rpc.response.status_code", "OK".into()));
            attributes.push(("hybrid.quote.id", quote.id.as_str().to_owned().into()));
            attributes.push(("hybrid.snapshot.version", quote.snapshot_version.into()));
        }
        Err(error) => {
            attributes.push(("rpc.response.status_code", error.code().name().into()));
            attributes.push(("error.type", error.reason().into()));
        }
    }
    attributes
}
