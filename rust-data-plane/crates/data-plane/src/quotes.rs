use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::QuoteResponse;
use pricing::{Instant, QuoteError, Request};
use prost::Message;
use snapshot_client::Snapshots;
use telemetry::{Attribute, Kind, Status, Tracer};
use uuid::fmt::Hyphenated;

use crate::events::{Events, TOPIC};
use crate::trace::{Details, Trace};
use crate::wire::{self, Basket};

/// Prices quotes, independent of the protocol.
#[derive(Clone)]
pub(crate) struct Quotes(Arc<Shared>);

struct Shared {
    snapshots: Snapshots,
    events: Arc<Events>,
    tracer: Tracer,
    delay: Option<Duration>,
}

impl Quotes {
    pub(crate) fn new(snapshots: Snapshots, events: Arc<Events>, tracer: Tracer, delay: Option<Duration>) -> Self {
        Self(Arc::new(Shared { snapshots, events, tracer, delay }))
    }

    /// Whether nothing delays a quote.
    pub(crate) fn is_immediate(&self) -> bool {
        self.0.delay.is_none()
    }

    /// Starts and takes the spans of requests.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.0.tracer
    }

    /// Prices one basket, and reports it as a part of `trace`.
    pub(crate) async fn answer(
        &self,
        request: QuoteRequest,
        trace: &Trace<'_>,
    ) -> Result<(QuoteResponse, Answered), QuoteError> {
        if let Some(delay) = self.0.delay {
            tokio::time::sleep(delay).await;
        }
        let mut encoded = Vec::new();
        let answered = self.answer_at_once(&Basket::from(&request), SystemTime::now(), trace, &mut encoded)?;
        // The bytes were encoded above, so they decode.
        Ok((QuoteResponse::decode(&*encoded).unwrap_or_default(), answered))
    }

    /// Prices one basket as of `now` without delay, reports it as a part of `trace`, and appends the encoded `QuoteResponse`
    /// to `out`.
    pub(crate) fn answer_at_once(
        &self,
        basket: &Basket<'_>,
        now: SystemTime,
        trace: &Trace<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Answered, QuoteError> {
        let from = out.len();
        let answered = self.price(basket, now, out)?;
        self.report(&answered, &out[from..], trace);
        Ok(answered)
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

    /// The event names the span that sent it, or the request's own context when that is not recorded.
    fn report(&self, quote: &Answered, encoded: &[u8], trace: &Trace<'_>) {
        if !trace.context.sampled {
            self.0.events.publish(quote, encoded, trace);
            return;
        }
        let start = SystemTime::now();
        let sending = trace.child(&self.0.tracer);
        self.0.events.publish(quote, encoded, &sending);
        sending.finish(&self.0.tracer, Kind::Producer, start, || Details {
            name: "publish hybrid.quotes.v1".into(),
            attributes: vec![
                ("messaging.system", "kafka".into()),
                ("messaging.operation.name", "publish".into()),
                ("messaging.operation.type", "send".into()),
                ("messaging.destination.name", TOPIC.into()),
                ("messaging.message.id", quote.id.as_str().to_owned().into()),
            ],
            status: Status::Unset,
        });
    }
}

/// A quote that has been priced and encoded.
pub(crate) struct Answered {
    pub(crate) id: QuoteId,
    pub(crate) at: Instant,
    snapshot_version: i64,
}

/// A UUIDv7, as text.
#[derive(Clone, Copy)]
pub(crate) struct QuoteId([u8; Hyphenated::LENGTH]);

impl QuoteId {
    fn new(now: Duration) -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        contracts::time_ordered_id(now).hyphenated().encode_lower(&mut text);
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Hexadecimal digits and hyphens.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Answered {
    /// A quote that was priced then.
    #[cfg(test)]
    pub(crate) fn at(at: Instant) -> Self {
        Self { id: QuoteId::new(Duration::from_secs(at.seconds.unsigned_abs())), at, snapshot_version: 1 }
    }

    /// The attributes of a span for the quote, or for the reason of the error.
    pub(crate) fn attributes(result: Result<&Self, &'static str>) -> Vec<Attribute> {
        match result {
            Ok(quote) => vec![
                ("hybrid.quote.id", quote.id.as_str().to_owned().into()),
                ("hybrid.snapshot.version", quote.snapshot_version.into()),
            ],
            Err(reason) => vec![("hybrid.error.reason", reason.into())],
        }
    }
}
