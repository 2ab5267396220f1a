//! Instants as records write them.
//!
//! Milliseconds since 1970-01-01T00:00:00Z are the generator's only time; calendars are for output alone.

/// 2024-03-01T00:00:00Z, when every story begins.
pub(crate) const START_MS: i64 = 1_709_251_200_000;

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const DAY_MS: i64 = 86_400_000;

/// RFC 3339 with milliseconds, at an offset of whole hours from UTC.
pub(crate) fn rfc3339(ms: i64, offset_hours: i64) -> String {
    let local = ms + offset_hours * 3_600_000;
    let time = local.rem_euclid(DAY_MS);
    let (h, m, s, milli) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60, time % 1000);
    let zone = if offset_hours == 0 { "Z".to_owned() } else { format!("{offset_hours:+03}:00") };
    format!("{}T{h:02}:{m:02}:{s:02}.{milli:03}{zone}", date(local))
}

/// The day in UTC, `YYYY-MM-DD`.
pub(crate) fn date(ms: i64) -> String {
    // Days are counted from 0000-03-01, so that a leap day is the last of its year.
    let days = ms.div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_their_calendar_text() {
        assert_eq!(rfc3339(START_MS, 0), "2024-03-01T00:00:00.000Z");
        assert_eq!(rfc3339(START_MS - 1, 2), "2024-03-01T01:59:59.999+02:00");
        assert_eq!(rfc3339(START_MS - 1, -5), "2024-02-29T18:59:59.999-05:00");
        assert_eq!(
            (date(0), date(-1), date(951_782_400_000)),
            ("1970-01-01".into(), "1969-12-31".into(), "2000-02-29".into())
        );
    }
}
