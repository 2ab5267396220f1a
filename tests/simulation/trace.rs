//! What happened in one simulation: counted, hashed, and the last of it kept for people.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{Display, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

use super::clock::Clock;

/// Events that a failing seed shows.
const SHOWN: usize = 60;

/// Every event of a simulation. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    clock: Clock,
    events: Arc<Mutex<Events>>,
}

#[derive(Debug, Default)]
struct Events {
    hasher: blake3::Hasher,
    last: VecDeque<String>,
    counts: Counts,
}

/// How often things happened, by name.
pub(super) type Counts = BTreeMap<&'static str, u64>;

impl Trace {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), events: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Events> {
        self.events.lock().expect("nobody panics while holding the events")
    }

    /// Notes that something happened to `whom`.
    pub(super) fn note(&self, whom: &str, what: impl Display) {
        let mut line = String::with_capacity(120);
        write!(line, "{:>11.6} {whom} {what}", self.clock.now().as_secs_f64()).expect("text takes text");
        let mut events = self.lock();
        events.hasher.update(line.as_bytes()).update(b"\n");
        if events.last.len() == SHOWN {
            events.last.pop_front();
        }
        events.last.push_back(line);
    }

    /// Counts one more of `what`.
    pub(super) fn count(&self, what: &'static str) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// The hash over all events so far.
    pub(super) fn hash(&self) -> String {
        self.lock().hasher.finalize().to_hex().to_string()
    }

    /// The last events, one a line.
    pub(super) fn last(&self) -> String {
        self.lock().last.iter().map(|line| format!("  {line}\n")).collect()
    }
}
