//! Exact arithmetic on minor units.

/// Rates are parts of this.
pub const PPM: i64 = 1_000_000;

/// `amount` × `rate_ppm` / 1,000,000, rounded half away from zero to a whole minor unit; `None` when that does not fit.
pub fn share(amount: i64, rate_ppm: i64) -> Option<i64> {
    let product = i128::from(amount) * i128::from(rate_ppm);
    let half = i128::from(PPM / 2) * product.signum();
    i64::try_from((product + half) / i128::from(PPM)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_within_half_a_unit_of_the_exact_value(amount: i64, rate in -2_000_000i64..=2_000_000) {
            let exact = i128::from(amount) * i128::from(rate);
            match share(amount, rate) {
                Some(result) => {
                    let off = i128::from(result) * i128::from(PPM) - exact;
                    prop_assert!(off.abs() <= i128::from(PPM / 2));
                    // A tie goes away from zero.
                    if off.abs() == i128::from(PPM / 2) {
                        prop_assert_eq!(off.signum(), exact.signum());
                    }
                }
                None => prop_assert!(exact.abs() > (i128::from(i64::MAX) * i128::from(PPM))),
            }
        }

        #[test]
        fn is_odd(amount in -i64::MAX..=i64::MAX, rate in 0i64..=PPM) {
            prop_assert_eq!(share(-amount, rate), share(amount, rate).map(|r| -r));
        }
    }
}
