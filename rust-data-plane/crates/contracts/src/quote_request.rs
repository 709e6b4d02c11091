use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, message, skip_field, string};
use prost::{DecodeError, Message};

use crate::hybrid::pricing::v1::QuoteLine;

/// `hybrid.pricing.v1.QuoteRequest`. Of lines and coupons that are too many only as many are kept as it takes to see that: an
/// empty one has two bytes in a message, and many times as many in memory. The others are read, so that they must be well-formed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct QuoteRequest {
    pub currency_code: String,
    pub jurisdiction: String,
    pub lines: Vec<QuoteLine>,
    pub coupons: Vec<String>,
}

impl QuoteRequest {
    /// One more than a quote may have, so that pricing still refuses it.
    pub const LINES_KEPT: usize = 201;
    pub const COUPONS_KEPT: usize = 17;
}

impl Message for QuoteRequest {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for (tag, text) in [(1, &self.currency_code), (2, &self.jurisdiction)] {
            if !text.is_empty() {
                string::encode(tag, text, buf);
            }
        }
        message::encode_repeated(3, &self.lines, buf);
        string::encode_repeated(4, &self.coupons, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => string::merge(wire_type, &mut self.currency_code, buf, ctx),
            2 => string::merge(wire_type, &mut self.jurisdiction, buf, ctx),
            3 if self.lines.len() < Self::LINES_KEPT => message::merge_repeated(wire_type, &mut self.lines, buf, ctx),
            3 => message::merge(wire_type, &mut QuoteLine::default(), buf, ctx),
            4 if self.coupons.len() < Self::COUPONS_KEPT => {
                string::merge_repeated(wire_type, &mut self.coupons, buf, ctx)
            }
            4 => string::merge(wire_type, &mut String::new(), buf, ctx),
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let texts = [(1, &self.currency_code), (2, &self.jurisdiction)]
            .map(|(tag, text)| if text.is_empty() { 0 } else { string::encoded_len(tag, text) });
        texts.iter().sum::<usize>()
            + message::encoded_len_repeated(3, &self.lines)
            + string::encoded_len_repeated(4, &self.coupons)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would have been generated.
    #[derive(Clone, PartialEq, Message)]
    struct Generated {
        #[prost(string, tag = "1")]
        currency_code: String,
        #[prost(string, tag = "2")]
        jurisdiction: String,
        #[prost(message, repeated, tag = "3")]
        lines: Vec<QuoteLine>,
        #[prost(string, repeated, tag = "4")]
        coupons: Vec<String>,
    }

    #[test]
    fn it_is_written_and_read_as_what_would_be_generated() {
        let line = |sku: &str, quantity| QuoteLine { sku: sku.into(), quantity };
        for (currency_code, jurisdiction, lines, coupons) in [
            ("", "", vec![], vec![]),
            ("EUR", "DE", vec![line("mug", 3), line("", -1)], vec!["SPRING".to_owned(), String::new()]),
            ("EUR", "", vec![QuoteLine::default(); 201], vec![String::new(); 17]),
        ] {
            let (currency_code, jurisdiction) = (currency_code.to_owned(), jurisdiction.to_owned());
            let ours = QuoteRequest { currency_code, jurisdiction, lines, coupons };
            let bytes = ours.encode_to_vec();
            let theirs = Generated::decode(&*bytes).unwrap();
            assert_eq!(theirs.encode_to_vec(), bytes);
            assert_eq!(ours.encoded_len(), bytes.len());
            assert_eq!(QuoteRequest::decode(&*bytes).unwrap(), ours);
        }
    }

    #[test]
    fn what_is_too_many_is_read_but_not_kept() {
        for (tag, kept) in [(0x1a, (201, 0)), (0x22, (0, 17))] {
            let mut bytes = [tag, 0].repeat(1_000);
            let request = QuoteRequest::decode(&*bytes).unwrap();
            assert_eq!((request.lines.len(), request.coupons.len()), kept);
            bytes.extend_from_slice(&[tag, 1, 0xff]);
            assert!(QuoteRequest::decode(&*bytes).is_err());
        }
    }
}
