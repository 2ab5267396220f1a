//! Times as producers write them, against `jiff` and against what must be refused.

use proptest::prelude::*;

use super::*;

/// Dates and times in RFC 3339, possible and impossible ones.
const RFC_3339: &str = "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-5][0-9]\
                        (\\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])";

fn instants() -> impl Strategy<Value = i64> {
    prop_oneof![MICROS, -1_000_000_000_000_000i64..4_000_000_000_000_000]
}

proptest! {
    #[test]
    fn instants_survive_their_text(micros in instants()) {
        prop_assert_eq!(parse_rfc3339(&write_rfc3339(micros)), Some((micros, true)));
    }

    #[test]
    fn an_offset_moves_the_clock_not_the_instant(micros in instants(), minutes in -1439i32..=1439) {
        let offset = jiff::tz::Offset::from_seconds(minutes * 60).expect("under a day");
        let instant = Timestamp::from_microsecond(micros).expect("jiff's range is wider");
        let text = instant.display_with_offset(offset).to_string();
        prop_assume!(text.len() >= 25 && !text.starts_with('-'));
        let expected = (micros, true);
        prop_assert_eq!(parse_rfc3339(&text), (!text.starts_with("0000")).then_some(expected));
    }

    #[test]
    fn days_survive_their_text(micros in instants()) {
        let days = day_of(micros);
        prop_assert_eq!(parse_date(&write_date(days)), Some(days));
    }

    #[test]
    fn epochs_agree(micros in instants()) {
        let read = |form, digits: String| TimeForms { forms: vec![form], offset_seconds: 0 }
            .apply(Value::Number(digits.into())).ok();
        let seconds = super::super::number::decimal_to_digits(i128::from(micros), 6);
        let expected = Some(Value::Timestamp(micros));
        prop_assert_eq!(&read(TimeForm::EpochS, seconds), &expected);
        prop_assert_eq!(&read(TimeForm::EpochUs, micros.to_string()), &expected);
        prop_assert_eq!(&read(TimeForm::EpochNs, (i128::from(micros) * 1000 + 999).to_string()), &expected);
        let millis = micros.div_euclid(1000);
        let expected = MICROS.contains(&(millis * 1000)).then_some(Value::Timestamp(millis * 1000));
        prop_assert_eq!(&read(TimeForm::EpochMs, millis.to_string()), &expected);
    }

    #[test]
    fn what_is_read_jiff_reads_alike(text in RFC_3339) {
        let jiff = text.parse::<Timestamp>().ok();
        let jiff = jiff.map(|instant| instant.as_nanosecond().div_euclid(1000) as i64);
        let jiff = jiff.filter(|micros| MICROS.contains(micros) && !text.starts_with("0000"));
        prop_assert_eq!(parse_rfc3339(&text).map(|(micros, _)| micros), jiff);
    }

    #[test]
    fn any_text_is_refused_or_read(text: String) {
        for form in [TimeForm::Rfc3339, TimeForm::EpochMs, TimeForm::Pattern("%Y%m%d".into())] {
            let step = TimeForms { forms: vec![form], offset_seconds: 3600 };
            let read = step.apply(Value::Text(text.as_str().into()));
            prop_assert!(matches!(read, Ok(Value::Timestamp(_)) | Err(_)));
        }
    }
}

#[track_caller]
fn check(forms: &[TimeForm], offset_seconds: i32, value: Value<'_>, expected: Option<&str>) {
    let step = TimeForms { forms: forms.to_vec(), offset_seconds };
    let found = step.apply(value).ok().map(|value| match value {
        Value::Timestamp(micros) => write_rfc3339(micros),
        value => panic!("expected a timestamp, found {value:?}"),
    });
    assert_eq!(found.as_deref(), expected);
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

#[test]
fn the_first_form_that_fits_counts() {
    let forms = [TimeForm::Rfc3339, TimeForm::EpochMs];
    check(&forms, 0, text("2020-04-27T16:11:26-07:00"), Some("2020-04-27T23:11:26Z"));
    check(&forms, 0, Value::Number("1588029086123".into()), Some("2020-04-27T23:11:26.123Z"));
    check(&forms, 0, text("1588029086123"), Some("2020-04-27T23:11:26.123Z"));
    check(&forms, 0, text("yesterday"), None);
    check(&[TimeForm::EpochS], 0, Value::Number("1588029086.5".into()), Some("2020-04-27T23:11:26.5Z"));
    check(&[TimeForm::EpochS], 0, Value::Number("1588029086123".into()), None);
    check(&[TimeForm::Rfc3339], 0, Value::Number("1588029086".into()), None);
}

#[test]
fn texts_without_an_offset_take_the_steps() {
    let pattern = |pattern: &str| [TimeForm::Pattern(pattern.to_owned())];
    check(&[TimeForm::Rfc3339], 0, text("2020-04-27 16:11:26"), Some("2020-04-27T16:11:26Z"));
    check(&[TimeForm::Rfc3339], 7200, text("2020-04-27T16:11:26"), Some("2020-04-27T14:11:26Z"));
    check(&[TimeForm::Rfc3339], 7200, text("2020-04-27T16:11:26Z"), Some("2020-04-27T16:11:26Z"));
    check(&pattern("%d/%m/%Y %H:%M"), 7200, text("27/04/2020 16:11"), Some("2020-04-27T14:11:00Z"));
    check(&pattern("%d/%m/%Y %H:%M %z"), 7200, text("27/04/2020 16:11 -0700"), Some("2020-04-27T23:11:00Z"));
    check(&pattern("%Y%m%d"), 0, text("20200427"), Some("2020-04-27T00:00:00Z"));
    check(&pattern("%Y%m%d"), 0, text("20201327"), None);
}

#[test]
fn rfc_3339_is_read_strictly() {
    for text in [
        "",
        "2020-04-27",
        "2020-04-27T16:11",
        "2020-04-27T16:11:26+0700",
        "2020-04-27T16:11:26.Z",
        "2020-02-30T00:00:00Z",
        "2020-04-27T24:00:00Z",
        "20200427T161126Z",
        "2020-04-27T16:11:26Z ",
        "é020-04-27T16:11:26Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "2020-04-27T16:11:26+24:00",
        "2020-04-27T16:11:26[UTC]",
    ] {
        assert_eq!(parse_rfc3339(text), None, "{text}");
    }
    let leap = parse_rfc3339("2016-12-31T23:59:60Z").expect("a leap second is RFC 3339");
    assert_eq!(write_rfc3339(leap.0), "2016-12-31T23:59:59Z");
}

#[test]
fn days_come_from_texts_and_instants() {
    let step = DateForms { forms: vec![DateForm::Iso, DateForm::Pattern("%d.%m.%Y".into()), DateForm::Rfc3339] };
    let read = |value| step.apply(value).ok();
    assert_eq!(read(text("1970-01-02")), Some(Value::Date(1)));
    assert_eq!(read(text("2.1.1970")), Some(Value::Date(1)));
    assert_eq!(read(text("1970-01-02T23:00:00-05:00")), Some(Value::Date(1)));
    assert_eq!(read(Value::Timestamp(-1)), Some(Value::Date(-1)));
    assert_eq!(read(text("1970-01")), None);
}

#[test]
fn a_bad_pattern_is_told_from_a_bad_text() {
    let check = |pattern: &str| TimeForm::Pattern(pattern.to_owned()).check();
    assert_eq!(check("%d/%m/%Y %H:%M"), Ok(()));
    assert_eq!(check("%Y-%m-%dT%H:%M:%S%z"), Ok(()));
    assert!(check("%d/%m").is_err());
    assert!(check("%!").is_err());
    assert_eq!(DateForm::Iso.check(), Ok(()));
}
