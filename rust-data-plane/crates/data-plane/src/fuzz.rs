//! Readers of quote requests meet what anybody may send.

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::QuoteLine;
use harness::Fuzzer;
use prost::Message;

use crate::json;
use crate::wire::Basket;

fn fuzzer(name: &str) -> Fuzzer {
    Fuzzer::new(env!("CARGO_MANIFEST_DIR"), name)
}

fn request() -> QuoteRequest {
    QuoteRequest {
        currency_code: "EUR".into(),
        jurisdiction: "DE".into(),
        lines: vec![
            QuoteLine { sku: "mug".into(), quantity: 3 },
            QuoteLine { sku: "pen".into(), quantity: i64::MIN },
            QuoteLine::default(),
        ],
        coupons: vec!["SPRING".into(), String::new()],
    }
}

#[test]
fn fuzz_requests_are_read_as_prost_reads_them() {
    fuzzer("quote-request").seed(request().encode_to_vec()).run(|input| {
        let (ours, theirs) = (Basket::read(input), QuoteRequest::decode(input));
        match (ours, theirs) {
            (Some(ours), Ok(theirs)) => {
                assert_eq!(ours, Basket::from(&theirs));
                (0, ours.lines.len(), ours.coupons.len(), ours.currency_code.len())
            }
            (Some(ours), Err(error)) => panic!("prost refuses what we read as {ours:?}: {error}"),
            // An unknown field, or one in another form: prost has the last word.
            (None, Ok(theirs)) => {
                assert_ne!(theirs.encode_to_vec(), input, "we refuse what prost writes");
                (1, theirs.lines.len(), theirs.coupons.len(), 0)
            }
            (None, Err(_)) => (2, 0, 0, 0),
        }
    });
}

#[test]
fn fuzz_json_requests_are_json_and_come_back() {
    fuzzer("json-request").run(|input| match json::parse_request(input) {
        Ok(request) => {
            let value: serde_json::Value = serde_json::from_slice(input).expect("it is JSON");
            // A document that is large only because it says things twice is refused elsewhere.
            assert!(value.is_object(), "{value}");
            let bytes = request.encode_to_vec();
            assert_eq!(Basket::read(&bytes), Some(Basket::from(&request)));
            format!("{} lines, {} coupons", request.lines.len(), request.coupons.len())
        }
        Err(error) => {
            let text = error.to_string();
            text.split(" at line")
                .next()
                .unwrap_or_default()
                .chars()
                .filter(char::is_ascii_alphabetic)
                .take(24)
                .collect()
        }
    });
}
