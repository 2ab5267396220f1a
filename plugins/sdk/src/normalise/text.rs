//! Steps on text: white space, case, lookups, words for true and false, and regular expressions.

use std::borrow::Cow;
use std::cell::OnceCell;

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{Constant, StepError, text_of};
use crate::value::Value;

/// Known keys named in the error of a miss, at most.
const KEYS_NAMED_MAX: usize = 12;

/// Bytes that a compiled regular expression may take: bounds what a mapping can make an instance hold.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The step `trim`: text without white space (Unicode) at both ends.
pub fn trim(value: Value<'_>) -> Result<Value<'_>, StepError> {
    on_text("trim", value, |text| match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    })
}

/// The step `lowercase`: text in lower case (Unicode, without a locale).
pub fn lowercase(value: Value<'_>) -> Result<Value<'_>, StepError> {
    on_text("lowercase", value, |text| {
        let done = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
        if done { text } else { Cow::Owned(text.to_lowercase()) }
    })
}

/// The step `uppercase`: text in upper case (Unicode, without a locale).
pub fn uppercase(value: Value<'_>) -> Result<Value<'_>, StepError> {
    on_text("uppercase", value, |text| {
        let done = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_lowercase());
        if done { text } else { Cow::Owned(text.to_uppercase()) }
    })
}

/// The step `nfc`: text in Unicode normalisation form C.
pub fn nfc(value: Value<'_>) -> Result<Value<'_>, StepError> {
    on_text("nfc", value, |text| match text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        true => text,
        false => Cow::Owned(text.nfc().collect()),
    })
}

/// The step `collapse_spaces`: each run of white space made one space, none at the ends.
pub fn collapse_spaces(value: Value<'_>) -> Result<Value<'_>, StepError> {
    on_text("collapse_spaces", value, |text| {
        let mut words = text.split(char::is_whitespace);
        let single = words.all(|word| !word.is_empty()) && text.chars().all(|c| !c.is_whitespace() || c == ' ');
        if single {
            return text;
        }
        let mut collapsed = String::with_capacity(text.len());
        for word in text.split_whitespace() {
            if !collapsed.is_empty() {
                collapsed.push(' ');
            }
            collapsed.push_str(word);
        }
        Cow::Owned(collapsed)
    })
}

/// The step `empty_to_null`: the empty text becomes null, everything else stays.
pub fn empty_to_null(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Text(text) if text.is_empty() => Value::Null,
        value => value,
    }
}

fn on_text<'a>(
    step: &'static str,
    value: Value<'a>,
    change: impl FnOnce(Cow<'a, str>) -> Cow<'a, str>,
) -> Result<Value<'a>, StepError> {
    match value {
        Value::Text(text) => Ok(Value::Text(change(text))),
        value => Err(StepError::wrong_type(step, "text", &value)),
    }
}

/// The step `lookup`: a closed list of what a source may say, and what each means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lookup {
    /// Sorted by key.
    entries: Vec<(String, Constant)>,
    miss: Miss,
}

/// What becomes of a value that a lookup does not list.
///
/// A list is a statement about the source, so a value outside it is news and refuses the row, rather than pass
/// unseen. Where a field states a `default`, its author has said what everything else means: then the mapping
/// compiles the lookup with `Null`, which the default replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Miss {
    /// An error that names the known keys.
    Refuse,
    /// Null.
    Null,
}

impl Lookup {
    /// A lookup of `entries`; of equal keys the last counts.
    pub fn new(entries: impl IntoIterator<Item = (String, Constant)>, miss: Miss) -> Self {
        let entries: std::collections::BTreeMap<_, _> = entries.into_iter().collect();
        Self { entries: entries.into_iter().collect(), miss }
    }

    /// Applies the step to a value that is not null.
    pub fn apply<'a>(&'a self, value: Value<'a>) -> Result<Value<'a>, StepError> {
        let key = text_of(value).map_err(|value| StepError::wrong_type("lookup", "a scalar", &value))?;
        match (self.entries.binary_search_by(|(known, _)| known.as_str().cmp(&key)), self.miss) {
            (Ok(at), _) => Ok(self.entries[at].1.value()),
            (Err(_), Miss::Null) => Ok(Value::Null),
            (Err(_), Miss::Refuse) => {
                let mut known: Vec<_> =
                    self.entries.iter().take(KEYS_NAMED_MAX).map(|(key, _)| format!("`{key}`")).collect();
                if self.entries.len() > KEYS_NAMED_MAX {
                    known.push(format!("{} more", self.entries.len() - KEYS_NAMED_MAX));
                }
                let message = format!("found a key that is not listed, expected one of {}", known.join(", "));
                Err(StepError::new("lookup", "lookup_miss", message, &Value::Text(key)))
            }
        }
    }
}

/// The step `boolean`: words and digits for true and false, without regard to ASCII case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BooleanWords {
    /// What means true.
    pub yes: Vec<String>,
    /// What means false.
    pub no: Vec<String>,
}

impl Default for BooleanWords {
    /// `true`, `yes`, `y`, `1` and `false`, `no`, `n`, `0`.
    fn default() -> Self {
        let words = |words: [&str; 4]| words.map(str::to_owned).to_vec();
        Self { yes: words(["true", "yes", "y", "1"]), no: words(["false", "no", "n", "0"]) }
    }
}

impl BooleanWords {
    /// Applies the step to a value that is not null.
    pub fn apply<'a>(&self, value: Value<'a>) -> Result<Value<'a>, StepError> {
        let word = match &value {
            Value::Boolean(_) => return Ok(value),
            Value::Text(word) | Value::Number(word) => word,
            _ => return Err(StepError::wrong_type("boolean", "a boolean, text or a number", &value)),
        };
        let among = |words: &[String]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        match (among(&self.yes), among(&self.no)) {
            (true, _) => Ok(Value::Boolean(true)),
            (_, true) => Ok(Value::Boolean(false)),
            _ => {
                let known: Vec<_> = self.yes.iter().chain(&self.no).map(|word| format!("`{word}`")).collect();
                let message = format!("found {}, expected one of {}", super::kind(&value), known.join(", "));
                Err(StepError::new("boolean", "bad_boolean", message, &value))
            }
        }
    }
}

/// The step `extract`: a regular expression of the `regex` crate, so without backtracking. Matches anywhere.
///
/// Serialises as its text and is compiled at its first use: most instances see only some of a mapping's fields.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    compiled: OnceCell<Regex>,
}

impl Pattern {
    /// Compiles `text`; the error is for the author of the mapping and may span lines.
    pub fn new(text: &str) -> Result<Self, String> {
        let compiled = compile(text)?;
        Ok(Self { text: text.to_owned(), compiled: OnceCell::from(compiled) })
    }

    /// Applies the step to a value that is not null.
    pub fn apply<'a>(&self, value: Value<'a>) -> Result<Value<'a>, StepError> {
        let text = match text_of(value) {
            Ok(text) => text,
            Err(value) => return Err(StepError::wrong_type("extract", "a scalar", &value)),
        };
        let regex = self.compiled.get_or_init(|| {
            compile(&self.text).expect("the text compiles: `new` compiled it before it was serialised")
        });
        let found = regex.captures(&text).and_then(|captures| captures.get(usize::from(captures.len() > 1)));
        match (found.map(|found| found.range()), text) {
            (Some(range), Cow::Borrowed(text)) => Ok(Value::Text(Cow::Borrowed(&text[range]))),
            (Some(range), Cow::Owned(text)) => Ok(Value::Text(Cow::Owned(text[range].to_owned()))),
            (None, text) => {
                let message = format!("found text that does not match `{}`", self.text);
                Err(StepError::new("extract", "no_match", message, &Value::Text(text)))
            }
        }
    }
}

fn compile(text: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build().map_err(|error| error.to_string())
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { text: String::deserialize(deserializer)?, compiled: OnceCell::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Step;
    use super::*;

    #[track_caller]
    fn check(step: &Step, input: &'static str, expected: Result<&str, &str>) {
        let found = step.apply(Value::Text(input.into()));
        let found = found.as_ref().map_err(|error| error.code).map(|value| match value {
            Value::Text(text) => text,
            value => panic!("expected text, found {value:?}"),
        });
        assert_eq!(found.map(AsRef::as_ref), expected, "{input}");
    }

    #[test]
    fn text_is_changed_as_unicode_has_it() {
        check(&Step::Trim, " \u{3000}a b\n", Ok("a b"));
        check(&Step::Lowercase, "ÀÉ Straße ẞ", Ok("àé straße ß"));
        check(&Step::Uppercase, "straße", Ok("STRASSE"));
        check(&Step::Nfc, "e\u{301}", Ok("é"));
        check(&Step::CollapseSpaces, "  a \t b\u{a0}c ", Ok("a b c"));
        check(&Step::CollapseSpaces, "a b", Ok("a b"));
        check(&Step::CollapseSpaces, "a\tb", Ok("a b"));
    }

    #[test]
    fn untouched_text_stays_borrowed() {
        for step in [Step::Trim, Step::Lowercase, Step::Nfc, Step::CollapseSpaces] {
            let value = step.apply(Value::Text(Cow::Borrowed(" ada@example.org".trim()))).expect("text is fine");
            assert!(matches!(value, Value::Text(Cow::Borrowed(_))), "{}", step.name());
        }
    }

    #[test]
    fn null_passes_every_text_step_and_numbers_pass_none() {
        for step in [Step::Trim, Step::Lowercase, Step::Uppercase, Step::Nfc, Step::CollapseSpaces] {
            assert_eq!(step.apply(Value::Null), Ok(Value::Null));
            let error = step.apply(Value::Number("1".into())).expect_err("a number is no text");
            assert_eq!((error.step, error.code, error.value.as_str()), (step.name(), "wrong_type", "1"));
        }
        assert_eq!(Step::EmptyToNull.apply(Value::Text("".into())), Ok(Value::Null));
    }

    #[test]
    fn a_miss_is_refused_or_null() {
        let entries =
            || [("P".to_owned(), Constant::Text("premium".into())), ("1".to_owned(), Constant::Boolean(true))];
        let lookup = Step::Lookup(Lookup::new(entries(), Miss::Refuse));
        check(&lookup, "P", Ok("premium"));
        assert_eq!(lookup.apply(Value::Number("1".into())), Ok(Value::Boolean(true)));
        let error = lookup.apply(Value::Text("secret".into())).expect_err("not listed");
        assert_eq!(error.to_string(), "found a key that is not listed, expected one of `1`, `P`");
        assert_eq!((error.code, error.value.as_str()), ("lookup_miss", "secret"));
        let lookup = Step::Lookup(Lookup::new(entries(), Miss::Null));
        assert_eq!(lookup.apply(Value::Text("secret".into())), Ok(Value::Null));
    }

    #[test]
    fn words_mean_true_or_false() {
        let step = Step::Boolean(BooleanWords::default());
        assert_eq!(step.apply(Value::Text("YES".into())), Ok(Value::Boolean(true)));
        assert_eq!(step.apply(Value::Number("0".into())), Ok(Value::Boolean(false)));
        assert_eq!(step.apply(Value::Boolean(true)), Ok(Value::Boolean(true)));
        check(&step, "maybe", Err("bad_boolean"));
    }

    #[test]
    fn extract_gives_the_first_group_even_after_the_post() {
        let pattern = Pattern::new("^urn:uuid:(.+)$").expect("it compiles");
        let bytes = postcard::to_allocvec(&Step::Extract(pattern)).expect("a step serialises");
        let step: Step = postcard::from_bytes(&bytes).expect("it comes back");
        check(&step, "urn:uuid:7f0e", Ok("7f0e"));
        check(&step, "Practitioner/1", Err("no_match"));
        check(&Step::Extract(Pattern::new("[0-9]+").expect("it compiles")), "no 42!", Ok("42"));
        assert!(Pattern::new("(").is_err());
        assert!(Pattern::new("a{1000}{1000}").is_err());
    }
}
