//! Records of many quotes as prost alone reads them, and that the reader which borrows makes the same of them.

use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
use contracts::hybrid::usage::v1::{PricedQuote, QuotesPriced, UsageWindow};
use kafka::message::Header;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use prost_types::Timestamp;

use crate::event::{Poison, read};
use crate::quote::Quote;
use crate::windows::Windows;
use crate::wire::{self, Beside};

pub(crate) const HEADERS: [Header<'_>; 4] = [
    Header { key: b"ce_specversion", value: Some(b"1.0") },
    Header { key: b"ce_id", value: Some(b"id") },
    Header { key: b"ce_source", value: Some(b"/test") },
    Header { key: b"ce_type", value: Some(b"hybrid.pricing.quotes.priced.v1") },
];

/// Quotes that are not looked into.
#[derive(Clone, PartialEq, Message)]
struct Encoded {
    #[prost(string, tag = "1")]
    node_id: String,
    #[prost(bytes = "vec", repeated, tag = "2")]
    quotes: Vec<Vec<u8>>,
}

/// `traceparent` and `tracestate`.
type Trace = [Vec<u8>; 2];

/// What becomes of a record.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    dead: Vec<Dead>,
    /// Those of the quotes that are counted.
    traces: Vec<Trace>,
    windows: Vec<UsageWindow>,
}

/// A quote that cannot be used.
#[derive(Debug, PartialEq)]
struct Dead {
    index: usize,
    poison: Poison,
    trace: Option<Trace>,
    /// The value of its dead letter.
    alone: Vec<u8>,
}

fn by_prost(value: &[u8]) -> Result<Outcome, Poison> {
    let Encoded { node_id, quotes } = Encoded::decode(value).map_err(Poison::ValueInvalid)?;
    if quotes.is_empty() {
        return Err(Poison::FieldInvalid("quotes"));
    }
    let (mut outcome, mut windows) = (Outcome::default(), Windows::default());
    for (index, encoded) in quotes.into_iter().enumerate() {
        let (quote, trace) = match PricedQuote::decode(&encoded[..]) {
            Ok(PricedQuote { quote, traceparent, tracestate }) => {
                (valid(quote), Some([traceparent.into_bytes(), tracestate.into_bytes()]))
            }
            Err(error) => (Err(Poison::ValueInvalid(error)), None),
        };
        let added = quote
            .and_then(|quote| if windows.add(&Quote::from(&quote)) { Ok(()) } else { Err(Poison::TotalsMismatch) });
        match added {
            Ok(()) => outcome.traces.extend(trace),
            Err(poison) => {
                let alone = Encoded { node_id: node_id.clone(), quotes: vec![encoded] }.encode_to_vec();
                outcome.dead.push(Dead { index, poison, trace, alone });
            }
        }
    }
    outcome.windows = windows.take();
    Ok(outcome)
}

fn valid(quote: Option<QuoteResponse>) -> Result<QuoteResponse, Poison> {
    let quote = quote.ok_or(Poison::FieldInvalid("quote"))?;
    let is_name = |text: &str, limit: usize| (1..=limit).contains(&text.len());
    let has_time = quote.priced_at.is_some_and(|at| {
        (-62_135_596_800..=253_402_300_799).contains(&at.seconds) && (0..1_000_000_000).contains(&at.nanos)
    });
    let fields = [
        ("quote_id", is_name(&quote.quote_id, 64)),
        ("priced_at", has_time),
        ("currency_code", quote.currency_code.len() == 3),
        ("jurisdiction", is_name(&quote.jurisdiction, 16)),
        ("lines", (1..=200).contains(&quote.lines.len())),
        ("lines.sku", quote.lines.iter().all(|line| is_name(&line.sku, 64))),
        ("lines.promotion_id", quote.lines.iter().all(|line| line.promotion_id.len() <= 64)),
    ];
    if let Some((field, _)) = fields.into_iter().find(|(_, valid)| !valid) {
        return Err(Poison::FieldInvalid(field));
    }
    let negative = |line: &PricedLine| {
        [line.quantity, line.discount_minor, line.net_minor, line.tax_minor, line.gross_minor].iter().any(|&n| n < 0)
    };
    if let Some(index) = quote.lines.iter().position(negative) {
        return Err(Poison::AmountNegative(index));
    }
    let sum = |of: fn(&PricedLine) -> i64| quote.lines.iter().map(|line| i128::from(of(line))).sum::<i128>();
    let sums = [
        (sum(|line| line.discount_minor), quote.discount_minor),
        (sum(|line| line.net_minor), quote.net_minor),
        (sum(|line| line.tax_minor), quote.tax_minor),
        (sum(|line| line.gross_minor), quote.gross_minor),
    ];
    let fit = sums.iter().all(|&(sum, stated)| sum == i128::from(stated));
    if fit { Ok(quote) } else { Err(Poison::TotalsMismatch) }
}

fn by_borrowing(value: &[u8]) -> Result<Outcome, Poison> {
    let record = read(&HEADERS, Some(value))?;
    let (mut outcome, mut windows, mut count) = (Outcome::default(), Windows::default(), 0);
    record.each(|index, priced| {
        let trace = priced.trace.map(|(parent, state)| [parent.to_vec(), state.to_vec()]);
        let poison = match &priced.quote {
            Ok(quote) if windows.add(quote) => None,
            Ok(_) => Some(Poison::TotalsMismatch),
            Err(poison) => Some(poison.clone()),
        };
        match poison {
            None => outcome.traces.extend(trace),
            Some(poison) => {
                let alone = record.alone(&priced).unwrap();
                outcome.dead.push(Dead { index, poison, trace, alone });
            }
        }
        count += 1;
    });
    assert_eq!(count, record.len());
    outcome.windows = windows.take();
    Ok(outcome)
}

/// Panics where a record's value is not read as prost reads it.
pub(crate) fn assert_read_as_by_prost(value: &[u8]) {
    assert_eq!(by_borrowing(value), by_prost(value));
}

fn line() -> impl Strategy<Value = PricedLine> {
    let amount = || prop_oneof![20 => 0..1_000_i64, 1 => any::<i64>()];
    let names = ("[ab]|\\PC{0,70}", "[pq]?|\\PC{0,70}");
    (names, any::<[i64; 3]>(), amount(), amount(), amount(), amount(), amount()).prop_map(
        |((sku, promotion_id), [unit, rate, created], quantity, discount, net, tax, gross)| PricedLine {
            sku,
            quantity,
            unit_price_minor: unit,
            discount_minor: discount,
            net_minor: net,
            tax_minor: tax,
            gross_minor: gross,
            tax_rate_ppm: rate,
            promotion_id,
            promotion_created_version: created % 3,
        },
    )
}

/// Quotes that are mostly valid.
fn quote() -> impl Strategy<Value = QuoteResponse> {
    let mostly = |valid: &'static str| prop_oneof![12 => Just(valid.to_owned()), 1 => "\\PC{0,80}"];
    let seconds = prop_oneof![9 => 0..40_i64, 1 => any::<i64>()];
    let nanos = prop_oneof![9 => 0..1_000_000_000_i32, 1 => any::<i32>()];
    let at = option::weighted(0.95, (seconds, nanos).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }));
    let texts = (mostly("0192d3a4-0000-7000-8000-000000000001"), mostly("EUR"), mostly("DE"));
    let off = prop_oneof![12 => Just(0_i64), 1 => any::<i64>()];
    (texts, any::<i64>(), at, vec(line(), 0..5), off).prop_map(
        |((quote_id, currency_code, jurisdiction), snapshot_version, priced_at, lines, off)| {
            let sum = |of: fn(&PricedLine) -> i64| lines.iter().map(of).fold(0, i64::wrapping_add);
            QuoteResponse {
                quote_id,
                snapshot_version,
                priced_at,
                currency_code,
                jurisdiction,
                discount_minor: sum(|line| line.discount_minor),
                net_minor: sum(|line| line.net_minor),
                tax_minor: sum(|line| line.tax_minor),
                gross_minor: sum(|line| line.gross_minor).wrapping_add(off),
                lines,
            }
        },
    )
}

fn priced() -> impl Strategy<Value = PricedQuote> {
    let parent = prop_oneof![Just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()), "\\PC{0,60}"];
    (option::weighted(0.95, quote()), parent, "\\PC{0,20}").prop_map(|(quote, traceparent, tracestate)| PricedQuote {
        quote,
        traceparent,
        tracestate,
    })
}

/// What may become of an encoded message.
#[derive(Clone, Debug)]
enum Change {
    Byte(Index, u8),
    End(Index),
    /// A part comes once more, somewhere.
    Again(Index, Index, Index),
    /// The whole is followed by this.
    More(Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        any::<Index>().prop_map(Change::End),
        any::<[Index; 3]>().prop_map(|[from, to, at]| Change::Again(from, to, at)),
        vec(any::<u8>(), 1..4).prop_map(Change::More),
        // Which is to be merged with what was there.
        priced().prop_map(|priced| Change::More(priced.encode_to_vec())),
        // A field that is not known.
        Just(Change::More(vec![15 << 3, 1])),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: Vec<Change>) -> Vec<u8> {
    for change in changes {
        let at = |index: Index| index.index(bytes.len() + 1);
        match change {
            Change::Byte(index, byte) if !bytes.is_empty() => {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            Change::Byte(..) => {}
            Change::End(index) => bytes.truncate(at(index)),
            Change::Again(from, to, index) => {
                let (from, to, index) = (at(from), at(to), at(index));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(index..index, part);
            }
            Change::More(more) => bytes.extend(more),
        }
    }
    bytes
}

/// An encoded `PricedQuote` whose quote is not looked into.
#[derive(Clone, PartialEq, Message)]
struct EncodedPriced {
    #[prost(bytes = "vec", optional, tag = "1")]
    quote: Option<Vec<u8>>,
    #[prost(string, tag = "2")]
    traceparent: String,
    #[prost(string, tag = "3")]
    tracestate: String,
}

/// Part of a quote, which is to be merged with the rest of it.
fn part() -> impl Strategy<Value = QuoteResponse> {
    let second = (0..40_i64).prop_map(|seconds| Timestamp { seconds, nanos: 0 });
    let nanos = any::<i32>().prop_map(|nanos| Timestamp { seconds: 0, nanos });
    prop_oneof![second, nanos].prop_map(|at| QuoteResponse { priced_at: Some(at), ..Default::default() })
}

/// Encoded quotes, of which some are changed, within or as a whole.
fn encoded() -> impl Strategy<Value = Vec<u8>> {
    let few = || prop_oneof![2 => vec(change(), 0..1), 1 => vec(change(), 1..3)];
    (priced(), few(), option::weighted(0.1, part()), few()).prop_map(|(priced, within, part, changes)| {
        let encode = |quote: QuoteResponse| {
            let mut bytes = changed(quote.encode_to_vec(), within);
            bytes.extend(part.iter().flat_map(Message::encode_to_vec));
            bytes
        };
        let PricedQuote { quote, traceparent, tracestate } = priced;
        let priced = EncodedPriced { quote: quote.map(encode), traceparent, tracestate };
        changed(priced.encode_to_vec(), changes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Prost is not needed for what data planes send.
    #[test]
    fn what_prost_writes_is_read_without_it(priced in priced(), node_id in "\\PC{0,20}") {
        let bytes = priced.encode_to_vec();
        let before = PricedLine::default();
        let mut quote = Quote { lines: vec![(&before).into()], ..Quote::default() };
        let beside = Beside {
            has_quote: priced.quote.is_some(),
            traceparent: priced.traceparent.as_bytes(),
            tracestate: priced.tracestate.as_bytes(),
        };
        prop_assert_eq!(wire::read_priced(&bytes, &mut quote), Some(beside));
        if let Some(expected) = &priced.quote {
            prop_assert_eq!(quote, Quote::from(expected));
        }
        let record = QuotesPriced { node_id: node_id.clone(), quotes: vec![priced.clone(), priced] }.encode_to_vec();
        let (node, quotes) = wire::read_record(&record).unwrap();
        prop_assert_eq!((node, quotes), (&*node_id, vec![(&bytes).into(); 2]));
    }

    #[test]
    fn records_come_to_what_prost_makes_of_them(
        node_id in "\\PC{0,20}",
        quotes in vec(encoded(), 0..6),
        changes in prop_oneof![3 => vec(change(), 0..1), 1 => vec(change(), 1..3)],
    ) {
        let value = changed(Encoded { node_id, quotes }.encode_to_vec(), changes);
        prop_assert_eq!(by_borrowing(&value), by_prost(&value));
    }

    #[test]
    fn any_bytes_come_to_what_prost_makes_of_them(quote in vec(any::<u8>(), 0..40), value in vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(by_borrowing(&value), by_prost(&value));
        let value = Encoded { quotes: vec![quote], ..Encoded::default() }.encode_to_vec();
        prop_assert_eq!(by_borrowing(&value), by_prost(&value));
    }
}
