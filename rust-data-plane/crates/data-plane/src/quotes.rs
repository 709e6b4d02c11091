use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::QuoteResponse;
use pricing::{Instant, Quote, QuoteError, Request, Snapshot};
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
        let snapshot = self.0.snapshots.load();
        let basket = Basket::from(&request);
        let (quote, answered) = price(snapshot.as_deref(), &basket, SystemTime::now())?;
        let mut encoded = Vec::new();
        wire::write_response(answered.id.as_bytes(), answered.at, &basket, &quote, &mut encoded);
        self.report(&answered, &encoded, trace);
        Ok((wire::response(answered.id.to_string(), answered.at, request, &quote), answered))
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
        let snapshot = self.0.snapshots.load();
        let (quote, answered) = price(snapshot.as_deref(), basket, now)?;
        wire::write_response(answered.id.as_bytes(), answered.at, basket, &quote, out);
        self.report(&answered, &out[from..], trace);
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
                ("messaging.message.id", quote.id.to_string().into()),
            ],
            status: Status::Unset,
        });
    }
}

/// Prices one basket as of `now`, and gives the quote its id.
fn price<'s>(
    snapshot: Option<&'s Snapshot>,
    basket: &Basket<'_>,
    now: SystemTime,
) -> Result<(Quote<'s>, Answered), QuoteError> {
    let snapshot = snapshot.ok_or(QuoteError::SnapshotMissing)?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at =
        Instant { seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX), nanos: now.subsec_nanos().cast_signed() };
    let request = Request {
        currency_code: basket.currency_code,
        jurisdiction: basket.jurisdiction,
        lines: basket.lines.iter().copied(),
        coupons: &basket.coupons,
    };
    let quote = pricing::quote(snapshot, request, at)?;
    let answered = Answered { id: QuoteId::new(now), at, snapshot_version: quote.snapshot_version };
    Ok((quote, answered))
}

/// A quote that has been priced.
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

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for QuoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| f.write_char(byte.into()))
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
                ("hybrid.quote.id", quote.id.to_string().into()),
                ("hybrid.snapshot.version", quote.snapshot_version.into()),
            ],
            Err(reason) => vec![("hybrid.error.reason", reason.into())],
        }
    }
}
