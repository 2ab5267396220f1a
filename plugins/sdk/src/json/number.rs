//! Numbers by value: two texts in JSON's grammar, compared without ever being a float.

use std::cmp::Ordering;

/// Compares two numbers in JSON's grammar: `1`, `1.0` and `10e-1` are equal, however many digits they have.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    let (left, right) = (Number::read(left), Number::read(right));
    left.sign.cmp(&right.sign).then_with(|| {
        let size = left.exponent.cmp(&right.exponent).then_with(|| left.digits().cmp(right.digits()));
        if left.sign < 0 { size.reverse() } else { size }
    })
}

/// `0.d₁d₂d₃… × 10^exponent`, where d₁ is not 0.
struct Number<'a> {
    /// -1, 0 or 1.
    sign: i8,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Number<'a> {
    fn read(text: &'a str) -> Self {
        let (sign, size) = text.strip_prefix('-').map_or((1, text), |size| (-1, size));
        let (mantissa, exponent) = size.split_once(['e', 'E']).unwrap_or((size, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let significant = fraction.trim_start_matches('0');
        if whole.is_empty() && significant.is_empty() {
            return Self { sign: 0, whole, fraction, exponent: 0 };
        }
        // An exponent beyond 64 bits stands for itself: nothing that fits a record can be compared closer.
        let exponent: i64 =
            exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
        let (fraction, shift) = if whole.is_empty() {
            (significant, -((fraction.len() - significant.len()) as i64))
        } else {
            (fraction, whole.len() as i64)
        };
        Self { sign, whole, fraction, exponent: exponent.saturating_add(shift) }
    }

    /// The digits, without the zeros behind the last one that counts.
    fn digits(&self) -> impl Iterator<Item = u8> {
        let whole = if self.fraction.is_empty() { self.whole.trim_end_matches('0') } else { self.whole };
        whole.bytes().chain(self.fraction.bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(left: &str, expected: Ordering, right: &str) {
        assert_eq!(compare(left, right), expected, "{left} and {right}");
        assert_eq!(compare(right, left), expected.reverse(), "{right} and {left}");
    }

    #[test]
    fn numbers_compare_by_value() {
        use Ordering::{Equal, Less};
        check("1", Equal, "1.0");
        check("1", Equal, "10e-1");
        check("100", Equal, "1E+2");
        check("0.001", Equal, "1e-3");
        check("-0", Equal, "0.0e7");
        check("-1", Less, "-0.5");
        check("-1", Less, "1");
        check("9", Less, "10");
        check("9007199254740992", Less, "9007199254740993");
        check("1e-17", Less, "2e-17");
        check("0", Less, "1e-400");
        check("1e400", Less, "1e401");
        check("-1e99999999999999999999", Less, "1e-99999999999999999999");
        check("1.10", Equal, "1.1");
        check("120", Less, "121");
    }

    proptest! {
        #[test]
        fn integers_compare_as_integers(left: i64, right: i64) {
            prop_assert_eq!(compare(&left.to_string(), &right.to_string()), left.cmp(&right));
        }

        #[test]
        fn floats_compare_as_floats(left: f64, right: f64) {
            prop_assume!(left.is_finite() && right.is_finite());
            let (l, r) = (format!("{left:e}"), format!("{right}"));
            prop_assert_eq!(compare(&l, &r), left.partial_cmp(&right).expect("both are finite"));
        }
    }
}
