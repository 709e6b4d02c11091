use std::borrow::Cow;

use contracts::hybrid::pricing::v1::QuoteResponse;
use contracts::hybrid::usage::v1::{PricedQuote, QuotePriced};
use kafka::message::Header;
use prost::{DecodeError, Message};
use prost_types::Timestamp;
use telemetry::{Link, TraceContext, TraceState};
use thiserror::Error;

use crate::quote::{Line, Quote};
use crate::wire;

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
    ValueInvalid(DecodeError),
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
    #[prost(bytes = "vec", repeated, tag = "2")]
    quotes: Vec<Vec<u8>>,
}

/// What a record holds: at least one quote. Each is read when it is its turn, in the memory of the one before.
#[derive(Clone, Debug)]
pub struct Record<'r>(Content<'r>);

#[derive(Clone, Debug)]
enum Content<'r> {
    One(Box<QuoteResponse>),
    Many {
        /// The node that priced them.
        node_id: Cow<'r, str>,
        quotes: Vec<Cow<'r, [u8]>>,
    },
}

/// One quote of a record.
#[derive(Clone, Debug)]
pub struct Priced<'q> {
    /// The quote, or why it cannot be used.
    pub quote: Result<&'q Quote<'q>, Poison>,
    /// Its own `traceparent` and `tracestate`, as UTF-8; none where those of the record's headers hold.
    pub(crate) trace: Option<(&'q [u8], &'q [u8])>,
    encoded: &'q [u8],
}

impl Record<'_> {
    /// Gives its quotes away, in their order and each with its index.
    pub fn each(&self, mut take: impl FnMut(usize, Priced<'_>)) {
        let mut memory = Quote::default();
        for index in 0..self.len() {
            self.read(index, &mut memory, |priced| take(index, priced));
        }
    }

    /// How many quotes it has.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Content::One(_) => 1,
            Content::Many { quotes, .. } => quotes.len(),
        }
    }

    /// Gives the quote at an index below its length away.
    pub(crate) fn quote<T>(&self, index: usize, take: impl FnOnce(Priced<'_>) -> T) -> T {
        self.read(index, &mut Quote::default(), take)
    }

    fn read<'s, T>(&'s self, index: usize, memory: &mut Quote<'s>, take: impl FnOnce(Priced<'_>) -> T) -> T {
        let quotes = match &self.0 {
            // `read` has checked it.
            Content::One(quote) => {
                return take(Priced { quote: Ok(&Quote::from(&**quote)), trace: None, encoded: &[] });
            }
            Content::Many { quotes, .. } => quotes,
        };
        let encoded = &*quotes[index];
        if let Some(beside) = wire::read_priced(encoded, memory) {
            let quote = valid(beside.has_quote.then_some(&*memory));
            return take(Priced { quote, trace: Some((beside.traceparent, beside.tracestate)), encoded });
        }
        let decoded = match PricedQuote::decode(encoded) {
            Ok(decoded) => decoded,
            Err(error) => return take(Priced { quote: Err(Poison::ValueInvalid(error)), trace: None, encoded }),
        };
        let quote = decoded.quote.as_ref().map(Quote::from);
        let trace = Some((decoded.traceparent.as_bytes(), decoded.tracestate.as_bytes()));
        take(Priced { quote: valid(quote.as_ref()), trace, encoded })
    }

    /// The value of a record that holds `quote` alone; none where this one does.
    pub(crate) fn alone(&self, quote: &Priced<'_>) -> Option<Vec<u8>> {
        let Content::Many { node_id, .. } = &self.0 else { return None };
        let (node_id, quotes) = (node_id.clone().into_owned(), vec![quote.encoded.to_vec()]);
        Some(Encoded { node_id, quotes }.encode_to_vec())
    }
}

impl Priced<'_> {
    /// Whether the operation that caused the event may be recorded.
    pub(crate) fn may_be_sampled(&self, headers: &[Header<'_>]) -> bool {
        let parent = self.trace.map(|(parent, _)| parent);
        parent.or_else(|| header(headers, "traceparent")).is_some_and(TraceContext::says_sampled)
    }

    /// The operation that caused the event, where it is named. A `tracestate` that cannot be used is left out.
    pub(crate) fn cause(&self, headers: &[Header<'_>]) -> Option<Link> {
        match self.trace {
            Some((parent, state)) => link(parent, (!state.is_empty()).then_some(state)),
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
pub fn read<'r>(headers: &[Header<'_>], value: Option<&'r [u8]>) -> Result<Record<'r>, Poison> {
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
            let record = Record(many(value()?).map_err(Poison::ValueInvalid)?);
            if record.len() == 0 { Err(Poison::FieldInvalid("quotes")) } else { Ok(record) }
        }
        Some(ONE) => {
            let event = QuotePriced::decode(value()?).map_err(Poison::ValueInvalid)?;
            valid(event.quote.as_ref().map(Quote::from).as_ref())?;
            // An absent one is not valid.
            Ok(Record(Content::One(Box::new(event.quote.unwrap_or_default()))))
        }
        _ => Err(Poison::HeaderInvalid("ce_type")),
    }
}

/// A record with many, which may turn out to have none.
fn many(value: &[u8]) -> Result<Content<'_>, DecodeError> {
    if let Some((node_id, quotes)) = wire::read_record(value) {
        return Ok(Content::Many { node_id: node_id.into(), quotes });
    }
    let Encoded { node_id, quotes } = Encoded::decode(value)?;
    Ok(Content::Many { node_id: node_id.into(), quotes: quotes.into_iter().map(Cow::Owned).collect() })
}

fn valid<'q>(quote: Option<&'q Quote<'q>>) -> Result<&'q Quote<'q>, Poison> {
    let quote = quote.ok_or(Poison::FieldInvalid("quote"))?;
    check(quote)?;
    Ok(quote)
}

/// The first field that is not as it must be.
fn invalid_field(quote: &Quote<'_>) -> Option<&'static str> {
    let is_name = |length: usize, limit: usize| (1..=limit).contains(&length);
    let is_time = |at: Timestamp| SECONDS.contains(&at.seconds) && (0..1_000_000_000).contains(&at.nanos);
    if !is_name(quote.quote_id.len(), 64) {
        Some("quote_id")
    } else if !quote.priced_at.is_some_and(is_time) {
        Some("priced_at")
    } else if quote.currency_code.len() != 3 {
        Some("currency_code")
    } else if !is_name(quote.jurisdiction.len(), 16) {
        Some("jurisdiction")
    } else if !(1..=200).contains(&quote.lines.len()) {
        Some("lines")
    } else if !quote.lines.iter().all(|line| is_name(line.name.sku.len(), 64)) {
        Some("lines.sku")
    } else if !quote.lines.iter().all(|line| line.name.promotion_id.len() <= 64) {
        Some("lines.promotion_id")
    } else {
        None
    }
}

fn check(quote: &Quote<'_>) -> Result<(), Poison> {
    if let Some(field) = invalid_field(quote) {
        return Err(Poison::FieldInvalid(field));
    }
    let mut totals = [0i128; 4];
    for (index, Line { sums, .. }) in quote.lines.iter().enumerate() {
        let amounts = [sums.discount, sums.net, sums.tax, sums.gross];
        if sums.quantity < 0 || amounts.iter().any(|&amount| amount < 0) {
            return Err(Poison::AmountNegative(index));
        }
        for (total, amount) in totals.iter_mut().zip(amounts) {
            *total += i128::from(amount);
        }
    }
    let stated = [quote.discount_minor, quote.net_minor, quote.tax_minor, quote.gross_minor].map(i128::from);
    if totals == stated { Ok(()) } else { Err(Poison::TotalsMismatch) }
}
