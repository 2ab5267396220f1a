//! What became of the rows and records of a batch: the accounts that its commits carry, and what quarantine holds.
//!
//! Pure arithmetic over what was decided; committing it is `settle`'s work.

use std::collections::BTreeMap;

use super::Tally;
use super::land::Pending;
use crate::conform::outcome::{Code, Conformed, RecordOutcome, RowOutcome};
use crate::conform::rows::EntityRows;
use crate::digest::{DigestKey, Sum};
use crate::entity::Verdict;
use crate::lake::quarantine::{Refused, Scope, Stage};
use crate::manifest::QualityChecks;
use crate::manifest::account::{BatchRef, EntityAccount, RecordAccount};
use crate::record::Batch;

/// What the decision made of each row, as digests over (position, row index, entity, key, row hash).
pub(super) fn of_rows(
    key: &DigestKey,
    batch: BatchRef,
    entity: &str,
    records: &Batch,
    rows: &EntityRows,
    outcomes: &[RowOutcome],
) -> EntityAccount {
    let mut account = EntityAccount {
        batch,
        entity: entity.to_owned(),
        emitted: Sum::default(),
        kept: Sum::default(),
        duplicate: Sum::default(),
        refused: Sum::default(),
        conflicts: vec![],
        dangling: BTreeMap::new(),
    };
    for (row, outcome) in outcomes.iter().enumerate() {
        let position = records.position_text(rows.record[row] as usize);
        let number = rows.row[row].to_le_bytes();
        let element =
            key.element(&[position.as_bytes(), &number, entity.as_bytes(), &rows.keys[row], &rows.hashes[row]]);
        account.emitted += element;
        match outcome {
            RowOutcome::Kept { .. } => account.kept += element,
            RowOutcome::Duplicate => account.duplicate += element,
            RowOutcome::Refused(_) => {
                account.refused += element;
                account.conflicts.push((rows.record[row], rows.row[row]));
            }
        }
    }
    account
}

/// What became of each record, as digests over (position, checksum), and the reasons.
pub(super) fn of_records(key: &DigestKey, batch: BatchRef, records: &Batch, conformed: &Conformed) -> RecordAccount {
    let mut account = RecordAccount {
        batch,
        transformed: Sum::default(),
        filtered: Sum::default(),
        quarantined: Sum::default(),
        filtered_reasons: BTreeMap::new(),
        quarantined_codes: BTreeMap::new(),
        refused_rows: BTreeMap::new(),
    };
    for (record, outcome) in conformed.records.iter().enumerate() {
        let element = key.element(&[records.position_text(record).as_bytes(), &records.checksum(record)]);
        match outcome {
            RecordOutcome::Transformed => account.transformed += element,
            RecordOutcome::Filtered(reason) => {
                account.filtered += element;
                count(&mut account.filtered_reasons, reason);
            }
            RecordOutcome::Quarantined(refusal) => {
                account.quarantined += element;
                count(&mut account.quarantined_codes, &refusal.code);
            }
        }
    }
    for row in &conformed.refused {
        count(&mut account.refused_rows, &row.refusal.code);
    }
    account
}

fn count(counts: &mut BTreeMap<String, u64>, reason: &str) {
    match counts.get_mut(reason) {
        Some(count) => *count += 1,
        None => {
            counts.insert(reason.to_owned(), 1);
        }
    }
}

/// All that was refused of a batch, by record.
pub(super) fn refused(
    pending: &Pending,
    conformed: &Conformed,
    conflicts: &[(String, Vec<(u32, u32)>)],
) -> Vec<Refused> {
    let verdicts = pending.answers.iter().flat_map(|answer| &answer.verdicts);
    let mut all: Vec<Refused> = Vec::new();
    for ((record, outcome), verdict) in conformed.records.iter().enumerate().zip(verdicts) {
        if let RecordOutcome::Quarantined(refusal) = outcome {
            let stage = if matches!(verdict, Verdict::Refused(_)) { Stage::Plugin } else { Stage::Contract };
            all.push(Refused { record: record as u32, scope: Scope::Record, stage, refusal: refusal.clone() });
        }
    }
    for row in &conformed.refused {
        let stage = if row.refusal.step.is_some() { Stage::Plugin } else { Stage::Contract };
        all.push(Refused { record: row.record, scope: Scope::Row(Some(row.row)), stage, refusal: row.refusal.clone() });
    }
    for (entity, rows) in conflicts {
        let message =
            "a fact with this key is in Silver and says something else; what changes is declared `history: scd2`";
        let refusal = Code::Conflict.refusal(entity, message);
        all.extend(rows.iter().map(|(record, row)| Refused {
            record: *record,
            scope: Scope::Row(Some(*row)),
            stage: Stage::Dedup,
            refusal: refusal.clone(),
        }));
    }
    all.sort_by_key(|refused| refused.record);
    all
}

pub(super) fn quality(entities: &[EntityAccount], records: &RecordAccount) -> QualityChecks {
    let missing = |codes: &BTreeMap<String, u64>| {
        [Code::Required, Code::NoSequence].iter().any(|code| codes.contains_key(code.as_str()))
    };
    let mut dangling = BTreeMap::new();
    for account in entities {
        let links = account.dangling.iter().map(|(link, count)| (format!("{}.{link}", account.entity), *count));
        dangling.extend(links.filter(|(_, count)| *count > 0));
    }
    QualityChecks {
        schema_valid: records.quarantined.count == 0 && records.refused_rows.is_empty(),
        null_check_pass: !missing(&records.quarantined_codes) && !missing(&records.refused_rows),
        duplicate_count: entities.iter().map(|account| account.duplicate.count).sum(),
        quarantined: records.quarantined_codes.clone(),
        refused_rows: records.refused_rows.clone(),
        dangling_references: dangling,
    }
}

pub(super) fn add(tally: &mut Tally, batch: &Batch, entities: &[EntityAccount], records: &RecordAccount) {
    tally.batches += 1;
    tally.records += batch.len() as u64;
    tally.transformed += records.transformed.count;
    for (reason, count) in &records.filtered_reasons {
        *tally.filtered.entry(reason.clone()).or_default() += count;
    }
    for (code, count) in &records.quarantined_codes {
        *tally.quarantined.entry(code.clone()).or_default() += count;
    }
    for account in entities {
        let rows = tally.entities.entry(account.entity.clone()).or_default();
        rows.emitted += account.emitted.count;
        rows.kept += account.kept.count;
        rows.duplicate += account.duplicate.count;
        rows.refused += account.refused.count;
    }
}
