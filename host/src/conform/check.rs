//! Whether the rows of an answer keep their contract.
//!
//! A row has at most one breach: the first, by column. The rules are told apart from what the plugin refused itself by
//! their [`Code`]; a value goes into the refusal only where Silver would show it too.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};

use super::canonical::Cells;
use super::contract::{ContractColumn, History, Rule};
use super::outcome::Code;
use super::pii::{MASK, Treatment};
use super::plan::{EntityPlan, OutputPlan, Plan};
use crate::entity::{Column, DataType, Operation, Operations, Refusal, Rows};

/// The characters of an offending value that a refusal keeps.
const VALUE_CHARS_MAX: usize = 200;

/// The first breach of each row that has one, by row.
pub(super) fn breaches(entity: &EntityPlan, output: &OutputPlan, rows: &Rows) -> Vec<(usize, Refusal)> {
    let mut found = Vec::new();
    let contract = &entity.contract;
    let is_fact = matches!(contract.history, History::Append { .. });
    if is_fact && rows.operations != Operations::All(Operation::Upsert) {
        let others = (0..rows.record.len()).filter(|row| rows.operations.get(*row) != Operation::Upsert);
        found.extend(others.map(|row| {
            (row, Code::FactOperation.refusal(&contract.entity, "found another operation on a fact, expected upsert"))
        }));
    }
    let order = contract.sequence().or(contract.event_time());
    for (index, column) in contract.columns.iter().enumerate() {
        let source = output.fields[index].and_then(|field| output.sources[field].clone());
        let refusal = |code: Code, message: String, value: Option<String>| Refusal {
            field: Some(column.name.clone()),
            path: source.clone(),
            value: value
                .map(|value| if entity.treatments[index] == Treatment::Keep { cut(&value) } else { MASK.to_owned() }),
            ..code.refusal(&contract.entity, message)
        };
        let required = |row: &usize| match rows.operations.get(*row) {
            _ if contract.key.contains(&index) || order == Some(index) => true,
            Operation::Upsert => column.required,
            Operation::Patch => {
                column.required && output.fields[index].is_some_and(|field| is_present(&rows.columns[field], *row))
            }
            Operation::Stub | Operation::Delete => false,
        };
        let missing = || match order == Some(index) {
            true => refusal(
                Code::NoSequence,
                "found no value, expected one: it orders the rows of its key".to_owned(),
                None,
            ),
            false => refusal(Code::Required, "found no value, expected one: the column is required".to_owned(), None),
        };
        let Some(field) = output.fields[index] else {
            if column.required {
                found.extend((0..rows.record.len()).filter(required).map(|row| (row, missing())));
            }
            continue;
        };
        let Column { values, .. } = &rows.columns[field];
        if values.null_count() > 0 && (column.required || order == Some(index)) {
            found.extend(
                (0..values.len()).filter(|row| values.is_null(*row)).filter(required).map(|row| (row, missing())),
            );
        }
        for rule in &column.rules {
            for (row, code, expected) in broken(rule, column, &rows.columns[field]) {
                if asserts(rows, field, row) {
                    let value = Cells::new(column.data_type, values).show(row);
                    found.push((row, refusal(code, format!("expected {expected}"), Some(value))));
                }
            }
        }
    }
    found.sort_by_key(|(row, _)| *row);
    found.dedup_by_key(|(row, _)| *row);
    found
}

/// Whether a patch asserts `column` in `row`.
pub(super) fn is_present(column: &Column, row: usize) -> bool {
    column.presence.as_ref().is_none_or(|presence| presence.value(row))
}

/// Whether `row` says anything in column `field`.
fn asserts(rows: &Rows, field: usize, row: usize) -> bool {
    match rows.operations.get(row) {
        Operation::Upsert | Operation::Stub => true,
        Operation::Patch => is_present(&rows.columns[field], row),
        Operation::Delete => false,
    }
}

/// The rows whose value breaks `rule`, the code, and what was expected.
fn broken(rule: &Rule, column: &ContractColumn, given: &Column) -> Vec<(usize, Code, String)> {
    let values = &given.values;
    let texts = |keeps: &dyn Fn(&str) -> bool| -> Vec<usize> {
        match column.data_type {
            DataType::Text | DataType::Json => values
                .as_string::<i32>()
                .iter()
                .enumerate()
                .filter(|(_, text)| text.is_some_and(|text| !keeps(text)))
                .map(|(row, _)| row)
                .collect(),
            DataType::Int64 => {
                let numbers = values.as_primitive::<Int64Type>().iter().enumerate();
                numbers
                    .filter(|(_, number)| number.is_some_and(|number| !keeps(&number.to_string())))
                    .map(|(row, _)| row)
                    .collect()
            }
            _ => vec![],
        }
    };
    let (rows, code, expected) = match rule {
        Rule::Allowed(allowed) => {
            let list: Vec<&str> = allowed.iter().map(String::as_str).collect();
            (texts(&|text| allowed.contains(text)), Code::NotAllowed, format!("one of {}", list.join(", ")))
        }
        Rule::LengthMin(least) => {
            (texts(&|text| text.chars().count() >= *least), Code::Length, format!("at least {least} characters"))
        }
        Rule::LengthMax(most) => {
            // Characters are never more than bytes, so most texts need no counting.
            (
                texts(&|text| text.len() <= *most || text.chars().count() <= *most),
                Code::Length,
                format!("at most {most} characters"),
            )
        }
        Rule::Pattern(regex) => {
            (texts(&|text| regex.is_match(text)), Code::Pattern, format!("text that matches `{}`", regex.as_str()))
        }
        Rule::Within(low, high) => {
            let outside = |value: i128| value < *low || value > *high;
            (
                numbers(column.data_type, values, &outside),
                Code::Range,
                "a value within the contract's bounds".to_owned(),
            )
        }
        Rule::WithinFloat(low, high) => {
            let floats = values.as_primitive::<Float64Type>().iter().enumerate();
            let rows = floats
                .filter(|(_, value)| value.is_some_and(|value| value < *low || value > *high))
                .map(|(row, _)| row)
                .collect();
            (rows, Code::Range, "a value within the contract's bounds".to_owned())
        }
    };
    rows.into_iter().map(|row| (row, code, expected.clone())).collect()
}

fn numbers(data_type: DataType, values: &arrow::array::ArrayRef, outside: &dyn Fn(i128) -> bool) -> Vec<usize> {
    let rows = |values: &mut dyn Iterator<Item = Option<i128>>| -> Vec<usize> {
        values.enumerate().filter(|(_, value)| value.is_some_and(outside)).map(|(row, _)| row).collect()
    };
    match data_type {
        DataType::Int64 => rows(&mut values.as_primitive::<Int64Type>().iter().map(|value| value.map(i128::from))),
        DataType::Date => rows(&mut values.as_primitive::<Date32Type>().iter().map(|value| value.map(i128::from))),
        DataType::Timestamp => {
            rows(&mut values.as_primitive::<TimestampMicrosecondType>().iter().map(|value| value.map(i128::from)))
        }
        DataType::Decimal { .. } => rows(&mut values.as_primitive::<Decimal128Type>().iter()),
        _ => vec![],
    }
}

fn cut(value: &str) -> String {
    value.chars().take(VALUE_CHARS_MAX).collect()
}

impl Plan {
    /// A plugin's refusal as it may be stored: its value shows only where it is that of a column whose values Silver
    /// shows too. What cannot be told is masked, in the message as well.
    pub(super) fn masked(&self, refusal: &Refusal) -> Refusal {
        let mut refusal = refusal.clone();
        let Some(value) = &mut refusal.value else { return refusal };
        if self.shows(refusal.entity.as_deref(), refusal.field.as_deref()) {
            *value = cut(value);
            return refusal;
        }
        if !value.is_empty() {
            refusal.message = refusal.message.replace(value.as_str(), MASK);
            refusal.step = refusal.step.map(|step| step.replace(value.as_str(), MASK));
        }
        *value = MASK.to_owned();
        refusal
    }

    fn shows(&self, entity: Option<&str>, field: Option<&str>) -> bool {
        let keeps = |entity: &EntityPlan| entity.treatments.iter().all(|treatment| *treatment == Treatment::Keep);
        let named = self.entities.iter().find(|plan| entity == Some(plan.contract.entity.as_str()));
        match (named, field.and_then(|field| named?.contract.column(field))) {
            (Some(plan), Some(column)) => plan.treatments[column] == Treatment::Keep,
            // A reference's field, or none: it may come from anywhere in the record.
            _ => self.entities.iter().all(keeps) && self.outputs.iter().all(OutputPlan::keeps_references),
        }
    }
}
