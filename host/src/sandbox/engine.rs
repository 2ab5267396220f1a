//! The engine: how every plugin is compiled and run, one a process.
//!
//! Owns wasmtime's settings, the pool of instances and the cache of compiled code. It loads components; what they may
//! use is in [`Limits`], and calling them is `plugin`'s work.
//!
//! Time is bounded by fuel, which is counted exactly and so decides verdicts. The clock only protects the
//! thread, should fuel last too long: a call that it stops is repeated, and then reported as a fault of the host.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component as Compiled, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig};

use super::bindings::{EXPORTS, ExtractorPre, LOG, TYPES};
use super::cache::{Cache, CacheError};
use super::component::Component;
use super::instance::{self, Instance, State, Stop};
use super::limits::{
    CORE_INSTANCES_MAX, Limits, MEMORIES_MAX, MEMORY_BYTES_CEILING, STACK_BYTES_MAX, TABLE_ELEMENTS_CEILING, TABLES_MAX,
};
use super::text::clean;
use super::{PluginLoadError, compile};

/// The argument under which the host's own program compiles: see [`EngineSettings::compiler`].
pub const COMPILE_COMMAND: &str = "compile-component";
/// Bytes of a memory that stay mapped between calls and are zeroed by hand: page faults cost more.
const MEMORY_BYTES_RESIDENT: usize = 4 << 20;
/// Bytes of a call's stack that are left to the host, for what it does on behalf of a guest.
const HOST_STACK_BYTES: usize = 1 << 20;
/// Bytes of an instance's own tables and globals: room for 20,000 functions.
const INSTANCE_BYTES_MAX: usize = 4 << 20;

/// How long a thread waits for a call before it takes the machine for stuck.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For any call.
    pub base: Duration,
    /// And a second more for so much fuel. Fuel burns at 500 to 1,000 million a second on a machine of today.
    pub fuel_per_second: u64,
}

impl Default for Patience {
    /// 30 s, and a speed twenty times slower than usual: fuel runs out long before.
    fn default() -> Self {
        Self { base: Duration::from_secs(30), fuel_per_second: 25_000_000 }
    }
}

impl Patience {
    /// How long a call with `fuel` may take.
    pub(super) fn of(self, fuel: u64) -> Duration {
        self.base.saturating_add(Duration::from_secs(fuel / self.fuel_per_second.max(1)))
    }
}

/// What an engine is told.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The folder of compiled components; made, for this user alone, where it is missing.
    pub cache: PathBuf,
    /// Instances alive at once; further calls wait. One for each worker thread is right.
    pub instances: u32,
    /// The program that compiles, with its first arguments. It must call [`super::compile_child`] and exit with what
    /// that returns. The host's own program does under [`COMPILE_COMMAND`].
    pub compiler: Vec<OsString>,
    /// When a call is taken for stuck.
    pub patience: Patience,
}

impl EngineSettings {
    /// Settings under which this very program compiles.
    pub fn new(cache: PathBuf, instances: u32) -> io::Result<Self> {
        let compiler = vec![std::env::current_exe()?.into(), COMPILE_COMMAND.into()];
        Ok(Self { cache, instances, compiler, patience: Patience::default() })
    }
}

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The cache folder is not fit for it.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The machine lacks what the engine needs, most often address space.
    #[error("failed to start the WebAssembly engine with {instances} instances: {message}")]
    Engine {
        /// What was asked for.
        instances: u32,
        /// Why.
        message: String,
    },
}

/// Compiles and runs plugins. One a process; clones share it.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

pub(super) struct Shared {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    cache: Cache,
    compiler: Vec<OsString>,
    slots: Slots,
    pub(super) patience: Patience,
}

impl Engine {
    /// Starts the engine.
    pub fn new(settings: EngineSettings) -> Result<Self, EngineError> {
        let instances = settings.instances.max(1);
        let failed = |error: wasmtime::Error| EngineError::Engine { instances, message: format!("{error:#}") };
        let mut config = config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
        let engine = wasmtime::Engine::new(&config).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        instance::link(&mut linker).map_err(failed)?;
        let mut compatibility = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut compatibility);
        let cache = Cache::open(&settings.cache, compatibility.finish())?;
        Ok(Self(Arc::new(Shared {
            engine,
            linker,
            cache,
            compiler: settings.compiler,
            slots: Slots { free: Mutex::new(instances), freed: Condvar::new() },
            patience: settings.patience,
        })))
    }

    /// Makes a component ready to be called: checks its bytes, compiles it or finds it in the cache, checks what it
    /// imports, exports and needs, and starts it once.
    ///
    /// Runs for as long as a compiler does; call it from a thread that may block.
    pub fn load(&self, wasm: &[u8], limits: &Limits) -> Result<Component, PluginLoadError> {
        compile::check_bytes(wasm, limits)?;
        let digest: [u8; 32] = Sha256::digest(wasm).into();
        let cached = self.0.cache.get(&digest).and_then(|code| self.0.deserialize(&code).ok());
        let compiled = match cached {
            Some(compiled) => compiled,
            None => {
                let code = compile::compile(&self.0.compiler, wasm, &self.0.cache.temporary(), limits)?;
                let compiled = self.0.deserialize(&code).map_err(host)?;
                // A cache that cannot be written costs time, nothing else.
                if let Err(error) = self.0.cache.put(&digest, &code) {
                    tracing::warn!(%error, "failed to keep a compiled plugin");
                }
                compiled
            }
        };
        self.0.check_world(&compiled)?;
        let pre = self.0.linker.instantiate_pre(&compiled).map_err(|error| contract(&error))?;
        let pre = ExtractorPre::new(pre).map_err(|error| contract(&error))?;
        let _slot = self.0.slot();
        match Instance::start(&pre, limits, limits.descriptor_bytes, limits.startup_fuel, self.0.patience) {
            Ok(_) => Ok(Component::new(self.0.clone(), pre, digest)),
            Err(Stop::Guest(failure)) => Err(PluginLoadError::Start { code: failure.code, message: failure.message }),
            Err(Stop::Deadline) => Err(PluginLoadError::Host { message: "starting it took too long".to_owned() }),
            Err(Stop::Host(error)) => Err(host(error)),
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("cache", &self.0.cache).finish_non_exhaustive()
    }
}

impl Shared {
    /// Waits for a free instance.
    pub(super) fn slot(&self) -> Slot<'_> {
        let free = self.slots.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.slots.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Slot(&self.slots)
    }

    #[expect(unsafe_code, reason = "wasmtime cannot know where the code comes from")]
    fn deserialize(&self, code: &[u8]) -> wasmtime::Result<Compiled> {
        // SAFETY: the code was written by `compile_child` under this engine's settings, and came from our child
        // or from the cache, whose folder only this user can write to and whose checksum fits.
        unsafe { Compiled::deserialize(&self.engine, code) }
    }

    /// Names every import that the host does not offer and every export that is missing.
    fn check_world(&self, compiled: &Compiled) -> Result<(), PluginLoadError> {
        let imports: Vec<_> = compiled
            .component_type()
            .imports(&self.engine)
            .map(|(name, _)| clean(name))
            .filter(|name| name != LOG && name != TYPES)
            .collect();
        if !imports.is_empty() {
            return Err(PluginLoadError::Imports { found: imports });
        }
        let missing: Vec<_> =
            EXPORTS.into_iter().filter(|name| compiled.get_export_index(None, name).is_none()).collect();
        if !missing.is_empty() {
            return Err(PluginLoadError::Exports { missing });
        }
        Ok(())
    }
}

fn contract(error: &wasmtime::Error) -> PluginLoadError {
    PluginLoadError::Contract { message: clean(&format!("{error:#}")) }
}

fn host(error: wasmtime::Error) -> PluginLoadError {
    PluginLoadError::Host { message: format!("{error:#}") }
}

/// How code is compiled and run; the same in the host and in the child that compiles.
///
/// Deterministic, and no larger than a plugin needs: what a proposal adds, an attacker may use. Threads, garbage
/// collection and exceptions are not even built in.
pub(super) fn config() -> Config {
    let mut cost = OperatorCost::new();
    // A page costs some microseconds to map and to zero; the most that can be said is 255 + 255 fuel.
    cost.MemoryGrow = u8::MAX;
    cost.variable.memory_grow_per_page = u8::MAX;
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .operator_cost(cost)
        .max_wasm_stack(STACK_BYTES_MAX)
        .async_stack_size(STACK_BYTES_MAX + HOST_STACK_BYTES)
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_gc(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_simd(true)
        .wasm_relaxed_simd(false)
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        .wasm_backtrace_max_frames(None)
        .debug_info(false);
    config
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(instances.saturating_mul(MEMORIES_MAX))
        .total_tables(instances.saturating_mul(TABLES_MAX))
        .total_stacks(instances)
        .async_stack_keep_resident(64 << 10)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_memory_size(MEMORY_BYTES_CEILING as usize)
        .table_elements(TABLE_ELEMENTS_CEILING as usize)
        .linear_memory_keep_resident(MEMORY_BYTES_RESIDENT)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Counts instances, so that nobody finds the pool empty.
struct Slots {
    free: Mutex<u32>,
    freed: Condvar,
}

/// The right to one instance.
pub(super) struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
