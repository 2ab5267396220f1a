//! `manifests`: the accounts of batches.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{self, Listing};
use super::{CliError, Exit, Format, LakeArgs, read};
use crate::manifest::{self, ManifestRow};

#[derive(Debug, Args)]
pub(super) struct ManifestsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List batches, oldest first
    List {
        /// The tenant.
        tenant: String,
        #[command(flatten)]
        lake: LakeArgs,
    },
    /// Show one manifest whole
    Show {
        /// The tenant.
        tenant: String,
        /// The manifest, or a batch such as `orders@7`.
        id: String,
        #[command(flatten)]
        lake: LakeArgs,
    },
}

pub(super) fn run(args: ManifestsArgs, format: Format) -> Result<Exit, CliError> {
    super::runtime()?.block_on(async {
        match args.verb {
            Verb::List { tenant, lake } => list(&tenant, &lake, format).await,
            Verb::Show { tenant, id, lake } => show(&tenant, &id, &lake, format).await,
        }
    })
}

async fn load(tenant: &str, lake: &LakeArgs) -> Result<Vec<ManifestRow>, CliError> {
    let lake = read::open(&lake.lake)?;
    let table = read::table(&lake, tenant, "manifests").await?;
    let rows = read::rows(&table, None, None, usize::MAX).await?;
    let mut manifests: Vec<ManifestRow> = rows.iter().flat_map(manifest::from_records).collect();
    manifests.sort_by(|a, b| (a.end_time, &a.batch_id, &a.layer).cmp(&(b.end_time, &b.batch_id, &b.layer)));
    Ok(manifests)
}

async fn list(tenant: &str, lake: &LakeArgs, format: Format) -> Result<Exit, CliError> {
    let mut listing =
        Listing::new(["manifest_id", "batch_id", "layer", "status", "record_count", "duplicate_count", "schema_valid"]);
    for manifest in load(tenant, lake).await? {
        let quality = |key: &str| manifest.quality_checks.get(key).cloned().unwrap_or(Value::Null);
        let (duplicates, valid) = (quality("duplicate_count"), quality("schema_valid"));
        listing.push(vec![
            json!(manifest.manifest_id),
            json!(manifest.batch_id),
            json!(manifest.layer),
            json!(manifest.status),
            json!(manifest.record_count),
            duplicates,
            valid,
        ]);
    }
    listing.print(format)?;
    Ok(Exit::Done)
}

async fn show(tenant: &str, id: &str, lake: &LakeArgs, format: Format) -> Result<Exit, CliError> {
    let wanted = |manifest: &ManifestRow| manifest.manifest_id == id || manifest.batch_id == id;
    let found: Vec<Value> =
        load(tenant, lake).await?.iter().filter(|manifest| wanted(manifest)).map(|manifest| json!(manifest)).collect();
    if found.is_empty() {
        return Err(CliError::Usage(format!(
            "found no manifest or batch `{id}`; `silversmith manifests list {tenant}` lists them"
        )));
    }
    match format {
        Format::Json => output::print_json(&Value::Array(found))?,
        Format::Text => {
            for manifest in found {
                output::print_text(&format!("{manifest:#}"))?;
            }
        }
    }
    Ok(Exit::Done)
}
