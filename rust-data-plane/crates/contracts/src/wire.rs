//! Protobuf's wire format, for readers that borrow from a message. Each function takes what it reads off the front of `rest`; `None`
//! is for what is malformed, and for what is unusual, which prost then reads or refuses.

/// The key of a field that is an integer, if it is one byte: up to number 15.
#[inline]
pub const fn int_key(number: u8) -> u8 {
    assert!(number < 16);
    number << 3
}

/// The key of a field that is a text, bytes or a message, if it is one byte: up to number 15.
#[inline]
pub const fn length_key(number: u8) -> u8 {
    int_key(number) | 2
}

/// The key of the next field. Of one that is longer than a byte it is the first byte, which no key has that is one byte.
#[inline]
pub fn key(rest: &mut &[u8]) -> Option<u8> {
    let (&key, after) = rest.split_first()?;
    *rest = after;
    Some(key)
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
    if let Some(&eight) = rest.first_chunk() {
        let word = u64::from_le_bytes(eight);
        let last = !word & 0x8080_8080_8080_8080;
        if last != 0 {
            let length = last.trailing_zeros() as usize / 8 + 1;
            *rest = &rest[length..];
            // Seven bits of each byte, put together by two, by four, by eight.
            let word = word & (u64::MAX >> (64 - 8 * length));
            let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
            let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
            return Some(word & 0x0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4);
        }
    }
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

#[cfg(test)]
mod tests {
    use prost::encoding::{decode_varint, encode_varint};

    use super::*;

    /// Reads a varint as prost does, or neither does.
    fn check(bytes: &[u8]) {
        let (mut ours, mut theirs) = (bytes, bytes);
        match varint(&mut ours) {
            Some(value) => assert_eq!((Ok(value), ours), (decode_varint(&mut theirs), theirs), "{bytes:x?}"),
            None => assert!(decode_varint(&mut theirs).is_err(), "{bytes:x?}"),
        }
    }

    #[test]
    fn varints_are_read_as_by_prost() {
        for bits in 0..64 {
            for value in [(1 << bits) - 1, 1 << bits, u64::MAX << bits, 0x5a5a_5a5a_5a5a_5a5a >> bits] {
                let mut bytes = Vec::new();
                encode_varint(value, &mut bytes);
                let length = bytes.len();
                bytes.extend([0xff; 10]);
                (0..=bytes.len()).for_each(|end| check(&bytes[..end]));
                // With a byte that need not be there, and with one that has too much.
                for last in [0, 1, 2, 0x7f] {
                    bytes[length - 1] |= 0x80;
                    bytes[length] = last;
                    (0..=bytes.len()).for_each(|end| check(&bytes[..end]));
                }
            }
        }
    }
}
