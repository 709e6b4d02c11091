use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::QuoteResponse;
use pricing::{Instant, Quote, QuoteError, Request, Snapshot};
use snapshot_client::Snapshots;
use telemetry::{Kind, Status, Tracer};

use crate::answered::{Answered, QuoteId};
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
