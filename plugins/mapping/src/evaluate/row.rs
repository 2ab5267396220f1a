//! One row of one block: its columns, in the descriptor's order.

use silversmith_sdk::columns::{AnswerBuilder, Cell, Row};
use silversmith_sdk::extract::Place;
use silversmith_sdk::normalise::coerce;
use silversmith_sdk::plugin::{Operation, Refusal};
use silversmith_sdk::value::Value;

use super::Scope;
use super::usual::Above;
use super::value::{Absence, Failure};
use crate::prepared::{Block, Column, Reference};

impl Scope<'_, '_> {
    /// Adds the row of `block` at `place`, or says why there is none. `above` is what it has in common with the row above.
    pub(super) fn row(
        &self,
        block: &Block,
        place: Place,
        operation: Operation,
        above: &mut Above,
        answer: &mut AnswerBuilder,
    ) -> Result<(), Refusal> {
        let refuse = |(column, failure): (&Column, Box<Failure>)| self.refusal(&block.entity, column, *failure);
        // A patch says nothing of what it does not carry, and a stub has what it has.
        let absence = match operation {
            Operation::Patch | Operation::Stub => Absence::Stays,
            Operation::Upsert | Operation::Delete => Absence::Defaults,
        };
        let mut row = answer.row(block.output as usize);
        for (number, column) in block.fields.iter().enumerate() {
            if self.usual(column, number, place, operation, above, &mut row) {
                continue;
            }
            let absence = if column.key { Absence::Defaults } else { absence };
            let value = self.value(&column.value, place, absence);
            let cell = value.and_then(|value| cell(value, column));
            push(&mut row, cell.map_err(|failure| refuse((column, failure)))?, operation);
        }
        for (number, reference) in block.references.iter().enumerate() {
            let number = block.fields.len() + number;
            if let [column] = &reference.key[..]
                && self.usual(column, number, place, operation, above, &mut row)
            {
                continue;
            }
            self.reference(reference, place, absence, operation, &mut row).map_err(refuse)?;
        }
        row.finish(operation);
        Ok(())
    }

    /// The key of a reference is whole, or there is no reference.
    fn reference<'b>(
        &self,
        reference: &'b Reference,
        place: Place,
        absence: Absence,
        operation: Operation,
        row: &mut Row<'_>,
    ) -> Result<(), (&'b Column, Box<Failure>)> {
        let read = |column: &'b Column| {
            let value = self.value(&column.value, place, absence);
            value.and_then(|value| cell(value, column)).map_err(|failure| (column, failure))
        };
        let key: Vec<_> = reference.key.iter().map(read).collect::<Result<_, _>>()?;
        let missing = key.iter().find(|cell| matches!(cell, None | Some(Cell::Null)));
        match missing {
            None => key.into_iter().for_each(|cell| push(row, cell, operation)),
            Some(missing) => key.iter().for_each(|_| push(row, missing.clone(), operation)),
        }
        Ok(())
    }

    fn refusal(&self, entity: &str, column: &Column, failure: Failure) -> Refusal {
        Refusal {
            code: failure.code.to_owned(),
            message: failure.message,
            entity: Some(entity.to_owned()),
            field: Some(column.name.clone()),
            path: failure.path.map(|path| self.paths[path as usize].clone()),
            value: failure.value,
            step: failure.step.map(str::to_owned),
        }
    }
}

#[inline]
fn cell<'v>(value: Option<Value<'v>>, column: &Column) -> Result<Option<Cell<'v>>, Box<Failure>> {
    let coerced = value.map(|value| coerce(value, column.data_type)).transpose();
    coerced.map_err(|error| Failure::of_step(error, column.value.path()))
}

#[inline]
pub(super) fn push(row: &mut Row<'_>, cell: Option<Cell<'_>>, operation: Operation) {
    match cell {
        Some(cell) => row.push_cell(&cell),
        None if operation == Operation::Patch => row.push_absent(),
        None => row.push_null(),
    }
}
