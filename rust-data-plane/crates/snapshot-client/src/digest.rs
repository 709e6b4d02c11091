/// The digest of a state: see `snapshot.proto`. Sums are cheap to keep up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Adds version `version` of the resource `key` ("<type>/<name>").
    pub fn add(&mut self, key: &str, version: i64) {
        self.0 = self.0.wrapping_add(Self::of(key, version));
    }

    /// Removes it again.
    pub fn subtract(&mut self, key: &str, version: i64) {
        self.0 = self.0.wrapping_sub(Self::of(key, version));
    }

    /// The value on the wire.
    pub fn value(self) -> u64 {
        self.0
    }

    fn of(key: &str, version: i64) -> u64 {
        fnv1a(format!("{key}@{version}").as_bytes())
    }
}

pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn order_does_not_matter_and_removal_undoes() {
        let (mut one, mut other) = (Digest::default(), Digest::default());
        one.add("item/a", 1);
        one.add("tax_rule/DE/standard", 2);
        other.add("tax_rule/DE/standard", 2);
        other.add("item/b", 9);
        other.add("item/a", 1);
        other.subtract("item/b", 9);
        assert_eq!(one, other);
        assert_eq!(one.value(), fnv1a(b"item/a@1").wrapping_add(fnv1a(b"tax_rule/DE/standard@2")));
    }
}
