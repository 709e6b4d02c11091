use pricing::Instant;

/// `2026-01-31T23:59:58.000000001Z`: RFC 3339, in as many digits of a second as `at` has, counted in threes.
pub(crate) struct Rfc3339 {
    text: [u8; 30],
    length: usize,
}

impl Rfc3339 {
    /// The text of an instant from 1970 to 9999; others are cut to these.
    pub(crate) fn new(at: Instant) -> Self {
        let seconds = at.seconds.clamp(0, 253_402_300_799) as u64;
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        digits(year, &mut text[0..4]);
        digits(month, &mut text[5..7]);
        digits(day, &mut text[8..10]);
        digits(second / 3_600, &mut text[11..13]);
        digits(second / 60 % 60, &mut text[14..16]);
        digits(second % 60, &mut text[17..19]);
        let nanos = u64::from(at.nanos.clamp(0, 999_999_999).unsigned_abs());
        digits(nanos, &mut text[20..29]);
        let end = match nanos {
            0 => 19,
            _ if nanos % 1_000_000 == 0 => 23,
            _ if nanos % 1_000 == 0 => 26,
            _ => 29,
        };
        text[end] = b'Z';
        Self { text, length: end + 1 }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

fn digits(mut number: u64, text: &mut [u8]) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day since 1970-01-01. Years are counted from March here, so that leap days come last.
fn date(days: u64) -> (u64, u64, u64) {
    const FROM_MARCH_0000: u64 = 719_468;
    const IN_400_YEARS: u64 = 146_097;
    let days = days + FROM_MARCH_0000;
    let (era, day) = (days / IN_400_YEARS, days % IN_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_as_prost_writes_it(
            seconds in 0i64..253_402_300_800,
            nanos in prop_oneof![
                Just(0),
                (0i32..1_000).prop_map(|n| n * 1_000_000),
                (0i32..1_000_000).prop_map(|n| n * 1_000),
                0i32..1_000_000_000,
            ],
        ) {
            let expected = prost_types::Timestamp { seconds, nanos }.to_string();
            let text = Rfc3339::new(Instant { seconds, nanos });
            prop_assert_eq!(String::from_utf8_lossy(text.as_bytes()), expected);
        }
    }
}
