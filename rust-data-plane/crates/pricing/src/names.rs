//! What names may look like.

/// An ISO 4217 alphabetic code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The code `text` names; `None` unless it is three of A-Z.
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 3] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }
}

impl std::fmt::Debug for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// The category of what names none.
pub(crate) const STANDARD: &str = "standard";

/// Whether `text` can be a sku, a promotion id, a coupon or the id of a node: 1 to 64 characters of A-Z a-z 0-9 . _ -, neither . nor ..
pub fn is_key(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && text != "."
        && text != ".."
}

/// 2 to 16 characters of A-Z 0-9 -
pub(crate) fn is_jurisdiction(text: &str) -> bool {
    (2..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-')
}

/// 1 to 32 characters of a-z 0-9 -
pub(crate) fn is_category(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The category that `text` means.
pub(crate) fn category(text: &str) -> &str {
    if text.is_empty() { STANDARD } else { text }
}
