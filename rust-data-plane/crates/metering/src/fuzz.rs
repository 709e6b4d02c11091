//! The reader of quote records meets what anybody may write into the topic.

use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
use contracts::hybrid::usage::v1::{PricedQuote, QuotePriced, QuotesPriced};
use harness::Fuzzer;
use kafka::message::Header;
use prost::Message;

use crate::event::{Poison, Record, read};
use crate::reference::assert_read_as_by_prost;
use crate::windows::Windows;

const HEADERS: [(&str, &str); 4] = [
    ("ce_specversion", "1.0"),
    ("ce_id", "0192d3a4-0000-7000-8000-000000000001"),
    ("ce_source", "hybrid/data-plane/node-1"),
    ("ce_type", "hybrid.pricing.quote.priced.v1"),
];
const MANY: &str = "hybrid.pricing.quotes.priced.v1";

fn event() -> QuotePriced {
    let line = PricedLine {
        sku: "mug".into(),
        quantity: 3,
        unit_price_minor: 1050,
        discount_minor: 315,
        net_minor: 2835,
        tax_minor: 539,
        gross_minor: 3374,
        tax_rate_ppm: 190_000,
        promotion_id: "ten".into(),
        promotion_created_version: 4,
    };
    let quote = QuoteResponse {
        quote_id: "0192d3a4-0000-7000-8000-000000000001".into(),
        snapshot_version: 7,
        priced_at: Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 5 }),
        currency_code: "EUR".into(),
        jurisdiction: "DE".into(),
        discount_minor: 315,
        net_minor: 2835,
        tax_minor: 539,
        gross_minor: 3374,
        lines: vec![line],
    };
    QuotePriced { quote: Some(quote), ..Default::default() }
}

fn kind(poison: &Poison) -> String {
    poison.to_string().chars().filter(char::is_ascii_alphabetic).take(24).collect()
}

/// Sums up what a record holds, and names what is wrong with the rest.
fn use_up(record: Result<Record<'_>, Poison>) -> String {
    let record = match record {
        Ok(record) => record,
        Err(poison) => return kind(&poison),
    };
    assert!(record.len() > 0);
    let (mut windows, mut sum, mut outcome) = (Windows::default(), 0i128, String::new());
    record.each(|_, priced| {
        match priced.quote {
            Ok(quote) => {
                assert!((1..=200).contains(&quote.lines.len()) && quote.priced_at.is_some());
                if windows.add(quote) {
                    sum += i128::from(quote.gross_minor);
                }
                outcome.push('+');
            }
            Err(poison) => outcome.push_str(&kind(&poison)),
        }
        outcome.truncate(40);
    });
    let lines = windows.take().into_iter().flat_map(|window| window.lines);
    assert_eq!(lines.map(|line| i128::from(line.gross_minor)).sum::<i128>(), sum);
    outcome
}

fn headers(kind: &'static str) -> [Header<'static>; 4] {
    HEADERS.map(|(key, value)| {
        let value = if key == "ce_type" { kind } else { value };
        Header { key: key.as_bytes(), value: Some(value.as_bytes()) }
    })
}

#[test]
fn fuzz_values_that_are_read_can_be_summed_up() {
    Fuzzer::new(env!("CARGO_MANIFEST_DIR"), "quote-record")
        .seed(event().encode_to_vec())
        .run(|value| use_up(read(&headers(HEADERS[3].1), Some(value))));
}

#[test]
fn fuzz_batches_that_are_read_can_be_summed_up() {
    let quote = PricedQuote { quote: event().quote, ..Default::default() };
    let batch = QuotesPriced { quotes: vec![quote.clone(), PricedQuote::default(), quote], ..Default::default() };
    Fuzzer::new(env!("CARGO_MANIFEST_DIR"), "quotes-record").seed(batch.encode_to_vec()).run(|value| {
        assert_read_as_by_prost(value);
        use_up(read(&headers(MANY), Some(value)))
    });
}

#[test]
fn fuzz_headers_are_complete_or_named() {
    let one = HEADERS.map(|(key, value)| format!("{key}={value}")).join("\n");
    let many = one.replace(HEADERS[3].1, MANY);
    Fuzzer::new(env!("CARGO_MANIFEST_DIR"), "quote-headers").seed(one).seed(many).run(|input| {
        let headers: Vec<Header<'_>> = input
            .split(|&byte| byte == b'\n')
            .map(|line| match line.iter().position(|&byte| byte == b'=') {
                Some(at) => Header { key: &line[..at], value: Some(&line[at + 1..]) },
                None => Header { key: line, value: None },
            })
            .collect();
        match read(&headers, Some(&event().encode_to_vec())) {
            Ok(_) => {
                let has = |(key, value): (&str, &str)| {
                    headers.iter().any(|header| header.key == key.as_bytes() && header.value == Some(value.as_bytes()))
                };
                let known = has(HEADERS[3]) || has(("ce_type", MANY));
                assert!(has(HEADERS[0]) && known, "accepted with {:?}", String::from_utf8_lossy(input));
                "accepted".to_owned()
            }
            Err(poison) => poison.to_string(),
        }
    });
}
