//! `schema`: the JSON Schema of a kind of file, for editors.

use clap::{Args, ValueEnum};

use super::{CliError, Exit, output};

/// As the mapping component publishes it; its own tests keep the file true.
const MAPPING: &str = include_str!("../../../mapping.schema.json");

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// The kind of file.
    kind: Kind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// `mappings/*.yaml`
    Mapping,
    /// `tenant.yaml`
    Tenant,
}

pub(super) fn run(args: SchemaArgs) -> Result<Exit, CliError> {
    match args.kind {
        Kind::Mapping => output::print_text(MAPPING.trim_end())?,
        Kind::Tenant => output::print_json(&crate::registry::tenant::schema())?,
    }
    Ok(Exit::Done)
}
