//! One life of a host: from its start to its end, its crash, or a long sleep in between.
//!
//! A host does nothing to the world but through requests to the store and calls of its sources. So a crash is a request
//! that never returns, and a host that froze is one whose requests all wait.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::clock::Clock;
use super::dice::Dice;
use super::kafka::Kafka;
use super::trace::Trace;

/// What becomes of a host.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It runs until its work is done.
    Runs,
    /// It is asked to stop after some time.
    Stops(Duration),
    /// It is gone at this request.
    Crashes(u64),
    /// It stands still at this request for so long, and does not know.
    Freezes(u64, Duration),
}

/// A running host, as the world sees it.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) name: String,
    /// No other life has it.
    pub(super) number: u64,
    pub(super) fate: Fate,
    clock: Clock,
    dice: Dice,
    trace: Trace,
    kafka: Kafka,
    state: Mutex<State>,
    died: Notify,
}

#[derive(Debug, Default)]
struct State {
    requests: u64,
    dead: bool,
    ended: bool,
    frozen_until: Duration,
}

/// Whether a host lives to see the answer to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Lives,
    Dies,
}

impl Life {
    pub(super) fn new(
        (name, number): (String, u64),
        fate: Fate,
        clock: &Clock,
        dice: &Dice,
        trace: &Trace,
        kafka: &Kafka,
    ) -> Self {
        trace.note(&name, format_args!("starts: {fate:?}"));
        let (clock, dice, trace, kafka) = (clock.clone(), dice.clone(), trace.clone(), kafka.clone());
        Self { name, number, fate, clock, dice, trace, kafka, state: Mutex::default(), died: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding a life")
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    pub(super) fn is_dead(&self) -> bool {
        self.lock().dead
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.lock().frozen_until > self.clock.now()
    }

    /// It has ended by itself.
    pub(super) fn end(&self) {
        self.lock().ended = true;
    }

    /// Whether it is over, whichever way.
    pub(super) fn is_over(&self) -> bool {
        let state = self.lock();
        state.dead || state.ended
    }

    /// Waits until it has crashed.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }

    /// It is gone, and never returns from this.
    pub(super) async fn die(&self) {
        self.lock().dead = true;
        self.trace.note(&self.name, "crashes");
        self.trace.count("crashes");
        self.kafka.expect_silence(self.number, Duration::MAX);
        self.died.notify_one();
        std::future::pending().await
    }

    /// Waits for the turn of a request: a moment, or for ever.
    pub(super) async fn turn(&self) -> After {
        let number = {
            let mut state = self.lock();
            state.requests += 1;
            state.requests
        };
        match self.fate {
            Fate::Freezes(at, time) if at == number => {
                let until = self.clock.now() + time;
                self.lock().frozen_until = until;
                self.trace.note(&self.name, format_args!("freezes for {time:?}"));
                self.trace.count("freezes");
                self.kafka.expect_silence(self.number, until);
            }
            _ => {}
        }
        let time = match self.dice.between(0..20) {
            0 => self.dice.time(100..2_000),
            1..6 => self.dice.time(10..60),
            _ => self.dice.time(0..10),
        };
        self.clock.sleep(time).await;
        while self.is_frozen() {
            let until = self.lock().frozen_until;
            self.clock.sleep_until(until).await;
        }
        if self.is_dead() {
            std::future::pending().await
        }
        match self.fate {
            Fate::Crashes(at) if at == number => {
                if self.dice.happens(500) {
                    self.die().await;
                }
                After::Dies
            }
            _ => After::Lives,
        }
    }
}
