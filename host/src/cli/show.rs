//! `show`: a tenant's tables, an entity's first rows, the history of one business key.

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, Listing};
use super::read::{self, failed};
use super::{CliError, Exit, Format, LakeArgs};
use crate::lake::{Lake, Table};
use crate::pipeline::KEY_PROPERTY;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The tenant.
    tenant: String,
    /// One of its entities.
    entity: Option<String>,
    /// A business key; the parts of a composite key are joined by `/`.
    key: Option<String>,
    /// Rows to show, at most.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    lake: LakeArgs,
}

pub(super) fn run(args: ShowArgs, format: Format) -> Result<Exit, CliError> {
    let lake = read::open(&args.lake.lake)?;
    super::runtime()?.block_on(async {
        match (&args.entity, &args.key) {
            (None, _) => tables(&lake, &args.tenant, format).await,
            (Some(entity), None) => rows(&lake, &args.tenant, entity, args.limit, format).await,
            (Some(entity), Some(key)) => history(&lake, &args.tenant, entity, key, format).await,
        }
    })
}

async fn tables(lake: &Lake, tenant: &str, format: Format) -> Result<Exit, CliError> {
    let names = lake.tables(tenant).await.map_err(|error| failed(tenant, error))?;
    if names.is_empty() {
        return Err(CliError::Usage(format!(
            "found no tenant `{tenant}` in the lake; `silversmith status --lake …` lists those there are"
        )));
    }
    let mut listing = Listing::new(["table", "rows", "files", "bytes", "version", "path"]);
    for name in names {
        let table = read::table(lake, tenant, &name).await?;
        let files = table.files().await.map_err(|error| failed(table.name(), error))?;
        listing.push(vec![
            json!(name),
            json!(read::count(&table).await?),
            json!(files.len()),
            json!(files.iter().map(|file| file.size).sum::<i64>()),
            json!(table.version()),
            json!(table.url().path()),
        ]);
    }
    listing.print(format)?;
    Ok(Exit::Done)
}

/// Columns that a first look can do without.
const INNER: &[&str] =
    &["_row_hash", "_checksum", "_manifest_id", "_dq_passed", "_dq_failure_reason", "_bucket", "_row"];

async fn rows(lake: &Lake, tenant: &str, entity: &str, limit: usize, format: Format) -> Result<Exit, CliError> {
    let table = read::table(lake, tenant, &format!("silver/{entity}")).await?;
    let rows = read::rows(&table, None, None, limit).await?;
    let listing = read::listing(&rows, if format == Format::Text { INNER } else { &[] });
    listing.print(format)?;
    Ok(Exit::Done)
}

/// Every version of one key, oldest first, and the Bronze record that began each.
async fn history(lake: &Lake, tenant: &str, entity: &str, key: &str, format: Format) -> Result<Exit, CliError> {
    let table = read::table(lake, tenant, &format!("silver/{entity}")).await?;
    let columns = key_columns(&table);
    let parts: Vec<&str> = if columns.len() > 1 { key.split('/').collect() } else { vec![key] };
    if parts.len() != columns.len() {
        return Err(CliError::Usage(format!("found `{key}`, expected the key of `{entity}` as {}", columns.join("/"))));
    }
    let wanted = parts.iter().map(|part| Some((*part).to_owned())).collect();
    let rows = read::rows(&table, None, Some(read::all_matching(columns, wanted)), usize::MAX).await?;
    let listing = read::listing(&rows, INNER);
    let Value::Array(mut versions) = listing.to_json() else { unreachable!("a listing is an array in JSON") };
    if versions.is_empty() {
        return Err(CliError::Failed(format!(
            "found no `{entity}` with key `{key}`; `silversmith show {tenant} {entity} --lake …` shows some that are there"
        )));
    }
    versions.sort_by_key(|version| version["_valid_from"].as_str().map(str::to_owned));
    let mut shown = Listing::new(listing.columns().iter().cloned().chain(["file".to_owned(), "line".to_owned()]));
    for version in &versions {
        let origin = origin(lake, tenant, version["_position"].as_str().unwrap_or_default()).await?;
        let cells = listing.columns().iter().map(|column| version[column].clone());
        shown.push(cells.chain(origin).collect());
    }
    match format {
        Format::Json => shown.print(format)?,
        Format::Text => output::print_text(&format!("{}\n\n{} versions", shown.to_text(), versions.len()))?,
    }
    Ok(Exit::Done)
}

/// The business key's columns: the contract's, as the table's metadata keeps them.
fn key_columns(table: &Table) -> Vec<String> {
    table.property(KEY_PROPERTY).map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

/// The file and line of the Bronze record at `position`.
async fn origin(lake: &Lake, tenant: &str, position: &str) -> Result<[Value; 2], CliError> {
    let (source, wanted) = match position.split_once('#') {
        Some((source, number)) => (source, [Some(number), None, None]),
        None => {
            let mut parts = position.splitn(4, '/');
            let source = parts.next().unwrap_or_default();
            let (topic, partition) = (parts.next(), parts.next());
            (source, [parts.next(), partition, topic])
        }
    };
    let bronze = read::table(lake, tenant, &format!("bronze/{source}")).await?;
    let columns = ["offset", "partition", "source_topic"].map(str::to_owned).to_vec();
    let wanted = wanted.map(|value| value.map(str::to_owned)).to_vec();
    let filter = read::all_matching(columns, wanted);
    let found = read::rows(&bronze, Some(&["file", "line"]), Some(filter), 1).await?;
    let Value::Array(rows) = read::listing(&found, &[]).to_json() else {
        unreachable!("a listing is an array in JSON")
    };
    Ok(rows.first().map_or([Value::Null, Value::Null], |row| [row["file"].clone(), row["line"].clone()]))
}
