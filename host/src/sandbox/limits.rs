//! Limits: how much a plugin may use, and what one record may cost.
//!
//! Every limit is a plain number with a default; there is no "none" and no "unlimited". A tenant states those it
//! wants to change, and `validate --effective` prints them all. This module only does arithmetic; `instance` and
//! `check` enforce.
//!
//! A limit on a call is the [`Budget`] of the smallest record in it, whatever the number of records: a call that
//! stays inside proves that each of its records, alone, would have stayed inside its own. That is why verdicts do
//! not depend on how batches are cut.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest text of a guest that is kept: a message, a reason, an offending value, in bytes. The rest is cut.
pub const TEXT_BYTES_MAX: usize = 1024;

/// Memories that one component may have; `memory_bytes` counts their sum. A toolchain makes one.
pub(super) const MEMORIES_MAX: u32 = 2;
/// Tables that one component may have. A toolchain makes two: its own and the one of its import shims.
pub(super) const TABLES_MAX: u32 = 4;
/// Core instances that one component may have. A toolchain makes three to five, adapters included.
pub(super) const CORE_INSTANCES_MAX: u32 = 16;
/// Live component-model handles of one instance. The contract has no resources, so a guest needs none.
pub(super) const HANDLES_MAX: usize = 64;
/// Stack that WebAssembly may use, in bytes; the calling thread has at least twice as much.
pub(super) const STACK_BYTES_MAX: usize = 512 << 10;
/// The most that `memory_bytes` can say: what the engine reserves for one memory.
pub(super) const MEMORY_BYTES_CEILING: u64 = 1 << 30;
/// The most that `table_elements` can say: what the engine reserves for one table.
pub(super) const TABLE_ELEMENTS_CEILING: u64 = 1 << 17;
/// Fuel that a log line costs, beside one for each byte: what the host spends on it.
pub(super) const LOG_FUEL: u64 = 1_000;

/// What a plugin may use. Fuel is about one for each WebAssembly instruction and one for each byte of a bulk copy,
/// some 500 to 1,000 million a second; it is counted exactly, so the same record always costs the same.
///
/// The defaults admit a FHIR bundle of 3.8 MB with 2,382 entries through the mapping component, and components
/// built from JavaScript and Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fuel for each record. Default 100 million: a call of 256 KiB uses a quarter of it where a plugin parses all
    /// it is given, and a plugin that loops is stopped within 0.2 s.
    pub fuel_base: u64,
    /// Fuel for each byte of the record's payload, on top. Default 1,000: twenty times what a slow JSONPath query
    /// per field costs.
    pub fuel_per_byte: u64,
    /// Fuel to start an instance and to `configure` it, before each call. Default 100 million.
    pub startup_fuel: u64,
    /// Fuel to `describe` a configuration, once at activation. Default 5,000 million: it parses and checks it all.
    pub describe_fuel: u64,
    /// Bytes of memory, summed over the memories of an instance. Default 256 MiB, at most 1 GiB.
    pub memory_bytes: u64,
    /// Elements of tables, summed over the tables of an instance. Default 65,536, at most 131,072: Python's
    /// interpreter has some 10,000 functions in its table.
    pub table_elements: u64,
    /// Bytes that a record's verdict, rows and refusals may take in the host. Default 1 MiB: a usual call of some
    /// hundred small records returns half of it, and a thousand hostile ones cannot fill the host.
    pub output_bytes_base: u64,
    /// Bytes of output for each byte of the record's payload, on top. Default 32.
    pub output_bytes_per_byte: u64,
    /// Rows, refused ones included, that one record may become. Default 100,000.
    pub output_rows_base: u64,
    /// Rows for each KiB of the record's payload, on top. Default 64: a row from every 16 bytes.
    pub output_rows_per_kib: u64,
    /// Bytes that a descriptor, its `prepared` included, may take in the host. Default 64 MiB.
    pub descriptor_bytes: u64,
    /// Log lines kept of one request to the sandbox; more are counted and dropped. Default 64.
    pub log_lines: u64,
    /// Bytes of log kept of one request to the sandbox. Default 8 KiB; a single line is cut at 1 KiB.
    pub log_bytes: u64,
    /// Bytes of a component. Default 32 MiB: one built from Python has 18.5 MB.
    pub component_bytes: u64,
    /// Seconds of processor time to compile a component. Default 60: one built from JavaScript takes 15.
    pub compile_seconds: u64,
    /// Bytes of address space to compile a component. Default 2 GiB: one built from JavaScript takes 0.4 GB.
    pub compile_memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel_base: 100_000_000,
            fuel_per_byte: 1_000,
            startup_fuel: 100_000_000,
            describe_fuel: 5_000_000_000,
            memory_bytes: 256 << 20,
            table_elements: 1 << 16,
            output_bytes_base: 1 << 20,
            output_bytes_per_byte: 32,
            output_rows_base: 100_000,
            output_rows_per_kib: 64,
            descriptor_bytes: 64 << 20,
            log_lines: 64,
            log_bytes: 8 << 10,
            component_bytes: 32 << 20,
            compile_seconds: 60,
            compile_memory_bytes: 2 << 30,
        }
    }
}

/// What one record may cost, or a call whose smallest record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// Fuel of `transform`.
    pub(super) fuel: u64,
    /// Bytes lifted out of the guest.
    pub(super) output_bytes: u64,
    /// Rows and refused rows.
    pub(super) rows: u64,
}

impl Limits {
    /// The budget of a record whose payload has `bytes` bytes.
    pub(super) fn budget(&self, bytes: usize) -> Budget {
        let bytes = bytes as u64;
        Budget {
            fuel: self.fuel_base.saturating_add(self.fuel_per_byte.saturating_mul(bytes)),
            output_bytes: self.output_bytes_base.saturating_add(self.output_bytes_per_byte.saturating_mul(bytes)),
            rows: self.output_rows_base.saturating_add(self.output_rows_per_kib.saturating_mul(bytes) / 1024),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_states_only_what_it_changes() {
        let limits: Limits = serde_json::from_str(r#"{"memory_bytes": 1048576}"#).unwrap();
        assert_eq!(limits, Limits { memory_bytes: 1 << 20, ..Limits::default() });
        assert!(serde_json::from_str::<Limits>(r#"{"memory": 1}"#).unwrap_err().to_string().contains("memory"));
    }

    #[test]
    fn a_budget_grows_with_the_record_and_never_wraps() {
        let limits = Limits { fuel_base: 10, fuel_per_byte: 3, output_rows_base: 1, ..Limits::default() };
        assert_eq!((limits.budget(0).fuel, limits.budget(5).fuel), (10, 25));
        assert_eq!((limits.budget(0).rows, limits.budget(2048).rows), (1, 129));
        assert_eq!(Limits { fuel_per_byte: u64::MAX, ..limits }.budget(2).fuel, u64::MAX);
    }
}
