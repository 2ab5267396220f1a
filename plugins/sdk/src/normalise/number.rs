//! Numbers as digits: exact, without a float in between.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::StepError;
use crate::value::Value;

/// The most digits that a contract's decimal has.
const DIGITS_MAX: u32 = 38;

/// Ten to the power of the index.
const POWERS: [i128; DIGITS_MAX as usize + 1] = {
    let mut powers = [1; DIGITS_MAX as usize + 1];
    let mut power = 1;
    while power < powers.len() {
        powers[power] = powers[power - 1] * 10;
        power += 1;
    }
    powers
};

/// So many digits always fit 64 bits.
const SHORT_DIGITS: usize = 18;

/// Ten to the power of the index.
const SHORT_POWERS: [i64; SHORT_DIGITS + 1] = {
    let mut powers = [1; SHORT_DIGITS + 1];
    let mut power = 1;
    while power < powers.len() {
        powers[power] = powers[power - 1] * 10;
        power += 1;
    }
    powers
};

/// The step `decimal`: text to a number with the same digits.
///
/// Spaces around are dropped. Numbers pass as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecimalText {
    /// Between groups of three digits; optional in the text. Give `' '` for any white space, the narrow kinds too.
    pub thousands: Option<char>,
    /// Between the whole digits and the fraction.
    pub point: char,
}

impl Default for DecimalText {
    /// No groups, and a full stop before the fraction.
    fn default() -> Self {
        Self { thousands: None, point: '.' }
    }
}

impl DecimalText {
    /// Applies the step to a value that is not null.
    pub fn apply<'a>(&self, value: Value<'a>) -> Result<Value<'a>, StepError> {
        match value {
            Value::Number(_) => Ok(value),
            // The usual text is a number already: keep it borrowed.
            Value::Text(text) if self.point == '.' && is_json_number(&text) => Ok(Value::Number(text)),
            Value::Text(text) => match self.digits(&text) {
                Some(digits) => Ok(Value::Number(Cow::Owned(digits))),
                None => Err(self.refuse(&Value::Text(text))),
            },
            value => Err(StepError::wrong_type("decimal", "text or a number", &value)),
        }
    }

    /// The JSON number that `text` means, if it means one.
    fn digits(&self, text: &str) -> Option<String> {
        let text = text.trim();
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = match unsigned.split_once(self.point) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (unsigned, None),
        };
        let mut digits = String::with_capacity(text.len() + 1);
        digits.push_str(sign);
        let start = digits.len();
        let mut groups = whole.split(|c| self.is_thousands(c));
        digits.push_str(groups.next().unwrap_or_default());
        let first = digits.len() - start;
        for group in groups {
            if group.len() != 3 || !(1..=3).contains(&first) {
                return None;
            }
            digits.push_str(group);
        }
        let zeros = digits[start..].bytes().take_while(|digit| *digit == b'0').count();
        let kept = (digits.len() - start).saturating_sub(1);
        digits.replace_range(start..start + zeros.min(kept), "");
        if digits.len() == start {
            // `.5` is common, `.` is nothing.
            fraction?;
            digits.push('0');
        }
        if let Some(fraction) = fraction {
            digits.push('.');
            digits.push_str(fraction);
        }
        is_json_number(&digits).then_some(digits)
    }

    fn is_thousands(&self, c: char) -> bool {
        match self.thousands {
            Some(' ') => c.is_whitespace(),
            Some(thousands) => c == thousands,
            None => false,
        }
    }

    fn refuse(&self, value: &Value<'_>) -> StepError {
        let groups = match self.thousands {
            Some(thousands) => format!("groups of three by `{thousands}`"),
            None => "no separator of groups".to_owned(),
        };
        let message = format!("found text, expected that of a number with the point `{}` and {groups}", self.point);
        StepError::new("decimal", "bad_number", message, value)
    }
}

/// The step `scale`: a number of minor units to major units, exactly: `166780` at 2 is `1667.80`.
pub fn scale(value: Value<'_>, exponent: u32) -> Result<Value<'_>, StepError> {
    let refuse = |code, message: &str, value: &Value<'_>| Err(StepError::new("scale", code, message, value));
    let text = match &value {
        Value::Number(text) | Value::Text(text) => text,
        _ => return Err(StepError::wrong_type("scale", "a number of minor units", &value)),
    };
    match decimal_from_digits(text, DIGITS_MAX as u8, 0) {
        Ok(minor) if exponent <= DIGITS_MAX => Ok(Value::Number(decimal_to_digits(minor, exponent as u8).into())),
        Ok(_) | Err(NumberError::Overflow) => refuse("overflow", "found a number beyond 38 digits", &value),
        Err(NumberError::NotANumber) => refuse("bad_number", "found text, expected that of a number", &value),
        Err(NumberError::PrecisionLoss) => {
            refuse("precision_loss", "found a fraction, expected a whole number of minor units", &value)
        }
    }
}

/// Why digits are no decimal of a given type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is not in JSON's grammar of numbers, leading zeros and a plus sign allowed.
    #[error("not a number")]
    NotANumber,
    /// More digits before the point than the precision leaves.
    #[error("too large")]
    Overflow,
    /// A digit other than zero after those that the scale keeps.
    #[error("too many digits after the point")]
    PrecisionLoss,
}

/// The unscaled value of the number `text` at `scale`, if it has it exactly in `precision` digits (at most 38).
///
/// JSON's grammar, with leading zeros and a plus sign allowed. `"1667.8"` at scale 2 is 166780.
pub fn decimal_from_digits(text: &str, precision: u8, scale: u8) -> Result<i128, NumberError> {
    match short_number(text.as_bytes()) {
        Some((mantissa, fraction)) if fraction <= usize::from(scale) => {
            let unscaled = i128::from(mantissa).checked_mul(POWERS[usize::from(scale) - fraction]);
            unscaled.filter(|it| it.abs() < POWERS[usize::from(precision)]).ok_or(NumberError::Overflow)
        }
        _ => any_decimal_from_digits(text, precision, scale),
    }
}

/// The digits of a plain number of at most 18, and how many of them follow the point: nearly every number.
#[inline]
pub fn short_number(text: &[u8]) -> Option<(i64, usize)> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if unsigned.is_empty() || unsigned.len() > SHORT_DIGITS {
        return None;
    }
    let (mut mantissa, mut fraction) = (0, None);
    for (at, byte) in unsigned.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + i64::from(digit);
        } else if *byte == b'.' && at > 0 && fraction.is_none() && at + 1 < unsigned.len() {
            fraction = Some(unsigned.len() - at - 1);
        } else {
            return None;
        }
    }
    Some((if negative { -mantissa } else { mantissa }, fraction.unwrap_or(0)))
}

/// `mantissa` with `shift` more zeros, if it then has at most `precision` digits, and at most 18.
///
/// What fits is told by comparing: a checked multiplication of 64 bits is one of 128 bits in WebAssembly.
#[inline]
pub fn shifted(mantissa: i64, shift: usize, precision: u8) -> Option<i64> {
    let digits = usize::from(precision).min(SHORT_DIGITS).checked_sub(shift)?;
    let limit = SHORT_POWERS[digits];
    (-limit < mantissa && mantissa < limit).then(|| mantissa * SHORT_POWERS[shift])
}

fn any_decimal_from_digits(text: &str, precision: u8, scale: u8) -> Result<i128, NumberError> {
    let Parts { negative, whole, fraction, exponent } = parts(text).ok_or(NumberError::NotANumber)?;
    // The mantissa without the zeros at either end, and the power of ten of its last digit.
    let mut mantissa: i128 = 0;
    let mut digits: i64 = 0;
    let mut zeros: i64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if digit == b'0' {
            zeros += i64::from(digits > 0);
            continue;
        }
        digits += zeros + 1;
        // More are too many at any scale; only where they stand still matters, for the error.
        if digits <= i64::from(DIGITS_MAX) {
            mantissa = mantissa * POWERS[zeros as usize + 1] + i128::from(digit - b'0');
        }
        zeros = 0;
    }
    if digits == 0 {
        return Ok(0);
    }
    let last = exponent.saturating_sub(fraction.len() as i64).saturating_add(zeros);
    let shift = last.saturating_add(i64::from(scale));
    if digits.saturating_add(shift) > i64::from(precision) {
        return Err(NumberError::Overflow);
    }
    if shift < 0 {
        return Err(NumberError::PrecisionLoss);
    }
    // digits + shift <= precision <= 38, so this fits.
    let unscaled = mantissa * POWERS[shift as usize];
    Ok(if negative { -unscaled } else { unscaled })
}

/// The digits of an unscaled value at `scale`, all of them: 166780 at 2 is `1667.80`.
pub fn decimal_to_digits(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let mut digits = match i64::try_from(unscaled) {
        // Much quicker than 128 bits, and nearly always enough.
        Ok(short) => short.to_string(),
        Err(_) => unscaled.to_string(),
    };
    let sign = usize::from(unscaled < 0);
    let missing = (scale + 1).saturating_sub(digits.len() - sign);
    if missing > 0 {
        digits.insert_str(sign, &"0".repeat(missing));
    }
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    digits
}

/// Whether `text` is in JSON's grammar of numbers, leading zeros and a plus sign allowed.
pub(super) fn is_number(text: &str) -> bool {
    parts(text).is_some()
}

/// Whether `text` is a number as JSON has it.
pub(super) fn is_json_number(text: &str) -> bool {
    !text.starts_with('+') && parts(text).is_some_and(|Parts { whole, .. }| whole.len() == 1 || !whole.starts_with('0'))
}

struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], power(&unsigned[at + 1..])?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!whole.is_empty() && digits(whole) && digits(fraction)).then_some(Parts { negative, whole, fraction, exponent })
}

/// An exponent; one beyond 18 digits is as good as infinite.
fn power(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.trim_start_matches('0');
    let magnitude = if magnitude.len() > 18 { i64::MAX / 4 } else { magnitude.parse().unwrap_or(0) };
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decimals_survive_their_digits(unscaled in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0u8..=38) {
            let digits = decimal_to_digits(unscaled, scale);
            prop_assert_eq!(decimal_from_digits(&digits, 38, scale), Ok(unscaled));
        }

        #[test]
        fn the_short_way_agrees_with_the_long(
            text in "-?[0-9]{0,12}\\.?[0-9]{0,8}",
            precision in 1u8..=38,
            scale in 0u8..=38,
        ) {
            let long = any_decimal_from_digits(&text, precision, scale);
            prop_assert_eq!(decimal_from_digits(&text, precision, scale), long);
        }

        #[test]
        fn the_exponent_moves_the_point(unscaled: i64, scale in 0u8..=18) {
            let plain = decimal_to_digits(i128::from(unscaled), scale);
            prop_assert_eq!(decimal_from_digits(&format!("{unscaled}e-{scale}"), 38, scale), Ok(i128::from(unscaled)));
            prop_assert_eq!(decimal_from_digits(&format!("{plain}E+{scale}"), 38, 0), Ok(i128::from(unscaled)));
        }

        #[test]
        fn scaling_divides_exactly(minor: i64, exponent in 0u32..=4) {
            let scaled = scale(Value::Number(minor.to_string().into()), exponent).expect("an integer scales");
            let Value::Number(digits) = scaled else { panic!("scale makes a number") };
            prop_assert!(is_json_number(&digits));
            prop_assert_eq!(decimal_from_digits(&digits, 38, exponent as u8), Ok(i128::from(minor)));
        }

        #[test]
        fn any_text_is_refused_or_a_number(text: String, scale in 0u8..=38) {
            let is = decimal_from_digits(&text, 38, scale) != Err(NumberError::NotANumber);
            prop_assert_eq!(is, is_number(&text));
        }

        #[test]
        fn grouped_text_means_its_digits(whole in 0u64..1_000_000_000_000, fraction in "[0-9]{0,4}") {
            let plain = whole.to_string();
            let mut grouped = String::new();
            for (index, digit) in plain.chars().enumerate() {
                if index > 0 && (plain.len() - index) % 3 == 0 {
                    grouped.push('.');
                }
                grouped.push(digit);
            }
            let tail = |point: &str| if fraction.is_empty() { String::new() } else { format!("{point}{fraction}") };
            let step = DecimalText { thousands: Some('.'), point: ',' };
            let found = step.apply(Value::Text(format!("{grouped}{}", tail(",")).into()));
            prop_assert_eq!(found, Ok(Value::Number(format!("{plain}{}", tail(".")).into())));
        }
    }

    #[track_caller]
    fn check(text: &str, precision: u8, scale: u8, expected: Result<i128, NumberError>) {
        assert_eq!(decimal_from_digits(text, precision, scale), expected, "{text}");
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        use NumberError::{NotANumber, Overflow, PrecisionLoss};
        check("1667.8", 18, 2, Ok(166780));
        check("-0.00", 18, 2, Ok(0));
        check("0e999999999999999999999", 18, 2, Ok(0));
        check("1e999999999999999999999", 18, 2, Err(Overflow));
        check("1e-999999999999999999999", 18, 2, Err(PrecisionLoss));
        check("99999", 4, 0, Err(Overflow));
        check("0.005", 18, 2, Err(PrecisionLoss));
        check("100000000000000000000000000000000000000000000.5", 38, 0, Err(Overflow));
        check("0.1000000000000000000000000000000000000000000005", 38, 2, Err(PrecisionLoss));
        check("1.0000000000000000000000000000000000000000000000", 38, 2, Ok(100));
        for text in ["", "-", ".5", "5.", "1e", "1e+", "0x1", "1_0", " 1", "١", "NaN", "--1", "+-1"] {
            check(text, 38, 0, Err(NotANumber));
        }
    }

    #[track_caller]
    fn read(step: DecimalText, text: &str, expected: Option<&str>) {
        let found = step.apply(Value::Text(text.into()));
        assert_eq!(found.ok(), expected.map(|digits| Value::Number(digits.into())), "{text}");
    }

    #[test]
    fn decimal_text_is_read_as_stated() {
        let plain = DecimalText::default;
        read(plain(), "1667.80", Some("1667.80"));
        read(plain(), " +007.50 ", Some("7.50"));
        read(plain(), ".5", Some("0.5"));
        read(plain(), "-.5", Some("-0.5"));
        read(plain(), "000", Some("0"));
        for text in ["", ".", "1,5", "1.2.3", "EUR 5", "1 000"] {
            read(plain(), text, None);
        }
        let english = || DecimalText { thousands: Some(','), point: '.' };
        read(english(), "1,234,567.8", Some("1234567.8"));
        read(english(), "1234567.8", Some("1234567.8"));
        for text in ["1,23", "1234,567", ",123", "1,234.5,6"] {
            read(english(), text, None);
        }
        let german = || DecimalText { thousands: Some('.'), point: ',' };
        read(german(), "1.667", Some("1667"));
        read(german(), "1.23", None);
        read(DecimalText { thousands: Some(' '), point: ',' }, "1\u{202f}234,50", Some("1234.50"));
    }

    #[test]
    fn minor_units_are_whole() {
        let code = |value| scale(value, 2).expect_err("refused").code;
        assert_eq!(code(Value::Number("1.5".into())), "precision_loss");
        assert_eq!(code(Value::Text("x".into())), "bad_number");
        assert_eq!(code(Value::Boolean(true)), "wrong_type");
    }
}
