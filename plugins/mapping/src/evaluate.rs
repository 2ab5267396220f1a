//! Records to rows, by a prepared configuration.
//!
//! Owns the meaning of the language at run time. Rows come in the order of the blocks; a node's row comes before the
//! rows of the blocks inside it, and these before the next node's. A record's mapping is found by its schema version
//! first: the last mapping used is tried at once, and only if the record turns out to be of another version (or
//! unreadable by that mapping) is the version read alone, so that the verdict never depends on the record before.

mod row;
mod usual;
mod value;

use std::borrow::Cow;
use std::cell::Cell;

use silversmith_sdk::columns::AnswerBuilder;
use silversmith_sdk::extract::{Extraction, JsonError, JsonErrorKind, Place, Selected, Tree};
use silversmith_sdk::normalise::{CurrencyCode, text_of};
use silversmith_sdk::plugin::{Batch, Operation, Refusal};
use silversmith_sdk::value::Value;

use crate::prepared::{Block, Detection, Mapping, Path, Prepared, Refuses, Toggle, Versions};
use usual::Above;

/// The payload that stands for a tombstone: its blocks have no paths, and need a tree all the same.
const NOTHING: &[u8] = b"null";

/// Answers every record of `batch`.
pub(crate) fn transform(prepared: &Prepared, batch: &Batch<'_>, answer: &mut AnswerBuilder) {
    let mut session = Session {
        prepared,
        readers: prepared.mappings.iter().map(|mapping| Extraction::new(&mapping.plan)).collect(),
        detector: None,
        last: 0,
        notes: Notes { hits: vec![Cell::new(0); prepared.paths.len()], currency: Cell::new(None) },
    };
    for index in 0..batch.len() {
        match session.record(Record { batch, index }, answer) {
            Ok(Outcome::Transformed) => answer.transformed(),
            Ok(Outcome::Filtered(reason)) => answer.filtered(reason),
            Err(refusal) => answer.refused(refusal),
        }
    }
    for (path, nodes) in session.notes.hits.iter().enumerate() {
        answer.hit(path, nodes.get());
    }
}

/// One record of a batch.
#[derive(Clone, Copy)]
struct Record<'b> {
    batch: &'b Batch<'b>,
    index: usize,
}

impl<'b> Record<'b> {
    fn property(&self, column: u32) -> Option<&'b [u8]> {
        self.batch.property(column as usize, self.index)
    }
}

enum Outcome<'p> {
    Transformed,
    Filtered(&'p str),
}

/// The memory of one call.
struct Session<'p> {
    prepared: &'p Prepared,
    /// One for each mapping.
    readers: Vec<Extraction<'p>>,
    detector: Option<Extraction<'p>>,
    /// The mapping of the record before.
    last: usize,
    notes: Notes,
}

/// What is kept from record to record.
struct Notes {
    /// The nodes of each path so far.
    hits: Vec<Cell<u64>>,
    /// The last currency that was looked up: the next one is most often the same.
    currency: Cell<Option<CurrencyCode>>,
}

impl<'p> Session<'p> {
    fn record(&mut self, record: Record<'_>, answer: &mut AnswerBuilder) -> Result<Outcome<'p>, Refusal> {
        let prepared = self.prepared;
        let payload = record.batch.payload(record.index);
        if payload.is_none() && prepared.mappings.iter().all(|mapping| mapping.tombstones.is_empty()) {
            return Ok(Outcome::Filtered("tombstone"));
        }
        let bytes = payload.unwrap_or(NOTHING);
        if let Versions::Each { declared, known, default, detection } = &prepared.versions {
            let named = match (record.property(*declared), detection) {
                (Some(version), _) => Some(String::from_utf8_lossy(version)),
                (None, Some(detection)) if payload.is_some() => {
                    let mapping = &prepared.mappings[self.last];
                    if let (Ok(tree), Some(select)) = (self.readers[self.last].read(bytes), mapping.detection) {
                        let nodes = tree.select(select, tree.record());
                        let version = detected(&tree, nodes, detection)?;
                        if mapping_of(version.as_deref(), known, *default)? == self.last {
                            return evaluate(prepared, mapping, &tree, record, &self.notes, answer);
                        }
                    }
                    let detector = self.detector.get_or_insert_with(|| Extraction::new(&detection.plan));
                    let tree = detector.read(bytes).map_err(invalid)?;
                    detected(&tree, tree.select(detection.select, tree.record()), detection)?
                }
                (None, _) => None,
            };
            self.last = mapping_of(named.as_deref(), known, *default)?;
        }
        let mapping = &prepared.mappings[self.last];
        if payload.is_none() && mapping.tombstones.is_empty() {
            return Ok(Outcome::Filtered("tombstone"));
        }
        let tree = self.readers[self.last].read(bytes).map_err(invalid)?;
        evaluate(prepared, mapping, &tree, record, &self.notes, answer)
    }
}

/// The version that a record states; absent and null are none.
fn detected<'r>(
    tree: &Tree<'_, 'r>,
    nodes: Selected<'_>,
    detection: &Detection,
) -> Result<Option<Cow<'r, str>>, Refusal> {
    let refuse = |found: String| {
        let mut refusal =
            Refusal::of_record("unknown_schema_version", format!("found {found}, expected text or a number"));
        refusal.path = Some(detection.path.clone());
        Err(refusal)
    };
    match (nodes.clone().count(), nodes.first().map(|node| tree.value(node))) {
        (_, None) | (1, Some(Value::Null)) => Ok(None),
        (1, Some(value)) => match text_of(value) {
            Ok(version) => Ok(Some(version)),
            Err(_) => refuse("an object or an array as schema version".to_owned()),
        },
        (count, _) => refuse(format!("{count} schema versions")),
    }
}

fn mapping_of(version: Option<&str>, known: &[(String, u32)], default: Option<u32>) -> Result<usize, Refusal> {
    let found = match version {
        None => default,
        Some(version) => known.iter().find(|(name, _)| name == version).map(|(_, mapping)| *mapping),
    };
    found.map(|mapping| mapping as usize).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
        let found = if version.is_some() { "a schema version that has no mapping" } else { "no schema version" };
        let message = format!("found {found}, expected {}", names.join(" or "));
        Refusal { value: version.map(str::to_owned), ..Refusal::of_record("unknown_schema_version", message) }
    })
}

fn invalid(error: JsonError) -> Refusal {
    let code = match error.kind {
        JsonErrorKind::DuplicateKey { .. } => "duplicate_key",
        _ => "invalid_json",
    };
    Refusal::of_record(code, error.to_string())
}

fn evaluate<'p>(
    prepared: &'p Prepared,
    mapping: &'p Mapping,
    tree: &Tree<'_, '_>,
    record: Record<'_>,
    notes: &Notes,
    answer: &mut AnswerBuilder,
) -> Result<Outcome<'p>, Refusal> {
    let scope = Scope { tree, record, paths: &prepared.paths, notes };
    let root = tree.record();
    if record.batch.payload(record.index).is_none() {
        for block in &mapping.tombstones {
            scope.block(block, root, answer)?;
        }
        return Ok(Outcome::Transformed);
    }
    if let Some(skip) = mapping.skips.iter().find(|skip| tree.test(skip.when, root)) {
        return Ok(Outcome::Filtered(&skip.reason));
    }
    for block in &mapping.blocks {
        scope.block(block, root, answer)?;
    }
    if answer.rows_of_record() == 0 && answer.row_refusals_of_record() == 0 {
        let message = "found no node for any block and no skip rule that holds, expected at least one row";
        return Err(Refusal::of_record("no_rows", message));
    }
    Ok(Outcome::Transformed)
}

/// One record, read, with what its evaluation counts.
struct Scope<'s, 'r> {
    tree: &'s Tree<'s, 'r>,
    record: Record<'s>,
    paths: &'s [String],
    notes: &'s Notes,
}

impl Scope<'_, '_> {
    /// The rows of a block under one place of its parent, and of the blocks inside.
    fn block(&self, block: &Block, parent: Place, answer: &mut AnswerBuilder) -> Result<(), Refusal> {
        let count = |path: usize, nodes: usize| {
            if let Some(number) = block.each.get(path) {
                self.count(*number, nodes as u64);
            }
        };
        let mut above = Above::default();
        for place in self.tree.places_counted(block.scope, parent, count) {
            if block.when.is_some_and(|when| !self.tree.test(when, place)) {
                continue;
            }
            let operation = self.operation(block, place);
            match (self.row(block, place, operation, &mut above, answer), block.refuses) {
                (Ok(()), _) => (),
                (Err(refusal), Refuses::Row) => {
                    above = Above::default();
                    answer.refuse_row(block.output as usize, refusal);
                }
                (Err(refusal), Refuses::Record) => return Err(refusal),
            }
            for inner in &block.blocks {
                self.block(inner, place, answer)?;
            }
        }
        Ok(())
    }

    /// The strongest that holds: an erased copy is erased, whatever else it lacks.
    fn operation(&self, block: &Block, place: Place) -> Operation {
        let holds = |toggle| match toggle {
            Toggle::Never => false,
            Toggle::Always => true,
            Toggle::When(condition) => self.tree.test(condition, place),
        };
        if holds(block.delete) {
            Operation::Delete
        } else if holds(block.stub) {
            Operation::Stub
        } else if holds(block.partial) {
            Operation::Patch
        } else {
            Operation::Upsert
        }
    }

    /// The nodes of a path, counted.
    #[inline]
    fn nodes(&self, path: Path, place: Place) -> Selected<'_> {
        let nodes = self.tree.select(path.select, place);
        self.hit(path, nodes.clone().count() as u64);
        nodes
    }

    #[inline]
    fn hit(&self, path: Path, nodes: u64) {
        if path.counted {
            self.count(path.number, nodes);
        }
    }

    #[inline]
    fn count(&self, number: u32, nodes: u64) {
        let hits = &self.notes.hits[number as usize];
        hits.set(hits.get() + nodes);
    }
}
