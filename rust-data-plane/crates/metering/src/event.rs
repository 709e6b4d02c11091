use contracts::hybrid::pricing::v1::QuoteResponse;
use contracts::hybrid::usage::v1::{PricedQuote, QuotePriced};
use kafka::message::Header;
use prost::Message;
use prost::bytes::Bytes;
use telemetry::{Link, TraceContext, TraceState};
use thiserror::Error;

/// Of a record with one quote.
const ONE: &[u8] = b"hybrid.pricing.quote.priced.v1";
/// Of a record with many.
const MANY: &[u8] = b"hybrid.pricing.quotes.priced.v1";
/// The years 1 to 9999, as `google.protobuf.Timestamp` has them.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Why a record, or a quote of it, is not a priced one, or why its usage cannot be produced. It becomes the header `dead-letter-reason`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Poison {
    #[error("HEADER_MISSING: {0}")]
    HeaderMissing(&'static str),
    #[error("HEADER_INVALID: {0}")]
    HeaderInvalid(&'static str),
    #[error("VALUE_MISSING")]
    ValueMissing,
    #[error("VALUE_INVALID: {0}")]
    ValueInvalid(prost::DecodeError),
    #[error("FIELD_INVALID: {0}")]
    FieldInvalid(&'static str),
    #[error("AMOUNT_NEGATIVE: lines[{0}]")]
    AmountNegative(usize),
    #[error("TOTALS_MISMATCH")]
    TotalsMismatch,
    #[error("REFUSED: {0}")]
    Refused(String),
}

/// `QuotesPriced` on the wire, with its quotes as they came: one that cannot be read takes no other with it.
#[derive(Clone, PartialEq, Message)]
struct Encoded {
    #[prost(string, tag = "1")]
    node_id: String,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    quotes: Vec<Bytes>,
}

/// What a record holds: at least one quote. Each is decoded when it is asked for, so that what one needs can be used for the next.
#[derive(Clone, Debug)]
pub struct Record(Content);

#[derive(Clone, Debug)]
enum Content {
    One(QuoteResponse),
    Many {
        /// The node that priced them.
        node_id: String,
        quotes: Vec<Bytes>,
    },
}

/// One quote of a record.
#[derive(Clone, Debug)]
pub struct Priced {
    /// The quote, or why it cannot be used.
    pub quote: Result<QuoteResponse, Poison>,
    /// Its own `traceparent` and `tracestate`; none where those of the record's headers hold.
    pub(crate) trace: Option<(String, String)>,
    encoded: Bytes,
}

impl Record {
    /// Its quotes, in their order.
    pub fn quotes(&self) -> impl ExactSizeIterator<Item = Priced> {
        (0..self.len()).map(|index| self.quote(index))
    }

    /// How many quotes it has.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Content::One(_) => 1,
            Content::Many { quotes, .. } => quotes.len(),
        }
    }

    /// The quote at an index below its length.
    pub(crate) fn quote(&self, index: usize) -> Priced {
        match &self.0 {
            Content::One(quote) => Priced { quote: Ok(quote.clone()), trace: None, encoded: Bytes::new() },
            Content::Many { quotes, .. } => Priced::read(quotes[index].clone()),
        }
    }

    /// The value of a record that holds `quote` alone; none where this one does.
    pub(crate) fn alone(&self, quote: &Priced) -> Option<Vec<u8>> {
        let Content::Many { node_id, .. } = &self.0 else { return None };
        Some(Encoded { node_id: node_id.clone(), quotes: vec![quote.encoded.clone()] }.encode_to_vec())
    }
}

impl Priced {
    fn read(encoded: Bytes) -> Self {
        let (quote, trace) = match PricedQuote::decode(&encoded[..]) {
            Ok(PricedQuote { quote, traceparent, tracestate }) => (valid(quote), Some((traceparent, tracestate))),
            Err(error) => (Err(Poison::ValueInvalid(error)), None),
        };
        Self { quote, trace, encoded }
    }

    /// Whether the operation that caused the event may be recorded.
    pub(crate) fn may_be_sampled(&self, headers: &[Header<'_>]) -> bool {
        let parent = self.trace.as_ref().map(|(parent, _)| parent.as_bytes());
        parent.or_else(|| header(headers, "traceparent")).is_some_and(TraceContext::says_sampled)
    }

    /// The operation that caused the event, where it is named. A `tracestate` that cannot be used is left out.
    pub(crate) fn cause(&self, headers: &[Header<'_>]) -> Option<Link> {
        match &self.trace {
            Some((parent, state)) => link(parent.as_bytes(), (!state.is_empty()).then_some(state.as_bytes())),
            None => cause(headers),
        }
    }
}

/// The operation that caused a record, where its headers name it. A `tracestate` that cannot be used is left out.
pub(crate) fn cause(headers: &[Header<'_>]) -> Option<Link> {
    let states = headers.iter().filter(|header| header.key == b"tracestate").filter_map(|header| header.value);
    link(header(headers, "traceparent")?, states)
}

fn link<'a>(parent: &[u8], states: impl IntoIterator<Item = &'a [u8]>) -> Option<Link> {
    let context = TraceContext::parse(parent).ok()?;
    Some(Link { context, state: TraceState::parse(states).map(TraceState::into_owned) })
}

fn header<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.key == name.as_bytes()).and_then(|header| header.value)
}

/// Reads a record of priced quotes.
///
/// # Errors
/// It is no valid event of priced quotes, or of one.
pub fn read(headers: &[Header<'_>], value: Option<&[u8]>) -> Result<Record, Poison> {
    let header = |name: &str| header(headers, name);
    for name in ["ce_specversion", "ce_id", "ce_source", "ce_type"] {
        if header(name).is_none_or(<[u8]>::is_empty) {
            return Err(Poison::HeaderMissing(name));
        }
    }
    if header("ce_specversion") != Some(b"1.0") {
        return Err(Poison::HeaderInvalid("ce_specversion"));
    }
    let value = || value.ok_or(Poison::ValueMissing);
    match header("ce_type") {
        Some(MANY) => {
            let Encoded { node_id, quotes } =
                Encoded::decode(Bytes::copy_from_slice(value()?)).map_err(Poison::ValueInvalid)?;
            if quotes.is_empty() {
                return Err(Poison::FieldInvalid("quotes"));
            }
            Ok(Record(Content::Many { node_id, quotes }))
        }
        Some(ONE) => {
            let event = QuotePriced::decode(value()?).map_err(Poison::ValueInvalid)?;
            Ok(Record(Content::One(valid(event.quote)?)))
        }
        _ => Err(Poison::HeaderInvalid("ce_type")),
    }
}

fn valid(quote: Option<QuoteResponse>) -> Result<QuoteResponse, Poison> {
    let quote = quote.ok_or(Poison::FieldInvalid("quote"))?;
    check(&quote)?;
    Ok(quote)
}

fn check(quote: &QuoteResponse) -> Result<(), Poison> {
    let has_time = quote
        .priced_at
        .as_ref()
        .is_some_and(|at| SECONDS.contains(&at.seconds) && (0..1_000_000_000).contains(&at.nanos));
    let is_name = |text: &str, limit: usize| (1..=limit).contains(&text.len());
    for (field, valid) in [
        ("quote_id", is_name(&quote.quote_id, 64)),
        ("priced_at", has_time),
        ("currency_code", quote.currency_code.len() == 3),
        ("jurisdiction", is_name(&quote.jurisdiction, 16)),
        ("lines", (1..=200).contains(&quote.lines.len())),
        ("lines.sku", quote.lines.iter().all(|line| is_name(&line.sku, 64))),
        ("lines.promotion_id", quote.lines.iter().all(|line| line.promotion_id.len() <= 64)),
    ] {
        if !valid {
            return Err(Poison::FieldInvalid(field));
        }
    }
    let mut totals = [0i128; 4];
    for (index, line) in quote.lines.iter().enumerate() {
        let amounts = [line.discount_minor, line.net_minor, line.tax_minor, line.gross_minor];
        if line.quantity < 0 || amounts.iter().any(|&amount| amount < 0) {
            return Err(Poison::AmountNegative(index));
        }
        for (total, amount) in totals.iter_mut().zip(amounts) {
            *total += i128::from(amount);
        }
    }
    let stated = [quote.discount_minor, quote.net_minor, quote.tax_minor, quote.gross_minor].map(i128::from);
    if totals == stated { Ok(()) } else { Err(Poison::TotalsMismatch) }
}
