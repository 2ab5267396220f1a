//! The reference: the same Bronze, given to hosts that nothing befalls.
//!
//! Batches come in the order that a Silver table recorded, under the mappings in force at each; where they are cut does not
//! matter, so that as many as possible come as one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::compute::concat_batches;
use object_store::memory::InMemory;
use serde_json::Value;
use silversmith::lake::Lake;
use silversmith::pipeline::{self, Inputs, Observer, Settings, Stop};
use silversmith::position::Span;
use silversmith::record::{self, Batch};
use silversmith::registry::tenant::SourceSettings;
use silversmith::source::files::Reading;
use silversmith::source::{BatchBounds, Next, Progress, Source, SourceError, Stake};

use super::clock::SimulatedWorld;
use super::dice::Dice;
use super::oracle::Received;
use super::stage::{Stage, url};
use crate::inside::Unwatched;

/// What is still to be given: whoever's source is first is next.
type Queue = Arc<Mutex<VecDeque<Batch>>>;

#[derive(Debug)]
struct Replay(Queue);

struct Replayed {
    name: String,
    queue: Queue,
}

/// A lake into which `received` went in this order.
pub(super) async fn replay(stage: &Stage<'_>, received: &[&Received]) -> Lake {
    let world = SimulatedWorld::new(&stage.shared.clock, 0, Dice::new(0));
    let lake = Lake::over(Arc::new(InMemory::new()), url(), Arc::new(world));
    let mut given = BTreeMap::new();
    for same in received.chunk_by(|a, b| a.generation == b.generation) {
        let runs = same.chunk_by(|a, b| a.batch.source == b.batch.source);
        let queue = runs.map(|run| merged(run, given.entry(run[0].batch.source.clone()).or_default())).collect();
        let settings = Settings { records_max: None, fold_every: Duration::MAX, follow: None };
        let inputs = Arc::new(Replay(Arc::new(Mutex::new(queue))));
        let host = stage.props.host(lake.clone(), inputs, Stop::default(), settings);
        let tenant = stage.props.tenant(stage.shared.options.sources, same[0].generation);
        let observer: Arc<dyn Observer> = Arc::new(Unwatched);
        for report in pipeline::run(&host, vec![Arc::clone(tenant)], &observer).await {
            if let Some(error) = &report.error {
                panic!("the reference stopped: {error:?}");
            }
        }
    }
    lake
}

/// One batch of all records of `run`, of which the source has given `given` before.
fn merged(run: &[&Received], given: &mut i64) -> Batch {
    let source = run[0].batch.source.clone();
    let records = concat_batches(&record::SCHEMA, run.iter().map(|received| &received.batch.records));
    let records = records.expect("batches have one schema");
    let first = *given;
    *given += records.num_rows() as i64;
    let span = Span { app_id: format!("replayed/{source}"), first, last: *given - 1 };
    Batch::new(source, vec![span], Value::Null, records)
}

impl Inputs for Replay {
    fn open(&self, _: &str, settings: &SourceSettings, _: Reading) -> Box<dyn Source> {
        Box::new(Replayed { name: settings.name.clone(), queue: Arc::clone(&self.0) })
    }
}

impl Source for Replayed {
    fn resume(&mut self, _: &Progress) -> Result<(), SourceError> {
        Ok(())
    }

    fn next(&mut self, _: BatchBounds) -> Result<Next, SourceError> {
        let mut queue = self.queue.lock().expect("nobody panics while holding the queue");
        Ok(match queue.front().map(|batch| batch.source == self.name) {
            Some(true) => Next::Batch(queue.pop_front().expect("there is a first")),
            Some(false) => Next::Nothing,
            None => Next::Ended,
        })
    }

    fn place(&mut self, _: &BTreeMap<String, i64>) -> Result<(), SourceError> {
        Ok(())
    }

    fn is_unplaced(&self) -> bool {
        false
    }

    fn stake(&self) -> Option<Stake> {
        None
    }

    fn acknowledge(&mut self, _: &[Span]) {}

    fn summary(&self) -> Value {
        Value::Null
    }

    fn measure(&self) -> Option<(u64, u64)> {
        None
    }
}
