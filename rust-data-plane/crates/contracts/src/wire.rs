//! Protobuf's wire format, for readers that borrow from a message. Each function takes what it reads off the front of `rest`; `None`
//! is for what is malformed, and for what is unusual, which prost then reads or refuses.

/// Wire type of integers.
pub const VARINT: u8 = 0;
/// Wire type of texts, bytes and messages.
pub const LENGTH_DELIMITED: u8 = 2;

/// Number and wire type of a field; only fields up to 15, whose keys are one byte.
#[inline]
pub fn key(rest: &mut &[u8]) -> Option<(u8, u8)> {
    let (&key, after) = rest.split_first()?;
    *rest = after;
    (key < 0x80).then_some((key >> 3, key & 7))
}

/// An integer; a signed one has its bits.
#[inline]
pub fn varint(rest: &mut &[u8]) -> Option<u64> {
    // Lengths, and most amounts, have no more than two bytes.
    match **rest {
        [one @ ..0x80, ref after @ ..] => {
            *rest = after;
            Some(one.into())
        }
        [one, two @ ..0x80, ref after @ ..] => {
            *rest = after;
            Some(u64::from(one & 0x7f) | u64::from(two) << 7)
        }
        _ => long_varint(rest),
    }
}

fn long_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, &byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *rest = &rest[index + 1..];
            // The tenth byte has one bit.
            return (index < 9 || byte < 2).then_some(value);
        }
    }
    None
}

/// What a length precedes.
#[inline]
pub fn bytes<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let length = usize::try_from(varint(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

/// A text.
#[inline]
pub fn text<'r>(rest: &mut &'r [u8]) -> Option<&'r str> {
    std::str::from_utf8(bytes(rest)?).ok()
}

/// A text of which no more than its bytes are needed: that it is ASCII is seen sooner than that it is UTF-8.
#[inline]
pub fn text_bytes<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let bytes = bytes(rest)?;
    (bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()).then_some(bytes)
}
