//! The protobuf JSON mapping of quotes.

use std::fmt;
use std::marker::PhantomData;

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::{PricedLine, QuoteLine, QuoteResponse};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// Reads a `QuoteRequest`. An unknown field is an error; null means that a field is not set. Of lines and
/// coupons that are too many only as many are kept as it takes to see that: a body would become many times as large.
pub(crate) fn parse_request(body: &[u8]) -> serde_json::Result<QuoteRequest> {
    let request: Request = serde_json::from_slice(body)?;
    let lines = request.lines.map_or_else(Vec::new, |lines| lines.0).into_iter().map(|line| QuoteLine {
        sku: line.sku.unwrap_or_default(),
        quantity: line.quantity.map_or(0, |quantity| quantity.0),
    });
    Ok(QuoteRequest {
        currency_code: request.currency_code.unwrap_or_default(),
        jurisdiction: request.jurisdiction.unwrap_or_default(),
        lines: lines.collect(),
        coupons: request.coupons.map_or_else(Vec::new, |coupons| coupons.0),
    })
}

/// Writes a `QuoteResponse`. Amounts are written even when they are zero.
pub(crate) fn write_response(quote: &QuoteResponse) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Response(quote))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    #[serde(alias = "currency_code")]
    currency_code: Option<String>,
    jurisdiction: Option<String>,
    lines: Option<First<Line, { QuoteRequest::LINES_KEPT }>>,
    coupons: Option<First<String, { QuoteRequest::COUPONS_KEPT }>>,
}

/// The first `KEPT` elements of a list. The others are read too, so that they must be well-formed.
struct First<T, const KEPT: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const KEPT: usize> Deserialize<'de> for First<T, KEPT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstVisitor<T, const KEPT: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const KEPT: usize> Visitor<'de> for FirstVisitor<T, KEPT> {
            type Value = First<T, KEPT>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while let Some(element) = elements.next_element()? {
                    if kept.len() < KEPT {
                        kept.push(element);
                    }
                }
                Ok(First(kept))
            }
        }

        deserializer.deserialize_seq(FirstVisitor(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sku: Option<String>,
    quantity: Option<Int64>,
}

/// A number, or a string of one.
struct Int64(i64);

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Int64Visitor;

        impl Visitor<'_> for Int64Visitor {
            type Value = Int64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a 64-bit integer, as number or string")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Int64, E> {
                Ok(Int64(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Int64, E> {
                i64::try_from(value).map(Int64).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Int64, E> {
                // Beyond 2^53 a double no longer identifies one integer.
                let exact = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
                exact
                    .then_some(Int64(value as i64))
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Int64, E> {
                // A number in JSON has no plus sign.
                let number = if value.starts_with('+') { None } else { value.parse().ok() };
                number.map(Int64).ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self))
            }
        }

        deserializer.deserialize_any(Int64Visitor)
    }
}

struct Response<'a>(&'a QuoteResponse);

impl Serialize for Response<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let quote = self.0;
        let mut out = serializer.serialize_struct("QuoteResponse", 10)?;
        out.serialize_field("quoteId", &quote.quote_id)?;
        out.serialize_field("snapshotVersion", &Text(quote.snapshot_version))?;
        if let Some(at) = &quote.priced_at {
            out.serialize_field("pricedAt", &Text(at))?;
        }
        out.serialize_field("currencyCode", &quote.currency_code)?;
        out.serialize_field("jurisdiction", &quote.jurisdiction)?;
        out.serialize_field("lines", &Lines(&quote.lines))?;
        out.serialize_field("discountMinor", &Text(quote.discount_minor))?;
        out.serialize_field("netMinor", &Text(quote.net_minor))?;
        out.serialize_field("taxMinor", &Text(quote.tax_minor))?;
        out.serialize_field("grossMinor", &Text(quote.gross_minor))?;
        out.end()
    }
}

struct Lines<'a>(&'a [PricedLine]);

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(OutLine))
    }
}

struct OutLine<'a>(&'a PricedLine);

impl Serialize for OutLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let line = self.0;
        let mut out = serializer.serialize_struct("PricedLine", 10)?;
        out.serialize_field("sku", &line.sku)?;
        out.serialize_field("quantity", &Text(line.quantity))?;
        out.serialize_field("unitPriceMinor", &Text(line.unit_price_minor))?;
        out.serialize_field("discountMinor", &Text(line.discount_minor))?;
        out.serialize_field("netMinor", &Text(line.net_minor))?;
        out.serialize_field("taxMinor", &Text(line.tax_minor))?;
        out.serialize_field("grossMinor", &Text(line.gross_minor))?;
        out.serialize_field("taxRatePpm", &Text(line.tax_rate_ppm))?;
        if !line.promotion_id.is_empty() {
            out.serialize_field("promotionId", &line.promotion_id)?;
            out.serialize_field("promotionCreatedVersion", &Text(line.promotion_created_version))?;
        }
        out.end()
    }
}

/// A value that JSON writes as a string.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_strings_nulls_and_both_spellings() {
        let expected = QuoteRequest {
            currency_code: "EUR".into(),
            jurisdiction: "DE".into(),
            lines: vec![QuoteLine { sku: "mug".into(), quantity: 3 }],
            coupons: vec![],
        };
        for body in [
            r#"{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"mug","quantity":3}]}"#,
            r#"{"currency_code":"EUR","jurisdiction":"DE","lines":[{"sku":"mug","quantity":"3"}],"coupons":null}"#,
            r#"{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"mug","quantity":3.0}],"coupons":[]}"#,
        ] {
            assert_eq!(parse_request(body.as_bytes()).unwrap(), expected, "{body}");
        }
        assert_eq!(parse_request(b"{}").unwrap(), QuoteRequest::default());
    }

    /// The control plane has the same rule: `TestOneRuleForJSON`.
    #[test]
    fn refuses_what_the_mapping_refuses() {
        for body in [
            "",
            "[]",
            "{",
            r#"{"unknown":1}"#,
            r#"{"lines":[{"sku":"mug","quantity":1,"price":1}]}"#,
            r#"{"lines":[{"quantity":1.5}]}"#,
            r#"{"lines":[{"quantity":9223372036854775808}]}"#,
            r#"{"lines":[{"quantity":"x"}]}"#,
            r#"{"lines":[{"quantity":true}]}"#,
            r#"{"lines":[null]}"#,
            r#"{"currencyCode":1}"#,
            r#"{"currencyCode":"EUR","currency_code":"EUR"}"#,
            r#"{"currencyCode":"EUR","currencyCode":"EUR"}"#,
            r#"{"CurrencyCode":"EUR"}"#,
            r#"{"currencyCode":"\ud800"}"#,
            r#"{"lines":[{"quantity":"+1"}]}"#,
            r#"{"lines":[{"quantity":" 1"}]}"#,
            "\u{feff}{}",
            "{}{}",
        ] {
            assert!(parse_request(body.as_bytes()).is_err(), "{body}");
        }
        assert!(parse_request(b"{\"currencyCode\":\"\xff\"}").is_err());
    }

    #[test]
    fn what_is_too_many_is_read_but_not_kept() {
        let of = |element: &str| vec![element; 300_000].join(",");
        let body = |lines: &str, coupons: &str| format!(r#"{{"lines":[{lines}],"coupons":[{coupons}]}}"#);
        let request = parse_request(body(&of("{}"), &of(r#""""#)).as_bytes()).unwrap();
        assert_eq!((request.lines.len(), request.coupons.len()), (201, 17));
        assert!(request.lines.capacity() <= 512 && request.coupons.capacity() <= 32);
        assert!(parse_request(body(&(of("{}") + r#",{"x":1}"#), "").as_bytes()).is_err());
        assert!(parse_request(body("", &(of(r#""""#) + ",1")).as_bytes()).is_err());
    }

    #[test]
    fn writes_integers_as_strings() {
        let quote = QuoteResponse {
            quote_id: "id".into(),
            priced_at: Some(prost_types::Timestamp { seconds: 0, nanos: 5_000_000 }),
            lines: vec![PricedLine { sku: "mug".into(), quantity: 1, gross_minor: i64::MAX, ..Default::default() }],
            ..Default::default()
        };
        let json: serde_json::Value = serde_json::from_slice(&write_response(&quote).unwrap()).unwrap();
        assert_eq!(json["pricedAt"], "1970-01-01T00:00:00.005Z");
        assert_eq!(json["lines"][0]["grossMinor"], "9223372036854775807");
        assert_eq!(json["discountMinor"], "0");
        assert!(json["lines"][0].get("promotionId").is_none());
    }
}
