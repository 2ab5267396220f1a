//! From a plugin's answers to rows of Silver: everything pure between the sandbox and the tables.
//!
//! ```text
//! Descriptor ─► Plan (checked against Contracts and Pii, once an activation)
//! Answer ─► Plan::conform ─► Conformed: one outcome a record, refused rows, EntityRows of each entity
//!             contract · PII · key · row hash
//! EntityRows ─► DimensionIndex::decide, FactIndex::decide ─► RowOutcome of each row, and a delta to apply after the commit
//!            ─► written::{changes, facts} ─► the rows that are written
//! rows of <entity>_changes ─► fold ─► versions of <entity>
//! ```
//!
//! No module here does input or output or reads a clock, but for `store`, where an index too large for memory lies on disk.

pub mod canonical;
pub mod contract;
pub mod dimension;
pub mod fact;
pub mod fold;
pub mod outcome;
pub mod pii;
pub mod plan;
pub mod rows;
pub mod store;
pub mod watermark;
pub mod written;

mod check;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use self::outcome::{Code, Conformed, RecordOutcome, RefusedRow};
use self::plan::Plan;
use self::rows::{EntityRows, KeyHashers, Piece};
use crate::entity::{Answer, OnError, Refusal, Verdict};
use crate::record::Batch;

impl Plan {
    /// Conforms the answers to consecutive parts of `batch`, which together cover it: one verdict a record, in order.
    ///
    /// A breach of a contract refuses the record with all its rows, or the row alone where its output says so. Rows are
    /// numbered within their record over the outputs in the order of the descriptor, refused ones too, so that position
    /// and row name a row however the batch was cut.
    pub fn conform(&self, batch: &Batch, answers: &[Answer]) -> Conformed {
        let mut records: Vec<RecordOutcome> = Vec::with_capacity(batch.len());
        let mut refused: Vec<RefusedRow> = Vec::new();
        let mut pieces: Vec<Piece<'_>> = Vec::new();
        for answer in answers {
            let first = records.len() as u32;
            records.extend(answer.verdicts.iter().map(|verdict| match verdict {
                Verdict::Transformed => RecordOutcome::Transformed,
                Verdict::Filtered(reason) => RecordOutcome::Filtered(reason.clone()),
                Verdict::Refused(refusal) => RecordOutcome::Quarantined(self.masked(refusal)),
            }));
            let mut counts = vec![0u32; answer.verdicts.len()];
            for rows in &answer.rows {
                let output = &self.outputs[rows.output];
                let numbers: Vec<u32> = rows
                    .record
                    .iter()
                    .map(|record| {
                        let count = &mut counts[*record as usize];
                        *count += 1;
                        *count - 1
                    })
                    .collect();
                let mut dead = Vec::new();
                for (row, refusal) in check::breaches(&self.entities[output.entity], output, rows) {
                    let record = first + rows.record[row];
                    match output.on_error {
                        OnError::Record => refuse(&mut records[record as usize], refusal),
                        OnError::Row => {
                            dead.push(row);
                            refused.push(RefusedRow { record, row: numbers[row], refusal });
                        }
                    }
                }
                pieces.push(Piece { rows, first, numbers, dead });
            }
            for row_refusal in &answer.row_refusals {
                let count = &mut counts[row_refusal.record as usize];
                let refusal = self.masked(&row_refusal.refusal);
                refused.push(RefusedRow { record: first + row_refusal.record, row: *count, refusal });
                *count += 1;
            }
            for (outcome, count) in records[first as usize..].iter_mut().zip(counts) {
                if count == 0 {
                    refuse(
                        outcome,
                        Refusal::of_record(
                            Code::NoRows.as_str(),
                            "found no row of a transformed record, expected one or the verdict filtered",
                        ),
                    );
                }
            }
        }
        assert_eq!(
            records.len(),
            batch.len(),
            "the answers cover the batch: the sandbox checks the number of verdicts"
        );
        refused.retain(|row| records[row.record as usize] == RecordOutcome::Transformed);
        refused.sort_by_key(|row| (row.record, row.row));
        let alive = |record: u32| records[record as usize] == RecordOutcome::Transformed;
        let mut keys = KeyHashers::new(&self.tenant, batch.len());
        let entities = (0..self.entities.len())
            .map(|entity| EntityRows::gather(self, entity, &pieces, batch, alive, &mut keys))
            .collect();
        Conformed { records, entities, refused }
    }
}

/// Quarantines a record that still counted; the first reason stands.
fn refuse(outcome: &mut RecordOutcome, refusal: Refusal) {
    if *outcome == RecordOutcome::Transformed {
        *outcome = RecordOutcome::Quarantined(refusal);
    }
}
