//! The wire format of priced quotes, read without copies. `None` is for what is malformed, has unknown fields or has a message where
//! one was before, with which it is to be merged: prost handles these.

use std::borrow::Cow;

use contracts::wire::{bytes, key, text, text_bytes, varint};
use prost_types::Timestamp;

use crate::quote::{Line, Name, Quote, Sums};

/// Keys of `QuotesPriced`.
mod record {
    use contracts::wire::length_key;

    pub(super) const NODE_ID: u8 = length_key(1);
    pub(super) const QUOTES: u8 = length_key(2);
}

/// Keys of `PricedQuote`.
mod priced {
    use contracts::wire::length_key;

    pub(super) const QUOTE: u8 = length_key(1);
    pub(super) const TRACEPARENT: u8 = length_key(2);
    pub(super) const TRACESTATE: u8 = length_key(3);
}

/// Keys of `QuoteResponse`.
mod quote {
    use contracts::wire::{int_key, length_key};

    pub(super) const QUOTE_ID: u8 = length_key(1);
    pub(super) const SNAPSHOT_VERSION: u8 = int_key(2);
    pub(super) const PRICED_AT: u8 = length_key(3);
    pub(super) const CURRENCY_CODE: u8 = length_key(4);
    pub(super) const JURISDICTION: u8 = length_key(5);
    pub(super) const LINES: u8 = length_key(6);
    pub(super) const DISCOUNT_MINOR: u8 = int_key(7);
    pub(super) const NET_MINOR: u8 = int_key(8);
    pub(super) const TAX_MINOR: u8 = int_key(9);
    pub(super) const GROSS_MINOR: u8 = int_key(10);
}

/// Keys of `Timestamp`.
mod timestamp {
    use contracts::wire::int_key;

    pub(super) const SECONDS: u8 = int_key(1);
    pub(super) const NANOS: u8 = int_key(2);
}

/// Keys of `PricedLine`.
mod line {
    use contracts::wire::{int_key, length_key};

    pub(super) const SKU: u8 = length_key(1);
    pub(super) const QUANTITY: u8 = int_key(2);
    pub(super) const UNIT_PRICE_MINOR: u8 = int_key(3);
    pub(super) const DISCOUNT_MINOR: u8 = int_key(4);
    pub(super) const NET_MINOR: u8 = int_key(5);
    pub(super) const TAX_MINOR: u8 = int_key(6);
    pub(super) const GROSS_MINOR: u8 = int_key(7);
    pub(super) const TAX_RATE_PPM: u8 = int_key(8);
    pub(super) const PROMOTION_ID: u8 = length_key(9);
    pub(super) const PROMOTION_CREATED_VERSION: u8 = int_key(10);
}

/// What is beside the quote in a `PricedQuote`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beside<'r> {
    /// Whether there is a quote.
    pub(crate) has_quote: bool,
    pub(crate) traceparent: &'r [u8],
    pub(crate) tracestate: &'r [u8],
}

/// Reads an encoded `QuotesPriced`: its node, and its quotes as they came.
pub(crate) fn read_record(message: &[u8]) -> Option<(&str, Vec<Cow<'_, [u8]>>)> {
    let (mut node_id, mut quotes, mut rest) = ("", Vec::new(), message);
    while let Some(key) = key(&mut rest) {
        match key {
            record::QUOTES => quotes.push(bytes(&mut rest)?.into()),
            record::NODE_ID => node_id = text(&mut rest)?,
            _ => return None,
        }
    }
    Some((node_id, quotes))
}

/// Reads an encoded `PricedQuote`; the quote takes the place of `quote`, in the same memory.
pub(crate) fn read_priced<'r>(message: &'r [u8], quote: &mut Quote<'r>) -> Option<Beside<'r>> {
    let (mut beside, mut rest) = (Beside::default(), message);
    while let Some(key) = key(&mut rest) {
        match key {
            priced::QUOTE if !beside.has_quote => {
                read_quote(bytes(&mut rest)?, quote)?;
                beside.has_quote = true;
            }
            priced::TRACEPARENT => beside.traceparent = text_bytes(&mut rest)?,
            priced::TRACESTATE => beside.tracestate = text_bytes(&mut rest)?,
            _ => return None,
        }
    }
    Some(beside)
}

fn read_quote<'r>(message: &'r [u8], quote: &mut Quote<'r>) -> Option<()> {
    let mut lines = std::mem::take(&mut quote.lines);
    lines.clear();
    *quote = Quote { lines, ..Quote::default() };
    let mut rest = message;
    while let Some(key) = key(&mut rest) {
        match key {
            quote::QUOTE_ID => quote.quote_id = text_bytes(&mut rest)?,
            quote::SNAPSHOT_VERSION => drop(varint(&mut rest)?),
            quote::PRICED_AT if quote.priced_at.is_none() => quote.priced_at = Some(read_timestamp(bytes(&mut rest)?)?),
            quote::CURRENCY_CODE => quote.currency_code = text_bytes(&mut rest)?,
            quote::JURISDICTION => quote.jurisdiction = text_bytes(&mut rest)?,
            quote::LINES => quote.lines.push(read_line(bytes(&mut rest)?)?),
            quote::DISCOUNT_MINOR => quote.discount_minor = varint(&mut rest)? as i64,
            quote::NET_MINOR => quote.net_minor = varint(&mut rest)? as i64,
            quote::TAX_MINOR => quote.tax_minor = varint(&mut rest)? as i64,
            quote::GROSS_MINOR => quote.gross_minor = varint(&mut rest)? as i64,
            _ => return None,
        }
    }
    Some(())
}

fn read_timestamp(message: &[u8]) -> Option<Timestamp> {
    let (mut at, mut rest) = (Timestamp::default(), message);
    while let Some(key) = key(&mut rest) {
        match key {
            timestamp::SECONDS => at.seconds = varint(&mut rest)? as i64,
            timestamp::NANOS => at.nanos = varint(&mut rest)? as i32,
            _ => return None,
        }
    }
    Some(at)
}

fn read_line(message: &[u8]) -> Option<Line<'_>> {
    let (mut name, mut sums, mut rest) = (Name::default(), Sums::LINE, message);
    while let Some(key) = key(&mut rest) {
        match key {
            line::SKU => name.sku = text_bytes(&mut rest)?,
            line::QUANTITY => sums.quantity = varint(&mut rest)? as i64,
            line::DISCOUNT_MINOR => sums.discount = varint(&mut rest)? as i64,
            line::NET_MINOR => sums.net = varint(&mut rest)? as i64,
            line::TAX_MINOR => sums.tax = varint(&mut rest)? as i64,
            line::GROSS_MINOR => sums.gross = varint(&mut rest)? as i64,
            // They are checked, as prost does.
            line::UNIT_PRICE_MINOR | line::TAX_RATE_PPM => drop(varint(&mut rest)?),
            line::PROMOTION_ID => name.promotion_id = text_bytes(&mut rest)?,
            line::PROMOTION_CREATED_VERSION => name.promotion_created_version = varint(&mut rest)? as i64,
            _ => return None,
        }
    }
    Some(Line { name, sums })
}
