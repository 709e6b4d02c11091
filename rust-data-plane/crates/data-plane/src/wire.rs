//! The wire format of a quote, read without copies and written without the structs between.

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::{self as contract, QuoteLine, QuoteResponse};
use contracts::wire::{bytes, int_key, key, length_key, text, varint};
use pricing::{Instant, PricedLine, Quote};
use prost_types::Timestamp;

/// Keys of `QuoteRequest`.
const CURRENCY_CODE: u8 = length_key(1);
const JURISDICTION: u8 = length_key(2);
const LINES: u8 = length_key(3);
const COUPONS: u8 = length_key(4);
/// Keys of `QuoteLine`.
const SKU: u8 = length_key(1);
const QUANTITY: u8 = int_key(2);

/// A request, borrowed from its encoding.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Basket<'r> {
    pub(crate) currency_code: &'r str,
    pub(crate) jurisdiction: &'r str,
    /// Sku and quantity.
    pub(crate) lines: Vec<(&'r str, i64)>,
    pub(crate) coupons: Vec<&'r str>,
}

impl<'r> From<&'r QuoteRequest> for Basket<'r> {
    fn from(request: &'r QuoteRequest) -> Self {
        Self {
            currency_code: &request.currency_code,
            jurisdiction: &request.jurisdiction,
            lines: request.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect(),
            coupons: request.coupons.iter().map(String::as_str).collect(),
        }
    }
}

impl<'r> Basket<'r> {
    /// Reads an encoded `QuoteRequest`, and keeps of it what that does. `None` if it is malformed or has unknown fields, which prost
    /// handles.
    pub(crate) fn read(message: &'r [u8]) -> Option<Self> {
        let (mut basket, mut rest) = (Self::default(), message);
        while let Some(key) = key(&mut rest) {
            match key {
                CURRENCY_CODE => basket.currency_code = text(&mut rest)?,
                JURISDICTION => basket.jurisdiction = text(&mut rest)?,
                LINES => {
                    let line = line(bytes(&mut rest)?)?;
                    if basket.lines.len() < QuoteRequest::LINES_KEPT {
                        basket.lines.push(line);
                    }
                }
                COUPONS => {
                    let coupon = text(&mut rest)?;
                    if basket.coupons.len() < QuoteRequest::COUPONS_KEPT {
                        basket.coupons.push(coupon);
                    }
                }
                _ => return None,
            }
        }
        Some(basket)
    }
}

fn line(message: &[u8]) -> Option<(&str, i64)> {
    let (mut sku, mut quantity, mut rest) = ("", 0, message);
    while let Some(key) = key(&mut rest) {
        match key {
            SKU => sku = text(&mut rest)?,
            QUANTITY => quantity = varint(&mut rest)? as i64,
            _ => return None,
        }
    }
    Some((sku, quantity))
}

/// Appends a `QuoteResponse`.
pub(crate) fn write_response(id: &[u8], at: Instant, basket: &Basket<'_>, quote: &Quote<'_>, out: &mut Vec<u8>) {
    put_bytes(1, id, out);
    put_int(2, quote.snapshot_version, out);
    put_message(3, out, |out| {
        put_int(1, at.seconds, out);
        put_int(2, at.nanos.into(), out);
    });
    put_text(4, basket.currency_code, out);
    put_text(5, basket.jurisdiction, out);
    for (&(sku, quantity), line) in basket.lines.iter().zip(&quote.lines) {
        put_message(6, out, |out| write_line(sku, quantity, line, out));
    }
    put_int(7, quote.totals.discount_minor, out);
    put_int(8, quote.totals.net_minor, out);
    put_int(9, quote.totals.tax_minor, out);
    put_int(10, quote.totals.gross_minor, out);
}

fn write_line(sku: &str, quantity: i64, line: &PricedLine<'_>, out: &mut Vec<u8>) {
    put_text(1, sku, out);
    put_int(2, quantity, out);
    put_int(3, line.unit_price_minor, out);
    put_int(4, line.discount_minor, out);
    put_int(5, line.net_minor, out);
    put_int(6, line.tax_minor, out);
    put_int(7, line.gross_minor, out);
    put_int(8, line.tax_rate_ppm, out);
    put_text(9, line.promotion_id.unwrap_or_default(), out);
    put_int(10, line.promotion_created_version, out);
}

/// What `write_response` writes, of a request that is not needed any more.
pub(crate) fn response(id: String, at: Instant, request: QuoteRequest, quote: &Quote<'_>) -> QuoteResponse {
    let line = |(asked, line): (QuoteLine, &PricedLine<'_>)| contract::PricedLine {
        sku: asked.sku,
        quantity: asked.quantity,
        unit_price_minor: line.unit_price_minor,
        discount_minor: line.discount_minor,
        net_minor: line.net_minor,
        tax_minor: line.tax_minor,
        gross_minor: line.gross_minor,
        tax_rate_ppm: line.tax_rate_ppm,
        promotion_id: line.promotion_id.map(str::to_owned).unwrap_or_default(),
        promotion_created_version: line.promotion_created_version,
    };
    QuoteResponse {
        quote_id: id,
        snapshot_version: quote.snapshot_version,
        priced_at: Some(Timestamp { seconds: at.seconds, nanos: at.nanos }),
        currency_code: request.currency_code,
        jurisdiction: request.jurisdiction,
        lines: request.lines.into_iter().zip(&quote.lines).map(line).collect(),
        discount_minor: quote.totals.discount_minor,
        net_minor: quote.totals.net_minor,
        tax_minor: quote.totals.tax_minor,
        gross_minor: quote.totals.gross_minor,
    }
}

/// Appends a varint.
pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that a varint takes.
pub(crate) fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_int(field: u8, value: i64, out: &mut Vec<u8>) {
    if value != 0 {
        out.push(int_key(field));
        put_varint(value as u64, out);
    }
}

fn put_text(field: u8, text: &str, out: &mut Vec<u8>) {
    put_bytes(field, text.as_bytes(), out);
}

fn put_bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        out.push(length_key(field));
        put_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
}

/// A message whose length is known when it is written: below 2^14, and mostly below 2^7.
fn put_message(field: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[length_key(field), 0]);
    let start = out.len();
    write(out);
    let length = out.len() - start;
    debug_assert!(length < 1 << 14, "two texts of at most 64 bytes, and integers");
    if length < 0x80 {
        out[start - 1] = length as u8;
    } else {
        out[start - 1] = length as u8 | 0x80;
        out.insert(start, (length >> 7) as u8);
    }
}

#[cfg(test)]
mod tests {
    use pricing::Totals;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn request() -> impl Strategy<Value = QuoteRequest> {
        let line = ("\\PC{0,70}", any::<i64>()).prop_map(|(sku, quantity)| QuoteLine { sku, quantity });
        ("\\PC{0,4}", "\\PC{0,20}", vec(line, 0..5), vec("\\PC{0,5}", 0..3)).prop_map(
            |(currency_code, jurisdiction, lines, coupons)| QuoteRequest {
                currency_code,
                jurisdiction,
                lines,
                coupons,
            },
        )
    }

    proptest! {
        #[test]
        fn reads_what_prost_writes(request in request()) {
            let bytes = request.encode_to_vec();
            prop_assert_eq!(Basket::read(&bytes), Some(Basket::from(&request)));
        }

        #[test]
        fn reads_only_what_prost_reads_and_alike(
            request in request(),
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            length in any::<prop::sample::Index>(),
        ) {
            let mut bytes = request.encode_to_vec();
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes.truncate(length.index(bytes.len() + 1));
            if let Some(basket) = Basket::read(&bytes) {
                let request = QuoteRequest::decode(&*bytes).expect("prost reads it as well");
                prop_assert_eq!(basket, Basket::from(&request));
            }
        }

        #[test]
        fn writes_what_prost_reads_and_would_write(
            id in "[0-9a-f-]{0,36}",
            at: (i64, i32),
            request in request(),
            amounts: [i64; 12],
            promotion in option::of("[a-z]{0,64}"),
        ) {
            let [version, a, b, c, d, e, f, g, discount_minor, net_minor, tax_minor, gross_minor] = amounts;
            let line = PricedLine {
                unit_price_minor: a,
                discount_minor: b,
                net_minor: c,
                tax_minor: d,
                gross_minor: e,
                tax_rate_ppm: f,
                promotion_id: promotion.as_deref(),
                promotion_created_version: g,
            };
            let quote = Quote {
                snapshot_version: version,
                lines: vec![line; request.lines.len()],
                totals: Totals { discount_minor, net_minor, tax_minor, gross_minor },
            };
            let (seconds, nanos) = at;
            let mut bytes = b"before".to_vec();
            write_response(id.as_bytes(), Instant { seconds, nanos }, &Basket::from(&request), &quote, &mut bytes);

            let answer = response(id.clone(), Instant { seconds, nanos }, request.clone(), &quote);
            let lines = request.lines.into_iter().map(|asked| contract::PricedLine {
                sku: asked.sku,
                quantity: asked.quantity,
                unit_price_minor: a,
                discount_minor: b,
                net_minor: c,
                tax_minor: d,
                gross_minor: e,
                tax_rate_ppm: f,
                promotion_id: promotion.clone().unwrap_or_default(),
                promotion_created_version: g,
            });
            let expected = QuoteResponse {
                quote_id: id,
                snapshot_version: version,
                priced_at: Some(Timestamp { seconds, nanos }),
                currency_code: request.currency_code,
                jurisdiction: request.jurisdiction,
                lines: lines.collect(),
                discount_minor,
                net_minor,
                tax_minor,
                gross_minor,
            };
            prop_assert_eq!(&bytes[6..], expected.encode_to_vec());
            prop_assert_eq!(answer, expected);
        }
    }
}
