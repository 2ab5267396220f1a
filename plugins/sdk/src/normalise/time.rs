//! Instants and days from the forms that sources write.
//!
//! An instant is microseconds since the epoch, from year 1 to year 9999, as every reader of the lake can hold it;
//! digits finer than a microsecond are cut. RFC 3339 is read here, strictly and without allocation, because most
//! records carry one; patterns are jiff's `strptime`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use serde::{Deserialize, Serialize};

use super::StepError;
use super::number::{decimal_from_digits, short_number};
use crate::value::Value;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z.
const MICROS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// One form of writing an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeForm {
    /// RFC 3339, with `T`, `t` or a space. Without an offset the step's counts.
    Rfc3339,
    /// Seconds since 1970-01-01T00:00:00Z; a number or its text, fractions allowed.
    EpochS,
    /// Milliseconds.
    EpochMs,
    /// Microseconds.
    EpochUs,
    /// Nanoseconds.
    EpochNs,
    /// A `strptime` pattern of jiff, such as `%d/%m/%Y %H:%M`; without `%z` the step's offset counts, without an
    /// hour it is midnight.
    Pattern(String),
}

/// The step `timestamp`: the first form that fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeForms {
    /// In the order tried. A number fits the first epoch form, whatever its size.
    pub forms: Vec<TimeForm>,
    /// Seconds east of UTC for texts without an offset; 0 is UTC.
    pub offset_seconds: i32,
}

/// One form of writing a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DateForm {
    /// `YYYY-MM-DD`.
    Iso,
    /// The day written in an RFC 3339 text, in that text's own offset.
    Rfc3339,
    /// A `strptime` pattern of jiff, such as `%d.%m.%Y`.
    Pattern(String),
}

/// The step `date`: the first form that fits. An instant, from an earlier step, becomes its day in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DateForms {
    /// In the order tried.
    pub forms: Vec<DateForm>,
}

impl TimeForm {
    /// Whether a pattern is one that `strptime` knows; the error is for the author of the mapping.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Pattern(pattern) => check_pattern(pattern),
            _ => Ok(()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::EpochS => "epoch_s",
            Self::EpochMs => "epoch_ms",
            Self::EpochUs => "epoch_us",
            Self::EpochNs => "epoch_ns",
            Self::Pattern(pattern) => pattern,
        }
    }

    fn read(&self, value: &Value<'_>, offset_seconds: i32) -> Option<i64> {
        let digits = |power| match value {
            Value::Number(text) | Value::Text(text) => epoch(text, power),
            _ => None,
        };
        let text = match value {
            Value::Text(text) => Some(text.as_ref()),
            _ => None,
        };
        let local = |micros: i64| micros - i64::from(offset_seconds) * MICROS_PER_SECOND;
        match self {
            Self::Rfc3339 => parse_rfc3339(text?).map(|(micros, zoned)| if zoned { micros } else { local(micros) }),
            Self::EpochS => digits(6),
            Self::EpochMs => digits(3),
            Self::EpochUs => digits(0),
            Self::EpochNs => digits(-3),
            Self::Pattern(pattern) => {
                let parsed = BrokenDownTime::parse(pattern, text?).ok()?;
                let civil = match parsed.to_datetime() {
                    Ok(civil) => civil,
                    Err(_) => parsed.to_date().ok()?.to_datetime(jiff::civil::Time::midnight()),
                };
                let micros = civil_micros(civil);
                Some(match parsed.offset() {
                    Some(offset) => micros - i64::from(offset.seconds()) * MICROS_PER_SECOND,
                    None => local(micros),
                })
            }
        }
        .filter(|micros| MICROS.contains(micros))
    }
}

impl TimeForms {
    /// Applies the step to a value that is not null.
    pub fn apply<'a>(&self, value: Value<'a>) -> Result<Value<'a>, StepError> {
        match &value {
            Value::Timestamp(_) => return Ok(value),
            Value::Text(_) | Value::Number(_) => {}
            _ => return Err(StepError::wrong_type("timestamp", "text or a number", &value)),
        }
        match self.forms.iter().find_map(|form| form.read(&value, self.offset_seconds)) {
            Some(micros) => Ok(Value::Timestamp(micros)),
            None => Err(no_form("timestamp", "bad_timestamp", self.forms.iter().map(TimeForm::name), &value)),
        }
    }
}

impl DateForm {
    /// Whether a pattern is one that `strptime` knows; the error is for the author of the mapping.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Pattern(pattern) => check_pattern(pattern),
            _ => Ok(()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Iso => "iso",
            Self::Rfc3339 => "rfc3339",
            Self::Pattern(pattern) => pattern,
        }
    }

    fn read(&self, text: &str) -> Option<i32> {
        match self {
            Self::Iso => parse_date(text),
            Self::Rfc3339 => {
                parse_rfc3339(text)?;
                parse_date(text.get(..10)?)
            }
            Self::Pattern(pattern) => {
                let date = BrokenDownTime::parse(pattern, text).ok()?.to_date().ok()?;
                Some(civil_micros(date.to_datetime(jiff::civil::Time::midnight())))
                    .filter(|micros| MICROS.contains(micros))
                    .map(day_of)
            }
        }
    }
}

impl DateForms {
    /// Applies the step to a value that is not null.
    pub fn apply<'a>(&self, value: Value<'a>) -> Result<Value<'a>, StepError> {
        let text = match &value {
            Value::Date(_) => return Ok(value),
            Value::Timestamp(micros) => return Ok(Value::Date(day_of(*micros))),
            Value::Text(text) => text,
            _ => return Err(StepError::wrong_type("date", "text or a timestamp", &value)),
        };
        match self.forms.iter().find_map(|form| form.read(text)) {
            Some(days) => Ok(Value::Date(days)),
            None => Err(no_form("date", "bad_date", self.forms.iter().map(DateForm::name), &value)),
        }
    }
}

fn no_form<'f>(
    step: &'static str,
    code: &'static str,
    forms: impl Iterator<Item = &'f str>,
    value: &Value<'_>,
) -> StepError {
    let forms: Vec<_> = forms.map(|form| format!("`{form}`")).collect();
    let message = format!("found {} in no form that is listed, expected {}", super::kind(value), forms.join(" or "));
    StepError::new(step, code, message, value)
}

/// Runs the pattern over a text that no pattern matches, to tell a bad pattern from a bad text.
fn check_pattern(pattern: &str) -> Result<(), String> {
    let sample = DateTime::constant(2001, 2, 3, 4, 5, 6, 0);
    let mut time = BrokenDownTime::from(sample);
    time.set_offset(Some(jiff::tz::Offset::UTC));
    let text = time.to_string(pattern).map_err(|error| error.to_string())?;
    let parsed = BrokenDownTime::parse(pattern, &text).map_err(|error| error.to_string())?;
    parsed.to_date().map(drop).map_err(|error| error.to_string())
}

/// Digits at 10^`power` microseconds, cut to whole ones.
/// The instant that `ticks` of `micros` microseconds each after the epoch are, if it is one.
#[inline]
pub fn instant(ticks: i64, micros: i64) -> Option<i64> {
    // The product of all that passes is below 2^63, and that of no instant fails. A checked multiplication of 64 bits
    // is one of 128 bits in WebAssembly.
    let zeros = ticks.unsigned_abs().leading_zeros() + micros.unsigned_abs().leading_zeros();
    (zeros >= 65).then(|| ticks * micros).filter(|micros| MICROS.contains(micros))
}

fn epoch(text: &str, power: i32) -> Option<i64> {
    if let Some((ticks, 0)) = short_number(text.as_bytes()) {
        let factor = 10i64.pow(power.unsigned_abs());
        return if power < 0 { Some(ticks.div_euclid(factor)) } else { ticks.checked_mul(factor) };
    }
    // Nine digits more than a microsecond has hold any clock's fraction; what is finer is no clock's.
    let finer = 9;
    let unscaled = decimal_from_digits(text, 38, (finer + power.max(0)) as u8).ok()?;
    let divisor = 10i128.pow((finer - power.min(0)) as u32);
    i64::try_from(unscaled.div_euclid(divisor)).ok()
}

/// Microseconds since the epoch of an RFC 3339 text, and whether it has an offset; without one it is read as UTC.
///
/// `T`, `t` or a space between day and time; seconds are there; a leap second counts as the last second before it.
pub fn parse_rfc3339(text: &str) -> Option<(i64, bool)> {
    let bytes = text.as_bytes();
    let days = parse_date(text.get(..10)?)?;
    let (time, rest) = bytes.get(10..)?.split_at_checked(9)?;
    if !matches!(time[0], b'T' | b't' | b' ') || time[3] != b':' || time[6] != b':' {
        return None;
    }
    let (hour, minute, second) = (two(&time[1..3])?, two(&time[4..6])?, two(&time[7..9])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, rest) = fraction(rest)?;
    let (offset, zoned) = match rest {
        [] => (0, false),
        [b'Z' | b'z'] => (0, true),
        [sign @ (b'+' | b'-'), hour @ .., b':', m1, m2] if hour.len() == 2 => {
            let (hour, minute) = (two(hour)?, two(&[*m1, *m2])?);
            if hour > 23 || minute > 59 {
                return None;
            }
            let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60;
            (if *sign == b'-' { -seconds } else { seconds }, true)
        }
        _ => return None,
    };
    let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second.min(59));
    let seconds = i64::from(days) * SECONDS_PER_DAY + of_day - offset;
    let micros = seconds * MICROS_PER_SECOND + fraction;
    MICROS.contains(&micros).then_some((micros, zoned))
}

/// Microseconds of a fraction of a second, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    let padded = digits.iter().map(|byte| i64::from(byte - b'0')).chain(std::iter::repeat(0)).take(6);
    (length > 0).then(|| (padded.fold(0, |micros, digit| micros * 10 + digit), rest))
}

/// Days since the epoch of `YYYY-MM-DD`, from year 1.
pub fn parse_date(text: &str) -> Option<i32> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else { return None };
    let year = two(&[y1, y2])? * 100 + two(&[y3, y4])?;
    let (month, day) = (two(&[m1, m2])?, two(&[d1, d2])?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 31,
    };
    if year == 0 || !(1..=12).contains(&month) || !(1..=last).contains(&day) {
        return None;
    }
    // Days from civil (Hinnant): years start in March, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let (era, of_era) = (year / 400, year % 400);
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era) as i32 - 719_468)
}

fn two(digits: &[u8]) -> Option<u32> {
    match digits {
        [a, b] if a.is_ascii_digit() && b.is_ascii_digit() => Some(u32::from(a - b'0') * 10 + u32::from(b - b'0')),
        _ => None,
    }
}

fn civil_micros(civil: DateTime) -> i64 {
    // Every civil time is in jiff's range at UTC.
    jiff::tz::Offset::UTC.to_timestamp(civil).map_or(i64::MIN, Timestamp::as_microsecond)
}

fn day_of(micros: i64) -> i32 {
    micros.div_euclid(SECONDS_PER_DAY * MICROS_PER_SECOND) as i32
}

/// RFC 3339 in UTC, with as many digits of the second as there are: `1970-01-01T00:00:00.5Z`.
pub fn write_rfc3339(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(timestamp) => timestamp.to_string(),
        Err(_) => format!("{micros} microseconds since 1970-01-01"),
    }
}

/// `YYYY-MM-DD`.
pub fn write_date(days: i32) -> String {
    let micros = i64::from(days).saturating_mul(SECONDS_PER_DAY * MICROS_PER_SECOND);
    match Timestamp::from_microsecond(micros) {
        Ok(timestamp) => jiff::tz::Offset::UTC.to_datetime(timestamp).date().to_string(),
        Err(_) => format!("{days} days since 1970-01-01"),
    }
}

#[cfg(test)]
mod tests;
