//! Codes of countries (ISO 3166-1) and currencies (ISO 4217), and money in minor units.

use std::borrow::Cow;

use iso_currency::Currency;
use rust_iso3166::CountryCode;

use super::StepError;
use super::number;
use crate::value::Value;

/// Names that people write and ISO 3166 does not, in lower case.
const USUAL_NAMES: [(&str, &str); 17] = [
    ("england", "GB"),
    ("great britain", "GB"),
    ("ivory coast", "CI"),
    ("macedonia", "MK"),
    ("north korea", "KP"),
    ("russia", "RU"),
    ("south korea", "KR"),
    ("czech republic", "CZ"),
    ("swaziland", "SZ"),
    ("the netherlands", "NL"),
    ("turkey", "TR"),
    ("uk", "GB"),
    ("united kingdom", "GB"),
    ("united states", "US"),
    ("u.s.a.", "US"),
    ("vatican", "VA"),
    ("vietnam", "VN"),
];

/// The step `country`: a code or an English short name, to the alpha-2 code.
pub fn country(value: Value<'_>) -> Result<Value<'_>, StepError> {
    let (Value::Text(text) | Value::Number(text)) = &value else {
        return Err(StepError::wrong_type("country", "text or a number", &value));
    };
    match find_country(text.trim()) {
        Some(country) => Ok(Value::Text(Cow::Borrowed(country.alpha2))),
        None => Err(StepError::new(
            "country",
            "bad_country",
            "found a country that ISO 3166 does not list, expected an alpha-2, alpha-3 or numeric code or a short name",
            &value,
        )),
    }
}

fn find_country(text: &str) -> Option<CountryCode> {
    let by_code = match text.len() {
        1..=3 if text.bytes().all(|byte| byte.is_ascii_digit()) => rust_iso3166::from_numeric(text.parse().ok()?),
        2 => upper::<2>(text).and_then(|code| rust_iso3166::from_alpha2(str::from_utf8(&code).ok()?)),
        3 => upper::<3>(text).and_then(|code| rust_iso3166::from_alpha3(str::from_utf8(&code).ok()?)),
        _ => None,
    };
    by_code.or_else(|| {
        let name = text.to_lowercase();
        match USUAL_NAMES.iter().find(|(usual, _)| *usual == name) {
            Some((_, alpha2)) => rust_iso3166::from_alpha2(alpha2),
            None => by_name(&name),
        }
    })
}

/// A code of `N` ASCII bytes in upper case, without allocation.
fn upper<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut code: [u8; N] = text.as_bytes().try_into().ok()?;
    code.make_ascii_uppercase();
    Some(code)
}

/// By the short name, whole or without what ISO adds in brackets where that is still one country.
fn by_name(name: &str) -> Option<CountryCode> {
    let all = rust_iso3166::ALL;
    if let Some(country) = all.iter().find(|country| country.name.to_lowercase() == name) {
        return Some(*country);
    }
    let mut short = all.iter().filter(|country| match country.name.split_once(" (") {
        Some((short, _)) => short.to_lowercase() == name,
        None => false,
    });
    match (short.next(), short.next()) {
        (Some(country), None) => Some(*country),
        _ => None,
    }
}

/// The step `currency`: an alphabetic or numeric code, to the alphabetic code.
pub fn currency(value: Value<'_>) -> Result<Value<'_>, StepError> {
    find_currency("currency", &value).map(|currency| Value::Text(Cow::Borrowed(currency.code())))
}

/// A currency by its alphabetic code in upper case, as nearly every source writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrencyCode {
    /// Its letters.
    pub code: [u8; 3],
    /// How many digits its minor unit has; none for metals and funds.
    pub exponent: Option<u8>,
}

impl CurrencyCode {
    /// The currency that ISO 4217 lists under `code`.
    pub fn find(code: [u8; 3]) -> Option<Self> {
        let currency = Currency::from_code(str::from_utf8(&code).ok()?)?;
        Some(Self { code, exponent: currency.exponent().and_then(|exponent| u8::try_from(exponent).ok()) })
    }
}

fn find_currency(step: &'static str, value: &Value<'_>) -> Result<Currency, StepError> {
    let (Value::Text(text) | Value::Number(text)) = value else {
        return Err(StepError::wrong_type(step, "a currency's code", value));
    };
    let text = text.trim();
    let found = match text.parse::<u16>() {
        Ok(number) if text.len() <= 3 => Currency::from_numeric(number),
        _ => upper::<3>(text).and_then(|code| Currency::from_code(str::from_utf8(&code).ok()?)),
    };
    found.ok_or_else(|| {
        let message = "found a currency that ISO 4217 does not list, expected an alphabetic or numeric code";
        StepError::new(step, "bad_currency", message, value)
    })
}

/// The step `scale: { currency: … }`: minor units to major units by the exponent that ISO 4217 gives `currency`.
///
/// `166780` is `1667.80` in USD, `166.780` in KWD and `166780` in JPY. Null stays null, whatever the currency.
pub fn scale_by_currency<'a>(value: Value<'a>, currency: &Value<'_>) -> Result<Value<'a>, StepError> {
    if value == Value::Null {
        return Ok(value);
    }
    let exponent = find_currency("scale", currency)?.exponent().ok_or_else(|| {
        let message = "found a currency without minor units (a metal or a fund), expected one of money";
        StepError::new("scale", "bad_currency", message, currency)
    })?;
    number::scale(value, u32::from(exponent))
}

#[cfg(test)]
mod tests {
    use super::super::Step;
    use super::*;

    #[track_caller]
    fn check(step: &Step, input: &str, expected: Result<&str, &str>) {
        let found = step.apply(Value::Text(input.into())).map_err(|error| error.code);
        assert_eq!(found, expected.map(|text| Value::Text(text.into())), "{input}");
    }

    #[test]
    fn countries_are_found_by_code_and_by_name() {
        for text in ["DE", "de", "DEU", "276", " Germany ", "GERMANY"] {
            check(&Step::Country, text, Ok("DE"));
        }
        check(&Step::Country, "8", Ok("AL"));
        check(&Step::Country, "United States", Ok("US"));
        check(&Step::Country, "Bolivia", Ok("BO"));
        check(&Step::Country, "côte d'ivoire", Ok("CI"));
        check(&Step::Country, "Korea", Err("bad_country"));
        check(&Step::Country, "Congo", Ok("CG"));
        for text in ["", "XX", "ZZZ", "999", "Atlantis", "é"] {
            check(&Step::Country, text, Err("bad_country"));
        }
        assert_eq!(Step::Country.apply(Value::Boolean(true)).map_err(|error| error.code), Err("wrong_type"));
    }

    #[test]
    fn the_usual_names_stand_in_no_other_list() {
        for (name, alpha2) in USUAL_NAMES {
            assert!(by_name(name).is_none(), "`{name}` is in ISO 3166 already");
            assert!(rust_iso3166::from_alpha2(alpha2).is_some(), "`{alpha2}`");
        }
    }

    #[test]
    fn currencies_are_found_by_code() {
        for text in ["EUR", "eur", "978"] {
            check(&Step::Currency, text, Ok("EUR"));
        }
        check(&Step::Currency, "008", Ok("ALL"));
        for text in ["", "EURO", "000", "+978", "€"] {
            check(&Step::Currency, text, Err("bad_currency"));
        }
    }

    #[test]
    fn minor_units_follow_the_currency() {
        let scaled = |currency: &'static str| {
            let scaled = scale_by_currency(Value::Number("166780".into()), &Value::Text(currency.into()));
            scaled.map_err(|error| error.code)
        };
        assert_eq!(scaled("USD"), Ok(Value::Number("1667.80".into())));
        assert_eq!(scaled("JPY"), Ok(Value::Number("166780".into())));
        assert_eq!(scaled("KWD"), Ok(Value::Number("166.780".into())));
        assert_eq!(scaled("XAU"), Err("bad_currency"));
        assert_eq!(scaled("?"), Err("bad_currency"));
        assert_eq!(scale_by_currency(Value::Null, &Value::Null), Ok(Value::Null));
    }
}
