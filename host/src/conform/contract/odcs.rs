//! Reading ODCS 3.1 files into [`Contract`]s, with the place of everything that is wrong.
//!
//! | ODCS | here |
//! |---|---|
//! | `schema[].name` | the entity |
//! | `properties[].physicalType` | the column's type: `text`, `int64`, `float64`, `decimal(p,s)`, `boolean`, `date`, `timestamp`, `binary`, `json` |
//! | `properties[].logicalType` | the type where `physicalType` is missing: string, time → text; integer → int64; number → float64; boolean, date, timestamp → the same; object, array → json |
//! | `primaryKey`, `primaryKeyPosition` | the business key |
//! | `required`, quality `nullValues` with `mustBe: 0` | required |
//! | `logicalTypeOptions` | lengths, pattern, bounds |
//! | quality `invalidValues` with `mustBe: 0`, arguments `validValues`, `pattern` | allowed values, pattern |
//! | `classification` | the class of the data |
//! | `relationships` of a property `<name>_key`, `to: <entity>.<column>` | the reference `<name>`, filled by the host |
//! | `customProperties` of a schema: `history` (`scd2`, `append`), `sequence`, `keep` (`changes`, `all`), `dedupHorizon` (`30d`), `eventTime` | the history |
//!
//! Every other key of the standard is accepted and means nothing here; a key outside it is an error. ODCS 3.1 has no
//! list of allowed values in `logicalTypeOptions`: `invalidValues` is where the standard has it.

mod keys;

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use self::keys::{Arguments, Document, Object, Options, Property, Relationship};
use super::{Contract, ContractColumn, HORIZON_DAYS_DEFAULT, History, Keep, Link, Rule};
use crate::entity::{DataType, Diagnostic};
use crate::excerpt::{at, did_you_mean, nearest, of_yaml};

/// The custom properties that mean something here.
const OURS: [&str; 5] = ["history", "sequence", "keep", "dedupHorizon", "eventTime"];

/// Reads the contracts of one file; `file` is its name as diagnostics show it.
pub fn parse(file: &str, text: &str) -> Result<Vec<Contract>, Vec<Diagnostic>> {
    let document: Document = serde_saphyr::from_str(text).map_err(|error| vec![of_yaml(file, text, &error)])?;
    let mut findings = Findings { file, all: Vec::new() };
    if document.api_version.value != "v3.1.0" {
        let message = format!("found apiVersion `{}`, expected `v3.1.0`", document.api_version.value);
        findings.add(document.api_version.referenced, message, None);
    }
    if document.kind.value != "DataContract" {
        let message = format!("found kind `{}`, expected `DataContract`", document.kind.value);
        findings.add(document.kind.referenced, message, None);
    }
    let contracts: Vec<Contract> =
        document.schema.iter().filter_map(|object| contract(object, &document.version, &mut findings)).collect();
    if findings.all.is_empty() { Ok(contracts) } else { Err(findings.all) }
}

struct Findings<'a> {
    file: &'a str,
    all: Vec<Diagnostic>,
}

impl Findings<'_> {
    fn add(&mut self, location: Location, message: String, hint: Option<String>) {
        self.all.push(at(self.file, location, message, hint));
    }
}

fn contract(object: &Object, version: &str, findings: &mut Findings<'_>) -> Option<Contract> {
    let found_before = findings.all.len();
    let entity = &object.name.value;
    name(&object.name, "entity", findings);
    let mut columns: Vec<ContractColumn> = Vec::new();
    let mut links: Vec<Link> = Vec::new();
    let mut key: Vec<(i64, usize, Location)> = Vec::new();
    let mut seen = BTreeSet::new();
    for property in &object.properties {
        name(&property.name, "column", findings);
        if !seen.insert(&property.name.value) {
            findings.add(
                property.name.referenced,
                format!("the column `{}` is there twice", property.name.value),
                None,
            );
        }
        if let Some(relationship) = property.relationships.first() {
            links.extend(link(&property.name, relationship, findings));
            continue;
        }
        if property.primary_key {
            key.push((property.primary_key_position.unwrap_or(i64::MAX), columns.len(), property.name.referenced));
        }
        columns.extend(column(property, findings));
    }
    key.sort_by_key(|(position, index, _)| (*position, *index));
    for pair in key.windows(2) {
        if pair[0].0 == pair[1].0 {
            let message =
                "found two key columns without distinct positions, expected `primaryKeyPosition: 1`, `2`, …".to_owned();
            findings.add(pair[1].2, message, None);
        }
    }
    if key.is_empty() {
        let hint = Some("add `primaryKey: true` to the columns that identify it".to_owned());
        findings.add(object.name.referenced, format!("entity `{entity}` has no business key"), hint);
    }
    let history = history(object, &columns, findings);
    if findings.all.len() > found_before {
        return None;
    }
    let key: Vec<usize> = key.into_iter().map(|(_, index, _)| index).collect();
    for column in key.iter().map(|index| &columns[*index]) {
        if matches!(column.data_type, DataType::Float64 | DataType::Json) {
            let message = format!(
                "found key column `{}` of type {}, expected a type with one form a value",
                column.name, column.data_type
            );
            findings.add(object.name.referenced, message, None);
        }
    }
    let history = history?;
    if let History::Versions { sequence: Some(sequence), .. } = history
        && key.contains(&sequence)
    {
        let message = format!("the sequence `{}` is part of the key, expected another column", columns[sequence].name);
        findings.add(object.name.referenced, message, None);
    }
    let description = object.description.clone();
    Some(Contract { entity: entity.clone(), version: version.to_owned(), description, columns, key, history, links })
}

fn name(name: &Spanned<String>, what: &str, findings: &mut Findings<'_>) {
    let text = &name.value;
    let fits = text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !fits {
        findings.add(name.referenced, format!("found {what} `{text}`, expected `^[a-z][a-z0-9_]{{0,62}}$`"), None);
    }
}

/// `to` is `<entity>.<column>` or `schema/<entity>/properties/<column>`, after an optional `<file>#`.
fn link(property: &Spanned<String>, relationship: &Relationship, findings: &mut Findings<'_>) -> Option<Link> {
    let Some(name) = property.value.strip_suffix("_key").filter(|name| !name.is_empty()) else {
        let message = format!("found the reference `{}`, expected a name that ends in `_key`", property.value);
        findings.add(property.referenced, message, None);
        return None;
    };
    let to = relationship.to.value.rsplit('#').next().unwrap_or_default().trim_start_matches('/');
    let entity = match to.strip_prefix("schema/") {
        Some(path) => path.split('/').next(),
        None => to.split_once('.').map(|(entity, _)| entity),
    };
    let Some(entity) = entity.filter(|entity| !entity.is_empty()) else {
        let message = format!("found `to: {}`, expected `<entity>.<column>`", relationship.to.value);
        findings.add(relationship.to.referenced, message, None);
        return None;
    };
    Some(Link { name: name.to_owned(), entity: entity.to_owned() })
}

fn column(property: &Property, findings: &mut Findings<'_>) -> Option<ContractColumn> {
    let data_type = data_type(property, findings)?;
    let mut required = property.required;
    let mut rules = Vec::new();
    if let Some(options) = &property.logical_type_options {
        rules_of_options(options, data_type, findings, &mut rules);
    }
    for quality in &property.quality {
        // A threshold above zero is a statement about a table; a row can only be held to none.
        if quality.must_be.as_ref().and_then(Value::as_i64) != Some(0) {
            continue;
        }
        match (quality.metric.as_deref(), &quality.arguments) {
            (Some("nullValues"), _) => required = true,
            (Some("invalidValues"), Some(arguments)) => rules_of_arguments(arguments, data_type, findings, &mut rules),
            _ => {}
        }
    }
    Some(ContractColumn {
        name: property.name.value.clone(),
        data_type,
        required: required || property.primary_key,
        rules,
        classification: property.classification.clone(),
        description: property.description.clone(),
    })
}

fn data_type(property: &Property, findings: &mut Findings<'_>) -> Option<DataType> {
    if let Some(physical) = &property.physical_type {
        let found = of_physical(&physical.value);
        if found.is_none() {
            let message = format!(
                "found physicalType `{}`, expected text, int64, float64, decimal(p,s), boolean, date, timestamp, binary or json",
                physical.value
            );
            let names = ["text", "int64", "float64", "decimal", "boolean", "date", "timestamp", "binary", "json"];
            let hint = did_you_mean(&physical.value, names);
            findings.add(physical.referenced, message, hint);
        }
        return found;
    }
    let Some(logical) = &property.logical_type else {
        let message = format!("column `{}` has no type, expected `physicalType` or `logicalType`", property.name.value);
        findings.add(property.name.referenced, message, None);
        return None;
    };
    let found = match logical.value.as_str() {
        "string" | "time" => DataType::Text,
        "integer" => DataType::Int64,
        "number" => DataType::Float64,
        "boolean" => DataType::Boolean,
        "date" => DataType::Date,
        "timestamp" => DataType::Timestamp,
        "object" | "array" => DataType::Json,
        other => {
            let names = ["string", "time", "integer", "number", "boolean", "date", "timestamp", "object", "array"];
            let hint = did_you_mean(other, names);
            findings.add(
                logical.referenced,
                format!("found logicalType `{other}`, expected one of {}", names.join(", ")),
                hint,
            );
            return None;
        }
    };
    Some(found)
}

fn of_physical(text: &str) -> Option<DataType> {
    Some(match text {
        "text" => DataType::Text,
        "int64" => DataType::Int64,
        "float64" => DataType::Float64,
        "boolean" => DataType::Boolean,
        "date" => DataType::Date,
        "timestamp" => DataType::Timestamp,
        "binary" => DataType::Binary,
        "json" => DataType::Json,
        _ => {
            let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
            let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
            if !(1..=38).contains(&precision) || scale > precision {
                return None;
            }
            DataType::Decimal { precision, scale }
        }
    })
}

fn rules_of_options(options: &Options, data_type: DataType, findings: &mut Findings<'_>, rules: &mut Vec<Rule>) {
    rules.extend(options.min_length.map(Rule::LengthMin));
    rules.extend(options.max_length.map(Rule::LengthMax));
    if let Some(pattern) = &options.pattern {
        rules.extend(regex(&pattern.value, pattern.referenced, findings));
    }
    let bounds = [
        (&options.minimum, 0, false),
        (&options.exclusive_minimum, 1, false),
        (&options.maximum, 0, true),
        (&options.exclusive_maximum, -1, true),
    ];
    for (bound, step, upper) in bounds {
        let Some(bound) = bound else { continue };
        let text = match &bound.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let rule = if data_type == DataType::Float64 {
            text.parse::<f64>().ok().map(|limit| match (step, upper) {
                (0, true) => Rule::WithinFloat(f64::NEG_INFINITY, limit),
                (0, false) => Rule::WithinFloat(limit, f64::INFINITY),
                (_, true) => Rule::WithinFloat(f64::NEG_INFINITY, limit.next_down()),
                (_, false) => Rule::WithinFloat(limit.next_up(), f64::INFINITY),
            })
        } else {
            exact(&text, data_type).map(|limit| {
                if upper { Rule::Within(i128::MIN, limit + step) } else { Rule::Within(limit + step, i128::MAX) }
            })
        };
        match rule {
            Some(rule) => rules.push(rule),
            None => findings.add(
                bound.referenced,
                format!("found bound `{text}`, expected a value of type {data_type}"),
                None,
            ),
        }
    }
}

/// `text` in the unit of a column of `data_type`.
fn exact(text: &str, data_type: DataType) -> Option<i128> {
    match data_type {
        DataType::Int64 => text.parse::<i64>().ok().map(i128::from),
        DataType::Date => {
            let date: jiff::civil::Date = text.parse().ok()?;
            Some(i128::from((date - jiff::civil::date(1970, 1, 1)).get_days()))
        }
        DataType::Timestamp => Some(i128::from(text.parse::<jiff::Timestamp>().ok()?.as_microsecond())),
        DataType::Decimal { scale, .. } => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            if fraction.len() > usize::from(scale) || !fraction.chars().all(|c| c.is_ascii_digit()) {
                return None;
            }
            format!("{whole}{fraction:0<width$}", width = usize::from(scale)).parse().ok()
        }
        _ => None,
    }
}

fn rules_of_arguments(arguments: &Arguments, data_type: DataType, findings: &mut Findings<'_>, rules: &mut Vec<Rule>) {
    if let Some(values) = &arguments.valid_values {
        if !matches!(data_type, DataType::Text | DataType::Int64) {
            let message = format!("found validValues on a column of type {data_type}, expected text or int64");
            findings.add(values.referenced, message, None);
        }
        // A null is the business of `required`.
        let texts = values.value.iter().filter(|value| !value.is_null()).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        rules.push(Rule::Allowed(texts.collect()));
    }
    if let Some(pattern) = &arguments.pattern {
        rules.extend(regex(&pattern.value, pattern.referenced, findings));
    }
}

fn regex(pattern: &str, at: Location, findings: &mut Findings<'_>) -> Option<Rule> {
    match Regex::new(pattern) {
        Ok(regex) => Some(Rule::Pattern(regex)),
        Err(_) => {
            let hint = Some("look-around and back-references are not supported".to_owned());
            findings.add(at, format!("found pattern `{pattern}`, expected a regular expression"), hint);
            None
        }
    }
}

fn history(object: &Object, columns: &[ContractColumn], findings: &mut Findings<'_>) -> Option<History> {
    for property in &object.custom_properties {
        let found = property.property.value.as_str();
        if let Some(meant) = nearest(found, OURS).filter(|meant| *meant != found) {
            let hint = Some(format!("did you mean `{meant}`?"));
            findings.add(
                property.property.referenced,
                format!("found custom property `{found}`, expected {}", OURS.join(", ")),
                hint,
            );
        }
    }
    let custom = |name: &str| object.custom_properties.iter().find(|property| property.property.value == name);
    let column = |name: &str, types: &[&str], findings: &mut Findings<'_>| -> Option<usize> {
        let property = custom(name)?;
        let text = property.value.value.as_str().unwrap_or_default();
        let Some(index) = columns.iter().position(|column| column.name == text) else {
            let hint = did_you_mean(text, columns.iter().map(|column| column.name.as_str()));
            findings.add(
                property.value.referenced,
                format!("found {name} `{text}`, expected a column of `{}`", object.name.value),
                hint,
            );
            return None;
        };
        let found = columns[index].data_type.to_string();
        if !types.contains(&found.as_str()) {
            findings.add(
                property.value.referenced,
                format!("found {name} `{text}` of type {found}, expected {}", types.join(" or ")),
                None,
            );
        }
        Some(index)
    };
    let Some(kind) = custom("history") else {
        let hint =
            Some("add customProperties `- { property: history, value: scd2 }`, or `append` for facts".to_owned());
        findings.add(object.name.referenced, format!("entity `{}` does not say its history", object.name.value), hint);
        return None;
    };
    let (history, foreign): (History, &[&str]) = match kind.value.value.as_str() {
        Some("scd2") => {
            let keep = match custom("keep").map(|keep| (keep.value.value.as_str(), keep)) {
                None | Some((Some("changes"), _)) => Keep::Changes,
                Some((Some("all"), _)) => Keep::All,
                Some((_, keep)) => {
                    findings.add(
                        keep.value.referenced,
                        format!("found keep `{}`, expected `changes` or `all`", keep.value.value),
                        None,
                    );
                    Keep::Changes
                }
            };
            let sequence = column("sequence", &["timestamp", "date", "int64"], findings);
            (History::Versions { sequence, keep }, &["dedupHorizon", "eventTime"])
        }
        Some("append") => {
            let horizon_days = custom("dedupHorizon").map_or(HORIZON_DAYS_DEFAULT, |horizon| {
                let days = horizon.value.value.as_str().and_then(|text| text.strip_suffix('d')?.parse().ok());
                days.filter(|days| *days > 0).unwrap_or_else(|| {
                    let message = format!("found dedupHorizon `{}`, expected days such as `30d`", horizon.value.value);
                    findings.add(horizon.value.referenced, message, None);
                    HORIZON_DAYS_DEFAULT
                })
            });
            let event_time = column("eventTime", &["timestamp", "date"], findings);
            (History::Append { event_time, horizon_days }, &["sequence", "keep"])
        }
        _ => {
            findings.add(
                kind.value.referenced,
                format!("found history `{}`, expected `scd2` or `append`", kind.value.value),
                None,
            );
            return None;
        }
    };
    for name in foreign {
        if let Some(property) = custom(name) {
            findings.add(
                property.property.referenced,
                format!("`{name}` means nothing under history {}", kind.value.value),
                None,
            );
        }
    }
    Some(history)
}
