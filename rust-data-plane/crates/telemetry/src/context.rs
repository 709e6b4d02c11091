//! W3C trace context.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use thiserror::Error;

const SAMPLED: u8 = 0x01;

/// Names a trace. Never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// Names a span within its trace. Never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

impl TraceId {
    /// A new one, from the thread's own generator.
    pub fn random() -> Self {
        Self(rand::rng().random::<u128>().max(1).to_be_bytes())
    }
}

impl SpanId {
    /// A new one, from the thread's own generator.
    pub fn random() -> Self {
        Self(rand::rng().random::<u64>().max(1).to_be_bytes())
    }
}

/// One span, as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span itself.
    pub span_id: SpanId,
    /// Whether it is recorded.
    pub sampled: bool,
}

/// A `traceparent` that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a traceparent of W3C trace context")]
pub struct ParseError;

impl TraceContext {
    /// The header `traceparent`: 55 ASCII bytes.
    pub fn traceparent(&self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(&self.trace_id.0, &mut text[3..35]);
        hex(&self.span_id.0, &mut text[36..52]);
        if self.sampled {
            text[54] = b'1';
        }
        text
    }

    /// Whether a header `traceparent` says that its span is recorded, if it can be used at all: cheaper than reading it.
    pub fn says_sampled(header: &[u8]) -> bool {
        header.get(53..55).and_then(|flags| unhex::<1>(flags).ok()).is_some_and(|[flags]| flags & SAMPLED != 0)
    }

    /// Reads a header `traceparent`.
    pub fn parse(header: &[u8]) -> Result<Self, ParseError> {
        let version = unhex::<1>(header.get(0..2).ok_or(ParseError)?)?[0];
        let end_is_right = match version {
            0 => header.len() == 55,
            0xff => false,
            _ => header.len() == 55 || header.get(55) == Some(&b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|&at| header.get(at) == Some(&b'-'));
        if !end_is_right || !dashes {
            return Err(ParseError);
        }
        let trace_id = unhex::<16>(&header[3..35])?;
        let span_id = unhex::<8>(&header[36..52])?;
        let flags = unhex::<1>(&header[53..55])?[0];
        if trace_id == [0; 16] || span_id == [0; 8] {
            return Err(ParseError);
        }
        Ok(Self { trace_id: TraceId(trace_id), span_id: SpanId(span_id), sampled: flags & SAMPLED != 0 })
    }
}

impl FromStr for TraceContext {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text.as_bytes())
    }
}

fn hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Lower-case hex only, as the specification demands.
pub(crate) fn unhex<const N: usize>(text: &[u8]) -> Result<[u8; N], ParseError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(ParseError),
    };
    if text.len() != 2 * N {
        return Err(ParseError);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

macro_rules! show_as_hex {
    ($($name:ident),*) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )* };
}
show_as_hex!(TraceId, SpanId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn reads_and_writes_the_specifications_example() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        assert!(context.sampled);
        assert_eq!(context.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.traceparent(), EXAMPLE.as_bytes());
    }

    #[test]
    fn refuses_what_the_specification_refuses() {
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(ParseError), "{bad}");
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        assert!("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more".parse::<TraceContext>().is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = TraceContext::parse(&bytes);
        }

        #[test]
        fn what_it_says_of_sampling_is_so(flags: u8, later in "(-more)?") {
            let version = if later.is_empty() { "00" } else { "01" };
            let header = format!("{version}-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags:02x}{later}");
            let context = TraceContext::parse(header.as_bytes()).unwrap();
            prop_assert_eq!(TraceContext::says_sampled(header.as_bytes()), context.sampled);
        }

        #[test]
        fn what_is_written_is_read(trace in 1u128.., span in 1u64.., sampled: bool) {
            let context = TraceContext {
                trace_id: TraceId(trace.to_be_bytes()),
                span_id: SpanId(span.to_be_bytes()),
                sampled,
            };
            prop_assert_eq!(TraceContext::parse(&context.traceparent()), Ok(context));
        }
    }
}
