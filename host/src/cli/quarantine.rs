//! `quarantine`: what was refused, and why.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{self, Listing};
use super::read::{self, Texts};
use super::{CliError, Exit, Format, LakeArgs};

#[derive(Debug, Args)]
pub(super) struct QuarantineArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Count refused records and rows by reason
    List {
        /// This tenant only.
        tenant: Option<String>,
        #[command(flatten)]
        lake: LakeArgs,
    },
    /// Show refused records and rows with their bytes
    Show {
        /// The tenant.
        tenant: String,
        /// This position only, as in the column `_position`.
        position: Option<String>,
        /// This many at most.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        lake: LakeArgs,
    },
}

pub(super) fn run(args: QuarantineArgs, format: Format) -> Result<Exit, CliError> {
    let runtime = super::runtime()?;
    match args.verb {
        Verb::List { tenant, lake } => runtime.block_on(list(tenant, &lake, format)),
        Verb::Show { tenant, position, limit, lake } => runtime.block_on(show(&tenant, position, limit, &lake, format)),
    }
}

async fn list(only: Option<String>, lake: &LakeArgs, format: Format) -> Result<Exit, CliError> {
    let lake = read::open(&lake.lake)?;
    let mut listing = Listing::new(["tenant", "source", "scope", "stage", "code", "entity", "field", "count", "first"]);
    for tenant in &read::tenants(&lake, only.as_deref()).await? {
        let path = format!("{tenant}/quarantine");
        let Some(table) = lake.find(&path).await.map_err(|error| read::failed(&path, error))? else { continue };
        let columns = ["source_system", "scope", "stage", "code", "entity", "field", "_position"];
        let mut groups: BTreeMap<Vec<String>, (u64, String)> = BTreeMap::new();
        for rows in read::rows(&table, Some(&columns), None, usize::MAX).await? {
            let texts: Vec<Texts<'_>> = rows.columns().iter().map(Texts::new).collect();
            for row in 0..rows.num_rows() {
                let mut cells: Vec<String> = texts.iter().map(|column| column.get(row).unwrap_or_default()).collect();
                let position = cells.pop().expect("the position is the last of the columns asked for");
                groups.entry(cells).or_insert((0, position)).0 += 1;
            }
        }
        for (cells, (count, first)) in groups {
            let row = [json!(tenant)].into_iter().chain(cells.into_iter().map(Value::from));
            listing.push(row.chain([json!(count), json!(first)]).collect());
        }
    }
    if listing.is_empty() && format == Format::Text {
        output::print_text("nothing in quarantine")?;
    } else {
        listing.print(format)?;
    }
    Ok(Exit::Done)
}

async fn show(
    tenant: &str,
    position: Option<String>,
    limit: usize,
    lake: &LakeArgs,
    format: Format,
) -> Result<Exit, CliError> {
    let lake = read::open(&lake.lake)?;
    let table = read::table(&lake, tenant, "quarantine").await?;
    let rows = read::rows(&table, None, read::matching("_position", position), limit).await?;
    let mut shown = Vec::new();
    for batch in &rows {
        let listing = read::listing(std::slice::from_ref(batch), &["raw_payload", "_checksum"]);
        let Value::Array(objects) = listing.to_json() else { unreachable!("a listing is an array in JSON") };
        let payloads = arrow::array::AsArray::as_binary::<i32>(
            batch.column_by_name("raw_payload").expect("the table's schema has it"),
        );
        for (row, object) in objects.into_iter().enumerate() {
            let Value::Object(mut object) = object else { unreachable!("a row is an object in JSON") };
            object.retain(|_, value| !value.is_null());
            let payload = arrow::array::Array::is_valid(payloads, row)
                .then(|| String::from_utf8_lossy(payloads.value(row)).into_owned());
            if let Some(payload) = payload {
                object.insert("raw_payload".to_owned(), Value::from(payload));
            }
            shown.push(Value::Object(object));
        }
    }
    match format {
        Format::Json => output::print_json(&Value::Array(shown))?,
        Format::Text => {
            let blocks = shown.iter().map(|object| {
                let lines = object.as_object().into_iter().flatten().map(|(key, value)| {
                    format!("{key:22} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                });
                lines.collect::<Vec<_>>().join("\n")
            });
            output::print_text(&blocks.collect::<Vec<_>>().join("\n\n"))?;
        }
    }
    Ok(Exit::Done)
}
