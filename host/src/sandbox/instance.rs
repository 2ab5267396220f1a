//! One live instance: started, called once, thrown away.
//!
//! A store serves one call. It is dropped after it, trap or not, so nothing that a guest did can reach another
//! call. Everything that can go wrong inside is sorted here into what the guest did ([`Failure`]), what the
//! clock did and what the host did; only the first becomes a verdict.
//!
//! A guest hands control back after so much fuel, and then the clock is looked at. Wasmtime's own interruption, by
//! epochs, does the same with a second test beside that of the fuel in every loop and function, for a tenth of a
//! mapping's time.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use wasmtime::component::{Linker, WasmStr};
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, StoreContextMut, Trap};

use super::bindings::{Extractor, ExtractorPre, LOG, Level};
use super::bisect::{Blame, Failure};
use super::engine::Patience;
use super::limits::{HANDLES_MAX, LOG_FUEL, Limits, MEMORIES_MAX, TABLES_MAX};
use super::text::clean;
use super::{LogLevel, LogLine};

/// What a store knows: what its guest used and said.
pub(super) struct State {
    meter: Meter,
    log: Log,
}

/// Why a call gave no answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// The guest failed; the same call fails again, anywhere.
    Guest(Failure),
    /// The deadline passed, which says nothing about the guest.
    Deadline,
    /// The host failed.
    Host(wasmtime::Error),
}

/// Fuel after which a guest hands control back: some 10 ms, and some 100 ns for doing so.
const FUEL_TURN: u64 = 10_000_000;

/// The end of a call's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

/// A call took too long.
#[derive(Debug, thiserror::Error)]
#[error("the call did not end in time")]
struct Elapsed;

impl Deadline {
    fn of(patience: Patience, fuel: u64) -> Self {
        Self(Instant::now().checked_add(patience.of(fuel)))
    }

    /// Runs what a guest does on this thread, to its end or until time is up.
    pub(super) fn run<T>(self, guest: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
        let (mut guest, mut context) = (pin!(guest), Context::from_waker(Waker::noop()));
        loop {
            match guest.as_mut().poll(&mut context) {
                Poll::Ready(done) => return done,
                Poll::Pending if self.0.is_some_and(|end| end <= Instant::now()) => return Err(Elapsed.into()),
                Poll::Pending => {}
            }
        }
    }
}

/// An instance that has not been called yet.
pub(super) struct Instance {
    store: Store<State>,
    extractor: Extractor,
    spent: u64,
}

/// What an instance used, when it is over.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Fuel, starting included.
    pub(super) fuel: u64,
    /// What it said.
    pub(super) log: Vec<LogLine>,
    /// Lines over the limits.
    pub(super) log_dropped: u64,
}

impl Instance {
    /// Starts an instance with `fuel` for its start functions; `output_bytes` is what a call may lift.
    pub(super) fn start(
        pre: &ExtractorPre<State>,
        limits: &Limits,
        output_bytes: u64,
        fuel: u64,
        patience: Patience,
    ) -> Result<Self, Stop> {
        let state = State {
            meter: Meter {
                memory: Gauge { name: "memory_bytes", used: 0, most: limits.memory_bytes },
                table: Gauge { name: "table_elements", used: 0, most: limits.table_elements },
            },
            log: Log { lines: Vec::new(), dropped: 0, most: limits.log_lines, room: limits.log_bytes },
        };
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.meter);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_hostcall_fuel(usize::try_from(output_bytes).unwrap_or(usize::MAX));
        store.set_fuel(fuel).map_err(Stop::Host)?;
        store.fuel_async_yield_interval(Some(FUEL_TURN)).map_err(Stop::Host)?;
        match Deadline::of(patience, fuel).run(pre.instantiate_async(&mut store)) {
            Ok(extractor) => {
                let left = store.get_fuel().map_err(Stop::Host)?;
                Ok(Self { store, extractor, spent: fuel - left })
            }
            Err(error) => Err(sort(error, &Allowed { fuel, output_bytes }, Blame::Plugin)),
        }
    }

    /// Runs `call` with `fuel`, until the deadline that it is given. A failure is blamed on `blame`.
    pub(super) fn run<T>(
        &mut self,
        fuel: u64,
        patience: Patience,
        blame: Blame,
        call: impl FnOnce(&Extractor, &mut Store<State>, Deadline) -> wasmtime::Result<T>,
    ) -> Result<T, Stop> {
        self.store.set_fuel(fuel).map_err(Stop::Host)?;
        let result = call(&self.extractor, &mut self.store, Deadline::of(patience, fuel));
        self.spent += fuel - self.store.get_fuel().map_err(Stop::Host)?;
        let output_bytes = self.store.hostcall_fuel() as u64;
        result.map_err(|error| sort(error, &Allowed { fuel, output_bytes }, blame))
    }

    /// Fuel used so far.
    pub(super) fn spent(&self) -> u64 {
        self.spent
    }

    /// Ends the instance and says what it used.
    pub(super) fn end(self) -> Used {
        let log = self.store.into_data().log;
        Used { fuel: self.spent, log: log.lines, log_dropped: log.dropped }
    }
}

/// What a call was allowed, for the message.
struct Allowed {
    fuel: u64,
    output_bytes: u64,
}

/// Sorts what ended a call.
fn sort(error: wasmtime::Error, allowed: &Allowed, blame: Blame) -> Stop {
    let guest = |code, message| Stop::Guest(Failure { code, message, blame });
    if error.is::<Elapsed>() {
        return Stop::Deadline;
    }
    if let Some(over) = error.downcast_ref::<OverLimit>() {
        return guest("memory", over.to_string());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return guest("fuel", format!("used more than {} fuel", allowed.fuel)),
        Some(trap) => return guest("trap", trap.to_string()),
        None => {}
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return Stop::Host(error);
    }
    // Wasmtime keeps the type of this one to itself; a test holds us to its text.
    let cause = error.root_cause().to_string();
    if cause.contains("fuel allocated for hostcalls has been exhausted") {
        return guest("output_bytes", format!("returned more than {} bytes", allowed.output_bytes));
    }
    guest("bad_answer", clean(&cause))
}

/// Offers the one import, `log`.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(LOG)?.func_wrap(
        "log",
        |mut store: StoreContextMut<'_, State>, (level, message): (Level, WasmStr)| {
            if !store.data_mut().log.admits() {
                return charge(&mut store, LOG_FUEL);
            }
            let (length, line) = {
                let message = message.to_str(&store)?;
                (message.len() as u64, clean(&message))
            };
            charge(&mut store, LOG_FUEL + length)?;
            let level = match level {
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
                Level::Error => LogLevel::Error,
            };
            store.data_mut().log.push(LogLine { level, message: line });
            Ok(())
        },
    )
}

/// Takes fuel for what the host does on behalf of the guest.
fn charge(store: &mut StoreContextMut<'_, State>, fuel: u64) -> wasmtime::Result<()> {
    match store.get_fuel()?.checked_sub(fuel) {
        Some(left) => store.set_fuel(left),
        None => {
            store.set_fuel(0)?;
            Err(Trap::OutOfFuel.into())
        }
    }
}

/// The log of one instance.
struct Log {
    lines: Vec<LogLine>,
    dropped: u64,
    most: u64,
    room: u64,
}

impl Log {
    /// Whether one more line may be kept; counts it as dropped where not.
    fn admits(&mut self) -> bool {
        let open = (self.lines.len() as u64) < self.most && self.room > 0;
        self.dropped += u64::from(!open);
        open
    }

    fn push(&mut self, mut line: LogLine) {
        let room = usize::try_from(self.room).unwrap_or(usize::MAX);
        line.message.truncate(line.message.floor_char_boundary(room));
        self.room -= (line.message.len() as u64).min(self.room);
        self.lines.push(line);
    }
}

/// Memory and tables of one instance.
struct Meter {
    memory: Gauge,
    table: Gauge,
}

/// A sum with a bound.
struct Gauge {
    name: &'static str,
    used: u64,
    most: u64,
}

/// More memory was asked for than the plugin may have.
#[derive(Debug, thiserror::Error)]
#[error("needs more than {most} of `{name}`")]
struct OverLimit {
    name: &'static str,
    most: u64,
}

impl Gauge {
    /// Takes the growth from `current` to `desired`.
    ///
    /// Over the limit it ends the call: telling the guest instead would let it answer something else for the same
    /// record in a larger batch.
    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        self.used = self.used.saturating_add(desired.saturating_sub(current) as u64);
        if self.used > self.most {
            return Err(OverLimit { name: self.name, most: self.most }.into());
        }
        Ok(true)
    }

    /// The engine could not grow although the limit allows it: its reserve is smaller, or the machine has no more.
    fn refused(&self) -> wasmtime::Error {
        OverLimit { name: self.name, most: self.most }.into()
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory.grow(current, desired)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Err(self.memory.refused())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.table.grow(current, desired)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Err(self.table.refused())
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }
}
