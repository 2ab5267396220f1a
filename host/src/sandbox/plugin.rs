//! A plugin under its configuration: turns the records of a batch into an answer.
//!
//! Cuts a range into calls, runs each in a fresh instance and bisects those that fail. How a range is cut changes
//! what it costs, never what is answered.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bisect::{Blame, Failure, Part, bisect};
use super::check::{Breach, Shape};
use super::component::Component;
use super::input::Input;
use super::limits::{Budget, Limits};
use super::text::clean;
use super::{CallReport, HostFault, answer};
use crate::entity::{Answer, Descriptor, Refusal, Verdict};
use crate::record::Batch;

/// Records in a call, at most. Starting an instance then costs some 50 ns a record.
const CALL_RECORDS_MAX: usize = 1024;
/// Payload bytes in a call, at most, unless one record has more: input, rows and copies stay in the processor's cache,
/// and the call stays far inside the budget of a small record.
const CALL_BYTES_MAX: usize = 256 << 10;

/// A component with its descriptor and its limits.
#[derive(Debug)]
pub struct Plugin {
    component: Component,
    descriptor: Descriptor,
    limits: Limits,
    shape: Shape,
    /// How many records a call takes: fewer after calls that had to be bisected, so that a slow plugin does not
    /// fail first each time.
    call_records: AtomicUsize,
}

impl Plugin {
    pub(super) fn new(component: Component, descriptor: Descriptor, limits: Limits) -> Self {
        let shape = Shape::new(&descriptor);
        Self { component, descriptor, limits, shape, call_records: AtomicUsize::new(CALL_RECORDS_MAX) }
    }

    /// What the plugin said of itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// SHA-256 of the component.
    pub fn digest(&self) -> [u8; 32] {
        self.component.digest()
    }

    /// What it may use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The ranges of `batch` that are one call each: the pieces to hand to workers. An answer to one of them is
    /// never copied together from parts.
    pub fn cut(&self, batch: &Batch) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut start = 0;
        while start < batch.len() {
            let end = self.call_end(batch, start..batch.len());
            ranges.push(start..end);
            start = end;
        }
        ranges
    }

    /// Turns the records `range` of `batch` into rows and verdicts. Record indexes in the answer count from
    /// `range.start`.
    ///
    /// Blocks, for as long as the plugin works. May be called from several threads at once. Records that the
    /// plugin fails on are refused in the answer; an error says that the host failed and nothing is known.
    pub fn transform(&self, batch: &Batch, range: Range<usize>) -> Result<(Answer, CallReport), HostFault> {
        let mut report = CallReport::default();
        let mut answers = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let call = start..self.call_end(batch, start..range.end);
            start = call.end;
            let base = range.start;
            let parts = bisect(call, |records| self.call(batch, base, records, &mut report))?;
            self.learn(&parts);
            answers.extend(parts.into_iter().map(|(records, part)| match part {
                Part::Answered(answer) => answer,
                Part::Refused(failure) => self.refused(records.len(), failure),
            }));
        }
        let answer = answer::concat(answers, &self.descriptor)
            .map_err(|error| HostFault::Answer { records: range.len(), message: error.to_string() })?;
        Ok((answer, report))
    }

    /// Where the call that starts at `range.start` ends.
    fn call_end(&self, batch: &Batch, range: Range<usize>) -> usize {
        let offsets = batch.payloads().value_offsets();
        let most = range.end.min(range.start + self.call_records.load(Ordering::Relaxed));
        let bytes = i64::from(offsets[range.start]) + CALL_BYTES_MAX as i64;
        let fit = offsets[range.start + 1..=most].partition_point(|&end| i64::from(end) <= bytes);
        range.start + fit.max(1)
    }

    /// One call, with the budget of its smallest record.
    fn call(
        &self,
        batch: &Batch,
        base: usize,
        records: Range<usize>,
        report: &mut CallReport,
    ) -> Result<Result<Answer, Failure>, HostFault> {
        report.calls += 1;
        let offsets = &batch.payloads().value_offsets()[records.start..=records.end];
        let smallest = offsets.windows(2).map(|ends| ends[1] - ends[0]).min().unwrap_or_default();
        let budget = self.limits.budget(smallest as usize);
        let input = Input::new(batch, records.clone(), &self.descriptor.properties);
        let patience = self.component.patience();
        let prepared = Some(&self.descriptor.prepared[..]);
        let answered = self.component.call(&self.limits, budget.output_bytes, prepared, report, |instance| {
            instance.run(budget.fuel, patience, Blame::Records, |extractor, store, deadline| {
                input.with(|batch| deadline.run(extractor.call_transform(store, batch)))
            })
        })?;
        Ok(answered.and_then(|answer| match answer {
            Ok(answer) => self.check(answer, records.len(), records.start - base, budget),
            Err(message) => Err(blame("plugin_error", clean(&message))),
        }))
    }

    fn check(
        &self,
        answer: super::bindings::types::SilverBatch,
        records: usize,
        base: usize,
        budget: Budget,
    ) -> Result<Answer, Failure> {
        self.shape.check(answer, records, base, budget.rows).map_err(|breach| match breach {
            Breach::Rule(message) => blame("bad_answer", clean(&message)),
            Breach::Rows { most } => blame("output_rows", format!("returned more than {most} rows")),
        })
    }

    /// Remembers how large a call may be.
    fn learn<A>(&self, parts: &[(Range<usize>, Part<A>)]) {
        let records = match parts {
            // Slowly, because the call that turns out too large is wasted.
            [_] => {
                let records = self.call_records.load(Ordering::Relaxed);
                (records + records / 8 + 1).min(CALL_RECORDS_MAX)
            }
            _ => {
                let answered = |(range, part): &(Range<usize>, Part<A>)| match part {
                    Part::Answered(_) => range.len(),
                    Part::Refused(_) => 1,
                };
                parts.iter().map(answered).max().unwrap_or(1)
            }
        };
        self.call_records.store(records, Ordering::Relaxed);
    }

    fn refused(&self, records: usize, failure: Failure) -> Answer {
        Answer {
            verdicts: vec![Verdict::Refused(Refusal::of_record(failure.code, failure.message)); records],
            path_hits: vec![0; self.descriptor.paths.len()],
            ..Answer::default()
        }
    }
}

fn blame(code: &'static str, message: String) -> Failure {
    Failure { code, message, blame: Blame::Records }
}
