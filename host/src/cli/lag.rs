//! `lag` and `source`: where topics stand against the tables, and going on in spite of a loss.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{self, Listing};
use super::{CliError, Exit, Format, LakeArgs, host, read};
use crate::pipeline::{self, Settings};
use crate::registry::tenant::{Input, Tenant};
use crate::source::kafka::{self, Standing};

#[derive(Debug, Args)]
pub(super) struct LagArgs {
    /// This tenant only.
    tenant: Option<String>,
    /// The folder of tenants.
    #[arg(long, value_name = "FOLDER", default_value = "tenants")]
    tenants: PathBuf,
    #[command(flatten)]
    lake: LakeArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum SourceVerb {
    /// Record that offsets which halt a Kafka source are given up, so that the next run goes on behind them
    AcknowledgeGap(AcknowledgeArgs),
}

#[derive(Debug, Args)]
pub(super) struct AcknowledgeArgs {
    /// The tenant.
    tenant: String,
    /// Its source.
    source: String,
    /// The folder of tenants.
    #[arg(long, value_name = "FOLDER", default_value = "tenants")]
    tenants: PathBuf,
    #[command(flatten)]
    lake: LakeArgs,
}

pub(super) fn run(args: LagArgs, format: Format) -> Result<Exit, CliError> {
    let (tenants, refused) = super::tenants(&args.tenants, args.tenant.as_slice())?;
    let lake = read::open(&args.lake.lake)?;
    let mut listing = listing();
    let mut halted = refused > 0;
    let runtime = super::runtime()?;
    for tenant in &tenants {
        for (source, settings) in topics(tenant) {
            let found = runtime.block_on(pipeline::standings(&lake, &tenant.name, source, settings));
            let found =
                found.map_err(|error| CliError::caused(format!("failed to look at source `{source}`"), error))?;
            halted |= found.iter().any(|standing| standing.halt.is_some());
            list(&mut listing, tenant, source, &found);
        }
    }
    listing.print(format)?;
    Ok(if halted { Exit::Failed } else { Exit::Done })
}

pub(super) fn source(verb: SourceVerb, format: Format) -> Result<Exit, CliError> {
    let SourceVerb::AcknowledgeGap(args) = verb;
    let (tenants, _) = super::tenants(&args.tenants, std::slice::from_ref(&args.tenant))?;
    let Some(tenant) = tenants.into_iter().next() else { return Ok(Exit::Failed) };
    let found = topics(&tenant).find(|(name, _)| *name == args.source);
    let Some((source, settings)) = found else {
        let known: Vec<&str> = topics(&tenant).map(|(name, _)| name).collect();
        return Err(CliError::Usage(format!(
            "found no Kafka source `{}` of tenant `{}`, expected one of {}",
            args.source,
            tenant.name,
            known.join(", ")
        )));
    };
    let existing = read::open(&args.lake.lake)?;
    let failed = |error| CliError::caused(format!("failed to acknowledge the gap of source `{source}`"), error);
    let (found, version) = super::runtime()?.block_on(async {
        let found = pipeline::standings(&existing, &tenant.name, source, settings).await.map_err(failed)?;
        let settings = Settings { records_max: None, fold_every: std::time::Duration::MAX, follow: None };
        let host = host::open(&args.lake.lake, None, settings).await?;
        let version = pipeline::acknowledge_gap(&host, &tenant.name, source, &found).await.map_err(failed)?;
        Ok::<_, CliError>((found, version))
    })?;
    let mut listing = listing();
    let lost: Vec<Standing> = found.into_iter().filter(|standing| standing.halt.is_some()).collect();
    list(&mut listing, &tenant, source, &lost);
    listing.print(format)?;
    if format == Format::Text {
        output::print_text(&match version {
            Some(version) => format!("\nBronze version {version} of source `{source}` says so; the next run goes on"),
            None => format!("source `{source}` has no gap"),
        })?;
    }
    Ok(Exit::Done)
}

/// The Kafka sources of a tenant.
fn topics(tenant: &Arc<Tenant>) -> impl Iterator<Item = (&str, &kafka::Settings)> {
    tenant.sources.iter().filter_map(|source| match &source.input {
        Input::Kafka(settings) => Some((source.name.as_str(), settings)),
        Input::Files { .. } => None,
    })
}

fn listing() -> Listing {
    Listing::new(["tenant", "source", "topic", "partition", "next", "log_start", "log_end", "lag", "state"])
}

fn list(listing: &mut Listing, tenant: &Tenant, source: &str, found: &[Standing]) {
    for standing in found {
        let (start, end) = standing.log;
        listing.push(vec![
            json!(tenant.name),
            json!(source),
            json!(standing.topic),
            json!(standing.partition),
            json!(standing.next),
            json!(start),
            json!(end),
            standing.next.map_or(Value::Null, |next| json!(end - next)),
            json!(standing.halt.as_deref().unwrap_or("readable")),
        ]);
    }
}
