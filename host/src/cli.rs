//! The command line: arguments, dispatch, exit codes.
//!
//! Data goes to standard output, progress and logs to standard error. Exit code 0 means done, 1 that something
//! was found or failed (a halted tenant, a refused configuration), 2 that the call itself was wrong. Each verb
//! lies in a module of its own and says what it found; only [`output`] knows how that is printed.

mod doctor;
mod host;
mod lag;
mod manifests;
mod output;
mod quarantine;
mod read;
mod run;
mod schema;
mod show;
mod status;
mod try_out;
mod validate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::pipeline::chain;
use crate::registry::tenant::Tenant;

/// Bronze to Silver for many tenants: sandboxed plugins, contracts, history and proof on Delta Lake.
#[derive(Debug, Parser)]
#[command(name = "silversmith", version, max_term_width = 100, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for people.
    Text,
    /// One JSON value.
    Json,
}

/// Where a lake lies.
#[derive(Clone, Debug, Args)]
struct LakeArgs {
    /// The lake's folder.
    #[arg(long, value_name = "FOLDER", env = "SILVERSMITH_LAKE")]
    lake: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run tenants: sources to Bronze, Silver and manifests, until the input ends
    Run(run::RunArgs),
    /// Run one tenant's plugin on some records and show what would come of them; no lake is touched
    Try(try_out::TryArgs),
    /// Show where every tenant stands
    Status(status::StatusArgs),
    /// Show how far the tables are behind their topics; what would halt a source is said
    Lag(lag::LagArgs),
    /// Decide on a source that is halted
    #[command(subcommand)]
    Source(lag::SourceVerb),
    /// Show a tenant's tables, an entity's first rows, or the history of one business key
    Show(show::ShowArgs),
    /// Look at refused records and rows
    Quarantine(quarantine::QuarantineArgs),
    /// Look at the accounts of batches
    Manifests(manifests::ManifestsArgs),
    /// Check tenants' configuration
    Validate(validate::ValidateArgs),
    /// Print the JSON Schema of a kind of file
    Schema(schema::SchemaArgs),
    /// Check this machine and a lake
    Doctor(doctor::DoctorArgs),
    /// Print shell completions
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write man pages
    Man {
        /// The folder to write to.
        folder: PathBuf,
    },
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// All is well.
    Done,
    /// Something was found or failed, and said so.
    Failed,
}

/// Why a call could not do its work.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// The call itself is wrong.
    #[error("{0}")]
    Usage(String),
    /// Its input or its output failed.
    #[error("{0}")]
    Failed(String),
    /// What was asked for failed, with its cause.
    #[error("{action}")]
    Caused {
        /// What was being done.
        action: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CliError {
    fn caused(action: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Caused { action: action.into(), source: Box::new(source) }
    }
}

impl From<std::io::Error> for CliError {
    fn from(source: std::io::Error) -> Self {
        Self::caused("failed to print", source)
    }
}

/// Runs the call in the process's arguments.
pub fn main() -> ExitCode {
    if let Some(code) = host::serve_as_compiler() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors.
            let code = if error.use_stderr() { 2 } else { 0 };
            return if error.print().is_ok() { ExitCode::from(code) } else { ExitCode::from(1) };
        }
    };
    log_to_stderr();
    match dispatch(cli) {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::from(if matches!(error, CliError::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn dispatch(cli: Cli) -> Result<Exit, CliError> {
    let format = cli.format;
    match cli.verb {
        Verb::Run(args) => run::run(args, format),
        Verb::Try(args) => try_out::run(args, format),
        Verb::Status(args) => status::run(args, format),
        Verb::Lag(args) => lag::run(args, format),
        Verb::Source(verb) => lag::source(verb, format),
        Verb::Show(args) => show::run(args, format),
        Verb::Quarantine(args) => quarantine::run(args, format),
        Verb::Manifests(args) => manifests::run(args, format),
        Verb::Validate(args) => validate::run(args, format),
        Verb::Schema(args) => schema::run(args),
        Verb::Doctor(args) => doctor::run(args, format),
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "silversmith", &mut std::io::stdout());
            Ok(Exit::Done)
        }
        Verb::Man { folder } => {
            std::fs::create_dir_all(&folder)?;
            clap_mangen::generate_to(Cli::command(), &folder)?;
            Ok(Exit::Done)
        }
    }
}

/// Logs of the library, at `warn` unless `SILVERSMITH_LOG` says otherwise.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SILVERSMITH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// Says on standard error that something failed, and why.
fn complain(what: &str, error: &dyn std::error::Error) {
    eprintln!("error: {what}: {}", chain(error));
}

/// The runtime that drives input and output; computation has threads of its own.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::caused("failed to start the runtime", error))
}

/// The tenants in `folder` that `only` names, all where it names none. A tenant whose configuration is refused
/// is reported and counted; the others go on without it.
fn tenants(folder: &Path, only: &[String]) -> Result<(Vec<Arc<Tenant>>, usize), CliError> {
    let mut tenants = Vec::new();
    let mut refused = 0;
    for tenant in host::load_tenants(folder, only)? {
        match tenant {
            Ok(tenant) => tenants.push(Arc::new(tenant)),
            Err(findings) => {
                refused += 1;
                eprintln!("{findings}");
            }
        }
    }
    Ok((tenants, refused))
}
