//! Steps with their settings checked: patterns that compile, forms that exist, currencies that are values.

use silversmith_sdk::extract::PlanBuilder;
use silversmith_sdk::normalise::{
    BooleanWords, DateForm, DateForms, DecimalText, Lookup, Miss, Pattern, Step, TimeForm, TimeForms,
};

use super::value::constant;
use super::{Compiler, Scope};
use crate::prepared::Action;
use crate::syntax::{self, DecimalWith, FormText, OneOrMany, PlainStep, Scale, StepWith, Timestamp};
use crate::yaml::At;

impl Compiler<'_> {
    /// Compiles a step. A lookup that misses is null where a default says what everything else means.
    pub(super) fn action(
        &mut self,
        plan: &mut PlanBuilder,
        scope: &Scope<'_>,
        step: &At<syntax::Step>,
        has_default: bool,
        sources: &mut Vec<String>,
    ) -> Option<Action> {
        let with = match &step.value {
            syntax::Step::Plain(plain) => return Some(Action::Step(self::plain(*plain))),
            syntax::Step::With(with) => with,
        };
        let step = match with {
            StepWith::Lookup(values) => {
                let entries = values.0.iter().map(|(key, value)| (key.value.clone(), constant(&value.value)));
                Step::Lookup(Lookup::new(entries, if has_default { Miss::Null } else { Miss::Refuse }))
            }
            StepWith::Decimal(DecimalWith { thousands, point }) => {
                Step::Decimal(DecimalText { thousands: *thousands, point: point.unwrap_or('.') })
            }
            StepWith::Scale(Scale::Digits(digits)) => Step::Scale(*digits),
            StepWith::Scale(Scale::Currency(of)) => {
                return Some(Action::ScaleBy(Box::new(self.value(plan, scope, &of.currency, sources))));
            }
            StepWith::Timestamp(Timestamp::Forms(forms)) => Step::Timestamp(self.time_forms(forms, 0)),
            StepWith::Timestamp(Timestamp::Zoned(zoned)) => {
                let offset = zoned.offset.as_ref().map_or(Some(0), |offset| self.offset(offset))?;
                Step::Timestamp(self.time_forms(&zoned.forms, offset))
            }
            StepWith::Date(forms) => Step::Date(self.date_forms(forms)),
            StepWith::Boolean(words) => {
                let texts = |words: &[At<String>]| words.iter().map(|word| word.value.clone()).collect();
                Step::Boolean(BooleanWords { yes: texts(&words.r#true), no: texts(&words.r#false) })
            }
            StepWith::Extract(pattern) => match Pattern::new(&pattern.value) {
                Ok(pattern) => Step::Extract(pattern),
                Err(error) => {
                    // The library draws the place over several lines; its last line says what is wrong.
                    let error = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    let message = format!("found `{}`, expected a regular expression: {error}", pattern.value);
                    self.findings.error(pattern.mark, message, None);
                    return None;
                }
            },
        };
        Some(Action::Step(step))
    }

    fn time_forms(&mut self, forms: &OneOrMany<At<FormText>>, offset_seconds: i32) -> TimeForms {
        let form = |text: &str| match text {
            "rfc3339" | "iso" => TimeForm::Rfc3339,
            "epoch_s" => TimeForm::EpochS,
            "epoch_ms" => TimeForm::EpochMs,
            "epoch_us" => TimeForm::EpochUs,
            "epoch_ns" => TimeForm::EpochNs,
            pattern => TimeForm::Pattern(pattern.to_owned()),
        };
        let forms = forms.as_slice().iter().map(|text| (text, form(&text.value.0)));
        let forms = forms.filter_map(|(text, form)| self.sound(text, form.check(), form)).collect();
        TimeForms { forms, offset_seconds }
    }

    fn date_forms(&mut self, forms: &OneOrMany<At<FormText>>) -> DateForms {
        let mut compiled = Vec::new();
        for text in forms.as_slice() {
            let form = match text.value.0.as_str() {
                "iso" => DateForm::Iso,
                "rfc3339" => DateForm::Rfc3339,
                epoch if epoch.starts_with("epoch_") => {
                    let message = format!("found `{epoch}` as a form of a day, expected `iso`, `rfc3339` or a pattern");
                    let hint = format!("put `timestamp: {epoch}` before `date`");
                    self.findings.error(text.mark, message, Some(hint));
                    continue;
                }
                pattern => DateForm::Pattern(pattern.to_owned()),
            };
            compiled.extend(self.sound(text, form.check(), form));
        }
        DateForms { forms: compiled }
    }

    fn sound<T>(&mut self, text: &At<FormText>, check: Result<(), String>, form: T) -> Option<T> {
        match check {
            Ok(()) => Some(form),
            Err(error) => {
                let message = format!("found `{}`, expected a pattern of `strptime`: {error}", text.value.0);
                self.findings.error(text.mark, message, None);
                None
            }
        }
    }

    /// Seconds east of UTC: `+02:00` or `Z`.
    fn offset(&mut self, text: &At<String>) -> Option<i32> {
        let seconds = offset_seconds(&text.value);
        if seconds.is_none() {
            let message = format!("found `{}`, expected an offset such as `+02:00`", text.value);
            self.findings.error(text.mark, message, None);
        }
        seconds
    }
}

fn offset_seconds(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two = |digits: &str| (digits.len() == 2).then(|| digits.parse::<u8>().ok()).flatten().map(i32::from);
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn plain(step: PlainStep) -> Step {
    match step {
        PlainStep::Trim => Step::Trim,
        PlainStep::Lowercase => Step::Lowercase,
        PlainStep::Uppercase => Step::Uppercase,
        PlainStep::Nfc => Step::Nfc,
        PlainStep::CollapseSpaces => Step::CollapseSpaces,
        PlainStep::EmptyToNull => Step::EmptyToNull,
        PlainStep::Decimal => Step::Decimal(DecimalText::default()),
        PlainStep::Timestamp => Step::Timestamp(TimeForms { forms: vec![TimeForm::Rfc3339], offset_seconds: 0 }),
        PlainStep::Date => Step::Date(DateForms { forms: vec![DateForm::Iso] }),
        PlainStep::Boolean => Step::Boolean(BooleanWords::default()),
        PlainStep::Country => Step::Country,
        PlainStep::Currency => Step::Currency,
    }
}
