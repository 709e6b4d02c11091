use contracts::hybrid::pricing::v1::QuoteResponse;
use contracts::hybrid::usage::v1::QuotePriced;
use kafka::message::Header;
use prost::Message as _;
use telemetry::{Link, TraceContext, TraceState};
use thiserror::Error;

const TYPE: &[u8] = b"hybrid.pricing.quote.priced.v1";
/// The years 1 to 9999, as `google.protobuf.Timestamp` has them.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Why a record is not a priced quote, or why its usage cannot be produced. It becomes the header `dead-letter-reason`.
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

/// The operation that caused a record, where its headers name it. A `tracestate` that cannot be used is left out.
pub(crate) fn cause(headers: &[Header<'_>]) -> Option<Link> {
    let context = TraceContext::parse(header(headers, "traceparent")?).ok()?;
    let states = headers.iter().filter(|header| header.key == b"tracestate").filter_map(|header| header.value);
    Some(Link { context, state: TraceState::parse(states).map(TraceState::into_owned) })
}

fn header<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.key == name.as_bytes()).and_then(|header| header.value)
}

/// Reads a record of priced quotes.
///
/// # Errors
/// It is no valid event of a priced quote.
pub fn read(headers: &[Header<'_>], value: Option<&[u8]>) -> Result<QuoteResponse, Poison> {
    let header = |name: &str| header(headers, name);
    for name in ["ce_specversion", "ce_id", "ce_source", "ce_type"] {
        if header(name).is_none_or(<[u8]>::is_empty) {
            return Err(Poison::HeaderMissing(name));
        }
    }
    if header("ce_specversion") != Some(b"1.0") {
        return Err(Poison::HeaderInvalid("ce_specversion"));
    }
    if header("ce_type") != Some(TYPE) {
        return Err(Poison::HeaderInvalid("ce_type"));
    }
    let event = QuotePriced::decode(value.ok_or(Poison::ValueMissing)?).map_err(Poison::ValueInvalid)?;
    let quote = event.quote.ok_or(Poison::FieldInvalid("quote"))?;
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
