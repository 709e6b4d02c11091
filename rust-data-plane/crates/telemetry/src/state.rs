//! `tracestate` of W3C trace context: what other tracing systems add to a trace. It is passed on as it is.

use std::borrow::Cow;

/// Bytes of all members and their commas. The specification asks for at least this many to be passed on.
const MOST_BYTES: usize = 512;
const MOST_MEMBERS: usize = 32;

/// A valid `tracestate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceState<'a>(Cow<'a, str>);

impl<'a> TraceState<'a> {
    /// Reads the values of the headers `tracestate`, of which there may be several. `None` when there are none, and when they
    /// are malformed or larger than 512 bytes: the trace then goes on without them.
    pub fn parse(values: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut values = values.into_iter().map(std::str::from_utf8);
        let mut text = Cow::Borrowed(values.next()?.ok()?);
        for more in values {
            let all = text.to_mut();
            all.push(',');
            all.push_str(more.ok()?);
        }
        is_valid(&text).then_some(Self(text))
    }

    /// The value of a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy that outlives what it was read from.
    pub fn into_owned(self) -> TraceState<'static> {
        TraceState(Cow::Owned(self.0.into_owned()))
    }
}

fn is_valid(text: &str) -> bool {
    if text.len() > MOST_BYTES {
        return false;
    }
    let mut keys = [""; MOST_MEMBERS];
    let mut count = 0;
    for member in text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()) {
        let Some((key, value)) = member.split_once('=') else { return false };
        if count == MOST_MEMBERS || !is_key(key) || !is_value(value) || keys[..count].contains(&key) {
            return false;
        }
        keys[count] = key;
        count += 1;
    }
    count > 0
}

/// `system`, or `tenant@system`.
fn is_key(key: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte);
    let is_name = |name: &str, most: usize, may_start_with_digit: bool| {
        let starts_well = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase() || (may_start_with_digit && byte.is_ascii_digit()));
        starts_well && name.len() <= most && name.bytes().all(inner)
    };
    match key.split_once('@') {
        Some((tenant, system)) => is_name(tenant, 241, true) && is_name(system, 14, false),
        None => is_name(key, 256, true),
    }
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && !value.ends_with(' ')
        && value.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b',' && byte != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Option<TraceState<'_>> {
        TraceState::parse([text.as_bytes()])
    }

    #[test]
    fn what_is_valid_is_passed_on_as_it_is() {
        for valid in ["rojo=00f067aa0ba902b7", "a=1,b=2", "a=1 , b=2", "tenant@system=x y", "1a=!", "a=1,,b=2"] {
            assert_eq!(parse(valid).unwrap().as_str(), valid);
        }
        let several = TraceState::parse([&b"a=1"[..], b"b=2"]).unwrap();
        assert_eq!(several.into_owned().as_str(), "a=1,b=2");
    }

    #[test]
    fn what_is_malformed_or_too_large_is_dropped() {
        let (long, many) = ("a=".to_owned() + &"x".repeat(257), ["a=1"; 33].join(","));
        let members: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        let large: Vec<String> = (0..20).map(|n| format!("k{n}={}", "x".repeat(30))).collect();
        for invalid in [
            "", " ", ",", "a", "a=", "=b", "A=1", "a=1,a=2", "a=b=c", "a=\u{e9}", "a@=1", "@a=1", "a@1b=2", &long,
            &many,
        ] {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
        assert_eq!((parse(&members.join(",")), parse(&large.join(","))), (None, None));
        assert_eq!(TraceState::parse([&b"a=\xff"[..]]), None);
        assert_eq!(TraceState::parse([]), None);
    }

    proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = parse(&text);
        }
    }
}
