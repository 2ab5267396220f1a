//! Time that passes only while everything waits for it, and the runtime that runs under it.
//!
//! One thread runs all tasks in an order that only they decide. When none can go on, the clock moves to the moment that
//! the first of them waits for. The runtime has no timer of its own: code that waits by the machine's clock fails.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use silversmith::lake::World;
use uuid::Uuid;

use super::dice::Dice;

/// When a simulation begins, microseconds since the epoch.
const BEGINNING: i64 = 1_780_000_000_000_000;

/// The time since a simulation began. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(Arc<Mutex<Sleepers>>);

#[derive(Debug, Default)]
struct Sleepers {
    now: Duration,
    made: u64,
    /// By the moment that they wait for, then by age.
    waiting: BTreeMap<(Duration, u64), Waker>,
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.0.lock().expect("nobody panics while holding the sleepers")
    }

    pub(super) fn now(&self) -> Duration {
        self.lock().now
    }

    /// Waits for so long; at least until everybody else waits.
    pub(super) fn sleep(&self, time: Duration) -> Sleep {
        self.sleep_until(self.now() + time)
    }

    pub(super) fn sleep_until(&self, moment: Duration) -> Sleep {
        let mut sleepers = self.lock();
        sleepers.made += 1;
        Sleep { clock: self.clone(), at: (moment.max(sleepers.now + Duration::from_micros(1)), sleepers.made) }
    }

    /// Moves on to the first sleeper's moment, and wakes it.
    fn tick(&self) {
        let mut sleepers = self.lock();
        let first = sleepers.waiting.pop_first();
        let ((moment, _), waker) = first.expect("somebody sleeps: the watch over the whole run does to its end");
        sleepers.now = sleepers.now.max(moment);
        drop(sleepers);
        waker.wake();
    }

    /// Runs `future` to its end, and all that it spawns as far as that comes by then.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let clock = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(move || clock.tick()).build();
        runtime.expect("a runtime without drivers takes nothing").block_on(future)
    }
}

/// Waits for a moment.
#[derive(Debug)]
pub(super) struct Sleep {
    clock: Clock,
    at: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut sleepers = self.clock.lock();
        if sleepers.now >= self.at.0 {
            return Poll::Ready(());
        }
        sleepers.waiting.insert(self.at, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.lock().waiting.remove(&self.at);
    }
}

/// The world of one host: its own idea of the time, and names that the seed gives.
#[derive(Debug)]
pub(super) struct SimulatedWorld {
    clock: Clock,
    /// Microseconds by which its clock is wrong.
    skew: i64,
    names: Dice,
}

impl SimulatedWorld {
    /// Its names come from `names`, which nothing else may use.
    pub(super) fn new(clock: &Clock, skew: i64, names: Dice) -> Self {
        Self { clock: clock.clone(), skew, names }
    }
}

impl World for SimulatedWorld {
    fn now(&self) -> i64 {
        BEGINNING + self.skew + self.clock.now().as_micros() as i64
    }

    fn unique(&self) -> Uuid {
        Uuid::from_u64_pair(self.names.roll(), self.names.roll())
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(time).boxed()
    }
}
