//! The steps of `normalize`.

use super::reader::{Object, choose, list, scalar, text};
use super::{named, one_or_many, value};
use crate::findings::{Findings, alternatives, nearest};
use crate::syntax::{
    CurrencyOf, DecimalWith, FormText, PlainStep, Scale, Step, StepWith, Timestamp, Words, ZonedForms,
};
use crate::yaml::{At, Node, Yaml};

/// The steps that need no settings.
const PLAIN: [(&str, PlainStep); 12] = [
    ("trim", PlainStep::Trim),
    ("lowercase", PlainStep::Lowercase),
    ("uppercase", PlainStep::Uppercase),
    ("nfc", PlainStep::Nfc),
    ("collapse_spaces", PlainStep::CollapseSpaces),
    ("empty_to_null", PlainStep::EmptyToNull),
    ("decimal", PlainStep::Decimal),
    ("timestamp", PlainStep::Timestamp),
    ("date", PlainStep::Date),
    ("boolean", PlainStep::Boolean),
    ("country", PlainStep::Country),
    ("currency", PlainStep::Currency),
];

/// The steps that take settings; some stand in both lists.
const WITH: [&str; 7] = ["lookup", "decimal", "scale", "timestamp", "date", "boolean", "extract"];

/// A step: its name, or its name with settings.
pub(super) fn step(node: &Node, findings: &mut Findings) -> Option<At<Step>> {
    let step = match &node.value {
        Yaml::Text(name) => Step::Plain(plain(&At { value: name.clone(), mark: node.mark }, findings)?),
        Yaml::Object(entries) if entries.len() == 1 => {
            let (name, settings) = &entries[0];
            Step::With(with(name, settings, findings)?)
        }
        other => {
            let message = format!("found {other}, expected a step: its name, or an object with its name and settings");
            findings.error(node.mark, message, None);
            return None;
        }
    };
    Some(At { value: step, mark: node.mark })
}

fn plain(name: &At<String>, findings: &mut Findings) -> Option<PlainStep> {
    if let Some((_, step)) = PLAIN.into_iter().find(|(known, _)| *known == name.value) {
        return Some(step);
    }
    if WITH.contains(&name.value.as_str()) {
        let message = format!("found `{0}` without settings, expected `{{ {0}: … }}`", name.value);
        findings.error(name.mark, message, None);
    } else {
        unknown(name, findings);
    }
    None
}

fn unknown(name: &At<String>, findings: &mut Findings) {
    let plain = PLAIN.into_iter().map(|(name, _)| name);
    let names: Vec<_> =
        plain.clone().chain(WITH.into_iter().filter(|name| plain.clone().all(|known| known != *name))).collect();
    let message =
        format!("found unknown normaliser `{}`, expected {}", name.value, alternatives(names.iter().copied()));
    findings.error(name.mark, message, nearest(&name.value, names));
}

fn with(name: &At<String>, node: &Node, findings: &mut Findings) -> Option<StepWith> {
    match name.value.as_str() {
        "lookup" => Some(StepWith::Lookup(named(node, "values", findings, scalar))),
        "decimal" => {
            let mut object = Object::open(node, "the settings of `decimal`", findings)?;
            let thousands = object.take("thousands").and_then(|node| character(node, findings));
            let point = object.take("point").and_then(|node| character(node, findings));
            object.close(findings);
            Some(StepWith::Decimal(DecimalWith { thousands, point }))
        }
        "scale" => scale(node, findings).map(StepWith::Scale),
        "timestamp" => timestamp(node, findings).map(StepWith::Timestamp),
        "date" => Some(StepWith::Date(one_or_many(node, "forms", findings, form))),
        "boolean" => {
            let mut object = Object::open(node, "the settings of `boolean`", findings)?;
            let mut words = |name| {
                let node = object.demand(name, findings)?;
                Some(list(node, "words", findings, |node, findings| text(node, "a word", findings)))
            };
            let (r#true, r#false) = (words("true"), words("false"));
            object.close(findings);
            Some(StepWith::Boolean(Words { r#true: r#true?, r#false: r#false? }))
        }
        "extract" => text(node, "a regular expression", findings).map(StepWith::Extract),
        plain if PLAIN.iter().any(|(known, _)| *known == plain) => {
            let message = format!("found `{plain}` with settings, expected the name alone");
            findings.error(name.mark, message, None);
            None
        }
        _ => {
            unknown(name, findings);
            None
        }
    }
}

fn scale(node: &Node, findings: &mut Findings) -> Option<Scale> {
    match &node.value {
        Yaml::Number(digits) if digits.parse::<u8>().is_ok_and(|digits| digits <= 38) => {
            Some(Scale::Digits(digits.parse().ok()?))
        }
        Yaml::Object(_) => {
            let mut object = Object::open(node, "the settings of `scale`", findings)?;
            let currency = object.demand("currency", findings).and_then(|node| value(node, findings));
            object.close(findings);
            Some(Scale::Currency(CurrencyOf { currency: currency? }))
        }
        other => {
            let message = format!("found {other}, expected a number of digits up to 38, or `{{ currency: … }}`");
            findings.error(node.mark, message, None);
            None
        }
    }
}

fn timestamp(node: &Node, findings: &mut Findings) -> Option<Timestamp> {
    let Yaml::Object(_) = &node.value else {
        return Some(Timestamp::Forms(one_or_many(node, "forms", findings, form)));
    };
    let mut object = Object::open(node, "the settings of `timestamp`", findings)?;
    let forms = object.demand("forms", findings).map(|node| one_or_many(node, "forms", findings, form));
    let offset = object.take("offset").and_then(|node| text(node, "an offset such as `+02:00`", findings));
    object.close(findings);
    Some(Timestamp::Zoned(ZonedForms { forms: forms?, offset }))
}

fn form(node: &Node, findings: &mut Findings) -> Option<At<FormText>> {
    let form = text(node, "a form of time", findings)?;
    // A word without `%` is meant as a name: a pattern would match only itself.
    if !form.value.contains('%') {
        const FORMS: [&str; 6] = ["rfc3339", "iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"];
        choose(&form, "a form of time", FORMS.map(|name| (name, ())), findings)?;
    }
    Some(form.map(|form| FormText(form.clone())))
}

fn character(node: &Node, findings: &mut Findings) -> Option<char> {
    let text = text(node, "one character", findings)?;
    let mut characters = text.value.chars();
    if let (Some(character), None) = (characters.next(), characters.next()) {
        return Some(character);
    }
    findings.error(text.mark, format!("found `{}`, expected one character", text.value), None);
    None
}
