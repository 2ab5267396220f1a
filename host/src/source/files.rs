//! Files as a source: NDJSON files, and documents of one record each.
//!
//! Owns which file is next, where a batch is cut, and what a file that is not as it was left means. What was read
//! and how far is in the evidence of the Bronze commits, by path: a file that Bronze does not know is new whatever
//! its name, one that grew is read on, and one whose consumed part is not what it was halts the source.
//!
//! What is a record, and what becomes of the rest:
//!
//! | found | outcome |
//! |---|---|
//! | a line | a record without its line end, `\n` or `\r\n`; byte for byte otherwise |
//! | an empty line | no record; it counts as a line |
//! | a last line without a line end | a record when reading once; waits for its end when following |
//! | more behind such a record | its line end and further lines are read on; anything else halts |
//! | a document | one record, byte for byte; an empty one too |
//! | a record over [`RECORD_BYTES_MAX`] | halts |
//! | gzip or zstd, told by its first bytes | its decompressed content, all members or frames |
//! | an archive that is cut off or corrupt | the records before the damage, then halts until it is whole |
//! | a file that grows while it is read | read up to where it ended when it was opened, to the end of that line |
//! | a document younger than 2 s when following | waits; one that changes while it is read is tried again |
//! | a file that shrank or changed | halts |
//! | a file that is gone | nothing more to do if it was read to its end, else halts |
//! | a file that was renamed or copied | new |
//! | a link | followed below the source's folder; out of it, or in a loop, halts |
//! | a name that starts with a dot | left out |
//! | a file that cannot be read | an error that may be tried again, after the batch before it |
//!
//! Files that are known together are read in byte order of their paths, so the same files give the same order.

mod discover;
mod ledger;
mod reader;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;

use tracing::warn;

pub use self::discover::{Pattern, PatternError};
use self::discover::{ScanError, scan};
use self::ledger::{Consumed, Evidence, Facts, Reached};
use self::reader::{Manner, ReadError, Reader};
use super::{BatchBounds, Next, Progress, Source, SourceError, Stake};
use crate::position::Span;
use crate::record::{BATCH_BYTES_MAX, BatchBuilder, Received};

/// The most bytes that a record may have; half of what a batch may have, so that it always fits.
pub const RECORD_BYTES_MAX: usize = 512 << 20;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One record a line.
    Lines,
    /// One record.
    Documents,
}

/// When the input ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// With the files that are there at the start, each as long as it is when its turn comes.
    Once,
    /// Never: after the last file, each call looks for new ones and for growth.
    Following,
}

/// A files source.
#[derive(Debug)]
pub struct Files {
    name: String,
    root: PathBuf,
    patterns: Vec<Pattern>,
    manner: Manner,
    schema_version: Option<String>,
    /// All files that were touched ever.
    ledger: BTreeMap<String, Known>,
    /// The files that may hold something new.
    queue: VecDeque<(String, Facts)>,
    /// The first of the queue, while it is read.
    open: Option<Reader>,
    /// The accounts that changed since the last batch.
    touched: BTreeSet<String>,
    /// The running number of the next record.
    next: i64,
    /// What ended the last batch early.
    failed: Option<SourceError>,
    /// Bytes on disk at the last scan, and how many of them lie in files that are done.
    size: u64,
    done: u64,
}

#[derive(Debug)]
struct Known {
    consumed: Consumed,
    /// The facts at which this process left the file.
    seen: Option<Facts>,
}

impl Files {
    /// The source `name`: the files below `root` that one of the patterns selects.
    ///
    /// `schema_version` is what the source declares for all its records.
    pub fn new(
        name: &str,
        root: PathBuf,
        patterns: Vec<Pattern>,
        shape: Shape,
        reading: Reading,
        schema_version: Option<String>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            root,
            patterns,
            manner: Manner { shape, reading, record_bytes_max: RECORD_BYTES_MAX },
            schema_version,
            ledger: BTreeMap::new(),
            queue: VecDeque::new(),
            open: None,
            touched: BTreeSet::new(),
            next: 0,
            failed: None,
            size: 0,
            done: 0,
        }
    }

    fn halted(&self, message: String) -> SourceError {
        SourceError::Halted { source_name: self.name.clone(), message }
    }

    fn io(&self, what: &str, source: io::Error) -> SourceError {
        SourceError::Io { what: what.to_owned(), source_name: self.name.clone(), source }
    }

    /// Lists the files and queues those that may hold something new.
    fn scan(&mut self) -> Result<(), SourceError> {
        let found = scan(&self.root, &self.patterns).map_err(|error| match error {
            ScanError::Io { path, source } => self.io(&format!("`{}`", path.display()), source),
            ScanError::Refused(message) => self.halted(message),
        })?;
        for (path, known) in &self.ledger {
            if known.consumed.reached == Reached::Middle && !found.contains_key(path) {
                return Err(self.halted(gone(path, &known.consumed)));
            }
        }
        self.size = found.values().map(|facts| facts.size).sum();
        self.queue = found.into_iter().filter(|(path, facts)| self.may_hold_more(path, facts)).collect();
        self.done = self.size - self.queue.iter().map(|(_, facts)| facts.size).sum::<u64>();
        Ok(())
    }

    fn may_hold_more(&self, path: &str, facts: &Facts) -> bool {
        match (self.ledger.get(path), self.manner.shape, self.manner.reading) {
            (Some(known), ..) => {
                let exhausted = match known.consumed.reached {
                    Reached::Middle => false,
                    Reached::Partial => self.manner.reading == Reading::Following,
                    Reached::End | Reached::Unterminated => true,
                };
                !(exhausted && known.consumed.facts == Some(*facts)) && known.seen != Some(*facts)
            }
            (None, Shape::Lines, _) => facts.size > 0,
            // A document has no end that could be waited for but its writer's silence.
            (None, Shape::Documents, Reading::Following) => facts.settled(),
            (None, Shape::Documents, Reading::Once) => true,
        }
    }

    /// The first file of the queue, open; none where there is no file left.
    fn current(&mut self) -> Result<Option<(String, Reader)>, SourceError> {
        while let Some((path, _)) = self.queue.front() {
            let path = path.clone();
            if let Some(reader) = self.open.take() {
                return Ok(Some((path, reader)));
            }
            let known = self.ledger.get(&path);
            let consumed = known.map(|known| &known.consumed);
            match Reader::open(&self.root.join(&path), consumed, known.and_then(|known| known.seen), self.manner) {
                Ok(reader) => return Ok(Some((path, reader))),
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    if let Some(consumed) = consumed.filter(|consumed| consumed.reached == Reached::Middle) {
                        return Err(self.halted(gone(&path, consumed)));
                    }
                    warn!(source = self.name, file = path, "a file went away before it was read");
                    self.leave();
                }
                Err(error) => return Err(self.judge(&path, error)),
            }
        }
        Ok(None)
    }

    /// Removes the first file of the queue.
    fn leave(&mut self) {
        self.done += self.queue.pop_front().map_or(0, |(_, facts)| facts.size);
    }

    /// Adds records until the batch is full or there are none for now.
    fn fill(&mut self, batch: &mut BatchBuilder, bounds: BatchBounds) -> Result<(), SourceError> {
        let bytes_max = bounds.bytes_max.min(BATCH_BYTES_MAX);
        while let Some((path, mut reader)) = self.current()? {
            let ended = loop {
                let line = match reader.peek() {
                    Ok(Some(line)) => line,
                    Ok(None) => break Ok(true),
                    Err(error) => break Err(error),
                };
                let fits = batch.len() < bounds.records_max && batch.payload_bytes() + line.payload.len() <= bytes_max;
                if !fits && !batch.is_empty() {
                    break Ok(false);
                }
                batch.push(&Received {
                    payload: Some(line.payload),
                    offset: self.next,
                    file: Some(&path),
                    line: line.number,
                    schema_version: self.schema_version.as_deref(),
                    ..Received::default()
                });
                self.next += 1;
                reader.advance();
            };
            self.note(&path, &mut reader);
            match ended {
                Ok(true) => self.leave(),
                Ok(false) => {
                    self.open = Some(reader);
                    return Ok(());
                }
                Err(error) => return Err(self.judge(&path, error)),
            }
        }
        Ok(())
    }

    /// Takes over the account of a file.
    fn note(&mut self, path: &str, reader: &mut Reader) {
        let (consumed, facts) = reader.account();
        let known = self.ledger.get(path).map(|known| &known.consumed);
        // A file of which nothing was consumed is not known: it may still become anything.
        if known.map_or(consumed.bytes > 0 || consumed.lines > 0, |known| *known != consumed) {
            self.touched.insert(path.to_owned());
            self.ledger.insert(path.to_owned(), Known { consumed, seen: Some(facts) });
        } else if let Some(known) = self.ledger.get_mut(path) {
            known.seen = Some(facts);
        }
    }

    /// What an error of a reader means for the source.
    fn judge(&self, path: &str, error: ReadError) -> SourceError {
        let consumed = self.ledger.get(path).map(|known| &known.consumed);
        let bytes = consumed.map_or(0, |consumed| consumed.bytes);
        let lines = consumed.map_or(0, |consumed| consumed.lines);
        self.halted(match error {
            ReadError::Io(error) => return self.io(&format!("file `{path}`"), error),
            ReadError::Damaged { good, reason } => format!(
                "archive `{path}` is damaged or cut off after {good} bytes decompressed ({reason}), expected it to be whole; \
                 {lines} lines of it are in Bronze: put the whole archive in its place, and reading goes on behind them"
            ),
            ReadError::Shrank { bytes: found } => format!(
                "file `{path}` ends after {found} bytes, expected the {bytes} that were read; \
                 put it back as it was, or remove it and give new content a new name"
            ),
            ReadError::Changed => format!(
                "file `{path}` is not what it was in its first {bytes} bytes, expected the content that was read; \
                 put it back as it was, or remove it and give new content a new name"
            ),
            ReadError::Continued => match self.manner.shape {
                Shape::Lines => format!(
                    "file `{path}` goes on in the middle of line {lines}, which was read as its last, expected a line end behind \
                     byte {bytes}; put it back as it was, give the whole line a file of its own, or follow the source while it is written"
                ),
                Shape::Documents => format!(
                    "document `{path}` has more than the {bytes} bytes that were read, expected it to stay as it was; \
                     put it back as it was, and give the new document a new name"
                ),
            },
            ReadError::TooLarge { line } => format!(
                "the record at line {line} of file `{path}` has more than {} bytes, which is the maximum; \
                 split it, or take it out of the file",
                self.manner.record_bytes_max
            ),
        })
    }
}

fn gone(path: &str, consumed: &Consumed) -> String {
    format!(
        "file `{path}` is gone and was read only up to byte {}, line {}, expected it to stay until it was read to its end; put it back",
        consumed.bytes, consumed.lines
    )
}

impl Source for Files {
    fn resume(&mut self, progress: &Progress) -> Result<(), SourceError> {
        self.next = progress.transactions.get(&self.name).map_or(0, |last| last + 1);
        let mut evidenced = 0;
        for evidence in &progress.evidence {
            let evidence: Evidence = serde_json::from_value(evidence.clone()).map_err(|error| {
                self.halted(format!("an account in Bronze cannot be read ({error}), expected one that this version wrote; use the version that wrote it"))
            })?;
            evidenced = evidence.next;
            self.ledger
                .extend(evidence.files.into_iter().map(|(path, consumed)| (path, Known { consumed, seen: None })));
        }
        if evidenced != self.next {
            return Err(self.halted(format!(
                "Bronze holds {} records, and its accounts tell of {evidenced}, expected the same; restore the log of the Bronze table",
                self.next
            )));
        }
        self.scan()?;
        if self.size == 0 && self.queue.is_empty() {
            let patterns: Vec<_> = self.patterns.iter().map(Pattern::to_string).collect();
            warn!(source = self.name, folder = %self.root.display(), files = patterns.join(" "), "no file to read");
        }
        Ok(())
    }

    fn next(&mut self, bounds: BatchBounds) -> Result<Next, SourceError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.queue.is_empty() && self.manner.reading == Reading::Following {
            self.scan()?;
        }
        let first = self.next;
        let left = self.measure().map_or(0, |(size, read)| size.saturating_sub(read));
        let room = bounds.bytes_max.min(BATCH_BYTES_MAX).min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut batch = BatchBuilder::with_capacity(&self.name, room);
        match self.fill(&mut batch, bounds) {
            Err(error) if batch.is_empty() => return Err(error),
            outcome => self.failed = outcome.err(),
        }
        if batch.is_empty() {
            return Ok(match self.manner.reading {
                Reading::Once => Next::Ended,
                Reading::Following => Next::Nothing,
            });
        }
        let touched = std::mem::take(&mut self.touched).into_iter();
        let files = touched.map(|path| (path.clone(), self.ledger[&path].consumed.clone())).collect();
        let span = Span { app_id: self.name.clone(), first, last: self.next - 1 };
        Ok(Next::Batch(batch.finish(vec![span], evidence(self.next, files))))
    }

    /// Never wanted by this source: only another host can have landed its records.
    fn place(&mut self, transactions: &BTreeMap<String, i64>) -> Result<(), SourceError> {
        let found = transactions.get(&self.name).map_or(0, |last| last + 1);
        Err(self.halted(format!(
            "another host landed records of this source, which now are {found}, expected one host for a source of files; \
             stop all but one, and run it again"
        )))
    }

    fn is_unplaced(&self) -> bool {
        false
    }

    fn stake(&self) -> Option<Stake> {
        None
    }

    fn acknowledge(&mut self, _spans: &[Span]) {}

    fn summary(&self) -> serde_json::Value {
        let all = self.ledger.iter();
        evidence(self.next, all.map(|(path, known)| (path.clone(), known.consumed.clone())).collect())
    }

    fn measure(&self) -> Option<(u64, u64)> {
        let current = self.open.as_ref().map_or(0, Reader::bytes_on_disk);
        Some((self.size, self.done + current))
    }
}

fn evidence(next: i64, files: BTreeMap<String, Consumed>) -> serde_json::Value {
    serde_json::to_value(Evidence { next, files }).expect("an account is text and numbers under text keys")
}

#[cfg(test)]
mod tests;
