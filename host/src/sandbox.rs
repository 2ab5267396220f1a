//! The sandbox: runs a tenant's plugin on records, and lets nothing of it out unchecked.
//!
//! ```text
//! Engine::load ─► Component::describe ─► Component::plugin ─► Plugin::transform ─► Answer
//!   compile         configuration          descriptor, limits     a fresh instance a call,
//!   (child, cache)  checked once                                  bisected where it fails
//! ```
//!
//! A plugin is a WebAssembly component with one import, `log`. It has no clock, no files and no network, and its
//! fuel is counted exactly, so what it says of a record depends on the record, the plugin, its configuration and
//! the version of host and engine, and on nothing else. A failing plugin is data: [`Plugin::transform`] answers
//! with [`crate::entity::Verdict::Refused`] for the record that it failed on, and returns an error only where
//! the host itself is at fault.
//!
//! | code of a refusal | what happened, to the record alone |
//! |---|---|
//! | `fuel` | more instructions than its budget |
//! | `memory` | more memory or table elements than the limit |
//! | `trap` | a panic, a stack overflow, an access out of bounds |
//! | `plugin_error` | `transform` returned an error |
//! | `bad_answer` | the answer broke a rule of the contract, which the message names |
//! | `output_bytes`, `output_rows` | a larger answer than its budget |
//! | `startup` | the plugin cannot even start or `configure`; every record gets this |
//!
//! Only this module names wasmtime.

mod answer;
mod bindings;
mod bisect;
mod cache;
mod check;
mod compile;
mod component;
mod descriptor;
mod engine;
mod input;
mod instance;
mod limits;
mod plugin;
mod text;

pub use cache::CacheError;
pub use compile::compile_child;
pub use component::{Component, DescribeError};
pub use engine::{COMPILE_COMMAND, Engine, EngineError, EngineSettings, Patience};
pub use limits::{Limits, TEXT_BYTES_MAX};
pub use plugin::Plugin;

use crate::entity::DataType;

/// All that a plugin is told, once, when it is activated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    /// The name of the source whose records will come.
    pub source: String,
    /// The plugin's settings: one JSON object.
    pub settings: String,
    /// The files that the settings name: path as written there, and text.
    pub files: Vec<(String, String)>,
    /// Every entity that this tenant may fill.
    pub entities: Vec<EntityContract>,
}

/// A canonical entity that the tenant may fill.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityContract {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<ContractColumn>,
}

/// A column of a canonical entity as its contract defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct ContractColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// A row without a value here is refused by the host.
    pub required: bool,
    /// The column is part of the business key, in this order.
    pub key: bool,
}

/// How grave a guest finds what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// For the author of the plugin.
    Debug,
    /// Something expected.
    Info,
    /// Something to look at.
    Warn,
    /// Something that failed.
    Error,
}

/// A line that a guest said: cut at [`TEXT_BYTES_MAX`], with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How grave.
    pub level: LogLevel,
    /// What.
    pub message: String,
}

/// What a request to the sandbox used, for metrics and the operator. It may differ from run to run: how many calls
/// were made depends on how the batch was cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallReport {
    /// Calls of `transform`, failed ones included.
    pub calls: u64,
    /// Instances started; more than calls where one was repeated after a deadline.
    pub instances: u64,
    /// Fuel used, starting included.
    pub fuel: u64,
    /// What the guest said, within `log_lines` and `log_bytes`.
    pub log: Vec<LogLine>,
    /// Lines over these limits.
    pub log_dropped: u64,
}

/// A plugin could not be loaded; whatever ran before keeps running.
#[derive(Debug, thiserror::Error)]
pub enum PluginLoadError {
    /// More bytes than `component_bytes`.
    #[error("found {found} bytes, expected at most {most}: raise `component_bytes`, or build the plugin smaller")]
    TooLarge {
        /// Its size.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// The first bytes are not those of a component.
    #[error("found {found}, expected a WebAssembly component: build it with `cargo xtask plugins`")]
    NotAComponent {
        /// What it looks like.
        found: &'static str,
    },
    /// The compiler refused it.
    #[error("the component is not valid: {message}")]
    Invalid {
        /// Why.
        message: String,
    },
    /// Compiling took more than `compile_seconds`.
    #[error("compiling took more than {most} s: raise `compile_seconds`, or build the plugin smaller")]
    CompileSeconds {
        /// The limit.
        most: u64,
    },
    /// Compiling took more than `compile_memory_bytes`.
    #[error("compiling took more than {most} bytes: raise `compile_memory_bytes`, or build the plugin smaller")]
    CompileMemory {
        /// The limit.
        most: u64,
    },
    /// The compiler ended without a word that we know.
    #[error("the compiler ended with {status}: {message}")]
    CompilerDied {
        /// How it ended.
        status: String,
        /// The last line it said.
        message: String,
    },
    /// It asks for more than `log`.
    #[error(
        "found imports {}, expected none but `silversmith:extractor/log@0.1.0`: a plugin has no files, clock or \
             network; build for wasm32-unknown-unknown, or stub WASI",
        quoted(found)
    )]
    Imports {
        /// The names.
        found: Vec<String>,
    },
    /// It lacks a function of the contract.
    #[error("found no export {}, expected the world `silversmith:extractor/extractor@0.1.0`", quoted(missing))]
    Exports {
        /// The names.
        missing: Vec<&'static str>,
    },
    /// A function has another shape than in the contract.
    #[error("the component speaks another contract than `silversmith:extractor@0.1.0`: {message}")]
    Contract {
        /// What differs.
        message: String,
    },
    /// It failed before anything was asked of it.
    #[error("the plugin failed to start ({code}): {message}")]
    Start {
        /// The code, as of a refusal.
        code: &'static str,
        /// Why.
        message: String,
    },
    /// The program that compiles could not be run.
    #[error("failed to run the compiler of plugins")]
    Compiler {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The host is at fault.
    #[error("failed to load the plugin: {message}")]
    Host {
        /// Why.
        message: String,
    },
}

/// The host failed to run a plugin; nothing is known of the records.
#[derive(Debug, thiserror::Error)]
pub enum HostFault {
    /// A call did not end in time, twice, although its fuel had not run out: the machine is overloaded or stuck.
    #[error("a call of the plugin did not end in time, twice: the machine is overloaded")]
    Deadline,
    /// The rows of the range do not fit one answer.
    #[error(
        "the answer to {records} records is too large: cut batches smaller or lower `output_bytes_base`: {message}"
    )]
    Answer {
        /// How many records.
        records: usize,
        /// What does not fit.
        message: String,
    },
    /// The engine failed, most often for want of memory.
    #[error("failed to run the plugin: {message}")]
    Engine {
        /// Why.
        message: String,
    },
}

impl HostFault {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Deadline | Self::Engine { .. } => true,
            Self::Answer { .. } => false,
        }
    }
}

fn quoted(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 20;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
