//! The wire format of priced quotes, read without copies. `None` is for what is malformed, has unknown fields or has a message where
//! one was before, with which it is to be merged: prost handles these.

use std::borrow::Cow;

use contracts::wire::{LENGTH_DELIMITED, VARINT, bytes, key, text, text_bytes, varint};
use prost_types::Timestamp;

use crate::quote::{Line, Name, Quote, Sums};

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
    while !rest.is_empty() {
        match key(&mut rest)? {
            (2, LENGTH_DELIMITED) => quotes.push(bytes(&mut rest)?.into()),
            (1, LENGTH_DELIMITED) => node_id = text(&mut rest)?,
            _ => return None,
        }
    }
    Some((node_id, quotes))
}

/// Reads an encoded `PricedQuote`; the quote takes the place of `quote`, in the same memory.
pub(crate) fn read_priced<'r>(message: &'r [u8], quote: &mut Quote<'r>) -> Option<Beside<'r>> {
    let (mut beside, mut rest) = (Beside::default(), message);
    while !rest.is_empty() {
        match key(&mut rest)? {
            (1, LENGTH_DELIMITED) if !beside.has_quote => {
                read_quote(bytes(&mut rest)?, quote)?;
                beside.has_quote = true;
            }
            (2, LENGTH_DELIMITED) => beside.traceparent = text_bytes(&mut rest)?,
            (3, LENGTH_DELIMITED) => beside.tracestate = text_bytes(&mut rest)?,
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
    while !rest.is_empty() {
        match key(&mut rest)? {
            (1, LENGTH_DELIMITED) => quote.quote_id = text_bytes(&mut rest)?,
            (2, VARINT) => drop(varint(&mut rest)?),
            (3, LENGTH_DELIMITED) if quote.priced_at.is_none() => quote.priced_at = Some(timestamp(bytes(&mut rest)?)?),
            (4, LENGTH_DELIMITED) => quote.currency_code = text(&mut rest)?,
            (5, LENGTH_DELIMITED) => quote.jurisdiction = text(&mut rest)?,
            (6, LENGTH_DELIMITED) => quote.lines.push(line(bytes(&mut rest)?)?),
            (7, VARINT) => quote.discount_minor = varint(&mut rest)? as i64,
            (8, VARINT) => quote.net_minor = varint(&mut rest)? as i64,
            (9, VARINT) => quote.tax_minor = varint(&mut rest)? as i64,
            (10, VARINT) => quote.gross_minor = varint(&mut rest)? as i64,
            _ => return None,
        }
    }
    Some(())
}

fn timestamp(message: &[u8]) -> Option<Timestamp> {
    let (mut at, mut rest) = (Timestamp::default(), message);
    while !rest.is_empty() {
        match key(&mut rest)? {
            (1, VARINT) => at.seconds = varint(&mut rest)? as i64,
            (2, VARINT) => at.nanos = varint(&mut rest)? as i32,
            _ => return None,
        }
    }
    Some(at)
}

fn line(message: &[u8]) -> Option<Line<'_>> {
    let (mut name, mut sums, mut rest) = (Name::default(), Sums::LINE, message);
    while !rest.is_empty() {
        match key(&mut rest)? {
            (1, LENGTH_DELIMITED) => name.sku = text(&mut rest)?,
            (2, VARINT) => sums.quantity = varint(&mut rest)? as i64,
            (4, VARINT) => sums.discount = varint(&mut rest)? as i64,
            (5, VARINT) => sums.net = varint(&mut rest)? as i64,
            (6, VARINT) => sums.tax = varint(&mut rest)? as i64,
            (7, VARINT) => sums.gross = varint(&mut rest)? as i64,
            // What a piece costs, and the rate of its tax.
            (3 | 8, VARINT) => drop(varint(&mut rest)?),
            (9, LENGTH_DELIMITED) => name.promotion_id = text(&mut rest)?,
            (10, VARINT) => name.promotion_created_version = varint(&mut rest)? as i64,
            _ => return None,
        }
    }
    Some(Line { name, sums })
}
